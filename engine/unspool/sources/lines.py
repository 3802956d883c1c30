"""Lines and items of a document as records, read one by one while a file grows, and the times that records carry.

A person names a record's time by a path; a hint is given where none was found although a field reads as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource
from unspool.history.verdict import ChainFault, Progress
from unspool.model.entries import NO_META
from unspool.model.json_exact import BrokenText, Parsed, parse
from unspool.model.keys import Path as ValuePath
from unspool.model.keys import format_path
from unspool.model.limits import DEFAULT_LIMITS, Cancelled, Limits
from unspool.model.values import MISSING, Value
from unspool.sources.bytestream import TailedFile, TailedLine
from unspool.sources.entries import (
    PLAUSIBLE_NS,
    TIME_FROM_FILE,
    Chains,
    Findings,
    Interpreter,
    SeqOf,
    SourceEntry,
    UnusableRecord,
    examine_records,
    to_ns,
)

_LOOKED_AT: Final = 20
"""Records that are looked at for a field that reads as a time."""
_LEVELS: Final = 2


class TimedRecords:
    """An interpreter whose entries carry the time that stands at a path of their record."""

    def __init__(self, inner: Interpreter, path: ValuePath) -> None:
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
        """Report records that have no time there."""
        yield from self._inner.notices()
        if self._without:
            told = f"{self._without:,} of {self._total:,} records have no time at {format_path(self._path, root='')}"
            yield f"{told}; their entries carry the time that was found without it", False


def _value_at(value: Value, path: ValuePath) -> Value:
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
        self._fields: dict[ValuePath, int] = {}

    def visit(self, record: Value, entries: Iterable[SourceEntry]) -> Iterator[SourceEntry]:
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


def _time_like(value: Value, path: ValuePath) -> Iterator[ValuePath]:
    if not isinstance(value, dict) or len(path) >= _LEVELS:
        return
    for key, member in value.items():
        ns = None if isinstance(member, bool | dict) else to_ns(member)
        if ns is not None and ns in PLAUSIBLE_NS:
            yield (*path, key)
    for key, member in value.items():
        yield from _time_like(member, (*path, key))


_NAMED: Final = 5
"""Parts beside the records that are named; the rest are counted."""


def beside(document: Value, records: Value) -> list[str]:
    """Return the paths of what stands in a document beside the list that holds its records, one or two levels down."""
    if not isinstance(document, dict):
        return []
    found: list[str] = []
    for key, value in document.items():
        holds_them = isinstance(value, dict) and any(inner is records for inner in value.values())
        if holds_them:
            found.extend(format_path((key, inner), root="") for inner in value if value[inner] is not records)
        elif value is not records and value not in (None, "", [], {}):
            found.append(format_path((key,), root=""))
    return found


class ItemsReader:
    """Reads records that are all there already. Such a document does not grow, so it is not followed."""

    def __init__(
        self,
        path: Path,
        records: Sequence[Value],
        interpreter: Interpreter,
        *,
        mtime_ns: int,
        place: str = "item",
        chains: Chains | None = None,
        beside: Sequence[str] = (),
    ) -> None:
        """Prepare.

        Args:
            path: the file, for messages.
            records: what to read.
            interpreter: what makes entries of them.
            mtime_ns: the time for entries whose record names none.
            place: what a record is called in messages.
            chains: how the chains of the records are examined.
            beside: parts of the document that are no records, and so in no state; they are reported.
        """
        self._beside = tuple(beside)
        self.findings = Findings()
        self.watch_paths: tuple[Path, ...] = ()
        self._path = path
        self._records = records
        self._interpreter = interpreter
        self._hints = TimeHints()
        self._mtime_ns = mtime_ns
        self._place = place
        self._chains = chains
        self._done = 0
        self._is_finished = False

    def read(self) -> Iterator[SourceEntry]:
        """Yield all entries on the first call, and nothing after."""
        while self._done < len(self._records):
            number = self._done
            self._done += 1
            try:
                record = self._records[number]
                yield from self._hints.visit(record, self._interpreter.read(record, self._mtime_ns))
            except UnusableRecord as error:
                self.findings.loss(f"{self._path}: {self._place} {number}", f"{error}; it was left out")
        if not self._is_finished:
            self._is_finished = True
            yield from self._interpreter.finish()
            if self._beside:
                named = ", ".join(self._beside[:_NAMED])
                more = f" and {len(self._beside) - _NAMED} more" if len(self._beside) > _NAMED else ""
                self.findings.notice(
                    str(self._path), f"in no state, for they stand beside the {self._place}s: {named}{more}"
                )
            hint = self._hints.notice()
            for message, is_loss in (*self._interpreter.notices(), *(() if hint is None else ((hint, False),))):
                (self.findings.loss if is_loss else self.findings.notice)(str(self._path), message)

    def take_times_from(self, path: ValuePath) -> None:
        """Give entries the time at a path of their record; asked before reading."""
        self._interpreter = TimedRecords(self._interpreter, path)

    def chain_faults(self, seq_of: SeqOf, total: int, cancelled: Cancelled) -> Iterator[ChainFault]:
        """See `ChainedReader.chain_faults`."""
        if self._chains is not None:
            placed = (
                (f"{self._path}: {self._place} {number}", item, "") for number, item in enumerate(self._records)
            )
            yield from examine_records(placed, self._chains, cancelled)

    def progress(self) -> Progress:
        """Say how many records have been read."""
        return Progress(self._done, len(self._records), self._is_finished)

    def close(self) -> None:
        """Nothing is held open."""


_BLANK: Final = b" \t\r\n\x1e\xef\xbb\xbf"


class LinesReader:
    """Reads a JSON Lines file through an interpreter, and reads on when the file grows.

    A last line without its end is taken when it is a complete object or list; anything else waits for its rest.
    """

    def __init__(
        self,
        path: Path,
        interpreter: Interpreter,
        limits: Limits = DEFAULT_LIMITS,
        *,
        follows: bool = True,
        chains: Chains | None = None,
    ) -> None:
        self.findings = Findings()
        self.watch_paths: tuple[Path, ...] = (path,)
        self._path = path
        self._interpreter = interpreter
        self._hints = TimeHints()
        self._limits = limits
        self._follows = follows
        self._chains = chains
        self._is_spread = is_spread(path, limits)
        self._file = TailedFile(path, self.findings, limits, is_spread=self._is_spread)
        self._is_finished = False
        self._said: set[str] = set()

    def read(self) -> Iterator[SourceEntry]:
        """Yield the entries that are new since the last call."""
        self._is_finished = False
        for line in self._file.lines():
            yield from self._entries(line)
        yield from self._interpreter.finish()
        hint = self._hints.notice()
        for message, is_loss in (*self._interpreter.notices(), *(() if hint is None else ((hint, False),))):
            if message not in self._said:
                self._said.add(message)
                (self.findings.loss if is_loss else self.findings.notice)(str(self._path), message)
        self._is_finished = True

    def take_times_from(self, path: ValuePath) -> None:
        """Give entries the time at a path of their record; asked before reading."""
        self._interpreter = TimedRecords(self._interpreter, path)

    def _entries(self, line: TailedLine) -> Iterator[SourceEntry]:
        where = f"{self._path}:{line.number} (byte {line.offset})"
        if not line.data:
            self._file.accept(line)
            self.findings.loss(where, f"a line of {line.size} bytes; at most {self._limits.line_bytes} are read")
            return
        if not line.data.strip(_BLANK):
            self._file.accept(line)
            return
        try:
            parsed = self._parse(line)
        except BrokenText as error:
            if line.is_ended:
                self._file.accept(line)
                self.findings.loss(where, f"no JSON ({error}); the line was left out")
            else:
                self.findings.wait_for("torn", where, f"the last line is not complete ({error})")
            return
        self._file.accept(line)
        self.findings.came_right("torn")
        if parsed.repeated_key is not None:
            self.findings.loss(where, f"the key {parsed.repeated_key!r} stands twice in one object; the last counts")
        yield from self._interpret(parsed.value, where)

    def _parse(self, line: TailedLine) -> Parsed:
        parsed = parse(line.data.lstrip(b"\x1e"), self._limits)
        if not line.is_ended and self._follows and not isinstance(parsed.value, dict | list):
            raise BrokenText("it may still get longer")
        return parsed

    def _interpret(self, record: Value, where: str) -> Iterator[SourceEntry]:
        try:
            yield from self._hints.visit(record, self._interpreter.read(record, self._file.mtime_ns))
        except UnusableRecord as error:
            self.findings.loss(where, f"{error}; the line was left out")

    def chain_faults(self, seq_of: SeqOf, total: int, cancelled: Cancelled) -> Iterator[ChainFault]:
        """See `ChainedReader.chain_faults`."""
        if self._chains is not None:
            yield from examine_records(self._again(), self._chains, cancelled)

    def _again(self) -> Iterator[tuple[str, Value, str]]:
        """Read the whole file anew; yield place, record and why it is none."""
        with closing(TailedFile(self._path, Findings(), self._limits, is_spread=self._is_spread)) as file:
            for line in file.lines():
                where = f"{self._path}:{line.number} (byte {line.offset})"
                file.accept(line)
                if not line.data:
                    yield where, None, f"a line of {line.size} bytes; at most {self._limits.line_bytes} are read"
                elif line.data.strip(_BLANK):
                    try:
                        yield where, self._parse(line).value, ""
                    except BrokenText as error:
                        if line.is_ended:
                            yield where, None, f"no JSON ({error})"

    def progress(self) -> Progress:
        """Say how many bytes of the file have been read."""
        total = self._file.total_bytes
        if self._is_finished:
            return Progress(total, total, is_finished=True)
        return Progress(self._file.position, total, is_finished=False)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def is_spread(path: Path, limits: Limits) -> bool:
    """Whether a file holds several JSON documents, at least the first of which takes several lines.

    This is how `kubectl get --watch -o json`, `jq .` and loops of programs write. A single document is no such file.
    """
    with closing(TailedFile(path, Findings(), limits, is_spread=True)) as file:
        try:
            first, more = None, None
            for line in file.lines():
                if not line.data.strip(_BLANK):
                    file.accept(line)
                elif first is None:
                    first = line
                    if line.lines == 1 or not line.is_ended or not _reads(line.data, limits):
                        return False
                    file.accept(line)
                else:
                    more = line
                    break
        except UnreadableSource:
            # Where it is read, what is wrong is reported.
            return False
    return more is not None and more.data.lstrip(_BLANK)[:1] in (b"{", b"[")


def _reads(data: bytes, limits: Limits) -> bool:
    try:
        parse(data, limits)
    except BrokenText:
        return False
    return True
