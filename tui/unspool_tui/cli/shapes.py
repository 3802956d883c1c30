"""The JSON shapes that scripts rely on; `docs/cli.md` describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from unspool.model.paths import Key, format_path, to_pointer
from unspool.model.values import MISSING, Value
from unspool.sources.timestamps import iso_time

if TYPE_CHECKING:
    from unspool.history.diff import Change, Diff
    from unspool.history.stats import HistoryStats
    from unspool.history.verdict import Verdict
    from unspool.model.entries import Entry, Op


def entry_shape(entry: Entry, context: Mapping[str, Value] | None = None) -> dict[str, Value]:
    """Return one line of `log --json`; `context` is what surrounded the call that recorded it, where that is known."""
    # Only what lists entries waits for the room that holds histories.
    from unspool.history.contexts import without_context

    shape: dict[str, Value] = {
        "seq": entry.seq,
        "id": entry.id,
        "kind": entry.kind.value,
        "base_seq": entry.base_seq,
        "timestamp": iso_time(entry.timestamp_ns),
        "action": entry.action,
        "added": entry.added,
        "modified": entry.modified,
        "deleted": entry.deleted,
        "stored_bytes": entry.stored_bytes,
        "full_bytes": entry.full_bytes,
        "meta": without_context(entry.meta),
    }
    if context is not None:
        shape["context"] = dict(context)
    return shape


def show_shape(entry: Entry, state: dict[str, Value]) -> dict[str, Value]:
    """Return what `show --json` prints."""
    return {"seq": entry.seq, "timestamp": iso_time(entry.timestamp_ns), "action": entry.action, "state": state}


def _op_shape(op: Op) -> dict[str, Value]:
    shape: dict[str, Value] = {"op": op.kind.value, "path": to_pointer(op.path)}
    if any(isinstance(step, Key) for step in (*op.path, *op.source)):
        # A pointer cannot tell a key that is no text from its spelling.
        shape["at"] = format_path(op.path)
    if op.source:
        shape["from"] = to_pointer(op.source)
    if op.old is not MISSING:
        shape["old"] = op.old
    if op.new is not MISSING:
        shape["new"] = op.new
    return shape


def _change_shape(change: Change) -> dict[str, Value]:
    shape: dict[str, Value] = {"atom": change.atom, "kind": change.kind.value}
    if change.old is not MISSING:
        shape["old"] = change.old
    if change.new is not MISSING:
        shape["new"] = change.new
    shape["ops"] = [_op_shape(op) for op in change.ops]
    if change.key_changes:
        shape["key_changes"] = [
            {"list": format_path(changed.path), "old": changed.old, "new": changed.new}
            for changed in change.key_changes
        ]
    return shape


def diff_shape(diff: Diff) -> dict[str, Value]:
    """Return what `diff --json` prints."""
    return {"from": diff.from_seq, "to": diff.to_seq, "changes": [_change_shape(change) for change in diff.changes]}


def verdict_shape(verdict: Verdict) -> dict[str, Value]:
    """Return a verdict: how much of the source could be read."""
    return {
        "status": verdict.status.value,
        "problems": [{"place": problem.place, "message": problem.message} for problem in verdict.problems],
        "dropped": verdict.dropped,
        "notes": list(verdict.notes),
    }


def stats_shape(stats: HistoryStats) -> dict[str, Value]:
    """Return what `stats --json` prints."""
    cache = stats.cache
    return {
        "entries": stats.entries,
        "first": stats.first,
        "full": stats.full,
        "delta": stats.delta,
        "notes": stats.notes,
        "passed_over": stats.passed_over,
        "chains": stats.chains,
        "longest_chain": stats.longest_chain,
        "stored_bytes": stats.stored_bytes,
        "full_bytes": stats.full_bytes,
        "ratio": stats.ratio,
        "file_bytes": stats.file_bytes,
        "codecs": dict(stats.codecs),
        "atoms": {
            name: {"changes": atom.changes, "stored_bytes": atom.stored_bytes} for name, atom in stats.atoms.items()
        },
        "rebuild_us": {"p50": stats.rebuild_us.p50, "p95": stats.rebuild_us.p95, "max": stats.rebuild_us.max},
        "cache": {
            "size": cache.size,
            "max_size": cache.max_size,
            "hits": cache.hits,
            "misses": cache.misses,
            "evictions": cache.evictions,
        },
        "health": stats.health.value,
        "problems": list(stats.problems),
        "verdict": verdict_shape(stats.verdict),
    }
