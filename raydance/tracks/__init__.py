"""2-D point tracks: the type, readers, embedded scenes, overlays and exports. NumPy, no torch."""
