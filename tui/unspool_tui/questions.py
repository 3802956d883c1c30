"""What the app asks of `unspool.query`: the one place that knows how questions are put there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePath as FilePath
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, cast

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
    from unspool.query.simulator import Simulation

Cancelled = Callable[[], bool]
PART_SECONDS: Final = 0.006
"""How long a search looks before it hands over what it found; shorter than the worker's slices."""
EARLIER: Final = 4
"""Earlier writers of a value that are told; there is no room for more."""
_MOST_PARTS: Final = 200
"""Values that are told where two histories part."""
Story = tuple[Path, int, Origin]
"""A value's address, the entry it was looked at, and who set it."""


def _asked(history: HistoryPort) -> History:
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
    for write in writes_of(_asked(history), address, head, unchanged=True, skip_damaged=True, cancelled=cancelled):
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
        found = path_writes.previous_write(_asked(history), address, before, cancelled=cancelled)
    except PathNotFound:
        seq = history.previous_write(str(address[0]), before)
        return None if seq is None else Arrival(seq, address)
    return None if found is None else Arrival(found.seq, found.path)


def next_write(history: HistoryPort, address: Path, after: int, cancelled: Cancelled) -> Arrival | None:
    """Return the first entry after one that sets a value; where nothing stands there, the first that touches its atom."""
    from unspool.query import path_writes
    from unspool.query.errors import PathNotFound

    try:
        found = path_writes.next_write(_asked(history), address, after, cancelled=cancelled)
    except PathNotFound:
        seq = history.next_write(str(address[0]), after)
        return None if seq is None else Arrival(seq, address)
    return None if found is None else Arrival(found.seq, found.path)


def leaf_writers(history: HistoryPort, atom: str, head: int, cancelled: Cancelled) -> dict[Path, int]:
    """Return the entry that last set each leaf of an atom."""
    from unspool.query.blame import blame

    answer = blame(_asked(history), head, (atom,), skip_damaged=True, cancelled=cancelled)
    return {value.path: value.seq for value in answer.values}


def examine(history: HistoryPort, progress: Callable[[int, int], None], cancelled: Cancelled) -> Diagnosis:
    """Run the doctor."""
    from unspool.query.doctor import diagnose

    return diagnose(_asked(history), progress=progress, cancelled=cancelled)


def repair_file(source: str, out: str, progress: Callable[[int, int], None], cancelled: Cancelled) -> Any:
    """Write a repaired copy of a native file; the file itself is never changed."""
    from unspool.query.repair import repair

    return repair(source, out, progress=progress, cancelled=cancelled)


def simulate_all(history: HistoryPort, progress: Callable[[int, int], None], cancelled: Cancelled) -> Simulation:
    """Try each strategy and codec on a history."""
    from unspool.query.simulator import simulate

    return simulate(_asked(history), progress=progress, cancelled=cancelled)


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

    return compare(_asked(first), _asked(second), most=_MOST_PARTS, skip_damaged=True, cancelled=look)


def check_search(text: str) -> str:
    """Return a hint for a search as typed so far.

    Raises:
        UnspoolError: it cannot be looked for.
    """
    from unspool.query.search import TextQuery, parse_query

    compares = not isinstance(parse_query(text.strip()), TextQuery)
    return "compares the value at that path; Enter searches all entries" if compares else ""


class Found(Struct, frozen=True):
    """A part of the answer to a search.

    Attributes:
        seqs: entries with hits.
        paths: where the first hit of each stands.
        looked_at: entries looked at so far.
    """

    seqs: list[int]
    paths: list[Path]
    looked_at: int


def search(history: HistoryPort, text: str, cancelled: Cancelled) -> Iterator[Found]:
    """Yield hits as they are found, a few milliseconds' worth at a time."""
    from unspool.query.search import parse_query
    from unspool.query.search import search as start

    running = start(_asked(history), parse_query(text), skip_damaged=True, cancelled=cancelled)
    seqs: list[int] = []
    paths: list[Path] = []
    until = perf_counter() + PART_SECONDS
    for seq, hits in running.by_entry():
        if hits:
            seqs.append(seq)
            paths.append(hits[0].path)
        if perf_counter() >= until:
            yield Found(seqs, paths, running.looked_at)
            seqs, paths = [], []
            until = perf_counter() + PART_SECONDS
    yield Found(seqs, paths, running.looked_at)


class Turn(Struct, frozen=True):
    """An entry at which the answer to a question changes.

    Attributes:
        seq: the entry.
        holds: the answer from there on.
        old: the result before, as text.
        new: the result there, as text.
    """

    seq: int
    holds: bool
    old: str
    new: str


def check_question(text: str) -> str:
    """Return a hint for a question as typed so far.

    Raises:
        UnspoolError: it does not parse; the message names the column.
    """
    from unspool.query.expressions import Expression

    reads = Expression(text.strip()).reads
    return f"reads {', '.join(sorted(reads))[:80]}" if reads else ""


def turns(history: HistoryPort, text: str, cancelled: Cancelled) -> list[Turn]:
    """Return the entries at which the answer to a question changes.

    Raises:
        UnspoolError: the question does not parse, or an entry cannot be read.
    """
    from unspool.query.bisect import bisect

    found = bisect(_asked(history), text, skip_damaged=True, cancelled=cancelled)
    return [
        Turn(flip.seq, flip.holds, preview_text(flip.old, 30), preview_text(flip.new, 30)) for flip in found.flips
    ]


class Fault(Struct, frozen=True):
    """Something a checker found.

    Attributes:
        seq: the entry it shows at.
        checker: who found it.
        path: the value it concerns.
        message: what is the matter.
    """

    seq: int
    checker: str
    path: str
    message: str


def faults(history: HistoryPort, cancelled: Cancelled) -> list[Fault]:
    """Return what the checkers find in a history.

    Raises:
        UnspoolError: an installed checker cannot be used.
    """
    from unspool.query.checkers import check

    report = check(_asked(history), cancelled=cancelled)
    return [Fault(one.seq, one.checker, one.path, one.message) for one in report.findings]
