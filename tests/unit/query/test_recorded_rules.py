"""A file keeps the settings it was recorded with, and the doctor measures its chains by them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from health_damage import ask, blocks_of, change, keep_fact, live

from support.recording import record_shop, shop_states
from unspool.codec.strategies import ChangesStrategy
from unspool.query.doctor.diagnosis import ChainVerdict, Code, Severity, diagnose
from unspool.query.repair import repair
from unspool.recorder import Recorder
from unspool.store import FileStore
from unspool.store.compacting import compact
from unspool_tui.cli import run


def settings_of(path: Path) -> list[tuple[int, str, str]]:
    store = FileStore.open(path)
    try:
        return [(one.first, one.strategy, one.codec) for one in store.recordings()]
    finally:
        store.close()


@pytest.mark.parametrize("strategy", ["auto", "changes:7", "time:250", "composite:changes:9,size:900", "manual"])
def test_a_file_keeps_the_settings_of_its_recorder(tmp_path: Path, strategy: str) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 40, strategy=strategy, codec="dict")
    assert settings_of(path) == [(0, strategy, "dict")]
    diagnosis = diagnose(path)
    assert (diagnosis.strategy, diagnosis.strategy_from, diagnosis.verdict) == (strategy, "file", "healthy")


def test_chains_are_measured_by_the_rule_that_held_when_they_began(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 60, strategy="manual")
    with Recorder(path, on_error="raise", strategy="changes:5") as recorder:
        for state in shop_states(30, seed=4):
            recorder.record(state)
    assert [row[:2] for row in settings_of(path)] == [(0, "manual"), (60, "changes:5")]
    diagnosis = diagnose(path)
    assert (diagnosis.strategy, diagnosis.verdict) == ("manual, then changes:5", "healthy")
    limits = {row.limits.deltas for row in diagnosis.chains if row.first >= 60}
    assert limits == {5}
    assert {row.limits.deltas for row in diagnosis.chains if row.first < 60} == {None}


def test_going_on_with_the_same_settings_or_recording_nothing_adds_no_row(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 10, strategy="changes:5")
    with Recorder(path, strategy="manual"):
        pass
    with Recorder(path, on_error="raise", strategy="changes:5") as recorder:
        recorder.record({"n": 1})
    assert [row[:2] for row in settings_of(path)] == [(0, "changes:5")]


def test_a_chain_longer_than_the_rule_of_its_file_is_a_warning(tmp_path: Path) -> None:
    file = live(tmp_path / "x.unspool", strategy="changes:4")
    keep_fact(file.path, "recording:0", '{"strategy":"changes:2","codec":"auto"}')
    diagnosis = diagnose(file.path)
    assert {(found.code, found.severity) for found in diagnosis.findings} == {
        (Code.OVER_LIMIT, Severity.WARNING),
        (Code.NOT_CLOSED, Severity.WARNING),
    }
    assert {row.verdict for row in diagnosis.chains if row.length > 2} == {ChainVerdict.CREATE_BASE}


@pytest.mark.parametrize(
    "value", ["", "no json", "[]", '{"strategy": "of my own", "codec": "auto"}', '{"strategy": 5, "codec": "auto"}']
)
def test_settings_that_make_no_sense_leave_the_usual_rule(tmp_path: Path, value: str) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 20)
    keep_fact(path, "recording:0", value)
    diagnosis = diagnose(path)
    assert (diagnosis.strategy, diagnosis.strategy_from, diagnosis.verdict) == ("auto", "usual", "healthy")


def test_a_rule_that_no_name_tells_is_kept_as_unknown(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 20, strategy=ChangesStrategy(4, min_chain_length=3))
    assert settings_of(path) == [(0, "", "auto")]
    assert diagnose(path).strategy_from == "usual"


def test_settings_go_into_compacted_and_repaired_files(tmp_path: Path) -> None:
    path, small, mended = (tmp_path / f"{name}.unspool" for name in "abc")
    record_shop(path, 300, strategy="changes:9")
    compact(path, small)
    assert settings_of(small) == [(0, "changes:9", "auto")]
    assert diagnose(small).verdict == "healthy"
    first = blocks_of(path)[1][0]
    change(path, ("DELETE FROM block_data WHERE first = ?", (first,)))
    repair(path, mended)
    assert settings_of(mended) == [(0, "changes:9", "auto")]
    # What stands for lost entries follows no rule, so chains that are longer for it are no fault.
    assert Code.OVER_LIMIT not in {f.code for f in diagnose(mended).findings if f.severity is not Severity.NOTE}
    assert ask(mended, "SELECT count(*) FROM meta WHERE key GLOB 'recording:*'") == [(1,)]


def test_the_command_says_whose_rule_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 20, strategy="changes:5")
    assert run(["doctor", str(path)]) == 0
    assert "measured by changes:5, as it was recorded" in capsys.readouterr().out
    assert run(["doctor", str(path), "--json", "--strategy", "changes:6"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["strategy"], told["strategy_from"]) == ("changes:6", "given")
