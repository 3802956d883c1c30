"""What the app needs from a history: the narrow side of `unspool.history.History` that the screens ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, Protocol

from unspool.model.entries import ChangeKind, Entry, Op
from unspool.model.paths import Path
from unspool.model.values import State, Value


class Columns(Protocol):
    """In-memory arrays with one item an entry; reading a row decodes nothing."""

    @property
    def timestamp_ns(self) -> Sequence[int]: ...

    @property
    def kind(self) -> Sequence[int]: ...

    @property
    def added(self) -> Sequence[int]: ...

    @property
    def modified(self) -> Sequence[int]: ...

    @property
    def deleted(self) -> Sequence[int]: ...

    @property
    def stored(self) -> Sequence[int]: ...

    @property
    def full_bytes(self) -> Sequence[int]: ...


class StateView(Protocol):
    """A read-only state whose atoms are decoded when they are asked for."""

    @property
    def seq(self) -> int: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[str]: ...

    def __contains__(self, name: object, /) -> bool: ...

    def __getitem__(self, name: str, /) -> Value: ...

    def encoded(self, name: str, /) -> bytes: ...


class AtomChange(Protocol):
    """One atom added, modified or deleted; `ops` is worked out when first asked for, and `list_keys` is known then."""

    @property
    def atom(self) -> str: ...

    @property
    def kind(self) -> ChangeKind: ...

    @property
    def old(self) -> Value: ...

    @property
    def new(self) -> Value: ...

    @property
    def old_bytes(self) -> bytes | None: ...

    @property
    def new_bytes(self) -> bytes | None: ...

    @property
    def ops(self) -> Sequence[Op]: ...

    @property
    def list_keys(self) -> Mapping[Path, str]: ...


class StateDiff(Protocol):
    """What changed from one entry to another."""

    @property
    def from_seq(self) -> int: ...

    @property
    def to_seq(self) -> int: ...

    @property
    def changes(self) -> Sequence[AtomChange]: ...


class Problem(Protocol):
    """One thing that could not be read."""

    @property
    def place(self) -> str: ...

    @property
    def message(self) -> str: ...


class Verdict(Protocol):
    """How much of the source could be read."""

    @property
    def status(self) -> str: ...

    @property
    def problems(self) -> Sequence[Problem]: ...

    @property
    def notes(self) -> Sequence[str]: ...

    @property
    def is_damaged(self) -> bool: ...


class Progress(Protocol):
    """How far reading a foreign source has come."""

    @property
    def done(self) -> int: ...

    @property
    def total(self) -> int: ...

    @property
    def is_finished(self) -> bool: ...


class CacheStats(Protocol):
    """How the rebuild cache has served."""

    @property
    def size(self) -> int: ...

    @property
    def max_size(self) -> int: ...

    @property
    def hits(self) -> int: ...

    @property
    def misses(self) -> int: ...

    @property
    def evictions(self) -> int: ...


class HistoryPort(Protocol):
    """A history as the screens see it; `unspool.history.History` is one."""

    @property
    def source_name(self) -> str: ...

    @property
    def watch_paths(self) -> Sequence[FilePath]: ...

    @property
    def verdict(self) -> Verdict: ...

    @property
    def progress(self) -> Progress: ...

    @property
    def is_foreign(self) -> bool: ...

    identity: Mapping[str, str] | None
    """Keys set by hand that tell the records of lists apart, by path pattern; may be set while it is open."""

    def cancel_reading(self) -> None: ...

    @property
    def first(self) -> int: ...

    def told_dropped(self) -> str: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice, /) -> list[Entry]: ...

    def columns(self) -> Columns: ...

    def action(self, seq: int, /) -> str: ...

    def state(self, seq: int, /) -> State: ...

    def view(self, seq: int, /) -> StateView: ...

    def diff(self, from_seq: int, to_seq: int, /) -> StateDiff: ...

    def changes(self, seq: int, /) -> StateDiff: ...

    def changed_atoms(self, seq: int, /) -> Sequence[tuple[str, ChangeKind]]: ...

    def writes(self, atom: str, start: int = 0, stop: int | None = None, /) -> Iterator[int]: ...

    def next_write(self, atom: str, after: int, /) -> int | None: ...

    def previous_write(self, atom: str, before: int, /) -> int | None: ...

    def refresh(self) -> int: ...

    def stats(self) -> Any: ...

    def cache_stats(self) -> CacheStats: ...

    def rebuild_times_us(self) -> list[float]: ...

    def file_bytes(self) -> int: ...

    def close(self) -> None: ...
