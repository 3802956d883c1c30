"""What is written to the terminal for a part of the screen: the terminal shows what a whole frame would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from shop_files import record
from textual._compositor import Compositor, CompositorUpdate, LayoutUpdate
from textual.widgets import Static
from tui_driver import Driver, drive, make_app, open_file

from unspool_tui.widgets.lines import LinesCompositor, LinesView

_CONSOLE = Console(force_terminal=True, color_system="truecolor", width=400)


class Terminal:
    """Keeps what updates write, cell by cell, without colours."""

    def __init__(self, width: int, height: int) -> None:
        self.cells = [[" "] * width for _ in range(height)]
        self.partial = 0

    def take(self, update: CompositorUpdate | None) -> None:
        """Write an update into the cells."""
        if isinstance(update, LayoutUpdate):
            x0, y0, *_ = update.region
            for y, strips in enumerate(update.strips, y0):
                self._write(x0, y, "".join(strip.text for strip in strips))
        elif update is not None:
            self.partial += 1
            for x, y, text in _placed(update.render_segments(_CONSOLE)):
                self._write(x, y, text)

    def _write(self, x: int, y: int, text: str) -> None:
        for character in text:
            size = cell_len(character)
            self.cells[y][x : x + size] = [character, *[""] * (size - 1)]
            x += size

    @property
    def text(self) -> str:
        """What it shows."""
        return "\n".join("".join(line) for line in self.cells)


def _placed(written: str) -> Iterator[tuple[int, int, str]]:
    """Yield texts with the cells that they begin at, out of what goes to a terminal."""
    x = y = 0
    for number, piece in enumerate(written.split("\x1b[")):
        code, text = ("", piece) if not number else (piece[: _code_end(piece)], piece[_code_end(piece) :])
        if code.endswith("H"):
            y, x = (int(part) - 1 for part in code[:-1].split(";"))
        text = text.strip("\n")
        if text:
            yield x, y, text
            x += cell_len(text)


def _code_end(piece: str) -> int:
    return next(at for at, character in enumerate(piece) if character.isalpha()) + 1


def watch(driver: Driver, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> Terminal:
    """Have a terminal take every update from now on, beginning with what is there."""
    terminal = Terminal(*size)
    for y, line in enumerate(driver.text().split("\n")):
        terminal._write(0, y, line)
    render = Compositor.render_update

    def rendered(self: Compositor, *what: object, **how: object) -> CompositorUpdate | None:
        update: CompositorUpdate | None = render(self, *what, **how)  # type: ignore[arg-type,assignment]
        terminal.take(update)
        return update

    monkeypatch.setattr(Compositor, "render_update", rendered)
    return terminal


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_a_terminal_shows_what_a_whole_frame_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    states = [({"名前": "値" * (step % 40), "text": "x" * step, f"added {step}": step}, "書く") for step in range(60)]
    path = record(tmp_path / "wide.unspool", states)
    async with drive(make_app(open_file(path), at=30), size) as driver:
        terminal = watch(driver, monkeypatch, size)
        for key in (
            ".",
            "pagedown",
            "3",
            "j",
            "enter",
            "z",
            "z",
            "b",
            ".",
            "?",
            "escape",
            ",",
            "G",
            "/",
            "x",
            "escape",
        ):
            await driver.press(key)
            assert terminal.text == driver.text(), key
        assert terminal.partial


async def test_a_step_lays_no_screen_over_itself(shop_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written line by line, also after a dialog was in front and after panes changed places."""
    asked: list[str] = []
    way = Compositor.render_partial_update

    def watched(self: Compositor) -> CompositorUpdate | None:
        asked.append(type(self).__name__)
        return way(self)

    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        await driver.press("?", "escape", "z", "z", ".")
        monkeypatch.setattr(Compositor, "render_partial_update", watched)
        await driver.press(".", "pagedown", "G")
        assert LinesCompositor.__name__ not in asked


async def test_what_stands_in_front_of_lines_stays(shop_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that something else has a part of is left to Textual."""
    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        cover = Static("COVERED")
        cover.styles.position, cover.styles.layer = "absolute", "front"
        cover.styles.width, cover.styles.height, cover.styles.offset = 9, 3, (10, 12)
        driver.app.main.styles.layers = ("default", "front")
        await driver.app.main.mount(cover)
        await driver.settle()
        terminal = watch(driver, monkeypatch, (120, 40))
        for key in (".", "pagedown", ","):
            await driver.press(key)
            assert terminal.text == driver.text()
        assert "COVERED" in terminal.text


async def test_a_widget_that_was_never_drawn_is_drawn_as_a_whole() -> None:
    assert LinesView().line_at(0) is None
