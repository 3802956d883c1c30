"""Files that an app rewrites at each save: every save an entry, large JSON documents as states in wire form.

Their values are never all in memory as objects. Of a file that is saved again and again most stays the same. The text is taken
apart into runs of values, and of a run that stood in the last document too, the wire form is taken from there.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unspool.errors import LimitExceeded, UnreadableSource
from unspool.history.verdict import Progress
from unspool.model.encoding import encode
from unspool.model.json_exact import (
    BrokenText,
    Odd,
    OpenedContainer,
    Parsed,
    TooMuch,
    check_size,
    is_in_parts,
    parts_of,
    values_of,
)
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.tags import array_header, map_header
from unspool.model.values import MISSING, Value, strict_equal
from unspool.model.wire import header_size
from unspool.recorder.encoding import EncodedState, StateLayout
from unspool.sources.bytestream import CutShort, read_whole
from unspool.sources.detection import Probe, SourceShape
from unspool.sources.documents import kind_named, kind_of, parse_document
from unspool.sources.entries import Findings, Reader, SourceEntry
from unspool.sources.formats.states import DocumentRecords, document_entry
from unspool.sources.lines import ItemsReader


@dataclass(frozen=True, slots=True)
class _Run:
    """Values in a row, and where their wire form stands.

    Attributes:
        keys: the keys they stand under; None in a list.
        size: how many they are.
        start, end: of their wire form, keys included.
        places: start and end of each value that has a key, counted from `start`.
    """

    keys: list[str] | None
    size: int
    start: int
    end: int
    places: list[tuple[int, int]]


@dataclass(slots=True)
class _Container:
    """An object or list that is being written.

    Attributes:
        keys: the keys of its values; None for a list.
        at: how many of its values are written.
    """

    keys: list[str] | None
    at: int = 0

    def next_keys(self, size: int) -> list[str] | None:
        """Return the keys of the next values."""
        return None if self.keys is None else self.keys[self.at : self.at + size]


class EncodedStates:
    """Reads large JSON objects as states, each with the help of the one before."""

    def __init__(self) -> None:
        """Begin without any."""
        self._last = b""
        self._runs: dict[bytes, _Run] = {}

    def read(self, data: bytes, limits: Limits) -> EncodedState | None:
        """Read a document.

        Args:
            data: any bytes.
            limits: bounds of what comes out of them.

        Returns:
            Its state; None where it is to be read as a value: it is small, no object, maybe a state in an envelope, or
            nothing that the fast path of JSON reads.

        Raises:
            TooMuch: it holds more than the limits allow.
        """
        if not is_in_parts(data):
            return None
        check_size(data, limits)
        layout = _Layout(self._last, self._runs)
        try:
            for part in parts_of(data):
                if isinstance(part, bytes):
                    layout.add(part)
                elif isinstance(part, OpenedContainer):
                    if layout.is_empty and (part.keys is None or "state" in part.keys):
                        return None
                    layout.open(part)
                else:
                    layout.close()
        except Odd:
            return None
        base = layout.base()
        self._last, self._runs = base.blob, layout.runs
        return EncodedState(base)


class _Layout:
    """A state that is being laid out as the encoder would.

    Attributes:
        runs: where the runs stand, by the digest of their text.
    """

    def __init__(self, last: bytes, known: dict[bytes, _Run]) -> None:
        self.runs: dict[bytes, _Run] = {}
        self._last = memoryview(last)
        self._known = known
        self._names: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._bytes = io.BytesIO()
        self._open: list[_Container] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing was opened yet."""
        return not self._bytes.tell()

    def open(self, part: OpenedContainer) -> None:
        """Begin a container."""
        if self._open:
            outer = self._open[-1]
            if outer.keys is not None:
                self._bytes.write(encode(outer.keys[outer.at]))
            if len(self._open) == 1:
                self._starts.append(self._bytes.tell())
        else:
            self._names = part.keys or []
        self._bytes.write(array_header(part.size) if part.keys is None else map_header(part.size))
        self._open.append(_Container(part.keys))

    def add(self, text: bytes) -> None:
        """Write the next values of the container opened last."""
        container, start = self._open[-1], self._bytes.tell()
        digest = hashlib.blake2b(text, digest_size=32).digest()
        run = self._known.get(digest)
        if run is not None and run.keys == container.next_keys(run.size):
            self._bytes.write(self._last[run.start : run.end])
            run = _Run(run.keys, run.size, start, self._bytes.tell(), run.places)
        else:
            run = self._written(container, text)
        self.runs[digest] = run
        container.at += run.size
        if len(self._open) == 1:
            self._starts += [start + begin for begin, _ in run.places]
            self._ends += [start + end for _, end in run.places]

    def _written(self, container: _Container, text: bytes) -> _Run:
        values, start, write = values_of(text), self._bytes.tell(), self._bytes.write
        keys = container.next_keys(len(values))
        places: list[tuple[int, int]] = []
        if keys is None:
            form = encode(values)
            write(memoryview(form)[header_size(form) :])
        else:
            for key, value in zip(keys, values, strict=True):
                write(encode(key))
                begin = self._bytes.tell() - start
                write(encode(value))
                places.append((begin, self._bytes.tell() - start))
        return _Run(keys, len(values), start, self._bytes.tell(), places)

    def close(self) -> None:
        """End the container opened last."""
        self._open.pop()
        if self._open:
            self._open[-1].at += 1
        if len(self._open) == 1:
            self._ends.append(self._bytes.tell())

    def base(self) -> StateLayout:
        """Return the whole."""
        return StateLayout(self._bytes.getvalue(), self._names, self._starts, self._ends)


SETTLE_NS: Final = 60_000_000
"""How long a file of an endless kind must rest after being written in place before it counts as saved."""
_OPENING_TRIES: Final = 20
_OPENING_PAUSE_S: Final = 0.03
_FRESH_NS: Final = 2_000_000_000
WAITING_BYTES: Final = 32 << 20
"""Bytes of saves that wait to be read, at most; older ones give way, and what is larger stays in the file."""
_LONGEST_REST_S: Final = 1.0
"""How long a large file that is written in place is waited for at most."""
_KEPT_BYTES: Final = 4 << 20
"""Size of a save up to which its value is kept to compare the next with; larger ones are compared by their bytes."""
_SEPARATE_NS: Final = 300_000_000
"""Time between two changes of a growing file from which they count as two saves, not as one that is being written."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What the file looked like at one moment."""

    file: tuple[int, int]
    size: int
    mtime_ns: int

    def is_over(self, following: _Look) -> bool:
        """Whether the save seen here was another one than the one seen next: not the same, written a little further."""
        return (
            following.file != self.file
            or following.size <= self.size
            or following.mtime_ns - self.mtime_ns >= _SEPARATE_NS
        )


@dataclass(frozen=True, slots=True)
class _Save:
    """The content of the file at one moment."""

    data: bytes
    look: _Look
    is_cut: bool = False

    @property
    def file(self) -> tuple[int, int]:
        """Distinguishes the file from others of the same name."""
        return self.look.file

    @property
    def mtime_ns(self) -> int:
        """When it was written."""
        return self.look.mtime_ns


@dataclass(frozen=True, slots=True)
class _Known:
    """The last save that became an entry: enough to tell whether the next is the same once more."""

    file: tuple[int, int]
    digest: bytes
    value: Value
    """MISSING where it is too large to be kept."""


class SavesReader:
    """Reads a file that is rewritten as a whole, in place or by a rename.

    `capture` takes the file's content as fast as it can be read, so that the next save cannot run it over; `read`
    makes sense of what was taken. A file caught half-written changes nothing and is looked at again.

    What waits to be read is bounded: a file that is saved faster than it can be read loses saves in between, never
    the newest, and the verdict says how many.
    """

    def __init__(self, path: Path, kind: str, limits: Limits = DEFAULT_LIMITS) -> None:
        self.findings = Findings()
        self.watch_paths: tuple[Path, ...] = (path,)
        self._path = path
        self._kind = kind
        self._limits = limits
        self._lock = threading.Lock()
        self._signature: tuple[int, ...] = ()
        self._saves: deque[_Save] = deque()
        self._waiting_bytes = 0
        self._left: _Look | None = None
        """What was left in the file, as there is no room for it; read when it is its turn."""
        self._left_since = 0.0
        self._skipped = 0
        self._last: _Known | None = None
        self._encoded = EncodedStates()
        self._count = 0

    @property
    def is_settling(self) -> bool:
        """Whether a save is held back until the file has rested; read again soon."""
        return bool(self._saves) or self._left is not None

    def capture(self) -> None:
        """Take the file's content, if it changed since the last time."""
        with self._lock:
            try:
                status = self._path.stat()
            except OSError:
                self.findings.wait_for("gone", str(self._path), "the file is gone; it is read again when it is back")
                return
            signature = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if signature == self._signature:
                return
            look = _Look((status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)
            if status.st_size > WAITING_BYTES:
                self._leave(look)
                self._signature = signature
            elif self._take(look):
                self._signature = signature

    def _leave(self, look: _Look) -> None:
        """Leave a save in the file until it is its turn; what was left there before is lost when it was another one."""
        if self._left is not None and self._left.is_over(look):
            self._skip()
        if self._left is None:
            self._left_since = time.monotonic()
        self._left = look

    def _take(self, look: _Look) -> bool:
        """Read a save; say whether that is done with, however it went."""
        try:
            data, is_cut = read_whole(self._path, self._limits), False
        except CutShort:
            data, is_cut = b"", True
        except UnreadableSource as error:
            self.findings.wait_for("gone", str(self._path), f"this save was not read: {error}")
            return False
        self.findings.came_right("gone")
        if self._left is not None and self._left.is_over(look):
            self._skip()
        self._left = None
        self._saves.append(_Save(data, look, is_cut))
        self._waiting_bytes += len(data)
        while self._waiting_bytes > WAITING_BYTES and len(self._saves) > 1:
            oldest = self._next_save()
            if oldest.data and not _is_first_part(oldest, self._saves[0]):
                self._skip()
        return True

    def _skip(self) -> None:
        self._skipped += 1
        saves = "1 save was" if self._skipped == 1 else f"{self._skipped:,} saves were"
        self.findings.growing_loss(
            "skipped", str(self._path), f"{saves} skipped: the file is saved faster than it can be read"
        )

    def _next_save(self) -> _Save:
        save = self._saves.popleft()
        self._waiting_bytes -= len(save.data)
        return save

    def _take_left(self) -> None:
        """Take what was left in the file, now that nothing else waits."""
        with self._lock:
            if self._left is None or self._saves or self._is_being_written(self._left):
                return
            # It may have changed since; then what is read now is newer, and the next look finds nothing new.
            look, self._left = self._now() or self._left, None
            self._take(look)

    def _is_being_written(self, left: _Look) -> bool:
        """Whether a file is written in place right now; one that never rests is read all the same in the end."""
        is_new_file = self._last is None or left.file != self._last.file
        if is_new_file or time.monotonic() > self._left_since + _LONGEST_REST_S:
            return False
        return 0 <= time.time_ns() - left.mtime_ns < SETTLE_NS

    def _now(self) -> _Look | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        look = _Look((status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)
        self._signature = (*look.file, look.size, look.mtime_ns)
        return look

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each save taken since the last call."""
        self.capture()
        while True:
            self._take_left()
            with self._lock:
                if not self._saves or self._rests_too_short(self._saves[0]):
                    return
                save = self._next_save()
                following = self._saves[0] if self._saves else None
            entry = self._entry_of(save, following)
            # Recording takes a while, and the content is not needed for it.
            del save, following
            if entry is not None:
                self._count += 1
                yield entry
            del entry

    def _entry_of(self, save: _Save, following: _Save | None) -> SourceEntry | None:
        if following is not None and _is_first_part(save, following):
            return None
        parsed = self._parse(save, following)
        if parsed is None:
            return None
        if isinstance(parsed.value, EncodedState):
            # The recorder keeps its bytes anyway.
            known = _Known(save.file, b"", parsed.value)
        else:
            is_kept = len(save.data) <= _KEPT_BYTES
            known = _Known(save.file, hashlib.blake2b(save.data).digest(), parsed.value if is_kept else MISSING)
        last, self._last = self._last, known
        if last is not None and _is_same_save(last, known):
            return None
        if parsed.repeated_key is not None:
            self.findings.loss(
                str(self._path), f"the key {parsed.repeated_key!r} stands twice in one object; the last counts"
            )
        if isinstance(parsed.value, EncodedState):
            return SourceEntry(parsed.value, save.mtime_ns)
        return document_entry(parsed.value, save.mtime_ns)

    def _rests_too_short(self, save: _Save) -> bool:
        written_in_place = self._last is not None and save.file == self._last.file
        if not kind_named(self._kind).is_endless or not written_in_place or len(self._saves) > 1:
            return False
        return 0 <= time.time_ns() - save.mtime_ns < SETTLE_NS

    def _parse(self, save: _Save, following: _Save | None) -> Parsed | None:
        try:
            parsed = self._document(save)
        except BrokenText as error:
            if following is not None and following.file != save.file and not error.is_cut_short:
                self.findings.loss(
                    str(self._path), f"a save was no {kind_named(self._kind).title} ({error}) and was left out"
                )
            else:
                message = f"caught half-written ({error}); the last good state is kept and the file is watched"
                if str(error).startswith("Extra data"):
                    message = f"more than one document ({error}); if it holds one a line, open it with --format jsonl"
                self.findings.wait_for("torn", str(self._path), message)
            return None
        self.findings.came_right("torn")
        return parsed

    def _document(self, save: _Save) -> Parsed:
        if save.is_cut or not save.data.strip():
            raise BrokenText("it ends early", is_cut_short=True)
        state = self._encoded.read(save.data, self._limits) if self._kind == "json" else None
        if state is not None:
            return Parsed(state)
        return parse_document(save.data, self._kind, self._limits)

    def progress(self) -> Progress:
        """Say how many saves were read."""
        waiting = len(self._saves) + (self._left is not None)
        return Progress(self._count, self._count + waiting, is_finished=not waiting)

    def close(self) -> None:
        """Nothing is held open."""


def _is_same_save(last: _Known, known: _Known) -> bool:
    """A file written in place with an equal content is one save seen twice; a new file is always a new save."""
    if known.file != last.file:
        return False
    values = (known.value, last.value)
    if isinstance(known.value, EncodedState) or isinstance(last.value, EncodedState):
        return (
            all(isinstance(value, EncodedState) for value in values) and known.value.base.blob == last.value.base.blob
        )
    return known.digest == last.digest or (MISSING not in values and strict_equal(*values))


def _is_first_part(save: _Save, following: _Save) -> bool:
    same_file = save.file == following.file
    return same_file and len(save.data) < len(following.data) and following.data.startswith(save.data)


def detect(probe: Probe) -> int:
    """Score a probe: any single document is a state file, unless a more telling format claims it."""
    return 20 if probe.shape is SourceShape.DOCUMENT else 0


def open_reader(probe: Probe) -> Reader:
    """Read a state file; one that is being written at this very moment is waited for.

    Raises:
        UnreadableSource: its content is no document.
    """
    path, limits = probe.path, probe.limits
    if probe.shape is SourceShape.DOCUMENT and probe.document is not MISSING and probe.is_several:
        return ItemsReader(
            path, probe.document, DocumentRecords(), mtime_ns=probe.status.st_mtime_ns, place="document"
        )
    if probe.shape is SourceShape.DOCUMENT and probe.document is not MISSING:
        # It was read once to tell what it is; a large one need not be read a second time.
        return SavesReader(path, probe.kind or kind_of(probe.plain_head, path.name) or "json", limits)
    for attempt in range(_OPENING_TRIES):
        try:
            data = read_whole(path, limits)
            kind = probe.kind or kind_of(data, path.name) or "json"
            parse_document(data, kind, limits)
            return SavesReader(path, kind, limits)
        except CutShort:
            problem = "its compressed data ends early"
        except TooMuch as error:
            raise LimitExceeded(f"{path}: {error}") from None
        except BrokenText as error:
            problem = f"no {kind_named(kind).title}: {error}"
        is_fresh = abs(time.time_ns() - path.stat().st_mtime_ns) < _FRESH_NS
        if not is_fresh or attempt == _OPENING_TRIES - 1:
            break
        time.sleep(_OPENING_PAUSE_S)
    remedy = (
        "leave --format out, or mend the file" if probe.kind else "mend the file, or name its format with --format"
    )
    raise UnreadableSource(f"{path}: {problem}; {remedy}")
