"""Every question about a history whose first entries were dropped answers as the whole one does, as far as that is known."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.waiting import wait_until

from unspool import Recorder, open_history
from unspool.errors import EntryNotFound, EntryNotKept
from unspool.history.history import History
from unspool.history.stats import Health
from unspool.query.bisect import bisect
from unspool.query.blame import blame
from unspool.query.checkers import check
from unspool.query.compare import HistoryRelation, compare
from unspool.query.disk_usage import footprint
from unspool.query.doctor.diagnosis import diagnose
from unspool.query.lineage import line_to
from unspool.query.path_writes import WriteKind, all_writes, last_write, next_write, previous_write
from unspool.query.search import FACTS, changes_where, search
from unspool.query.simulator import simulate

NAMES = ("a", "b", "c")
VALUES = st.one_of(
    st.integers(0, 3),
    st.lists(st.fixed_dictionaries({"id": st.integers(0, 4), "v": st.integers(0, 2)}), max_size=3, unique_by=lambda r: r["id"]),
    st.dictionaries(st.sampled_from(("x", "y")), st.integers(0, 2)),
)  # fmt: skip
STEPS = st.lists(
    st.tuples(st.sampled_from(NAMES), VALUES, st.integers(0, 40), st.booleans()), min_size=25, max_size=40
)
"""What one entry after the other does: an atom and its value, how far back it forks now and then, whether it deletes."""


def play(recorder: Recorder, steps: list[tuple[str, Any, int, bool]], times: int) -> None:
    """Record some steps again and again; every step comes with others in another order."""
    states: list[dict[str, Any]] = [{"n": 0, "a": 0, "kept": "from the first entry on"}]
    recorder.record(states[0], "begin", timestamp_ns=1)
    for turn in range(times):
        for place, (atom, value, back, deletes) in enumerate(steps):
            parent = len(states) - 1 - (back if place % 9 == 5 and back < len(states) else 0)
            state = dict(states[parent])
            if deletes:
                state.pop(atom, None)
            else:
                state[atom] = value
            state["n"] = (turn * place) % 7
            recorder.record(
                state, f"{atom} {place}", timestamp_ns=10 * len(states),
                parent_seq=None if parent == len(states) - 1 else parent,
            )  # fmt: skip
            states.append(state)
            if place % 11 == 3:
                recorder.note(f"note {place}")
                states.append(state)


@contextmanager
def both(steps: list[tuple[str, Any, int, bool]], keep: int) -> Iterator[tuple[History, History]]:
    """Record the same with a bound and without; give both histories."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        found = []
        for name, bound in (("kept", keep), ("full", None)):
            path = Path(folder) / f"{name}.unspool"
            with Recorder(path, keep=bound, on_error="raise", durability="fast") as recorder:
                play(recorder, steps, 9)
            found.append(stack.enter_context(open_history(path)))
        yield found[0], found[1]


def cut_off(kept: History, full: History) -> set[int]:
    """Return the entries whose parents were dropped."""
    return {
        seq for seq in range(kept.first, len(full)) if full[seq].parent_seq is not None and full[seq].parent_seq < kept.first  # type: ignore[operator]
    }  # fmt: skip


@settings(max_examples=examples(20), deadline=None)
@given(steps=STEPS, keep=st.integers(1, 90), place=st.floats(0, 1))
def test_what_is_kept_is_told_as_by_the_whole_history(
    steps: list[tuple[str, Any, int, bool]], keep: int, place: float
) -> None:
    with both(steps, keep) as (kept, full):
        first, stop = kept.first, len(full)
        assert len(kept) == stop
        assert 0 <= stop - first - keep <= 2 * 128
        cut = cut_off(kept, full)
        assert first in cut
        for seq in range(first, stop):
            one, other = kept[seq], full[seq]
            assert kept.state(seq) == full.state(seq)
            assert (one.action, one.kind, one.meta) == (other.action, other.kind, other.meta)
            assert kept.changed_atoms(seq) == full.changed_atoms(seq)
            assert one.parent_seq == (None if seq in cut else other.parent_seq)
            if seq in cut:
                with pytest.raises(EntryNotKept, match="not known"):
                    kept.changes(seq)
            else:
                told = [(change.atom, change.kind, change.ops) for change in kept.changes(seq).changes]
                assert told == [(change.atom, change.kind, change.ops) for change in full.changes(seq).changes]
        at = first + int(place * (stop - 1 - first))
        for atom in (*NAMES, "n", "kept"):
            assert list(kept.writes(atom)) == list(full.writes(atom, first))
            assert kept.next_write(atom, at) == full.next_write(atom, at)
            before = full.previous_write(atom, at)
            assert kept.previous_write(atom, at) == (before if before is None or before >= first else None)
        check_blame(kept, full, at, cut)
        check_flips(kept, full, cut)
        check_hits(kept, full, cut)


def check_blame(kept: History, full: History, at: int, cut: set[int]) -> None:
    ends = {stretch.first for stretch in line_to(kept, at)} & cut
    expected = {value.path: value for value in blame(full, at).values}
    found = blame(kept, at)
    assert found.unexplained == ()
    assert {value.path for value in found.values} == expected.keys()
    for value in found.values:
        truth = expected[value.path]
        if value.older:
            assert truth.seq <= value.seq
            assert value.seq in ends
            assert not value.certain
        else:
            assert (value.seq, value.certain, value.action) == (truth.seq, truth.certain, truth.action)
            assert value.seq not in cut
        if value.seq % 3:
            continue
        write = last_write(kept, value.path, at)
        assert (write.seq, write.kind is WriteKind.OLDER) == (value.seq, value.older)
        listed = all_writes(kept, value.path, at).writes
        whole = all_writes(full, value.path, at).writes
        known = [write for write in listed if write.kind is not WriteKind.OLDER]
        assert [(write.seq, write.kind, write.path, write.old) for write in known] == [
            (write.seq, write.kind, write.path, write.old) for write in whole[: len(known)]
        ]
        assert all(write.seq <= max(ends) for write in whole[len(known) :])
    assert bool(found.dropped) == any(value.older for value in found.values)


def check_flips(kept: History, full: History, cut: set[int]) -> None:
    for question in ("n > `3`", "a == `1`", "length(keys(@)) > `3`"):
        expected = [(flip.seq, flip.holds, flip.old, flip.new) for flip in bisect(full, question).flips]
        found = bisect(kept, question)
        assert [(flip.seq, flip.holds, flip.old, flip.new) for flip in found.flips] == [
            flip for flip in expected if flip[0] >= kept.first and flip[0] not in cut
        ]
        assert found.complete


def check_hits(kept: History, full: History, cut: set[int]) -> None:
    for text in ("1", "id", "from the first"):
        hits = list(search(kept, text))
        whole = [hit for hit in search(full, text) if hit.seq >= kept.first]
        expected = [hit for hit in whole if hit.seq not in cut or hit.kind in FACTS]
        assert [hit for hit in hits if not hit.older] == expected
        assert {hit.seq for hit in hits if hit.older} <= cut


def recorded(path: Path, count: int = 500, **options: Any) -> Path:
    with Recorder(path, on_error="raise", **options) as recorder:
        for number in range(count):
            state = {"n": number, "cart": {"items": [{"sku": "A", "qty": number // 100}], "owner": "ann"}}
            recorder.record(state, f"step {number}", timestamp_ns=1000 * number)
    return path


def test_a_value_that_no_kept_entry_wrote_was_written_at_or_before_the_first(tmp_path: Path) -> None:
    with open_history(recorded(tmp_path / "run.unspool", keep=100)) as history:
        found = {value.path[1:]: value for value in blame(history, -1, ("cart",)).values}
        owner = found["owner",]
        assert (owner.seq, owner.older, owner.certain) == (history.first, True, False)
        assert "keep='last 100'" in blame(history, -1, ("cart", "owner")).dropped
        assert not blame(history, -1, ("n",)).dropped
        write = last_write(history, ("cart", "owner"))
        assert (write.seq, write.kind, write.certain) == (history.first, WriteKind.OLDER, False)
        assert previous_write(history, ("n",), history.first + 5).seq == history.first + 4  # type: ignore[union-attr]
        assert next_write(history, ("n",), history.first).seq == history.first + 1  # type: ignore[union-attr]
        with pytest.raises(EntryNotFound, match="any more"):
            blame(history, 3)


def test_copies_of_one_history_are_compared_where_both_have_it(tmp_path: Path) -> None:
    path, other = recorded(tmp_path / "run.unspool"), tmp_path / "bounded.unspool"
    other.write_bytes(path.read_bytes())
    with Recorder(other, keep=100, on_error="raise") as recorder:
        recorder.record({"n": -1}, "another")
    with open_history(path) as whole, open_history(other) as bounded:
        assert bounded.first > 0
        found = compare(whole, bounded)
        assert found.relation is HistoryRelation.FIRST_ENDS
        assert found.common == 500 - bounded.first
        assert (found.second.seq, found.second.action) == (500, "another")


def test_what_counts_all_entries_counts_those_that_are_kept(tmp_path: Path) -> None:
    with open_history(recorded(tmp_path / "run.unspool", keep=100)) as history:
        count = len(history) - history.first
        found = footprint(history)
        assert (found.entries, found.complete, found.problems) == (count, True, ())
        report = check(history)
        assert (report.entries, report.problems, report.complete) == (count, (), True)
        simulation = simulate(history)
        assert simulation.entries == count
        assert search(history, "ann").problems == ()
        stats = history.stats()
        assert (stats.entries, stats.first) == (count, history.first)
        assert stats.full + stats.delta == count
        assert stats.atoms["n"].changes == count
        assert not stats.problems


def test_a_question_about_changes_is_not_asked_of_what_followed_a_dropped_entry(tmp_path: Path) -> None:
    with open_history(recorded(tmp_path / "run.unspool", keep=100)) as history:
        first = history.first
        flips = changes_where(history, "before.n != after.n").flips
        assert [flip.seq for flip in flips] == list(range(first + 1, 500))
        assert changes_where(history, "!before.cart").flips == ()
        assert changes_where(history, "after.n >= `0`").flips[0].seq == first


@pytest.mark.one_in(2)
@pytest.mark.parametrize("question", ["blame", "writes", "check", "footprint", "doctor", "search", "bisect"])
def test_questions_outlive_that_a_recorder_drops_entries_meanwhile(tmp_path: Path, question: str) -> None:
    path = tmp_path / "run.unspool"
    with Recorder(path, keep=300, on_error="raise") as recorder, ExitStack() as stack:

        def has_dropped() -> bool:
            with open_history(path) as seen:
                return seen.first > 0

        for number in range(700):
            recorder.record({"n": number, "cart": {"qty": number // 230, "owner": "ann"}}, f"step {number}")
        wait_until(has_dropped, "blocks are dropped")
        history = stack.enter_context(open_history(path))
        before = history.first

        def go_on(*_: object) -> bool:
            if recorder.recording:
                for number in range(700, 900):
                    recorder.record({"n": number, "cart": {"qty": 3, "owner": "ann"}}, f"step {number}")
                recorder.close()
                history.store.refresh()
            return False

        match question:
            case "blame":
                found = blame(history, path=("cart",), cancelled=go_on)
                assert (found.unexplained, found.problems) == ((), ())
                owner = {value.path: value for value in found.values}["cart", "owner"]
                assert (owner.older, owner.seq) == (True, history.first)
            case "writes":
                listed = all_writes(history, ("cart", "owner"), cancelled=go_on)
                assert [write.kind for write in listed.writes] == [WriteKind.OLDER]
                assert listed.problems == ()
            case "check":
                assert check(history, cancelled=go_on).problems == ()
            case "footprint":
                assert footprint(history, cancelled=go_on).problems == ()
            case "doctor":
                diagnosis = diagnose(path, progress=go_on)
                assert diagnosis.verdict is not Health.BROKEN
                assert diagnosis.readable == diagnosis.entries
            case "search":
                assert search(history, "ann", cancelled=go_on).problems == ()
            case "bisect":
                assert bisect(history, "n > `5`", cancelled=go_on).problems == ()
        go_on()
        assert history.first > before
