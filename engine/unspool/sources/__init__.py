"""Foreign formats: one module each, detection by content, watching files, and `open_history` over them all."""
