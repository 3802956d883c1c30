"""The agent in programs that nobody instrumented: entries, lines, and programs that stay what they were."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.live_host import Host, Mirror, each_python, monitored, pythons, record
from support.waiting import wait_until
from unspool.live.agent.recording import Session

SHOP = """\
class Item:
    def __init__(self, name, qty):
        self.name = name
        self.qty = qty


class Cart:
    def __init__(self):
        self.items = []
        self.total = 0

    def add(self, item):
        self.items.append(item)
        self.total += item.qty


CART = Cart()
CART.add(Item("tea", 2))
CART.items[0].qty = 5
alias = CART.items
alias += [1, {"deep": [1, 2]}]
alias[-1]["deep"][0] = "changed"
alias[1:2] = "ab"
del alias[0]
print("done")
"""


@pytest.mark.parametrize("version", pythons())
def test_each_change_is_an_entry_with_its_line(tmp_path: Path, version: str) -> None:
    seen = record(tmp_path, SHOP, version, watch=["CART"], stores=True)
    assert [(entry["line"], entry["action"]) for entry in seen.entries] == [
        (17, "<module>: CART = Cart()"),
        (13, "Cart.add: self.items.append(item)"),
        (14, "Cart.add: self.total += item.qty"),
        (19, "<module>: CART.items[0].qty = 5"),
        (21, '<module>: alias += [1, {"deep": [1, 2]}]'),
        (22, '<module>: alias[-1]["deep"][0] = "changed"'),
        (23, '<module>: alias[1:2] = "ab"'),
        (24, "<module>: del alias[0]"),
    ]
    assert seen.entries[3]["state"] == {"items": [("__main__.Item", {"name": "tea", "qty": 5})], "total": 2}
    assert seen.entries[-1]["state"] == {"items": ["a", "b", {"deep": ["changed", 2]}], "total": 2}
    assert seen.sites[seen.entries[1]["caller"]]["line"] == 18
    assert (seen.out, seen.err, seen.code) == ("done\n", "", 0)
    (bye,) = seen.of_kind("bye")
    assert (bye["why"], bye["unseen"], bye["faults"]) == ("exit", 0, [])


def test_without_events_the_last_state_is_found_by_looking(tmp_path: Path) -> None:
    if "3.11" not in pythons():
        pytest.skip("no Python 3.11 is installed")
    seen = record(tmp_path, SHOP, "3.11", watch=["CART"])
    assert seen.of_kind("hello")[0]["how"] == "sweep"
    assert seen.entries[-1]["state"] == {"items": ["a", "b", {"deep": ["changed", 2]}], "total": 2}


ENDS = {
    "raises": "X = {}\nX['a'] = 1\ndef f():\n    raise ValueError('no')\nf()\n",
    "exits": "import sys\nX = {}\nX['a'] = 1\nsys.exit(7)\n",
    "interrupted": "import os, signal\nX = {}\nX['a'] = 1\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(5)\n",
    "killed": "import os, signal\nX = {}\nX['a'] = 1\nos.kill(os.getpid(), signal.SIGKILL)\n",
    "syntax": "X = {}\nif:\n",
    "names": "import sys\nprint(__name__, __file__, sys.argv, sys.path[0], __spec__, len(sys.orig_argv))\nX = {}\n",
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("version", each_python())
@pytest.mark.parametrize("case", ENDS)
def test_output_and_end_of_a_program_are_its_own(tmp_path: Path, version: str, case: str) -> None:
    (tmp_path / "app.py").write_text(ENDS[case])
    bare = subprocess.run([pythons()[version], "app.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    seen = record(tmp_path, ENDS[case], version, watch=["X"], stores=True)
    assert (seen.out, seen.err, seen.code) == (bare.stdout, bare.stderr, bare.returncode)


@pytest.mark.parametrize("version", monitored())
def test_a_program_that_runs_is_joined_and_left_without_a_trace(tmp_path: Path, version: str) -> None:
    host = Host(tmp_path)
    source = """\
import os, sys
class Box: pass
BOX = Box()
BOX.n = 0
def step():
    BOX.n += 1
for line in sys.stdin:
    if line.startswith("attach"):
        exec(line.partition(" ")[2])
    else:
        step()
    tasks = len(os.listdir("/proc/self/task")) if line.startswith("left") else 0
    print(BOX.n, sys.monitoring.get_tool(3), tasks, flush=True)
"""
    (tmp_path / "service.py").write_text(source)
    process = host.process = subprocess.Popen(
        [pythons()[version], "service.py"], cwd=tmp_path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def say(line: str) -> str:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    try:
        assert say("go") == "1 None 0"
        assert say("attach " + host.attach_line(watch=["BOX"])) == "1 unspool 0"
        say("go")
        say("go")
        assert host.ask("detach")["ok"]
        host.read()
        assert host.seen.messages[-1]["why"] == "detach"
        assert [entry["state"] for entry in host.seen.entries] == [{"n": 1}, {"n": 2}, {"n": 3}]
        assert [entry["action"] for entry in host.seen.entries[1:]] == ["step: BOX.n += 1"] * 2
        wait_until(lambda: say("left").endswith(" None 1"), "the agent's thread ended")
    finally:
        host.close()


@pytest.mark.slow
def test_coming_and_going_many_times_leaves_nothing(tmp_path: Path) -> None:
    source = """\
import gc, os, sys
BOX = {"n": 0, "items": [{"a": 0} for _ in range(50)]}
def step():
    BOX["n"] += 1
    for item in BOX["items"]:
        item["a"] += 1
for line in sys.stdin:
    if line.startswith("attach"):
        exec(line.partition(" ")[2])
    step()
    gc.collect()
    here = len(gc.get_objects()), len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    print(*here, sys.monitoring.get_tool(3), sys.gettrace(), flush=True)
"""
    (tmp_path / "service.py").write_text(source)
    process = subprocess.Popen(
        [pythons()[monitored()[-1]], "service.py"],
        cwd=tmp_path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None

    def say(line: str) -> str:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    left: list[str] = []
    try:
        for _ in range(5):
            host = Host(tmp_path)
            try:
                say("attach " + host.attach_line(watch=["BOX"]))
                assert host.ask("detach")["ok"]
                host.read()
                assert host.seen.entries
            finally:
                host.close()
            wait_until(lambda: say("left").endswith(" 1 None None"), "the agent's thread ended")
            left.append(say("left"))
    finally:
        process.kill()
        process.communicate()
    # The first brings modules of the standard library.
    assert len(set(left[1:])) == 1, left


SERVER_WITH_LOOPS_BEFORE = """\
NAMES = [str(number) for number in range(3)]
COUNT = {"n": 0, "last": ""}

def handle(number):
    COUNT["n"] += 1
    COUNT["last"] = NAMES[number]

def serve():
    for number in range(3):
        handle(number)

def main():
    for name in NAMES:
        assert name
    serve()

main()
"""


@pytest.mark.parametrize("version", pythons())
def test_loops_that_are_over_do_not_make_one_request_of_a_whole_server(tmp_path: Path, version: str) -> None:
    seen = record(tmp_path, SERVER_WITH_LOOPS_BEFORE, version, watch=["COUNT"], settle="call", stores=True)
    assert [entry["action"] for entry in seen.entries[-3:]] == [
        "handle(number=0)",
        "handle(number=1)",
        "handle(number=2)",
    ]
    assert seen.entries[-1]["state"] == {"n": 3, "last": "2"}


MANY = """\
STATE = {"records": [], "n": 0}
def fill():
    STATE["records"] = [{"id": number, "tags": [number]} for number in range(1_500)]
def change():
    for place in (0, 700, 1_499):
        STATE["records"][place]["id"] += 1
        STATE["records"][place]["tags"].append("more")
        STATE["n"] += 1
fill()
change()
"""


@pytest.mark.one_in(3)
@pytest.mark.parametrize("sweep", [1, 200])
@pytest.mark.parametrize("version", pythons())
def test_what_there_was_no_time_to_read_is_told_later_and_what_changes_meanwhile_fits(
    tmp_path: Path, version: str, sweep: int
) -> None:
    seen = record(tmp_path, MANY, version, watch=["STATE"], walk=0, sweep=sweep, rate=0, stores=True)
    assert (seen.err, seen.code, seen.of_kind("error")) == ("", 0, [])
    assert any(entry.get("cut") for entry in seen.entries)
    state = seen.entries[-1]["state"]
    assert state["n"] == 3
    for place in (0, 700, 1_499):
        assert state["records"][place] == {"id": place + 1, "tags": [place, "more"]}


@pytest.mark.parametrize("version", monitored())
def test_a_large_state_that_is_found_by_looking_is_told_once(tmp_path: Path, version: str) -> None:
    host = Host(tmp_path)
    (tmp_path / "app.py").write_text(
        f"{MANY}import sys\nfor line in sys.stdin:\n    change()\n    print('ran', flush=True)\n"
    )
    config = {"walk": 0, "sweep": 10_000, "rate": 0, "discover": 60}
    try:
        process = host.start(pythons()[version], "app.py", config=config, talks=True)
        assert process.stdin is not None
        assert process.stdout is not None
        host.accept()
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ran\n"
        assert host.ask("watch", names=["app:STATE"])["ok"]
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ran\n"
        host.ask("sweep")
        rows = [row for entry in host.seen.entries for row in entry.get("rows", ())]
        assert len({row[0] for row in rows}) == len(rows) > 3_000
        state = host.seen.entries[-1]["state"]
        assert state["records"][700] == {"id": 703, "tags": [700, *["more"] * 3]}
    finally:
        host.close()


LIBRARY = """\
def go():
    go.held[0]["n"] = go.held[-1]["n"] = 1
"""
TORN = """\
import sys, time
sys.path.append("library")
import lib
STATE = {"many": [{"n": 0} for _ in range(400)], "seen": 0}
lib.go.held = STATE["many"]
def see():
    STATE["seen"] += 1
for turn in range(600):
    see()
    time.sleep(0.001)
    if turn == 300:
        lib.go()
"""


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", monitored())
def test_what_a_look_that_was_cut_short_found_half_of_is_in_doubt(tmp_path: Path, version: str) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "app.py").write_text(TORN.replace('"library"', repr(str(tmp_path / "library"))))
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "lib.py").write_text(LIBRARY)
    host = Host(tmp_path / "own")
    try:
        host.start(pythons()[version], "app.py", config={"watch": ["STATE"], "walk": 0, "sweep": 1, "rate": 0})
        seen = host.finish()
    finally:
        host.close()
    assert seen.err == ""
    ends = []
    for entry in seen.entries:
        first, last = entry["state"].get("many", [0])[0], entry["state"].get("many", [0])[-1]
        if isinstance(first, dict) and isinstance(last, dict):
            ends.append((entry, first["n"] + last["n"]))
    assert ends[-1][1] == 2
    halves = [entry for entry, found in ends if found == 1]
    assert halves
    assert all(entry.get("unseen") or entry.get("doubt") or entry.get("elsewhere") for entry in halves)


class KeptLink:
    """An outlet that keeps what is sent."""

    is_open, is_behind = True, False

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_after_a_fault_the_whole_state_is_told_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("held")
    module.X = {"n": 0, "kept": [1]}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "held", module)
    link, mirror = KeptLink(), Mirror()
    session = Session({"watch": ["held:X"]}, link, "")
    for turn in range(4):
        module.X["n"] = turn
        module.X["kept"].append(turn)
        session.look_at_all(None, None)
        for message in link.sent:
            mirror.apply(message)
        link.sent.clear()
        assert mirror.state() == module.X
        if turn < 2:
            session.resync()
            session.resync()
    assert len(mirror.nodes) == 2


IN_PLACE = """\
A = [0]
B = {1}
A += [1]
B |= {2}
def run():
    global A, B
    A += [2]
    B -= {1}
    kept = [0]
    kept += [1]
    kept.append(2)
    return A
run()
print(A, B)
"""


@pytest.mark.parametrize("watch", [["A"], ["A", "B"], ["A", "B", "run.kept"]])
@pytest.mark.parametrize("version", each_python())
def test_an_augmented_assignment_to_a_watched_name_is_an_entry_of_its_line(
    tmp_path: Path, version: str, watch: list[str]
) -> None:
    seen = record(tmp_path, IN_PLACE, version, watch=watch, stores=True)
    lines = {"A": [1, 3, 7], "B": [2, 4, 8], "run.kept": [9, 10, 11]}
    changes = [(entry["line"], entry["state"]) for entry in seen.entries]
    stores = [line for line, _ in changes if line < 12]
    assert stores == sorted(line for name in watch for line in lines[name])
    assert dict(changes)[7]["A"] == [0, 1, 2]
    assert not any(entry.get("unseen") or entry.get("doubt") for entry in seen.entries)


QUIET = """\
import random
from dataclasses import dataclass
@dataclass
class Line:
    sku: str
    qty: int = 0
class Shop:
    def __init__(self): self.stock, self.lines, self.served, self.last = {"a": 99, "b": 99}, [], 0, Line("a")
    def step(self):
        sku = RANDOM.choice(("a", "b"))
        self.stock[sku] -= 1
        self.lines.append(sku)
        self.last.qty += 1
        self.served += 1
        return sku
RANDOM = random.Random(3)
SHOP = Shop()
for _ in range(300):
    SHOP.step()
"""


@pytest.mark.parametrize("settle", ["statement", "return"])
@pytest.mark.parametrize("version", monitored())
def test_lines_that_stored_all_that_differs_are_beyond_doubt_though_a_library_rests(
    tmp_path: Path, version: str, settle: str
) -> None:
    # `choice` touches nothing watched 300 times, and is not looked at after some of them.
    seen = record(tmp_path, QUIET, version, watch=["SHOP"], settle=settle, rate=0, sweep=60_000)
    assert [entry["action"] for entry in seen.entries if entry.get("doubt") or entry.get("unseen")] == []
    assert any(entry.get("elsewhere") for entry in seen.entries)
    assert seen.entries[-1]["state"]["served"] == 300


OVERTAKEN = """\
class Box:
    def __init__(self): self.kept, self.items, self.n = {"k": 0}, [0], 0
BOX = Box()
OTHER = {"k": 0}
def sneak(target):
    target["k"] = -1
def work(turn):
    BOX.kept["k"] = turn
    BOX.items.append(turn)
    BOX.n = turn
    sneak(BOX.kept if turn == 300 else OTHER)
for turn in range(400):
    work(turn)
"""


@pytest.mark.parametrize("version", monitored())
def test_what_a_resting_line_stored_over_is_in_doubt_where_it_settles_later(tmp_path: Path, version: str) -> None:
    seen = record(tmp_path, OVERTAKEN, version, watch=["BOX"], settle="return", rate=0, sweep=60_000)
    overtaken = next(entry for entry in seen.entries if entry["state"]["kept"]["k"] == -1)
    assert overtaken.get("doubt") or overtaken.get("unseen") or overtaken["action"].startswith("sneak")
    assert sum(bool(entry.get("doubt")) for entry in seen.entries) < 10
    assert sum(bool(entry.get("elsewhere")) for entry in seen.entries) > 200


RESTING = """\
ORDERS, RECENT = [], ["a"]
def change(order):
    order["total"] = 0
def add(items, item):
    items.append(item)
for _ in range(300):
    change({}), add([], 1)
def order(number):
    ORDERS.append({"id": number, "total": 100})
    change(ORDERS[-1])
def rotate():
    add(RECENT, "d")
    del RECENT[0]
order(0)
rotate()
"""


@pytest.mark.parametrize("settle", ["statement", "return"])
@pytest.mark.parametrize("version", monitored())
def test_no_line_is_blamed_beyond_doubt_for_what_a_resting_one_put_into_its_container(
    tmp_path: Path, version: str, settle: str
) -> None:
    seen = record(tmp_path, RESTING, version, watch=["ORDERS", "RECENT"], settle=settle, rate=0, sweep=60_000)
    before: dict[str, Any] = {"ORDERS": [], "RECENT": ["a"]}
    for entry in seen.entries:
        state, action = {"ORDERS": [], "RECENT": [], **entry["state"]}, entry["action"]
        is_marked = entry.get("doubt") or entry.get("unseen")
        is_discounted = bool(state["ORDERS"]) and state["ORDERS"][0]["total"] == 0
        if is_discounted and not (before["ORDERS"] and before["ORDERS"][0]["total"] == 0):
            assert is_marked or action.startswith("change"), action
        if "d" in state["RECENT"] and "d" not in before["RECENT"]:
            assert is_marked or action.startswith("add"), action
        before = state
    assert before == {"ORDERS": [{"id": 0, "total": 0}], "RECENT": ["d"]}


class Late(Exception):
    """What a signal's handler of the program raises."""


def _raised_in(session: Session) -> None:
    """Have a signal's handler raise while an event is handled."""
    with pytest.raises(Late):
        try:
            exec(compile("raise Late", "program.py", "exec"), {"Late": Late, "__name__": "program"})
        except Late as error:
            session.fault(error)


def _held(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], Session, KeptLink]:
    module = ModuleType("held")
    state: dict[str, Any] = {"n": 0, "kept": [1]}
    module.X = state  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "held", module)
    link = KeptLink()
    session = Session({"watch": ["held:X"]}, link, "")
    session.look_at_all(None, None)
    return state, session, link


def test_an_entry_right_after_a_fault_leaves_the_state_that_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    state, session, link = _held(monkeypatch)
    _raised_in(session)
    state["kept"].append(2)
    assert session.enter()
    session.entry(None, None, [], exc={"type": "Late", "text": "", "site": 0})
    session.look_at_all(None, None)
    session.leave()
    mirror, states = Mirror(), []
    for message in link.sent:
        mirror.apply(message)
        states.append(mirror.state())
    assert states == [{"n": 0, "kept": [1]}, {"n": 0, "kept": [1]}, {"n": 0, "kept": [1, 2]}]
    assert link.sent[1]["doubt"]
    assert len(mirror.nodes) == 2


def test_a_fault_in_one_thread_waits_for_the_look_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    state, session, link = _held(monkeypatch)
    sweep = session.graph.sweep

    def swept(*arguments: Any) -> Any:
        found = sweep(*arguments)
        thread = threading.Thread(target=_raised_in, args=(session,))
        thread.start()
        thread.join()
        return found

    monkeypatch.setattr(session.graph, "sweep", swept)
    state["kept"] = [[2]]
    for _ in range(2):
        assert session.enter()
        session.look_at_all(None, None)
        session.leave()
    mirror = Mirror()
    for message in link.sent:
        mirror.apply(message)
        assert mirror.state() in ({"n": 0, "kept": [1]}, state)
    assert mirror.state() == state
