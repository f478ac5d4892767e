"""A shared space of dance and words, learnt from motion capture."""
