"""One connection to PostgreSQL that comes back after the server went away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from unspool.errors import UnreadableSource
from unspool.store.postgres_target import Target, load_driver

R = TypeVar("R")

_READ_ONLY: Final = "SET default_transaction_read_only = on"


class Link:
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
        greet: Callable[[Any], None] | None = None,
    ) -> None:
        """Connect.

        Args:
            target: what to connect to.
            read_only: nothing can be written over this connection.
            settings: statements that every connection begins with.
            greet: called with every new connection, to look at it before it is used.

        Raises:
            UnreadableSource: the server cannot be reached, or refused.
            MissingExtra: psycopg is not installed.
        """
        self.target = target
        self.driver = load_driver()
        self._settings = (*settings, *((_READ_ONLY,) if read_only else ()))
        self._greet = greet
        self._lock = threading.RLock()
        self._connection: Any = None
        self._is_closed = False
        with self._lock:
            self._connect()

    def _connect(self) -> Any:
        driver = self.driver
        try:
            connection = driver.connect(self.target.conninfo, autocommit=True)
        except (driver.ProgrammingError, UnicodeError):
            # An address of broken bytes is refused by Python before libpq sees it.
            raise UnreadableSource(
                f"{self.target.shown}: is no address; write postgresql://USER@HOST/DATABASE, special characters as %XX"
            ) from None
        except driver.Error as error:
            reason = self.target.inert(str(error))
            raise UnreadableSource(
                f"{self.target.shown}: cannot connect ({reason}); check host, user and database, and PGPASSWORD"
            ) from None
        try:
            for statement in self._settings:
                connection.execute(statement)
            if self._greet is not None:
                self._greet(connection)
        except driver.Error as error:
            connection.close()
            raise self.refused(error) from None
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def fetch(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return its rows; a connection that was lost is made anew once.

        Raises:
            UnreadableSource: the server refused, or is gone.
        """
        return self.ask(lambda connection: connection.execute(query, values).fetchall())

    def ask(self, work: Callable[[Any], R]) -> R:
        """Do something with the connection, as `call`; what the server refuses is told as people may read it.

        Raises:
            UnreadableSource: the server refused, or is gone.
        """
        try:
            return self.call(work)
        except self.driver.Error as error:
            raise self.refused(error) from None

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

    def refused(self, error: Exception) -> UnreadableSource:
        """Return what a driver's error means for a person."""
        return UnreadableSource(f"{self.target.shown}: PostgreSQL says: {self.target.inert(str(error))}")

    def close(self) -> None:
        """Disconnect; closing twice is fine."""
        with self._lock:
            self._is_closed = True
            if self._connection is not None:
                self._connection.close()
