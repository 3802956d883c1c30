"""The measurements themselves: loads are the same in every run, parts run on tiny ones, tables say what was found."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import zstandard
from benchmarks import __main__ as command
from benchmarks import parts, pythons
from benchmarks.context import Context
from benchmarks.jsonl import load_from_file
from benchmarks.loads import Load, synthetic_loads
from benchmarks.markdown import document
from benchmarks.measure import Evictor, geometric_mean, percentile, race, ratio_interval
from benchmarks.pty_latency import ProgramEnded, Session
from benchmarks.pty_screen import Screen
from benchmarks.report import PartResult, Row, absent, against, alone, number, tally, times_better
from benchmarks.sampling import pairs
from benchmarks.watched import ProgramFailed, Run

TINY = [load.limited(40) for load in synthetic_loads(quick=True) if load.name in ("S1", "S5")]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A run so small that it says nothing."""
    return Context(TINY, tmp_path_factory.mktemp("bench"), quick=True, seconds=0.2, sizes=(150, 600))


@pytest.mark.parametrize("load", synthetic_loads(quick=True), ids=lambda load: load.name)
def test_a_load_yields_the_same_states_in_every_run(load: Load) -> None:
    first, second = ([msgspec.msgpack.encode(state) for state in load.states(20)] for _ in range(2))
    assert first == second
    assert sum(old != new for old, new in pairwise(first)) > 15


def test_a_load_from_a_file_takes_bare_states_and_envelopes(tmp_path: Path) -> None:
    plain, packed = tmp_path / "bare.jsonl", tmp_path / "enveloped.jsonl.zst"
    plain.write_text('{"a": 1}\n\n{"a": 2}\n')
    packed.write_bytes(zstandard.compress(b'{"timestamp": 1, "action": "x", "state": {"a": 1}}\n[1, 2]\n'))
    assert list(load_from_file(plain, quick=False).states()) == [{"a": 1}, {"a": 2}]
    assert list(load_from_file(packed, quick=True).states()) == [{"a": 1}, {"value": [1, 2]}]


def test_a_file_without_states_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    assert command.main(["step", "--quick", "--load", str(empty)]) == 2
    assert "empty.jsonl" in capsys.readouterr().err


def test_sampled_pairs_are_neighbours_and_private() -> None:
    states = [msgspec.msgpack.encode(state) for state in TINY[0].states()]
    for old, new in pairs(TINY[0], 10):
        place = states.index(msgspec.msgpack.encode(old))
        assert msgspec.msgpack.encode(new) == states[place + 1]


def test_every_contender_of_a_race_gets_every_input() -> None:
    seen: dict[str, list[int]] = {"one": [], "other": []}
    times = race({name: seen[name].append for name in seen}, range(5), evict=Evictor())
    assert seen == {"one": [0, 1, 2, 3, 4], "other": [0, 1, 2, 3, 4]}
    assert {name: len(values) for name, values in times.items()} == {"one": 5, "other": 5}


def test_summaries_are_what_their_names_say() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0, 5.0], 0.5) == 3.0
    assert percentile([0.0, 10.0], 0.99) == pytest.approx(9.9)
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    low, high = ratio_interval([2.0] * 20, [1.0] * 20)
    assert low == high == 2.0


def test_goals_are_judged_by_the_side_they_name() -> None:
    assert against("x", 2.0, 1.0, "µs", "peer", most=3.0).met is True
    assert against("x", 4.0, 1.0, "µs", "peer", most=3.0).met is False
    assert against("x", 4.0, 1.0, "µs", "peer").met is None
    assert times_better("x", 1.0, 10.0, "µs", "peer", least=10).met is True
    assert times_better("x", 1.0, 9.0, "µs", "peer", least=10).met is False
    assert alone("x", 5.0, "ms", most=4.0).met is False
    assert alone("x", 60.0, "/s", least=59.0).met is True
    assert absent("x", "not there").met is None


def test_a_report_names_what_was_missed_and_how_it_was_run() -> None:
    rows = (alone("slow thing", 5.0, "ms", most=4.0), alone("fast thing", 1.0, "ms", most=4.0))
    result = PartResult("step", "Steps", rows, 1.0, quick=True)
    assert tally([result]) == (1, 1)
    text = document({"date": "today", "cpu": "some"}, TINY, [result])
    assert "slow thing: 5.00 ms, goal ≤ 4 ms" in text
    assert "--quick" in text
    assert "fast thing:" not in text


def test_numbers_keep_three_digits() -> None:
    assert [number(value) for value in (None, 0.0, 0.0123, 0.5, 12.34, 1234.5)] == [
        "–", "0.00", "0.0123", "0.50", "12.3", "1,234",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["step", "delta", *(pytest.param(name, marks=pytest.mark.slow) for name in ("open", "follow", "live"))],
)
def test_a_part_runs_without_any_peer_installed(name: str, context: Context) -> None:
    rows = parts.part(name).run(context)
    assert rows
    assert all(row.ours is not None or row.note for row in rows)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "name",
    ["record", "stall", "size", *(pytest.param(name, marks=pytest.mark.slow) for name in ("read", "questions"))],
)
def test_a_part_with_peers_runs_on_a_tiny_load(name: str, context: Context) -> None:
    pytest.importorskip("orjson")
    rows = parts.part(name).run(context)
    assert any(row.peer is not None for row in rows)


@pytest.mark.slow
def test_a_peer_that_is_not_installed_is_reported_and_left_out(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("orjson")
    monkeypatch.setenv("PATH", "")
    fresh = Context(TINY[:1], context.folder / "nothing", quick=True, seconds=0.2, sizes=(10,))
    fresh.folder.mkdir()
    rows = parts.part("read").run(fresh)
    assert any("git is not installed" in row.note for row in rows)


def test_the_command_writes_what_it_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "synthetic_loads", lambda *, quick: TINY)
    numbers, tables = tmp_path / "out.json", tmp_path / "out.md"
    assert command.main(["step", "--quick", "--json", str(numbers), "--markdown", str(tables)]) == 0
    found = json.loads(numbers.read_text())
    assert [part["name"] for part in found["parts"]] == ["step"]
    for row in found["parts"][0]["rows"]:
        assert Row(**row).what in tables.read_text()


def test_a_program_runs_the_same_work_bare_and_under_the_agent(context: Context) -> None:
    """The part about watched programs, at its smallest: one workload, under our own Python."""
    run = Run("web", 20)
    bare, watched = (
        run.bare(pythons.OWN),
        run.under_agent(pythons.OWN, context.folder / "web.unspool", settle="return"),
    )
    assert bare.turns == watched.turns == 20
    assert bare.processor_us > 0
    assert watched.entries > 0


def test_a_program_that_fails_is_said_with_its_last_line() -> None:
    with pytest.raises(ProgramFailed, match="no_such_tool"):
        Run("hot", 2, tool="no_such_tool").bare(pythons.OWN)


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["stpe"])
    assert "'stpe'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"ab\r\ncd", "ab\ncd\n"),
        (b"\x1b[2;3Hx\x1b[HY", "Y\n  x\n"),
        (b"abc\x1b[2D\x1b[K", "a\n\n"),
        (b"a\x1b[2Jb", " b\n\n"),
        (b"1\r\n2\r\n3\r\n4", "2\n3\n4"),
        ("é世x".encode(), "é世x\n\n"),
        (b"\x1b]0;title\x07k\x1b[?1049h", "\n\n"),
        (b"\x1b[1;31mk\x1b[0m\x1bP1$r0m\x1b\\", "k\n\n"),
    ],
)  # fmt: skip
def test_a_screen_shows_what_a_terminal_would(written: bytes, shown: str) -> None:
    screen = Screen(10, 3, lambda _: None)
    for place in range(len(written)):
        screen.feed(written[place : place + 1])
    assert screen.text() == shown


def test_a_change_of_colour_alone_is_a_change() -> None:
    screen = Screen(10, 3, lambda _: None)
    screen.feed(b"x")
    before = screen.cells()
    screen.feed(b"\x1b[H\x1b[31mx\x1b[0m")
    assert screen.cells() != before


ECHO = """
import os, tty
tty.setraw(0)
os.write(1, b"pos 0")
count = 0
while (key := os.read(0, 1)) != b"q":
    count += key == b"."
    os.write(1, b"\\x1b[Hpos %d" % count)
"""


def test_a_program_in_a_terminal_is_timed_key_by_key() -> None:
    session = Session((sys.executable, "-c", ECHO), r"pos (\d+)")
    assert session.wait_for("pos 0") > 0
    paint = session.press(b".")
    assert paint is not None
    assert 0 < paint.first_ms <= paint.last_ms
    assert paint.bytes == len("\x1b[Hpos 1")
    assert session.press(b"x") is None
    sent = session.pour([b"."] * 5, 500.0)
    assert session.frames()[-1].position == 6
    assert len(sent) == 5
    assert session.quit(b"q") is not None


def test_a_program_that_never_shows_what_is_waited_for_is_reported_with_its_screen() -> None:
    session = Session((sys.executable, "-c", "print('something else')"), r"pos (\d+)")
    with pytest.raises(ProgramEnded, match="something else"):
        session.wait_for("pos 0", seconds=20)
    session.quit(b"")
