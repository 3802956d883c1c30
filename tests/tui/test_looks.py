"""How the app looks, as pictures at three sizes; `--snapshot-update` draws them anew."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from tui_driver import Driver, make_app

from unspool.history.history import History
from unspool.history.rebuild import CacheStats
from unspool.store.file import FileStore
from unspool_tui.settings import Settings
from unspool_tui.window import UnspoolApp

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="pictures are compared on one version of Python only: 3.11"
)

SIZES = [(80, 24), (120, 40), (200, 50)]
Compare = Callable[..., bool]


class SteadyHistory(History):
    """A history whose measured times are always the same, so that pictures of them are."""

    def rebuild_times_us(self) -> list[float]:
        return [120.0] * 19 + [900.0]

    def cache_stats(self) -> CacheStats:
        return CacheStats(26, 64, 96, 4, 0)

    def file_bytes(self) -> int:
        return 65_536


def steady(path: Path, **options: Any) -> UnspoolApp:
    return make_app(SteadyHistory(FileStore.open(path), path=path), **options)


def after(*keys: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Press keys and let everything come to rest before the picture; an empty key is a rest in between."""

    async def run(pilot: Pilot[None]) -> None:
        driver = Driver(pilot.app, pilot)  # type: ignore[arg-type]
        await driver.settle()
        for key in keys:
            await (driver.press(key) if key else driver.settle())
        await driver.settle()

    return run


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40", "200x50"])
def test_main_screen(snap_compare: Compare, shop_file: Path, size: tuple[int, int]) -> None:
    assert snap_compare(steady(shop_file, at=136), terminal_size=size, run_before=after("2", "j"))


def test_following(snap_compare: Compare, shop_file: Path) -> None:
    app = steady(shop_file, follow=False)
    assert snap_compare(app, terminal_size=(120, 40), run_before=after("f"))


def test_inspecting_against_a_base(snap_compare: Compare, shop_file: Path) -> None:
    keys = ("m", *["."] * 20, "b", "3", "g", "l", "j", "l", "j")
    assert snap_compare(steady(shop_file, at=100), terminal_size=(120, 40), run_before=after(*keys))


def test_split_view_of_a_zoomed_diff(snap_compare: Compare, shop_file: Path) -> None:
    keys = ("m", "}", "2", "z")
    assert snap_compare(steady(shop_file, at=20), terminal_size=(160, 30), run_before=after(*keys))


def test_search_hits_and_filter(snap_compare: Compare, shop_file: Path) -> None:
    keys = ("/", *"Restock", "enter", "\\", *"changes>1", "enter", "escape", "escape")
    keys = ("/", *"Restock", "enter", "", "n")
    assert snap_compare(steady(shop_file, at=0), terminal_size=(120, 40), run_before=after(*keys))


def test_palette(snap_compare: Compare, shop_file: Path) -> None:
    assert snap_compare(steady(shop_file, at=136), terminal_size=(120, 40), run_before=after(":", *"dif"))


def test_help(snap_compare: Compare, shop_file: Path) -> None:
    assert snap_compare(steady(shop_file, at=136), terminal_size=(120, 40), run_before=after("?"))


def test_yank_menu(snap_compare: Compare, shop_file: Path) -> None:
    assert snap_compare(steady(shop_file, at=136), terminal_size=(80, 24), run_before=after("2", "j", "y"))


def test_chains(snap_compare: Compare, shop_file: Path) -> None:
    assert snap_compare(steady(shop_file, at=136), terminal_size=(120, 30), run_before=after("c", "D"))


def test_ascii_only(snap_compare: Compare, shop_file: Path) -> None:
    assert snap_compare(
        steady(shop_file, at=136, ascii=True), terminal_size=(80, 24), run_before=after("b", "escape")
    )


def test_without_colour(snap_compare: Compare, shop_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(steady(shop_file, at=136), terminal_size=(80, 24), run_before=after("2"))


@pytest.mark.parametrize("theme", ["unspool-light", "ansi-dark"])
def test_themes(snap_compare: Compare, shop_file: Path, theme: str) -> None:
    app = steady(shop_file, at=136, settings=Settings(theme=theme))
    assert snap_compare(app, terminal_size=(120, 40), run_before=after("2", "j"))


def test_a_terminal_that_is_too_small(snap_compare: Compare, shop_file: Path) -> None:
    assert snap_compare(steady(shop_file, at=136), terminal_size=(58, 14), run_before=after())
