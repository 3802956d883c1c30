"""`unspool compact` and `unspool vacuum`: smaller files with the same history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.recording import record_shop
from unspool import Recorder, open_history
from unspool_tui.cli import run


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.unspool"
    record_shop(path, 300)
    return path


def states_of(path: Path) -> list[dict[str, object]]:
    with open_history(path) as history:
        return [history.state(seq) for seq in range(len(history))]


def test_a_compacted_history_tells_the_same_in_fewer_bytes(
    shop: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    out = shop.with_name("small.unspool")
    assert run(["compact", str(shop), str(out), "--json"]) == 0
    report = json.loads(capfdbinary.readouterr().out)
    assert report == {"entries": 300, "before": shop.stat().st_size, "after": out.stat().st_size}
    assert report["after"] <= report["before"]
    assert states_of(out) == states_of(shop)


def test_a_vacuumed_history_tells_the_same(shop: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    before = states_of(shop)
    assert run(["vacuum", str(shop)]) == 0
    captured = capfdbinary.readouterr()
    assert captured.out == b""
    assert b"300 entries" in captured.err
    assert states_of(shop) == before


def test_quiet_says_nothing(shop: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["vacuum", str(shop), "--quiet"]) == 0
    assert run(["compact", str(shop), str(shop.with_name("small.unspool")), "-q"]) == 0
    assert capfdbinary.readouterr() == (b"", b"")


def test_nothing_is_replaced_and_nothing_foreign_is_touched(
    shop: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    foreign = shop.with_name("states.jsonl")
    foreign.write_text('{"n": 1}\n{"n": 2}\n')
    other = shop.with_name("other.unspool")
    other.write_bytes(b"mine")
    for words in (
        ["compact", str(shop), str(other)],
        ["compact", str(shop), str(shop)],
        ["compact", str(foreign), str(shop.with_name("new"))],
        ["compact", str(shop.with_name("missing")), str(shop.with_name("new"))],
        ["vacuum", str(foreign)],
        ["vacuum", str(shop.with_name("missing"))],
    ):
        assert run(words) == 3
        captured = capfdbinary.readouterr()
        assert captured.out == b""
        assert captured.err.count(b"\n") == 1
    assert other.read_bytes() == b"mine"
    assert not shop.with_name("new").exists()
    assert run(["compact", str(shop)]) == 2


def test_a_history_that_is_being_written_is_left_alone(shop: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with Recorder(shop) as recorder:
        recorder.record({"n": 1})
        assert run(["vacuum", str(shop)]) == 3
    assert b"writ" in capfdbinary.readouterr().err
    assert len(states_of(shop)) == 301
