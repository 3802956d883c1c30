"""Every question against a slow, simple reference that knows only whole states, over every format that opens."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
from gappy_store import GappyStore
from hypothesis import given, settings
from hypothesis import strategies as st

from support import oracle
from support.examples import examples
from support.oracle import OddKey, State, Told, leaves, same
from support.told_sources import LINES, NATIVE, grown, in_memory, in_parts, opened, recorded, tell, unwrapped
from unspool.history.history import History
from unspool.history.verdict import VerdictStatus
from unspool.model.keys import Key
from unspool.model.paths import step_of
from unspool.query.bisect import bisect
from unspool.query.blame import blame
from unspool.query.compare import HistoryRelation, compare
from unspool.query.disk_usage import footprint
from unspool.query.path_writes import all_writes
from unspool.query.search import HitKind, search

NEEDLES = ("red", "blue", "12", "line two", "\u00e9t\u00e9", "t3", "x" * 65, "1")


def spelled(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """A path of the product as the oracle spells it."""
    return tuple(OddKey(step.value) if isinstance(step, Key) else step for step in path)


def asked(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """A path of the oracle as the product takes it."""
    return tuple(step_of(step.value) if isinstance(step, OddKey) else step for step in path)


def check_states(history: History, told: Told) -> None:
    assert len(history) == len(told.states)
    for seq, state in enumerate(told.states):
        assert same({atom: unwrapped(value) for atom, value in history.state(seq).items()}, state), seq
        found = {atom: kind.value for atom, kind in history.changed_atoms(seq)}
        assert found == oracle.log_of(told, seq), seq
        assert {change.atom: change.kind.value for change in history.changes(seq).changes} == found
        assert (history[seq].added, history[seq].modified, history[seq].deleted) == tuple(
            sum(kind == wanted for kind in found.values()) for wanted in ("added", "modified", "deleted")
        )
    if told.actions:
        assert [entry.action for entry in history] == told.actions


def check_blame(history: History, told: Told, at: int) -> None:
    found = blame(history, at)
    assert found.complete
    assert {spelled(value.path): value.seq for value in found.values} == oracle.blame_of(told, at)
    assert all(found.certain for found in found.values)


def check_writes(history: History, told: Told, at: int, address: tuple[Any, ...]) -> None:
    path = told.places(at)[address][0]
    found = all_writes(history, asked(path), at)
    assert [(write.seq, write.kind.value) for write in found.writes] == oracle.writes_of(told, at, address), path
    for write in found.writes:
        assert same(
            unwrapped(write.new) if write.new_bytes is not None else oracle.MISSING, told.value(write.seq, address)
        )


def check_search(history: History, told: Told, needle: str) -> None:
    looked = search(history, needle)
    found = {
        (hit.seq, spelled(hit.path))
        for hit in looked
        if hit.kind is HitKind.VALUE and is_plain(told, hit.seq, hit.path)
    }
    assert found == oracle.hits_of(told, needle), needle
    assert looked.complete


def is_plain(told: Told, seq: int, path: tuple[Any, ...]) -> bool:
    """Whether a hit is at a text or integer, whose spelling is beyond doubt."""
    return any(where == spelled(path) and isinstance(value, str | int) for where, value in told.places(seq).values())


CONDITIONS: list[tuple[str, str, Callable[[State], bool]]] = [
    ("length(rows) > `2`", "rows", lambda state: len(state.get("rows", ())) > 2),
    ("rows[0].qty == `1`", "rows", lambda state: bool(state.get("rows")) and state["rows"][0]["qty"] == 1),
    ("rows[?qty == `3`]", "rows", lambda state: any(item["qty"] == 3 for item in state.get("rows", ()))),
    ("text != ''", "text", lambda state: "text" in state and state["text"] != ""),
    ("contains(tags, 't1')", "tags", lambda state: "t1" in state.get("tags", ())),
    ("conf.k", "conf", lambda state: not any(same(state["conf"].get("k"), nothing) for nothing in (None, False, "", [], {}))),
]  # fmt: skip


def check_bisect(history: History, told: Told) -> None:
    for expression, atom, holds in CONDITIONS:
        if not all(atom in state for state in told.states):
            continue
        found = [(flip.seq, flip.parent_seq, flip.holds) for flip in bisect(history, expression).flips]
        assert found == oracle.flips_of(told, atom, holds), expression


def check_bytes(history: History, told: Told) -> None:
    found = footprint(history)
    assert found.entries == len(told.states)
    assert {share.name: (share.changes, share.alone) for share in found.atoms if share.changes} == oracle.weights_of(
        told
    )
    assert found.stored_bytes == sum(entry.stored_bytes for entry in history)
    assert sum(spent.stored_bytes for spent in found.codecs) == found.stored_bytes


def check_compare(history: History, told: Told, rng: random.Random) -> None:
    other = copy.deepcopy(told)
    other.parts = [None] * len(other.states)
    other.parents = [seq - 1 if seq else None for seq in range(len(other.states))]
    if told.states and rng.random() < 0.7:
        other.states[rng.randrange(len(other.states))]["n"] = rng.randrange(4)
    found = compare(history, in_memory(other))
    common, first, second = oracle.parting_of(told, other)
    assert (found.common, found.first.seq, found.second.seq) == (common, first, second)
    assert (found.relation is HistoryRelation.SAME) == (first is second is None)


def check_all(history: History, told: Told, seed: int) -> None:
    rng = random.Random(seed)
    check_states(history, told)
    for at in {len(told.states) - 1, rng.randrange(len(told.states))}:
        check_blame(history, told, at)
        known = list(leaves(told.places(at)))
        for address in rng.sample(known, min(3, len(known))):
            check_writes(history, told, at, address)
    for needle in rng.sample(NEEDLES, 3):
        check_search(history, told, needle)
    check_bisect(history, told)
    check_bytes(history, told)
    check_compare(history, told, rng)


seeds = st.integers(0, 10**9)
ALIKE = (
    "packed lines", "documents in a row", "a folder of JSONC", "a folder of msgpack", "nexus snapshots", "Temporal", "an archive", "MongoDB",
    "YAML in git",
)  # fmt: skip
"""Formats that another one covers nearly: asked of in `make test-all`."""
FORMATS = [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in LINES]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=examples(20))
@given(seed=seeds, count=st.integers(2, 14))
def test_every_question_about_every_format(
    name: str, seed: int, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target, told = LINES[name](tmp_path_factory.mktemp("told"), tell(seed, count))
    if not told.states:
        return
    with opened(target) as history:
        if name == "a rewritten document":
            grown(target, history, told)
        assert history.verdict.status is VerdictStatus.COMPLETE
        check_all(history, told if name != "a rewritten document" else Told(told.states), seed)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", list(NATIVE))
@settings(max_examples=examples(20))
@given(seed=seeds, count=st.integers(2, 20), kind=st.sampled_from(["plain", "odd", "parts"]))
def test_every_question_about_forks_parts_and_odd_values(
    name: str, seed: int, count: int, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("told")
    told = (
        in_parts(folder, tell(seed, count)) if kind == "parts" else tell(seed, count, forks=True, odd=kind == "odd")
    )
    target, told = NATIVE[name](folder, told)
    with opened(target) as history:
        check_all(history, told, seed)


@settings(max_examples=examples(60))
@given(seed=seeds, count=st.integers(2, 16), share=st.floats(0.05, 0.6), deep=st.booleans(), forks=st.booleans())
def test_what_is_certain_over_holes_is_so_and_nothing_is_complete(
    seed: int, count: int, share: float, deep: bool, forks: bool
) -> None:
    rng = random.Random(seed)
    told = tell(seed, count, forks=forks, odd=bool(seed % 2))
    holes = frozenset(seq for seq in range(count) if rng.random() < share)
    store = GappyStore()
    recorded(store, told, codec="none")
    store.holes, store.deep = holes, deep
    history = History(store)
    readable = [seq for seq in range(count) if seq not in holes]
    sure = {seq for seq in readable if told.parents[seq] is None or told.parents[seq] not in holes}
    for at in rng.sample(readable, min(2, len(readable))):
        expected = oracle.blame_of(told, at)
        found = blame(history, at, skip_damaged=True)
        assert {spelled(value.path) for value in found.values} == expected.keys()
        assert all(expected[spelled(value.path)] == value.seq for value in found.values if value.certain)
        known = list(leaves(told.places(at)))
        for address in rng.sample(known, min(2, len(known))):
            path = told.places(at)[address][0]
            writes = all_writes(history, asked(path), at, skip_damaged=True).writes
            assert {(w.seq, w.kind.value) for w in writes if w.certain} <= set(oracle.writes_of(told, at, address))
    needle = rng.choice(NEEDLES)
    looked = search(history, needle, skip_damaged=True)
    found_hits = {
        (hit.seq, spelled(hit.path))
        for hit in looked
        if hit.kind is HitKind.VALUE and is_plain(told, hit.seq, hit.path)
    }
    hits = oracle.hits_of(told, needle)
    assert {hit for hit in found_hits if hit[0] in sure} == {hit for hit in hits if hit[0] in sure}
    assert looked.complete is not bool(holes)
    for expression, atom, holds in CONDITIONS:
        if all(atom in state for state in told.states) and readable:
            found_flips = bisect(history, expression, skip_damaged=True)
            assert {(f.seq, f.parent_seq, f.holds) for f in found_flips.flips if f.certain} <= set(
                oracle.flips_of(told, atom, holds)
            )
    assert footprint(history, skip_damaged=True).complete is not bool(holes)
