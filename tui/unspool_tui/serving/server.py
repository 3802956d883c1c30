"""The server: who may ask for the page and the WebSocket, with which words they are refused, and how many may visit.

It is meant for one person's machine. Whoever knows the address with the token is a visitor; whoever does not, other
pages in the visitor's browser and names that somebody else lets point here included, gets nothing but a refusal.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import html
import ipaddress
import secrets
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any, Final

from aiohttp import web
from msgspec import Struct, field

from unspool.errors import ConfigError
from unspool.system import ENDING
from unspool_tui.serving import clamped
from unspool_tui.serving.visit import MOST_MESSAGE_BYTES, SERVER_ENDED, Visit, VisitLimits

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOPBACK_NAMES: Final = ("localhost", "ip6-localhost")
_TOKEN_BYTES: Final = 24
_MOST_CONNECTIONS: Final = 128
"""Connections at once, whoever they belong to; a further one is closed."""
_FIRST_REQUEST_S: Final = 10.0
"""Seconds in which a connection must have asked for something."""
_KEEP_S: Final = 15.0
_HEARTBEAT_S: Final = 15.0
"""Seconds between pings; a page that answers none for half of that is gone."""
_MOST_HEADER_BYTES: Final = 8190
_ASSETS: Final = {
    "textual.js": ("js/textual.js", "text/javascript"),
    "xterm.css": ("css/xterm.css", "text/css"),
    "mono.ttf": ("fonts/RobotoMono-VariableFont_wght.ttf", "font/ttf"),
    "mono-italic.ttf": ("fonts/RobotoMono-Italic-VariableFont_wght.ttf", "font/ttf"),
}
"""What the page needs of textual-serve, by the name it has here."""
_OWN_ASSETS: Final = {"page.js": "text/javascript", "page.css": "text/css"}
_SEALED: Final = {
    "Server": "unspool",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), usb=(), payment=()",
}
"""Headers of every answer."""
_NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PLAIN_PAGE: Final = (
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>unspool</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1"></head>'
    "<body><p>{words}</p></body></html>\n"
)


class Served(Struct, frozen=True):
    """What is served, and to whom.

    Attributes:
        words: the command that draws a visitor's screen; no shell reads it.
        title: what the page is called.
        host: the address or name to listen at.
        port: the port to listen at.
        visitors: how many may visit at once.
        names: host names that a visitor may ask by, beside those of this machine.
        limits: what one visit may take.
        token: what the address must hold; a new one by default.
    """

    words: Sequence[str]
    title: str
    host: str
    port: int
    visitors: int
    names: Sequence[str] = ()
    limits: VisitLimits = field(default_factory=VisitLimits)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(_TOKEN_BYTES))

    @property
    def address(self) -> str:
        """The address to open, token included."""
        host = f"[{self.host}]" if ":" in self.host.strip("[]") else self.host
        # Who listens at every address is asked by one of them.
        host = {"0.0.0.0": "localhost", "[::]": "localhost", "": "localhost"}.get(host, host)  # noqa: S104
        return f"http://{host}:{self.port}/{self.token}/"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host name or address."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class VisitorRefused(Exception):
    """A request that is not answered; the words are for whoever made it."""

    def __init__(self, status: int, words: str) -> None:
        self.status, self.words = status, words
        super().__init__(words)


class VisitorGate:
    """Tells visitors from everybody else."""

    def __init__(self, served: Served) -> None:
        self._token = served.token.encode()
        self._names = frozenset(
            name.lower().strip("[]") for name in (*LOOPBACK_NAMES, served.host, *served.names) if name
        )

    def check(self, request: web.Request) -> None:
        """Let a request through that comes from a visitor, by this server's own page or address.

        Raises:
            Refused: it does not.
        """
        host = request.headers.get("Host", "")
        name = _name_of(host)
        # A page of somebody else whose name points here sends that name; no page can send an address not its own.
        if name not in self._names and not _is_address_here(name, request):
            raise VisitorRefused(421, "This server does not go by that name; `serve --name NAME` permits one.")
        given = request.match_info.get("token", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._token):
            raise VisitorRefused(
                403, "This address lacks the token; open the whole address that `unspool serve` printed."
            )
        origin = request.headers.get("Origin")
        if origin is not None and not _is_same(origin, host):
            raise VisitorRefused(403, "Another page may not ask for this.")
        if origin is None and request.headers.get("Upgrade"):
            raise VisitorRefused(403, "A connection must tell which page it comes from.")
        if (
            request.headers.get("Sec-Fetch-Site") == "cross-site"
            and request.headers.get("Sec-Fetch-Dest") != "document"
        ):
            raise VisitorRefused(403, "Another page may not ask for this.")


def _name_of(host: str) -> str:
    """Return the name of a `Host` header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_address_here(name: str, request: web.Request) -> bool:
    """Whether a name is the very address at which the request arrived."""
    try:
        asked = ipaddress.ip_address(name)
    except ValueError:
        return False
    here = request.transport.get_extra_info("sockname") if request.transport is not None else None
    if not here:
        return False
    arrived = ipaddress.ip_address(str(here[0]).partition("%")[0])
    if isinstance(arrived, ipaddress.IPv6Address) and arrived.ipv4_mapped is not None:
        return asked in (arrived, arrived.ipv4_mapped)
    return asked == arrived or (asked.is_loopback and arrived.is_loopback)


def _is_same(origin: str, host: str) -> bool:
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest.lower() == host.lower()


class Server:
    """Answers requests and holds the visits; `run` serves until it is told to end."""

    def __init__(self, served: Served) -> None:
        """Prepare to serve."""
        self._served = served
        self._gate = VisitorGate(served)
        self._visits: dict[asyncio.Task[web.StreamResponse], Visit | None] = {}
        self._silent: set[Any] = set()
        self._page = _page(served)
        self._assets = _assets()

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until SIGINT or SIGTERM.

        Args:
            ready: called when the server listens.

        Raises:
            ConfigError: the address cannot be listened at.
        """
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        for number in ENDING:
            loop.add_signal_handler(number, told.set)
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            keepalive_timeout=_KEEP_S,
            max_line_size=_MOST_HEADER_BYTES,
            max_field_size=_MOST_HEADER_BYTES,
            shutdown_timeout=0.2,
        )
        await runner.setup()
        try:
            listening = await self._listen(runner)
            try:
                ready()
                await told.wait()
            finally:
                # Leaving `async with` waits for the visitors to go, from Python 3.12 on.
                listening.close()
            await self._end_visits()
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> asyncio.Server:
        """Open the port behind a doorman.

        Raises:
            ConfigError: it cannot be opened.
        """
        served, protocols = self._served, runner.server
        assert protocols is not None
        loop = asyncio.get_running_loop()

        def doorman() -> asyncio.BaseProtocol:
            if len(protocols.connections) >= _MOST_CONNECTIONS:
                return _Closing()
            protocol = protocols()
            self._silent.add(protocol)
            loop.call_later(_FIRST_REQUEST_S, self._close_silent, protocol)
            return protocol

        try:
            return await loop.create_server(doorman, served.host.strip("[]"), served.port, backlog=64)
        except (OSError, OverflowError) as error:
            said = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"cannot listen at {served.host}:{served.port} ({said}); name another with --host and --port"
            ) from None

    def _close_silent(self, protocol: Any) -> None:
        """Close a connection that has asked for nothing since it was made."""
        if protocol in self._silent:
            self._silent.discard(protocol)
            if protocol.transport is not None:
                protocol.transport.close()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._sealed], client_max_size=1024)
        application.router.add_get("/{token}/", self._show_page, allow_head=True)
        application.router.add_get("/{token}/ws", self._visit, allow_head=False)
        application.router.add_get("/{token}/{asset}", self._show_asset, allow_head=True)
        return application

    @web.middleware
    async def _sealed(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Ask the gate first, and put the headers on whatever is answered."""
        self._silent.discard(request.protocol)
        try:
            self._gate.check(request)
            answer = await handler(request)
        except VisitorRefused as error:
            answer = _plain(error.status, error.words)
        except web.HTTPException as error:
            answer = _plain(error.status, f"{error.status} {error.reason}")
        if not answer.prepared:
            answer.headers.setdefault("Content-Security-Policy", _NOTHING)
            answer.headers.update(_SEALED)
        return answer

    async def _show_page(self, request: web.Request) -> web.StreamResponse:
        self._refuse_one_too_many()
        answer = web.Response(text=self._page, content_type="text/html")
        host = request.headers["Host"]
        answer.headers["Content-Security-Policy"] = (
            f"{_NOTHING}; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src data:; "
            f"connect-src 'self' ws://{host} wss://{host}"
        )
        return answer

    async def _show_asset(self, request: web.Request) -> web.StreamResponse:
        found = self._assets.get(request.match_info["asset"])
        if found is None:
            raise VisitorRefused(404, "There is nothing of that name here.")
        body, kind = found
        return web.Response(body=body, content_type=kind)

    def _refuse_one_too_many(self) -> None:
        """Refuse when everybody who may visit does so.

        Raises:
            Refused: one more would be too many.
        """
        most = self._served.visitors
        if len(self._visits) >= most:
            raise VisitorRefused(
                503, f"All {most} places are taken; close another tab and load this page again. (serve --visitors N)"
            )

    async def _visit(self, request: web.Request) -> web.StreamResponse:
        """Hold one WebSocket and its process."""
        self._refuse_one_too_many()
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise VisitorRefused(426, "This address is for the page's own connection.")
        task = asyncio.create_task(self._hold(request))
        # The place is taken before anything is waited for.
        self._visits[task] = None
        task.add_done_callback(self._visits.pop)
        return await asyncio.shield(task)

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            heartbeat=_HEARTBEAT_S, compress=False, max_msg_size=MOST_MESSAGE_BYTES, autoclose=True, timeout=0.5
        )
        await socket.prepare(request)
        visit = Visit(self._served.words, socket, self._served.limits)
        task = asyncio.current_task()
        assert task is not None
        self._visits[task] = visit
        await visit.run(*clamped(_number(request, "width", 80), _number(request, "height", 24)))
        if visit.said:
            sys.stderr.write(f"unspool: a visitor's screen said: {visit.said[-400:]!r}\n")
        return socket

    async def _end_visits(self) -> None:
        """End every visit and wait until its process is gone."""
        for visit in self._visits.values():
            if visit is not None:
                visit.stop(SERVER_ENDED)
        if self._visits:
            await asyncio.wait(self._visits)


class _Closing(asyncio.Protocol):
    """What a connection too many gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _number(request: web.Request, name: str, fallback: int) -> int:
    with contextlib.suppress(ValueError):
        return int(request.query.get(name, "")[:6])
    return fallback


def _plain(status: int, words: str) -> web.Response:
    return web.Response(status=status, text=_PLAIN_PAGE.format(words=html.escape(words)), content_type="text/html")


def _page(served: Served) -> str:
    template = (files("unspool_tui.serving") / "page.html").read_text("utf-8")
    return template.replace("{{ title }}", html.escape(served.title))


def _assets() -> dict[str, tuple[bytes, str]]:
    """Read what the page consists of; a path in a request never reaches the file system."""
    own, theirs = files("unspool_tui.serving"), files("textual_serve") / "static"
    found = {name: ((own / name).read_bytes(), kind) for name, kind in _OWN_ASSETS.items()}
    for name, (path, kind) in _ASSETS.items():
        found[name] = (theirs.joinpath(*path.split("/")).read_bytes(), kind)
    return found
