"""Entries at rest, behind one small protocol."""
