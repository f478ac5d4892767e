"""Music: reading it, its features at a motion's frame rate, and songs and dances made by rule."""
