"""Recordings into datasets, datasets into batches."""
