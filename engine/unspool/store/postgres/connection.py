"""`postgresql://…?history=NAME` and a connection to it. A password never leaves this module."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from time import monotonic
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from unspool.errors import ConfigError, MissingExtra, UnreadableSource

R = TypeVar("R")

_HISTORY: Final = "history"
_CONNECT_TIMEOUT_S: Final = 10
_LIBPQ: Final = (
    ("application_name", "unspool"),
    ("client_encoding", "UTF8"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "20000"),
)
"""Options that an address gets where it does not have them: a network that was cut is noticed within half a minute."""
_CREDENTIALS: Final = re.compile(r"[^@/]*@")
"""User and password as libpq finds them."""
_OPTION: Final = re.compile(r"\w+")
_UNNAMEABLE: Final = frozenset(("\0", *map(chr, range(0xD800, 0xE000))))
"""Characters that PostgreSQL's text has not."""
_WHERE: Final = (_HISTORY, "host", "hostaddr", "port", "dbname", "user", "service")
_SECRETS: Final = ("password", "sslpassword", "passfile", "oauth_client_secret")


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """An address, taken apart.

    Attributes:
        conninfo: what libpq connects to; may hold a password.
        shown: the address as people may see it.
        history: name of the history in it; None where none is named.
        public: the address with all its options but no secret: what may be written down and connected to again.
        place: what of the address says which history is meant, and not how to connect to it.
    """

    conninfo: str
    shown: str
    history: str | None
    public: str
    place: tuple[str, ...]

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
    public = [
        (key, value) for key, value in (*rest, *((_HISTORY, name) for name in names[-1:])) if key not in _SECRETS
    ]
    known = {key for key, _ in rest}
    usual = (("connect_timeout", str(_CONNECT_TIMEOUT_S)), *_LIBPQ)
    rest += [option for option in usual if option[0] not in known]
    history = names[-1] if names else None
    place = (shown.partition("://")[2], *(f"{key}={value}" for key, value in sorted(public) if key in _WHERE))
    target = Target(f"{front}?{_query(rest)}", shown, history, f"{shown}?{_query(public)}", place)
    return target if history is None else replace(target, shown=target.named(history))


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


def _query(pairs: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{key}={quote(value, safe='', errors='surrogateescape')}" for key, value in pairs)


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
        import psycopg  # an extra
    except ImportError:
        raise MissingExtra("PostgreSQL needs the package psycopg; run `pip install 'unspool[postgres]'`") from None
    return psycopg


_READ_ONLY: Final = "SET default_transaction_read_only = on"


@cache
def _bounded(driver: Any) -> Any:
    """Return a class of connections that break off when the server gives no sign of life.

    A server that is frozen still has its packets acknowledged by its kernel, so no option of libpq notices it.
    """

    class BoundedConnection(driver.Connection):  # type: ignore[misc]
        silence_s = 0.0

        def wait(self, work: Generator[Any, Any, R], *args: Any, **kwargs: Any) -> R:
            try:
                found: R = super().wait(_within(work, self.silence_s), *args, **kwargs)
            except TimeoutError:
                # Nothing may wait for this connection again, not even to roll back.
                self.pgconn.finish()
                raise driver.OperationalError(f"no answer within {self.silence_s:g} s") from None
            return found

    return BoundedConnection


def _within(work: Generator[Any, Any, R], seconds: float) -> Generator[Any, Any, R]:
    """Go on with what a driver does step by step for as long as its connection becomes ready often enough.

    Raises:
        TimeoutError: it did not for so many seconds.
    """
    try:
        wanted = next(work)
        while True:
            end = monotonic() + seconds
            while not (ready := (yield wanted)):
                if monotonic() > end:
                    raise TimeoutError
            wanted = work.send(ready)
    except StopIteration as done:
        result: R = done.value
        return result


def connect(target: Target, *, silence_s: float | None = None) -> Any:
    """Return a new connection in autocommit mode.

    Args:
        target: what to connect to.
        silence_s: seconds without any sign of life after which the connection counts as lost; None to wait.

    Raises:
        BadAddress: the address is none.
        UnreadableSource: the server cannot be reached, or refused.
        MissingExtra: psycopg is not installed.
    """
    driver = load_driver()
    try:
        kind = driver.Connection if silence_s is None else _bounded(driver)
        connection = kind.connect(target.conninfo, autocommit=True)
    except (driver.ProgrammingError, UnicodeError):
        # An address of broken bytes is refused by Python before libpq sees it.
        raise BadAddress(
            f"{target.shown}: is no address; write postgresql://USER@HOST/DATABASE, special characters as %XX"
        ) from None
    except driver.Error as error:
        reason = target.inert(str(error))
        raise UnreadableSource(
            f"{target.shown}: cannot connect ({reason}); check host, user and database, and PGPASSWORD"
        ) from None
    if silence_s is not None:
        connection.silence_s = silence_s
    return connection


def refused(target: Target, error: Exception) -> UnreadableSource:
    """Return what a driver's error means for a person."""
    return UnreadableSource(f"{target.shown}: PostgreSQL says: {target.inert(str(error))}")


class BadAddress(UnreadableSource):
    """An address that libpq cannot read."""


class ServerConnection:
    """A connection in autocommit mode; safe to use from several threads.

    Attributes:
        target: what it is connected to.
        driver: the module psycopg.
    """

    def __init__(
        self,
        target: Target,
        *,
        read_only: bool,
        settings: Sequence[str] = (),
        silence_s: float | None = None,
    ) -> None:
        """Connect.

        Args:
            target: what to connect to.
            read_only: nothing can be written over this connection.
            settings: statements that every connection begins with.
            silence_s: see `connect`.

        Raises:
            UnreadableSource: the server cannot be reached, or refused.
            MissingExtra: psycopg is not installed.
        """
        self.target = target
        self.driver = load_driver()
        self._settings = (*settings, *((_READ_ONLY,) if read_only else ()))
        self._silence_s = silence_s
        self._lock = threading.RLock()
        self._connection: Any = None
        self._is_closed = False
        with self._lock:
            self._connect()

    def _connect(self) -> Any:
        connection = connect(self.target, silence_s=self._silence_s)
        try:
            for statement in self._settings:
                connection.execute(statement)
        except self.driver.Error as error:
            connection.close()
            raise refused(self.target, error) from None
        self._connection = connection
        return connection

    def fetch(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return its rows; a connection that was lost is made anew once.

        Raises:
            UnreadableSource: the server refused, or is gone.
        """
        return self.ask(lambda connection: connection.execute(query, values).fetchall())

    def ask(self, work: Callable[[Any], R]) -> R:
        """Do something with the connection, as `call`; what the server refuses is reported as people may read it.

        Raises:
            UnreadableSource: the server refused, or is gone.
        """
        try:
            return self.call(work)
        except self.driver.Error as error:
            raise refused(self.target, error) from None

    def call(self, work: Callable[[Any], R]) -> R:
        """Do something with the connection; done again on a new one when the old one turned out to be lost.

        Raises:
            psycopg.Error: the server refused.
            UnreadableSource: it cannot be reached any more.
        """
        with self._lock:
            if self._is_closed:
                raise UnreadableSource(f"{self.target.shown}: is closed already; open it again")
            connection = self._connection
            if connection is None or connection.closed:
                connection = self._connect()
            try:
                return work(connection)
            except self.driver.OperationalError:
                if not connection.closed:
                    raise
                return work(self._connect())

    def close(self) -> None:
        """Disconnect; closing twice is fine."""
        with self._lock:
            self._is_closed = True
            if self._connection is not None:
                self._connection.close()
