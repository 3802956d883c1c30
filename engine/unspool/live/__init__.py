"""Live: recording a program that nobody instrumented: what runs in it, and what holds the other end."""
