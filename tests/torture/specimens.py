"""The smallest files that hold every kind of row, and which of their bytes hold nothing.

Blocks of three entries, spans of six, two formats: what a file of thousands of entries is made of, in a few pages, so that
each byte of each kind of file can be damaged once.
"""

from __future__ import annotations

import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from torture.truth import SUFFIXES, Specimen, answered, started
from unspool.store import layout_2, schema, sealing, writer
from unspool.store.layout_1 import FirstLayout
from unspool.store.wal import FRAME_BYTES, HEADER_BYTES

BLOCK = 3
"""Entries of a block."""
SPAN = 6
"""Entries of a span."""
HISTORY_ID = b"5eed5eed"
_PAGE = 1024
_LEAVES = {0x0D: 8, 0x0A: 8, 0x05: 12, 0x02: 12}
"""Bytes of the header of a page, by its kind."""

PROGRAM = """
import sys
from torture import specimens
specimens.record(sys.argv[1], int(sys.argv[2]), [int(count) for count in sys.argv[3].split(",")])
"""


def small_moments(count: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield very small states with what else is recorded of them; every kind of fact and of change is among nine."""
    state: dict[str, Any] = {"cart": {"items": [{"id": 1, "n": 0}], "total": 0}, "flag": False}
    for step in range(count):
        state = {**state, "cart": {"items": [{"id": 1, "n": step}], "total": step * 3}}
        if step % 4 == 1:
            state["extra1"] = "x" * step
        if step % 4 == 3:
            state.pop("extra1", None)
            state["flag"] = not state["flag"]
        facts: dict[str, Any] = {"action": f"step {step % 2}", "timestamp_ns": 10**18 + step * 10**9}
        if step % 3 == 1:
            facts["meta"] = {"who": step}
        if step == 2:
            facts["entry_id"] = "id2"
        if step in (5, 7):
            facts["parent_seq"] = step - 3
        yield state, facts


def shrink() -> None:
    """Have recorders of this process seal small blocks and fold small spans, and give every file the same id."""
    writer._MAX_ROWS = writer.RUN_ROWS = BLOCK
    sealing.SPAN_ENTRIES = layout_2.SPAN_ENTRIES = SPAN
    secrets.token_hex = lambda size=None: HISTORY_ID.decode()
    time.time_ns = lambda: 1_700_000_000 * 10**9


def record(path: str, version: int, counts: list[int]) -> None:
    """Record small states, closing the file between any two counts; then say so, and do as told on standard input."""
    from unspool import Recorder

    shrink()
    if version == FirstLayout.version:
        _begin_first(Path(path))
    steps = small_moments(sum(counts))
    for place, count in enumerate(counts):
        recorder = Recorder(path, on_error="raise")
        for _ in range(count):
            state, facts = next(steps)
            recorder.record(state, **facts)
            recorder.store._writer.sealer.finish()  # type: ignore[attr-defined]
        if place < len(counts) - 1:
            recorder.close()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "more":
            recorder.record({"after": 1})
            print("more", flush=True)
        if line.strip() == "close":
            recorder.close()
            print("closed", flush=True)


def _begin_first(path: Path) -> None:
    """Make an empty file of the first format, which recorders go on with as such."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {_PAGE}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FirstLayout.version}")
        for statement in FirstLayout.tables.values():
            connection.execute(statement)


def small_process(path: Path, version: int, counts: str) -> subprocess.Popen[str]:
    """Start a process that records small states, closing the file between any two counts; it says so and waits."""
    return started(PROGRAM, str(path), str(version), counts)


def small_specimens(folder: Path, version: int) -> list[Specimen]:
    """Make the smallest file of each kind in one format."""
    folder.mkdir(exist_ok=True, parents=True)
    closed = _recorded(folder / "closed.unspool", version, "9", kill=False)
    killed = _recorded(folder / "killed.unspool", version, "6,4", kill=True)
    young = folded(_recorded(folder / "young.unspool", version, "2", kill=True))
    mixed = folded(_recorded(folder / "mixed.unspool", version, "6,2", kill=True))
    # The first format does not tell whether a file was closed.
    unclosed = False if version > FirstLayout.version else None
    return [
        small_specimen("closed", closed, 9, closed=True if unclosed is False else None),
        small_specimen("killed", killed, 10, closed=unclosed),
        small_specimen("tail only", young, 2, closed=unclosed),
        small_specimen("blocks and tail", mixed, 8, closed=unclosed),
    ]


def _recorded(path: Path, version: int, counts: str, *, kill: bool) -> Path:
    process = small_process(path, version, counts)
    if kill:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    else:
        process.communicate("close\n")
    return path


def folded(path: Path) -> Path:
    """Have the log folded into the file, as a tool that looks into it does on leaving."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def small_specimen(kind: str, path: Path, count: int, *, closed: bool | None) -> Specimen:
    """Return a file of small states as a specimen of a kind."""
    parts = {
        suffix: side.read_bytes()
        for suffix in SUFFIXES
        if (side := path.with_name(path.name + suffix)).exists() and side.stat().st_size
    }
    found = answered(Specimen(kind, parts, {}, closed), path.with_name("copy.unspool"))
    found.check(list(small_moments(count)))
    return found


class Places(NamedTuple):
    """Bytes of a part of a specimen that are damaged together: each alone, or all that hold nothing on one page.

    Attributes:
        specimen: the specimen.
        suffix: the part.
        start: the first byte.
        stop: one past the last.
    """

    specimen: Specimen
    suffix: str
    start: int
    stop: int


def places(specimens: list[Specimen]) -> list[Places]:
    """Return all bytes of specimens, those between the rows of a page and its list of them as one."""
    found = []
    for specimen in specimens:
        for suffix, data in specimen.parts.items():
            at = 0
            for start, stop in [*_holding_nothing(data, suffix), (len(data), len(data))]:
                found += [Places(specimen, suffix, place, place + 1) for place in range(at, start)]
                if start < stop:
                    found.append(Places(specimen, suffix, start, stop))
                at = stop
    return found


def is_of_id(data: bytes, place: int) -> bool:
    """Whether a byte is one of the id of the history, of which the first format keeps one copy without a checksum."""
    return HISTORY_ID in data[max(place - len(HISTORY_ID) + 1, 0) : place + len(HISTORY_ID)]


def lengths(specimens: list[Specimen]) -> list[Places]:
    """Return all lengths that parts of specimens can be cut to, those as one that read alike.

    Where a page has room for more no row begins, so it does not matter how much of that is there. A frame of a log that ends
    early is no frame; only whether its header is whole makes a difference.
    """
    found = []
    for specimen in specimens:
        for suffix, data in specimen.parts.items():
            free = {place for start, stop in _holding_nothing(data, suffix) for place in range(start, stop)}
            start = 0
            for length in range(1, len(data) + 1):
                place = (length - HEADER_BYTES) % (FRAME_BYTES + _PAGE)
                is_like_next = (
                    length > HEADER_BYTES and place > FRAME_BYTES if suffix else {length - 1, length} <= free
                )
                if length == len(data) or not is_like_next:
                    found.append(Places(specimen, suffix, start, length))
                    start = length
    return found


def _holding_nothing(data: bytes, suffix: str) -> Iterator[tuple[int, int]]:
    """Yield where a page has room for more: behind its list of rows, and before the first of them."""
    front, step = (HEADER_BYTES + FRAME_BYTES, FRAME_BYTES + _PAGE) if suffix else (0, _PAGE)
    for page in range(front, len(data), step):
        is_first = data[page : page + 6] == b"SQLite"
        header = page + (100 if is_first else 0)
        size = _LEAVES.get(data[header])
        if size is None:
            continue
        start = header + size + 2 * int.from_bytes(data[header + 3 : header + 5])
        stop = page + (int.from_bytes(data[header + 5 : header + 7]) or 65536)
        if start < stop <= page + _PAGE:
            yield start, stop
