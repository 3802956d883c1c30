"""One run of `live_program.py`: bare, under a tool, or under an agent whose host is in this process."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import pythons
from unspool import Recorder
from unspool.live import agent_source
from unspool.live.host import Host, ProgramListener
from unspool.live.launch import VARIABLE, Settle, Wanted, command_line

PROGRAM: Final = Path(__file__).with_name("live_program.py")
_AGENT: Final = "agent.py"
_LONGEST_S: Final = 120.0


class ProgramFailed(Exception):
    """A program that ended otherwise than by its own will, such as a tool that is not installed."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What some work took.

    Attributes:
        turns: how often it was done.
        processor_us: microseconds of a processor that one turn took in the program, all of its threads together.
        wall_us: microseconds of one turn.
        entries: how many were recorded of the whole program, the turns to warm up included.
        host_us: microseconds of a processor that an entry took in the recording process.
        said: lines that the agent had for people.
    """

    turns: int
    processor_us: float
    wall_us: float
    entries: int = 0
    host_us: float = 0.0
    said: tuple[str, ...] = ()


class _Heard(ProgramListener):
    """Keeps the lines for people."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, text: str, level: str) -> None:
        self.lines.append(text)


@dataclass(frozen=True, slots=True)
class Run:
    """What is run.

    Attributes:
        work: name of a workload of the program.
        turns: how often it is done.
        size: records in the watched store.
        tool: what watches it from inside; "" for none.
    """

    work: str
    turns: int
    size: int = 10
    tool: str = ""

    @property
    def words(self) -> list[str]:
        """The program and its arguments."""
        return [str(PROGRAM), self.work, str(self.turns), str(self.size), *([self.tool] if self.tool else [])]

    def bare(self, version: str) -> Taken:
        """Run it without an agent.

        Raises:
            ProgramFailed: it did not end well.
        """
        command = [pythons.pythons()[version], *self.words]
        done = subprocess.run(
            command, env=pythons.environment(version), capture_output=True, text=True, check=False, timeout=_LONGEST_S
        )
        if done.returncode:
            raise ProgramFailed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
        return _taken(done.stdout)

    def under_agent(self, version: str, file: Path, *, settle: Settle, rate: int | None = 0) -> Taken:
        """Run it under the agent, recording into a file.

        Args:
            version: of Python.
            file: the recording.
            settle: when an entry is made.
            rate: entries a second that one place may make; 0 for any number, None for the default.

        Raises:
            ProgramFailed: it did not end well.
        """
        wanted = Wanted(watch=("STORE",), settle=settle, rate=rate)
        heard = _Heard()
        with Host(Recorder(file, on_error="raise"), file, heard) as host:
            agent = host.door.put(_AGENT, agent_source())
            config = wanted.to_config(host.door.place, host.door.token, PROGRAM.parent)
            command = command_line(self.words, agent, pythons.pythons()[version])
            environment = pythons.environment(version) | {VARIABLE: json.dumps(config)}
            host.start()
            began = time.process_time()
            with subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as process:
                out, err = process.communicate(timeout=_LONGEST_S)
            host.drain()
            used = time.process_time() - began
            if process.returncode or host.failure is not None:
                raise ProgramFailed(str(host.failure or err.decode(errors="replace").strip()[-200:]))
            return _taken(out.decode(), host.entries, used / max(host.entries, 1) * 1e6, tuple(heard.lines))


def _taken(told: str, entries: int = 0, host_us: float = 0.0, said: tuple[str, ...] = ()) -> Taken:
    facts = json.loads(told.strip().splitlines()[-1])
    turns = facts["turns"]
    return Taken(turns, facts["processor_s"] / turns * 1e6, facts["wall_s"] / turns * 1e6, entries, host_us, said)
