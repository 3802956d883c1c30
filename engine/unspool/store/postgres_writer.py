"""Appending to a history in PostgreSQL: one round trip an entry, one writer a history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from unspool.errors import ConfigError, HistoryLocked, StorageFailed, UnreadableSource
from unspool.store.postgres_link import Link
from unspool.store.postgres_rows import INSERT, insert_values
from unspool.store.postgres_schema import LOCK_SPACE, begin_history, has_history, make_tables
from unspool.store.postgres_target import Target, load_driver
from unspool.store.protocol import Draft

_COMMIT: Final = {"default": "off", "fast": "off", "full": "on"}
_INSERT_AND_TELL: Final = f"WITH stored AS ({INSERT} RETURNING seq) SELECT pg_notify(%s, '') FROM stored"  # noqa: S608
_INSERT_NAME: Final = "INSERT INTO unspool.atom(history, id, name) VALUES (%s, %s, %s)"


def channel_of(history: int) -> str:
    """Return the name under which a history tells of new entries (`LISTEN`)."""
    return f"unspool_{history}"


class PostgresWriter:
    """The one writer of a history: it holds an advisory lock for as long as its connection lives.

    Attributes:
        link: the connection.
        history: the history's number.
        history_id: what tells it from all others.
    """

    def __init__(self, target: Target, durability: str) -> None:
        """Connect, make what is missing, and take the lock.

        Raises:
            HistoryLocked, UnreadableSource, NewerSchema, ConfigError, MissingExtra: see `PostgresStore.create`.
        """
        if durability not in _COMMIT:
            raise ConfigError(f"durability is {durability!r}; write one of {', '.join(_COMMIT)}")
        if target.history is None:
            raise ConfigError(f"{target.shown}: names no history to record into; add ?history=NAME")
        self._error = load_driver().Error
        self._target = target
        self._name = target.history
        self.history, self.history_id = 0, ""
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._fresh: list[tuple[int, int, bytes]] = []
        self._next = 0
        self._checked: Any = None
        """The connection on which this writer made sure that nobody else appended."""
        setting = f"SET synchronous_commit = {_COMMIT[durability]}"
        self.link = Link(target, read_only=False, settings=(setting,), greet=self._take)

    def _take(self, connection: Any) -> None:
        try:
            make_tables(connection, self._target)
            if not self.history:
                self.history, self.history_id = begin_history(connection, self._name)
            elif not has_history(connection, self.history):
                raise UnreadableSource(f"{self._target.shown}: somebody deleted it; open it again to begin anew")
            query = "SELECT pg_try_advisory_lock(%s, %s)"
            is_ours = connection.execute(query, (LOCK_SPACE, self.history)).fetchone()[0]
        except self._error as error:
            reason = self._target.inert(str(error))
            raise UnreadableSource(
                f"{self._target.shown}: cannot be written ({reason}); check the user's rights"
            ) from None
        if not is_ours:
            raise HistoryLocked(
                f"{self._target.shown}: another recorder writes to it; close that one, or name another"
            )

    def begin(self, count: int, names: list[str], numbers: dict[str, int]) -> None:
        """Take over what the reading half found; both lists are shared with it from then on."""
        self._next, self._names, self._numbers = count, names, numbers

    def intern(self, atom: str) -> int:
        """See `Store.intern`."""
        number = self._numbers.get(atom)
        if number is None:
            number = self._numbers[atom] = len(self._names)
            self._names.append(atom)
            self._fresh.append((self.history, number, atom.encode("utf-8", "surrogatepass")))
        return number

    def note(self, work: Callable[[Any, int, Any], None], what: Any) -> None:
        """Keep something about the recording.

        Raises:
            StorageFailed: the server refused, or is gone.
        """
        try:
            self.link.call(lambda connection: work(connection, self.history, what))
        except (self._error, UnreadableSource) as error:
            reason = self._target.inert(str(error))
            raise StorageFailed(f"{self._target.shown}: its settings could not be written ({reason})") from None

    def append(self, draft: Draft) -> int:
        """See `Store.append`.

        Raises:
            StorageFailed: the server refused, or is gone; nothing of the entry was kept.
            HistoryLocked: the connection was lost, and another recorder has taken the history over.
        """
        seq = self._next
        values = insert_values(self.history, draft, seq)
        try:
            self.link.call(lambda connection: self._write(connection, values))
        except (self._error, UnreadableSource) as error:
            reason = self._target.inert(str(error))
            raise StorageFailed(f"{self._target.shown}: entry {seq} could not be written ({reason})") from None
        self._fresh.clear()
        self._next = seq + 1
        return seq

    def _write(self, connection: Any, values: tuple[Any, ...]) -> None:
        if connection is not self._checked and self._is_there(connection, values):
            return
        self._checked = connection
        told = (*values, channel_of(self.history))
        if not self._fresh:
            connection.execute(_INSERT_AND_TELL, told)
            return
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_INSERT_NAME, self._fresh)
            cursor.execute(_INSERT_AND_TELL, told)

    def _is_there(self, connection: Any, values: tuple[Any, ...]) -> bool:
        """On a new connection, say whether the old one was lost only after it had stored the entry.

        Raises:
            StorageFailed: somebody else appended meanwhile.
        """
        query = "SELECT seq, crc FROM unspool.entry WHERE history = %s AND seq >= %s ORDER BY seq LIMIT 2"
        rows = connection.execute(query, values[:2]).fetchall()
        if not rows:
            return False
        if rows != [(values[1], values[-1])]:
            raise StorageFailed(f"{self._target.shown}: another recorder appended entry {rows[0][0]}; open it again")
        return True
