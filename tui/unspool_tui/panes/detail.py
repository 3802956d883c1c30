"""The state and the diff at the head, loaded as one frozen answer; atoms stay decoded from entry to entry."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from unspool.errors import EntryNotKept, UnspoolError
from unspool.history.history import EMPTY, StateView, without_context
from unspool.model.entries import EntryKind, SourceLine, caller_of, lag_in, passed_over_in, was_unseen
from unspool.model.values import Value
from unspool.model.wire import decode
from unspool_tui.panes.change_list import OPEN_BY_ITSELF
from unspool_tui.rendering.labels import ValueChange, largest_change
from unspool_tui.view.model import View

if TYPE_CHECKING:
    from unspool.history.diff import Change, Diff
    from unspool.history.history import History

_MOST_BYTES: Final = 48 << 20
"""Wire bytes whose decoded values are kept at most; decoded they take a few times as much."""
_SPARE_BYTES: Final = 1 << 20
"""Wire bytes kept of values that none of the last few states held."""
_SPARE_VALUES: Final = 1024
"""How many such values are kept: a small one takes some 700 bytes, twenty times its wire form."""
_STATES_KEPT: Final = 4
"""States ago that a value must have been looked at to be kept whatever else is."""


class Decoded:
    """Decoded atoms by the identity of their wire form; neighbouring states share those objects.

    What the states at hand hold stays, however much it is; of what only older ones held little does, or following a
    recorder would keep the values of hours.
    """

    __slots__ = ("_bytes", "_kept", "_states")

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[bytes, Value, int]] = OrderedDict()
        self._bytes = 0
        self._states = 0

    @property
    def wire_bytes(self) -> int:
        """Wire bytes of what is kept decoded."""
        return self._bytes

    def turn(self) -> None:
        """Take note that another state is looked at from now on."""
        self._states += 1

    def value(self, wire: bytes) -> Value:
        """Return the value of a wire form; shared, so nobody may change it."""
        key = id(wire)
        known = self._kept.get(key)
        if known is not None and known[0] is wire:
            if known[2] != self._states:
                self._kept[key] = (wire, known[1], self._states)
            self._kept.move_to_end(key)
            return known[1]
        value = decode(wire)
        self._kept[key] = (wire, value, self._states)
        self._bytes += len(wire)
        while len(self._kept) > 1 and self._has_too_much():
            _, (dropped, _, _) = self._kept.popitem(last=False)
            self._bytes -= len(dropped)
        return value

    def _has_too_much(self) -> bool:
        if self._bytes <= _SPARE_BYTES and len(self._kept) <= _SPARE_VALUES:
            return False
        oldest = next(iter(self._kept.values()))[2]
        return self._bytes > _MOST_BYTES or oldest < self._states - _STATES_KEPT


class SharedState(Mapping[str, Value]):
    """A state of the history that decodes through a `Decoded`."""

    __slots__ = ("_decoded", "_inner")

    def __init__(self, inner: StateView, decoded: Decoded) -> None:
        """Wrap a state."""
        self._inner = inner
        self._decoded = decoded
        decoded.turn()

    @property
    def seq(self) -> int:
        """The entry it is the state of."""
        return self._inner.seq

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator[str]:
        return iter(self._inner)

    def __contains__(self, name: object, /) -> bool:
        return name in self._inner

    def __getitem__(self, name: str, /) -> Value:
        return self._decoded.value(self._inner.encoded(name))

    def encoded(self, name: str, /) -> bytes:
        """Return an atom's wire form."""
        return self._inner.encoded(name)


NO_STATE: Final = SharedState(StateView(EMPTY, {}), Decoded())
"""The state before there is any entry."""
QUICK_SECONDS: Final = 0.008
"""A detail that is expected within this time is loaded at once, so that all panels change in one frame."""
_BYTES_A_SECOND: Final = 150e6
"""Speed assumed for states of which nothing is known yet: decoding and comparing wire forms."""


class DetailRequest(Struct, frozen=True):
    """What is to be loaded.

    Attributes:
        head: the entry looked at.
        other: the entry to compare with; None for the one it follows.
        total: entries known; a truncated history must not answer for a longer one.
    """

    head: int
    other: int | None
    total: int


def request_of(view: View) -> DetailRequest:
    """Return what a view needs."""
    return DetailRequest(view.head, view.other, view.total)


class Detail(Struct, frozen=True, eq=False):
    """The answer to a request.

    Attributes:
        request: what was asked.
        state: the state at the head.
        changes: the changes, atom by atom.
        from_seq: the entry compared with; -1 for the empty state before the first.
        problem: why it could not be loaded; empty when it could.
        note: what the head says, where it is a note, and what is known besides.
        passed_over: calls before the head that its recorder left out: any of them may have made the changes.
        unknown: why the changes are not known, though the state is; empty where they are known.
        action: why the entry at the head happened.
        caller: the line of code that recorded it; None where that was not kept.
        largest: the change that tells most; None where nothing changed.
        unseen: what the entry tells of was found changed.
        lag: why the state may be behind what the program had; empty where it is not.
    """

    request: DetailRequest
    state: SharedState = NO_STATE
    changes: Sequence[Change] = ()
    from_seq: int = -1
    problem: str = ""
    note: tuple[str, Mapping[str, Value]] | None = None
    passed_over: int = 0
    unknown: str = ""
    action: str = ""
    caller: SourceLine | None = None
    largest: ValueChange | None = None
    unseen: bool = False
    lag: str = ""


NOTHING: Final = Detail(DetailRequest(-1, None, 0))


def load_detail(history: History, decoded: Decoded, request: DetailRequest) -> Detail:
    """Ask the history; what is wrong with an entry is part of the answer."""
    if not 0 <= request.head < request.total:
        return Detail(request)
    unknown = ""
    diff: Diff | None = None
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
        largest = None if diff is None else largest_change(diff.changes)
    except UnspoolError as error:
        return Detail(request, problem=str(error))
    return Detail(
        request,
        state,
        () if diff is None else diff.changes,
        -1 if diff is None else diff.from_seq,
        note=(entry.action, without_context(entry.meta)) if entry.kind is EntryKind.NOTE else None,
        passed_over=passed_over_in(entry.meta),
        unknown=unknown,
        action=entry.action,
        caller=caller_of(entry.meta),
        largest=largest,
        unseen=was_unseen(entry.meta),
        lag=lag_in(entry.meta),
    )


def _prepare(changes: Sequence[Change]) -> None:
    """Work out the steps inside the atoms that will be shown open, here rather than while painting."""
    lines = 0
    for change in changes:
        lines += 1 + len(change.ops)
        if lines > OPEN_BY_ITSELF:
            break


class LoadingPace:
    """Foretells how long a detail will take, from those before it."""

    __slots__ = ("_seconds_a_byte",)

    def __init__(self) -> None:
        self._seconds_a_byte = 1 / _BYTES_A_SECOND

    def expected(self, full_bytes: int) -> float:
        """Return the seconds that a state of this size will probably take."""
        return self._seconds_a_byte * full_bytes

    def timed_load(self, history: History, decoded: Decoded, request: DetailRequest, full_bytes: int) -> Detail:
        """Load a detail and learn from the time it took."""
        started = perf_counter()
        detail = load_detail(history, decoded, request)
        taken = (perf_counter() - started) / max(4096, full_bytes)
        # Slowness is believed at once, speed only gradually: one lucky cache hit must not freeze the next key.
        share = 0.5 if taken > self._seconds_a_byte else 0.15
        self._seconds_a_byte += (taken - self._seconds_a_byte) * share
        return detail
