"""The command line and the terminal app over the unspool engine."""
