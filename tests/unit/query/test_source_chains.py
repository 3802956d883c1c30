"""The doctor names what is wrong in a foreign source's own file, and a repair keeps what is certain of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from source_damage import SOURCE_CASES, SourceCase

from support.recording import record_shop
from unspool import open_history
from unspool.history import History
from unspool.query.doctor.blocks import DOUBT_META, HOLE_META
from unspool.query.doctor.diagnosis import Code, Diagnosis, Severity, diagnose
from unspool.query.repair import HOLE_ATOM, RepairRefused, repair
from unspool.store import FileStore
from unspool_tui.cli import run


def opened(path: Path) -> History:
    return open_history(path, follow=False)


def sources_own(diagnosis: Diagnosis) -> list[Any]:
    return [finding for finding in diagnosis.findings if finding.where]


def states_of(path: Path) -> list[dict[str, Any]]:
    with opened(path) as history:
        return [history.state(seq) for seq in range(len(history))]


@pytest.mark.parametrize("case", SOURCE_CASES, ids=str)
def test_what_is_wrong_is_named_in_the_users_own_file(tmp_path: Path, case: SourceCase) -> None:
    path = case.build(tmp_path)
    case.damage(path)
    before = path.read_bytes()
    with opened(path) as history:
        diagnosis = diagnose(history)
    found = sources_own(diagnosis)
    assert {finding.code for finding in found} == case.codes
    for place in case.places:
        assert any(place in finding.where for finding in found), place
    for finding in found:
        assert finding.where.startswith(str(path))
        assert all((finding.meaning, finding.still_reads, finding.remedy))
    worst = {finding.severity for finding in found}
    expected = "broken" if Severity.ERROR in worst else "degraded" if Severity.WARNING in worst else "healthy"
    assert diagnosis.verdict == expected
    assert {seq for first, last in diagnosis.doubtful for seq in range(first, last + 1)} == case.doubtful
    assert path.read_bytes() == before


@pytest.mark.parametrize("build", sorted({case.build for case in SOURCE_CASES}, key=lambda build: build.__name__))
def test_an_intact_source_has_nothing_wrong(tmp_path: Path, build: Any) -> None:
    path = build(tmp_path)
    with opened(path) as history:
        found = [finding for finding in sources_own(diagnose(history)) if finding.severity is Severity.ERROR]
    assert found == []


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", SOURCE_CASES, ids=str)
def test_a_repair_keeps_what_is_certain_and_marks_the_rest(tmp_path: Path, case: SourceCase) -> None:
    path, out = case.build(tmp_path), tmp_path / "out.unspool"
    case.damage(path)
    read, before = states_of(path), path.read_bytes()
    with opened(path) as history:
        report = repair(history, out)
    assert path.read_bytes() == before
    assert report.complete
    assert (report.kept, report.entries) == (len(read), len(read) + case.holes)
    assert sum(hole.last - hole.first + 1 for hole in report.holes) == case.holes
    with History(FileStore.open(out)) as history:
        kept = [entry for entry in history if HOLE_META not in entry.meta]
        assert [history.state(entry.seq) for entry in kept] == read
        assert {place for place, entry in enumerate(kept) if DOUBT_META in entry.meta} == case.doubtful
        for hole in report.holes:
            assert str(path) in hole.why
            assert HOLE_ATOM in history.state(hole.first)
    assert report.health == ("degraded" if case.holes or case.doubtful else "healthy")


FIXTURES = Path(__file__).parents[3] / "fixtures"


@pytest.mark.parametrize(
    "name",
    ["seeds/nexus-full-snapshot.json", "seeds/nexus-history-export.json", "seeds/ri-node-written.rblogs",
     "seeds/ri-source-space.rblogs", "seeds/ringworld-7-23.json",
     "langgraph/threads.sqlite", "langgraph/written.sqlite", "redux/lifted.json", "states/envelope.jsonl"],
)  # fmt: skip
def test_the_seeds_own_files_have_sound_chains(name: str) -> None:
    with opened(FIXTURES / name) as history:
        assert [finding for finding in sources_own(diagnose(history)) if finding.severity is Severity.ERROR] == []


def test_the_command_names_the_place_in_the_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = next(case for case in SOURCE_CASES if case.name == "nexus: an old value of its own")
    path, out = case.build(tmp_path), tmp_path / "out.unspool"
    case.damage(path)
    assert run(["doctor", str(path), "--repair", str(out)]) == 1
    said = capsys.readouterr().out
    assert "entry 2: what it says 'count' held before is not what its base holds [contradicts-base]" in said
    assert f"in the source: {path}: snapshot 2" in said
    assert "doubtful 2 to 2: kept and marked" in said
    assert run(["doctor", str(path), "--json"]) == 1
    (told,) = [one for one in json.loads(capsys.readouterr().out)["findings"] if one["where"]]
    assert (told["where"], told["first"]) == (f"{path}: snapshot 2", 2)


def test_what_has_no_place_among_the_entries_is_listed(tmp_path: Path) -> None:
    path, out = tmp_path / "states.jsonl", tmp_path / "out.unspool"
    lines = [json.dumps({"timestamp": n, "action": "a", "state": {"n": n}}) for n in range(5)]
    path.write_text("\n".join([*lines[:3], "{broken", *lines[3:]]) + "\n")
    with opened(path) as history:
        report = repair(history, out)
    assert report.kept == report.entries == 5
    (lost,) = report.left_out
    assert "states.jsonl:4" in lost


def test_an_existing_file_is_refused_for_a_source_too(tmp_path: Path) -> None:
    path = SOURCE_CASES[0].build(tmp_path)
    with opened(path) as history, pytest.raises(RepairRefused, match="exists already"):
        repair(history, path)


def test_a_cancelled_repair_of_a_source_leaves_nothing(tmp_path: Path) -> None:
    path = SOURCE_CASES[0].build(tmp_path)
    with opened(path) as history:
        assert not repair(history, tmp_path / "out.unspool", cancelled=lambda: True).complete
    assert sorted(item.name for item in tmp_path.iterdir()) == [path.name]


def test_a_foreign_source_goes_by_its_own_name_and_by_no_rule_of_ours(tmp_path: Path) -> None:
    path = SOURCE_CASES[0].build(tmp_path)
    with opened(path) as history:
        diagnosis = diagnose(history)
    assert (diagnosis.source, diagnosis.strategy_from) == (str(path), "usual")


@pytest.mark.parametrize("name", ["framework0-record.json", "framework0-record.json.gz", "nexus-delta-typed.json"])
def test_a_delta_on_its_own_is_a_piece_and_nothing_is_broken(name: str) -> None:
    with opened(FIXTURES / "seeds" / name) as history:
        diagnosis = diagnose(history)
    assert diagnosis.verdict == "degraded"
    assert Code.SEVERED_BASE in {finding.code for finding in diagnosis.findings}


def test_what_we_export_has_sound_chains(tmp_path: Path) -> None:
    path, out = tmp_path / "x.unspool", tmp_path / "x.json"
    record_shop(path, 60)
    assert run(["export", str(path), str(out), "--format", "nexus"]) == 0
    with opened(out) as history:
        diagnosis = diagnose(history)
    assert (len(sources_own(diagnosis)), diagnosis.verdict) == (0, "healthy")
