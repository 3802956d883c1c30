"""How every screen looks, as pictures at three sizes, dark, light and in ASCII; `--snapshot-update` draws them anew."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from looks_histories import HISTORIES
from looks_scenes import COATS, LOOKS, PROGRAM, PROGRAMS, SIMULATION, Look
from msgspec.structs import replace
from textual.pilot import Pilot
from tui_driver import Driver, keep_still, make_app

from unspool.history.history import History
from unspool.model.cache import CacheStats
from unspool.query.simulator import Alternative, alternative
from unspool.store.file import FileStore
from unspool_tui import questions
from unspool_tui.app import UnspoolApp
from unspool_tui.rendering.line import ASCII
from unspool_tui.screens.messages import MessageLog
from unspool_tui.settings import Settings

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

    def rebuild_us(self, seq: int) -> float:
        super().rebuild_us(seq)
        return 21.0


def _steady_alternative(*asked: Any, **options: Any) -> Alternative:
    """Tell what another rule would come to, with times that are always the same."""
    return dataclasses.replace(alternative(*asked, **options), rebuild_us=-140.0)


def steady(path: Path, **options: Any) -> UnspoolApp:
    app = make_app(SteadyHistory(FileStore.open(path), path=path), **options)
    app.main.messages = MessageLog(lambda: datetime(2026, 3, 1, 12, 30))
    return app


async def _from_the_top(driver: Driver) -> None:
    """Scroll every list to where it stands for who comes from its top: else it tells how high it was when the head came there."""
    await driver.settle()
    if driver.app.screen is driver.app.main:
        for panel in driver.app.main.panels.values():
            panel.top = 0
        driver.app.main.repaint()
        await driver.settle()


async def _see(driver: Driver, text: str) -> None:
    await driver.until(lambda: text in driver.text())


def after(look: Look) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Press keys and let everything come to rest before the picture; see `Look.keys`."""

    async def run(pilot: Pilot[None]) -> None:
        driver = Driver(pilot.app, pilot)  # type: ignore[arg-type]
        for key in look.keys:
            await _from_the_top(driver)
            if key.startswith("see:"):
                await _see(driver, key.removeprefix("see:"))
            else:
                await (driver.press(key) if key else driver.settle())
        await _from_the_top(driver)
        if driver.app.main.pen.glyphs is ASCII and look.of != "hostile":
            assert driver.text().isascii(), sorted({sign for sign in driver.text() if not sign.isascii()})

    return run


@pytest.fixture(autouse=True)
def _the_same_everywhere(shop_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: shop_file.parents[1])
    monkeypatch.setattr(questions, "simulate_all", lambda *asked: SIMULATION)
    monkeypatch.setattr("unspool_tui.screens.programs.live_programs", lambda before: list(PROGRAMS))
    monkeypatch.setattr("unspool.query.simulator.alternative", _steady_alternative)
    monkeypatch.setattr("unspool.history.stats.cold_rebuild_us", lambda store, seq: 120.0)


@pytest.fixture(scope="session")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """What gives the file of a history, recorded when it is first asked for; not to be written to."""
    made: dict[str, Path] = {}

    def give(name: str) -> Path:
        if name not in made:
            made[name] = HISTORIES[name](tmp_path_factory.mktemp(f"{name} history", numbered=False) / "shop.unspool")
        return made[name]

    return give


def _is_quick(place: int, size: tuple[int, int], coat: str) -> bool:
    """Whether `make test` draws a picture: of the smallest screens all dark ones, of the others a share that moves along."""
    turn = place + SIZES.index(size) * 2
    if coat == "dark":
        return size[0] == 80 or turn % 8 == 0
    return (turn + 12 * (coat == "ascii")) % 24 == 1


_SCREENS = [
    pytest.param(
        name,
        size,
        coat,
        id=f"{name}-{size[0]}x{size[1]}" + (f"-{coat}" if coat != "dark" else ""),
        marks=[] if _is_quick(place, size, coat) else [pytest.mark.slow],
    )
    for place, name in enumerate(LOOKS)
    for size in SIZES
    for coat in COATS
]


@pytest.mark.parametrize(("name", "size", "coat"), _SCREENS)
def test_screen(
    snap_compare: Compare,
    histories: Callable[[str], Path],
    name: str,
    size: tuple[int, int],
    coat: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look = LOOKS[name]
    path = histories(look.of)
    # What is wrong with a file is told with its path, which is another on every run.
    monkeypatch.chdir(path.parent)
    app = steady(Path(path.name), at=look.at, follow=look.at is None, card=look.card, **COATS[coat])
    keep_still(app)
    if look.program:
        app.main.view = replace(app.main.view, program=PROGRAM)
    assert snap_compare(app, terminal_size=size, run_before=after(look))


@pytest.mark.parametrize("look", ["main", "search", "palette"])
def test_without_colour(snap_compare: Compare, shop_file: Path, monkeypatch: pytest.MonkeyPatch, look: str) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = steady(shop_file, at=LOOKS[look].at)
    assert snap_compare(app, terminal_size=(80, 24), run_before=after(LOOKS[look]))


@pytest.mark.one_in(2)
@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light", "nord"])
def test_themes(snap_compare: Compare, shop_file: Path, theme: str) -> None:
    app = steady(shop_file, at=LOOKS["base"].at, settings=Settings(theme=theme))
    assert snap_compare(app, terminal_size=(120, 40), run_before=after(LOOKS["base"]))


@pytest.mark.parametrize("look", ["palette", "export menu"])
def test_a_dialog_in_the_colours_of_the_terminal_leaves_the_screen_behind_it_in_sight(
    snap_compare: Compare, shop_file: Path, look: str
) -> None:
    app = steady(shop_file, at=LOOKS[look].at, settings=Settings(theme="ansi-dark"))

    async def run(pilot: Pilot[None]) -> None:
        await after(LOOKS[look])(pilot)
        assert "shop.unspool" in Driver(app, pilot).line(0)

    assert snap_compare(app, terminal_size=(80, 24), run_before=run)


@pytest.mark.parametrize("theme", ["ansi-dark"])
def test_the_wall_of_chains_in_other_colours(
    snap_compare: Compare, histories: Callable[[str], Path], theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, path = LOOKS["chains with findings"], histories("hurt")
    monkeypatch.chdir(path.parent)
    app = steady(Path(path.name), at=look.at, settings=Settings(theme=theme))
    assert snap_compare(app, terminal_size=(80, 24), run_before=after(look))


@pytest.mark.parametrize("look", ["chains with findings"])
def test_the_wall_of_chains_without_colour(
    snap_compare: Compare, histories: Callable[[str], Path], look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    path = histories("hurt")
    monkeypatch.chdir(path.parent)
    app = steady(Path(path.name), at=LOOKS[look].at)
    assert snap_compare(app, terminal_size=(80, 24), run_before=after(LOOKS[look]))


@pytest.mark.parametrize("size", [(58, 14), (60, 16), (300, 80)], ids=["58x14", "60x16", "300x80"])
def test_the_smallest_and_the_largest_terminal(snap_compare: Compare, shop_file: Path, size: tuple[int, int]) -> None:
    assert snap_compare(steady(shop_file, at=136), terminal_size=size, run_before=after(LOOKS["main"]))
