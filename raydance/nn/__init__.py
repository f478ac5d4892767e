"""Network blocks and losses that more than one stage uses."""
