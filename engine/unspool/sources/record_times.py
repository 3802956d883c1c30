"""Times of records: those that a person names by a path, and a hint where none was found although a field reads as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from unspool.model.entries import NO_META
from unspool.model.paths import Path, format_path
from unspool.model.values import MISSING, Value
from unspool.sources.entries import TIME_FROM_FILE, Interpreter, SourceEntry
from unspool.sources.timestamps import PLAUSIBLE_NS, to_ns

_LOOKED_AT: Final = 20
"""Records that are looked at for a field that reads as a time."""
_LEVELS: Final = 2


class TimedRecords:
    """An interpreter whose entries carry the time that stands at a path of their record."""

    def __init__(self, inner: Interpreter, path: Path) -> None:
        """Prepare.

        Args:
            inner: what makes entries of records.
            path: where each record has its time.
        """
        self._inner = inner
        self._path = path
        self._without = 0
        self._total = 0

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """See `Interpreter.read`."""
        ns = to_ns(_value_at(record, self._path))
        self._total += 1
        self._without += ns is None
        for entry in self._inner.read(record, default_ns):
            yield entry if ns is None else replace(entry, timestamp_ns=ns, meta=_without_mark(entry.meta))

    def finish(self) -> Iterable[SourceEntry]:
        """See `Interpreter.finish`."""
        return self._inner.finish()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Tell of records that have no time there."""
        yield from self._inner.notices()
        if self._without:
            told = f"{self._without:,} of {self._total:,} records have no time at {format_path(self._path, root='')}"
            yield f"{told}; their entries carry the time that was found without it", False


def _value_at(value: Value, path: Path) -> Value:
    for step in path:
        if isinstance(value, dict):
            value = value.get(step, value.get(str(step), MISSING))
        elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return MISSING
    return value


def _without_mark(meta: Mapping[str, Value]) -> Mapping[str, Value]:
    return {key: value for key, value in meta.items() if key not in TIME_FROM_FILE} or NO_META


class TimeHints:
    """Notices when every entry took the file's time although each record has a field that reads as one."""

    def __init__(self) -> None:
        self._records = 0
        self._has_times = False
        self._fields: dict[Path, int] = {}

    def see(self, record: Value, entries: Iterable[SourceEntry]) -> Iterator[SourceEntry]:
        """Pass the entries of a record on, and look at the first few records."""
        made = 0
        for entry in entries:
            made += 1
            self._has_times = self._has_times or "time_from" not in entry.meta
            yield entry
        if made and not self._has_times and self._records < _LOOKED_AT:
            self._records += 1
            for path in _time_like(record, ()):
                self._fields[path] = self._fields.get(path, 0) + 1

    def notice(self) -> str | None:
        """Return what to say, or None."""
        if self._has_times or not self._records:
            return None
        path = next((path for path, count in self._fields.items() if count == self._records), None)
        if path is None:
            return None
        name = format_path(path, root="")
        return f"every entry carries the file's time, although {name} reads as one; --time {name} takes it"


def _time_like(value: Value, path: Path) -> Iterator[Path]:
    if not isinstance(value, dict) or len(path) >= _LEVELS:
        return
    for key, member in value.items():
        ns = None if isinstance(member, bool | dict) else to_ns(member)
        if ns is not None and ns in PLAUSIBLE_NS:
            yield (*path, key)
    for key, member in value.items():
        yield from _time_like(member, (*path, key))
