"""The names of atoms in a native file, which are kept twice: in their table, and in SQLite's index over it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Final

from unspool.errors import CorruptHistory
from unspool.query.doctor_findings import Code
from unspool.query.doctor_steps import FARTHEST_ATOM, Names, Report
from unspool.query.doctor_structure import read_both_ways
from unspool.store.layout import FileConnection

_TABLE: Final = "SELECT id, name FROM atom ORDER BY id"
_INDEX: Final = "SELECT id, name FROM atom INDEXED BY sqlite_autoindex_atom_1 ORDER BY name"


def read_names(connection: FileConnection, report: Report) -> Names:
    """Read the names of atoms; a name that is lost or damaged gets a placeholder."""
    known: dict[int, str] = {}
    told: set[int] = set()
    rows = read_both_ways(connection, _TABLE, "atom", report)
    twins = _names_by_index(connection)
    damaged = _damaged(connection)
    for number, data in rows:
        if not 0 <= number < len(rows) + FARTHEST_ATOM:
            report(Code.UNKNOWN_ATOM, None, None, f"the table of names has a row numbered {number}")
            continue
        name, twin = None if number in damaged else _text(data), twins.get(number)
        if name is None:
            told.add(number)
            report(Code.UNKNOWN_ATOM, None, None, f"the name of atom {number} is damaged")
        elif twin is not None and twin != name:
            # Either copy may be the damaged one.
            told.add(number)
            report(Code.UNKNOWN_ATOM, None, None, f"the name of atom {number} is {name!r} or {twin!r}")
        else:
            known[number] = name
    stop = max((*known, *told), default=-1) + 1
    missing = [number for number in range(stop) if number not in known and number not in told]
    for number in missing:
        # Readers refuse a file with a gap among its names, whether an entry uses the name or not.
        report(Code.UNKNOWN_ATOM, None, None, f"the name of atom {number} is missing")
    return Names(known, [*sorted(told), *missing])


def _names_by_index(connection: FileConnection) -> dict[int, str]:
    """Return the names as the index over them tells; nothing where that does not read."""
    try:
        rows = connection.execute(_INDEX).fetchall()
    except sqlite3.DatabaseError:
        return {}
    texts = ((number, _text(data)) for number, data in rows if type(number) is int)
    return {number: name for number, name in texts if name is not None}


def _damaged(connection: FileConnection) -> Collection[int]:
    """Return the numbers of names whose checksums say that they are damaged."""
    try:
        return connection.layout.damaged_names(connection)
    except (sqlite3.DatabaseError, CorruptHistory, TypeError):
        # What cannot be read is told where the table is read both ways.
        return ()


def _text(data: object) -> str | None:
    try:
        return data.decode("utf-8", "surrogatepass") if isinstance(data, bytes) else None
    except UnicodeDecodeError:
        return None
