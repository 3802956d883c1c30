"""Entries whose action says nothing are told by what changed most; records by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tui_driver import drive, make_app, open_file

from unspool.history.history import History
from unspool.recorder.recorder import Recorder
from unspool_tui.panes.changes import path_spans
from unspool_tui.panes.history import common_beginning
from unspool_tui.rendering.line import spans_width
from unspool_tui.view.model import Pane

FIRES = ("Dixie Fire", "Caldor Fire", "River Complex")


def record_fires(path: Path, action: str, entries: int = 60) -> Path:
    """Record fires that grow; the oldest of them is contained at the end."""
    with Recorder(path) as recorder:
        for number in range(entries):
            fires = [
                {"UniqueId": f"2021-{place}", "Name": name, "AcresBurned": 100 + number * (place + 1)}
                for place, name in enumerate(FIRES)
            ]
            state: dict[str, Any] = {"Incidents": fires, "AllAcres": 10_000 + 1_093 * number}
            recorder.record(state, action.replace("N", str(number)))
    return path


@pytest.mark.one_in(2)
@pytest.mark.parametrize("action", ["", "Update incidents.json", "Update incidents.json, run N"])
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_largest_change_stands_where_the_action_says_nothing(
    tmp_path: Path, action: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record_fires(tmp_path / "fires.unspool", action)
    asked: set[int] = set()
    changes = History.changes

    def watched(self: History, seq: int) -> Any:
        asked.add(seq)
        return changes(self, seq)

    monkeypatch.setattr(History, "changes", watched)
    async with drive(make_app(open_file(path), at=30), size=size) as driver:
        await driver.until(lambda: "AllAcres 42" in driver.panel(Pane.HISTORY))
        await driver.settle()
        # Only rows in sight are worked out.
        assert len(asked) <= driver.app.main.panels[Pane.HISTORY].page + 1
        assert "#30 " in driver.text()


async def test_records_are_told_by_name_in_changes_and_inspect(tmp_path: Path) -> None:
    path = record_fires(tmp_path / "fires.unspool", "grows")
    async with drive(make_app(open_file(path), at=30), size=(120, 40)) as driver:
        assert "Caldor….AcresBurned" in driver.panel(Pane.CHANGES).replace("Caldor F", "Caldor")
        await driver.press("3", "l")
        assert "Caldor Fire" in driver.panel(Pane.INSPECT)


def test_what_all_actions_begin_with_is_found_up_to_a_word() -> None:
    assert common_beginning(["update shop.json: tea", "update shop.json: tray"]) == "update shop.json: "
    assert common_beginning(["update v10", "update v11"]) == "update "
    assert common_beginning(["add tea", "add tray"]) == ""
    assert common_beginning(["same"] * 3) == "same"


names = st.text(max_size=30)


@given(st.lists(names, min_size=1, max_size=20))
def test_a_common_beginning_begins_all(actions: list[str]) -> None:
    assert all(action.startswith(common_beginning(actions)) for action in actions)


@pytest.mark.parametrize("room", [11, 13, 21, 34, 60])
def test_a_name_and_a_field_share_the_room(room: int) -> None:
    shown = "".join(text for text, _ in path_spans((0, "AcresBurned"), "UniqueId=2021-0", room, {0: "Dixie Fire"}))
    assert shown.startswith("[0 Dixie Fire].AcresBurned" if room >= 26 else "Dix")
    assert ".Acre" in shown
    assert len(shown) == room


@given(st.lists(names | st.integers(0, 9), min_size=1, max_size=4), names, st.integers(11, 60))
def test_any_path_takes_its_room(path: list[Any], name: str, room: int) -> None:
    assert spans_width(path_spans(tuple(path), name, room, {0: "Dixie Fire"})) == room
