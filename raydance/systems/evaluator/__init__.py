"""The evaluator: a space of real motion and its captions that generators are measured in."""
