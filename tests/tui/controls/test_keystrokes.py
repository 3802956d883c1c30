"""How many keys the commonest questions take, counted from the start of the app to the answer on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shop_files import record
from tui_driver import drive, make_app, open_file

from unspool.model.keys import Path as Address
from unspool_tui.demo_app import run_at_once
from unspool_tui.view.model import Pane

SMALL = (80, 24)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "shop.unspool"
    run_at_once(str(path), rate=5.0, steps=120, seed=0, bug=True)
    return path


@pytest.mark.parametrize("size", [SMALL, (120, 40)])
@pytest.mark.parametrize(
    ("keys", "address", "answer"),
    [
        ((":", "a", "t", "enter"), ("carts", "ada", "total"), "set #111 ada arrives · demo_shop.py:98"),
        ((":", "d", "t", "enter"), ("carts", "dana", "total"), "set #115 sale ends · demo_shop.py:201"),
        ((":", "t", "r", "enter"), ("till", "revenue"), "set #107 hana pays 25.17"),
    ],
)
async def test_four_keys_tell_who_set_a_value_of_the_demo(
    demo: Path, size: tuple[int, int], keys: tuple[str, ...], address: Address, answer: str
) -> None:
    async with drive(make_app(open_file(demo)), size) as driver:
        await driver.press(*keys)
        assert driver.view.selected == address
        assert answer in driver.text()


PODS: dict[str, Any] = {
    f"node-{number}": {"pods": {f"web-{number}": {"status": {"phase": "Running", "restarts": 0}}}}
    for number in range(40)
}
GAME: dict[str, Any] = {
    "attributes": {"gravity": 9.8},
    "world": {"regions": [{"name": "north", "towns": {"oak hill": {"granary": {"wheat": 10, "rye": 4}}}}]},
}
LIGHTS: dict[str, Any] = {
    "light.kitchen": {"state": "off", "attributes": {"brightness": 0, "color_temp": 300}},
    "light.hall": {"state": "on", "attributes": {"brightness": 90, "color_temp": 250}},
}


@pytest.mark.parametrize(
    ("before", "keys", "address", "value"),
    [
        (PODS, ":sr", ("node-7", "pods", "web-7", "status", "restarts"), 3),
        (GAME, ":gw", ("world", "regions", 0, "towns", "oak hill", "granary", "wheat"), 9),
        (LIGHTS, ":ab", ("light.kitchen", "attributes", "brightness"), 40),
    ],
)
async def test_four_keys_tell_who_set_a_value_however_deep_it_is(
    tmp_path: Path, before: dict[str, Any], keys: str, address: Address, value: int
) -> None:
    """Where many values are alike, the one that was set last is meant."""
    path = record(
        tmp_path / "deep.unspool",
        [
            (before, "begin"),
            (_set(before, address, value), "this one did it"),
            (_set(before, address, value), "rest"),
        ],
    )
    async with drive(make_app(open_file(path)), SMALL) as driver:
        await driver.press(*keys, "enter")
        assert driver.view.selected == address
        assert "set #1 this one did it" in driver.text()


def _set(state: dict[str, Any], address: Address, value: Any) -> dict[str, Any]:
    step, *rest = address
    copied: Any = list(state) if isinstance(state, list) else dict(state)
    copied[step] = _set(state[step], tuple(rest), value) if rest else value
    return copied


async def test_six_keys_reach_an_atom_among_5000(tmp_path: Path) -> None:
    wide = {f"sensor_{number}": {"value": number, "unit": "K"} for number in range(5_000)}
    path = record(tmp_path / "wide.unspool", [(wide, "start"), (wide | {"sensor_4998": {"value": 1}}, "set")])
    async with drive(make_app(open_file(path), at=1)) as driver:
        await driver.press(":", "4", "9", "9", "8", "enter")
        assert driver.view.selected == ("sensor_4998",)
        assert driver.view.focus is Pane.INSPECT
        assert "sensor_4998" in driver.panel(Pane.INSPECT)


@pytest.mark.parametrize("size", [SMALL, (120, 40)])
async def test_two_keys_lead_from_a_wrong_total_to_the_line_that_did_it(demo: Path, size: tuple[int, int]) -> None:
    async with drive(make_app(open_file(demo)), size) as driver:
        await driver.press("K")
        (found,) = (line for line in driver.text().split("\n") if "dana.tota" in line)
        assert "demo_bug.py:19" in found
        await driver.press("enter")
        assert "demo_bug.py:19" in driver.text()


async def test_four_keys_tell_who_removed_a_value_and_three_more_why_it_was_what_it_was(demo: Path) -> None:
    async with drive(make_app(open_file(demo)), (100, 24)) as driver:
        await driver.press(":", "a", "t", "enter")
        await driver.press(":", "1", "0", "8", "enter")
        assert driver.view.selected == ("carts", "ada", "total")
        assert "carts.ada.total  is not there at #108" in driver.text()
        assert "removed #106 ada leaves · demo_shop.py:" in driver.text()
        await driver.press("Y")
        assert "it does not stand at #108: these are the causes as of #105" in driver.text()
        assert "#99  carts.ada.total 49.55 → 0.0  ada pays" in driver.text()
        await driver.press("escape", "W")
        await driver.until(lambda: not driver.view.dock.running)
        assert "#106 - " in driver.text()
        listed = driver.app.main.scene.results.list
        written = [listed[row] for row in range(len(listed)) if listed[row].mark != "="]
        assert [(one.seq, one.mark) for one in written[:2]] == [(106, "-"), (99, "~")]


async def test_of_a_value_that_never_was_there_the_page_of_causes_says_so(demo: Path) -> None:
    async with drive(make_app(open_file(demo)), SMALL) as driver:
        await driver.press(":", "a", "t", "enter")
        await driver.press("{")
        await driver.press("Y")
        assert "entry 0 has nothing at $.carts.ada" in driver.line(0)
        assert "Escape goes back" in driver.line(0)


async def test_a_few_letters_mean_a_value_that_is_gone_before_a_command(tmp_path: Path) -> None:
    shops = [
        {"carts": {"bo": {"n": 1}, "ada": {"total": 3}}},
        {"carts": {"bo": {"n": 1}}},
        {"carts": {"bo": {"n": 2}}},
    ]
    path = record(tmp_path / "gone.unspool", [(state, f"step {at}") for at, state in enumerate(shops)])
    async with drive(make_app(open_file(path)), SMALL) as driver:
        await driver.press(":", "a", "t", "enter")
        assert driver.view.selected == ("carts", "ada", "total")
        assert driver.view.head == 0


@pytest.mark.parametrize("typed", ["99999999999999999999", "latest~99999", "777"])
async def test_an_entry_that_is_not_there_is_refused_as_it_was_typed(demo: Path, typed: str) -> None:
    async with drive(make_app(open_file(demo)), SMALL) as driver:
        await driver.press(":", *typed, "enter")
        assert f"there is no entry {typed}" in driver.text()
