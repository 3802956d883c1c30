"""The state and the diff at the head: what may take time, loaded as one frozen answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Final

from msgspec import Struct, field

from unspool.errors import EntryNotKept, UnspoolError
from unspool.history.history import without_context
from unspool.model.caller import passed_over_in
from unspool.model.entries import EntryKind
from unspool.model.values import Value
from unspool_tui.scene.states import Decoded, NoState, SharedState
from unspool_tui.view.change_list import OPEN_BY_ITSELF
from unspool_tui.view.history_port import AtomChange, HistoryPort, StateDiff, StateView
from unspool_tui.view.model import View

QUICK_SECONDS: Final = 0.008
"""A detail that is expected within this time is loaded at once, so that all panels change in one frame."""
_BYTES_A_SECOND: Final = 150e6
"""Speed assumed for states of which nothing is known yet: decoding and comparing wire forms."""


class Request(Struct, frozen=True):
    """What is to be loaded.

    Attributes:
        head: the entry looked at.
        other: the entry to compare with; None for the one it follows.
        total: entries known; a truncated history must not answer for a longer one.
    """

    head: int
    other: int | None
    total: int


def request_of(view: View) -> Request:
    """Return what a view needs."""
    return Request(view.head, view.other, view.total)


class Detail(Struct, frozen=True, eq=False):
    """The answer to a request.

    Attributes:
        request: what was asked.
        state: the state at the head.
        changes: what changed, atom by atom.
        from_seq: the entry compared with; -1 for the empty state before the first.
        problem: why it could not be loaded; empty when it could.
        note: what the head says, where it is a note, and what is known besides.
        passed_over: calls before the head that its recorder left out: any of them may have made the changes.
        unknown: why it is not known what changed, though the state is; empty where it is known.
    """

    request: Request
    state: StateView = field(default_factory=NoState)
    changes: Sequence[AtomChange] = ()
    from_seq: int = -1
    problem: str = ""
    note: tuple[str, Mapping[str, Value]] | None = None
    passed_over: int = 0
    unknown: str = ""


NOTHING: Final = Detail(Request(-1, None, 0))


def load_detail(history: HistoryPort, decoded: Decoded, request: Request) -> Detail:
    """Ask the history; what is wrong with an entry is part of the answer."""
    if not 0 <= request.head < request.total:
        return Detail(request)
    unknown = ""
    diff: StateDiff | None = None
    try:
        try:
            diff = (
                history.changes(request.head) if request.other is None else history.diff(request.other, request.head)
            )
        except EntryNotKept as error:
            if request.other is not None or request.head < history.first:
                raise
            unknown = str(error)
        state = SharedState(history.view(request.head), decoded)
        entry = history[request.head : request.head + 1][0]
        _prepare(() if diff is None else diff.changes)
    except UnspoolError as error:
        return Detail(request, problem=str(error))
    note = (entry.action, without_context(entry.meta)) if entry.kind is EntryKind.NOTE else None
    passed_over = passed_over_in(entry.meta)
    if diff is None:
        return Detail(request, state, note=note, passed_over=passed_over, unknown=unknown)
    return Detail(request, state, diff.changes, diff.from_seq, note=note, passed_over=passed_over)


def _prepare(changes: Sequence[AtomChange]) -> None:
    """Work out the steps inside the atoms that will be shown open, here rather than while painting."""
    lines = 0
    for change in changes:
        lines += 1 + len(change.ops)
        if lines > OPEN_BY_ITSELF:
            break


class Pace:
    """Foretells how long a detail will take, from those before it."""

    __slots__ = ("_seconds_a_byte",)

    def __init__(self) -> None:
        self._seconds_a_byte = 1 / _BYTES_A_SECOND

    def expected(self, full_bytes: int) -> float:
        """Return the seconds that a state of this size will probably take."""
        return self._seconds_a_byte * full_bytes

    def timed_load(self, history: HistoryPort, decoded: Decoded, request: Request, full_bytes: int) -> Detail:
        """Load a detail and learn from the time it took."""
        started = perf_counter()
        detail = load_detail(history, decoded, request)
        taken = (perf_counter() - started) / max(4096, full_bytes)
        # Slowness is believed at once, speed only gradually: one lucky cache hit must not freeze the next key.
        share = 0.5 if taken > self._seconds_a_byte else 0.15
        self._seconds_a_byte += (taken - self._seconds_a_byte) * share
        return detail
