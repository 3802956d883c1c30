"""Actions and changed atoms of the entries in sight, asked once, and never while somebody else reads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar, overload

from unspool.errors import UnspoolError
from unspool.model.entries import KINDS, Entry
from unspool_tui.view.history_port import Columns, HistoryPort

T = TypeVar("T")
_KEPT: Final = 4096
_AT_ONCE: Final = 40
"""Entries read together; about a screenful."""

Facts = Mapping[int, tuple[str, tuple[str, ...]]]
"""By entry, its action and the atoms it changed."""


def always() -> bool:
    """Say that the history may be asked: nobody else reads it."""
    return True


class EntryBook:
    """What the history list shows besides the columns; entries never change, so an answer holds for ever.

    While the worker reads, asking the history would wait for its lock, and no key would do anything meanwhile. Then
    what is not known is left out, and remembered as `missing` for the worker to look up.
    """

    __slots__ = ("_actions", "_atoms", "_history", "may_ask", "missing")

    def __init__(self, history: HistoryPort) -> None:
        """Ask a history."""
        self._history = history
        self._actions: OrderedDict[int, str] = OrderedDict()
        self._atoms: OrderedDict[int, tuple[str, ...]] = OrderedDict()
        self.may_ask: Callable[[], bool] = always
        self.missing: set[int] = set()

    def action(self, seq: int) -> str:
        """Return why an entry happened; damage reads as nothing, the panes that need the entry tell it."""
        known = self._actions.get(seq)
        if known is None:
            if not self.may_ask():
                self.missing.add(seq)
                return ""
            self._read_actions(seq)
            known = self._actions.get(seq, "")
        return known

    def _read_actions(self, start: int) -> None:
        """Read a run of entries at once: rows are asked for in order, and one question costs what forty do."""
        stop = start + 1
        while stop < start + _AT_ONCE and stop not in self._actions:
            stop += 1
        for seq, action in self._actions_of(start, stop).items():
            _keep(self._actions, seq, action)

    def _actions_of(self, start: int, stop: int) -> dict[int, str]:
        try:
            entries = self._history[start:stop]
        except UnspoolError:
            entries = []
        return {start: "", **{entry.seq: entry.action for entry in entries}}

    def atoms(self, seq: int) -> tuple[str, ...]:
        """Return the atoms an entry changed."""
        known = self._atoms.get(seq)
        if known is None:
            if not self.may_ask():
                self.missing.add(seq)
                return ()
            known = self._atoms_of(seq)
            _keep(self._atoms, seq, known)
        return known

    def _atoms_of(self, seq: int) -> tuple[str, ...]:
        try:
            return tuple(atom for atom, _ in self._history.changed_atoms(seq))
        except UnspoolError:
            return ()

    def take_missing(self) -> tuple[int, ...]:
        """Return the entries that could not be asked about, and forget that they were wanted."""
        missing, self.missing = self.missing, set()
        return tuple(sorted(missing))

    def look_up(self, seqs: Iterable[int]) -> Facts:
        """Ask the history about entries; safe in the worker."""
        return {seq: (self._actions_of(seq, seq + 1)[seq], self._atoms_of(seq)) for seq in seqs}

    def learn(self, facts: Facts) -> None:
        """Take over what `look_up` found."""
        for seq, (action, atoms) in facts.items():
            _keep(self._actions, seq, action)
            _keep(self._atoms, seq, atoms)

    def forget(self) -> None:
        """Ask anew: the history was cut or replaced."""
        self._actions.clear()
        self._atoms.clear()


def _keep(book: OrderedDict[int, T], seq: int, answer: T) -> None:
    book[seq] = answer
    if len(book) > _KEPT:
        book.popitem(last=False)


EARLY_FROM: Final = 20_000
"""Entries from which the screen does not wait for all columns before it shows anything."""
_PAGE: Final = 128
_PAGES_KEPT: Final = 64


class _Column(Sequence[int]):
    """One column, read where it is looked at."""

    __slots__ = ("_pages", "_read")

    def __init__(self, pages: _Pages, read: Callable[[Entry], int]) -> None:
        self._pages = pages
        self._read = read

    def __len__(self) -> int:
        return self._pages.total

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[seq] for seq in range(*index.indices(len(self)))]
        return self._read(self._pages.entry(index))


class _Pages:
    """Entries by page, the last few kept."""

    def __init__(self, history: HistoryPort) -> None:
        self._history = history
        self._kept: OrderedDict[int, list[Entry]] = OrderedDict()
        self.total = len(history)
        self.may_ask: Callable[[], bool] = always

    def knows(self, seq: int) -> bool:
        """Say whether an entry is known, or may be read."""
        page = self._kept.get(seq // _PAGE)
        return (page is not None and seq % _PAGE < len(page)) or self.may_ask()

    def entry(self, seq: int) -> Entry:
        """Return an entry, reading its page if need be; one of another page while nothing may be read."""
        number = seq // _PAGE
        page = self._kept.get(number)
        if page is None or seq - number * _PAGE >= len(page):
            if self._kept and not self.may_ask():
                return next(reversed(self._kept.values()))[0]
            page = self._kept[number] = self._history[number * _PAGE : (number + 1) * _PAGE]
            if len(self._kept) > _PAGES_KEPT:
                self._kept.popitem(last=False)
        return page[seq - number * _PAGE]


class EarlyColumns:
    """Stands in for `History.columns()` while that is being read."""

    def __init__(self, history: HistoryPort) -> None:
        """Read from a history, a page where a row is looked at."""
        self.pages = pages = _Pages(history)
        self.timestamp_ns: Sequence[int] = _Column(pages, lambda entry: entry.timestamp_ns)
        self.kind: Sequence[int] = _Column(pages, lambda entry: KINDS[entry.kind])
        self.added: Sequence[int] = _Column(pages, lambda entry: entry.added)
        self.modified: Sequence[int] = _Column(pages, lambda entry: entry.modified)
        self.deleted: Sequence[int] = _Column(pages, lambda entry: entry.deleted)
        self.stored: Sequence[int] = _Column(pages, lambda entry: entry.stored_bytes)
        self.full_bytes: Sequence[int] = _Column(pages, lambda entry: entry.full_bytes)


def knows(columns: Columns, seq: int) -> bool:
    """Say whether a row of columns can be looked at without waiting for whoever reads the history just now."""
    return not isinstance(columns, EarlyColumns) or columns.pages.knows(seq)
