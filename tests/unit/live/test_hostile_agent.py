"""An agent that lies: whatever comes over its socket, the host refuses it or records it, and nothing else happens."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from unspool import History, Recorder
from unspool.errors import UnspoolError
from unspool.live.cells import NotOfTheAgent, cell_form, value_cell
from unspool.live.link import read_message
from unspool.live.taking import AgentRecording
from unspool.model.values import strict_equal
from unspool.model.wire import decode
from unspool.store.memory import MemoryStore

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.floats(allow_nan=False),
    st.text(max_size=6),
    st.sampled_from(
        ["list", "dict", "state", "object", "tuple", "set", "bytes", "deque", "cut", "unset", "other", "enum"]
    ),
)
JUNK = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
NODES = st.integers(0, 5)
CELLS = st.one_of(LEAVES, NODES.map(lambda number: [number]), JUNK)
ROWS = st.one_of(
    st.tuples(
        NODES, st.sampled_from(["list", "dict", "object", "tuple", "set", "deque"]), st.none() | st.just("m.T"),
        st.none() | st.lists(CELLS, max_size=3), st.lists(CELLS, max_size=3), st.none() | st.integers(0, 3), st.none() | NODES,
    ).map(list),
    st.tuples(st.just(0), st.just("state"), st.none(), st.just(["a", "b"]), st.tuples(CELLS, CELLS).map(list)).map(list),
    JUNK,
)  # fmt: skip
SPLICES = st.one_of(
    st.tuples(NODES, st.integers(-1, 4), st.integers(-1, 3), st.lists(CELLS, max_size=3), st.none() | st.lists(CELLS, max_size=3)).map(list),
    JUNK,
)  # fmt: skip
EXTRAS = st.dictionaries(
    st.sampled_from(["t", "site", "caller", "thread", "task", "exc", "trace", "notes", "merged", "parent", "action", "unseen", "cut"]),
    JUNK,
    max_size=3,
)  # fmt: skip
ENTRIES = st.builds(
    lambda rows, splices, gone, extras: {**extras, "m": "r", "rows": rows, "splices": splices, "gone": gone},
    st.lists(ROWS, max_size=4),
    st.lists(SPLICES, max_size=3),
    st.lists(NODES | JUNK, max_size=2),
    EXTRAS,
)
START = {
    "m": "r",
    "rows": [
        [0, "state", None, ["a", "b"], [[1], 2]],
        [1, "list", None, None, [[2]]],
        [2, "dict", None, ["k"], [[1]]],
    ],
}


@given(entries=st.lists(ENTRIES, max_size=4), site=JUNK)
def test_any_entry_is_recorded_or_refused_and_what_is_recorded_reads(
    entries: list[dict[str, Any]], site: Any
) -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    taking = None
    for message in entries:
        if taking is None:
            taking = AgentRecording(recorder, 1, "/x")
            taking.entry(START)
        try:
            if isinstance(site, dict):
                taking.site({"id": 1, **site})
            taking.entry(message)
        except UnspoolError:
            # What does not hold together ends a recording; what comes next is of another agent.
            taking = None
    history = History(store)
    history.refresh()
    for entry in history:
        history.state(entry.seq)


@given(line=st.binary(max_size=60))
def test_any_line_is_a_message_or_refused(line: bytes) -> None:
    try:
        assert isinstance(read_message(line), dict)
    except NotOfTheAgent:
        pass


@given(cell=JUNK)
def test_any_cell_is_a_value_or_refused(cell: Any) -> None:
    try:
        decode(cell_form(cell))
    except NotOfTheAgent:
        pass


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.decimals(allow_nan=False), st.uuids(),
    st.datetimes(), st.dates(), st.times(), st.timedeltas(), st.complex_numbers(), st.fractions(),
)  # fmt: skip


@given(value=VALUES)
def test_a_value_comes_back_from_its_cell(value: Any) -> None:
    cell = json.loads(json.dumps(value_cell(value)))
    assert strict_equal(decode(cell_form(cell)), value)
