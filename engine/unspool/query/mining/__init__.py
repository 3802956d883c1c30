"""Mined invariants: relations between the values of a state that hold for long and break later."""
