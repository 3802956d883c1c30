"""Walking over SQLite's write-ahead log without SQLite, which stops at the first frame that does not hold.

A log is a header of 32 bytes and frames: 24 bytes that name a page and a commit, and the page. Every frame carries the
salts of its generation, so that frames left over from an earlier one are distinguished, and a checksum over all frames before
it. Here each frame is held against the one before: a damaged frame does not hide those behind it.
"""

from __future__ import annotations

import os
import re
import sys
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Final

import msgspec

from unspool import system
from unspool.errors import StorageFailed, UnreadableSource
from unspool.files import write_whole

HEADER_BYTES: Final = 32
FRAME_BYTES: Final = 24
_MAGIC: Final = 0x377F0682
"""The lowest bit tells the byte order of checksums: set for big-endian."""
_HEADER: Final = Struct(">8I")
_FRAME: Final = Struct(">6I")
PAGE_SIZES: Final = tuple(1 << bits for bits in range(9, 17))
_TRIED: Final = 8
"""Frames that a guessed page size is tried on."""
_MASK: Final = 0xFFFFFFFF

Pair = tuple[int, int]
"""Salts, or both halves of a checksum."""


class WalState(StrEnum):
    """What became of a log."""

    SOUND = "sound"
    """Every frame holds; frames of a transaction that never ended, or of an earlier generation, may follow."""
    TORN = "torn"
    """The last frames do not hold, and no commit stands behind them."""
    DAMAGED = "damaged"
    """Commits stand behind something that does not hold: SQLite leaves them out."""


class WalFrame(msgspec.Struct, frozen=True):
    """One page as a transaction left it.

    Attributes:
        page: its number, from 1.
        commit: pages of the database after the commit that ends here; 0 within a transaction.
        offset: where its bytes start in the log.
        holds: page and number are what was written, whatever else of the frame is damaged.
    """

    page: int
    commit: int
    offset: int
    holds: bool


class WalScan(msgspec.Struct, frozen=True):
    """What a walk over a log found.

    Attributes:
        state: what became of the log.
        page_size: bytes of a page; 0 where no frame tells.
        frames: the frames of the newest generation in order, damaged ones between them included.
        first_bad: place of the first frame that SQLite refuses; None when it takes all.
        committed: frames that SQLite reads: up to the last commit before `first_bad`.
        header_holds: the header is what was written.
        is_cut: the last frame ends early.
    """

    state: WalState
    page_size: int
    frames: Sequence[WalFrame]
    first_bad: int | None
    committed: int
    header_holds: bool
    is_cut: bool

    @property
    def commits_behind(self) -> int:
        """Commits that hold, behind the first frame that SQLite refuses."""
        if self.first_bad is None:
            return 0
        return sum(frame.holds and frame.commit > 0 for frame in self.frames[self.first_bad :])

    @property
    def meaning(self) -> str:
        """What is the matter, in words; "" for a sound log."""
        if self.state is WalState.SOUND:
            return ""
        where = "its header" if not self.header_holds else f"frame {(self.first_bad or 0) + 1} of {len(self.frames)}"
        if self.state is WalState.DAMAGED:
            behind = self.commits_behind
            return f"damaged at {where}, so {behind} commit{'s' * (behind != 1)} behind it cannot be reached"
        if self.first_bad is None and self.header_holds:
            return "it ends in the middle of a frame"
        return f"{where} does not hold, and nothing is committed behind it"


def log_of(path: Path) -> Path:
    """Return where the write-ahead log of a database lies."""
    return path.with_name(path.name + "-wal")


def scan_wal(path: Path, page_size: int = 0) -> WalScan | None:
    """Walk over a log.

    Args:
        path: the log itself.
        page_size: of the database, where its header tells one; tried where the log's own header is damaged.

    Returns:
        What was found, or None where there is no log or an empty one.

    Raises:
        UnreadableSource: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            return _scan(stream, size, page_size) if size else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableSource(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def bytes_in_use(log: Path) -> int:
    """Return how many bytes of a log its newest generation takes: a log that began anew keeps its size on disk.

    Args:
        log: the log itself.

    Returns:
        The bytes, 0 for a log that is missing or shorter than its header. Only headers are looked at, about twenty.

    Raises:
        OSError: it cannot be read.
    """
    try:
        stream = log.open("rb", buffering=0)
    except FileNotFoundError:
        return 0
    with stream:
        header = system.read_at(stream.fileno(), HEADER_BYTES, 0)
        if len(header) < HEADER_BYTES:
            return 0
        salts = header[16:24]
        length: int = FRAME_BYTES + _HEADER.unpack(header)[2]
        # Frames of the newest generation come first; each is marked with its salts.
        low, high = 0, (os.fstat(stream.fileno()).st_size - HEADER_BYTES) // length
        while low < high:
            middle = (low + high) // 2
            if system.read_at(stream.fileno(), len(salts), HEADER_BYTES + middle * length + 8) == salts:
                low = middle + 1
            else:
                high = middle
        return HEADER_BYTES + low * length


class _Layout(msgspec.Struct, frozen=True):
    """How frames lie in a log, and what the first one is held against."""

    page_size: int
    is_big: bool
    salts: Pair
    seeds: tuple[Pair, ...]
    header_holds: bool


def _scan(stream: BinaryIO, size: int, page_size: int) -> WalScan:
    header = stream.read(HEADER_BYTES)
    layout = _layout(stream, header, size, page_size) if len(header) == HEADER_BYTES else None
    if layout is None:
        # No frame agrees with another. A header that holds begins a generation without frames.
        is_sound = len(header) == HEADER_BYTES and _is_sound(header)
        state = WalState.SOUND if is_sound else WalState.TORN
        return WalScan(state, 0, (), None, 0, is_sound, is_cut=not is_sound)
    walk = _Walk(layout)
    stream.seek(HEADER_BYTES)
    length = FRAME_BYTES + layout.page_size
    while len(data := stream.read(length)) == length:
        walk.take(data)
    return walk.result(data)


class _Walk:
    """Takes frames in order and tells which belong to the newest generation and which hold."""

    def __init__(self, layout: _Layout) -> None:
        self._layout = layout
        self._seeds = layout.seeds
        self._is_reached = True
        """The frame before belongs to the newest generation, so the next one can be held against it."""
        self._frames: list[WalFrame] = []
        self._last = 0
        self._first_bad: int | None = None if layout.header_holds else 0
        self._length = FRAME_BYTES + layout.page_size

    def take(self, data: bytes) -> None:
        """Take the next frame."""
        page, commit, *rest = _FRAME.unpack_from(data)
        salts, stored = (rest[0], rest[1]), (rest[2], rest[3])
        place = len(self._frames)
        has_salts = salts == self._layout.salts
        sums: list[Pair] = []
        if has_salts or self._is_reached:
            numbers = _numbers(data[:8] + data[FRAME_BYTES:], self._layout.is_big)
            sums = [_checksum(numbers, seed) for seed in self._seeds]
        agrees = stored in sums
        is_ours = has_salts or agrees
        if self._first_bad is None and not (has_salts and stored == next(iter(sums), None) and page):
            self._first_bad = place
        if has_salts and self._is_late(stored, sums, place):
            self._vouch(place - 1)
        self._frames.append(
            WalFrame(page, commit, HEADER_BYTES + place * self._length + FRAME_BYTES, agrees and page > 0)
        )
        # What is stored goes first: that is what SQLite wrote the next frame on.
        self._seeds = tuple(dict.fromkeys((stored, *sums[:1])))
        self._is_reached = is_ours
        if is_ours:
            self._last = place + 1

    def _is_late(self, stored: Pair, sums: list[Pair], place: int) -> bool:
        """Whether this frame fits what the one before should have had as its checksum, and not what it has."""
        return place > 0 and len(sums) > 1 and stored == sums[1] != sums[0] and not self._frames[place - 1].holds

    def _vouch(self, place: int) -> None:
        known = self._frames[place]
        self._frames[place] = WalFrame(known.page, known.commit, known.offset, known.page > 0)

    def result(self, rest: bytes) -> WalScan:
        """Return what was found.

        Args:
            rest: bytes behind the last whole frame.
        """
        frames = self._frames[: self._last]
        all_ours = len(frames) == len(self._frames)
        has_salts = len(rest) < 16 or _FRAME.size > len(rest) or _FRAME.unpack_from(rest)[2:4] == self._layout.salts
        is_cut = bool(rest) and all_ours and has_salts
        first_bad = self._first_bad if self._first_bad is not None and self._first_bad < len(frames) else None
        reads = frames if first_bad is None else frames[:first_bad]
        committed = max((place + 1 for place, frame in enumerate(reads) if frame.commit), default=0)
        behind = () if first_bad is None else frames[first_bad:]
        state = WalState.SOUND
        if any(frame.holds and frame.commit for frame in behind):
            state = WalState.DAMAGED
        elif first_bad is not None or is_cut or not self._layout.header_holds:
            state = WalState.TORN
        return WalScan(state, self._layout.page_size, frames, first_bad, committed, self._layout.header_holds, is_cut)


def _is_sound(header: bytes) -> bool:
    magic, *_ = _HEADER.unpack(header)
    stored = _HEADER.unpack(header)[6:8]
    return magic & ~1 == _MAGIC and _checksum(_numbers(header[:24], bool(magic & 1)), (0, 0)) == stored


def _layout(stream: BinaryIO, header: bytes, size: int, page_size: int) -> _Layout | None:
    """Return how the frames lie, as the header says or as they agree among themselves; None where they do not."""
    magic, _, claimed, _, salt1, salt2, sum1, sum2 = _HEADER.unpack(header)
    if _is_sound(header) and claimed in PAGE_SIZES:
        return _Layout(claimed, bool(magic & 1), (salt1, salt2), ((sum1, sum2),), header_holds=True)
    guesses = dict.fromkeys(guess for guess in (claimed, page_size, *PAGE_SIZES) if guess in PAGE_SIZES)
    for guess in guesses:
        for is_big in (bool(magic & 1), not magic & 1):
            salts = _agreed_salts(stream, size, guess, is_big)
            if salts is not None:
                whole = _checksum(_numbers(header[:24], is_big), (0, 0))
                return _Layout(guess, is_big, salts, ((sum1, sum2), whole), header_holds=False)
    return None


def _agreed_salts(stream: BinaryIO, size: int, page_size: int, is_big: bool) -> Pair | None:
    """Return the salts of the first frames if one of them follows from the frame before."""
    length = FRAME_BYTES + page_size
    before: Pair | None = None
    for place in range(min(_TRIED, (size - HEADER_BYTES) // length)):
        stream.seek(HEADER_BYTES + place * length)
        data = stream.read(length)
        _, _, salt1, salt2, *stored = _FRAME.unpack_from(data)
        numbers = _numbers(data[:8] + data[FRAME_BYTES:], is_big)
        if before is not None and list(_checksum(numbers, before)) == stored:
            return salt1, salt2
        before = (stored[0], stored[1])
    return None


def _numbers(data: bytes, is_big: bool) -> array[int]:
    numbers = array("I", data)
    if is_big != (sys.byteorder == "big"):
        numbers.byteswap()
    return numbers


def _checksum(numbers: array[int], seed: Pair) -> Pair:
    """Return SQLite's checksum of an even number of 32-bit numbers, going on from what came before."""
    one, two = seed
    odd = len(numbers) % 8
    for first, second in zip(numbers[0:odd:2], numbers[1:odd:2], strict=True):
        one = (one + first + two) & _MASK
        two = (two + second + one) & _MASK
    rest: Iterator[int] = iter(numbers[odd:])
    # Cutting to 32 bits once for four pairs takes a quarter off; the numbers in between stay small.
    for a, b, c, d, e, f, g, h in zip(rest, rest, rest, rest, rest, rest, rest, rest, strict=True):
        one += a + two
        two += b + one
        one += c + two
        two += d + one
        one += e + two
        two += f + one
        one = (one + g + two) & _MASK
        two = (two + h + one) & _MASK
    return one, two


_NAME: Final = re.compile(r"(?P<file>.+)\.damaged-[0-9a-f]{8}(?:-(?P<seq>[0-9]{1,18}))?-wal", re.DOTALL)
_CHUNK: Final = 1 << 20
_SMALLEST_PAGE: Final = 512


class KeptLog(msgspec.Struct, frozen=True):
    """A damaged log that was kept.

    Attributes:
        path: where it lies.
        file: the file whose log it was.
        until: the first entry that was recorded instead of one in it: what the file holds before is of the same
            history. 0 where that is not known.
    """

    path: Path
    file: Path
    until: int


def kept_log(path: Path) -> KeptLog | None:
    """Return what a name says of a kept log, or None where it is no such name."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return None
    return KeptLog(path, path.with_name(found["file"]), int(found["seq"] or 0))


def kept_logs(path: Path) -> list[KeptLog]:
    """Return the logs that were kept of a file, in the order of their names."""
    found: list[KeptLog] = []
    with suppress(OSError):
        # A folder that may not be listed is no reason to refuse the file in it.
        for name in os.listdir(path.parent):  # noqa: PTH208 - names alone are compared, of however many files
            known = kept_log(path.with_name(name)) if name.startswith(path.name) else None
            if known is not None and known.file == path:
                found.append(known)
    return sorted(found, key=lambda log: log.path.name)


def keep_damaged_log(path: Path) -> KeptLog | None:
    """Copy the log beside a file if SQLite would write over something in it; before a recorder opens the file.

    Args:
        path: the file, not a link to it; never opened.

    Returns:
        The copy, or None where the log is sound, absent or ends in what was never committed.

    Raises:
        StorageFailed: it cannot be copied, so that recording would destroy it.
        UnreadableSource: the log cannot be read.
    """
    log = log_of(path)
    scan = scan_wal(log)
    if scan is None or not _has_more(scan, log):
        return None
    copy = path.with_name(f"{path.name}.damaged-{os.urandom(4).hex()}-wal")
    try:
        write_whole(copy, _pieces(log), replace=False)
    except OSError as error:
        raise StorageFailed(
            f"{log}: is damaged, and cannot be kept before recording goes on ({error.strerror}); free some space, or move "
            "it and the file elsewhere"
        ) from None
    return KeptLog(copy, path, 0)


def named_by_entry(log: KeptLog, until: int) -> KeptLog:
    """Rename a kept log after the first entry that is recorded instead of those in it, and return it."""
    ending = "-wal"
    fresh = log.path.with_name(f"{log.path.name.removesuffix(ending)}-{until}{ending}")
    with suppress(OSError):
        # Without the number less of it can be saved, and nothing is lost.
        log.path.rename(fresh)
        return KeptLog(fresh, log.file, until)
    return log


def _has_more(scan: WalScan, log: Path) -> bool:
    """Whether a log holds anything that SQLite would leave out and write over."""
    if scan.state is WalState.SOUND:
        return False
    if not scan.header_holds:
        return log.stat().st_size >= HEADER_BYTES + FRAME_BYTES + _SMALLEST_PAGE
    # A last frame that ends early is what a killed writer leaves; no reader was given it.
    return scan.first_bad is not None


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            yield piece


__all__ = [
    "FRAME_BYTES",
    "HEADER_BYTES",
    "KeptLog",
    "WalFrame",
    "WalScan",
    "WalState",
    "keep_damaged_log",
    "kept_log",
    "kept_logs",
    "log_of",
    "named_by_entry",
    "scan_wal",
]
