"""Network blocks for rows of different lengths: attention, conditioning, convolutions in time."""
