"""What can be watched, when entries are made, and what is said when a name stands for nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.live_host import Host, Recorded, each_python, monitored, pythons, record

SOURCE = """\
import helper

class Counter:
    made = 0
    limits = {"low": 1}
    def __init__(self, n):
        self.n = n
        Counter.made += 1

A = Counter(1)
B = {"k": [1]}

def work(start, *rest):
    total = start
    parts = []
    for step in rest:
        total += step
        parts.append(total)
    A.n = total
    return total

def again(n):
    if n:
        deep = [n]
        again(n - 1)
        deep.append(0)

work(1, 2, 3)
B["k"].append(2)
helper.CONFIG["mode"] = "fast"
helper.BOX.inner["x"] = 1
C = Counter(5)
C.n += 1
Counter.limits["low"] = 2
again(2)
A = Counter(7)
A.n = 8
del A
"""
HELPER = """\
class Box:
    def __init__(self):
        self.inner = {}
BOX = Box()
CONFIG = {"mode": "slow"}
"""


def states(folder: Path, *watch: str, version: str = "", **config: Any) -> tuple[list[Any], Recorded]:
    (folder / "helper.py").write_text(HELPER)
    seen = record(folder, SOURCE, version, watch=list(watch), stores=True, **config)
    assert (seen.code, seen.err, seen.of_kind("bye")[0]["faults"]) == (0, "", [])
    return [entry["state"] for entry in seen.entries], seen


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", each_python())
def test_names_of_other_modules_and_attributes(tmp_path: Path, version: str) -> None:
    found, seen = states(tmp_path, "helper:CONFIG", version=version)
    assert found == [{"mode": "slow"}, {"mode": "fast"}]
    assert [entry["place"] for entry in seen.entries] == ["helper.py:5", "app.py:30"]
    assert states(tmp_path, "helper:BOX.inner", version=version)[0][-1] == {"x": 1}
    assert states(tmp_path, "app:B", version=version)[0] == [{"k": [1]}, {"k": [1, 2]}]


def test_a_library_is_looked_into_where_its_folder_is_named(tmp_path: Path) -> None:
    library = tmp_path / "elsewhere"
    library.mkdir()
    (library / "store.py").write_text(
        "class Store:\n    def __init__(self):\n        self.n = 0\n    def more(self):\n        self.n += 1\n"
    )
    app = tmp_path / "app"
    app.mkdir()
    source = f"import sys\nsys.path.append({str(library)!r})\nimport store\nX = store.Store()\nX.more()\nX.n = 7\n"
    outside = record(app, source, watch=["X"])
    assert [entry["place"] for entry in outside.entries] == ["app.py:4", "app.py:5", "app.py:6"]
    inside = record(app, source, watch=["X"], prefix=[str(library)])
    assert [entry["place"] for entry in inside.entries] == ["app.py:4", "store.py:5", "app.py:6"]


KEEPING = """
def keeps(cache):
    def decorate(function):
        def call(n):
            if n not in cache: cache[n] = function(n)
            return cache[n]
        return call
    return decorate
class Keeper:
    def __init__(self, cache): self.cache = [[cache]]
    def put(self, n): self.cache[0][0][n] = n
KEPT = []
def put_into_global(n): KEPT[0][n] = n
def put_out_of_sight(n): put_out_of_sight.held[n] = n
class Wrapper:
    def __init__(self, cache): self.cache = cache
    def __call__(self, n): self.cache[n] = n
"""


@pytest.mark.parametrize("version", monitored())
def test_what_a_library_holds_on_to_is_blamed_on_its_call_or_marked(tmp_path: Path, version: str) -> None:
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "keeping.py").write_text(KEEPING)
    app = tmp_path / "app"
    app.mkdir()
    source = (
        f"import sys\nsys.path.append({str(library)!r})\nimport keeping\nX = {{}}\nkeeper = keeping.Keeper(X); keeping.KEPT.append(X); keeping.put_out_of_sight.held = X\n"
        "@keeping.keeps(X)\ndef square(n): return n * n\nsquare(2)\nsquare(3)\nX[9] = 9\nkeeping.put_out_of_sight(4)\nX[10] = 10\n"
        "called = keeping.Wrapper(X)\ncalled(11)\nX[12] = 12\nkeeper.put(13)\nkeeping.put_into_global(14)\n"
    )
    seen = record(app, source, version, watch=["X"])
    assert seen.of_kind("bye")[0]["faults"] == []
    told = [(entry["line"], dict(entry["state"]), bool(entry.get("doubt"))) for entry in seen.entries]
    assert [line for line, _, _ in told] == [8, 9, 10, 12, 14, 15, 16, 17]
    assert told[1][1] == {"2": 4, "3": 9}
    assert not any(is_doubt for _, _, is_doubt in told[:3])
    # What the keeper did in between is in the last entry, which says that it may hold more than its line did.
    assert told[3][1] == {"2": 4, "3": 9, "9": 9, "4": 4, "10": 10}
    assert told[3][2]
    assert told[4][1] == told[3][1] | {"11": 11}


@pytest.mark.parametrize("version", monitored())
def test_a_program_that_a_library_s_module_loads_from_the_current_folder_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    server = tmp_path / "lib" / "site-packages" / "server"
    server.mkdir(parents=True)
    (server / "__main__.py").write_text("import sys\nsys.path.insert(0, '')\nimport app\napp.handle(5)\n")
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text("X = {'n': 0}\ndef handle(by):\n    X['n'] += by\n")
    host = Host(app)
    monkeypatch.setenv("PYTHONPATH", str(server.parent))
    try:
        host.start(pythons()[version], "-m", "server", config={"watch": ["app:X"]})
        seen = host.finish()
    finally:
        host.close()
    assert [entry["place"] for entry in seen.entries] == ["app.py:1", "app.py:3"]


@pytest.mark.parametrize("version", each_python())
def test_several_roots_are_an_atom_each(tmp_path: Path, version: str) -> None:
    found, seen = states(tmp_path, "A", "B", version=version)
    assert found[0] == {"A": ("__main__.Counter", {"n": 1})}
    assert found[-1] == {"B": {"k": [1, 2]}}
    assert seen.entries[-1]["action"] == "<module>: del A"
    assert {"A": ("__main__.Counter", {"n": 8}), "B": {"k": [1, 2]}} in found


@pytest.mark.parametrize("version", each_python())
def test_a_class_is_its_data(tmp_path: Path, version: str) -> None:
    found, seen = states(tmp_path, "Counter", version=version)
    assert found[0] == {"made": 0, "limits": {"low": 1}}
    assert found[-1] == {"made": 3, "limits": {"low": 2}}
    assert [entry["line"] for entry in seen.entries] == [3, 8, 8, 34, 8]


@pytest.mark.parametrize("version", each_python())
def test_an_attribute_of_a_class_is_no_local_of_its_body(tmp_path: Path, version: str) -> None:
    found, seen = states(tmp_path, "Counter.made", version=version)
    assert [state["Counter.made"] for state in found] == [0, 1, 2, 3]
    assert [entry["line"] for entry in seen.entries] == [3, 8, 8, 8]
    assert seen.of_kind("bye")[0]["unseen_names"] == []
    limits, seen = states(tmp_path, "app:Counter.limits", version=version)
    assert (limits, seen.entries[-1]["line"]) == ([{"low": 1}, {"low": 2}], 34)


@pytest.mark.parametrize("version", each_python())
def test_two_locals_that_one_line_stores(tmp_path: Path, version: str) -> None:
    source = "def f(n):\n    a, b = n, n + 1\n    c, n = b, a\n    return c\nf(1)\n"
    seen = record(tmp_path, source, version, watch=["f.a", "f.b", "f.c"], stores=True)
    told = {(name, entry["line"]) for entry in seen.entries for name in entry["state"]}
    assert {("f.a", 2), ("f.b", 2), ("f.c", 3)} <= told
    assert ("f.c", 2) not in told
    assert seen.entries[-2]["state"] == {"f.a": 1, "f.b": 2, "f.c": 2}


TEXT = """\
from dataclasses import dataclass
@dataclass
class Point:
    x: int
D = {"z": 0}
def put(n):
    D[n] = Point(n)
put("a")
del D["a"]
"""


@pytest.mark.parametrize("version", each_python())
def test_lines_of_code_from_the_command_line(tmp_path: Path, version: str) -> None:
    host = Host(tmp_path)
    try:
        host.start(pythons()[version], "-c", f"{TEXT}1 / 0", "x", config={"watch": ["D"], "stores": True})
        seen = host.finish()
    finally:
        host.close()
    assert [(entry["place"], entry["action"]) for entry in seen.entries] == [
        ("<string>:5", '<module>: D = {"z": 0}'),
        ("<string>:7", "put: D[n] = Point(n)"),
        ("<string>:9", '<module>: del D["a"]'),
        ("<string>:10", "<module>: 1 / 0"),
    ]
    assert not any(entry.get("unseen") for entry in seen.entries)
    plain = subprocess.run(
        [pythons()[version], "-c", f"{TEXT}1 / 0", "x"], capture_output=True, text=True, check=False
    )
    assert (seen.code, seen.err) == (plain.returncode, plain.stderr)


@pytest.mark.parametrize("version", each_python())
def test_every_instance_of_a_class_while_it_lives(tmp_path: Path, version: str) -> None:
    found, _ = states(tmp_path, "@Counter", version=version)
    named = {name for state in found for name in state}
    assert named == {"Counter#1", "Counter#2", "Counter#3"}
    assert {"Counter#1": ("__main__.Counter", {"n": 6}), "Counter#2": ("__main__.Counter", {"n": 6})} in found
    assert found[-1] == {"Counter#2": ("__main__.Counter", {"n": 6})}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", each_python())
def test_locals_of_a_function_while_it_runs(tmp_path: Path, version: str) -> None:
    found, seen = states(tmp_path, "work.*", version=version)
    assert found[0] == {"start": 1, "rest": ("tuple", [2, 3])}
    whole = {"start": 1, "rest": ("tuple", [2, 3]), "total": 6, "parts": [3, 6], "step": 3}
    assert whole in found
    assert found[-1] == {}
    lines = {entry["line"] for entry in seen.entries if entry["state"].get("parts") == [3]}
    assert 18 in lines
    one, _ = states(tmp_path, "app:work.parts", version=version)
    assert one == [{"work.parts": []}, {"work.parts": [3]}, {"work.parts": [3, 6]}, {}]
    deep, _ = states(tmp_path, "again.deep", version=version)
    assert [state.get("again.deep") for state in deep] == [[2], [1], [1, 0], [2], [2, 0], None]


def test_entries_are_made_when_a_condition_holds(tmp_path: Path) -> None:
    found, seen = states(tmp_path, "B", "helper:CONFIG", when="len(B['k']) > 1 and CONFIG['mode'] == 'fast'")
    assert found == [{"B": {"k": [1, 2]}, "CONFIG": {"mode": "fast"}}]
    assert seen.entries[0]["line"] == 30


@pytest.mark.parametrize("version", each_python())
def test_calls_of_a_traced_function_are_entries(tmp_path: Path, version: str) -> None:
    _, seen = states(tmp_path, "B", version=version, trace=["work", "app:gone"])
    assert seen.of_kind("bye")[0]["uncalled"] == ["app:gone"]
    traced = [entry["trace"] for entry in seen.entries if "trace" in entry]
    assert traced[0]["event"] == "call"
    assert traced[0]["args"][0] == ["start", 1]
    assert traced[-1] == {"event": "return", "value": 6}


def test_exceptions_that_leave_a_function_are_entries(tmp_path: Path) -> None:
    source = (
        "X = {}\ndef f():\n    X['a'] = 1\n    raise KeyError('gone')\ntry:\n    f()\nexcept KeyError:\n    pass\n"
    )
    for version in pythons():
        seen = record(tmp_path, source, version, watch=["X"], stores=True)
        (entry,) = [entry for entry in seen.entries if "exc" in entry]
        assert entry["exc"]["type"] == "builtins.KeyError"
        assert (entry["exc"]["text"], entry["line"]) == ("gone", 4), version


SERVICE = """\
import sys
CART = {"n": 0}
OTHER = {"m": 0}
def step():
    CART["n"] += 1
    OTHER["m"] += 1
for line in sys.stdin:
    eval(line)
    print(CART["n"], flush=True)
"""


def test_pause_resume_and_other_names_while_it_runs(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SERVICE)
    host = Host(tmp_path)
    process = host.start(pythons()[monitored()[-1]], "app.py", config={"watch": ["CRAT"]}, talks=True)

    def step() -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("step()\n")
        process.stdin.flush()
        process.stdout.readline()

    try:
        step()
        answer = host.ask("watch", names=["CRAT", "OTHERS", "CART"])
        assert answer["unknown"] == [
            "CRAT: there is no CRAT in __main__ yet; did you mean CART",
            "OTHERS: there is no OTHERS in __main__ yet; did you mean OTHER",
        ]
        assert host.ask("watch", names=["CART"])["unknown"] == []
        step()
        host.ask("sweep")
        assert host.seen.entries[-1]["state"] == {"n": 2}
        assert host.seen.entries[-1]["line"] == 5
        assert host.ask("pause")["ok"]
        step()
        step()
        assert host.ask("resume")["ok"]
        assert host.seen.entries[-1]["state"] == {"n": 4}
        assert host.seen.entries[-1]["unseen"]
        step()
        host.ask("watch", names=["app:OTHER", "CART"])
        step()
        host.ask("sweep")
        assert host.seen.entries[-1]["state"] == {"OTHER": {"m": 6}, "CART": {"n": 6}}
        assert host.ask("nonsense")["ok"] is False
    finally:
        host.close()
