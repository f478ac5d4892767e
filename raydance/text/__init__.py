"""Frozen encoders, language models and the words of captions."""
