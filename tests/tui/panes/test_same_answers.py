"""The app and the command line give the same answers to the same questions about the same file."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from shop_files import record
from test_tabs import opened, tabbed
from tui_driver import Driver, drive, make_app, open_file

from unspool.model.json_text import to_json
from unspool.model.keys import format_path
from unspool.model.paths import parse_path
from unspool_tui.cli.diff import divergence_shape
from unspool_tui.cli.disk_usage import footprint_shape
from unspool_tui.cli.output import diagnosis_shape, simulation_shape
from unspool_tui.controls import navigation
from unspool_tui.view.model import Pane
from unspool_tui.view.moves import reveal, select


def day(seed: int, count: int = 90) -> list[tuple[dict[str, Any], str]]:
    """A shop whose records move, change, go and come back, with a switch that flaps; another seed, another day."""
    chance = random.Random(seed)
    rows = [{"sku": f"sku-{number}", "qty": number, "note": f"row {number}"} for number in range(5)]
    gone: list[dict[str, Any]] = []
    state: dict[str, Any] = {"rows": rows, "total": 0, "open": False, "log": []}
    told = []
    for number in range(count):
        kind = chance.randrange(6)
        if kind == 0 and len(rows) > 2:
            rows.insert(chance.randrange(len(rows)), rows.pop())
        elif kind == 1 and len(rows) > 2:
            gone.append(rows.pop(chance.randrange(len(rows))))
        elif kind == 2 and gone:
            rows.append(gone.pop())
        elif kind == 3:
            state["open"] = not state["open"]
            state["log"].append(f"door {number}")
        else:
            chance.choice(rows)["qty"] += 1
        state["total"] = sum(row["qty"] for row in rows)
        told.append((json.loads(json.dumps(state)), f"kind {kind}"))
    return told


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("same") / "shop.unspool", day(1))


def asked(*words: object) -> Any:
    """What the command line prints as JSON; JSON Lines as a list."""
    command = [sys.executable, "-m", "unspool_tui.cli", *map(str, words), "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode in (0, 1), ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()] if words[0] == "search" else json.loads(ran.stdout)


def as_json(shape: Any) -> Any:
    """The same as it would be printed."""
    return json.loads(to_json(shape))


async def page(driver: Driver, key: str, name: str) -> Any:
    """Open a page that asks the whole history, and return what it got."""
    await driver.press(key)
    await driver.until(lambda: getattr(driver.app.screen, name, None) is not None)
    return getattr(driver.app.screen, name)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("at", [89, 40])
async def test_blame(shop: Path, at: int) -> None:
    told = {parse_path(value["path"]): value["seq"] for value in asked("blame", shop, "--at", at)["values"]}
    assert len(told) > 8
    async with drive(make_app(open_file(shop), at=at), size=(120, 80)) as driver:
        main = driver.app.main
        for path in told:
            main.apply(reveal(main.view, path))
        await driver.settle()
        nodes = [main.scene.inspect.node(row) for row in range(navigation.count(main, Pane.INSPECT))]
        shown = {node.address: main.scene.inspect.origin(node, main.view).seq for node in nodes if node is not None}
        assert {path: shown[path] for path in told} == told


@pytest.mark.slow
async def test_every_write_of_a_value(shop: Path) -> None:
    for path in ("rows[1].qty", "rows[0]", "open"):
        # The screen begins at the head, the command line with the oldest.
        told = asked("blame", shop, path, "--writes", "--unchanged")["writes"][::-1]
        async with drive(make_app(open_file(shop), at=89)) as driver:
            main = driver.app.main
            main.apply(select(main.view, parse_path(path)))
            await driver.press("W")
            await driver.until(lambda: "Writes of" in driver.text())
            listed = [int(choice.value) for choice in driver.app.screen._choices]  # type: ignore[attr-defined]
            assert listed == [write["seq"] for write in told]
            await driver.press("G" if len(listed) == 1 else "j", "enter")
            assert driver.view.head == listed[min(1, len(listed) - 1)]
            assert format_path(driver.view.selected) == told[min(1, len(listed) - 1)]["path"]


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("sku-3", ["sku-3"]),
        ("door", ["door"]),
        ("kind 3", ["kind 3"]),
        ("qty > 6", ["qty > 6"]),
        ("= rows[?qty > 6].sku", ["--expr", "rows[?qty > 6].sku"]),
        ("nowhere", ["nowhere"]),
    ],
)
async def test_search(shop: Path, typed: str, words: list[str]) -> None:
    told = asked("search", shop, *words)
    async with drive(make_app(open_file(shop), at=0)) as driver:
        await driver.press("/")
        await driver.type(typed)
        await driver.press("enter")
        await driver.until(lambda: not driver.view.search.running)
        assert list(driver.view.search.hits) == sorted({hit["seq"] for hit in told})
        for hit in reversed(told):
            assert any(one["path"] == format_path(driver.app.main.hit_paths[hit["seq"]]) for one in told)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("question", ["open", "total > 15", "rows[?sku == 'sku-2']", "total == null"])
async def test_bisect(shop: Path, question: str) -> None:
    told = asked("bisect", shop, question)
    async with drive(make_app(open_file(shop), at=0)) as driver:
        await driver.press("B")
        await driver.type(question)
        await driver.press("enter")
        await driver.until(lambda: "entries rebuilt" in driver.app.main.messages.all()[-1].text)
        assert list(driver.view.search.hits) == [flip["seq"] for flip in told["flips"]]
        said = driver.app.main.messages.all()[-1].text
        assert f"{told['asked']:,} entries rebuilt, {told['avoided']:,} left out" in said
        rows = driver.app.main.scene.results.list
        shown = [(rows[row].seq, rows[row].mark) for row in range(len(rows))]
        assert shown == [(flip["seq"], "holds" if flip["holds"] else "no longer") for flip in told["flips"]]


async def test_compare(shop: Path, tmp_path: Path) -> None:
    states = day(1)
    for state, _ in states[50:]:
        state["total"] += 1
    other = record(tmp_path / "other.unspool", states)
    told = asked("compare", shop, other, "--top", 200)
    assert told["relation"] == "diverged"
    async with drive(tabbed(shop, other)) as driver:
        await driver.press("L")
        await opened(driver, 1)
        await driver.press("H")
        found = await page(driver, "C", "_found")
        assert as_json(divergence_shape(found)) == told


async def test_bytes(shop: Path) -> None:
    told = asked("bytes", shop, "--top", 200)
    async with drive(make_app(open_file(shop), at=0)) as driver:
        assert as_json(footprint_shape(await page(driver, "U", "_found"))) == told


async def test_doctor(shop: Path) -> None:
    told = asked("doctor", shop)
    async with drive(make_app(open_file(shop), at=0)) as driver:
        await driver.press("c")
        found = as_json(diagnosis_shape(await page(driver, "D", "_diagnosis")))
        assert found == {**told, "source": found["source"]}


@pytest.mark.slow
async def test_simulate(shop: Path) -> None:
    told = asked("simulate", shop)
    async with drive(make_app(open_file(shop), at=0)) as driver:
        found = as_json(simulation_shape(await page(driver, "S", "_found")))

    def measured_apart(shape: Any) -> Any:
        # Times, and what is weighed by them, are measured anew each time.
        return {
            one["line"]: {
                name: value for name, value in one.items() if name not in ("rebuild_us", "record_us", "on_front")
            }
            for one in shape["candidates"]
        }

    assert measured_apart(found) == measured_apart(told)
    assert {name: found[name] for name in ("entries", "sampled", "windows")} == {
        name: told[name] for name in ("entries", "sampled", "windows")
    }


async def test_check(shop: Path) -> None:
    told = asked("check", shop)
    async with drive(make_app(open_file(shop), at=0)) as driver:
        await driver.press("K")
        await driver.until(lambda: not driver.view.dock.running)
        rows = driver.app.main.scene.results.list
        found = [(rows[row].seq, format_path(rows[row].address, root="")) for row in range(len(rows))]
    assert [seq for seq, _ in found] == [finding["seq"] for finding in told["findings"]]
    assert all(path in ("", finding["path"]) for (_, path), finding in zip(found, told["findings"], strict=True))
