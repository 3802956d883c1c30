"""Who may ask for what: by the name that is asked for, the page that asks, and the token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import h11
import msgspec

from unspool.errors import ConfigError

LOOPBACK_NAMES: Final = ("localhost", "ip6-localhost")
_TOKEN_BYTES: Final = 24
_MOST_TARGET: Final = 2048
_BEARER: Final = "bearer "


class Refused(Exception):
    """A request that is not answered; the words are for whoever made it, and so are the facts."""

    def __init__(self, status: int, words: str, **facts: int) -> None:
        self.status, self.words, self.facts = status, words, facts
        super().__init__(words)


class Asked(msgspec.Struct, frozen=True):
    """What a request asks for.

    Attributes:
        method: such as `POST`.
        path: decoded by nobody, without the token and what follows a question mark.
        headers: names in lower case.
        name: the name of this machine that was asked for.
        has_token: whether it came with the token.
        origin: the page that asks, where a browser tells; None of a program.
        wants_socket: it is to become a WebSocket.
    """

    method: str
    path: str
    headers: dict[str, str]
    name: str
    has_token: bool
    origin: str | None
    wants_socket: bool


class Gate:
    """Tells programs and pages of this machine from everybody else.

    A page of a stranger that is open in a browser here can reach this port too: its browser tells the page's origin, and
    a name that the stranger has let point here. What changes or reads nothing of theirs needs no more; what has no
    protocol of others to keep to asks for the token besides.
    """

    def __init__(self, names: Sequence[str] = (), origins: Sequence[str] = ()) -> None:
        """Prepare.

        Args:
            names: host names that may be asked for beside those of the loopback.
            origins: pages that may ask beside those of the loopback, such as `https://shop.test`.

        Raises:
            ConfigError: an origin is none.
        """
        self.token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._names = frozenset(name.lower().strip("[]") for name in (*LOOPBACK_NAMES, *names))
        for origin in origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
                raise ConfigError(f"--origin {origin!r}: write it as a browser does, such as https://shop.test:3000")
        self._origins = frozenset(origin.lower() for origin in origins)

    def admit(self, request: h11.Request) -> Asked:
        """Return what a request asks for.

        Raises:
            Refused: it comes by a foreign name or from a foreign page.
        """
        headers = _headers_of(request)
        name = _name_of(headers.get("host", ""))
        if name not in self._names and not _is_loopback(name):
            raise Refused(421, "This program does not go by that name; `unspool listen --name NAME` permits one.")
        origin = headers.get("origin")
        if origin is not None and not self._is_origin_here(origin):
            raise Refused(
                403, "A page of that origin may not ask here; `unspool listen --origin ORIGIN` permits one."
            )
        if origin is None and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise Refused(403, "Another page may not ask for this.")
        if len(request.target) > _MOST_TARGET:
            raise Refused(414, "That address is too long.")
        path, has_token = self._without_token(request.target.decode("ascii", "replace").partition("?")[0])
        return Asked(
            request.method.decode("ascii", "replace"),
            path,
            headers,
            f"[{name}]" if ":" in name else name,
            has_token or self._is_bearer(headers.get("authorization", "")),
            origin,
            "websocket" in headers.get("upgrade", "").lower(),
        )

    def _without_token(self, path: str) -> tuple[str, bool]:
        given, slash, rest = path.removeprefix("/").partition("/")
        if slash and hmac.compare_digest(given.encode(), self.token.encode()):
            return f"/{rest}", True
        return path, False

    def _is_bearer(self, value: str) -> bool:
        given = value[len(_BEARER) :].strip() if value.lower().startswith(_BEARER) else ""
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _is_origin_here(self, origin: str) -> bool:
        if origin.lower() in self._origins:
            return True
        scheme, _, rest = origin.partition("://")
        name = _name_of(rest)
        return scheme in ("http", "https") and (name in LOOPBACK_NAMES or _is_loopback(name))


def _headers_of(request: h11.Request) -> dict[str, str]:
    """Return the headers; one that stands there twice says nothing for sure.

    Raises:
        Refused: one that matters here does.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.headers:
        name = raw_name.decode("ascii", "replace").lower()
        if name in headers and name in ("host", "origin", "authorization", "upgrade"):
            raise Refused(400, f"The header {name} stands there twice.")
        headers[name] = raw_value.decode("latin-1")
    return headers


def _name_of(host: str) -> str:
    """Return the name of a host, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
