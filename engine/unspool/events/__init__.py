"""An append-only event log with a hash chain, and AST diffs of source text (seed 004)."""
