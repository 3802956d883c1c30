"""Foreign formats, watching files, and the one door that opens any history."""
