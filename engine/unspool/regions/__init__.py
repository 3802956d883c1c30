"""Region deltas: a generated base plus recorded actions (seed 003)."""
