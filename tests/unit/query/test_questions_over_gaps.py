"""Questions to histories some entries of which cannot be read: nothing that is called certain is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from gappy_store import GappyStore, with_holes
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from question_histories import Told, brute_blame, histories, tell, value_at

from support.examples import examples
from unspool.errors import CorruptHistory
from unspool.history import History
from unspool.model.encoding import encode
from unspool.model.values import strict_equal
from unspool.query.bisect import bisect
from unspool.query.blame import blame
from unspool.query.compare import compare
from unspool.query.expressions import Expression
from unspool.query.path_writes import all_writes, writes_of
from unspool.query.search import FACTS, HitKind, TextQuery, search
from unspool.recorder import Recorder

QUESTIONS = [
    "length(rows) > 2",
    "conf.k",
    "conf.k == 1",
    "extra == 1",
    "numbers[0] == 1",
    "conf.x || extra",
    "keys(@)",
    "extra == null",
]


@st.composite
def flickering(draw: st.DrawFn) -> Told:
    """Histories of a few values that keep changing and changing back, with forks."""
    bits = st.integers(0, 1)
    values = draw(st.lists(st.tuples(bits, bits, bits), min_size=2, max_size=12))
    states = [{"conf": {"k": one, "x": other}, "extra": third or None} for one, other, third in values]
    back = st.sampled_from([1, 1, 1, 1, 2, 3])
    parents = [max(0, seq - draw(back)) if seq else None for seq in range(len(states))]
    return tell(states, parents)


@st.composite
def gappy(draw: st.DrawFn, source: st.SearchStrategy[Told]) -> tuple[Told, frozenset[int]]:
    """Histories with holes."""
    told = draw(source)
    seqs = st.sampled_from(range(len(told.states)))
    holes = draw(st.frozensets(seqs, min_size=1, max_size=max(1, len(told.states) // 2)))
    return with_holes(told, holes, deep=draw(st.booleans())), holes


def readable_before(told: Told, holes: frozenset[int], seq: int) -> int | None:
    """The nearest entry that an entry follows and that can be read."""
    parent = told.parents[seq]
    while parent is not None and parent in holes:
        parent = told.parents[parent]
    return parent


@settings(max_examples=examples(100))
@given(gappy(histories() | flickering()), st.data())
def test_blame_is_right_where_it_is_certain(made: tuple[Told, frozenset[int]], data: st.DataObject) -> None:
    told, holes = made
    at = data.draw(st.sampled_from(range(len(told.states))))
    if at in holes:
        with pytest.raises(CorruptHistory, match=f"entry {at}"):
            blame(told.history, at, skip_damaged=True)
        return
    truth = brute_blame(told, at)
    found = blame(told.history, at, skip_damaged=True)
    assert {value.path for value in found.values} == truth.keys()
    line = told.line(at)
    for value in found.values:
        assert value.seq in line
        if value.certain:
            assert value.seq == truth[value.path]
        else:
            assert holes.intersection(line)
    if not holes.intersection(line):
        assert found.complete
    for value in found.values[:3]:
        first = next(iter(writes_of(told.history, value.path, at, skip_damaged=True)))
        if first.certain:
            assert first.seq == truth[value.path]


@settings(max_examples=examples(100))
@given(gappy(histories()), st.sampled_from(QUESTIONS))
def test_flips_are_those_between_entries_that_can_be_read(made: tuple[Told, frozenset[int]], text: str) -> None:
    check_flips(*made, text)


@settings(max_examples=examples(150))
@given(gappy(flickering()), st.sampled_from(["conf.k == 1", "extra == 1", "conf.x == 1 || extra == 1"]))
def test_flips_of_a_flickering_value_are_missed_by_no_gap(made: tuple[Told, frozenset[int]], text: str) -> None:
    check_flips(*made, text)


def check_flips(told: Told, holes: frozenset[int], text: str) -> None:
    """Hold bisect to the answers of all entries that can be read."""
    expression = Expression(text)
    assume(all(any(atom in state for state in told.states) for atom in expression.reads or ()))
    truth = [expression.ask({name: encode(value) for name, value in state.items()}).holds for state in told.states]
    expected = {}
    for seq in range(len(told.states)):
        before = readable_before(told, holes, seq)
        if seq not in holes and before is not None and truth[before] is not truth[seq]:
            expected[seq] = before == told.parents[seq]
    found = bisect(told.history, text, skip_damaged=True)
    assert [flip.seq for flip in found.flips] == list(expected)
    for flip in found.flips:
        assert flip.holds is truth[flip.seq]
        assert not flip.certain or expected[flip.seq] or _untouched(told, holes, flip.seq, text)
    assert {int(problem.place.split()[1]) for problem in found.problems} <= holes


def _untouched(told: Told, holes: frozenset[int], seq: int, text: str) -> bool:
    """Whether the holes before an entry are known to have left alone what a question reads."""
    parent = told.parents[seq]
    reads = Expression(text).reads
    while parent is not None and parent in holes:
        before, after = told.before(parent), told.states[parent]
        if reads is None or any(not strict_equal(before.get(name), after.get(name)) for name in reads):
            return False
        parent = told.parents[parent]
    return True


@settings(max_examples=examples(100))
@given(gappy(histories() | flickering()), st.sampled_from(["record", "1", "0", "k", "shop.py:4"]))
def test_hits_are_those_of_the_entries_that_can_be_read(made: tuple[Told, frozenset[int]], text: str) -> None:
    told, holes = made
    kept = [seq for seq in range(len(told.states)) if seq not in holes]
    places = {seq: place for place, seq in enumerate(kept)}
    before = [readable_before(told, holes, seq) for seq in kept]
    assume(all(parent is not None for parent in before[1:]))
    same = tell([told.states[seq] for seq in kept], [None if parent is None else places[parent] for parent in before])
    running = search(told.history, TextQuery(text), skip_damaged=True)
    # Atoms of one entry may stand in another order: only what changed since the entry before is looked at.
    found = list(running)
    in_states = sorted((hit.seq, hit.kind, repr(hit.path), hit.text) for hit in found if hit.kind not in FACTS)
    hits = [hit for hit in search(same.history, TextQuery(text)) if hit.kind not in FACTS]
    assert in_states == sorted((kept[hit.seq], hit.kind, repr(hit.path), hit.text) for hit in hits)
    # Why an entry happened, and from where, reads where its state does not.
    for kind, facts in ((HitKind.ACTION, told.actions), (HitKind.CALLER, told.callers)):
        said = [seq for seq, fact in enumerate(facts) if text in fact and (kind is HitKind.ACTION or ":" in text)]
        assert [hit.seq for hit in found if hit.kind is kind] == said
    assert [hit.seq for hit in found] == sorted(hit.seq for hit in found)
    assert not running.complete
    assert [int(problem.place.split()[1]) for problem in running.problems] == sorted(holes)
    assert running.looked_at == len(kept)


@settings(max_examples=examples(100))
@given(gappy(histories() | flickering()), st.data())
def test_two_histories_part_where_their_readable_entries_do(
    made: tuple[Told, frozenset[int]], data: st.DataObject
) -> None:
    told, holes = made
    other = tell(told.states, told.parents)
    line = [seq for seq in told.line(len(told.states) - 1) if seq not in holes]
    changing: list[int] = []
    state: dict[str, Any] = {}
    for seq in line:
        if not strict_equal(state, told.states[seq]):
            changing.append(seq)
            state = told.states[seq]
    whole = [seq for seq in told.line(len(told.states) - 1) if not strict_equal(told.before(seq), told.states[seq])]
    common = 0
    while common < min(len(changing), len(whole)) and strict_equal(
        told.states[changing[common]], told.states[whole[common]]
    ):
        common += 1
    found = compare(told.history, other.history, skip_damaged=True)
    assert found.common == common
    assert found.first.seq == (changing[common] if common < len(changing) else None)
    assert found.second.seq == (whole[common] if common < len(whole) else None)
    for part in found.differences:
        side = found.second.last_common if found.second.seq is None else found.second.seq
        if part.second_path is not None and side is not None:
            assert strict_equal(part.second, value_at(told.states[side], part.second_path))


@pytest.mark.parametrize(
    "ask",
    [
        lambda history: blame(history, 9),
        lambda history: list(writes_of(history, ("conf", "k"), 9)),
        lambda history: list(search(history, "nowhere")),
        lambda history: bisect(history, "conf.k > 3"),
        lambda history: compare(history, history),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_damage_is_never_stepped_over_unasked(ask: Callable[[Any], object], deep: bool) -> None:
    states = [{"conf": {"k": number, "old": 1}} for number in range(10)]
    told = with_holes(tell(states), frozenset({4}), deep=deep)
    with pytest.raises(CorruptHistory, match=re.escape("entry 4")):
        ask(told.history)


def test_a_fork_from_an_entry_that_cannot_be_read_is_compared_with_what_came_before_it() -> None:
    states = [{"a": "pen"}, {"a": "pen", "b": 0}, {"a": "cup"}, {"a": "pen", "b": 1}]
    told = with_holes(tell(states, [None, 0, 0, 1]), frozenset({1}), deep=False)
    assert [hit.seq for hit in search(told.history, "pen", skip_damaged=True)] == [0]
    assert [flip.seq for flip in bisect(told.history, 'a == "pen"', skip_damaged=True).flips] == [2]


def test_writes_are_not_complete_where_only_looking_for_another_met_a_hole() -> None:
    store = GappyStore()
    with Recorder(store, on_error="raise", codec="none") as recorder:
        for rows in ([{"id": 1}], [{"id": 1, "v": 1}], [{"id": 1, "v": 2}], [{"id": 1, "v": 2}, {"id": 2}]):
            recorder.record({"rows": rows})
    store.holes = frozenset({1})
    found = all_writes(History(store), ("rows", 1), most=1, skip_damaged=True)
    assert [write.seq for write in found.writes] == [3]
    assert [problem.message for problem in found.problems] != []
    assert not found.complete
