"""Deltas and states as bytes."""
