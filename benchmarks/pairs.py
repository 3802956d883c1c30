"""Two trees beside each other: nothing may have become slower.

    python -m benchmarks.pairs OLD NEW --pairs 40

OLD and NEW are checked-out trees. Pieces of every part of `python -m benchmarks`, commands from their start to their
end, and the app until its first paint run in turns, in an order that is random anew for each pair, once with NEW and
twice with OLD: what OLD takes against itself is the spread that a ratio is judged by. Times are processor seconds of
whole processes, so that other work on the machine weighs little. A row is slower when the ratio of medians is above
1.03 and its distance from 1 is more than twice the spread. The exit code tells whether any row is.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measure import median, ratio_interval
from benchmarks.pty_latency import Session
from benchmarks.tui_targets import NEXT, PAGE_DOWN, QUIT, press_mouse, release_mouse

MOST_RATIO: Final = 1.03
_CONTENDERS: Final = {"old": "old", "again": "old", "new": "new"}
"""The three runs of a pair, and whose tree each has."""
_GENERATIONS: Final = 4
"""How often a comparison starts its processes anew: where a process has its memory moves its times by percents."""
_LEAST_S: Final = 0.008
_TASKS: Final = Path(__file__).with_name("pair_tasks.py")
_READY: Final = r"unspool .*? [\d,]+/[\d,]+ "
_KEYS: Final = 4

Times = dict[str, dict[str, list[float]]]
"""Processor seconds by row and contender; at the same place in two lists stand those of one pair."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A row.

    Attributes:
        name: what was done.
        old_ms: median processor milliseconds with the old tree.
        new_ms: those with the new one.
        ratio: of the two medians.
        itself: old against itself, the ratio of medians.
        spread: largest distance from 1 of the interval that holds that ratio with 90 % confidence.
    """

    name: str
    old_ms: float
    new_ms: float
    ratio: float
    itself: float
    spread: float

    @property
    def is_slower(self) -> bool:
        """Whether the new tree is slower by more than is allowed and more than chance."""
        return self.ratio > max(MOST_RATIO, 1 + 2 * self.spread)


def compared(name: str, times: Mapping[str, Sequence[float]]) -> Compared:
    """Return the row of what the three contenders took."""
    old, again, new = (times[contender] for contender in ("old", "again", "new"))
    base = median([*old, *again])
    spread = max(abs(1 - end) for end in ratio_interval(again, old))
    return Compared(name, base * 1e3, median(new) * 1e3, median(new) / base, median(again) / median(old), spread)


class _Trees:
    """The two trees, a folder of files for each, and the settings their programs run with."""

    def __init__(self, old: Path, new: Path, folder: Path) -> None:
        self.paths = {"old": old.resolve(), "new": new.resolve()}
        self.folder = folder
        for name in self.paths:
            (folder / name).mkdir()

    def environment(self, tree: str) -> dict[str, str]:
        """Return what a program of a tree finds in its environment."""
        root = self.paths[tree]
        found = {
            key: value for key, value in os.environ.items() if key not in ("PYTHONDONTWRITEBYTECODE", "NO_COLOR")
        }
        home = self.folder / tree / "home"
        places = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "STATE", "DATA", "CACHE")}
        closed = home / "state" / "unspool" / "closed-cards.json"
        closed.parent.mkdir(parents=True, exist_ok=True)
        closed.write_text('{"cards": ["app"]}')
        search = os.pathsep.join(map(str, (root, root / "engine", root / "tui")))
        bytecode = str(self.folder / tree / "bytecode")
        own = {"PYTHONPATH": search, "PYTHONHASHSEED": "0", "PYTHONPYCACHEPREFIX": bytecode, "COLUMNS": "120"}
        return found | places | own

    def program(self, *words: str) -> tuple[str, ...]:
        """Return what starts `unspool` in a tree."""
        return (sys.executable, "-P", "-m", "unspool_tui.cli", *words)


class _Worker:
    """A process that runs tasks with the engine of one tree."""

    def __init__(self, trees: _Trees, tree: str) -> None:
        command = (sys.executable, "-P", str(_TASKS), str(trees.folder / tree))
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         env=trees.environment(tree), cwd=trees.folder / tree)  # fmt: skip

    def ask(self, *command: object) -> object:
        """Send a command and return the answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(command) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise subprocess.CalledProcessError(self._process.wait(), f"pair_tasks {command}")
        return json.loads(line)

    def took(self, name: str, repeats: int) -> float:
        """Return the processor seconds of a task."""
        found = self.ask("run", name, repeats)
        assert isinstance(found, float)
        return found

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def _workers(trees: _Trees) -> Iterator[dict[str, _Worker]]:
    with ExitStack() as stack:
        found = {contender: _Worker(trees, tree) for contender, tree in _CONTENDERS.items()}
        for worker in found.values():
            stack.callback(worker.close)
        yield found


def _turns(rng: random.Random, runs: Mapping[str, Callable[[], float]], into: dict[str, list[float]]) -> None:
    """Run one pair."""
    order = list(runs)
    rng.shuffle(order)
    for contender in order:
        into.setdefault(contender, []).append(runs[contender]())


def _tasks(trees: _Trees, pairs: int, wanted: re.Pattern[str]) -> Times:
    """Run the tasks that processes of their own repeat."""
    rng = random.Random(1)
    times: Times = {}
    repeats: dict[str, int] = {}
    generations = min(_GENERATIONS, pairs)
    for generation in range(generations):
        with _workers(trees) as workers:
            listed = workers["old"].ask("names")
            assert isinstance(listed, list)
            names = [name for name in listed if wanted.search(name)]
            for name in names:
                once = max(workers[contender].took(name, 1) for contender in workers)
                repeats.setdefault(name, max(1, round(_LEAST_S / max(once, 1e-6))))
            for _ in range(pairs * (generation + 1) // generations - pairs * generation // generations):
                rng.shuffle(names)
                for name in names:
                    count = repeats[name]
                    runs = {
                        contender: lambda worker=worker, name=name, count=count: worker.took(name, count) / count
                        for contender, worker in workers.items()
                    }
                    _turns(rng, runs, times.setdefault(name, {}))
    return times


def _command_lines(trees: _Trees) -> dict[str, tuple[str, ...]]:
    """Return the commands, each with files of the tree that runs it (`{}` is their folder)."""
    many, load = "{}/many.unspool", "{}/S1.unspool"
    told: dict[str, tuple[str, ...]] = {
        "--help": ("--help",),
        "--version": ("--version",),
        "stats, 20,000 entries": ("stats", many),
        "log -n 10, 20,000 entries": ("log", many, "-n", "10"),
        "show": ("show", load, "50"),
        "blame": ("blame", load),
        "search": ("search", load, "true"),
        "bisect": ("bisect", load, "item07.score > `50`"),
        "compare": ("compare", load, load),
        "doctor": ("doctor", load),
        "convert": ("convert", "{}/S1.jsonl.zst", "{}/out.unspool", "--force"),
        "export": ("export", load, "{}/out.jsonl", "--force"),
    }
    commands = {f"start: unspool {name}": trees.program(*words) for name, words in told.items()}
    commands["start: import unspool"] = (sys.executable, "-P", "-c", "import unspool; unspool.Recorder")
    commands["start: import and record once"] = (
        sys.executable, "-P", "-c", "import unspool\nwith unspool.Recorder('{}/once.unspool') as r: r.record({'n': 1})",
    )  # fmt: skip
    return commands


def _command(trees: _Trees, tree: str, words: Sequence[str]) -> float:
    """Return the processor seconds of a command, from its start to its end."""
    place = str(trees.folder / tree)
    filled = [word.replace("{}", place) for word in words]
    process = subprocess.Popen(filled, env=trees.environment(tree), cwd=place, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise subprocess.CalledProcessError(process.returncode, filled, stderr=said)
    return used.ru_utime + used.ru_stime


def _commands(trees: _Trees, pairs: int, wanted: re.Pattern[str]) -> Times:
    rng = random.Random(2)
    commands = {name: words for name, words in _command_lines(trees).items() if wanted.search(name)}
    times: Times = {}
    for number in range(pairs + 1):
        for name, words in commands.items():
            runs = {
                contender: lambda tree=tree, words=words: _command(trees, tree, words)
                for contender, tree in _CONTENDERS.items()
            }
            # The first round compiles and fills the page cache.
            _turns(rng, runs, times.setdefault(name, {}) if number else {})
    return times


def _app(trees: _Trees, tree: str) -> Session:
    file = str(trees.folder / tree / "many.unspool")
    words = trees.program("open", file, "--at", "10000", "--no-follow")
    return Session(words, r"unspool .*? ([\d,]+)/[\d,]+ ", environment=trees.environment(tree))


def _painted(trees: _Trees, tree: str) -> float:
    """Return the processor seconds of the app until its first paint."""
    session = _app(trees, tree)
    session.wait_for(_READY)
    taken = session.processor_seconds()
    session.settle(0.1)
    session.quit(QUIT)
    return taken


def _first_paints(trees: _Trees, pairs: int, wanted: re.Pattern[str]) -> Times:
    name = "app: start to first paint"
    if not wanted.search(name):
        return {}
    rng = random.Random(3)
    times: Times = {name: {}}
    for number in range(pairs + 1):
        runs = {contender: lambda tree=tree: _painted(trees, tree) for contender, tree in _CONTENDERS.items()}
        _turns(rng, runs, times[name] if number else {})
    return times


def _pressed(session: Session, keys: Iterable[bytes]) -> float:
    before = session.processor_seconds()
    for key in keys:
        session.press(key)
    return session.processor_seconds() - before


def _keys(trees: _Trees, pairs: int, wanted: re.Pattern[str]) -> Times:
    """Give the same keys to three running apps."""
    rng = random.Random(4)
    given: dict[str, Callable[[int], list[bytes]]] = {
        "app: 4 steps": lambda _: [NEXT] * _KEYS,
        "app: 4 pages": lambda _: [PAGE_DOWN] * _KEYS,
        "app: 4 jumps": lambda number: [
            key
            for step in range(_KEYS)
            for key in (press_mouse(20 + (number * 31 + step * 17) % 80), release_mouse(12))
        ],
    }
    given = {name: keys for name, keys in given.items() if wanted.search(name)}
    times: Times = {}
    if not given:
        return times
    with ExitStack() as stack:
        sessions = {}
        for contender, tree in _CONTENDERS.items():
            sessions[contender] = _app(trees, tree)
            stack.callback(sessions[contender].quit, QUIT)
        for session in sessions.values():
            session.wait_for(_READY)
            session.rest(30.0)
        for number in range(pairs):
            for name, keys in given.items():
                listed = keys(number)
                runs = {
                    contender: lambda session=session, listed=listed: _pressed(session, listed)
                    for contender, session in sessions.items()
                }
                _turns(rng, runs, times.setdefault(name, {}))
    return times


def _table(rows: Sequence[Compared]) -> str:
    width = max(len(row.name) for row in rows)
    lines = [f"{'':{width}}       old       new  new/old  old/old  spread"]
    for row in rows:
        lines.append(
            f"{row.name:{width}} {row.old_ms:9.3f} {row.new_ms:9.3f} {row.ratio:8.3f} {row.itself:8.3f} {row.spread:7.3f}"
            f"{'  SLOWER' if row.is_slower else ''}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two trees; return 1 when something is slower."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pairs", description=__doc__)
    parser.add_argument("old", type=Path, help="the tree before")
    parser.add_argument("new", type=Path, help="the tree after")
    parser.add_argument("--pairs", type=int, default=40, help="how many pairs (40)")
    parser.add_argument("--only", default="", metavar="REGEX", help="only the rows whose name it matches")
    options = parser.parse_args(arguments)
    wanted = re.compile(options.only)
    with tempfile.TemporaryDirectory(prefix="unspool-pairs-") as folder:
        trees = _Trees(options.old, options.new, Path(folder))
        # What commands and the app open is made by one task each.
        _tasks(trees, 1, re.compile("metadata|step: S1, back|JSON Lines"))
        times: Times = {}
        for part in (_tasks, _commands, _first_paints, _keys):
            times |= part(trees, options.pairs, wanted)
    rows = [compared(name, taken) for name, taken in times.items()]
    if not rows:
        parser.error(f"no row is called {options.only!r}")
    print(_table(rows))
    slower = sum(row.is_slower for row in rows)
    means = statistics.geometric_mean(row.ratio for row in rows)
    print(
        f"\n{len(rows)} rows, {options.pairs} pairs each: {slower} slower; geometric mean of the ratios {means:.3f}"
    )
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
