"""The small terminal of the benchmarks: what programs write to it is what it shows."""

from __future__ import annotations

import sys

import pytest
from benchmarks.pty_latency import ProgramEnded, Session
from benchmarks.pty_screen import Screen


def shown(written: bytes) -> Screen:
    screen = Screen(20, 3, lambda answer: None)
    screen.feed(written)
    return screen


def test_the_same_look_reached_in_two_ways_is_the_same_cell() -> None:
    whole = shown(b"\x1b[1;38;2;1;2;3;48;2;4;5;6ma\x1b[0m\x1b[1;38;2;7;8;9;48;2;4;5;6mb\x1b[0m")
    brief = shown(b"\x1b[1;38;2;1;2;3;48;2;4;5;6ma\x1b[38;2;7;8;9mb\x1b[0m")
    assert whole.cells() == brief.cells()
    assert whole.cells() != shown(b"ab").cells()


@pytest.mark.parametrize(
    ("written", "same"),
    [
        (b"\x1b[1;2m\x1b[22mx", b"x"),
        (b"\x1b[31m\x1b[39mx", b"x"),
        (b"\x1b[4;9m\x1b[24;29mx", b"x"),
        (b"\x1b[38;5;7mx", b"\x1b[44m\x1b[49;38;5;7mx"),
    ],
)
def test_styles_are_taken_back(written: bytes, same: bytes) -> None:
    assert shown(written).cells() == shown(same).cells()


def test_a_program_that_ends_is_told_and_not_waited_for() -> None:
    session = Session((sys.executable, "-c", "print('here', flush=True)"), r"(\d+)")
    try:
        with pytest.raises(ProgramEnded, match="never shown"):
            session.wait_for("never shown")
        with pytest.raises(ProgramEnded):
            session.pour([b"."] * 3, 1000.0)
    finally:
        session.quit(b"q")
