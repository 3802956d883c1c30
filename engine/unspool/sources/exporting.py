"""The way back out: a history as text that other tools read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from unspool.delta.json_patch import encoded_patch
from unspool.errors import ConfigError
from unspool.history.history import History
from unspool.model.entries import Entry
from unspool.model.json_text import to_json
from unspool.model.values import Value
from unspool.sources.timestamps import iso_time

_NS_PER_MS: Final = 1_000_000


def _facts(entry: Entry) -> dict[str, Value]:
    facts: dict[str, Value] = {"id": entry.id, "timestamp": iso_time(entry.timestamp_ns), "action": entry.action}
    return {**facts, "meta": dict(entry.meta)} if entry.meta else facts


def json_lines(history: History) -> Iterator[str]:
    """Yield one line an entry: `{"seq", "id", "timestamp", "action", "meta"?, "state"}`."""
    for entry in history:
        yield to_json({"seq": entry.seq, **_facts(entry), "state": history.state(entry.seq)})


def json_patch_lines(history: History) -> Iterator[str]:
    """Yield the first state, then one RFC 6902 patch an entry: `{"id", "timestamp", "action", "meta"?, "patch"}`."""
    before: dict[str, bytes] = {}
    for entry in history:
        view = history.view(entry.seq)
        after = {atom: view.encoded(atom) for atom in view}
        if entry.seq == 0:
            yield to_json({**_facts(entry), "state": view.to_dict()})
        else:
            yield to_json({**_facts(entry), "patch": encoded_patch(before, after, history.identity)})
        before = after


def nexus_lines(history: History) -> Iterator[str]:
    """Yield the lines of a nexus-state export list 1.0 of full snapshots."""
    names: dict[str, None] = {}
    yield '{"version":"1.0","snapshots":['
    for entry in history:
        state = history.state(entry.seq)
        names.update(dict.fromkeys(state))
        atoms = {name: {"value": value, "type": "primitive", "name": name} for name, value in state.items()}
        metadata = {"timestamp": entry.timestamp_ns // _NS_PER_MS, "action": entry.action, "atomCount": len(state)}
        snapshot = {"id": entry.id, "type": "full", "state": atoms, "metadata": metadata, "baseSnapshotId": None}
        yield to_json(snapshot) + ("," if entry.seq < len(history) - 1 else "")
    times = [history[seq].timestamp_ns // _NS_PER_MS for seq in (0, -1)] if len(history) else [0, 0]
    metadata = {
        "snapshotCount": len(history),
        "timeRange": {"from": times[0], "to": times[1]},
        "atomNames": list(names),
    }
    yield f'],"exportedAt":{times[1]},"metadata":{to_json(metadata)}}}'


EXPORTS: Final[dict[str, Callable[[History], Iterator[str]]]] = {
    "jsonl": json_lines,
    "json-patch": json_patch_lines,
    "nexus": nexus_lines,
}
"""The formats to export to, by name."""


def export_lines(history: History, name: str) -> Iterator[str]:
    """Yield a history as the lines of a text file, without their ends.

    Raises:
        ConfigError: there is no such format.
    """
    export = EXPORTS.get(name)
    if export is None:
        raise ConfigError(f"{name!r} is no format to export to; write one of {', '.join(EXPORTS)}")
    return export(history)
