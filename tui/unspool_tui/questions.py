"""What the app asks of `unspool.query`: the one place that knows how questions are put there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePath as FilePath
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct

from unspool.model.caller import caller_of
from unspool.model.paths import Path
from unspool.model.values import MISSING
from unspool_tui.present.inspect_lines import Origin
from unspool_tui.present.values import preview_text
from unspool_tui.view.history_port import HistoryPort

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.query.divergence_facts import Divergence
    from unspool.query.doctor import Diagnosis
    from unspool.query.footprint_facts import Footprint
    from unspool.query.simulator import Simulation
    from unspool.query.why import Why

Cancelled = Callable[[], bool]
EARLIER: Final = 4
"""Earlier writers of a value that are told; there is no room for more."""
MOST_WRITES: Final = 500
"""Writes of a value that are listed."""
MOST_KINDS: Final = 200
"""Kinds of paths whose bytes are listed."""
_MOST_PARTS: Final = 200
"""Values that are told where two histories part."""
Story = tuple[Path, int, Origin]
"""A value's address, the entry it was looked at, and who set it."""


def asked(history: HistoryPort) -> History:
    """Return a history as `unspool.query` takes it."""
    return cast("History", history)


class Arrival(Struct, frozen=True):
    """Where a question about a value leads.

    Attributes:
        seq: the entry.
        address: where the value stands there; a record of a list may stand elsewhere.
    """

    seq: int
    address: Path


def tell_story(history: HistoryPort, address: Path, head: int, cancelled: Cancelled) -> Iterator[Story | None]:
    """Yield who set a value as of an entry; None between, so that the worker can turn to other things."""
    from unspool.query.path_writes import writes_of

    writes = []
    for write in writes_of(asked(history), address, head, unchanged=True, skip_damaged=True, cancelled=cancelled):
        if write.kind != "unchanged":
            writes.append(write)
        if len(writes) > EARLIER + 1:
            break
        yield None
    if writes:
        first, *earlier = writes
        seqs = tuple(write.seq for write in earlier[:EARLIER])
        before = preview_text(first.old, 40) if first.old is not MISSING else ""
        (entry,) = history[first.seq : first.seq + 1]
        caller = caller_of(entry.meta)
        place = "" if caller is None else f"{FilePath(caller.file).name}:{caller.line}"
        (now,) = history[head : head + 1]
        age = now.timestamp_ns - entry.timestamp_ns
        yield address, head, Origin(first.seq, entry.action, seqs, len(earlier) > EARLIER, before, place, age)


def previous_write(history: HistoryPort, address: Path, before: int, cancelled: Cancelled) -> Arrival | None:
    """Return the last entry before one that set a value; where nothing stands there, the last that touched its atom."""
    from unspool.query import path_writes
    from unspool.query.errors import PathNotFound

    try:
        found = path_writes.previous_write(asked(history), address, before, cancelled=cancelled)
    except PathNotFound:
        seq = history.previous_write(str(address[0]), before)
        return None if seq is None else Arrival(seq, address)
    return None if found is None else Arrival(found.seq, found.path)


def next_write(history: HistoryPort, address: Path, after: int, cancelled: Cancelled) -> Arrival | None:
    """Return the first entry after one that sets a value; where nothing stands there, the first that touches its atom."""
    from unspool.query import path_writes
    from unspool.query.errors import PathNotFound

    try:
        found = path_writes.next_write(asked(history), address, after, cancelled=cancelled)
    except PathNotFound:
        seq = history.next_write(str(address[0]), after)
        return None if seq is None else Arrival(seq, address)
    return None if found is None else Arrival(found.seq, found.path)


def leaf_writers(history: HistoryPort, atom: str, head: int, cancelled: Cancelled) -> dict[Path, int]:
    """Return the entry that last set each leaf of an atom."""
    from unspool.query.blame import blame

    answer = blame(asked(history), head, (atom,), skip_damaged=True, cancelled=cancelled)
    return {value.path: value.seq for value in answer.values}


def examine(history: HistoryPort, progress: Callable[[int, int], None], cancelled: Cancelled) -> Diagnosis:
    """Run the doctor."""
    from unspool.query.doctor import diagnose

    return diagnose(asked(history), progress=progress, cancelled=cancelled)


def simulate_all(history: HistoryPort, progress: Callable[[int, int], None], cancelled: Cancelled) -> Simulation:
    """Try each strategy and codec on a history."""
    from unspool.query.simulator import simulate

    return simulate(asked(history), progress=progress, cancelled=cancelled)


def part(
    first: HistoryPort, second: HistoryPort, progress: Callable[[int], None], cancelled: Cancelled
) -> Divergence:
    """Find where two histories part; `progress` gets the number of entries found to be the same."""
    from unspool.query.divergence import compare

    same = 0

    def look() -> bool:
        nonlocal same
        same += 1
        progress(same)
        return cancelled()

    return compare(asked(first), asked(second), most=_MOST_PARTS, skip_damaged=True, cancelled=look)


class Write(Struct, frozen=True):
    """An entry that wrote a value, or its atom and not the value.

    Attributes:
        seq: the entry.
        kind: `added`, `modified`, `deleted` or `unchanged`.
        address: where the value stands there.
        told: the value before and after, as text.
        action: why.
    """

    seq: int
    kind: str
    address: Path
    told: str
    action: str


def writes(history: HistoryPort, address: Path, head: int, cancelled: Cancelled) -> tuple[list[Write], str]:
    """Return the writes of a value at or before an entry, newest first, with those that left it as it was.

    Returns:
        The writes, and in a word or two why they are not all; empty when they are.

    Raises:
        UnspoolError: nothing stands there.
    """
    from unspool.query.path_writes import all_writes

    listed = all_writes(
        asked(history), address, head, unchanged=True, most=MOST_WRITES, skip_damaged=True, cancelled=cancelled
    )
    found = []
    for write in listed.writes:
        values = [preview_text(value, 30) for value in (write.old, write.new) if value is not MISSING]
        told = values[-1] if write.kind == "unchanged" else " → ".join(values)
        found.append(Write(write.seq, str(write.kind), write.path, told, history.action(write.seq)))
    short = "partial: not all entries could be read" if listed.problems else "the newest"
    return found, "" if listed.complete else short


def bytes_of(history: HistoryPort, progress: Callable[[int, int], None], cancelled: Cancelled) -> Footprint:
    """Find where the bytes of a history are."""
    from unspool.query.footprint import footprint

    total, seen = len(history), 0

    def look() -> bool:
        nonlocal seen
        seen += 1
        progress(min(seen, total), total)
        return cancelled()

    return footprint(asked(history), top=MOST_KINDS, skip_damaged=True, cancelled=look)


def causes(
    history: HistoryPort, address: Path, head: int, progress: Callable[[int, int], None], cancelled: Cancelled
) -> Why:
    """Follow the causes of a value as of an entry back.

    Raises:
        UnspoolError: nothing stands there.
    """
    from unspool.query.why import why

    return why(asked(history), address, head, skip_damaged=True, progress=progress, cancelled=cancelled)
