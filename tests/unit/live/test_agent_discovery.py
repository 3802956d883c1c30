"""Without a name to watch the agent says what changes most, and goes on with what is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.live_host import Host, monitored, pythons, record

GAME = """\
import sys, helper
class Ship:
    def __init__(self): self.x, self.shots = 0, []
class World:
    total = {"frames": 0}
    def __init__(self): self.ships = [Ship(), Ship()]
WORLD = World()
IDLE = {"never": "changes"}
COUNTS = []
def frame():
    hidden = Ship()
    for ship in WORLD.ships:
        ship.x += 1
        hidden.x = ship.x
    WORLD.ships[0].shots.append(1)
    World.total["frames"] += 1
    helper.CACHE["k"] = len(COUNTS)
    if not WORLD.ships[0].x % 10:
        COUNTS.append(1)
def run():
    for _ in range(30): frame()
if len(sys.argv) < 2:
    run()
else:
    for line in sys.stdin:
        run()
        print("ran", flush=True)
"""


def found(message: dict[str, Any]) -> dict[str, int]:
    return {item["watch"]: item["changes"] for item in message["names"]}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", monitored())
def test_what_changes_most_comes_first(tmp_path: Path, version: str) -> None:
    (tmp_path / "helper.py").write_text("CACHE = {}\n")
    seen = record(tmp_path, GAME, version)
    assert (seen.code, seen.err, seen.of_kind("bye")[0]["faults"]) == (0, "", [])
    (message,) = seen.of_kind("found")
    names = found(message)
    assert next(iter(names)) == "app:WORLD"
    assert {"app:WORLD", "app:World", "helper:CACHE", "app:COUNTS", "@Ship"} == set(names)
    assert names["app:WORLD"] >= 90
    first = message["names"][0]
    assert first["type"] == "__main__.World"
    assert seen.sites[first["site"]]["name"] == "frame"
    assert seen.entries == []


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", pythons())
def test_what_is_chosen_is_recorded_from_then_on(tmp_path: Path, version: str) -> None:
    (tmp_path / "helper.py").write_text("CACHE = {}\n")
    (tmp_path / "app.py").write_text(GAME)
    host = Host(tmp_path)
    process = host.start(pythons()[version], "app.py", "talk", config={"discover": 0.5, "sweep": 50}, talks=True)

    def run() -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ran\n"

    try:
        host.accept()
        while not host.seen.of_kind("found"):
            run()
            host.ask("sweep")
        names = found(host.seen.of_kind("found")[0])
        assert {"app:WORLD", "helper:CACHE"} <= set(names)
        assert "app:IDLE" not in names
        assert host.ask("watch", names=["app:WORLD"])["unknown"] == []
        run()
        host.ask("sweep")
        ship = host.seen.entries[-1]["state"]["ships"][0][1]
        assert ship["x"] % 30 == 0
        assert min(ship["x"], 5000) == len([shot for shot in ship["shots"] if shot == 1])
        if version != "3.11":
            assert host.seen.entries[-1]["action"].startswith("frame: ")
    finally:
        host.close()


SHORT = """\
import collections
class Shop:
    def __init__(self): self.orders, self.stock = [], {"tea": 2}
RATES, NAMES = {"tea": 1}, ("ada",)
def main():
    global SHOP
    SHOP = Shop()
    for n in range(9):
        SHOP.orders.append({"number": n})
main()
"""


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", pythons())
def test_a_program_that_ends_before_anybody_looked_still_has_names_to_choose_from(
    tmp_path: Path, version: str
) -> None:
    seen = record(tmp_path, SHORT, version)
    assert (seen.code, seen.err, seen.of_kind("bye")[0]["faults"]) == (0, "", [])
    (message,) = seen.of_kind("found")
    assert message["over"] is True
    first = message["names"][0]
    assert (first["watch"], first["type"]) == ("app:SHOP", "__main__.Shop")
    assert first["nodes"] >= 12
    assert first["new"] is (version == "3.11")
    assert "app:NAMES" not in found(message)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", pythons())
def test_what_only_came_about_is_offered_too(tmp_path: Path, version: str) -> None:
    seen = record(tmp_path, "import json\nDATA = json.loads('{\"a\": [1, {}]}')\nN = 3\n", version)
    (message,) = seen.of_kind("found")
    assert [(item["watch"], item["new"]) for item in message["names"]] == [("app:DATA", True)]


IN_MAIN = """\
import sys
SHARED = {"n": 0}

class Server:
    served = 0

    def run(self):
        seen, shared = [], SHARED
        print("runs", flush=True)
        for line in sys.stdin:
            self.served += 1
            seen.append(line)
            shared["n"] += 1
            helper()
            print("ran", flush=True)

def helper():
    own = []
    own.append(1)

Server().run()
"""


@pytest.mark.parametrize("version", monitored())
def test_locals_of_functions_that_run_for_long_are_offered_and_recorded_from_where_they_are(
    tmp_path: Path, version: str
) -> None:
    host = Host(tmp_path)
    (tmp_path / "app.py").write_text(IN_MAIN)
    try:
        process = host.start(
            pythons()[version], "app.py", config={"sweep": 20, "discover": 0.1, "rate": 0}, talks=True
        )
        assert process.stdin is not None
        assert process.stdout is not None

        def turn() -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ran\n"

        assert process.stdout.readline() == "runs\n"
        host.accept()
        # The timer has to have seen the function run before anything is found: then its variables are offered.
        host.ask("sweep")
        host.ask("sweep")
        while not host.seen.of_kind("found"):
            turn()
            host.ask("sweep")
        names = {item["watch"] for item in host.seen.of_kind("found")[0]["names"]}
        assert names == {"app:SHARED", "app:Server.run.self", "app:Server.run.seen"}
        assert host.ask("watch", names=["app:Server.run.self", "app:Server.run.seen"])["ok"]
        before = host.seen.entries[-1]["state"]["Server.run.self"][1]["served"]
        assert before > 0
        turn()
        host.ask("sweep")
        assert host.seen.entries[-1]["state"]["Server.run.self"][1]["served"] == before + 1
        assert len(host.seen.entries[-1]["state"]["Server.run.seen"]) == before + 1
        assert [entry["line"] for entry in host.seen.entries[-2:]] == [11, 12]
    finally:
        host.close()


ALL_IN_MAIN = """\
def add(cart, what):
    cart["items"].append(what)

def main():
    cart, prices = {"items": [], "n": 0}, {"tea": 1}
    for n in range(9):
        cart["n"] += prices["tea"]
        add(cart, n)
        if n > 5: cart["full"] = True
    print(cart["n"])

main()
"""


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", monitored())
def test_variables_of_a_function_that_has_ended_are_offered_to_be_recorded_by_running_it_again(
    tmp_path: Path, version: str
) -> None:
    seen = record(tmp_path, ALL_IN_MAIN, version)
    (message,) = seen.of_kind("found")
    assert found(message) == {"app:main.cart": 12}
    again = record(tmp_path, ALL_IN_MAIN, version, watch=["app:main.cart"])
    assert again.entries[-2]["state"]["main.cart"]["n"] == 9
    assert again.out == "9\n"
