"""Libraries between a line of the user's own code and what it changes: the line is named, not the library."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from support.live_host import Recorded, each_python, monitored, record

LIBRARY = """\
import contextlib
import functools


class Notifying(dict):
    def __init__(self, *given, on_update=None):
        super().__init__(*given)
        self.on_update = on_update

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        if self.on_update is not None:
            self.on_update(self)


class Session(Notifying):
    def __init__(self, *given):
        def on_update(self):
            self.modified = True

        super().__init__(*given, on_update=on_update)
        self.modified = False

    def __ilshift__(self, pair):
        self[pair[0]] = pair[1]
        return self


class Proxy:
    def __init__(self, find):
        object.__setattr__(self, "_find", find)

    def __getattr__(self, name):
        return getattr(self._find(), name)

    def __setitem__(self, key, value):
        self._find()[key] = value


def new_session():
    return Session()


def apply(items, number, tell):
    items.append(number)
    tell(items)
    items.append(number + 1)


def counting(function):
    @functools.wraps(function)
    def wrapper(items, *given):
        items.append("called")
        return function(items, *given)
    return wrapper


@contextlib.contextmanager
def lent(items):
    items.append("in")
    yield items
    items.append("out")


def growing(items):
    for number in range(2):
        items.append(number)
        yield number


def nested(items, tell):
    return apply(items, 5, lambda _: apply(items, 7, tell))


class Pushing:
    def __init__(self, items):
        self.items = items

    def __lshift__(self, item):
        self.items.append(item)
        return self

    @property
    def grown(self):
        self.items.append("grown")
        return True


def serve(handler, times):
    for number in range(times):
        session = Session()
        session["n"] = number
        handler(session)
"""


def recorded(folder: Path, source: str, version: str, **config: Any) -> tuple[Recorded, list[int]]:
    """Record a program that uses the library, installed as pip does; return what was seen, and the lines of its entries."""
    place = folder / "site-packages"
    place.mkdir()
    (place / "lib.py").write_text(LIBRARY)
    head = "import sys; sys.path.insert(0, 'site-packages'); import lib, functools\n"
    seen = record(folder, head + textwrap.dedent(source), version, stores=True, **config)
    assert seen.code == 0, seen.err
    assert seen.of_kind("bye")[0]["faults"] == []
    return seen, [entry["line"] for entry in seen.entries if not entry.get("unseen")]


CALLED_BACK = {
    "a callback": (
        """\
        S = []
        def tell(items):
            items.append("told")
        lib.apply(S, 1, tell)
        """,
        [2, 5, 4, 5],
    ),
    "callbacks within callbacks": (
        """\
        S = []
        def tell(items):
            items.append("told")
        lib.nested(S, tell)
        """,
        [2, 5, 4, 5],
    ),
    "a decorator": (
        """\
        S = []
        @lib.counting
        def add(items, item):
            items.append(item)
        add(S, 1)
        """,
        [2, 6, 5],
    ),
    "a context manager": (
        """\
        S = []
        with lib.lent(S) as items:
            items.append("within")
        """,
        [2, 3, 4, 3],
    ),
    "a generator": (
        """\
        S = []
        for number in lib.growing(S):
            S.append("seen")
        """,
        [2, 3, 4, 3, 4],
    ),
    "a partial function": (
        """\
        S = []
        def tell(items):
            items.append("told")
        call = functools.partial(lib.apply, S, tell=tell)
        call(3)
        """,
        [2, 6, 4, 6],
    ),
    "a callback that changes nothing": (
        """\
        S = []
        seen = []
        def tell(items):
            seen.append(len(items))
            S.append("more")
        lib.apply(S, 1, tell)
        """,
        [2, 7, 6, 7],
    ),
    "an operator and a property": (
        """\
        S = []
        pushing = lib.Pushing(S)
        pushing << 1 << 2
        pushing.grown
        """,
        [2, 4, 4, 5],
    ),
    "a store that cannot be followed": (
        """\
        S = {"items": []}
        def find():
            return S
        def tell(items):
            find()["told"] = 1
        lib.apply(S["items"], 1, tell)
        """,
        [2, 7, 6, 7],
    ),
    "functions of the standard library": (
        """\
        S = [3]
        class Lazy:
            @functools.cached_property
            def value(self):
                return len(S)
        S.append(Lazy())
        S[-1].value
        """,
        [2, 7, 8],
    ),
}


@pytest.mark.parametrize("case", CALLED_BACK)
def test_what_a_library_changes_has_the_line_that_called_it(tmp_path: Path, case: str) -> None:
    source, lines = CALLED_BACK[case]
    seen, found = recorded(tmp_path, source, monitored()[-1], watch=["S"])
    assert found == lines
    assert seen.of_kind("bye")[0]["unseen"] == 0


SESSIONS = """\
import threading
current = []
session = lib.Proxy(lambda: current[-1])
def handle(found):
    current.append(found)
    session["user"] = found["n"]
    found.update(more=1)
def started():
    current.append(lib.new_session())
    session["user"] = "ann"
    current[-1] <<= ("k", 1)
lib.serve(handle, 2)
started()
thread = threading.Thread(target=lib.serve, args=(handle, 1))
thread.start()
thread.join()
"""


@pytest.mark.parametrize("version", each_python())
def test_instances_of_a_librarys_class_are_seen_from_their_first_line_on(tmp_path: Path, version: str) -> None:
    seen, _ = recorded(tmp_path, SESSIONS, version, watch=["@Session"])
    last = seen.entries[-1]["state"]
    assert len(last) == 4, last
    named: dict[str, int] = {}
    before: dict[str, str] = {}
    for entry in seen.entries:
        for name, value in entry["state"].items():
            if not entry.get("unseen") and "'user'" in str(value) and "'user'" not in before.get(name, ""):
                named[name] = entry["line"]
        before = {name: str(value) for name, value in entry["state"].items()}
    assert named == {"Session#1": 7, "Session#2": 7, "Session#3": 11, "Session#4": 7}


HANDED_OVER = """\
import functools, heapq, operator, threading
from concurrent.futures import ThreadPoolExecutor
class Box: pass
box = Box()
D = {"l": [], "m": [], "box": box, "long": {f"k{i}": 0 for i in range(50)}}
HEAD
    some, more = D["l"], D["m"]
    timer = threading.Timer(0.001, D.__setitem__, ("timer", 8)); timer.start(); timer.join()
    D["after"] = 9
    list(map(list.append, [some, more], [10, 10]))
    some.append(11)
    for _ in map(more.append, [12]): pass
    more.append(13)
    put = functools.partial(D.__setitem__, "put"); put(14)
    sorted([15, 15, 15], key=lambda n: 1)
    min([16], key=some.append)
    some.extend([17])
    list(map(setattr, [box, box], ["x", "y"], [18, 18]))
    box.z = 19
    add = operator.methodcaller("append", 20); add(some)
    some.append(21)
    with ThreadPoolExecutor(1) as pool: pool.submit(many.__setitem__, "k5", 22).result()
    many["k6"] = 23
    many.update(k7=24)
    push = more.append; push(25); push(25)
    later = [functools.partial(heapq.heappush, some)]; later[0](26)
    exec("D['exec'] = 27")
    del D["exec"]; D["end"] = 28
    many.__setitem__("k8", 29)
"""
HEADS = {"statement": "if many := D['long']:", "return": "def main(many=D['long']):"}


def numbers_in(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers_in(item)]
    if isinstance(value, list | tuple):
        return [number for item in value for number in numbers_in(item)]
    return [value] if isinstance(value, int) else []


@pytest.mark.parametrize(("settle", "exact"), [("statement", True), ("statement", False), ("return", False)])
@pytest.mark.parametrize("version", each_python())
def test_what_runs_functions_in_c_for_others_is_named_or_in_doubt(
    tmp_path: Path, version: str, settle: str, exact: bool
) -> None:
    """Each line stores its own number, so that an entry tells whose it is."""
    source = HANDED_OVER.replace("HEAD", HEADS[settle]) + ("main()\n" if settle == "return" else "")
    seen = record(tmp_path, source, version, watch=["D"], settle=settle, exact=exact, stores=True)
    assert (seen.err, seen.of_kind("bye")[0]["faults"]) == ("", [])
    before: list[int] = []
    named: set[int] = set()
    for entry in seen.entries:
        now = numbers_in(entry["state"])
        new = list(now)
        for number in before:
            if number in new:
                new.remove(number)
        if not (entry.get("doubt") or entry.get("unseen")) and len(before) > 1:
            assert set(new) <= {entry["line"]}, (entry["place"], entry["action"], new)
            named.update(new)
        before = now
    assert sorted(set(before) - {0}) == sorted(set(range(8, 30)) - {15, 16, 27} | {16})
    if exact and version in monitored():
        assert {9, 10, 11, 13, 14, 16, 17, 18, 19, 21, 25, 26, 28} <= named
