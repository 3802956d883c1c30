"""Foreign SQLite databases, opened so that nothing in them or beside them can change."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from unspool.errors import UnreadableSource, UnspoolError
from unspool.sources.bytestream import unreadable
from unspool.sources.entries import Findings
from unspool.store.databases import UntouchedDatabase, damage_of_log
from unspool.store.wal import WalState, log_of

_LENIENT = partial(str, encoding="utf-8", errors="surrogateescape")
_COUNTED: Final = 1_000
"""Rows of a table that are counted; of a larger one it is said that there are more."""
_NAMED: Final = 8
"""Tables and columns that are named; the rest are counted."""
BUSY_S = 5.0
"""How long to wait for the app that writes the database."""


def one_line(error: sqlite3.Error | UnicodeDecodeError) -> str:
    """Return SQLite's own words without the line breaks of a schema that they may quote."""
    return " ".join(str(error).split())


class ForeignDatabase:
    """A database that another program writes, or wrote: only read, and followed while it changes."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            UnreadableSource: it cannot be opened or is damaged.
        """
        self._path = path
        with self._told():
            # One damaged text must not cost the rows behind it.
            self._database = UntouchedDatabase(path, text_factory=_LENIENT, wait_s=BUSY_S)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # SQLite quotes a damaged name as it stands, and Python cannot read the message then.
            raise UnreadableSource(
                f"{self._path}: no readable SQLite database ({one_line(error)}); copy it together with its -wal file"
            ) from None
        except OSError as error:
            raise unreadable(self._path, error) from None

    def execute(self, query: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run a query.

        Raises:
            sqlite3.Error: it fails.
            UnreadableSource: the database was written to and cannot be opened any more.
        """
        with self._told():
            connection = self._database.current()
        return connection.execute(query, values)

    def close(self) -> None:
        """Close it."""
        self._database.close()


TEXT: Final = "CAST(? AS TEXT)"
"""How a query spells a text that `stored_text` gives."""


def stored_text(text: str) -> bytes:
    """Return the bytes of a text as a database holds them, to be compared with: those of a damaged one are no UTF-8."""
    return text.encode("utf-8", "surrogateescape" if _is_damaged(text) else "surrogatepass")


def _is_damaged(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


class Queried(Protocol):
    """What runs queries."""

    def execute(self, query: str, values: Sequence[str] = ..., /) -> sqlite3.Cursor:
        """Run a query."""


def columns_of(connection: Queried) -> dict[str, set[str]]:
    """Return the names of a database's tables, each with the names of its columns; views and the like are none."""
    # What has no page of its own is worked out by what the schema says, which anybody may have written.
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
    tables = [str(row[0]) for row in connection.execute(query)]
    return {
        table: {str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
        for table in tables
    }


def report_other_tables(
    connection: Queried,
    path: Path,
    tables: Mapping[str, Collection[str]],
    known: Mapping[str, Collection[str]],
    findings: Findings,
) -> None:
    """Report tables with rows, and columns, that a format does not know: nothing of them is in any state.

    Args:
        connection: the database.
        path: its file, for the message.
        tables: its tables, each with its columns.
        known: the tables of the format, each with its columns; of one without columns all are known.
        findings: where to tell.
    """
    others = []
    for table, columns in sorted(tables.items()):
        if table.startswith("sqlite_"):
            continue
        if table not in known:
            name = table.replace('"', '""')
            counted = f'SELECT count(*) FROM (SELECT 1 FROM "{name}" LIMIT {_COUNTED + 1})'  # noqa: S608 - it is quoted
            rows = connection.execute(counted).fetchone()[0]
            if rows:
                others.append(
                    f"{table} ({_COUNTED:,} rows and more)" if rows > _COUNTED else f"{table} ({rows:,} rows)"
                )
        elif known[table]:
            others += [f"{table}.{column}" for column in sorted(set(columns).difference(known[table]))]
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        findings.notice(
            str(path),
            f"in no state, for they are no tables and columns of this format: {', '.join(others[:_NAMED])}{more}",
        )


@contextmanager
def first_look(connection: ForeignDatabase, path: Path) -> Iterator[None]:
    """Look at a database for the first time; if that fails the connection is closed.

    Raises:
        UnreadableSource: it is damaged, or has another layout.
    """
    try:
        yield
    except sqlite3.Error as error:
        connection.close()
        raise UnreadableSource(
            f"{path}: cannot be read ({one_line(error)}); check it with `PRAGMA integrity_check`"
        ) from None
    except UnspoolError:
        connection.close()
        raise


def report_log(path: Path, findings: Findings) -> None:
    """Report a damaged log beside a database, of which SQLite says nothing: it reads what stands before the damage.

    Raises:
        UnreadableSource: the log cannot be read.
    """
    scan = damage_of_log(path.resolve())
    if scan is None:
        return
    place = str(log_of(path))
    if scan.state is WalState.DAMAGED:
        findings.loss(place, f"{scan.meaning}; restore it from a copy, before the app that writes it opens it again")
    else:
        findings.notice(place, f"{scan.meaning}; the newest changes may be missing")


def side_files(path: Path) -> tuple[Path, ...]:
    """Return the files whose change means that the database changed."""
    return path, path.with_name(f"{path.name}-wal")
