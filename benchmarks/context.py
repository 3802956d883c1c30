"""What parts share in one run: the loads, files already recorded, and how long things may take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.loads import Load, State
from unspool import Recorder

if TYPE_CHECKING:
    from benchmarks.peers.git import GitRepository

_KEPT_FROM = 500_000
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Recorded:
    """A load recorded into a file.

    Attributes:
        path: the file, closed.
        live_bytes: bytes of the file and its -wal just before closing.
    """

    path: Path
    live_bytes: int


@dataclass(frozen=True, slots=True)
class ManyEntries:
    """A synthetic history of many entries.

    Attributes:
        path: the file.
        count: entries in it.
        seconds: how long recording took.
        peak_mb: largest resident memory of the recording process.
    """

    path: Path
    count: int
    seconds: float
    peak_mb: float


@dataclass(slots=True)
class Context:
    """One run.

    Attributes:
        loads: what is recorded.
        folder: where files go; removed afterwards.
        quick: whether to take short cuts where a result only gets less exact.
        seconds: length of recordings that are about stalls.
        sizes: numbers of entries of the synthetic histories, ascending.
    """

    loads: list[Load]
    folder: Path
    quick: bool
    seconds: float
    sizes: tuple[int, ...]
    _recorded: dict[str, Recorded] = field(default_factory=dict)
    _many: dict[int, ManyEntries] = field(default_factory=dict)
    _git: dict[str, GitRepository] = field(default_factory=dict)

    def telling_loads(self) -> list[Load]:
        """Return the loads for parts that take long with each: the first one, and the first one from a file."""
        return [self.loads[0], *[load for load in self.loads if load.from_file][:1]]

    def recorded(self, load: Load) -> Recorded:
        """Return a load's file, recorded once a run with the options a user gets unasked, without fsync."""
        known = self._recorded.get(load.name)
        if known is None:
            known = self._recorded[load.name] = record_load(load.states(), self.folder / f"{load.name}.unspool")
        return known

    def many(self, count: int) -> ManyEntries:
        """Return a synthetic history of some entries, recorded by a process of its own.

        A long one is kept in the system's folder for temporary files, for the runs to come with the same engine.
        """
        known = self._many.get(count)
        if known is None:
            kept = self.folder if count < _KEPT_FROM else lasting_folder() / f"histories-{_engine_mark()}"
            known = self._many[count] = _recorded_many(kept, count)
        return known

    def git(self, load: Load) -> GitRepository:
        """Return a load's git repository, packed once a run.

        Raises:
            PeerAbsent: git is not installed.
        """
        # Peers need packages that the project itself does without.
        from benchmarks.peers.git import GitRepository

        known = self._git.get(load.name)
        if known is None:
            known = GitRepository(self.folder / f"{load.name}.git")
            known.fill(load.states())
            self._git[load.name] = known
        return known


def lasting_folder() -> Path:
    """Return the folder for what later runs use again."""
    return Path(tempfile.gettempdir()) / f"unspool-bench-{os.getuid()}"


def _engine_mark() -> str:
    """Return what changes with everything that decides how a history is recorded."""
    sources = [*(ROOT / "engine").rglob("*.py"), ROOT / "benchmarks" / "many.py"]
    return f"{zlib.crc32(b''.join(path.read_bytes() for path in sorted(sources))):08x}"


def _recorded_many(folder: Path, count: int) -> ManyEntries:
    folder.mkdir(parents=True, exist_ok=True)
    path, told = folder / f"many-{count}.unspool", folder / f"many-{count}.json"
    if not (path.exists() and told.exists()):
        # Under another name until it is whole: a run that is broken off leaves nothing that the next one would trust.
        part = folder / f"part-{os.getpid()}-{count}.unspool"
        facts = run_module("benchmarks.many", str(part), str(count))
        part.replace(path)
        told.write_text(json.dumps(facts))
    facts = json.loads(told.read_text())
    return ManyEntries(path, count, facts["seconds"], facts["peak_mb"])


def record_load(states: Iterable[State], path: Path) -> Recorded:
    """Record states into a new file and close it."""
    with Recorder(path, durability="fast", on_error="raise") as recorder:
        for state in states:
            recorder.record(state)
        live = recorder.store.file_bytes()
    return Recorded(path, live)


def run_module(module: str, *arguments: str) -> dict[str, float]:
    """Run a module of ours in a fresh interpreter and return the JSON object it prints last."""
    command = (sys.executable, "-m", module, *arguments)
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    facts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return facts
