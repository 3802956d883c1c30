"""Real stores in Node: Redux, Redux Toolkit, zustand, valtio, jotai and MobX appear, are put back, go on from there and fork."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.listening import entries_of, length_of, listening
from support.node_packages import PACKAGES, node_packages
from support.node_stores import NAMING_ACTIONS, STORES, WITH_REDUCER, NodeApp, running
from support.waiting import wait_until
from unspool.control import ControlClient, TravelRefused
from unspool_tui.cli import run

pytestmark = pytest.mark.slow


@pytest.fixture(params=STORES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[NodeApp, Path]]:
    folder = tmp_path / "recordings"
    with listening(folder) as place, running(tmp_path, place, STORES[request.param]) as program:
        path = folder / "cart.unspool"
        wait_until(lambda: length_of(path) == 1, "the first entry")
        yield program, path


def grown(path: Path, count: int) -> None:
    wait_until(lambda: length_of(path) >= count, f"{count} entries")


def numbers(path: Path) -> list[tuple[int, int | None]]:
    """Return the number in the store and the parent of each entry."""
    return [(state["n"], parent) for _, state, parent, _ in entries_of(path)]


def test_it_appears_is_scrubbed_jumps_and_forks(app: tuple[NodeApp, Path], request: pytest.FixtureRequest) -> None:
    program, path = app
    for by in range(1, 10):
        program.add(by)
    grown(path, 10)
    assert [n for n, _ in numbers(path)] == [0, 1, 3, 6, 10, 15, 21, 28, 36, 45]
    if request.node.callspec.params["app"] in NAMING_ACTIONS:
        assert entries_of(path)[3][0] == "cart/add"
        assert entries_of(path)[3][3]["action"] == {"payload": 3}
    with ControlClient(path) as client:
        for seq in (9, 8, 2, 7):
            assert client.look(seq).seq == seq
            assert program.n == numbers(path)[seq][0]
        client.back()
        assert program.n == 45
        # Entry 2 is older than what the app itself keeps.
        assert "n" in client.jump(2).changed
        assert program.tell("state")["log"] == [1, 2]
        program.add(100)
        grown(path, 11)
        assert numbers(path)[10] == (103, 2)
        client.back()
        assert program.n == 45
        program.add(5)
        grown(path, 12)
        assert numbers(path)[11] == (50, 9)


def test_it_is_paused_and_what_happened_meanwhile_is_not_blamed_on_anybody(app: tuple[NodeApp, Path]) -> None:
    program, path = app
    with ControlClient(path) as client:
        program.add(1)
        grown(path, 2)
        client.pause()
        for by in (2, 3):
            program.add(by)
        client.resume()
        program.add(4)
    wait_until(lambda: numbers(path)[-1][0] == 10, "what comes after it")
    assert 3 not in [n for n, _ in numbers(path)]
    told = [meta["unspool.passed_over"] for _, _, _, meta in entries_of(path) if "unspool.passed_over" in meta]
    # Redux DevTools do not tell how many there were.
    assert told in ([1], [2])


def test_an_action_is_skipped_and_one_is_sent(app: tuple[NodeApp, Path], request: pytest.FixtureRequest) -> None:
    program, path = app
    for by in (1, 2, 3):
        program.add(by)
    grown(path, 4)
    with ControlClient(path) as client:
        if request.node.callspec.params["app"] not in WITH_REDUCER:
            with pytest.raises(TravelRefused):
                client.skip([2])
            return
        client.skip([2])
        assert program.tell("state") == {"n": 4, "log": [1, 3]}
        assert numbers(path)[4:] == [(1, 1), (4, 4)]
        client.dispatch({"type": "cart/add", "payload": 50})
        assert program.n == 54
        grown(path, 7)
        assert numbers(path)[6] == (54, 5)


def test_blame_names_the_line_of_the_program(app: tuple[NodeApp, Path], request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    program, path = app
    if request.node.callspec.params["app"] in ("redux by the elder client", "toolkit"):
        pytest.skip("these send no stack unless they are told to")
    if request.node.callspec.params["app"] == "valtio by the script":
        pytest.skip("it tells of changes later, from no line of the program")
    program.add(7)
    grown(path, 2)
    assert run(["blame", str(path), "n", "--json"]) == 0
    [value] = json.loads(capsys.readouterr().out)["values"]
    assert value["caller"]["file"].endswith("app.mjs")
    line = value["caller"]["line"]
    assert "by" in Path(value["caller"]["file"]).read_text().splitlines()[line - 1]


def test_the_shop_of_the_examples_loses_goods_where_bisect_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = Path(__file__).parents[2] / "examples" / "redux_shop"
    needs = json.loads((example / "package.json").read_text())["dependencies"]
    assert needs == {name: PACKAGES[name] for name in needs}
    folder = tmp_path / "shop"
    folder.mkdir()
    for name in ("package.json", "shop.mjs"):
        shutil.copy(example / name, folder)
    (folder / "node_modules").symlink_to(node_packages() / "node_modules")
    with listening(tmp_path / "recordings") as place:
        path = tmp_path / "recordings" / "shop.unspool"
        told = {"SHOP_PORT": str(place.port), "SHOP_STEPS": "150", "SHOP_GAP_MS": "4"}
        subprocess.run(["node", "shop.mjs"], cwd=folder, env={**os.environ, **told}, check=True, timeout=60)
        wait_until(lambda: not path.with_name("shop.unspool-ctl").exists(), "the end of the shop")
    assert length_of(path) > 110
    question = "add(add(stock.tea, cart.tea), sold.tea) != delivered.tea"
    assert run(["bisect", str(path), question, "--json", "--first"]) == 0
    seq = json.loads(capsys.readouterr().out)["first"]["seq"]
    found = entries_of(path)
    assert found[seq][0] == "cart/removed"
    before, after = found[seq - 1][1], found[seq][1]
    assert before["cart"]["tea"] - after["cart"]["tea"] > after["stock"]["tea"] - before["stock"]["tea"] == 1
    assert found[seq][3]["caller"]["file"].endswith("shop.mjs")


def test_thousands_of_actions_at_once_are_all_there(app: tuple[NodeApp, Path]) -> None:
    program, path = app
    for by in range(600):
        program.add(by % 3)
    grown(path, 601)
    assert [n for n, _ in numbers(path)] == [sum(by % 3 for by in range(count)) for count in range(601)]
