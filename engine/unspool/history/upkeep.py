"""Upkeep of history files: written anew as small as they get, and freed of empty pages."""

from __future__ import annotations

from unspool.store.compacting import SizeReport, compact, vacuum

__all__ = ["SizeReport", "compact", "vacuum"]
