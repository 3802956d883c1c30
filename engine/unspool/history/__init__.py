"""A history as a person means it: go to, diff, append, undo, redo, fork, statistics."""
