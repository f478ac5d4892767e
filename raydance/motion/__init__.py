"""Motion as arrays: files in and out, skeleton, windows, pictures. NumPy only."""
