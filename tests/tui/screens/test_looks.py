"""How every screen looks, as pictures at three sizes; `--snapshot-update` draws them anew."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from looks_scenes import LOOKS, SIMULATION, Look
from shop_files import hurt, record, shop_states
from textual.pilot import Pilot
from tui_driver import Driver, keep_still, make_app

from unspool.history.history import History
from unspool.model.cache import CacheStats
from unspool.store.file import FileStore
from unspool_tui import questions
from unspool_tui.app import UnspoolApp
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

    return run


@pytest.fixture(autouse=True)
def _the_same_everywhere(shop_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: shop_file.parents[1])
    monkeypatch.setattr(questions, "simulate_all", lambda *asked: SIMULATION)
    monkeypatch.setattr("unspool.history.stats.cold_rebuild_us", lambda store, seq: 120.0)


@pytest.fixture(scope="session")
def hurt_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of which one block cannot be read any more."""
    return hurt(record(tmp_path_factory.mktemp("hurt") / "shop.unspool", shop_states(500)))


@pytest.fixture(scope="module")
def faulty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of a shop that counts its orders by how many there are, and cancels some: an id comes twice."""
    orders: list[dict[str, int]] = []
    told = []
    for number, (state, action) in enumerate(shop_states(200)):
        if number % 10 == 4:
            orders = [*orders, {"id": len(orders), "total": 100 + number}]
            action = "place order"
        elif number % 50 == 48:
            orders = orders[:1] + orders[2:]
            action = "cancel order"
        told.append(({**state, "orders": orders}, action))
    return record(tmp_path_factory.mktemp("faulty") / "shop.unspool", told)


_SCREENS = [
    # The widest one shows what the middle one shows; a few of it are enough in between.
    pytest.param(
        name, size, id=f"{name}-{size[0]}x{size[1]}", marks=[pytest.mark.slow] if size[0] == 200 and place % 4 else []
    )
    for place, name in enumerate(LOOKS)
    for size in SIZES
]


@pytest.mark.parametrize(("name", "size"), _SCREENS)
def test_screen(
    snap_compare: Compare,
    shop_file: Path,
    hurt_file: Path,
    faulty_file: Path,
    name: str,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look = LOOKS[name]
    path = hurt_file if look.hurt else faulty_file if look.faulty else shop_file
    # What is wrong with a file is told with its path, which is another on every run.
    monkeypatch.chdir(path.parent)
    app = steady(Path(path.name), at=look.at, follow=look.at is None)
    keep_still(app)
    assert snap_compare(app, terminal_size=size, run_before=after(look))


@pytest.mark.parametrize("look", ["main", "changes zoomed and split", "chains examined"])
def test_ascii_only(snap_compare: Compare, shop_file: Path, look: str) -> None:
    app = steady(shop_file, at=LOOKS[look].at, ascii=True)
    assert snap_compare(app, terminal_size=(120, 40), run_before=after(LOOKS[look]))


@pytest.mark.parametrize("look", ["main", "search", "palette"])
def test_without_colour(snap_compare: Compare, shop_file: Path, monkeypatch: pytest.MonkeyPatch, look: str) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = steady(shop_file, at=LOOKS[look].at)
    assert snap_compare(app, terminal_size=(80, 24), run_before=after(LOOKS[look]))


@pytest.mark.parametrize("theme", ["unspool-light", "ansi-dark", "ansi-light", "nord"])
def test_themes(snap_compare: Compare, shop_file: Path, theme: str) -> None:
    app = steady(shop_file, at=LOOKS["base"].at, settings=Settings(theme=theme))
    assert snap_compare(app, terminal_size=(120, 40), run_before=after(LOOKS["base"]))


def test_a_light_modal(snap_compare: Compare, shop_file: Path) -> None:
    app = steady(shop_file, at=LOOKS["palette"].at, settings=Settings(theme="unspool-light"))
    assert snap_compare(app, terminal_size=(120, 40), run_before=after(LOOKS["palette"]))


@pytest.mark.parametrize("theme", ["unspool-light", "ansi-dark"])
def test_the_wall_of_chains_in_other_colours(
    snap_compare: Compare, hurt_file: Path, theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = LOOKS["chains with findings"]
    monkeypatch.chdir(hurt_file.parent)
    app = steady(Path(hurt_file.name), at=look.at, settings=Settings(theme=theme))
    assert snap_compare(app, terminal_size=(80, 24), run_before=after(look))


@pytest.mark.parametrize("look", ["chains with findings"])
def test_the_wall_of_chains_without_colour(
    snap_compare: Compare, hurt_file: Path, look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(hurt_file.parent)
    app = steady(Path(hurt_file.name), at=LOOKS[look].at)
    assert snap_compare(app, terminal_size=(80, 24), run_before=after(LOOKS[look]))


@pytest.mark.parametrize("size", [(58, 14), (60, 16), (300, 80)], ids=["58x14", "60x16", "300x80"])
def test_the_smallest_and_the_largest_terminal(snap_compare: Compare, shop_file: Path, size: tuple[int, int]) -> None:
    assert snap_compare(steady(shop_file, at=136), terminal_size=size, run_before=after(LOOKS["main"]))
