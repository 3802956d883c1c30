"""Putting a program back that knows nothing of it: in place, and with what cannot be put back told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.live_host import Host, Recorded, monitored, pythons
from support.waiting import wait_until

SERVICE = """\
import sys, threading
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass
from enum import Enum

class Color(Enum):
    RED = 1
    BLUE = 2

Point = namedtuple("Point", "x y")

@dataclass(frozen=True)
class Price:
    amount: int

class Item:
    __slots__ = ("name", "qty")
    def __init__(self, name, qty):
        self.name, self.qty = name, qty

class Guarded:
    def __init__(self, n):
        object.__setattr__(self, "n", n)
    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)

class Shop:
    def __init__(self):
        self.items = [Item("tea", 1)]
        self.by_key = {"a": [1], (1, 2): {"x": 1.5}}
        self.seen = {1, 2}
        self.recent = deque([1])
        self.order = OrderedDict(a=1, b=2)
        self.at = Point(1, [2])
        self.color = Color.RED
        self.price = Price(3)
        self.lock = threading.Lock()
        self.guarded = Guarded(1)
        self.me = self
        self.raw = bytearray(b"ab")

SHOP = Shop()
alias = SHOP.items
first = SHOP.items[0]

def change():
    SHOP.items.append(Item("milk", 7))
    first.qty += 1
    SHOP.by_key["a"].append(2)
    SHOP.by_key["new"] = Point(5, 6)
    SHOP.seen.add(3)
    SHOP.recent.append(2)
    SHOP.order.move_to_end("a")
    SHOP.at[1].append(9)
    SHOP.color = Color.BLUE
    SHOP.price = Price(4)
    SHOP.guarded.n = 2
    SHOP.raw += b"c"
    SHOP.extra = 1

def forget():
    SHOP.items.clear()
    del SHOP.by_key["a"]

for line in sys.stdin:
    print(eval(line), flush=True)
"""


class Service:
    """A program that runs under the agent, and does what it is told."""

    def __init__(self, folder: Path, version: str, **config: Any) -> None:
        self.host = Host(folder)
        (folder / "service.py").write_text(SERVICE)
        command = self.host.start(pythons()[version], "service.py", config={"watch": ["SHOP"], **config}, talks=True)
        assert isinstance(command, subprocess.Popen)
        self.process = command

    def say(self, expression: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def state(self) -> dict[str, Any]:
        """Return the state of the last entry, once everything up to now was looked at."""
        self.host.ask("sweep")
        return self.host.seen.entries[-1]["state"]

    def cells(self) -> list[Any]:
        """Return the present state as a jump takes it."""
        self.host.ask("sweep")
        return json.loads(json.dumps(self.host.seen.mirror.inline()))


@pytest.fixture(params=monitored())
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    made = Service(tmp_path, request.param)
    assert made.say("1") == "1"
    yield made
    made.host.close()


def test_a_jump_puts_the_very_objects_back(service: Service) -> None:
    before, cells = service.state(), service.cells()
    service.say("change()")
    assert service.state() != before
    answer = service.host.ask("jump", seq=41, state=cells)
    assert answer["ok"], answer
    service.host.read(lambda message: message.get("action") == "jump")
    entry = service.host.seen.entries[-1]
    assert entry["parent"] == 41
    after = entry["state"]
    assert answer["kept"] == [["lock", "not recorded"], ["me", "a cycle"]]
    assert [path for path, _ in answer["refused"]] == ["guarded"]
    assert after.pop("guarded") == ("__main__.Guarded", {"n": 2})
    before.pop("guarded")
    assert after == before
    assert service.say("alias is SHOP.items and first is SHOP.items[0] and (first.qty, len(alias))") == "(1, 1)"
    assert service.say("SHOP.at[1], type(SHOP.price).__name__, hasattr(SHOP, 'extra')") == "([2], 'Price', False)"
    service.say("change()")
    service.host.ask("sweep")
    assert service.host.seen.entries[-1]["state"]["color"][-2:] == ("BLUE", "2")


def test_what_is_gone_is_made_again(service: Service) -> None:
    before, cells = service.state(), service.cells()
    service.say("forget()")
    answer = service.host.ask("jump", seq=1, state=cells)
    assert "items[0]" in answer["rebuilt"]
    service.host.read(lambda message: message.get("action") == "jump")
    assert service.host.seen.entries[-1]["state"] == before
    assert (
        service.say("type(SHOP.items[0]).__name__, SHOP.items[0].qty, SHOP.items[0] is first") == "('Item', 1, False)"
    )


def test_a_setter_is_only_passed_by_when_asked_to(service: Service) -> None:
    cells = service.cells()
    service.say("setattr(SHOP.guarded, 'n', 5)")
    refused = service.host.ask("jump", seq=1, state=cells)
    assert "force" in refused["refused"][0][1]
    assert service.say("SHOP.guarded.n") == "5"
    assert service.host.ask("jump", seq=1, state=cells, force=True)["refused"] == []
    assert service.say("SHOP.guarded.n") == "1"


NO_STATES: list[Any] = [None, [], ["state"], ["state", ["a"], []], ["state", [1], [[]]], {"a": 1}, "state", 1]
NO_VALUES: list[Any] = [
    ["list"], [], ["list", 5], ["list", [["decimal", "x"]]], ["list", [["object", "os._Environ", ["x"], [1]]]],
    ["list", [["object", "no.Such", [], []]]], ["list", [["std", "system", "ls"]]], ["object", "__main__.Shop"],
    ["list", [["object", "subprocess.Popen", ["pid"], [1]]]], ["list", [["of", "builtins.type", 1]]],
]  # fmt: skip


def test_what_is_no_state_changes_nothing(service: Service) -> None:
    for state in NO_STATES:
        answer = service.host.ask("jump", seq=1, state=state)
        assert not answer["ok"], state
    for cell in NO_VALUES:
        names, cells = service.cells()[1:]
        cells[names.index("items")] = cell
        answer = service.host.ask("jump", seq=1, state=["state", names, cells])
        assert not answer["ok"] or answer["refused"][0][0].startswith("items"), (cell, answer)
        assert service.say("len(SHOP.items), first.qty, alias is SHOP.items") == "(1, 1, True)"


def test_a_program_in_the_middle_of_something_is_not_put_back(tmp_path: Path) -> None:
    host = Host(tmp_path)
    source = """\
import time
X = {"n": 0}
def inner():
    X["n"] += 1
    end = time.monotonic() + 60
    time.sleep(60)
def outer():
    while True:
        inner()
outer()
"""
    (tmp_path / "busy.py").write_text(source)
    try:
        host.start(pythons()[monitored()[0]], "busy.py", config={"watch": ["X"]})
        host.read(lambda message: message["m"] == "r" and host.seen.entries[-1]["state"] == {"n": 1})
        answer = host.ask("jump", seq=1, state=["state", ["n"], [0]], within=0.05)
        assert not answer["ok"]
        assert "inner, busy.py:6" in answer["why"]
    finally:
        host.close()


BUSY_SERVICE = """\
import time
STORE = {"records": [{"n": 0} for _ in range(4_000)], "turns": 0}
def turn():
    STORE["turns"] += 1
def serve():
    while True:
        turn()
        time.sleep(0.002)
def main():
    for record in STORE["records"]:
        assert record
    serve()
main()
"""


class Unread(Recorded):
    """Applies entries without working out what each leaves."""

    def take(self, line: bytes) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(line)
        self.messages.append(message)
        if message["m"] == "r":
            self.mirror.apply(message)
        return message


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", pythons())
def test_a_service_that_works_more_often_than_all_of_it_can_be_looked_at_is_put_back(
    tmp_path: Path, version: str
) -> None:
    host = Host(tmp_path)
    host.seen = Unread()
    (tmp_path / "busy.py").write_text(BUSY_SERVICE)
    try:
        host.start(pythons()[version], "busy.py", config={"watch": ["STORE"], "rate": 0})
        host.read(lambda message: message.get("n") == 1)
        cells = json.loads(json.dumps(host.seen.mirror.inline()))
        cells[2][1] = -1_000_000
        answer = host.ask("jump", seq=1, state=cells)
        assert answer["ok"], answer
        host.read(lambda message: message.get("action") == "jump")
        assert -1_000_000 <= host.seen.mirror.state()["turns"] < 0
    finally:
        host.close()


def test_values_that_are_equal_and_not_the_same_are_put_back(service: Service) -> None:
    def put(values: str) -> None:
        service.say(f"vars(SHOP).__setitem__('alike', {values})")

    before = "{'zero': 0.0, 'one': 1, 'yes': True, 'same': 1.5, 'in': [0.0, 1, None], '4': [{}]}"
    put(before)
    cells = service.cells()

    for values in (
        "{'zero': -0.0, 'one': True, 'yes': 1, 'same': 1.5, 'in': [-0.0, 1.0, 0], '4': [{}]}",
        "{'zero': 0, 'one': 1.0, 'yes': 1.0, 'same': float('nan'), 'in': [0.0, 1, None, 2], '4': [{'a': 0}]}",
        "{'in': [], 'zero': 0.0, 4: 1}",
    ):
        put(values)
        answer = service.host.ask("jump", seq=1, state=cells)
        assert answer["ok"], answer
        assert service.say("repr(SHOP.alike)") == repr(eval(before))


@pytest.mark.parametrize("ending", ["detach", "killed"])
def test_a_look_ends_with_the_recording(service: Service, ending: str) -> None:
    cells = service.cells()
    service.say("change()")
    newest = service.cells()
    assert service.host.ask("jump", seq=1, state=cells, look=True)["ok"]
    assert service.host.ask("home", seq=2, state=newest)["ok"]
    assert service.say("len(SHOP.items)") == "1"
    if ending == "detach":
        answer = service.host.ask("detach")
        assert answer["look"] == "the program, which showed entry 1, goes on from entry 2, where it was before"
    else:
        service.host.hang_up()
    wait_until(lambda: service.say("len(SHOP.items)") == "2", "that it is back")


def test_a_program_that_went_on_from_a_look_is_left_there_with_a_word(service: Service) -> None:
    cells = service.cells()
    service.say("change()")
    newest = service.cells()
    assert service.host.ask("jump", seq=1, state=cells, look=True)["ok"]
    assert service.host.ask("home", seq=2, state=newest)["ok"]
    service.say("SHOP.items.clear()")
    answer = service.host.ask("detach")
    assert answer["look"] == "the program stays at entry 1, which it was to show only: it has changed something since"
    assert service.say("len(SHOP.items)") == "0"


def test_a_jump_is_not_taken_back(service: Service) -> None:
    cells = service.cells()
    service.say("change()")
    assert service.host.ask("jump", seq=1, state=cells)["ok"]
    assert "look" not in service.host.ask("detach")
    assert service.say("len(SHOP.items)") == "1"
