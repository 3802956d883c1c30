"""Foreign SQLite databases, opened so that nothing in them or beside them can change."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

from unspool.errors import UnreadableSource, UnspoolError
from unspool.sources.bytestream import unreadable

_LENIENT = partial(str, encoding="utf-8", errors="surrogateescape")
BUSY_S = 5.0
"""How long to wait for the app that writes the database."""


def one_line(error: sqlite3.Error | UnicodeDecodeError) -> str:
    """Return SQLite's own words without the line breaks of a schema that they may quote."""
    return " ".join(str(error).split())


def open_database(path: Path) -> sqlite3.Connection:
    """Open a database for reading only.

    Raises:
        UnreadableSource: it cannot be opened or is damaged.
    """
    problem = "it cannot be opened"
    for options in ("mode=ro", "mode=ro&immutable=1"):
        connection = None
        try:
            uri = f"file:{quote(str(path.absolute()))}?{options}"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
            connection.execute("PRAGMA trusted_schema = OFF")
            # One damaged text must not cost the rows behind it.
            connection.text_factory = _LENIENT
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return connection
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # SQLite quotes a damaged name as it stands, and Python cannot read the message then.
            problem = one_line(error)
            if connection is not None:
                connection.close()
            # An immutable opening ignores a -wal file; where there is one, it would show an older state.
            if path.with_name(f"{path.name}-wal").exists():
                break
        except OSError as error:
            raise unreadable(path, error) from None
    raise UnreadableSource(f"{path}: no readable SQLite database ({problem}); copy it together with its -wal file")


def columns_of(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """Return the names of a database's tables, each with the names of its columns."""
    tables = [str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {
        table: {str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
        for table in tables
    }


@contextmanager
def first_look(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
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


def side_files(path: Path) -> tuple[Path, ...]:
    """Return the files whose change means that the database changed."""
    return path, path.with_name(f"{path.name}-wal")
