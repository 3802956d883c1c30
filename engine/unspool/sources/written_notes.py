"""Notes that people write on entries and values of a history, and bookmarks that go with it.

They are kept in a file of their own, so that a history is never written to by whoever looks at it: `FILE-notes` beside a
file or folder, and a file in the user's data folder for sources that have no place of their own (databases, `git:`,
`merge:`). A native file that was made by `convert` holds those of its source too; what is written later goes into the file
beside it. docs/formats.md describes the file.

A note names its entry by number, time and action, since a source that is rewritten or recorded anew may have another
entry of that number. One whose entry is not found is still listed, as a note without an entry.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from unspool import system
from unspool.errors import (
    ConfigError,
    HistoryLocked,
    StorageFailed,
    UnreadableSource,
    UnspoolError,
    is_postgres,
    without_password,
)
from unspool.files import PRIVATE, drop_lock, make_folder, take_lock, whole_file
from unspool.history.history import History
from unspool.model.entries import iso_time
from unspool.model.keys import Path as Steps
from unspool.model.keys import format_path
from unspool.model.limits import asked_for
from unspool.model.paths import parse_path
from unspool.store.recordings import TellsWrittenNotes

VERSION: Final = 1
ENDING: Final = "-notes"
"""Follows the name of the file or folder that the notes are on."""
_LOCK: Final = "-lock"
MOST_CHARACTERS: Final = 10_000
"""Of one note."""
_MOST_ACTION: Final = 200
"""Characters of an action by which an entry is known again."""
_MOST_PATH: Final = 4_096
_PATIENCE_S: Final = 5.0
_PAUSE_S: Final = 0.02
_MOST_ALIKE: Final = 1_000
"""Entries of one time among which the one that a note is on is looked for."""
_ELSEWHERE: Final = ("git:", "merge:")
_STANDARD_INPUT: Final = "-"

NoteId = Annotated[str, Meta(pattern=r"^[0-9a-f]{4,32}$")]


class WrittenNote(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a person wrote on an entry, or on a value at it; a bookmark where it has no text.

    Attributes:
        id: distinguishes it from all others.
        entry: number of its entry when it was written.
        time_ns: time of that entry, in nanoseconds since the epoch.
        action: the beginning of why that entry happened.
        path: where the value stands that it is on; empty for the entry as a whole.
        text: what was written.
        part: which part of a source that can be looked at in parts; empty for the whole.
        written: when, in UTC.
    """

    id: NoteId
    entry: Annotated[int, Meta(ge=0)]
    time_ns: int
    action: Annotated[str, Meta(max_length=_MOST_ACTION)] = ""
    path: Annotated[str, Meta(max_length=_MOST_PATH)] = ""
    text: Annotated[str, Meta(max_length=MOST_CHARACTERS)] = ""
    part: str = ""
    written: str = ""

    def __post_init__(self) -> None:
        """Refuse a path that is none, as every other fault of a notes file is refused."""
        parse_path(self.path)

    @property
    def steps(self) -> Steps:
        """The path, taken apart."""
        return parse_path(self.path)

    @property
    def is_bookmark(self) -> bool:
        """Whether it marks its entry and says nothing."""
        return not self.text


class PlacedNote(Struct, frozen=True):
    """A note, and where in a history it is.

    Attributes:
        note: the note.
        seq: its entry; None where the history has no such entry, or not yet.
    """

    note: WrittenNote
    seq: int | None


class NoteChange(Enum):
    """What became of a change.

    Attributes:
        WRITTEN: the text is what was wanted.
        REMOVED: the note is gone.
        BESIDE: somebody changed the note meanwhile; both texts are kept, the new one as a note of its own.
        LEFT: somebody changed the note that was to be removed; it stays.
    """

    WRITTEN = "written"
    REMOVED = "removed"
    BESIDE = "beside"
    LEFT = "left"


class NotesRead(Struct, frozen=True):
    """What could be read of the notes of a source.

    Attributes:
        notes: in the order of their entries.
        problems: why a file of notes could not be read, a line each; what is in it is not among the notes.
    """

    notes: tuple[WrittenNote, ...] = ()
    problems: tuple[str, ...] = ()


class _Version(Struct):
    unspool_notes: int


class _Content(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a file of notes holds; `removed` are ids of notes that the native file itself keeps."""

    unspool_notes: int
    source: str = ""
    notes: tuple[WrittenNote, ...] = ()
    removed: tuple[NoteId, ...] = ()


class SourceNotes:
    """The notes on one source. Reading changes nothing; each change is one locked, atomic replacement of their file."""

    def __init__(
        self, source: str, *, select: Mapping[str, str] | None = None, history: History | None = None
    ) -> None:
        """Find where the notes of a source are.

        Args:
            source: as it is named to `open_history`.
            select: which part of it is looked at.
            history: the source as it was opened: a native file may keep notes itself.
        """
        self._source = source
        self.part = "\n".join(f"{what}={name}" for what, name in sorted((select or {}).items()))
        self.place = notes_place(source)
        self._history = history

    def read(self) -> NotesRead:
        """Return the notes on this part of the source; what cannot be read is reported and never raised."""
        problems = []
        contents = []
        for look in (self._read_kept, self._read_file):
            try:
                contents.append(look())
            except UnspoolError as error:
                problems.append(str(error))
        removed = {gone for content in contents for gone in content.removed}
        found = {note.id: note for content in contents for note in content.notes if note.id not in removed}
        notes = sorted(
            (note for note in found.values() if note.part == self.part), key=lambda note: (note.entry, note.written)
        )
        return NotesRead(tuple(notes), tuple(problems))

    def add(self, *notes: WrittenNote) -> tuple[WrittenNote, ...]:
        """Write notes; those that are there already, word for word, are not written twice.

        Returns:
            The notes as they are kept, in the same order.

        Raises:
            ConfigError: there are too many, or the source has no name that they could be found by again.
            UnreadableSource: what is there cannot be read; it is left as it is.
            HistoryLocked: another program has been writing notes for long.
            StorageFailed: the file cannot be written.
        """
        with self._changing() as change:
            return tuple(change.put(note) for note in notes)

    def edit(self, seen: WrittenNote, text: str) -> NoteChange:
        """Give a note another text; an empty one removes it.

        Args:
            seen: the note as it was when the person began to write. Where somebody changed or removed it meanwhile, what
                is written now is kept beside that, and nothing that was changed is removed.
            text: the new text.

        Raises:
            See `add`.
        """
        text = check_text(text)
        with self._changing() as change:
            known = change.find(seen.id)
            if known is None or known.text != seen.text:
                if not text:
                    return NoteChange.REMOVED if known is None else NoteChange.LEFT
                change.put(replace(seen, id=_new_id(), text=text, written=_now()))
                return NoteChange.BESIDE
            if not text:
                change.take_out(seen.id)
                return NoteChange.REMOVED
            change.put_instead(replace(known, text=text, written=_now()))
            return NoteChange.WRITTEN

    def write_instead(self, note_id: str, note: WrittenNote) -> WrittenNote:
        """Write a note in the place of another, whatever that says by now; return it as it is kept.

        Raises:
            ConfigError: there is no such note. Otherwise see `add`.
        """
        with self._changing() as change:
            if change.find(note_id) is None:
                raise _no_such_note(note_id)
            return change.put_instead(replace(note, id=note_id))

    def remove(self, ids: Iterable[str]) -> tuple[WrittenNote, ...]:
        """Remove notes, and return them.

        Raises:
            ConfigError: there is no such note; none is removed then. Otherwise see `add`.
        """
        with self._changing() as change:
            gone = []
            for note_id in ids:
                known = change.find(note_id)
                if known is None:
                    raise _no_such_note(note_id)
                change.take_out(note_id)
                gone.append(known)
            return tuple(gone)

    def copy_to(self, out: str) -> Path:
        """Write all notes on this part beside a copy of it, and return the file.

        Raises:
            See `add`.
        """
        beside = SourceNotes(out)
        beside.add(*(replace(note, part="") for note in self.read().notes))
        if beside.place is None:
            raise ConfigError(f"{out}: notes cannot be kept beside it")
        return beside.place

    def to_keep(self) -> tuple[int, str, tuple[str, ...]]:
        """Return how many notes are on this part, all of them as a native file keeps them, and what cannot be read."""
        read = self.read()
        notes = tuple(replace(note, part="") for note in read.notes)
        content = _Content(VERSION, without_password(_clean(self._source)), notes)
        return len(notes), (_text_of(content).decode() if notes else ""), read.problems

    def _read_kept(self) -> _Content:
        store = None if self._history is None else self._history.store
        kept = store.written_notes() if isinstance(store, TellsWrittenNotes) else ""
        if not kept:
            return _Content(VERSION)
        return _parsed(kept.encode("utf-8", "backslashreplace"), f"{self._source}: its own notes")

    def _read_file(self) -> _Content:
        data = None if self.place is None else _bytes_of(self.place)
        return _Content(VERSION) if data is None else _parsed(data, str(self.place))

    @contextmanager
    def _changing(self) -> Iterator[_Changing]:
        place = self.place
        if place is None:
            raise ConfigError(
                "the source has no name that notes could be found by again; save it to a file, and open that"
            )
        try:
            if not place.parent.is_dir() and _is_elsewhere(self._source):
                make_folder(place.parent)
            with _locked(place, mode := _mode_for(self._source)):
                found = self._read_file()
                change = _Changing(found, self._read_kept())
                yield change
                after = change.content(without_password(_clean(self._source)))
                if after != found:
                    _write(place, after, mode)
        except OSError as error:
            raise StorageFailed(
                f"{place}: cannot be written ({error.strerror or error}); free some space or check the folder, or take "
                "a copy of your own with `unspool convert`"
            ) from None


class _Changing:
    """The notes of a file while it is locked."""

    def __init__(self, found: _Content, kept: _Content) -> None:
        self._notes = {note.id: note for note in found.notes}
        self._removed = dict.fromkeys(found.removed)
        self._kept = {note.id: note for note in kept.notes}

    def find(self, note_id: str) -> WrittenNote | None:
        """Return a note, or None."""
        kept = self._kept.get(note_id) if note_id not in self._removed else None
        return self._notes.get(note_id, kept)

    def put(self, note: WrittenNote) -> WrittenNote:
        """Add a note, unless it is there; return the one that is there."""
        for known in (*self._notes.values(), *self._kept.values()):
            if _says_the_same(known, note) and known.id not in self._removed:
                return known
        while note.id in self._notes or note.id in self._kept:
            note = replace(note, id=_new_id())
        self._notes[note.id] = note
        return note

    def put_instead(self, note: WrittenNote) -> WrittenNote:
        """Write a note in the place of the one that has its id; one that the native file keeps is passed over from now on."""
        if note.id not in self._notes:
            self._removed[note.id] = None
            note = replace(note, id=_new_id())
        self._notes[note.id] = note
        return note

    def take_out(self, note_id: str) -> None:
        """Remove a note that is there."""
        if self._notes.pop(note_id, None) is None:
            self._removed[note_id] = None

    def content(self, source: str) -> _Content:
        """Return what the file is to hold."""
        notes = sorted(self._notes.values(), key=lambda note: (note.part, note.entry, note.written))
        return _Content(VERSION, source, tuple(notes), tuple(self._removed))


def _says_the_same(one: WrittenNote, other: WrittenNote) -> bool:
    def said(note: WrittenNote) -> tuple[int, int, str, str, str]:
        return note.entry, note.time_ns, note.path, note.text, note.part

    return said(one) == said(other)


def new_note(history: History, seq: int, text: str, path: Steps = (), *, part: str = "") -> WrittenNote:
    """Return a note on an entry, or on a value at it; a bookmark where the text is empty.

    Raises:
        EntryNotFound: there is no such entry.
        ConfigError: the text is too long, or the path cannot be spelled.
    """
    entry = history[seq]
    spelled = format_path(path) if path else ""
    if len(spelled) > _MOST_PATH or _clean(spelled) != spelled:
        raise ConfigError(f"the path {spelled[:40]!r} cannot be kept with a note; write the note on the entry")
    return WrittenNote(
        _new_id(), entry.seq, entry.timestamp_ns, _clean(entry.action)[:_MOST_ACTION], spelled, check_text(text),
        part, _now(),
    )  # fmt: skip


def check_text(text: str) -> str:
    """Return a text as it is kept: without spaces around it.

    Raises:
        ConfigError: it is too long.
    """
    text = _clean(text.strip())
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(
            f"a note has at most {MOST_CHARACTERS:,} characters, and this one {len(text):,}; put the rest into a file"
        )
    return text


def placed(notes: Iterable[WrittenNote], history: History) -> list[PlacedNote]:
    """Return notes with the entries of a history that they are on, in the order of these; those without one come last."""
    found = [PlacedNote(note, _entry_of(note, history)) for note in notes]
    return sorted(found, key=lambda one: (one.seq is None, one.seq if one.seq is not None else one.note.entry))


def bookmarks_among(notes: Iterable[WrittenNote], history: History) -> list[int]:
    """Return the entries of a history that bookmarks among notes are on, ascending."""
    marks = placed((note for note in notes if note.is_bookmark), history)
    return sorted({one.seq for one in marks if one.seq is not None})


def _entry_of(note: WrittenNote, history: History) -> int | None:
    """Return the entry that a note is on: the one of its number, or else the one of its time and action nearest to that."""
    try:
        if history.first <= note.entry < len(history) and _is_of(note, history, note.entry):
            return note.entry
        times = history.columns().timestamp_ns
        alike: list[int] = []
        total = min(len(times), len(history))
        seq = history.first - 1
        while len(alike) < _MOST_ALIKE:
            try:
                seq = times.index(note.time_ns, seq + 1, total)
            except (ValueError, OverflowError):
                break
            alike.append(seq)
        for seq in sorted(alike, key=lambda seq: abs(seq - note.entry)):
            if _is_of(note, history, seq):
                return seq
    except UnspoolError:
        # The entry is damaged: whose the note is cannot be known.
        return None
    return None


def _is_of(note: WrittenNote, history: History, seq: int) -> bool:
    entry = history[seq]
    return entry.timestamp_ns == note.time_ns and _clean(entry.action)[:_MOST_ACTION] == note.action


def notes_place(source: str) -> Path | None:
    """Return the file that the notes of a source are kept in, whether it is there or not; None for standard input."""
    if source == _STANDARD_INPUT or "\0" in source:
        return None
    if _is_elsewhere(source):
        # Repositories and files are named by paths too, which mean others in another folder.
        name = without_password(source) if is_postgres(source) else f"{source}\n{Path.cwd()}"
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
        return system.user_folder("data") / "notes" / f"{digest}{ENDING}"
    real = Path(os.path.realpath(source))
    return real.with_name(real.name + ENDING)


def is_notes_file(path: Path) -> bool:
    """Whether a file is that of the notes on something beside it, or its lock."""
    name = path.name.removesuffix(_LOCK)
    of = name.removesuffix(ENDING)
    return bool(of) and of != name and os.path.lexists(path.with_name(of))


def _is_elsewhere(source: str) -> bool:
    return is_postgres(source) or source.startswith(_ELSEWHERE) or not os.path.realpath(source).strip(os.sep)


def _mode_for(source: str) -> int:
    """Return the mode of a new file of notes: whoever may read the history may read its notes, and nobody else."""
    try:
        status = os.stat(source)  # noqa: PTH116 - a name that is no path must not raise anything else
    except (OSError, ValueError):
        return PRIVATE
    return PRIVATE | (stat.S_IMODE(status.st_mode) & 0o666) if stat.S_ISREG(status.st_mode) else PRIVATE


def _bytes_of(place: Path) -> bytes | None:
    """Return what a file of notes holds; None where there is none.

    Raises:
        UnreadableSource: it is no plain file, too large, or cannot be read.
    """
    try:
        # A pipe of that name would wait for whoever writes to it, and a link may lead anywhere.
        descriptor = os.open(place, system.TO_READ | system.NO_FOLLOW | system.NO_WAIT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise UnreadableSource(f"{place}: no notes are read from it ({why}); remove it or move it away") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableSource(f"{place}: no notes are read from it (it is no file); remove it or move it away")
    with os.fdopen(descriptor, "rb") as stream:
        limits = asked_for()
        try:
            data = stream.read(limits.notes_bytes + 1)
        except OSError as error:
            raise UnreadableSource(f"{place}: its notes cannot be read ({error.strerror})") from None
    if len(data) > limits.notes_bytes:
        raise UnreadableSource(f"{place}: is too large for notes; {limits.remedy('notes_bytes')}")
    return data


def _parsed(data: bytes, place: str) -> _Content:
    """Return the notes in a file's bytes; whatever is not understood refuses the whole, so that nothing is lost by writing.

    Raises:
        UnreadableSource: it is damaged, or a newer unspool wrote it.
    """
    try:
        if len(data) > asked_for().notes_bytes:
            raise UnreadableSource(f"{place}: too large; {asked_for().remedy('notes_bytes')}")
        version = msgspec.json.decode(data, type=_Version).unspool_notes
        if version != VERSION:
            raise UnreadableSource(f"{place}: written by another version of unspool ({version}); use that one for it")
        content = msgspec.json.decode(data, type=_Content)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        said = re.sub(r"\s+", " ", str(error))[:120]
        raise UnreadableSource(
            f"{place}: damaged, so its notes are not shown and nothing is written ({said}); mend it or move it away"
        ) from None
    if len({note.id for note in content.notes}) < len(content.notes):
        raise UnreadableSource(f"{place}: two notes in it have the same id; mend it or move it away")
    return content


def kept_text(source: str, notes: Iterable[WrittenNote]) -> str:
    """Return notes as a native file keeps them; "" for none.

    Args:
        source: what they were written on, for whoever reads them; "" to leave that out.
        notes: the notes.

    Raises:
        ConfigError: they are too many.
    """
    kept = tuple(replace(note, part="") for note in notes)
    return _text_of(_Content(VERSION, without_password(_clean(source)), kept)).decode() if kept else ""


def _text_of(content: _Content) -> bytes:
    """Return the bytes of a file of notes.

    Raises:
        ConfigError: they would not be read again.
    """
    data = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
    if len(data) > asked_for().notes_bytes:
        raise ConfigError(f"these are too many notes for one history; {asked_for().remedy('notes_bytes')}")
    return data


def _write(place: Path, content: _Content, mode: int) -> None:
    if not content.notes and not content.removed:
        place.unlink(missing_ok=True)
        return
    data = _text_of(content)
    with whole_file(place, replace=True, mode=mode) as part:
        part.write_bytes(data)


@contextmanager
def _locked(place: Path, mode: int) -> Iterator[None]:
    """Let one program at a time change a file of notes.

    Raises:
        HistoryLocked: another one does not end.
        OSError: the lock cannot be made.
    """
    lock = place.with_name(place.name + _LOCK)
    until = time.monotonic() + _PATIENCE_S
    while (descriptor := take_lock(lock, mode)) is None:
        if time.monotonic() > until:
            raise HistoryLocked(f"{place}: another program is writing notes; try again when it is done")
        time.sleep(_PAUSE_S)
    try:
        yield
    finally:
        drop_lock(lock, descriptor)


def _no_such_note(note_id: str) -> ConfigError:
    return ConfigError(f"no note has the id {note_id[:40]!r}; `unspool notes` lists them")


def _new_id() -> str:
    return secrets.token_hex(4)


def _now() -> str:
    return f"{iso_time(time.time_ns()).partition('.')[0]}Z"


def _clean(text: str) -> str:
    """Return a text without what UTF-8 cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()


__all__ = [
    "ENDING",
    "NoteChange",
    "NotesRead",
    "PlacedNote",
    "SourceNotes",
    "WrittenNote",
    "bookmarks_among",
    "check_text",
    "is_notes_file",
    "new_note",
    "notes_place",
    "placed",
]
