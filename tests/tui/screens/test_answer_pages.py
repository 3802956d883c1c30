"""The page of actions: counted, drawn, and used as a filter."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile_texts import HOSTILE_TEXTS
from shop_files import record
from tui_driver import drive, make_app, open_file

from unspool_tui.view.model import Pane
from unspool_tui.view.overview import compile_filter, filter_of_action, parse_filter

action = pytest.mark.action


@action("actions")
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_actions_are_drawn_by_how_often_they_happened_and_enter_filters(
    shop_file: Path, size: tuple[int, int]
) -> None:
    history = open_file(shop_file)
    actions = [history.action(seq) for seq in range(200)]
    async with drive(make_app(history, at=100), size) as driver:
        await driver.press("a")
        lines = [line for line in driver.text().split("\n") if "newest #" in line]
        assert len(lines) == len(set(actions))
        assert f"{actions.count('tick')} " in lines[0]
        assert "tick" in lines[0]
        assert lines[0].count("█") > lines[-1].count("█") >= 1
        at = next(row for row, line in enumerate(lines) if "sign in" in line)
        await driver.press(*"j" * at, "enter")
        assert list(driver.app.main.rows) == [seq for seq, name in enumerate(actions) if name == "sign in"]
        assert driver.view.head in driver.app.main.rows
        await driver.press("a", "g", "!")
        assert "tick" not in {actions[seq] for seq in driver.app.main.rows}
        await driver.press("a", "g", "n")
        assert driver.view.head == max(seq for seq, name in enumerate(actions) if name == "tick")


async def test_actions_are_told_apart_on_a_narrow_screen(tmp_path: Path) -> None:
    names = ["dana takes kettle", "dana takes tray"]
    path = record(tmp_path / "narrow.unspool", [({"n": number}, names[number % 2]) for number in range(9)])
    async with drive(make_app(open_file(path), at=0), (60, 16)) as driver:
        await driver.press("a")
        lines = [line for line in driver.text().split("\n") if "newest #" in line]
        assert [next(name for name in names if name in line) for line in lines] == names
        heading = next(line for line in driver.text().split("\n") if line.split() == ["entries", "action"])
        assert heading.index("action") == lines[0].index("dana")


async def test_the_count_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = record(tmp_path / "many.unspool", [({"n": number}, f"step {number % 3}") for number in range(3_000)])
    async with drive(make_app(open_file(path), at=0)) as driver:
        await driver.press("a")
        assert "3 actions in 3,000 entries" in driver.text()
        await driver.press("escape", "a")
        assert "3 actions in 3,000 entries" in driver.text()


@pytest.mark.one_in(3)
@pytest.mark.parametrize("text", [*HOSTILE_TEXTS, 'say "x"', "a b"])
def test_the_filter_of_any_action_lets_its_entries_through(tmp_path: Path, text: str) -> None:
    history = open_file(record(tmp_path / "odd.unspool", [({"n": 1}, text), ({"n": 2}, "other thing")]))
    text = history.action(0)
    keep = compile_filter(parse_filter(filter_of_action(text)), history)
    assert keep(0)
    hide = compile_filter(parse_filter(filter_of_action(text, inverted=True)), history)
    assert not hide(0)


async def test_hostile_actions_are_only_text(tmp_path: Path) -> None:
    path = record(tmp_path / "h.unspool", [({"n": number}, text) for number, text in enumerate(HOSTILE_TEXTS)])
    async with drive(make_app(open_file(path), at=0), (80, 24)) as driver:
        await driver.press("a", "G", "enter")
        assert driver.app.is_running
        assert driver.panel(Pane.HISTORY)
