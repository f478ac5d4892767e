"""One file for each system: which stages it has, in which order."""
