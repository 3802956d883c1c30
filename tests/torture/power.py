"""Power cuts: the log of all writes is replayed up to any point, with what was not forced to disk lost, reordered or torn."""

from __future__ import annotations

import copy
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torture.campaign import Campaign, Outcome, Result
from torture.scenarios import SCENARIOS, Scenario
from torture.shimmed import ACKS, Server, compiled
from unspool import Recorder, open_history
from unspool.errors import UnreadableSource
from unspool.model.values import State

WAYS = ("lost", "kept", "reordered", "torn")
"""What becomes of writes that were not forced to disk."""
_SECTOR = 512


class _File:
    """One file's bytes: those on the disk, and the writes that wait.

    Attributes:
        disk: what a power cut leaves for certain.
        waiting: what may or may not be there: (place, bytes) of writes, (size, None) of cuts, in order.
    """

    def __init__(self, content: bytes = b"") -> None:
        self.disk = bytearray(content)
        self.waiting: list[tuple[int, bytes | None]] = []

    def sync(self) -> None:
        """Everything waiting is on the disk."""
        for one in self.waiting:
            _apply(self.disk, *one)
        self.waiting.clear()

    def after(self, way: str, rng: random.Random) -> bytes:
        """Return the bytes that a power cut leaves."""
        content = bytearray(self.disk)
        for number, (place, data) in enumerate(self.waiting):
            is_last = number == len(self.waiting) - 1
            if way == "lost" or (way == "reordered" and rng.random() < 0.5):
                continue
            if way == "torn" and data is not None and (is_last or rng.random() < 0.1):
                data = data[: rng.randrange(0, len(data) + _SECTOR, _SECTOR)]
            _apply(content, place, data)
        return bytes(content)


def _apply(content: bytearray, place: int, data: bytes | None) -> None:
    if data is None:
        if place <= len(content):
            del content[place:]
        else:
            content.extend(bytes(place - len(content)))
        return
    if not data:
        return
    if place > len(content):
        content.extend(bytes(place - len(content)))
    content[place : place + len(data)] = data


class Disk:
    """A folder as a log of calls leaves it: names and files, each with what is on the disk and what waits."""

    def __init__(self, folder: Path) -> None:
        """Begin with what is in a folder, all of it on the disk."""
        self._folder = str(folder)
        self._files: dict[int, _File] = {}
        self.names: dict[str, _File] = {}
        self._waiting: list[tuple[str, str, _File | None]] = []
        for path in folder.iterdir():
            if path.is_file():
                file = self._files[path.stat().st_ino] = _File(path.read_bytes())
                self.names[str(path)] = file
        self._now = dict(self.names)

    def take(self, call: tuple[str, list[str], bytes]) -> None:
        """Do what a logged call did."""
        kind, words, data = call
        match kind:
            case "C":
                file = self._files[int(words[0])] = _File()
                self._name("set", words[1], file)
            case "W":
                if (written := self._files.get(int(words[0]))) is not None:
                    written.waiting.append((int(words[1]), data))
            case "T":
                if (cut := self._files.get(int(words[0]))) is not None:
                    cut.waiting.append((int(words[1]), None))
            case "S":
                self._sync(int(words[0]), words[1])
            case "R" | "L":
                file_of = self._now.get(words[0])
                if file_of is not None:
                    self._name("set", words[1], file_of)
                    if kind == "R":
                        self._name("drop", words[0], None)
            case "U":
                self._name("drop", words[0], None)

    def _name(self, kind: str, name: str, file: _File | None) -> None:
        self._waiting.append((kind, name, file))
        _rename(self._now, kind, name, file)

    def _sync(self, inode: int, path: str) -> None:
        if path.rstrip("/") == self._folder.rstrip("/"):
            self.names = dict(self._now)
            self._waiting.clear()
        elif inode in self._files:
            self._files[inode].sync()

    def after(self, way: str, rng: random.Random) -> dict[str, bytes]:
        """Return the files that a power cut leaves, by name."""
        names = dict(self.names)
        kept = {"lost": 0, "kept": len(self._waiting)}.get(way, rng.randint(0, len(self._waiting)))
        # Names are journalled in order, also where data is not.
        for one in self._waiting[:kept]:
            _rename(names, *one)
        return {Path(name).name: file.after(way, rng) for name, file in names.items()}


def _rename(names: dict[str, _File], kind: str, name: str, file: _File | None) -> None:
    if kind == "drop":
        names.pop(name, None)
    elif file is not None:
        names[name] = file


def calls_in(log: bytes) -> Iterator[tuple[str, list[str], bytes]]:
    """Yield each logged call: its kind, its words, and the bytes that were written."""
    place = 0
    while place < len(log):
        end = log.index(b"\n", place)
        kind, *words = log[place:end].decode().split("\t")
        place = end + 1
        size = int(words[2]) if kind == "W" else 0
        yield kind, words, log[place : place + size]
        place += size


class Power(Campaign):
    """A power cut after each call of the system, in each way that a disk may keep what was not forced."""

    name = "power cuts"
    about = (
        "record, seal, close, convert, compact, vacuum, repair, export: unsynced writes lost, kept, reordered, torn"
    )

    def prepare(self, folder: Path, seed: int) -> int:
        self.seed = seed
        server = Server(compiled(folder))
        try:
            logged = [one for one in SCENARIOS.values() if one.writes]
            self.runs = [_logged(one, server, folder / one.name.replace(" ", "")) for one in logged]
        finally:
            server.close()
        self.cases = [
            (run, point, way) for run in self.runs for point in range(len(run.calls) + 1) for way in WAYS
        ]  # fmt: skip
        return len(self.cases)

    def run(self, case: int, folder: Path) -> Result:
        run, point, way = self.cases[case]
        rng = random.Random(self.seed * 1_000_003 + case)
        disk = copy.deepcopy(run.disk)
        for call in run.calls[:point]:
            disk.take(call)
        image = folder / "image"
        shutil.rmtree(image, ignore_errors=True)
        image.mkdir()
        for name, content in disk.after(way, rng).items():
            (image / name).write_bytes(content)
        acks = [ack for place, ack in run.acks if place < point]
        result = run.scenario.check(image, acks, True)
        if result.outcome.is_fine and case % 4 == 0:
            result = _goes_on(image / "app.unspool")
        return Result(result.outcome, f"{run.scenario.name}: {result.told} [cut after call {point}, {way}]")


@dataclass(frozen=True)
class _Run:
    """What a scenario did.

    Attributes:
        scenario: the scenario.
        disk: what was there before.
        calls: its calls of the system.
        acks: what it said to be done, and after which call.
    """

    scenario: Scenario
    disk: Disk
    calls: list[tuple[str, list[str], bytes]]
    acks: list[tuple[int, str]]


def _logged(scenario: Scenario, server: Server, folder: Path) -> _Run:
    work = folder / "work"
    work.mkdir(parents=True)
    scenario.prepare(work)
    (work / ACKS).touch()
    inode = str((work / ACKS).stat().st_ino)
    disk = Disk(work)
    found = server.run(scenario=scenario.name, folder=str(work), log=str(folder / "log"))
    if found["outcome"] != Outcome.RIGHT:
        raise AssertionError(f"{scenario.name} fails without a power cut: {found['told']}")
    calls = list(calls_in((folder / "log").read_bytes()))
    acks = [
        (place, data.decode().strip())
        for place, (kind, words, data) in enumerate(calls)
        if kind == "W" and words[0] == inode
    ]
    if not acks:
        raise AssertionError(f"{scenario.name} said nothing")
    return _Run(scenario, disk, calls, acks)


def _goes_on(path: Path) -> Result:
    """A recorder goes on with what a power cut left, and nothing of that changes."""
    if not path.exists():
        return Result(Outcome.RIGHT)
    before = _states(path)
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"after": 1})
    if _states(path) == [*before, {"after": 1}]:
        return Result(Outcome.RIGHT)
    return Result(Outcome.LOST, "a recorder that goes on changes what was there")


def _states(path: Path) -> list[State]:
    try:
        with open_history(path, format="unspool") as history:
            return [history.state(seq) for seq in range(len(history))]
    except UnreadableSource:
        # The file was about to be made.
        return []
