"""A visit: one WebSocket and the one process that draws for it; neither outlives the other.

The process is spoken to as Textual's web driver wants it: packets of a letter (D for what a terminal would carry, M for
JSON), four bytes of length, and as many bytes. The page sends JSON arrays such as `["stdin", "j"]`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final

from aiohttp import WSMsgType, web
from msgspec import Struct

from unspool_tui.serving import DRIVER, SCRATCH, clamped

MOST_MESSAGE_BYTES: Final = 1 << 16
"""Bytes that one message of a page may have; a longer one ends the visit."""
_PRELUDE: Final = b"__GANGLION__\n"
_MOST_PRELUDE_LINES: Final = 10
_MOST_FRAME_BYTES: Final = 1 << 26
_MOST_WAITING_BYTES: Final = 1 << 20
"""Bytes of input that the screen may leave unread."""
_MOST_SAID_LINES: Final = 20
_END_S: Final = 0.4
"""Seconds that a process has to end when it is told to, before it is killed."""
_MOST_REASON_BYTES: Final = 120
"""A close frame has room for 123."""


class Ended(Struct, frozen=True):
    """Why a visit is over: a close code of RFC 6455 (or of one's own, from 4000), and what the page shows."""

    code: int
    reason: str


LEFT: Final = Ended(1000, "you left the screen")
SERVER_ENDED: Final = Ended(1001, "the server was stopped")
GONE: Final = Ended(1006, "the page is gone")
NOT_UNDERSTOOD: Final = Ended(1003, "the page sent what no page of this server sends")
FLOODED: Final = Ended(1008, "too much was sent in too short a time")
SLOW: Final = Ended(1008, "the page took too long to take what is drawn")
BROKEN: Final = Ended(1011, "the screen ended unexpectedly")
IDLE: Final = Ended(4000, "nobody touched a key for a long time")


class VisitLimits(Struct, frozen=True):
    """What one visit may take.

    Attributes:
        messages: messages a second, over a while.
        burst: messages at once.
        bytes: bytes of messages a second, over a while.
        stall_s: seconds that the page may leave what is drawn untaken.
        idle_s: seconds without a key, a click or a new size until the visit ends; None waits for ever.
    """

    messages: float = 250.0
    burst: float = 500.0
    bytes: float = 131_072.0
    stall_s: float = 20.0
    idle_s: float | None = 3600.0


class Allowance:
    """A bucket that fills at a steady rate: what is taken out faster than that empties it."""

    def __init__(self, rate: float, most: float) -> None:
        """Begin with a full bucket of `most`, which gains `rate` a second."""
        self._rate, self._most = rate, most
        self._left, self._at = most, monotonic()

    def take(self, amount: float) -> bool:
        """Take an amount out and say whether it was there."""
        now = monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= amount
        return self._left >= 0


def environment_of(width: int, height: int, scratch: str) -> dict[str, str]:
    """Return the variables of a visitor's process: ours, but for those that tell Textual to write files or to listen."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TEXTUAL")}
    return {
        **ours,
        "TEXTUAL_DRIVER": DRIVER,
        "TEXTUAL_FPS": "60",
        "TEXTUAL_COLOR_SYSTEM": "truecolor",
        "TERM_PROGRAM": "textual",
        "COLUMNS": str(width),
        "ROWS": str(height),
        "TMPDIR": scratch,
        "PYTHONDONTWRITEBYTECODE": "1",
    }


class Visit:
    """One visitor's socket and process."""

    def __init__(self, words: Sequence[str], socket: web.WebSocketResponse, limits: VisitLimits) -> None:
        """Prepare a visit.

        Args:
            words: the command that draws the screen; no shell reads it.
            socket: the open WebSocket.
            limits: what the visit may take.
        """
        self._words = list(words)
        self._socket = socket
        self._limits = limits
        self._stop: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._said: deque[bytes] = deque(maxlen=_MOST_SAID_LINES)
        self._messages = Allowance(limits.messages, limits.burst)
        self._bytes = Allowance(limits.bytes, 4 * limits.bytes)
        self._touched = monotonic()

    @property
    def said(self) -> str:
        """What the process said on standard error, its last lines."""
        return b"".join(self._said).decode("utf-8", "replace").strip()

    def stop(self, why: Ended) -> None:
        """End the visit from outside."""
        if not self._stop.done():
            self._stop.set_result(why)

    async def run(self, width: int, height: int) -> Ended:
        """Draw for the page until one side is gone, and return why it is over.

        Nothing of the process is left when this returns, temporary files included.
        """
        scratch = await asyncio.to_thread(tempfile.mkdtemp, prefix=SCRATCH)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment_of(width, height, scratch),
                start_new_session=True,
            )
            try:
                why = await self._first_end(process)
            finally:
                await _end(process)
            await self._say_goodbye(why)
            return why
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    async def _first_end(self, process: asyncio.subprocess.Process) -> Ended:
        """Let both sides talk until the first of them ends, breaks a rule, or the visit is stopped."""
        parts = [asyncio.create_task(part) for part in (self._draw(process), self._listen(process), self._idle())]
        hearing = asyncio.create_task(self._hear_errors(process))
        try:
            done, _ = await asyncio.wait((*parts, self._stop), return_when=asyncio.FIRST_COMPLETED)
            over = next(iter(done))
            return over.result()
        except (OSError, asyncio.IncompleteReadError):
            # Either pipe broke: the process is gone.
            return BROKEN
        finally:
            for part in (*parts, hearing):
                part.cancel()
            await asyncio.gather(*parts, hearing, return_exceptions=True)

    async def _draw(self, process: asyncio.subprocess.Process) -> Ended:
        """Pass on what the screen draws, as fast as the page takes it: the pipe makes the screen wait."""
        output = process.stdout
        assert output is not None
        if not await _is_ready(output):
            return await self._broken(process)
        while True:
            try:
                head = await output.readexactly(5)
                size = int.from_bytes(head[1:], "big")
                if size > _MOST_FRAME_BYTES:
                    return BROKEN
                payload = await output.readexactly(size)
            except asyncio.IncompleteReadError:
                return await self._broken(process)
            if head[:1] == b"D":
                try:
                    # Not `wait_for`: up to Python 3.11 it loses a cancellation that comes just as the page has taken it.
                    async with asyncio.timeout(self._limits.stall_s):
                        await self._socket.send_bytes(payload)
                except TimeoutError:
                    return SLOW
                except (ConnectionError, RuntimeError):
                    return GONE
            elif head[:1] == b"M" and _type_of(payload) == "exit":
                return LEFT

    async def _broken(self, process: asyncio.subprocess.Process) -> Ended:
        """Return what a process said that ended without a word to the page."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await process.wait()
        last = self.said.rpartition("\n")[2].encode()[:_MOST_REASON_BYTES].decode("utf-8", "ignore")
        return Ended(BROKEN.code, last) if last else BROKEN

    async def _hear_errors(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while piece := await process.stderr.read(4096):
            self._said.append(piece)

    async def _idle(self) -> Ended:
        """Return when nobody has touched anything for long."""
        if self._limits.idle_s is None:
            return await asyncio.shield(self._stop)
        while True:
            left = self._touched + self._limits.idle_s - monotonic()
            if left <= 0:
                return IDLE
            await asyncio.sleep(left)

    async def _listen(self, process: asyncio.subprocess.Process) -> Ended:
        """Pass on what the page sends; nothing here waits, so a socket that floods is noticed at once."""
        keyboard = process.stdin
        assert keyboard is not None
        while True:
            message = await self._socket.receive()
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return GONE
            if message.type is not WSMsgType.TEXT:
                return NOT_UNDERSTOOD
            if not self._messages.take(1) or not self._bytes.take(len(message.data)):
                return FLOODED
            packet = await self._packet_of(message.data)
            if packet is None:
                return NOT_UNDERSTOOD
            if packet:
                keyboard.write(packet)
                if keyboard.transport.get_write_buffer_size() > _MOST_WAITING_BYTES:
                    return FLOODED

    async def _packet_of(self, text: str) -> bytes | None:
        """Return what a message means to the process, nothing for what is answered here, None for no message."""
        try:
            kind, *rest = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            return None
        match kind, rest:
            case "stdin", [str(keys)]:
                self._touched = monotonic()
                # Half a character means no key; to the driver, a packet of nothing is the end of all input.
                typed = keys.encode("utf-8", "ignore")
                return _packet(b"D", typed) if typed else b""
            case "resize", [{"width": int(width), "height": int(height)}]:
                self._touched = monotonic()
                width, height = clamped(width, height)
                return _told({"type": "resize", "width": width, "height": height})
            case (("focus" | "blur"), _):
                return _told({"type": kind})
            case "ping", [str(mark)] if len(mark) <= 100:
                with suppress(ConnectionError, RuntimeError):
                    async with asyncio.timeout(self._limits.stall_s):
                        await self._socket.send_json(["pong", mark])
                return b""
        return None

    async def _say_goodbye(self, why: Ended) -> None:
        """Close the socket with the reason; a page that is gone or stuck is not waited for."""
        code = 1000 if why is GONE else why.code
        reason = why.reason.encode()[:_MOST_REASON_BYTES].decode("utf-8", "ignore").encode()
        with suppress(TimeoutError, ConnectionError, RuntimeError):
            async with asyncio.timeout(_END_S):
                await self._socket.close(code=code, message=reason)


async def _is_ready(output: asyncio.StreamReader) -> bool:
    """Whether the web driver answers; a few lines may come before it."""
    for _ in range(_MOST_PRELUDE_LINES):
        try:
            line = await output.readline()
        except ValueError:
            # A line without end.
            return False
        if line == _PRELUDE:
            return True
        if not line:
            return False
    return False


def _packet(letter: bytes, payload: bytes) -> bytes:
    return letter + len(payload).to_bytes(4, "big") + payload


def _told(message: Mapping[str, object]) -> bytes:
    return _packet(b"M", json.dumps(message).encode())


def _type_of(payload: bytes) -> object:
    try:
        message = json.loads(payload)
    except ValueError:
        return None
    return message.get("type") if isinstance(message, dict) else None


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process for sure: told first, killed with all that it started when it does not listen."""
    if process.stdin is not None and process.returncode is None:
        with suppress(OSError, RuntimeError):
            process.stdin.write(_told({"type": "quit"}))
            process.stdin.close()
    # A process counts as ended only when its pipes were read to their end; what is still in them holds up its leave.
    pipes = [asyncio.create_task(_drain(pipe)) for pipe in (process.stdout, process.stderr) if pipe is not None]
    try:
        async with asyncio.timeout(_END_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    finally:
        for pipe in pipes:
            pipe.cancel()


async def _drain(pipe: asyncio.StreamReader) -> None:
    while await pipe.read(1 << 16):
        pass
