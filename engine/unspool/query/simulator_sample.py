"""Which entries of a history a simulation looks at: a bounded number, in windows of entries in a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from unspool.errors import UnspoolError
from unspool.history.history import History, StateView
from unspool.model.entries import Entry, EntryKind
from unspool.model.values import Value

DEFAULT_ENTRIES: Final = 2000
"""Entries sampled unless the caller says otherwise."""
DEFAULT_BYTES: Final = 64 << 20
"""Bytes of whole states sampled at most."""
_WINDOWS: Final = 3
"""Windows of a sample: the beginning, the middle and the end of a history may differ."""

EncodedState = dict[str, bytes]
"""A state as wire forms by atom."""


@dataclass(frozen=True, slots=True)
class SampleEntry:
    """One sampled entry.

    Attributes:
        time_ns: nanoseconds since the epoch.
        action: why it happened.
        state: its state; unchanged atoms are shared with its neighbours.
        size: bytes of the whole state.
        begins: it begins a window, so what came before is not looked at.
        is_fork: it follows another entry than the one before, and is stored whole therefore.
        meta: facts kept with it; None where there are none.
        entry_id: the source's own id; "" where it has none.
        is_note: it is a note, which no chain is longer for.
    """

    time_ns: int
    action: str
    state: EncodedState
    size: int
    begins: bool
    is_fork: bool = False
    meta: Mapping[str, Value] | None = None
    entry_id: str = ""
    is_note: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """What a simulation works on.

    Attributes:
        entries: the sampled entries.
        windows: their numbers in the history, as first and last.
        total: entries of the history.
        unreadable: entries of the windows that could not be read.
    """

    entries: tuple[SampleEntry, ...]
    windows: tuple[tuple[int, int], ...]
    total: int
    unreadable: int

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole history."""
        return len(self.entries) == self.total


def take_sample(history: History, most: int, most_bytes: int, cancelled: Callable[[], bool]) -> Sample:
    """Read up to `most` entries, in up to three windows spread over the history.

    Args:
        history: where they come from.
        most: entries at most.
        most_bytes: bytes of whole states at most; at least a few entries are taken whatever they weigh.
        cancelled: asked whether to stop; what was read so far is the sample then.
    """
    first_kept, total = history.first, len(history) - history.first
    entries: list[SampleEntry] = []
    taken: list[tuple[int, int]] = []
    unreadable = 0
    for place, last_place in plan_windows(total, _affordable(history, most, most_bytes)):
        first, last = first_kept + place, first_kept + last_place
        begins = True
        for seq in range(first, last + 1):
            if cancelled():
                break
            try:
                entry, view = history[seq], history.view(seq)
            except UnspoolError:
                unreadable += 1
                begins = True
                continue
            entries.append(_sampled(entry, view, history.history_id, begins=begins))
            begins = False
        taken.append((first, last))
    return Sample(tuple(entries), tuple(taken), total, unreadable)


def _sampled(entry: Entry, view: StateView, history_id: str, *, begins: bool) -> SampleEntry:
    return SampleEntry(
        entry.timestamp_ns,
        entry.action,
        dict(view.wire),
        entry.full_bytes,
        begins,
        is_fork=entry.parent_seq is not None and entry.parent_seq != entry.seq - 1,
        meta=entry.meta or None,
        entry_id="" if entry.id == f"{history_id}-{entry.seq}" else entry.id,
        # One that begins a window brings the state that follows stand on.
        is_note=entry.kind is EntryKind.NOTE and not begins,
    )


def plan_windows(total: int, most: int) -> list[tuple[int, int]]:
    """Return which entries to sample, as first and last: all, or windows at the beginning, the middle and the end."""
    if total == 0:
        return []
    if total <= most:
        return [(0, total - 1)]
    size = max(most // _WINDOWS, 1)
    starts = (place * (total - size) // (_WINDOWS - 1) for place in range(_WINDOWS))
    return [(start, start + size - 1) for start in starts]


def _affordable(history: History, most: int, most_bytes: int) -> int:
    """Return how many entries fit the bytes, judged by all entries' sizes."""
    sizes = history.columns().full_bytes[history.first :]
    mean = sum(sizes) / max(len(sizes), 1)
    return max(min(most, int(most_bytes / max(mean, 1.0))), 4 * _WINDOWS)
