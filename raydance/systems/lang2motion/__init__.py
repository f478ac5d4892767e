"""Lang2Motion: sentences and 2-D point tracks in one space; tracks from a sentence and a start."""
