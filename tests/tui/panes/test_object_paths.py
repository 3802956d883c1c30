"""Fields of objects and keys of any type on the screen: the tree, the changes, and what is copied."""

import enum
import json
from dataclasses import dataclass
from pathlib import Path as FilePath

import pytest
from tui_driver import Driver, drive, make_app, open_file

from unspool import Recorder
from unspool.model.keys import Path, format_path
from unspool.model.paths import parse_path
from unspool_tui.view.model import Pane
from unspool_tui.view.moves import focus, reveal


class Mode(enum.Enum):
    IDLE = "i"
    BUSY = "b"


@dataclass
class Cart:
    total: int


@pytest.fixture
def objects_file(tmp_path: FilePath) -> FilePath:
    path = tmp_path / "objects.unspool"
    with Recorder(path) as recorder:
        for total, mode in ((5, Mode.IDLE), (6, Mode.BUSY)):
            carts = {"ada": Cart(total)}
            grid = {(1, 2): {None: total}, True: "yes", 2: "int", "2": "text"}
            recorder.record({"carts": carts, "mode": mode, "grid": grid}, f"total {total}")
    return path


async def _reveal(driver: Driver, path: Path) -> None:
    main = driver.app.main
    main.apply(focus(reveal(main.view, path), Pane.INSPECT))
    await driver.settle()


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    ("path", "value", "jq"),
    [
        ("carts.ada.total", "6", ".carts.ada.value.total"),
        ("grid[(1, 2)][None]", "6", '.grid["$pairs"][0][1]["$pairs"][0][1]'),
        ("grid[True]", "yes", '.grid["$pairs"][1][1]'),
        ("grid[2]", "int", '.grid["$pairs"][2][1]'),
        ('grid["2"]', "text", '.grid["$pairs"][3][1]'),
        ("mode.name", "BUSY", ".mode.value[0]"),
    ],
)
async def test_every_path_is_shown_and_copied_by_one_spelling(
    objects_file: FilePath, clipboard: list[str], path: str, value: str, jq: str
) -> None:
    async with drive(make_app(open_file(objects_file), at=1)) as driver:
        await _reveal(driver, parse_path(path))
        assert format_path(driver.view.selected, root="") == path
        await driver.press("y", "v")
        assert clipboard[-1] == value
        await driver.press("y", "p")
        assert clipboard[-1] == f"$.{path}"
        await driver.press("y", "q")
        assert clipboard[-1] == jq
        await driver.press("y", "l")
        assert clipboard[-1].endswith(f"--at 1 --atom {path}") or clipboard[-1].endswith(f"--atom '{path}'")


async def test_types_stand_beside_values_and_changes_at_their_fields(objects_file: FilePath) -> None:
    async with drive(make_app(open_file(objects_file), at=1)) as driver:
        await _reveal(driver, parse_path("grid[(1, 2)][None]"))
        shown = driver.text()
        assert "ada.total" in shown
        assert "[(1, 2)][None]" in shown
        assert "Mode.IDLE (" in shown
        assert "Mode.BUSY" in shown
        await _reveal(driver, parse_path("carts.ada.total"))
        assert f"{__name__}.Cart {{1}}" in driver.text()


async def test_the_writes_of_a_field_are_found_from_the_screen(objects_file: FilePath) -> None:
    async with drive(make_app(open_file(objects_file), at=1)) as driver:
        for path in ("carts.ada.total", "grid[(1, 2)][None]"):
            await _reveal(driver, parse_path(path))
            await driver.press("W")
            await driver.until(lambda: "Writes of" in driver.text())
            assert "5" in driver.text()
            await driver.press("escape")


async def test_a_patch_that_json_cannot_hold_is_refused_on_the_last_line(
    objects_file: FilePath, clipboard: list[str]
) -> None:
    async with drive(make_app(open_file(objects_file), at=1)) as driver:
        await driver.press("y", "d")
        await driver.settle()
        assert not clipboard or not json.loads(clipboard[-1])
        assert "JSON Patch cannot hold" in driver.text()
