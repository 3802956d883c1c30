"""What the panels show: answers of the history kept ready, and turned into rows."""
