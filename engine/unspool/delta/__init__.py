"""What changed: compute, apply, invert, merge and compare, per atom and inside atoms."""
