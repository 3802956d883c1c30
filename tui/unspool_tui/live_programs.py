"""Programs that run on this machine: those that are recorded, those that can be attached to, and those that were, from the screen."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from unspool.control import Instance, served_recordings
from unspool.errors import ConfigError

Message = dict[str, Any]
"""What a command that records says of itself, and is told, on its status socket: one JSON object a line."""
_CHUNK: Final = 1 << 16
_LONGEST_LINE: Final = 1 << 20
_LONGEST_SAID: Final = 400


def status_messages(connection: socket.socket) -> Iterator[Message]:
    """Yield what comes over a status socket until the other end is gone."""
    rest = b""
    while True:
        try:
            data = connection.recv(_CHUNK)
        except OSError:
            return
        if not data or len(rest) > _LONGEST_LINE:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield json.loads(line)


class LiveProgram(Struct, frozen=True):
    """A program that runs, or ran a moment ago.

    Attributes:
        pid: its process, or that of who records it.
        name: what people call it; of one that is not recorded its command line.
        health: `recording`, `paused`, `behind`, `capped`, `at #12`, `shows #12` or `ended` of what is recorded; `can be attached to`, or
            `cannot`, of what is not.
        python: version of its interpreter, where that was looked up.
        file: the recording; None where there is none.
        instance: which of those that record into the file.
        can: what it can be asked for.
        refusal: why it cannot be attached to, and what to do; "" where it can.
    """

    pid: int
    name: str
    health: str
    python: str = ""
    file: Path | None = None
    instance: Instance | None = None
    can: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by from look to look."""
        if self.file is None:
            return "", str(self.pid)
        return str(self.file), "" if self.instance is None else self.instance.id


ENDED: Final = "ended"
ATTACHABLE, REFUSED = "can be attached to", "cannot"


def live_programs(before: Iterable[LiveProgram] = ()) -> list[LiveProgram]:
    """Return what runs: recorded programs first, then Python processes that can be attached to, then the others.

    Args:
        before: what was found at the last look; what was recorded then and is not any more has ended.
    """
    from unspool.live.processes import processes  # only whoever looks for programs needs it

    served = served_recordings([Path.cwd()])
    recorded = [
        LiveProgram(one.pid, instance.name, _health(instance), file=one.file, instance=instance, can=instance.can)
        for one in served
        for instance in one.instances
    ]
    known = {program.key for program in recorded}
    recorded += [
        LiveProgram(old.pid, old.name, ENDED, old.python, old.file, old.instance)
        for old in before
        if old.file is not None and old.key not in known
    ]
    # Whoever records needs no attaching to, nor does what it records.
    taken = {one.pid for one in served} | {instance.pid for one in served for instance in one.instances}
    others = [
        LiveProgram(
            process.pid,
            process.command,
            REFUSED if process.refusal else ATTACHABLE,
            process.python,
            refusal=process.refusal,
        )
        for process in processes()
        if process.pid not in taken and not _is_own(process.command)
    ]
    return [*recorded, *sorted(others, key=lambda program: bool(program.refusal))]


def _is_own(command: str) -> bool:
    """Whether a command line is of unspool's own, such as the recorder of its demo: nobody looks for faults in those here."""
    return "-m unspool_tui" in command


def _health(instance: Instance) -> str:
    if instance.at is not None:
        return f"{'shows' if instance.looking else 'at'} #{instance.at:,}"
    return "paused" if instance.paused else next(iter(instance.troubles), "recording")


class AttachedProgram:
    """A program that is attached to, by a command in the background; it is left when this process ends, however that is.

    Attributes:
        pid: the program.
    """

    def __init__(self, pid: int, names: Sequence[str], tell: Callable[[Message], object]) -> None:
        """Begin to attach.

        Args:
            pid: the program.
            names: what to record; where none are given, `tell` is told what could be.
            tell: is called, in a thread, with what the command says: `recorded` with the `file`, `found` with names to choose from,
                `said` with a line for people, and at last `ended` with the exit code.

        Raises:
            ConfigError: the command cannot be started.
        """
        self.pid = pid
        self._tell = tell
        ours, theirs = socket.socketpair()
        place = theirs.fileno()
        watched = [word for name in names for word in ("--watch", name)]
        words = ["attach", "--status", str(place), "--quiet", *watched, "--", str(pid)]
        try:
            # A group of its own: what is typed at our terminal is not meant for it.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "unspool_tui.cli", *words],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0, pass_fds=[place],
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise ConfigError(f"attach: {error.strerror or error}") from None
        finally:
            theirs.close()
        self._status = ours
        threading.Thread(target=self._hear, name="unspool-attached", daemon=True).start()
        threading.Thread(target=self._read, name="unspool-attached-said", daemon=True).start()

    @property
    def is_running(self) -> bool:
        """Whether the command has not ended."""
        return self._process.poll() is None

    def watch(self, names: Sequence[str]) -> None:
        """Have these recorded."""
        with suppress(OSError):
            self._status.sendall(json.dumps({"watch": list(names)}).encode() + b"\n")

    def leave(self) -> None:
        """Leave the program; it goes on as if nothing had been."""
        with suppress(OSError):
            os.kill(self._process.pid, signal.SIGINT)

    def forget(self) -> None:
        """Leave the program, and tell nobody of it any more."""
        self._tell = _nobody
        self.leave()

    def _hear(self) -> None:
        for message in status_messages(self._status):
            self._tell(message)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._tell({"said": line.decode(errors="replace").strip().removeprefix("unspool: ")[:_LONGEST_SAID]})
        self._tell({"ended": self._process.wait()})
        self._status.close()


def _nobody(message: Message) -> None:
    """Hear nothing."""


__all__ = [
    "ATTACHABLE",
    "ENDED",
    "REFUSED",
    "AttachedProgram",
    "LiveProgram",
    "Message",
    "live_programs",
    "status_messages",
]
