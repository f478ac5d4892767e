"""One writer for each file format: a clip to a path."""
