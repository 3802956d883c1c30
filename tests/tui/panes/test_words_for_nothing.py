"""What has nothing to show says so: names without letters, filters without a match, terminals without room."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop_files import START_NS
from tui_driver import drive, make_app, open_file

from unspool.recorder.recorder import Recorder
from unspool_tui.panes.changes import word_diff
from unspool_tui.panes.stats import HistoryFacts, Measured, stats_rows
from unspool_tui.rendering.line import UNICODE
from unspool_tui.view.model import Pane


@pytest.fixture
def odd_file(tmp_path: Path) -> Path:
    """Two entries of an atom without a name and of a long Chinese text in which one character changes."""
    text = "这是一个很长的句子，用来说明变化的文字如何显示在屏幕上，请看一看这里的内容是否完整。"
    path = tmp_path / "odd.unspool"
    with Recorder(path) as recorder:
        recorder.record({"": 1, "  ": 2, "text": text * 2}, "first", timestamp_ns=START_NS)
        recorder.record({"": 2, "  ": 3, "text": text + text.replace("看这里", "看那里")}, "second")
    return path


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_an_atom_without_a_name_has_quotes_and_both_sides_of_a_wide_text_are_seen(
    odd_file: Path, size: tuple[int, int]
) -> None:
    async with drive(make_app(open_file(odd_file)), size=size) as driver:
        shown = driver.panel(Pane.CHANGES)
        assert '""' in shown
        assert '"  "' in shown
        line = next(line for line in shown.splitlines() if "text" in line)
        old, new = line.split("→")[:2]
        assert "这" in old
        assert "那" in new


async def test_a_filter_that_lets_nothing_through_says_so(odd_file: Path) -> None:
    async with drive(make_app(open_file(odd_file))) as driver:
        await driver.press("\\")
        await driver.type("action:nothing")
        await driver.press("enter")
        assert "no entry matches the filter" in driver.panel(Pane.HISTORY)
        await driver.click(driver.app.main.panels[Pane.HISTORY], 5, 2)
        await driver.press("1", "j", "G", "g")
        assert driver.view.head in (0, 1)
        await driver.press("escape", "escape")
        assert "no entry matches" not in driver.text()


@pytest.mark.parametrize("size", [(58, 24), (40, 20), (20, 8), (100, 9)])
async def test_a_terminal_that_is_too_small_is_told_whole(odd_file: Path, size: tuple[int, int]) -> None:
    async with drive(make_app(open_file(odd_file)), size=size) as driver:
        told = " ".join(driver.text().split())
        assert told == f"unspool needs 60 columns and 16 lines; this terminal has {size[0]} by {size[1]}"


@given(st.text(alphabet="ab 这那里的カな한", max_size=40), st.text(alphabet="ab 这那里的カな한", max_size=40))
def test_parts_of_unspaced_text_join_to_the_text_again(old: str, new: str) -> None:
    left, right = word_diff(old, new)
    assert "".join(part.text for part in left) == old
    assert "".join(part.text for part in right) == new


@pytest.mark.parametrize("width", [30, 66, 80, 140])
def test_stats_of_nothing_compare_nothing(width: int) -> None:
    rows = stats_rows(HistoryFacts(), Measured(), width, UNICODE)
    told = ["".join(text for text, _ in row.left) for row in rows]
    assert not any("large" in line or "smaller" in line for line in told)
    assert max(map(len, told)) <= width
