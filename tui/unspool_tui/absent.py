"""What a tab shows while its source is being opened, or when it was refused: a history without any entry."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from msgspec import Struct

from unspool.errors import EntryNotFound
from unspool.history.verdict import COMPLETE, FINISHED, Problem, Progress, Verdict, VerdictStatus
from unspool.model.entries import ChangeKind, Entry
from unspool_tui.view.history_port import CacheStats, StateDiff, StateView

_UNDER_WAY: Final = Progress(0, 0, is_finished=False)


class _NoColumns(Struct, frozen=True):
    timestamp_ns: Sequence[int] = array("q")
    kind: Sequence[int] = array("B")
    added: Sequence[int] = array("I")
    modified: Sequence[int] = array("I")
    deleted: Sequence[int] = array("I")
    stored: Sequence[int] = array("I")
    full_bytes: Sequence[int] = array("I")


class _NoCache(Struct, frozen=True):
    size: int = 0
    max_size: int = 0
    hits: int = 0
    misses: int = 0
    evictions: int = 0


class AbsentHistory:
    """Stands where a history will be; asking it for anything new asks for the source to be opened again."""

    def __init__(self, name: str, retry: Callable[[], None]) -> None:
        """Stand in for a source; `retry` is called when someone looks for news, from any thread."""
        self.source_name = name
        self.watch_paths: Sequence[Path] = ()
        self.identity: Mapping[str, str] | None = None
        self.is_foreign = True
        self.first = 0
        self._retry = retry
        self._error = ""

    def refused(self, error: str) -> None:
        """Take note that the source was refused."""
        self._error = error

    @property
    def verdict(self) -> Verdict:
        """Refused, with the reason, once that is known."""
        if not self._error:
            return COMPLETE
        return Verdict(VerdictStatus.REFUSED, (Problem(self.source_name, self._error),))

    @property
    def progress(self) -> Progress:
        """Under way until it is refused."""
        return FINISHED if self._error else _UNDER_WAY

    def cancel_reading(self) -> None:
        """Nothing is being read."""

    def told_dropped(self) -> str:
        """Say that nothing was dropped."""
        return ""

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: slice) -> list[Entry]:
        return []

    def columns(self) -> _NoColumns:
        """Return no rows."""
        return _NoColumns()

    def action(self, seq: int) -> str:
        """There is no entry."""
        return self._none(seq)

    def state(self, seq: int) -> dict[str, Any]:
        """There is no entry."""
        return self._none(seq)

    def view(self, seq: int) -> StateView:
        """There is no entry."""
        return self._none(seq)

    def diff(self, from_seq: int, to_seq: int) -> StateDiff:
        """There is no entry."""
        return self._none(to_seq)

    def changes(self, seq: int) -> StateDiff:
        """There is no entry."""
        return self._none(seq)

    def changed_atoms(self, seq: int) -> Sequence[tuple[str, ChangeKind]]:
        """There is no entry."""
        return self._none(seq)

    def writes(self, atom: str, start: int = 0, stop: int | None = None) -> Iterator[int]:
        """Yield nothing."""
        return iter(())

    def next_write(self, atom: str, after: int) -> int | None:
        """Return None."""
        return None

    def previous_write(self, atom: str, before: int) -> int | None:
        """Return None."""
        return None

    def refresh(self) -> int:
        """Ask for the source to be opened again."""
        if self._error:
            self._retry()
        return 0

    def stats(self) -> NoReturn:
        """There is nothing to measure."""
        self._none(0)

    def cache_stats(self) -> CacheStats:
        """Return zeros."""
        return _NoCache()

    def rebuild_times_us(self) -> list[float]:
        """Return no times."""
        return []

    def file_bytes(self) -> int:
        """Return 0."""
        return 0

    def close(self) -> None:
        """There is nothing to let go of."""

    def _none(self, seq: int) -> NoReturn:
        raise EntryNotFound(f"{self.source_name} has no entry {seq}: it is not open")
