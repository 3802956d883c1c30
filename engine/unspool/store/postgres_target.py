"""`postgresql://…?history=NAME`: what it names, and how it may be shown. A password never leaves this module."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

from unspool.errors import ConfigError, MissingExtra

_HISTORY: Final = "history"
_CONNECT_TIMEOUT_S: Final = 10
_CREDENTIALS: Final = re.compile(r"[^@/]*@")
"""User and password as libpq finds them."""
_OPTION: Final = re.compile(r"\w+")
_UNNAMEABLE: Final = frozenset(("\0", *map(chr, range(0xD800, 0xE000))))
"""Characters that PostgreSQL's text has not."""
_SECRETS: Final = ("password", "sslpassword", "passfile", "oauth_client_secret")


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """An address, taken apart.

    Attributes:
        conninfo: what libpq connects to; may hold a password.
        shown: the address as people may see it.
        history: name of the history in it; None where none is named.
    """

    conninfo: str
    shown: str
    history: str | None

    def named(self, history: str) -> str:
        """Return the address of one history, as people may see it."""
        base = self.shown.partition("?")[0]
        return f"{base}?{_HISTORY}={quote(history, safe='')}"

    def inert(self, message: str) -> str:
        """Return what a driver said, in one line and without any secret of this address."""
        line = " ".join(message.split())
        for secret in sorted(_secrets(self.conninfo), key=len, reverse=True):
            line = line.replace(secret, "***")
        return line


def parse_target(address: str) -> Target:
    """Take an address apart.

    Raises:
        ConfigError: it names no history where it says `history=`.
    """
    front, pairs = _split(address)
    names = [value for key, value in pairs if key == _HISTORY]
    shown = _shown(front)
    if names and (not names[-1] or not _UNNAMEABLE.isdisjoint(names[-1])):
        raise ConfigError(f"{shown}: `history=` names none that a database can hold; write history=NAME")
    rest = [(key, value) for key, value in pairs if key != _HISTORY]
    known = {key for key, _ in rest}
    if "connect_timeout" not in known:
        rest.append(("connect_timeout", str(_CONNECT_TIMEOUT_S)))
    if "application_name" not in known:
        rest.append(("application_name", "unspool"))
    history = names[-1] if names else None
    options = "&".join(f"{key}={quote(value, safe='', errors='surrogateescape')}" for key, value in rest)
    target = Target(f"{front}?{options}", shown, history)
    return target if history is None else Target(target.conninfo, target.named(history), history)


def _split(address: str) -> tuple[str, list[tuple[str, str]]]:
    """Take the options off an address; a question mark may also be part of a password."""
    scheme, mark, rest = address.partition("://")
    credentials = _CREDENTIALS.match(rest)
    start = len(scheme) + len(mark) + (credentials.end() if credentials else 0)
    end = address.find("?", start)
    pairs = [] if end < 0 else _pairs(address[end + 1 :])
    if end < 0 or not all(_OPTION.fullmatch(key) for key, _ in pairs):
        # What follows are no options, so it may be more of a password; libpq will refuse the whole.
        return address, []
    return address[:end], pairs


def _pairs(query: str) -> list[tuple[str, str]]:
    """Take a query apart as libpq does: a plus sign is no space."""
    parts = [part.partition("=") for part in query.split("&") if part]
    return [(key, unquote(value)) for key, _, value in parts]


def _shown(front: str) -> str:
    """Return an address without its password; what stands before the last at-sign may be part of one."""
    scheme, _, rest = front.partition("://")
    credentials, at, place = rest.rpartition("@")
    user = credentials.partition(":")[0].replace("?", "%3F")
    return f"{scheme}://{user}{at}{place}"


def _secrets(conninfo: str) -> set[str]:
    front, pairs = _split(conninfo)
    credentials = front.partition("://")[2].rpartition("@")[0]
    written = [credentials.partition(":")[2], *(value for key, value in pairs if key in _SECRETS)]
    # What the driver complains of may be a piece of a password that holds a character with a meaning of its own.
    pieces = [piece for secret in written for piece in (secret, *re.split(r"[/?#@:]", secret)) if piece]
    return {spelling for piece in pieces for spelling in (piece, unquote(piece))}


def load_driver() -> Any:
    """Import psycopg; nothing else in unspool does, and only for such an address.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import psycopg
    except ImportError:
        raise MissingExtra("PostgreSQL needs the package psycopg; run `pip install 'unspool[postgres]'`") from None
    return psycopg
