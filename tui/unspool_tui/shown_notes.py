"""The notes on the source of one screen: read and written beside the painting, and never lost by leaving."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from unspool.errors import UnspoolError
from unspool.model.keys import Path as Address
from unspool_tui.rendering import format_units
from unspool_tui.view.model import NoteMarks

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.sources.written_notes import PlacedNote, SourceNotes
    from unspool_tui.source import NamedSource


class NoteDraft(Struct, frozen=True):
    """A note as a person typed it.

    Attributes:
        seq: the entry.
        address: the value that it is on; empty for the entry as such.
        text: what was typed; empty to remove the note that was there.
        seen: the note that was there when the person began to type; None where there was none.
    """

    seq: int
    address: Address
    text: str
    seen: PlacedNote | None = None


_NO_NAME: Final = "-"
"""What `SourceNotes` finds no place for."""


def _name_of(history: History) -> str:
    """Return how a history that was handed over open is named: by its file, if it has one."""
    paths = history.watch_paths
    return str(paths[-1]) if paths and (len(paths) == 1 or not history.is_foreign) else _NO_NAME


class NotesShown(Struct, frozen=True):
    """What is known of the notes on a source.

    Attributes:
        placed: the notes, in the order of their entries; those without one come last.
        problems: why notes could not be read.
        place: the file that they are kept in.
        told: what became of the last change; empty where there was none.
    """

    placed: tuple[PlacedNote, ...] = ()
    problems: tuple[str, ...] = ()
    place: Path | None = None
    told: str = ""

    @property
    def bookmarks(self) -> tuple[int, ...]:
        """The entries that bookmarks among the notes are on, ascending."""
        return tuple(sorted({one.seq for one in self.placed if one.note.is_bookmark and one.seq is not None}))

    @property
    def listed(self) -> tuple[PlacedNote, ...]:
        """The notes whose entry is there."""
        return tuple(one for one in self.placed if one.seq is not None)

    def at(self, seq: int, address: Address) -> PlacedNote | None:
        """Return the newest note with words on an entry or a value at it."""
        there = [one for one in self.placed if one.seq == seq and not one.note.is_bookmark]
        return next((one for one in reversed(there) if one.note.steps == address), None)

    def marks(self) -> NoteMarks:
        """Return where notes are, for what draws them."""
        texts: dict[int, list[str]] = {}
        values: dict[Address, list[int]] = {}
        for one in self.placed:
            if one.seq is None or one.note.is_bookmark:
                continue
            texts.setdefault(one.seq, []).append(one.note.text)
            if one.note.path:
                values.setdefault(one.note.steps, []).append(one.seq)
        return NoteMarks(
            tuple(sorted(texts)),
            {seq: " / ".join(" ".join(text.split()) for text in said) for seq, said in texts.items()},
            {address: tuple(seqs) for address, seqs in values.items()},
            self.placed,
        )


class _Write(NamedTuple):
    """Something to be written.

    Attributes:
        about: the entry and the value; None for the bookmarks.
        run: writes it, and says what became of it.
    """

    about: object
    run: Callable[[SourceNotes], str]


class NoteDesk:
    """Reads and writes the notes on one source. `read` and `work` take as long as a disk does, and belong into a worker."""

    def __init__(self, history: History, source: NamedSource | None, passing: str = "") -> None:
        """Begin with nothing read.

        Args:
            history: what the notes are on.
            source: how it was named; None for a history that was handed over open.
            passing: of a source that goes away with its notes when the person leaves, what would keep it.
        """
        self.passing = passing
        self._history = history
        self._name = _name_of(history) if source is None else source.name
        self._select = {} if source is None else source.select
        self._waiting: deque[_Write] = deque()
        self._failed: dict[object, _Write] = {}
        """What could not be written, by what it is about; tried again with the next that is."""
        self._turn = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self.shown = NotesShown()
        self.is_asked = False
        """An answer to the screen is on its way; another question would make it stale."""

    def read_again(self) -> NotesShown | None:
        """Return the notes as they are now; None where nobody has written any since they were read."""
        return None if _stamp(self._notes().place) == self._stamp else self.read()

    def copy_to(self, out: str) -> Path | None:
        """Write all notes beside a copy of the source, and return their file; None where there are none.

        Raises:
            UnspoolError: they cannot be written there.
        """
        notes = self._notes()
        return notes.copy_to(out) if notes.read().notes else None

    def read(self) -> NotesShown:
        """Return the notes as they are now."""
        from unspool.sources.written_notes import placed  # read in the worker, which loads it too

        notes = self._notes()
        self._stamp = _stamp(notes.place)
        found = notes.read()
        return NotesShown(tuple(placed(found.notes, self._history)), found.problems, notes.place)

    def _notes(self) -> SourceNotes:
        from unspool.sources.written_notes import SourceNotes  # read in the worker, which loads it too

        return SourceNotes(self._name, select=self._select, history=self._history)

    def write(self, draft: NoteDraft) -> None:
        """Have a note written by the next `work`, in place of one that could not be; what waits is written by `finish`."""
        about = draft.seq, draft.address
        self._failed.pop(about, None)
        self._waiting.append(_Write(about, lambda notes: _written(notes, self._history, draft, self._where(notes))))

    def keep_bookmarks(self, seqs: Iterable[int]) -> None:
        """Have bookmarks kept among the notes by the next `work`."""
        wanted = tuple(seqs)

        def keep(notes: SourceNotes) -> str:
            from unspool.sources.written_notes import new_note  # read in the worker, which loads it too

            notes.add(*(new_note(self._history, seq, "", part=notes.part) for seq in wanted))
            return f"{format_units.count(len(wanted), 'bookmark')} kept {self._where(notes)}"

        self._failed.pop(None, None)
        self._waiting.append(_Write(None, keep))

    def _where(self, notes: SourceNotes) -> str:
        return f"until you leave: {self.passing}" if self.passing else f"in {notes.place}"

    def work(self) -> NotesShown:
        """Write all that waits, and return the notes as they are then.

        Raises:
            UnspoolError: something could not be written; it is tried again the next time, and the rest is written.
        """
        told = self._write_all()
        found = self.read()
        return NotesShown(found.placed, found.problems, found.place, told)

    def _write_all(self) -> str:
        told, problem = "", None
        # Whoever leaves waits here until a write that is under way is done.
        with self._turn:
            self._waiting.extendleft(reversed(self._failed.values()))
            self._failed.clear()
            while self._waiting:
                write = self._waiting.popleft()
                try:
                    told = write.run(self._notes())
                except UnspoolError as error:
                    self._failed[write.about] = write
                    problem = problem or error
        if problem is not None:
            raise problem
        return told

    def finish(self) -> None:
        """Write what still waits; nobody is left to be told what cannot be written."""
        with suppress(UnspoolError):
            self._write_all()


def _stamp(place: Path | None) -> tuple[int, int, int] | None:
    """Return what differs once somebody has written a file of notes; None where there is none."""
    try:
        found = None if place is None else place.stat()
    except OSError:
        return None
    return None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns)


def _written(notes: SourceNotes, history: History, draft: NoteDraft, where: str) -> str:
    """Write a draft, and say what became of it; `where` says where it is kept."""
    from unspool.sources.written_notes import NoteChange, new_note  # read in the worker, which loads it too

    if draft.seen is None:
        if not draft.text.strip():
            return ""
        notes.add(new_note(history, draft.seq, draft.text, draft.address, part=notes.part))
        return f"note kept {where}"
    change = notes.edit(draft.seen.note, draft.text)
    return {
        NoteChange.WRITTEN: f"note kept {where}",
        NoteChange.REMOVED: "note removed",
        NoteChange.BESIDE: "somebody changed that note meanwhile: both are kept",
        NoteChange.LEFT: "somebody changed that note meanwhile: it is not removed",
    }[change]
