"""Questions nobody else answers, and what a peer's way of answering costs: going through whole states one by one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import many, questions
from benchmarks.context import Context
from benchmarks.loads import Load
from benchmarks.measure import median, timed
from benchmarks.peers import PeerAbsent
from benchmarks.questions import Leaf, Timed
from benchmarks.report import Row, absent, against, alone

TITLE = "Questions, each the first thing asked of a history opened anew; answers checked"

_LEAF_MS, _LEAVES_MS, _FIRST_HIT_MS = 50.0, 1_000.0, 300.0
_NEIGHBOUR_MS, _FLIP_MS, _MANY_BLAME_MS = 5.0, 200.0, 100.0
_LONG, _QUICK_LONG = 100_000, 5_000
_PEER = "SQLite row each"


def run(context: Context) -> list[Row]:
    """Ask the telling loads, a long history with one flip, and the one of most entries."""
    rows = [row for load in context.telling_loads() for row in _one_load(context, load)]
    count = _QUICK_LONG if context.quick else _LONG
    path = questions.record_counter(context.folder / "counter.unspool", count)
    rows.append(_with(questions.flip(path, count, single=True), most=_FLIP_MS))
    rows.append(_with(questions.flip(path, count, single=False)))
    return [*rows, *_many(context)]


def _one_load(context: Context, load: Load) -> list[Row]:
    path, name = context.recorded(load).path, f"{load.name}: "
    whole, leaves = questions.all_leaves(path, questions.widest(path))
    rows = [_with(whole, name, most=_LEAVES_MS)]
    picked = [leaves[len(leaves) * share // 8] for share in range(8)]
    slowest = max((questions.one_leaf(path, leaf) for leaf in picked), key=lambda one: one.milliseconds)
    rows.append(_with(slowest, f"{name}slowest of {len(picked)}, from the oldest on: ", most=_LEAF_MS))
    rows.append(_with(questions.first_hit(path, "a"), name, most=_FIRST_HIT_MS))
    nowhere = questions.text_anywhere(path, questions.NOWHERE)
    try:
        table = _table(context, load)
        rows.append(_beside(questions.one_leaf(path, picked[4]), _walked_back(table, picked[4]), name))
        rows.append(_beside(nowhere, _scanned(table), name))
    except PeerAbsent as why:
        rows += [absent(f"{name}against whole states, one a row", str(why)), _with(nowhere, name)]
    return [*rows, *(_with(one, name) for one in questions.rest(path))]


def _with(one: Timed, name: str = "", *, most: float | None = None) -> Row:
    return alone(f"{name}{one.what}", one.milliseconds, "ms", most=most)


def _beside(one: Timed, peer_ms: float, name: str) -> Row:
    return against(f"{name}{one.what}", one.milliseconds, peer_ms, "ms", _PEER)


def _table(context: Context, load: Load) -> Path:
    """Return a table with the load's states, one as JSON in a row each."""
    try:
        from benchmarks.peers.sqlite_rows import SqliteRows
    except ImportError as missing:
        raise PeerAbsent(f"{missing.name} is not installed") from None
    place = context.folder / f"{load.name}-questions.sqlite"
    table = SqliteRows(place, synchronous="OFF")
    for state in load.states():
        table.record(state)
    table.close()
    return place


def _walked_back(table: Path, leaf: Leaf) -> float:
    """Go back from state to state until the value at a path is another one; by position, which is less work."""
    import orjson

    def walk() -> None:
        with closing(sqlite3.connect(table)) as connection:
            rows = connection.execute("SELECT data FROM state WHERE seq <= ? ORDER BY seq DESC", (leaf.at + 1,))
            value = _value(orjson.loads(next(rows)[0]), leaf)
            for (data,) in rows:
                if _value(orjson.loads(data), leaf) != value:
                    return

    return median([timed(walk) for _ in range(questions.ASKED)]) * 1000


def _value(state: Any, leaf: Leaf) -> Any:
    for step in leaf.path:
        try:
            state = state[step]
        except (KeyError, IndexError, TypeError):
            return None
    return state


def _scanned(table: Path) -> float:
    """Have SQLite look for a text in the JSON of every state."""

    def scan() -> None:
        with closing(sqlite3.connect(table)) as connection:
            query = "SELECT count(*) FROM state WHERE instr(data, ?)"
            if connection.execute(query, (questions.NOWHERE.encode(),)).fetchone()[0]:
                raise AssertionError("the text that is nowhere is somewhere")

    return median([timed(scan) for _ in range(questions.ASKED)]) * 1000


def _many(context: Context) -> list[Row]:
    history = context.many(context.sizes[-1])
    name, middle = f"{history.count:,} entries: ", history.count // 2
    rows = []
    for label, atom in (("the busiest atom", many.HOT), ("a quiet atom", many.COLD)):
        for one in questions.neighbours(history.path, atom, middle):
            rows.append(_with(one, f"{name}{label}, ", most=_NEIGHBOUR_MS))
    whole, leaves = questions.all_leaves(history.path, history.count - 1)
    rows.append(_with(whole, name, most=_MANY_BLAME_MS))
    rows.append(_with(questions.one_leaf(history.path, leaves[0]), name, most=_MANY_BLAME_MS))
    rows.append(_with(questions.first_hit(history.path, "tick"), name, most=_FIRST_HIT_MS))
    return rows
