"""Dance-Language: motion capture and words in one space."""
