"""`unspool listen`: one port on this machine, to which stores of running apps tell what happens to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import msgspec

from unspool.errors import ConfigError
from unspool.live.listen import socketcluster
from unspool.live.listen.connections import Body, Connections, Held, Response, Talk, WebSocketLink, listening
from unspool.live.listen.gate import Asked, Gate, Refused
from unspool.live.listen.histories import Histories, Kept
from unspool.live.listen.ingest import PREFIX, Ingest
from unspool.live.listen.shim_store import PATH as SHIM_PATH
from unspool.live.listen.shim_store import ShimPage
from unspool.system import ENDING

_SCRIPT_PATH: Final = "/shim.js"
_END_S: Final = 2.0


class Listening(msgspec.Struct, frozen=True):
    """Where is listened, for whoever is to be told.

    Attributes:
        port: the port.
        token: what addresses must hold that are not those of the Redux DevTools remote protocol.
        folder: where histories are recorded.
    """

    port: int
    token: str
    folder: Path

    @property
    def script(self) -> str:
        """The address of the stand-in for the browser extension."""
        return f"http://localhost:{self.port}/{self.token}{_SCRIPT_PATH}"

    def posting(self, name: str) -> str:
        """Return the address that lines for a store are posted to."""
        return f"http://localhost:{self.port}/{self.token}{PREFIX}{name}"


class _Nothing:
    """The body of a request that brings none."""

    def __init__(self, answer: Response) -> None:
        self._answer = answer

    def take(self, data: bytes) -> None:
        """See `Body`."""
        raise Refused(413, "That request brings nothing.")

    def end(self) -> Response:
        """See `Body`."""
        return self._answer

    def gone(self) -> None:
        """See `Body`."""


class Listener:
    """Listens until it is told to end."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 8000,
        names: Sequence[str] = (),
        origins: Sequence[str] = (),
        kept: Kept | None = None,
        tell: Callable[[str], None] = lambda words: None,
    ) -> None:
        """Prepare.

        Args:
            folder: where histories go.
            port: the port; 0 for any that is free.
            names: host names that may be asked for beside those of the loopback.
            origins: pages that may ask beside those of the loopback.
            kept: how histories are recorded.
            tell: takes what is worth telling the person, a line each.

        Raises:
            ConfigError: an option means nothing.
            OSError: the folder cannot be made.
        """
        self._gate = Gate(names, origins)
        self._histories = Histories(folder, kept or Kept(), tell)
        self._folder = folder
        self._port = port
        self._held = Held()
        self._remotes = socketcluster.Remotes(self._histories)
        self._ingest = Ingest(self._histories, self._held)
        self._script = (files("unspool.live.listen") / "shim.js").read_text("utf-8")

    def run(self, ready: Callable[[Listening], None]) -> None:
        """Listen until SIGINT, SIGTERM or SIGHUP.

        Args:
            ready: called once the port is open.

        Raises:
            ConfigError: the port cannot be opened.
        """
        asyncio.run(self._until_told(ready))

    async def _until_told(self, ready: Callable[[Listening], None]) -> None:
        end = asyncio.Event()
        for number in ENDING:
            asyncio.get_running_loop().add_signal_handler(number, end.set)
        await self.serve(ready, end)

    async def serve(self, ready: Callable[[Listening], None], end: asyncio.Event) -> None:
        """Listen until an event is set.

        Args:
            ready: called once the port is open.
            end: ends it.

        Raises:
            ConfigError: the port cannot be opened.
        """
        connections = Connections(self._gate, self, self._held)
        try:
            servers, self._port = await listening(connections, self._port)
        except (OSError, OverflowError) as error:
            said = getattr(error, "strerror", None) or error
            raise ConfigError(f"cannot listen at localhost:{self._port} ({said}); name another with --port") from None
        try:
            connections.look()
            ready(Listening(self._port, self._gate.token, self._folder))
            await end.wait()
        finally:
            for server in servers:
                server.close()
            connections.close()
            await connections.ended(_END_S)
            for history in self._histories.open:
                self._histories.stop(history)

    def ask(self, asked: Asked) -> Body:
        """See `Routes`."""
        if asked.method == "OPTIONS":
            return _Nothing(Response(204, b"", "text/plain"))
        if not asked.has_token:
            raise Refused(403, "This address lacks the token; use the whole address that `unspool listen` printed.")
        if asked.path == _SCRIPT_PATH and asked.method in ("GET", "HEAD"):
            address = f"ws://{asked.name}:{self._port}/{self._gate.token}{SHIM_PATH}"
            return _Nothing(Response(200, self._script.replace("@ADDRESS@", address).encode(), "text/javascript"))
        name = unquote(asked.path.removeprefix(PREFIX))
        if not asked.path.startswith(PREFIX) or not name or "/" in name:
            raise Refused(404, "There is nothing of that name here; lines are posted to /v1/NAME.")
        if asked.method != "POST":
            raise Refused(405, "Lines are sent with POST.")
        return self._ingest.lines(name)

    def together(self) -> AbstractContextManager[None]:
        """See `Routes`."""
        return self._histories.together()

    def talk(self, asked: Asked, link: WebSocketLink) -> Talk:
        """See `Routes`."""
        if asked.path == socketcluster.PATH:
            return socketcluster.Remote(link, self._remotes)
        if asked.path == SHIM_PATH and asked.has_token:
            return ShimPage(link, self._histories)
        raise Refused(404, "There is no WebSocket of that name here.")


__all__ = ["Listener", "Listening"]
