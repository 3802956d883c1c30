"""A repair keeps all that is intact, marks the rest, accounts for it exactly, and never touches the damaged file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from health_damage import (
    CASES,
    START,
    Case,
    Recorded,
    altered_delta,
    blocks_of,
    change,
    flip,
    live,
    move_block,
    recorded,
    rewrite_tail,
)

from support.recording import record_shop, shop_states
from unspool.errors import CorruptHistory, UnreadableSource
from unspool.history import History
from unspool.model.encoding import encode
from unspool.model.entries import Entry
from unspool.query.doctor.blocks import DOUBT_META, HOLE_META
from unspool.query.doctor.diagnosis import Code, diagnose
from unspool.query.repair import HOLE_ATOM, RepairRefused, RepairReport, repair
from unspool.recorder import Recorder
from unspool.store import FileStore


def lost_in(report: RepairReport) -> set[int]:
    return {seq for hole in report.holes for seq in range(hole.first, hole.last + 1)}


def plain(entry: Entry, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """What an entry tells, apart from how it happens to be stored."""
    fields = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)}
    for name in ("kind", "base_seq", "stored_bytes", *without):
        del fields[name]
    return fields


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_that_is_intact_is_kept_and_the_rest_is_a_marked_hole(tmp_path: Path, case: Case) -> None:
    file = case.make(tmp_path / "x.unspool", **case.options)
    lost = case.damage(file.path)
    damaged = file.path.read_bytes()
    out = tmp_path / "out.unspool"
    report = repair(file.path, out)
    assert file.path.read_bytes() == damaged
    assert report.complete
    assert lost_in(report) == lost
    assert (report.entries, report.kept) == (len(file.states), len(file.states) - len(lost))
    assert report.health == ("degraded" if lost else "healthy")
    check_repaired(out, file, lost)


def check_repaired(out: Path, file: Recorded, lost: set[int]) -> None:
    with History(FileStore.open(out)) as history:
        assert len(history) == len(file.states)
        known: dict[str, Any] = {}
        for entry in history:
            state = history.state(entry.seq)
            original = file.entries[entry.seq]
            if entry.seq in lost:
                mark = state.pop(HOLE_ATOM)
                assert mark["lost entry"] == entry.seq
                assert state == known
                assert HOLE_META in entry.meta
                assert entry.id == original.id or "id" in entry.meta
                continue
            known = file.states[entry.seq]
            assert state == known
            after_a_hole = entry.seq - 1 in lost
            counts = ("added", "modified", "deleted") if after_a_hole else ()
            assert plain(entry, without=counts) == plain(original, without=counts)
            if not after_a_hole and original.seq:
                assert entry.kind == original.kind
    assert {f.code for f in diagnose(out).findings} <= {Code.HOLE, Code.OVER_LIMIT}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("codec", ["dict", "binary", "compress", "none"])
def test_entries_keep_the_codec_they_were_recorded_with(tmp_path: Path, codec: str) -> None:
    path, out = tmp_path / "x.unspool", tmp_path / "out.unspool"
    states = record_shop(path, 250, codec=codec, strategy="manual")
    before = diagnose(path)
    report = repair(path, out)
    assert (report.kept, report.holes, report.reindexed) == (250, (), 0)
    with History(FileStore.open(path)) as old, History(FileStore.open(out)) as new:
        assert old.columns().codec == new.columns().codec
        assert [new.state(seq) for seq in range(250)] == states
        assert old[:] == [dataclasses.replace(entry, stored_bytes=old[entry.seq].stored_bytes) for entry in new]
        assert old.history_id == new.history_id
    assert before.verdict == report.health == "healthy"


def test_a_hole_tells_what_is_known_of_the_lost_entry(tmp_path: Path) -> None:
    file = recorded(tmp_path / "x.unspool")
    first = blocks_of(file.path)[1][0]
    change(file.path, ("DELETE FROM block_data WHERE first = ?", (first,)))
    report = repair(file.path, tmp_path / "out.unspool")
    (hole,) = report.holes
    assert (hole.first, hole.code, hole.facts_kept) == (first, "missing-records", True)
    with History(FileStore.open(tmp_path / "out.unspool")) as history:
        entry = history[first + 3]
        original = file.entries[first + 3]
        assert (entry.action, entry.timestamp_ns) == (original.action, original.timestamp_ns)
        assert entry.meta["step"] == first + 3
        told = entry.meta[HOLE_META]
        assert told["code"] == "missing-records"
        assert len(told["changed"]["modified"]) == original.modified


def test_entries_of_which_nothing_is_known_still_have_a_place(tmp_path: Path) -> None:
    file = recorded(tmp_path / "x.unspool")
    first, count = blocks_of(file.path)[1]
    flip(file.path, "block", "columns", f"first = {first}")
    flip(file.path, "block_data", "data", f"first = {first}")
    repair(file.path, tmp_path / "out.unspool")
    with History(FileStore.open(tmp_path / "out.unspool")) as history:
        holes = history[first : first + count]
        assert {entry.action for entry in holes} == {"hole"}
        assert {entry.timestamp_ns for entry in holes} == {file.entries[first - 1].timestamp_ns}
        assert all("changed" not in entry.meta[HOLE_META] for entry in holes)


@pytest.mark.parametrize("place", [0, 1])
def test_states_are_kept_where_only_the_metadata_of_their_block_is_damaged(tmp_path: Path, place: int) -> None:
    file = recorded(tmp_path / "x.unspool")
    first, count = blocks_of(file.path)[place]
    flip(file.path, "block", "columns", f"first = {first}")
    found = diagnose(file.path)
    assert found.readable == len(file.states)
    assert [(f.first, f.last) for f in found.findings if f.code is Code.CHECKSUM] == [(first, first + count - 1)]
    report = repair(file.path, tmp_path / "out.unspool")
    assert (report.kept, report.without_facts, report.holes) == (len(file.states) - count, count, ())
    with History(FileStore.open(tmp_path / "out.unspool")) as history:
        assert [history.state(seq) for seq in range(len(history))] == file.states
        for entry in history:
            original = file.entries[entry.seq]
            if first <= entry.seq < first + count:
                assert entry.action == "unknown"
                assert "only its state is known" in str(entry.meta[DOUBT_META])
                assert entry.id == original.id
            else:
                assert plain(entry) == plain(original)


@pytest.mark.parametrize("by", [1, -1, 63])
def test_a_block_that_is_there_twice_costs_no_entry(tmp_path: Path, by: int) -> None:
    file = recorded(tmp_path / "x.unspool")
    first, count = blocks_of(file.path)[1]
    columns = "count, segment, start_ns, end_ns, atoms, sums, columns"
    insert = f"INSERT INTO block(first, {columns}) SELECT first + ?, {columns} FROM block WHERE first = ?"
    change(file.path, (insert, (by, first)))
    found = diagnose(file.path)
    assert found.readable == len(file.states)
    (told,) = (f for f in found.findings if f.code is Code.DUPLICATE)
    assert f"the one from entry {first + by} on is not what was written" in told.meaning
    report = repair(file.path, tmp_path / "out.unspool")
    assert (report.kept, report.holes) == (len(file.states), ())
    assert count > 1


def test_states_that_are_not_certain_are_kept_and_marked(tmp_path: Path) -> None:
    file = altered_delta(tmp_path / "x.unspool")
    report = repair(file.path, tmp_path / "out.unspool")
    ((first, last),) = report.doubtful
    assert first <= 6 <= last
    assert report.kept == len(file.states)
    with History(FileStore.open(tmp_path / "out.unspool")) as history:
        marked = [entry.seq for entry in history if DOUBT_META in entry.meta]
        assert marked == list(range(first, last + 1))
        for seq in set(range(len(history))) - set(marked):
            assert history.state(seq) == file.states[seq]
    after = diagnose(tmp_path / "out.unspool")
    assert after.verdict == report.health == "degraded"
    assert {finding.code for finding in after.findings} == {Code.DOUBTFUL}


@pytest.mark.parametrize("extra", [{"parent": 999}, {"parent": -3}, {"parent": "x"}, {"parent": 0}])
def test_a_fork_that_does_not_fit_is_kept_marked_and_put_right(tmp_path: Path, extra: dict[str, Any]) -> None:
    file = live(tmp_path / "x.unspool", strategy="changes:4")
    full = next(entry.seq for entry in file.entries if entry.kind == "full" and entry.seq > 4)
    rewrite_tail(file.path, full, extra=encode(extra))
    report = repair(file.path, tmp_path / "out.unspool")
    assert report.kept == len(file.states)
    with History(FileStore.open(tmp_path / "out.unspool")) as history:
        assert [history.state(seq) for seq in range(len(history))] == file.states
        assert DOUBT_META in history[full].meta
    assert {finding.code for finding in diagnose(tmp_path / "out.unspool").findings} == {Code.DOUBTFUL}


def test_a_fork_from_a_lost_entry_hangs_on_its_hole(tmp_path: Path) -> None:
    path, out = tmp_path / "x.unspool", tmp_path / "out.unspool"
    record_shop(path, 300)
    parent = blocks_of(path)[1][0] + 1
    fork = next(shop_states(1, seed=9))
    with Recorder(path, on_error="raise") as recorder:
        recorder.record(fork, parent_seq=parent)
    change(path, ("DELETE FROM block_data WHERE first = ?", (blocks_of(path)[1][0],)))
    report = repair(path, out)
    with History(FileStore.open(out)) as history:
        assert history[300].parent_seq == parent
        assert history.state(300) == fork
        assert HOLE_META in history[parent].meta
    assert report.health == "degraded"
    assert {finding.code for finding in diagnose(out).findings} <= {Code.HOLE, Code.OVER_LIMIT}


def test_lost_names_are_replaced_by_numbers_and_listed(tmp_path: Path) -> None:
    file = recorded(tmp_path / "x.unspool")
    with History(FileStore.open(file.path)) as history:
        names = [history.store.atom_name(number) for number in range(5)]
        last = len(history.view(-1)) - 1
    change(file.path, ("DELETE FROM atom WHERE id IN (3, ?)", (last,)))
    report = repair(file.path, tmp_path / "out.unspool")
    assert report.lost_names == (3, last)
    assert report.kept == len(file.states)
    with History(FileStore.open(tmp_path / "out.unspool")) as history:
        for seq, state in enumerate(file.states):
            found = history.state(seq)
            assert found.get("atom#3") == state.get(names[3])
            assert {name: found.get(name) for name in names[:3]} == {name: state.get(name) for name in names[:3]}


def test_a_gap_beyond_reason_becomes_one_hole_and_what_follows_is_renumbered(tmp_path: Path) -> None:
    path, out = tmp_path / "x.unspool", tmp_path / "out.unspool"
    states = record_shop(path, 300)
    first = blocks_of(path)[-1][0]
    far = 1_000_000
    move_block(path, first, far)
    report = repair(path, out)
    assert report.entries == 301
    assert report.renumbered_from == far
    assert [(hole.first, hole.last) for hole in report.holes] == [(first, far - 1)]
    with History(FileStore.open(out)) as history:
        assert history[first].meta[HOLE_META]["entries"] == far - first
        assert [history.state(seq) for seq in range(first + 1, 301)] == states[first:]
        assert history[first + 1].id == f"{history.history_id}-{far}"
        assert history[first + 1].parent_seq == first


def test_the_repaired_file_can_be_recorded_into(tmp_path: Path) -> None:
    file = recorded(tmp_path / "x.unspool")
    out = tmp_path / "out.unspool"
    change(file.path, ("DELETE FROM block_data WHERE first = ?", (blocks_of(file.path)[1][0],)))
    repair(file.path, out)
    with Recorder(out, on_error="raise") as recorder:
        assert recorder.record({"n": 1}, timestamp_ns=START * 2) == len(file.states)
    with History(FileStore.open(out)) as history:
        assert history.state(-1) == {"n": 1}


def test_a_file_repaired_twice_stays_the_same(tmp_path: Path) -> None:
    file = recorded(tmp_path / "x.unspool")
    one, two = tmp_path / "one.unspool", tmp_path / "two.unspool"
    change(file.path, ("DELETE FROM block_data WHERE first = ?", (blocks_of(file.path)[1][0],)))
    repair(file.path, one)
    report = repair(one, two)
    assert report.holes == ()
    with History(FileStore.open(one)) as first, History(FileStore.open(two)) as second:
        assert first[:] == second[:]
        assert [first.state(seq) for seq in range(len(first))] == [second.state(seq) for seq in range(len(second))]


# --- refusing and stopping -------------------------------------------------------------------------------------------


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path, out = tmp_path / "x.unspool", tmp_path / "out.unspool"
    record_shop(path, 10)
    out.write_text("mine")
    with pytest.raises(RepairRefused, match="exists already"):
        repair(path, out)
    with pytest.raises(RepairRefused, match="exists already"):
        repair(path, path)
    with pytest.raises(RepairRefused, match="folder"):
        repair(path, tmp_path / "none" / "out.unspool")
    assert out.read_text() == "mine"


def test_what_cannot_be_opened_leaves_nothing_behind(tmp_path: Path) -> None:
    path, out = tmp_path / "x.unspool", tmp_path / "out.unspool"
    path.write_bytes(b"not a database at all" * 400)
    with pytest.raises((UnreadableSource, CorruptHistory)):
        repair(path, out)
    assert [item.name for item in tmp_path.iterdir()] == ["x.unspool"]


@pytest.mark.parametrize("asked", [0, 3])
def test_a_cancelled_repair_makes_no_file(tmp_path: Path, asked: int) -> None:
    path, out = tmp_path / "x.unspool", tmp_path / "out.unspool"
    record_shop(path, 600)
    calls = iter(range(1000))
    report = repair(path, out, cancelled=lambda: next(calls) >= asked)
    assert not report.complete
    assert [item.name for item in tmp_path.iterdir()] == ["x.unspool"]


def test_progress_runs_over_both_passes(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 600)
    seen: list[tuple[int, int]] = []
    repair(path, tmp_path / "out.unspool", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {1200}
    assert seen[-1][0] > 600
