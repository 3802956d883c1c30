"""Columns of a long history before all of them are read: the rows that are looked at, a page at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, overload

from unspool.model.entries import KINDS, Entry
from unspool_tui.scene.entries import always
from unspool_tui.view.history_port import Columns, HistoryPort

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
