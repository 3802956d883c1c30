"""The lines of a file that may grow, be cut back, or be replaced by another file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from unspool.errors import LimitExceeded
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.sources.bytestream import CutShort, is_plain, open_bytes, position_of, unreadable
from unspool.sources.entries import Findings

_MARK_BYTES: Final = 64
"""Bytes before the reading place that are compared to tell a file that grew from one that was written anew."""
_SKIP_BYTES: Final = 1 << 20
_SKIPPED_LINES: Final = 4
"""Longest lines' worth of bytes that are unfolded to find the end of one that is too long."""


@dataclass(frozen=True, slots=True)
class TailedLine:
    """One line.

    Attributes:
        data: its bytes, the end of line included; empty for a line that was too long to read.
        number: 1-based number in the file.
        offset: where it starts, in (decompressed) bytes.
        size: its length in bytes.
        lines: how many lines it takes; more than one only where documents are spread over lines.
        is_whole: its brackets are closed; asked only where documents are spread over lines.
    """

    data: bytes
    number: int
    offset: int
    size: int
    lines: int = 1
    is_whole: bool = True

    @property
    def is_ended(self) -> bool:
        """Whether the line has its end; the last one of a growing file may lack it."""
        return not self.data or (self.is_whole and self.data.endswith(b"\n"))


@dataclass(slots=True)
class _Place:
    """Where reading stands in one file on disk."""

    stream: IO[bytes]
    file: tuple[int, int]
    is_compressed: bool
    offset: int = 0
    line: int = 0
    mark: bytes = b""


class Spread:
    """Follows the brackets of a JSON document over its lines."""

    def __init__(self) -> None:
        self._depth = 0

    @property
    def is_closed(self) -> bool:
        """Whether every bracket so far was closed."""
        return self._depth <= 0

    def closes_with(self, line: bytes) -> bool:
        """Take the next line; say whether the document may end with it."""
        bare = _TEXT.sub(b"", line)
        self._depth += sum(map(bare.count, (b"{", b"["))) - sum(map(bare.count, (b"}", b"]")))
        return self.is_closed


_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
"""Texts of JSON never go over the end of a line."""


class TailedFile:
    """Yields the lines of a file, and on later calls those that came after."""

    def __init__(
        self, path: Path, findings: Findings, limits: Limits = DEFAULT_LIMITS, *, is_spread: bool = False
    ) -> None:
        """Begin before the first line.

        Args:
            path: the file.
            findings: where problems go.
            limits: bounds.
            is_spread: what is yielded are JSON documents that may take several lines each.
        """
        self.path = path
        self._is_spread = is_spread
        self.mtime_ns = 0
        self.total_bytes = 0
        self._findings = findings
        self._limits = limits
        self._place: _Place | None = None
        self._signature: tuple[int, ...] = ()

    @property
    def position(self) -> int:
        """How many bytes of the file on disk have been read."""
        return 0 if self._place is None or self._place.stream.closed else position_of(self._place.stream)

    def lines(self) -> Iterator[TailedLine]:
        """Yield what is new since the last call.

        The caller says with `accept` that a line is dealt with; a line not accepted comes again next time.
        """
        status = self._status()
        if status is None or _sign(status) == self._signature:
            return
        if self._place is None:
            self._place = self._open()
        else:
            if (status.st_dev, status.st_ino) != self._place.file and not self._place.is_compressed:
                # Rotation: what was still written to the old file comes first.
                yield from self._rest(self._place)
            self._place = self._moved_on(self._place, status)
        self._signature, self.mtime_ns, self.total_bytes = _sign(status), status.st_mtime_ns, status.st_size
        yield from self._rest(self._place)

    def accept(self, line: TailedLine) -> None:
        """Take a line as dealt with."""
        place = self._place
        if place is not None:
            place.offset = line.offset + line.size
            place.line = line.number + line.lines - 1
            place.mark = (place.mark + line.data)[-_MARK_BYTES:] if line.data else b""

    def close(self) -> None:
        """Close the file."""
        if self._place is not None:
            self._place.stream.close()

    def _status(self) -> os.stat_result | None:
        """Look at the path; a file that is gone for a moment is waited for once reading has begun."""
        try:
            status = self.path.stat()
        except OSError as error:
            if self._place is None:
                raise unreadable(self.path, error) from None
            self._findings.wait_for("gone", str(self.path), "the file is gone; reading goes on when it is back")
            return None
        self._findings.came_right("gone")
        return status

    def _open(self) -> _Place:
        try:
            with self.path.open("rb") as raw:
                is_compressed = not is_plain(raw.read(8))
                status = os.fstat(raw.fileno())
        except OSError as error:
            raise unreadable(self.path, error) from None
        return _Place(open_bytes(self.path, self._limits), (status.st_dev, status.st_ino), is_compressed)

    def _moved_on(self, old: _Place, status: os.stat_result) -> _Place:
        """Return where to read on: behind what was read, or at the start of what took its place."""
        grew_in_place = (
            not old.is_compressed
            and (status.st_dev, status.st_ino) == old.file
            and status.st_size >= old.offset
            and _stands_behind(old.stream, old)
        )
        if grew_in_place:
            return old
        new = self._open()
        if _stands_behind(new.stream, old):
            new.offset, new.line, new.mark = old.offset, old.line, old.mark
        else:
            new.stream.close()
            new = self._open()
            self._findings.notice(
                f"{self.path}:{old.line}",
                "the file was cut back or replaced after this line; it was read again from its start",
            )
        old.stream.close()
        return new

    def _rest(self, place: _Place) -> Iterator[TailedLine]:
        self._findings.came_right("cut")
        try:
            if not place.is_compressed:
                place.stream.seek(place.offset)
            while line := self._next_line(place):
                yield line
                if place.offset != line.offset + line.size:
                    break
        except CutShort:
            self._findings.wait_for("cut", f"{self.path}: byte {place.offset}", "its compressed data ends early")
        except OSError as error:
            raise unreadable(self.path, error) from None

    def _next_line(self, place: _Place) -> TailedLine | None:
        data = place.stream.readline(self._limits.line_bytes + 1)
        size = len(data)
        if size > self._limits.line_bytes:
            while data and not data.endswith(b"\n"):
                if place.is_compressed and size > _SKIPPED_LINES * self._limits.line_bytes:
                    raise LimitExceeded(
                        f"{self.path}:{place.line + 1}: a line of more than {size:,} bytes in compressed data; "
                        f"{self._limits.remedy('line_bytes')}"
                    )
                data = place.stream.readline(_SKIP_BYTES)
                size += len(data)
            data = b""
        if not size:
            return None
        if self._is_spread and data:
            return self._whole_document(place, data)
        return TailedLine(data, place.line + 1, place.offset, size)

    def _whole_document(self, place: _Place, first: bytes) -> TailedLine:
        """Return a document that begins with a line: more lines until its brackets are closed."""
        spread = Spread()
        pieces = [first]
        size = len(first)
        while not spread.closes_with(pieces[-1]):
            data = place.stream.readline(self._limits.line_bytes + 1 - size)
            if not data:
                break
            pieces.append(data)
            size += len(data)
            if size > self._limits.line_bytes:
                raise LimitExceeded(
                    f"{self.path}:{place.line + 1}: a document of more than {self._limits.line_bytes:,} bytes; "
                    f"{self._limits.remedy('line_bytes')}"
                )
        return TailedLine(b"".join(pieces), place.line + 1, place.offset, size, len(pieces), spread.is_closed)


def _sign(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _stands_behind(stream: IO[bytes], place: _Place) -> bool:
    """Put a stream at a place; tell whether the bytes before it are the ones that were read there."""
    start = place.offset - len(place.mark)
    try:
        if place.is_compressed:
            while start and (piece := stream.read(min(start, _SKIP_BYTES))):
                start -= len(piece)
            return start == 0 and stream.read(len(place.mark)) == place.mark
        stream.seek(start)
        return stream.read(len(place.mark)) == place.mark
    except CutShort:
        return False
