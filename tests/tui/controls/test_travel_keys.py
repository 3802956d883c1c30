"""Keys that move the head."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from tui_driver import drive, make_app, open_file

from unspool_tui.view.model import Pane

action = pytest.mark.action


@action("step.prev", "step.next")
async def test_stepping_moves_head_list_and_diff_together(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press(".")
        assert driver.view.head == 101
        assert "#100 → #101" in driver.panel(Pane.CHANGES)
        assert ">101" in driver.panel(Pane.HISTORY)
        assert "101/199" in driver.line(0)
        await driver.press(",", "shift+left")
        assert driver.view.head == 99
        await driver.press("shift+right")
        assert driver.view.head == 100


async def test_no_key_of_a_burst_is_lost(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=10)) as driver:
        await driver.press(*["."] * 60, *[","] * 25)
        assert driver.view.head == 45
        assert "#44 → #45" in driver.panel(Pane.CHANGES)


@action("full.prev", "full.next")
async def test_full_snapshots_are_reached_with_one_key(tmp_path: Path) -> None:
    from shop_files import record, shop_states

    path = record(tmp_path / "fulls.unspool", shop_states(60), strategy="changes:20")
    async with drive(make_app(open_file(path), at=30)) as driver:
        kinds = driver.app.main.scene.ledger.columns.kind
        before = max(seq for seq in range(30) if kinds[seq] == 1)
        after = min(seq for seq in range(31, 60) if kinds[seq] == 1)
        await driver.press("<")
        assert driver.view.head == before
        await driver.press(">")
        assert driver.view.head in (30, after)
        await driver.press("}", ">")
        assert "no full snapshot after" in driver.line(-1)


@action("atom.prev", "atom.next")
async def test_brackets_go_to_the_entries_that_set_the_selected_path(shop_file: Path) -> None:
    history = open_file(shop_file)
    async with drive(make_app(history, at=50)) as driver:
        main = driver.app.main
        from unspool_tui.view.moves import select

        main.apply(select(main.view, ("session", "user_id")))
        writes = list(history.writes("session"))
        await driver.press("]")
        assert driver.view.head == min(seq for seq in writes if seq > 50)
        await driver.press("[")
        assert driver.view.head == sorted(seq for seq in writes if seq <= 50)[-1]


@action("go.first", "go.last", "jump.back", "jump.forward")
async def test_jumps_can_be_taken_back_and_forward(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("{")
        assert driver.view.head == 0
        await driver.press("}")
        assert driver.view.head == 199
        await driver.press("ctrl+o")
        assert driver.view.head == 0
        await driver.press("backspace")
        assert driver.view.head == 100
        await driver.press("o", "ctrl+i")
        assert driver.view.head == 199
        await driver.press("o")
        assert "go back first" in driver.line(-1)


@action("follow")
async def test_following_stops_with_the_first_step_up_and_counts_what_arrives(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file))) as driver:
        assert "LIVE follow" in driver.line(0)
        await driver.press("k")
        assert not driver.view.follow
        assert "PAUSED" in driver.line(0)
        for keys in (["f"], ["j"], ["."], ["G"], ["}"], ["k", "ctrl+d"]):
            await driver.press("k", *keys)
            assert driver.view.head == 199, keys
            assert "LIVE follow" in driver.line(0), keys


@action("play", "play.faster", "play.slower")
async def test_playing_moves_the_head_by_itself_until_the_end(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=0)) as driver:
        await driver.press("shift+up", "shift+up", "shift+up", "shift+down")
        assert driver.view.speed == 5
        # At one entry a second even a machine that stalls for minutes does not reach the end before it is looked at.
        await driver.press(*["shift+down"] * 5, "p")
        assert driver.view.playing
        assert "▶ 1/s" in driver.line(0)
        driver.app.main.apply(replace(driver.view, head=max(190, driver.view.head), speed=5))
        await driver.until(lambda: not driver.view.playing)
        assert driver.view.head == 199
