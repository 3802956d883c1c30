"""JSON Lines: each line of a file is a record for an interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource
from unspool.history.verdict import Cancelled, ChainFault
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.paths import Path as ValuePath
from unspool.model.values import Value
from unspool.sources.chains import Chains, SeqOf, examine_records
from unspool.sources.entries import Interpreter, Progress, SourceEntry, UnusableRecord
from unspool.sources.findings import Findings
from unspool.sources.json_exact import BrokenText, Parsed, parse
from unspool.sources.record_times import TimedRecords, TimeHints
from unspool.sources.tailing import Line, TailedFile

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

    def _entries(self, line: Line) -> Iterator[SourceEntry]:
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

    def _parse(self, line: Line) -> Parsed:
        parsed = parse(line.data.lstrip(b"\x1e"), self._limits)
        if not line.is_ended and self._follows and not isinstance(parsed.value, dict | list):
            raise BrokenText("it may still get longer")
        return parsed

    def _interpret(self, record: Value, where: str) -> Iterator[SourceEntry]:
        try:
            yield from self._hints.see(record, self._interpreter.read(record, self._file.mtime_ns))
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
    """Say whether a file holds several JSON documents, at least the first of which takes several lines.

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
            # Where it is read, what is wrong is told.
            return False
    return more is not None and more.data.lstrip(_BLANK)[:1] in (b"{", b"[")


def _reads(data: bytes, limits: Limits) -> bool:
    try:
        parse(data, limits)
    except BrokenText:
        return False
    return True
