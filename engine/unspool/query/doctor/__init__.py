"""The doctor: what a history, its chains and its file are examined for, and what is reported."""
