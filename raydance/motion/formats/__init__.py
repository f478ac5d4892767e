"""One reader for each file format: a path to a clip."""
