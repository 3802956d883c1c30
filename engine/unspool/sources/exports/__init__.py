"""The ways back out: a history as text that other tools read, one module a format."""
