"""How tabs look, as pictures at three sizes, dark, light and in ASCII; `--snapshot-update` draws them anew."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from looks_scenes import COATS
from shop_files import START_NS, record, shop_states
from test_tabs import SIZES, opened, tabbed
from textual.pilot import Pilot
from tui_driver import Driver, keep_still

from unspool.events import EventLog, write_source
from unspool.history.history import History
from unspool.model.cache import CacheStats
from unspool.recorder.recorder import Recorder

pytestmark = [
    pytest.mark.usefixtures("_steady"),
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="pictures are compared on one version of Python only: 3.11"
    ),
]


def in_all_looks(sizes: Sequence[tuple[int, int]] = SIZES) -> pytest.MarkDecorator:
    """Draw at some sizes in every coat; `make test` draws the dark ones of narrow screens."""
    return pytest.mark.parametrize(
        ("size", "coat"),
        [
            pytest.param(
                size,
                coat,
                id=f"{size[0]}x{size[1]}" + (f"-{coat}" if coat != "dark" else ""),
                marks=[] if coat == "dark" and size[0] < 200 else [pytest.mark.slow],
            )
            for size in sizes
            for coat in COATS
        ],
    )


@pytest.fixture
def _steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured times that are always the same, so that pictures of them are."""
    monkeypatch.setattr(History, "rebuild_times_us", lambda self: [120.0] * 19 + [900.0])
    monkeypatch.setattr("unspool.history.stats.cold_rebuild_us", lambda store, seq: 120.0)
    monkeypatch.setattr(History, "cache_stats", lambda self: CacheStats(26, 64, 96, 4, 0))
    monkeypatch.setattr(History, "file_bytes", lambda self: 65_536)


@in_all_looks()
def test_how_tabs_look(
    snap_compare: Callable[..., bool],
    tmp_path: Path,
    size: tuple[int, int],
    coat: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        record(tmp_path / side / "shop.unspool", shop_states(60))
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 40)
    app = tabbed("left/shop.unspool", "noise.bin", "right/shop.unspool", at=(30,), **COATS[coat])

    async def run(pilot: Pilot[None]) -> None:
        driver = Driver(app, pilot)
        await opened(driver, 2)
        await driver.until(lambda: bool(app.tabs.all[1].error) and app.tabs.all[2].seen == 60)
        with Recorder("right/shop.unspool") as recorder:
            for number in range(12):
                recorder.record({"n": number}, timestamp_ns=START_NS + number * 10**9)
        await driver.until(lambda: "+12" in driver.line(0))
        await driver.press("2", "j")

    assert snap_compare(app, terminal_size=size, run_before=run)


@in_all_looks()
def test_how_two_histories_that_part_look(
    snap_compare: Callable[..., bool],
    tmp_path: Path,
    size: tuple[int, int],
    coat: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    states = list(shop_states(60))
    record(tmp_path / "first.unspool", states)
    later = [
        ({**state, "requests": -1}, action) if at > 40 else (state, action)
        for at, (state, action) in enumerate(states)
    ]
    record(tmp_path / "second.unspool", later)
    app = tabbed("first.unspool", "second.unspool", **COATS[coat])

    async def run(pilot: Pilot[None]) -> None:
        driver = Driver(app, pilot)
        await opened(driver, 1)
        await driver.press("C")
        await driver.until(lambda: "What differs there" in driver.text() and "requests" in driver.text())

    assert snap_compare(app, terminal_size=size, run_before=run)


# The widest screen shows sizes of records too, which hold ids that are others every time.
@in_all_looks(SIZES[:2])
def test_how_the_parts_of_a_source_are_offered(
    snap_compare: Callable[..., bool],
    tmp_path: Path,
    size: tuple[int, int],
    coat: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with EventLog(tmp_path / "log.db") as events:
        for name in ("a.py", "b.py"):
            for number in range(4):
                moment = f"2026-02-14T00:00:0{number}.000Z"
                write_source(events, name, moment, f"x = {number}\n", "python")
    app = tabbed("log.db", **COATS[coat])
    keep_still(app)

    async def run(pilot: Pilot[None]) -> None:
        driver = Driver(app, pilot)
        await driver.until(lambda: app.main.scene.history.progress.is_finished and driver.view.total == 8)
        await driver.settle()
        await driver.press("O")
        await driver.until(lambda: "space a.py" in driver.text() and "1 History" in driver.text())
        await driver.settle()

    assert snap_compare(app, terminal_size=size, run_before=run)


@in_all_looks()
@pytest.mark.parametrize("look", ["the choice of one", "one that was refused", "two that are linked"])
def test_how_several_sources_look(
    snap_compare: Callable[..., bool],
    tmp_path: Path,
    size: tuple[int, int],
    coat: str,
    look: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "morning.unspool", shop_states(60))
    later = [
        ({**state, "requests": -1}, action) if at > 20 else (state, action)
        for at, (state, action) in enumerate(shop_states(40))
    ]
    record(tmp_path / "evening.unspool", later)
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 40)
    app = tabbed("morning.unspool", "evening.unspool", "noise.bin", at=(30,), **COATS[coat])
    keep_still(app)

    async def run(pilot: Pilot[None]) -> None:
        driver = Driver(app, pilot)
        await opened(driver, 1)
        await driver.until(lambda: bool(app.tabs.all[2].error))
        await driver.settle()
        if look == "the choice of one":
            await driver.press("`")
        elif look == "one that was refused":
            await driver.press("H")
        else:
            await driver.press("&", "enter", "enter")
            await driver.until(lambda: driver.view.parting is not None)
        await driver.settle()

    assert snap_compare(app, terminal_size=size, run_before=run)
