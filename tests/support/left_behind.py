"""Files as they lie on the disk while, or after, somebody wrote to them, and what proves that nobody touched them since."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from support.recording import shop_states
from unspool.recorder import Recorder

FIXTURES = Path(__file__).parents[2] / "fixtures"
DERIVED = ("-shm",)
"""Endings of files that SQLite makes anew from others at any time."""


def prints(folder: Path) -> dict[str, str]:
    """Return a fingerprint of every file in a folder, by name."""
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(DERIVED)
    }


def killed(path: Path, count: int = 200, **options: Any) -> list[dict[str, Any]]:
    """Leave a file and its -wal as a recorder does that is killed after `count` entries; return the states."""
    states = list(shop_states(count, atoms=4))
    source = path.with_name("killed-from.unspool")
    with Recorder(source, on_error="raise", **options) as recorder:
        for number, state in enumerate(states):
            recorder.record(state, f"step {number % 5}", timestamp_ns=1_700_000_000_000_000_000 + number * 1_000_000)
        recorder.store._writer.sealer.finish()  # type: ignore[attr-defined]
        for suffix in ("", "-wal"):
            shutil.copy(f"{source}{suffix}", f"{path}{suffix}")
    source.unlink()
    return states


def flip(path: Path, at: int, bit: int = 2) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([byte ^ 1 << bit]))


def _closed(path: Path) -> None:
    with Recorder(path, on_error="raise") as recorder:
        for state in shop_states(200, atoms=4):
            recorder.record(state, "step")


def _killed(path: Path) -> None:
    killed(path)


def _damaged_log(path: Path) -> None:
    killed(path)
    flip(Path(f"{path}-wal"), 32 + 60 * (24 + 1024) + 500)


def _damaged_log_header(path: Path) -> None:
    killed(path)
    flip(Path(f"{path}-wal"), 17)


def _cut_log(path: Path) -> None:
    killed(path)
    wal = Path(f"{path}-wal")
    wal.write_bytes(wal.read_bytes()[:-700])


def _half(path: Path) -> None:
    _closed(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _broken_first_page(path: Path) -> None:
    _closed(path)
    with path.open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\x5a" * 300)


def _empty_with_log(path: Path) -> None:
    killed(path)
    path.write_bytes(b"")


def _graph(path: Path, *statements: str) -> sqlite3.Connection:
    shutil.copy(FIXTURES / "langgraph" / "graph.sqlite", path)
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement).fetchall()
    return connection


def _graph_closed(path: Path) -> None:
    _graph(path, "PRAGMA journal_mode = DELETE").close()


def _graph_closed_with_log(path: Path) -> None:
    _graph(path, "PRAGMA journal_mode = WAL").close()


def _copied_open(path: Path, connection: sqlite3.Connection, suffix: str) -> None:
    """Keep a database as it lies there while a connection has it open."""
    kept = {name: Path(f"{path}{name}").read_bytes() for name in ("", suffix)}
    connection.close()
    for name, data in kept.items():
        Path(f"{path}{name}").write_bytes(data)


def _graph_killed_with_log(path: Path) -> None:
    touch = "UPDATE checkpoints SET metadata = metadata"
    _copied_open(path, _graph(path, "PRAGMA journal_mode = WAL", touch), "-wal")


def _graph_killed_in_a_change(path: Path) -> None:
    spoil = "UPDATE checkpoints SET checkpoint = zeroblob(4000)"
    steps = ("PRAGMA journal_mode = DELETE", "PRAGMA cache_size = 1", "BEGIN IMMEDIATE", spoil)
    _copied_open(path, _graph(path, *steps), "-journal")


def _event_log(path: Path) -> None:
    from unspool.events import EventLog, write_source

    with EventLog(path) as log:
        for number in range(4):
            write_source(log, "main.py", f"2024-01-01T00:00:0{number}.000Z", f"a = {number}\n", "python")


def _home(path: Path) -> None:
    shutil.copy(FIXTURES / "home_assistant" / "home.db", path)


NATIVE: dict[str, Callable[[Path], None]] = {
    "closed": _closed,
    "killed": _killed,
    "log damaged": _damaged_log,
    "header of the log damaged": _damaged_log_header,
    "log cut": _cut_log,
    "half copied": _half,
    "first page broken": _broken_first_page,
    "emptied, with its log": _empty_with_log,
}
FOREIGN: dict[str, Callable[[Path], None]] = {
    "graph closed": _graph_closed,
    "graph closed with a log": _graph_closed_with_log,
    "graph killed with a log": _graph_killed_with_log,
    "graph killed in a change": _graph_killed_in_a_change,
    "event log": _event_log,
    "home assistant": _home,
}


@contextmanager
def live_recording(path: Path, count: int = 40) -> Iterator[Recorder]:
    """A file that a recorder has open."""
    with Recorder(path, on_error="raise") as recorder:
        for state in shop_states(count, atoms=4):
            recorder.record(state, "step")
        yield recorder


@contextmanager
def live_database(path: Path) -> Iterator[sqlite3.Connection]:
    """A foreign database that another program has open, with something in its log."""
    with closing(_graph(path, "PRAGMA journal_mode = WAL", "UPDATE checkpoints SET metadata = metadata")) as writer:
        yield writer
