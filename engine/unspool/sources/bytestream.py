"""Files as plain bytes, and the lines of a file that may grow, be cut back, or be replaced by another file.

Compressed files are unfolded on the fly, within bounds.
"""

from __future__ import annotations

import codecs
import gzip
import io
import lzma
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import IO, Final, cast

from unspool.errors import LimitExceeded, UnreadableSource, near_name
from unspool.files import foreign_owner
from unspool.model.limits import DEFAULT_LIMITS, FREE_BYTES, Limits
from unspool.sources.entries import Findings

_MAGIC: Final = ((b"\x1f\x8b\x08", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\x00", "xz"))
_MARKS: Final = ((codecs.BOM_UTF32_LE, "utf-32-le", 1), (codecs.BOM_UTF32_BE, "utf-32-be", 0),
                 (codecs.BOM_UTF16_LE, "utf-16-le", 1), (codecs.BOM_UTF16_BE, "utf-16-be", 0))  # fmt: skip
"""Marks, the encoding of each, and which byte of an ASCII character in it is zero."""
_MAX_WINDOW: Final = 1 << 31
"""Largest zstd window that is accepted: what `zstd --long=31` writes."""
_CHUNK: Final = 1 << 18
_ZSTD_CHUNK: Final = 2048
"""Compressed bytes taken at once; four of them can unfold to 128 KiB, so this bounds memory to 64 MiB."""


class CutShort(Exception):
    """Compressed data ends before it is complete; what came before was read."""


def compression_of(head: bytes) -> str | None:
    """Name the compression a file's first bytes show: gzip, zstd, xz or None."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def spelling(path: Path) -> str:
    """Return what to do about a file that is not there: the name in its folder that was probably meant, if one is near."""
    if path.parts[:1] in (("http:",), ("https:",)):
        return "unspool reads files of this machine: download it first"
    if path.parts and re.fullmatch(r"(?i)(?:postgres(?:ql)?|psql|pgsql)(?:\+\w+)?:", path.parts[0]):
        return "a database is named as postgresql://USER@HOST/DATABASE?history=NAME"
    try:
        with os.scandir(path.parent) as found:
            names = [item.name for item in islice(found, _MOST_NAMES)]
    except OSError:
        return "check the spelling of the path"
    near = near_name(path.name, names)
    return f"did you mean {path.with_name(near)}?" if near else "check the spelling of the path"


_MOST_NAMES: Final = 5_000
"""Names of a folder among which one that is like a misspelt one is looked for."""


def unreadable(path: Path, error: OSError) -> UnreadableSource:
    """Put an operating system's refusal into one line with place and remedy."""
    if isinstance(error, FileNotFoundError):
        return UnreadableSource(f"{path}: no such file or directory; {spelling(path)}")
    if isinstance(error, PermissionError):
        remedy = foreign_owner(path) or "ask its owner for read access (chmod +r) and try again"
        return UnreadableSource(f"{path}: permission denied; {remedy}")
    reason = error.strerror or type(error).__name__
    return UnreadableSource(f"{path}: cannot be read ({reason}); check that it is a regular file or directory")


class _Bounded(io.RawIOBase):
    """An unfolding stream that stops at a limit and says where compressed data is damaged."""

    def __init__(self, inner: IO[bytes], source: IO[bytes], path: PurePath, limits: Limits) -> None:
        super().__init__()
        self._inner = inner
        self._source = source
        self._path = path
        self._limits = limits
        self._seen = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._inner.read(len(buffer))
        except EOFError as error:
            raise CutShort from error
        except (OSError, lzma.LZMAError, zlib.error) as error:
            raise UnreadableSource(
                f"{self._path}: its compressed data is damaged near byte {self._source.tell()} ({error}); "
                "decompress it with the tool that wrote it to see what can be saved"
            ) from None
        self._seen += len(data)
        if self._seen > self._limits.decompressed_bytes:
            raise LimitExceeded(
                f"{self._path}: unfolds to more than {self._seen:,} bytes; {self._limits.remedy('decompressed_bytes')}"
            )
        if self._seen > FREE_BYTES and self._seen > self._limits.expansion * self._source.tell():
            raise LimitExceeded(
                f"{self._path}: unfolds to {self._seen:,} bytes and more from {self._source.tell():,}; "
                f"{self._limits.remedy('expansion')}"
            )
        buffer[: len(data)] = data
        return len(data)

    def position(self) -> int:
        """Return how many bytes of the compressed file were taken."""
        return 0 if self._source.closed else self._source.tell()

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._source.close()
        super().close()


class _Zstd(io.RawIOBase):
    """Reads zstd frames one after the other, and distinguishes a frame that is cut short from one that is damaged."""

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__()
        # zstandard takes some milliseconds to import; most files are not compressed.
        import zstandard

        self._source = source
        self._factory = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        self._frame = self._factory.decompressobj()
        self._error = zstandard.ZstdError
        self._ready = b""
        self._at = 0
        self._is_inside = False

    def read(self, size: int = -1) -> bytes:
        while self._at >= len(self._ready):
            chunk = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame, self._is_inside = self._factory.decompressobj(), False
            chunk = chunk or self._source.read(_ZSTD_CHUNK)
            if not chunk:
                if self._is_inside:
                    raise EOFError
                return b""
            try:
                self._ready, self._at, self._is_inside = self._frame.decompress(chunk), 0, True
            except self._error as error:
                raise OSError(str(error)) from None
        piece = self._ready[self._at : self._at + size]
        self._at += len(piece)
        return piece


class _Recoded(io.RawIOBase):
    """Text in UTF-16 or UTF-32 as UTF-8, so that its lines end where lines end."""

    def __init__(self, inner: IO[bytes], source: IO[bytes], encoding: str) -> None:
        super().__init__()
        self._inner = inner
        self._source = source
        self._decode = codecs.getincrementaldecoder(encoding)(errors="surrogatepass").decode
        self._ready = b""
        self._has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready and not self._has_ended:
            data = self._inner.read(_CHUNK)
            self._has_ended = not data
            try:
                text = self._decode(data, self._has_ended)
            except UnicodeDecodeError:
                # Half a character at the end: more may come.
                raise CutShort from None
            self._ready = text.removeprefix("\ufeff").encode("utf-8", "surrogatepass")
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def position(self) -> int:
        """Return how many bytes of the file on disk were taken."""
        return 0 if self._source.closed else self._source.tell()

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._source.close()
        super().close()


def encoding_of(head: bytes) -> str | None:
    """Return the encoding that the mark at the start of a text names, where it is not UTF-8; else None."""
    for mark, encoding, zero in _MARKS:
        # The first sign of JSON or of a table is one of ASCII; bytes of another kind may begin like a mark.
        if head.startswith(mark) and len(head) > len(mark) + 1 and head[len(mark) + zero] == 0:
            return encoding
    return None


def is_plain(head: bytes) -> bool:
    """Whether a file's bytes are read as they are: neither compressed nor in another encoding than UTF-8."""
    return compression_of(head) is None and encoding_of(head) is None


def open_bytes(path: Path, limits: Limits = DEFAULT_LIMITS) -> IO[bytes]:
    """Open a file for reading its plain bytes, whatever compression it carries.

    Raises:
        UnreadableSource: it cannot be opened; damaged or oversized content raises the same while reading, and
            content that ends too early raises `CutShort`.
    """
    try:
        source = path.open("rb")
        head = source.read(8)
        source.seek(0)
    except OSError as error:
        raise unreadable(path, error) from None
    return _plain_stream(source, head, path, limits)


def _plain_stream(source: IO[bytes], head: bytes, path: PurePath, limits: Limits) -> IO[bytes]:
    """Return a stream of what a stream holds, unfolded and in UTF-8; `path` is what messages call it."""
    compression, encoding = compression_of(head), encoding_of(head)
    if compression is None:
        return source if encoding is None else io.BufferedReader(_Recoded(source, source, encoding), _CHUNK)
    if compression == "gzip":
        inner = cast("IO[bytes]", gzip.GzipFile(fileobj=source))
    elif compression == "xz":
        inner = cast("IO[bytes]", lzma.LZMAFile(source))  # noqa: SIM115 - closed with the stream around it
    else:
        inner = cast("IO[bytes]", _Zstd(source))
    unfolded = io.BufferedReader(_Bounded(inner, source, path, limits), _CHUNK)
    try:
        encoding = encoding_of(unfolded.peek(8)[:8])
    except CutShort:
        encoding = None
    return unfolded if encoding is None else io.BufferedReader(_Recoded(unfolded, source, encoding), _CHUNK)


def position_of(stream: IO[bytes]) -> int:
    """Return how many bytes of the file on disk a stream from `open_bytes` has taken."""
    raw = getattr(stream, "raw", None)
    return raw.position() if isinstance(raw, _Bounded | _Recoded) else stream.tell()


def read_whole(path: Path, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Read a whole document, decompressed.

    Raises:
        UnreadableSource: it cannot be read, or is larger than a document may be.
        CutShort: its compressed data ends early.
    """
    try:
        with open_bytes(path, limits) as stream:
            return _whole(stream, path, limits)
    except OSError as error:
        raise unreadable(path, error) from None


def plain_of(data: bytes, path: PurePath, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Return a whole document that is in memory as `read_whole` reads one from a file; `path` is what messages call it.

    Raises:
        UnreadableSource: its compressed data is damaged, or unfolds to more than a document may be.
        CutShort: its compressed data ends early.
    """
    if is_plain(data[:8]):
        return data
    with _plain_stream(io.BytesIO(data), data[:8], path, limits) as stream:
        return _whole(stream, path, limits)


def _whole(stream: IO[bytes], path: PurePath, limits: Limits) -> bytes:
    data = stream.read(limits.document_bytes + 1)
    if len(data) > limits.document_bytes:
        raise LimitExceeded(
            f"{path}: one document of more than {limits.document_bytes:,} bytes; store many states as JSON Lines, one a "
            f"line, or: {limits.remedy('document_bytes')}"
        )
    return data


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
