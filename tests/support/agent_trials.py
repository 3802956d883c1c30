"""Trials of the agent: random programs held against brute force, and faults planted in it that the program must not see."""

from __future__ import annotations

import ast
import random
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

from support.live_host import Host, Recorded, monitored, pythons, record
from support.live_programs import atoms, program, reference
from unspool.live import agent_source


def changes(seen: Recorded) -> list[tuple[int, Any, dict[str, Any]]]:
    """Return line and state of each entry that changed anything."""
    found: list[tuple[int, Any, dict[str, Any]]] = []
    for entry in seen.entries:
        state = atoms(entry["state"])
        if (state or found) and (not found or repr(found[-1][1]) != repr(state)):
            found.append((entry["line"], state, entry))
    return found


Stored = tuple[tuple[str, ...], str]
"""A path, and what was stored there; of a row without keys only that it changed."""


def stores(before: Any, after: Any, path: tuple[str, ...] = ()) -> set[Stored]:
    """Return what differs between two states, as the reference spells them."""
    if isinstance(before, dict) and isinstance(after, dict):
        sides = [{repr(key): item for key, item in side.items()} for side in (before, after)]
    elif before[:1] == after[:1] == ["{}"] if isinstance(before, list) and isinstance(after, list) else False:
        sides = [{repr(key): item for key, item in side[1]} for side in (before, after)]
    else:
        is_row = isinstance(before, list) and isinstance(after, list)
        return set() if repr(before) == repr(after) else {(path, "" if is_row else repr(after))}
    old, new = sides
    found = {((*path, key), "gone" if key not in new else repr(new[key])) for key in old.keys() ^ new.keys()}
    return found.union(*(stores(old[key], new[key], (*path, key)) for key in old.keys() & new.keys()))


def exact_trial(folder: Path, seed: int, version: str) -> tuple[int, int]:
    """Hold one program against the reference; return changes, and those whose line was named."""
    source = program(seed)
    expected = reference(folder, pythons().get("3.11", pythons()[version]), source)
    seen = record(folder, source, version, name="program.py", watch=["ROOT"], exact=True, stores=True)
    assert seen.code == 0, seen.err
    assert seen.of_kind("bye")[0]["faults"] == []
    found = changes(seen)
    places = {repr(state): number for number, (_, state) in reversed(list(enumerate(expected)))}
    named = 0
    lines_of: dict[str, set[int]] = {}
    for line, state in expected:
        lines_of.setdefault(repr(state), set()).add(line)
    for line, state, entry in found:
        if entry.get("unseen"):
            continue
        assert repr(state) in places, (version, seed, line, entry["action"], state)
        if line in lines_of[repr(state)]:
            named += 1
    assert repr(found[-1][1]) == repr(expected[-1][1]), (version, seed)
    return len(expected), named


def loose_trial(folder: Path, seed: int, version: str) -> None:
    """Hold a random program, recorded without `--exact`, against the reference: an entry is right or marked.

    Of one that is beyond doubt, the line stored what the entry changed, where calls are seen too.
    """
    source = program(seed)
    expected = reference(folder, pythons().get("3.11", pythons()[version]), source)
    seen = record(folder, source, version, name="program.py", watch=["ROOT"], stores=True)
    known = {repr(state) for _, state in expected}
    stored: dict[int, set[Stored]] = {}
    for (_, before), (line, after) in pairwise([(0, {}), *expected]):
        stored.setdefault(line, set()).update(stores(before, after))
    found = changes(seen)
    for (_, before, _), (line, state, entry) in pairwise([(0, {}, {}), *found]):
        # Without events of calls, a line of the program is named for what a method that it called stored.
        is_sure = not any(entry.get(mark) for mark in ("unseen", "doubt", "merged", "capped", "cut"))
        if is_sure and version in monitored():
            assert stores(before, state) <= stored.get(line, set()), (version, seed, line, entry["action"])
        is_marked = any(entry.get(mark) for mark in ("unseen", "doubt", "elsewhere", "merged", "capped", "cut"))
        assert is_marked or repr(state) in known, (version, seed, entry["action"])
    assert repr(found[-1][1]) == repr(expected[-1][1])


def bare(folder: Path, version: str, source: str) -> subprocess.CompletedProcess[str]:
    (folder / "app.py").write_text(source)
    return subprocess.run(
        [pythons()[version], "app.py"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def planted(seed: int) -> tuple[str, str]:
    """Return the agent with a fault at a random statement that happens at every so many of its runs, and its place."""
    chance = random.Random(seed)
    tree = ast.parse(agent_source())
    bodies: list[tuple[str, list[ast.stmt]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name not in (
            "run",
            "_program",
            "_run_file",
            "_run_text",
            "_hide_own_frames",
            # These run while the agent's text is loaded, before anything of it could stand between a fault and the program.
            "_http",
            "_statement",
        ):
            bodies += [
                (node.name, inner.body)
                for inner in ast.walk(node)
                if isinstance(inner, ast.FunctionDef | ast.For | ast.If | ast.While | ast.Try)
            ]
    name, body = chance.choice(bodies)
    every = chance.choice((1, 2, 5, 20))
    fault = chance.choice(
        ("ZeroDivisionError('planted')", "MemoryError()", "KeyError('planted')", "RuntimeError('x')")
    )
    at = chance.randrange(len(body) + 1)
    body[at:at] = ast.parse(f"if _plant({every}): raise {fault}").body
    source = ast.unparse(ast.fix_missing_locations(tree))
    head = "_planted = [0]\ndef _plant(every):\n    _planted[0] += 1\n    return _planted[0] % every == 0\n"
    lines = source.split("\n")
    place = next(number for number, line in enumerate(lines) if line.startswith("from __future__")) + 1
    return "\n".join([*lines[:place], head, *lines[place:]]), f"{name}: {fault} every {every}"


VICTIM = """\
import threading
class Item:
    def __init__(self, n): self.n = n
class Shop:
    def __init__(self): self.items, self.by, self.log = [], {}, set()
    def add(self, n):
        self.items.append(Item(n))
        self.by[n] = [n]
        self.log |= {n}
        if n % 3 == 0: del self.items[0]
        return n
X = Shop()
def work():
    for n in range(10): X.add(n)
    try:
        X.add(None)
    except TypeError as error:
        print("as ever:", error)
thread = threading.Thread(target=work)
thread.start()
thread.join()
work()
X.by.clear()
print(len(X.items), X.by, len(X.log))
raise SystemExit(3)
"""


def faulty_trial(folder: Path, seed: int, version: str) -> None:
    """Hold what a program does with a fault planted in the agent against what it does alone."""
    alone = bare(folder, version, VICTIM)
    source, place = planted(seed)
    host = Host(folder)
    host.agent_file.write_text(source)
    settle = ("statement", "line", "return", "call")[seed % 4]
    try:
        config: dict[str, Any] = {"watch": ["X"], "settle": settle, "exact": seed % 3 == 0, "redact": ["log"]}
        process = host.start(pythons()[version], "app.py", config=config)
        try:
            host.accept(5)
            host.read(None, 30)
        except (TimeoutError, AssertionError):
            pass
        out, err = process.communicate(timeout=30)
    finally:
        host.close()
    err = "".join(line for line in err.splitlines(True) if not line.startswith("unspool: not recorded"))
    assert (out, err, process.returncode) == (alone.stdout, alone.stderr, alone.returncode), (seed, place)
