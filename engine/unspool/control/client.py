"""The other end of a control channel: finds the program that records into a file, and asks it for things."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from unspool import system
from unspool.control.channel import (
    LONGEST_LINE,
    LONGEST_REPLY,
    MOST_INSTANCES,
    PROTOCOL,
    SUFFIX,
    Answer,
    Back,
    ControlUnavailable,
    Dispatch,
    Hello,
    Instance,
    Jump,
    Look,
    Message,
    Pause,
    Reply,
    Resume,
    Skip,
    Status,
    TravelRefused,
    Waiting,
    bounded_text,
    bounded_texts,
    control_places,
    encode,
    read_reply,
    runtime_folder,
)

_CHUNK: Final = 64 << 10
_PATIENCE_S: Final = 1.0
"""Seconds after which it is worth saying why an answer takes its time."""
_MOST_WAITING: Final = 1_000
"""Lines that may come before an answer."""

_GREETING_S: Final = 0.5
_ALL_S: Final = 3.0
"""Seconds that looking for all programs may take."""
_MOST_SERVED: Final = 200
_LISTENS: Final = 0x10000
"""The flag of a socket that somebody listens at, in the table of the kernel."""

OnWaiting = Callable[[str], None]


class ControlClient:
    """A connection to the program that records into a file. For one thread at a time.

    Attributes:
        pid: the program's process.
        file: the recording, as the program names it.
        instances: who can be reached there, as of the last message.
    """

    pid: int
    file: Path
    instances: tuple[Instance, ...]

    def __init__(
        self, file: str | os.PathLike[str], *, timeout: float = 5.0, place: str | os.PathLike[str] | None = None
    ) -> None:
        """Connect.

        Args:
            file: the recording.
            timeout: seconds to wait for the program's greeting.
            place: the socket; looked for where None.

        Raises:
            ControlUnavailable: no program serves this recording, or what serves it is none.
        """
        self._file = os.fspath(file)
        self._received = bytearray()
        self._ids = 0
        self._socket = _connected(file, timeout, None if place is None else Path(place))
        try:
            hello = self._reply(time.monotonic() + timeout)
        except TravelRefused as error:
            self.close()
            raise ControlUnavailable(str(error)) from None
        if isinstance(hello, Answer):
            self.close()
            raise ControlUnavailable(f"{self._file}: {hello.message}")
        if not isinstance(hello, Hello) or hello.protocol != PROTOCOL:
            self.close()
            raise ControlUnavailable(
                f"{self._file}: the program speaks another version of the control channel; use one unspool for both"
            )
        self.pid = hello.pid
        self.file = Path(hello.file)
        self.instances = _clean_instances(hello.instances)

    def jump(
        self, seq: int, *, instance: str | None = None, timeout: float = 10.0, on_waiting: OnWaiting | None = None
    ) -> Answer:
        """Have the program go on from an entry.

        Args:
            seq: the entry; what is recorded next follows it.
            instance: which instance; None where there is only one.
            timeout: seconds to wait for the answer; without one, the request is withdrawn.
            on_waiting: called with the reason once the program has not answered for a second.

        Raises:
            TravelRefused: it was not done.
        """
        return self._ask(Jump(id=self._next_id(), instance=instance, seq=seq), timeout, on_waiting)

    def look(
        self, seq: int, *, instance: str | None = None, timeout: float = 10.0, on_waiting: OnWaiting | None = None
    ) -> Answer:
        """Have the program show an entry until `back`; see `jump`."""
        return self._ask(Look(id=self._next_id(), instance=instance, seq=seq), timeout, on_waiting)

    def back(
        self, *, instance: str | None = None, timeout: float = 10.0, on_waiting: OnWaiting | None = None
    ) -> Answer:
        """Have the program go on from where it was before it was put back; see `jump`."""
        return self._ask(Back(id=self._next_id(), instance=instance), timeout, on_waiting)

    def pause(
        self, *, instance: str | None = None, timeout: float = 10.0, on_waiting: OnWaiting | None = None
    ) -> Answer:
        """Have nothing recorded until `resume`; see `jump`."""
        return self._ask(Pause(id=self._next_id(), instance=instance), timeout, on_waiting)

    def resume(
        self, *, instance: str | None = None, timeout: float = 10.0, on_waiting: OnWaiting | None = None
    ) -> Answer:
        """Have it recorded again; see `jump`."""
        return self._ask(Resume(id=self._next_id(), instance=instance), timeout, on_waiting)

    def skip(
        self,
        seqs: Iterable[int],
        *,
        instance: str | None = None,
        timeout: float = 10.0,
        on_waiting: OnWaiting | None = None,
    ) -> Answer:
        """Toggle the actions of some entries; see `jump`."""
        return self._ask(Skip(id=self._next_id(), instance=instance, seqs=tuple(seqs)), timeout, on_waiting)

    def dispatch(
        self,
        action: Mapping[str, Any],
        *,
        instance: str | None = None,
        timeout: float = 10.0,
        on_waiting: OnWaiting | None = None,
    ) -> Answer:
        """Hand an action to a store; see `jump`."""
        given = msgspec.Raw(msgspec.json.encode(action))
        return self._ask(Dispatch(id=self._next_id(), instance=instance, action=given), timeout, on_waiting)

    def wait(self, timeout: float) -> bool:
        """Wait until `instances` may have changed.

        Returns:
            Whether they may; False when the time is over.

        Raises:
            TravelRefused: the program is gone.
        """
        deadline = time.monotonic() + timeout
        while True:
            reply = self._reply_by(deadline)
            if reply is None:
                return False
            if isinstance(reply, Status):
                self.instances = _clean_instances(reply.instances)
                return True

    def close(self) -> None:
        """End the connection; what waits for an answer is withdrawn."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids

    def _ask(self, message: Message, timeout: float, on_waiting: OnWaiting | None) -> Answer:
        line = encode(message) + b"\n"
        if len(line) > LONGEST_LINE:
            raise TravelRefused(f"{self._file}: a command of more than {LONGEST_LINE >> 10} kB")
        began = time.monotonic()
        deadline = began + timeout
        why = said = ""
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(line)
            for _ in range(_MOST_WAITING):
                # Most answers come at once, and then nobody wants to know what they waited for.
                may_say = on_waiting is not None and why != said
                reply = self._reply_by(min(deadline, began + _PATIENCE_S) if may_say else deadline)
                if reply is None and not may_say:
                    break
                if reply is None and on_waiting is not None:
                    said = why
                    on_waiting(why)
                elif isinstance(reply, Status):
                    self.instances = _clean_instances(reply.instances)
                elif isinstance(reply, Waiting) and reply.id == message.id:
                    why = bounded_text(reply.why)
                elif isinstance(reply, Answer) and reply.id in (message.id, -1):
                    return self._checked(reply)
        except OSError as error:
            raise TravelRefused(f"{self._file}: the program is gone ({error.strerror or error})") from None
        self.close()
        raise TravelRefused(
            f"{self._file}: no answer within {timeout:g} s{f' ({why})' if why else ''}; the request is withdrawn"
        )

    def _checked(self, reply: Answer) -> Answer:
        message = bounded_text(reply.message, 1_000)
        if not reply.ok:
            raise TravelRefused(f"{self._file}: {message or 'refused'}")
        lists = (reply.changed, reply.kept, reply.rebuilt, reply.refused)
        return Answer(reply.id, True, message, reply.seq, *map(bounded_texts, lists))

    def _reply_by(self, deadline: float) -> Reply | None:
        """Return the next message of the program; None where none comes in time."""
        try:
            return self._reply(deadline)
        except _TimeIsOver:
            return None

    def _reply(self, deadline: float) -> Reply:
        """Return the next message of the program.

        Raises:
            TravelRefused: it is gone, or what it says is no such message.
        """
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > LONGEST_REPLY:
                raise TravelRefused(f"{self._file}: the program sent a line of more than {LONGEST_REPLY >> 10} kB")
            left = deadline - time.monotonic()
            if left <= 0:
                raise _TimeIsOver(f"{self._file}: the program did not answer in time")
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(_CHUNK)
            except TimeoutError:
                raise _TimeIsOver(f"{self._file}: the program did not answer in time") from None
            except OSError as error:
                raise TravelRefused(f"{self._file}: the program is gone ({error.strerror or error})") from None
            if not data:
                raise TravelRefused(f"{self._file}: the program is gone")
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        try:
            return read_reply(line)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise TravelRefused(f"{self._file}: the program sent what is no message of the control channel") from None


class _TimeIsOver(TravelRefused):
    """No message came in time."""


def served_at(file: str | os.PathLike[str]) -> Path | None:
    """Return the control socket of a recording; None where there is none.

    It may be one that a killed program left behind: only connecting to it tells.
    """
    for place in control_places(file):
        try:
            status = place.lstat()
        except OSError:
            continue
        if stat.S_ISSOCK(status.st_mode):
            return place
    return None


@dataclass(frozen=True, slots=True)
class ServedRecording:
    """A program that records into a file and can be asked for something.

    Attributes:
        file: the recording.
        pid: the program's process, or that of its host.
        instances: who can be reached there.
    """

    file: Path
    pid: int
    instances: tuple[Instance, ...]


def served_recordings(folders: Iterable[str | os.PathLike[str]] = ()) -> list[ServedRecording]:
    """Return the programs of this user that can be asked for something, in the order of their files.

    Linux names all sockets that somebody listens at; elsewhere only those are found that are beside recordings in some folders, or in
    the runtime folder.

    Args:
        folders: where recordings may be.
    """
    found: dict[Path, ServedRecording] = {}
    end = time.monotonic() + _ALL_S
    for place in _sockets(folders):
        if len(found) == _MOST_SERVED or time.monotonic() > end:
            break
        # Beside the file it is called after that; in the runtime folder only its greeting tells.
        try:
            with ControlClient(os.fspath(place).removesuffix(SUFFIX), timeout=_GREETING_S, place=place) as client:
                if place in control_places(client.file):
                    found[client.file] = ServedRecording(client.file, client.pid, client.instances)
        except (ControlUnavailable, OSError, ValueError):
            # It has ended, or is none of ours: who listens there decides what it says.
            continue
    return [found[file] for file in sorted(found)]


def _sockets(folders: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """Yield where control channels may be, those that nobody listens at among them."""
    try:
        table = Path("/proc/net/unix").read_bytes().splitlines()[1:]
    except OSError:
        places = [place for folder in folders for place in sorted(Path(folder).glob(f"*{SUFFIX}"))]
        yield from [*places, *sorted(runtime_folder().glob("*.ctl"))]
        return
    for line in table:
        parts = line.split(maxsplit=7)
        if len(parts) == 8 and int(parts[3], 16) & _LISTENS:
            place = Path(os.fsdecode(parts[7]))
            if place.name.endswith(SUFFIX) or (place.suffix == ".ctl" and place.parent == runtime_folder()):
                yield place


def _connected(file: str | os.PathLike[str], timeout: float, place: Path | None) -> socket.socket:
    """Connect to the program that serves a recording."""
    name = os.fspath(file)
    place = place or served_at(file)
    if place is None:
        raise ControlUnavailable(
            f"{name}: no program that can travel records into it; start one with Recorder(…, on_travel=…), or `unspool run`"
        )
    system.require_local_sockets("going back in a program")
    if os.geteuid() not in (place.lstat().st_uid, 0):
        raise ControlUnavailable(f"{name}: its program runs for another user; ask that user")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(os.fspath(place))
    except ConnectionRefusedError:
        connection.close()
        raise ControlUnavailable(f"{name}: the program that recorded into it has ended; start it again") from None
    except OSError as error:
        connection.close()
        raise ControlUnavailable(f"{place}: cannot be reached ({error.strerror or error})") from None
    return connection


def _clean_instances(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """Return instances in which no text can harm a terminal."""
    return tuple(
        msgspec.structs.replace(
            instance,
            id=bounded_text(instance.id),
            name=bounded_text(instance.name or instance.id),
            can=bounded_texts(instance.can),
            troubles=bounded_texts(instance.troubles),
        )
        for instance in tuple(instances)[:MOST_INSTANCES]
    )


__all__ = ["ControlClient", "ServedRecording", "served_at", "served_recordings"]
