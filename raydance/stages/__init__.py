"""One file for each stage of a system: its configuration, network, loss and columns."""
