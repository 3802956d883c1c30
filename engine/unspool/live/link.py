"""The socket between an agent in a program and whoever records it: lines of JSON, bounded, and questions with answers."""

from __future__ import annotations

import json
import os
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Final

import msgspec

from unspool.control.channel import LONGEST_PLACE, is_peer_of, make_runtime_folder, runtime_folder
from unspool.errors import StorageFailed, UnspoolError
from unspool.files import ScratchFolder, create_private
from unspool.live.cells import NotOfTheAgent
from unspool.model.values import Value

_LONGEST_LINE: Final = 32 * 1024 * 1024
"""Bytes of one message."""
_CHUNK: Final = 1 << 18
_TRAVERSABLE: Final = 0o711
"""Mode of the socket's folder where the program is another user's: it can be entered, and its names are secret."""
_ANSWERED_S: Final = 10.0

Message = Mapping[str, Value]
_write_fast: Final = msgspec.json.Encoder().encode
_read_fast: Final[Callable[[bytes], Value]] = msgspec.json.Decoder().decode


def read_message(line: bytes) -> dict[str, Value]:
    """Return one line of an agent.

    Raises:
        NotOfTheAgent: it is no JSON object.
    """
    try:
        try:
            message = _read_fast(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Lone surrogates are what only the standard library reads.
            message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NotOfTheAgent(f"a line that is no JSON ({type(error).__name__})") from None
    if not isinstance(message, dict):
        raise NotOfTheAgent("a line that is no JSON object")
    return message


class AgentSocket:
    """A socket that one agent comes in by, in a folder that nobody else may enter.

    Attributes:
        place: its path, for the agent.
        folder: what the program needs besides lies there until the agent is in.
        token: what the agent has to say first.
    """

    def __init__(self, user: int | None = None) -> None:
        """Open it.

        Args:
            user: whose program comes in; that of this process when None.

        Raises:
            StorageFailed: there is no place for it.
        """
        self.token = secrets.token_hex(16)
        self._user = os.geteuid() if user is None else user
        self._scratch: ScratchFolder | None = None
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.place = self._new_place()
            self._listening.bind(os.fspath(self.place))
            self.place.chmod(0o600)
            if self._user != os.geteuid():
                os.chown(self.place, self._user, -1)
            self._listening.listen(4)
        except OSError as error:
            self.close()
            raise StorageFailed(
                f"no socket can be made for the program ({error.strerror or error}); free some space or set TMPDIR"
            ) from None

    def _new_place(self) -> Path:
        self._scratch = ScratchFolder()
        folder = self.folder = self._scratch.path
        place = folder / f"{secrets.token_hex(8)}.sock"
        if self._user != os.geteuid():
            folder.chmod(_TRAVERSABLE)
        if len(os.fsencode(place)) > LONGEST_PLACE:
            make_runtime_folder(runtime_folder())
            place = runtime_folder() / place.name
        return place

    def put(self, name: str, text: str) -> Path:
        """Put a file for the program beside the socket, which only its user may read; return its path.

        Raises:
            StorageFailed: there is no room for it.
        """
        try:
            file = self.folder / name
            descriptor = create_private(file)
            with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123 - it is open already
                stream.write(text)
                if self._user != os.geteuid():
                    os.fchown(descriptor, self._user, -1)
        except OSError as error:
            raise StorageFailed(f"{self.folder}: {error.strerror or error}; free some space or set TMPDIR") from None
        return file

    def wait(self, seconds: float) -> socket.socket | None:
        """Return the connection of the agent; None where none came within some time, or the door was closed.

        Another user's process is turned away.
        """
        try:
            self._listening.settimeout(seconds)
            connection, _ = self._listening.accept()
        except (TimeoutError, OSError):
            return None
        connection.settimeout(None)
        if not is_peer_of(connection, (self._user, os.geteuid())):
            connection.close()
            return None
        return connection

    def close(self) -> None:
        """Let nobody in any more; who is in stays."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        place = getattr(self, "place", None)
        if place is not None:
            with suppress(OSError):
                place.unlink()
        if self._scratch is not None:
            self._scratch.close()


class AgentLink:
    """A connection to an agent.

    One thread reads; any other one asks. What the agent sends is handed over in order.
    """

    def __init__(self, connection: socket.socket) -> None:
        """Take a connection over."""
        self._connection = connection
        # Whoever does not read must not hold up who asks.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(_ANSWERED_S), 0))
        self._sending = threading.Lock()
        self._asked: dict[int, _Question] = {}
        self._next = 1
        self._is_over = False

    def read(
        self,
        take: Callable[[dict[str, Value]], None],
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Hand over message by message until the agent is gone; answers go to who asked.

        Args:
            take: is given each other message.
            together: is entered while messages are handed over that came together.

        Raises:
            NotOfTheAgent: a line is too long, or does not read; so does what `take` or `together` raises.
        """
        rest = bytearray()
        try:
            while True:
                try:
                    data = self._connection.recv(_CHUNK)
                except OSError:
                    return
                if not data:
                    return
                rest += data
                if b"\n" not in data:
                    if len(rest) > _LONGEST_LINE:
                        raise NotOfTheAgent(f"a line of more than {_LONGEST_LINE:,} bytes")
                    continue
                *lines, last = bytes(rest).split(b"\n")
                rest = bytearray(last)
                with together():
                    for line in lines:
                        if line:
                            self._hand_over(read_message(line), take)
        finally:
            self._is_over = True
            for question in list(self._asked.values()):
                question.answer(None)

    def _hand_over(self, message: dict[str, Value], take: Callable[[dict[str, Value]], None]) -> None:
        if message.get("m") != "done":
            take(message)
            return
        question = self._asked.get(message["id"]) if type(message.get("id")) is int else None
        if question is not None:
            question.answer(message)

    def ask(
        self, message: Message, seconds: float = _ANSWERED_S, waiting: Callable[[], None] | None = None
    ) -> Message:
        """Ask the agent for something, and return its answer.

        Args:
            message: what is asked for.
            seconds: how long to wait.
            waiting: is called about twice a second meanwhile.

        Raises:
            AgentGone: it does not answer.
        """
        question = _Question()
        number, self._next = self._next, self._next + 1
        self._asked[number] = question
        try:
            self._send({**message, "id": number})
            pauses = max(int(seconds / _PAUSE_S), 1)
            for _ in range(pauses):
                if self._is_over or question.is_answered.wait(_PAUSE_S):
                    break
                if waiting is not None:
                    waiting()
        finally:
            del self._asked[number]
        if question.said is None:
            what = "is gone" if self._is_over else f"did not answer within {seconds:g} s"
            raise AgentGone(f"the program {what}; look whether it is still running")
        return question.said

    def _send(self, message: Message) -> None:
        try:
            data = _write_fast(message) + b"\n"
        except (TypeError, ValueError, msgspec.MsgspecError):
            # Lone surrogates, and keys of other types, are what only the standard library writes.
            data = json.dumps(message).encode() + b"\n"
        if len(data) > _LONGEST_LINE:
            raise AgentGone(f"the state is too large to be sent ({len(data):,} bytes of at most {_LONGEST_LINE:,})")
        try:
            with self._sending:
                self._connection.sendall(data)
        except OSError as error:
            raise AgentGone(f"the program is gone ({error.strerror or error})") from None

    def close(self) -> None:
        """Hang up: the agent leaves the program when it sees that."""
        self._is_over = True
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._connection.close()


class AgentGone(UnspoolError):
    """A program that does not answer any more."""


class _Question:
    """What was asked of an agent, until it is answered."""

    def __init__(self) -> None:
        self.is_answered = threading.Event()
        self.said: Message | None = None

    def answer(self, said: Message | None) -> None:
        # The end of the connection takes no answer away that nobody has read yet.
        self.said = self.said if said is None else said
        self.is_answered.set()


_PAUSE_S: Final = 0.5

__all__ = ["AgentGone", "AgentLink", "AgentSocket", "read_message"]
