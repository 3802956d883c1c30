"""`unspool serve` as a real process, and visitors with real sockets."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support.waiting import wait_until

if TYPE_CHECKING:
    import aiohttp

LIMIT_S = 15.0
_ADDRESS = re.compile(r"http://[^\s/]+/[\w-]+/")
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?<>$]*[a-zA-Z]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][AB0]|[=>78])")
LIMITED = """
import functools, sys
from unspool_tui.serving import server, visit
from unspool_tui.cli import run
{patches}
sys.exit(run(sys.argv[1:]))
"""
"""Runs the command line with limits of the server changed."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Served:
    """A running server.

    Attributes:
        process: the server itself.
        port: where it listens, on 127.0.0.1.
        address: what it told to open.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, said: Path) -> None:
        self.process = process
        self.port = port
        self._said = said
        self.address = ""

    @property
    def said(self) -> str:
        """What the server said on standard error so far."""
        return self._said.read_text("utf-8", "replace")

    @property
    def token(self) -> str:
        return self.address.rstrip("/").rpartition("/")[2]

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    def wait_for_address(self) -> None:
        def told() -> bool:
            assert self.process.poll() is None, self.said
            return _ADDRESS.search(self.said) is not None

        wait_until(told, "the address")
        found = _ADDRESS.search(self.said)
        assert found is not None
        self.address = found[0]

    def children(self) -> list[int]:
        """Return the ids of the processes that the server started and that have not ended."""
        return children_of(self.process.pid)


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def served(
    *sources: Path | str, options: tuple[str, ...] = (), env: Mapping[str, str] | None = None, patches: str = ""
) -> Iterator[Served]:
    """Serve sources until the block ends.

    Args:
        sources: what to serve.
        options: further words of the command line.
        env: the variables of the server; its own when None.
        patches: statements that change limits in the modules `server` and `visit` first.
    """
    port = free_port()
    program = ["-c", LIMITED.format(patches=patches)] if patches else ["-m", "unspool_tui.cli"]
    words = [sys.executable, *program, "serve", *map(str, sources), "--port", str(port), *options]
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "stderr"
        with said.open("wb") as stream:
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=stream, env=env)
        server = Served(process, port, said)
        try:
            server.wait_for_address()
            yield server
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(LIMIT_S)
            finally:
                process.kill()


class Visitor:
    """A page, as far as the server can tell.

    Attributes:
        socket: its WebSocket.
        shown: what was drawn so far, escape sequences and all.
        closed: the close code and reason once the server has closed.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.shown = ""
        self.closed: tuple[int | None, str] | None = None

    async def press(self, keys: str) -> None:
        await self.socket.send_str(json.dumps(["stdin", keys]))

    async def take(self) -> bool:
        """Take one message; say whether the connection is still open."""
        import aiohttp

        message = await self.socket.receive(timeout=LIMIT_S)
        if message.type is aiohttp.WSMsgType.BINARY:
            self.shown += message.data.decode("utf-8", "replace")
        elif message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
            self.closed = self.socket.close_code, str(message.extra or "")
            return False
        return True

    async def wait_for(self, text: str) -> None:
        """Take what is drawn until a text is in it; what was drawn up to then is forgotten."""
        end = time.monotonic() + LIMIT_S
        while text not in _ESCAPES.sub("", self.shown):
            assert time.monotonic() < end, f"{text!r} was never shown"
            assert await self.take(), f"closed {self.closed} before {text!r} was shown"
        self.shown = ""

    async def wait_for_close(self) -> tuple[int | None, str]:
        while await self.take():
            pass
        assert self.closed is not None
        return self.closed


@asynccontextmanager
async def visiting(server: Served, *, size: str = "width=100&height=30") -> AsyncIterator[Visitor]:
    """Visit as a page of the server does, and leave in the end."""
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"{server.address.replace('http', 'ws')}ws?{size}",
            origin=server.origin,
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
        ) as socket,
    ):
        yield Visitor(socket)
