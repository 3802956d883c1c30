"""Random histories to ask questions about, and answers by brute force from all their states."""

from __future__ import annotations

import copy
import pathlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from support.recording import record_shop
from support.values import json_values
from unspool.delta.structural import diff_values
from unspool.history import History
from unspool.model.entries import CALLER, OpKind, SourceLine
from unspool.model.keys import Path
from unspool.recorder import Recorder
from unspool.store import MemoryStore

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


@dataclass
class Told:
    """A history, and the plain list of what was recorded into it."""

    history: History
    states: list[dict[str, Any]] = field(default_factory=list)
    parents: list[int | None] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)

    def line(self, at: int) -> list[int]:
        """Entries that lead to one, oldest first."""
        line: list[int] = []
        step: int | None = at
        while step is not None:
            line.append(step)
            step = self.parents[step]
        return line[::-1]

    def before(self, seq: int) -> dict[str, Any]:
        """State that an entry followed."""
        parent = self.parents[seq]
        return {} if parent is None else self.states[parent]


def tell(states: list[dict[str, Any]], parents: list[int | None] | None = None, **options: Any) -> Told:
    """Record states into memory."""
    store = MemoryStore("told.unspool")
    parents = parents or [step - 1 if step else None for step in range(len(states))]
    actions = [f"step {step % 3}" for step in range(len(states))]
    # Not every entry tells its caller.
    lines = [
        SourceLine("shop.py", (40, 42)[step % 2], "Cart.add") if step % 3 else None for step in range(len(states))
    ]
    with Recorder(store, on_error="raise", **options) as recorder:
        for step, (state, parent) in enumerate(zip(states, parents, strict=True)):
            recorder.record(
                state,
                actions[step],
                meta={} if (line := lines[step]) is None else {CALLER: line.to_meta()},
                timestamp_ns=START + step * SECOND,
                parent_seq=None if parent == step - 1 else parent,
            )
    return Told(History(store), states, parents, actions, [str(line or "") for line in lines])


small = st.integers(0, 3) | st.sampled_from(["a", "b", "", 1.5, None, True])
edits = st.one_of(
    st.tuples(st.just("field"), st.integers(0, 9), small),
    st.tuples(st.just("move"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("drop"), st.integers(0, 9), st.none()),
    st.tuples(st.just("insert"), st.integers(0, 7), st.integers(0, 9)),
    st.tuples(st.just("tag"), st.integers(0, 9), small),
    st.tuples(st.just("number"), st.integers(0, 9), st.integers(0, 2)),
    st.tuples(st.just("key"), st.sampled_from("kxy"), small | json_values),
    st.tuples(st.just("nokey"), st.sampled_from("kxy"), st.none()),
    st.tuples(st.just("atom"), st.sampled_from(["conf", "rows", "extra"]), json_values),
    st.tuples(st.just("noatom"), st.sampled_from(["conf", "rows", "extra", "numbers"]), st.none()),
)
steps = st.lists(st.tuples(st.integers(0, 9), st.lists(edits, max_size=3)), min_size=1, max_size=14)
"""Each step: 0 forks from an earlier entry, and the edits it makes."""


def _row(number: int) -> dict[str, Any]:
    return {"id": number, "name": f"record number {number}", "value": 0, "tags": []}


def _edit(state: dict[str, Any], kind: str, one: Any, other: Any) -> None:
    rows, conf, numbers = state.get("rows"), state.get("conf"), state.get("numbers")
    has_rows = isinstance(rows, list) and rows and all(isinstance(row, dict) and "tags" in row for row in rows)
    if kind == "field" and has_rows:
        rows[one % len(rows)]["value"] = other
    elif kind == "move" and has_rows:
        rows.insert(other % len(rows), rows.pop(one % len(rows)))
    elif kind == "drop" and has_rows:
        del rows[one % len(rows)]
    elif kind == "insert":
        if not has_rows:
            state["rows"] = rows = []
        if all(row["id"] != one for row in rows):
            rows.insert(other % (len(rows) + 1), _row(one))
    elif kind == "tag" and has_rows:
        rows[one % len(rows)]["tags"].append(other)
    elif kind == "number":
        state.setdefault("numbers", []).insert(one % (len(state.get("numbers", [])) + 1), other)
        if numbers and one > 6:
            del numbers[one % len(numbers)]
    elif kind in ("key", "nokey"):
        if not isinstance(conf, dict):
            conf = state["conf"] = {}
        if kind == "key":
            conf[one] = copy.deepcopy(other)
        else:
            conf.pop(one, None)
    elif kind == "atom":
        state[one] = copy.deepcopy(other)
    elif kind == "noatom":
        state.pop(one, None)


@st.composite
def histories(draw: st.DrawFn, *, wild: bool = True) -> Told:
    """Histories with moved, dropped and re-added records, shapes that change, atoms that go, and forks.

    Args:
        draw: given by hypothesis.
        wild: any value may take the place of the records.
    """
    states: list[dict[str, Any]] = []
    parents: list[int | None] = []
    for number, (fork, made) in enumerate(draw(steps)):
        parent = number - 1 if number else None
        if fork == 0 and number > 1:
            parent = draw(st.integers(0, number - 1))
        first = {"rows": [_row(1), _row(2), _row(3)], "conf": {"k": 1}, "numbers": [1, 2, 1]}
        state = first if parent is None else copy.deepcopy(states[parent])
        for kind, one, other in made:
            if wild or (kind, one) != ("atom", "rows"):
                _edit(state, kind, one, other)
        states.append(state)
        parents.append(parent)
    return tell(states, parents)


class _Object(dict[str, Any]):
    changed = made = -1


class _List(list[Any]):
    changed = made = -1


@dataclass
class _Leaf:
    changed: int


def _shadow(value: Any, seq: int) -> Any:
    if isinstance(value, dict):
        made: Any = _Object({key: _shadow(item, seq) for key, item in value.items()})
    elif isinstance(value, list):
        made = _List(_shadow(item, seq) for item in value)
    else:
        return _Leaf(seq)
    made.changed = made.made = seq
    return made


def _apply(root: list[Any], ops: Any, seq: int) -> None:
    for op in ops:
        if op.kind is OpKind.MOVE:
            holder = _holder(root, op.source, seq)
            moved = holder.pop(op.source[-1])
            _holder(root, op.path, seq).insert(op.path[-1], moved)
            continue
        holder, step = _holder(root, op.path, seq), op.path[-1] if op.path else 0
        if op.kind is OpKind.REMOVE:
            del holder[step]
        elif op.kind is OpKind.ADD and isinstance(holder, list):
            holder.insert(step, _shadow(op.new, seq))
        else:
            holder[step] = _shadow(op.new, seq)


def _holder(root: list[Any], path: Path, seq: int) -> Any:
    holder: Any = root
    for step in (0, *path)[: len(path)]:
        holder = holder[step]
        holder.changed = seq
    return holder


def _shadow_at(told: Told, at: int) -> Iterator[tuple[Path, Any]]:
    """Leaves of a state, with shadows that know who set them: ops of each entry replayed on a shadow of the state."""
    shadow: dict[str, Any] = {}
    for seq in told.line(at):
        old, new = told.before(seq), told.states[seq]
        for atom in [atom for atom in shadow if atom not in new]:
            del shadow[atom]
        for atom, value in new.items():
            if atom not in old:
                shadow[atom] = _shadow(value, seq)
                continue
            holder = [shadow[atom]]
            _apply(holder, diff_values(old[atom], value), seq)
            shadow[atom] = holder[0]
        shadow = {atom: shadow[atom] for atom in new}
    for atom, value in shadow.items():
        yield from shadow_leaves(value, (atom,))


def brute_blame(told: Told, at: int) -> dict[Path, int]:
    """Every leaf of a state with the entry that last set it."""
    return {path: leaf.changed for path, leaf in _shadow_at(told, at)}


def brute_changed(told: Told, at: int) -> list[Path]:
    """Leaves that an entry added or gave another value; what became empty because its parts went is none."""
    return [
        path for path, leaf in _shadow_at(told, at) if (leaf.changed if isinstance(leaf, _Leaf) else leaf.made) == at
    ]


def value_at(state: Any, path: Path) -> Any:
    """What stands at a path."""
    for step in path:
        state = state[step]
    return state


def shadow_leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Leaves of a shadow."""
    if isinstance(value, _Leaf) or not value:
        yield path, value
    else:
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from shadow_leaves(item, (*path, step))


def damaged_shop(path: pathlib.Path) -> tuple[list[dict[str, Any]], range]:
    """A file of 300 entries one block of which does not read; returns the states and the entries of that block."""
    return record_shop(path, 300), damage_a_block(path)


def damage_a_block(path: pathlib.Path) -> range:
    """Flip a byte in the third block of a finished file; returns the entries of that block."""
    connection = sqlite3.connect(path)
    firsts = [row[0] for row in connection.execute("SELECT first FROM block ORDER BY first")]
    data = bytearray(connection.execute("SELECT data FROM block_data WHERE first = ?", (firsts[2],)).fetchone()[0])
    data[len(data) // 2] ^= 0x5A
    connection.execute("UPDATE block_data SET data = ? WHERE first = ?", (bytes(data), firsts[2]))
    connection.commit()
    connection.close()
    return range(firsts[2], firsts[3])
