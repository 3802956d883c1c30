"""One JSON, TOML, YAML or msgpack file that an app rewrites: each save becomes an entry."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unspool.errors import LimitExceeded, UnreadableSource
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.values import MISSING, Value, strict_equal
from unspool.sources.bytestream import CutShort, read_whole
from unspool.sources.document_states import document_entry
from unspool.sources.documents import kind_of, parse_document
from unspool.sources.entries import Progress, Reader, SourceEntry
from unspool.sources.findings import Findings
from unspool.sources.json_exact import BrokenText, Parsed, TooMuch
from unspool.sources.probe import Probe, Shape

_ENDLESS_KINDS: Final = ("toml", "yaml")
"""Formats whose first half may be a document too, so that a file caught half-written does not show."""
SETTLE_NS: Final = 60_000_000
"""How long such a file must rest after being written in place before it counts as saved."""
_OPENING_TRIES: Final = 20
_OPENING_PAUSE_S: Final = 0.03
_FRESH_NS: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class _Save:
    """The content of the file at one moment."""

    data: bytes
    file: tuple[int, int]
    mtime_ns: int
    is_cut: bool = False


class SavesReader:
    """Reads a file that is rewritten as a whole, in place or by a rename.

    `capture` takes the file's content as fast as it can be read, so that the next save cannot run it over; `read`
    makes sense of what was taken. A file caught half-written changes nothing and is looked at again.
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
        self._last: _Save | None = None
        self._value: Value = MISSING
        self._count = 0

    @property
    def is_settling(self) -> bool:
        """Whether a save is held back until the file has rested; read again soon."""
        return bool(self._saves)

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
            try:
                data, is_cut = read_whole(self._path, self._limits), False
            except CutShort:
                data, is_cut = b"", True
            except UnreadableSource as error:
                self.findings.wait_for("gone", str(self._path), f"this save was not read: {error}")
                return
            self.findings.came_right("gone")
            self._signature = signature
            self._saves.append(_Save(data, (status.st_dev, status.st_ino), status.st_mtime_ns, is_cut))

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each save taken since the last call."""
        self.capture()
        while self._saves:
            save = self._saves[0]
            if self._rests_too_short(save):
                return
            self._saves.popleft()
            following = self._saves[0] if self._saves else None
            if following is not None and _is_first_part(save, following):
                continue
            parsed = self._parse(save, following)
            if parsed is None or self._is_same_save(save, parsed.value):
                continue
            self._last, self._value = save, parsed.value
            self._count += 1
            if parsed.repeated_key is not None:
                self.findings.loss(
                    str(self._path), f"the key {parsed.repeated_key!r} stands twice in one object; the last counts"
                )
            yield document_entry(parsed.value, save.mtime_ns)

    def _rests_too_short(self, save: _Save) -> bool:
        written_in_place = self._last is not None and save.file == self._last.file
        if self._kind not in _ENDLESS_KINDS or not written_in_place or len(self._saves) > 1:
            return False
        return 0 <= time.time_ns() - save.mtime_ns < SETTLE_NS

    def _parse(self, save: _Save, following: _Save | None) -> Parsed | None:
        try:
            parsed = self._document(save)
        except BrokenText as error:
            if following is not None and following.file != save.file and not error.is_cut_short:
                self.findings.loss(str(self._path), f"a save was no {self._kind.upper()} ({error}) and was left out")
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
        return parse_document(save.data, self._kind, self._limits)

    def _is_same_save(self, save: _Save, value: Value) -> bool:
        """A file written in place with an equal content is one save seen twice; a new file is always a new save."""
        last = self._last
        return (
            last is not None
            and save.file == last.file
            and (save.data == last.data or strict_equal(value, self._value))
        )

    def progress(self) -> Progress:
        """Say how many saves were read."""
        return Progress(self._count, self._count + len(self._saves), is_finished=not self._saves)

    def close(self) -> None:
        """Nothing is held open."""


def _is_first_part(save: _Save, following: _Save) -> bool:
    same_file = save.file == following.file
    return same_file and len(save.data) < len(following.data) and following.data.startswith(save.data)


def detect(probe: Probe) -> int:
    """Score a probe: any single document is a state file, unless a more telling format claims it."""
    return 20 if probe.shape is Shape.DOCUMENT else 0


def open_reader(probe: Probe) -> Reader:
    """Read a state file; one that is being written at this very moment is waited for.

    Raises:
        UnreadableSource: its content is no document.
    """
    path, limits = probe.path, probe.limits
    if probe.shape is Shape.DOCUMENT and probe.document is not MISSING:
        # It was read once to tell what it is; a large one need not be read a second time.
        return SavesReader(path, kind_of(probe.plain_head, path.name) or "json", limits)
    for attempt in range(_OPENING_TRIES):
        try:
            data = read_whole(path, limits)
            kind = kind_of(data, path.name) or "json"
            parse_document(data, kind, limits)
            return SavesReader(path, kind, limits)
        except CutShort:
            problem = "its compressed data ends early"
        except TooMuch as error:
            raise LimitExceeded(f"{path}: {error}") from None
        except BrokenText as error:
            problem = f"no {kind.upper()}: {error}"
        is_fresh = abs(time.time_ns() - path.stat().st_mtime_ns) < _FRESH_NS
        if not is_fresh or attempt == _OPENING_TRIES - 1:
            break
        time.sleep(_OPENING_PAUSE_S)
    raise UnreadableSource(f"{path}: {problem}; mend the file, or name its format with --format")
