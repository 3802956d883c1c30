"""Each code the doctor has is found by a damaged history, and a repair of that keeps what is certain."""

from __future__ import annotations

from pathlib import Path

import pytest
from code_damage import MORE_CODES, opened
from health_damage import CASES
from source_damage import SOURCE_CASES

from unspool.history import History
from unspool.query.doctor.blocks import DOUBT_META, HOLE_META
from unspool.query.doctor.diagnosis import Code, diagnose
from unspool.query.repair import HOLE_ATOM, repair
from unspool.store import FileStore

# Histories of these lists are each damaged, examined and repaired by the tests beside this one.
ELSEWHERE = {code for case in (*CASES, *SOURCE_CASES) for code in case.codes}
# What lies in the log beside a file has tests of its own: test_damaged_logs.py.
ELSEWHERE |= {Code.LOG_DAMAGED, Code.LOG_TORN, Code.LOG_KEPT}
# A server is needed for what only a history in PostgreSQL can have.
ELSEWHERE.add(Code.DROPPED)
# No damage: store/test_keeping.py.
ELSEWHERE.add(Code.NOT_KEPT)


def test_no_code_is_without_a_damaged_history() -> None:
    assert set(Code) - ELSEWHERE - set(MORE_CODES) == set()


@pytest.mark.parametrize("code", MORE_CODES, ids=str)
def test_the_code_is_found(tmp_path: Path, code: Code) -> None:
    sick = MORE_CODES[code](tmp_path)
    before = sick.path.read_bytes()
    target = opened(sick.path)
    diagnosis = diagnose(target)
    if isinstance(target, History):
        target.close()
    found = [finding for finding in diagnosis.findings if finding.code is code]
    assert found
    for finding in found:
        assert all((finding.meaning, finding.still_reads, finding.remedy, finding.place))
    assert diagnosis.counts[code.value] >= 1
    assert sick.path.read_bytes() == before


@pytest.mark.one_in(3)
@pytest.mark.parametrize("code", MORE_CODES, ids=str)
def test_a_repair_keeps_what_is_certain(tmp_path: Path, code: Code) -> None:
    sick = MORE_CODES[code](tmp_path)
    before, out = sick.path.read_bytes(), tmp_path / "out.unspool"
    target = opened(sick.path)
    report = repair(target, out)
    if isinstance(target, History):
        target.close()
    assert sick.path.read_bytes() == before
    assert report.complete
    lost = {seq for hole in report.holes for seq in range(hole.first, hole.last + 1)}
    assert sick.holes is None or lost == sick.holes
    assert report.kept == report.entries - len(lost)
    assert {seq for first, last in report.doubtful for seq in range(first, last + 1)} == sick.doubtful
    with History(FileStore.open(out)) as history:
        assert len(history) == report.entries == len(sick.states)
        for entry in history:
            state = history.state(entry.seq)
            if entry.seq in lost:
                assert HOLE_META in entry.meta
                assert HOLE_ATOM in state
            else:
                assert state == sick.states[entry.seq]
            if entry.seq in sick.doubtful:
                assert DOUBT_META in entry.meta
    # What a repair cannot put right is marked; nothing else is left of it.
    left = {finding.code for finding in diagnose(out).findings}
    assert left <= {Code.HOLE, Code.DOUBTFUL, Code.OVER_LIMIT, Code.NO_OP, Code.CLOCK_BACKWARDS}


@pytest.mark.parametrize("after", [1, 5])
def test_an_interrupted_repair_leaves_nothing_half_made(tmp_path: Path, after: int) -> None:
    sick = MORE_CODES[Code.UNKNOWN_ATOM](tmp_path)
    before = sick.path.read_bytes()
    calls = 0

    def interrupt(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repair(sick.path, tmp_path / "out.unspool", progress=interrupt)
    assert sick.path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == [sick.path.name]
