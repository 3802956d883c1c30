"""What the app asks of `unspool.query`: the one place that knows how questions are put there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from unspool.model.paths import Path
from unspool.model.values import MISSING
from unspool_tui.present.inspect_lines import Origin
from unspool_tui.present.values import preview_text
from unspool_tui.view.history_port import HistoryPort

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.query.doctor import Diagnosis

Cancelled = Callable[[], bool]
EARLIER: Final = 4
"""Earlier writers of a value that are told; there is no room for more."""
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
        yield address, head, Origin(first.seq, history.action(first.seq), seqs, len(earlier) > EARLIER, before)


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


def check_search(text: str) -> str:
    """Return a hint for a search as typed so far."""
    return ""


def search(history: HistoryPort, text: str) -> Iterator[tuple[list[int], int]]:
    """Yield new hits and how many entries were looked at."""
    wanted = text.encode()
    hits: list[int] = []
    for seq in range(len(history)):
        state = history.view(seq)
        atoms = [atom for atom, _ in history.changed_atoms(seq) if atom in state]
        if any(wanted in state.encoded(atom) or text in atom for atom in atoms):
            hits.append(seq)
        if seq % 32 == 0:
            yield hits, seq + 1
            hits = []
    yield hits, len(history)
