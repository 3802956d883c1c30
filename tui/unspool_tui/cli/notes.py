"""`unspool note` and `unspool notes`: what people write on entries and values, and the bookmarks that go with a history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unspool.model.entries import iso_time
from unspool.model.keys import format_path
from unspool.model.paths import parse_path
from unspool.model.values import Value
from unspool_tui.cli.help_pages import command
from unspool_tui.cli.options import (
    Common,
    complete_entry,
    complete_path,
    entry_named,
    json_option,
    judge,
    kept_bookmarks,
    opened,
    source_command,
    source_of,
)
from unspool_tui.cli.output import Output
from unspool_tui.rendering import format_units
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.sources.written_notes import PlacedNote, SourceNotes, WrittenNote

_UNREAD = 1


@command("note", context_settings={"ignore_unknown_options": True})
@source_command()
@click.argument("entry", metavar="ENTRY", shell_complete=complete_entry)
@click.argument("words", metavar="[PATH] TEXT", nargs=-1, required=True, shell_complete=complete_path)
@click.option("--replace", "replaced", metavar="ID", help="In the place of this note; `notes` tells its id.")
def note_command(common: Common, entry: str, words: tuple[str, ...], replaced: str | None) -> int:
    """Write a note on ENTRY, or on the value at PATH there; the history itself is not changed.

    Notes are kept beside SOURCE in a file SOURCE-notes; `unspool notes` lists and removes them. ENTRY is a number, -1 (from
    the end), latest, a time such as 12:00:18, mark:1 (a bookmark), or words of its action.
    """
    if len(words) > 2:
        raise click.UsageError("a note is one word of the command line: put TEXT in quotes.")
    path_text, text = words if len(words) == 2 else ("", words[0])
    if not text.strip():
        raise click.UsageError("TEXT is empty; `unspool notes SOURCE --remove ID` removes a note.")
    from unspool.query.value_parts import find  # loaded by the one command that needs it
    from unspool.sources.written_notes import new_note  # loaded by the commands that list or write notes

    path = parse_path(path_text) if path_text else ()
    with opened(common) as history:
        seq = entry_named(common, history, entry)
        if path:
            # A note on a value that is not there could never be seen on it.
            find(history.view(seq).wire, path, f"entry {seq}")
        notes = notes_of(common, history)
        note = new_note(history, seq, text, path, part=notes.part)
        written = notes.add(note)[0] if replaced is None else notes.write_instead(replaced, note)
        if not common.quiet:
            where = f" {_told_path(note)}" if note.path else ""
            click.echo(
                f"unspool: note {written.id} on entry {seq}{where} kept in {visible(str(notes.place))}", err=True
            )
        return judge(common, history.verdict)


@command("notes")
@source_command()
@click.option("--remove", "removed", multiple=True, metavar="ID", help="Remove this note; repeatable.")
@click.option("--keep-bookmarks", is_flag=True, help="Also keep the bookmarks that the app remembers of SOURCE.")
@json_option()
def notes_command(common: Common, removed: tuple[str, ...], keep_bookmarks: bool, as_json: bool) -> int:
    """List the notes that people wrote on SOURCE, by entry; those whose entry is not there any more come last."""
    from unspool.sources.written_notes import new_note, placed  # loaded by the commands that list or write notes

    with opened(common) as history, Output(common) as out:
        notes = notes_of(common, history)
        gone = notes.remove(removed) if removed else ()
        if keep_bookmarks:
            marks = [seq for seq in kept_bookmarks(common, history) if history.first <= seq < len(history)]
            kept = notes.add(*(new_note(history, seq, "", part=notes.part) for seq in marks))
            _say(common, f"{format_units.count(len(kept), 'bookmark')} kept in {notes.place}")
        for note in gone:
            _say(common, f"removed {note.id} from entry {note.entry}: {note.text or 'a bookmark'}")
        read = notes.read()
        found = placed(read.notes, history)
        if as_json:
            out.json(notes_shape(found, notes, read.problems))
        elif found:
            print_notes(out, found)
        else:
            out.line(f"no notes; `unspool note SOURCE ENTRY TEXT` writes one, kept in {visible(str(notes.place))}")
        return max(judge(common, history.verdict), tell_unread(common, read.problems))


def notes_of(common: Common, history: History | None) -> SourceNotes:
    """Return the notes on the source of a call."""
    from unspool.sources.written_notes import SourceNotes  # loaded by the commands that list or write notes

    source = source_of(common, follow=False)
    return SourceNotes(source.name, select=source.select, history=history)


def found_notes(common: Common, history: History) -> tuple[SourceNotes, tuple[PlacedNote, ...]]:
    """Return the notes on the source of a call with their entries, and say what cannot be read of them."""
    from unspool.sources.written_notes import placed  # loaded by the commands that list or write notes

    notes = notes_of(common, history)
    read = notes.read()
    if not common.quiet:
        tell_unread(common, read.problems)
    return notes, tuple(placed(read.notes, history))


def copy_beside(common: Common, history: History | None, out: Path) -> None:
    """Write the notes on the source of a call beside a new history that was made of it, and say so.

    Args:
        common: the call.
        history: the source as it was opened; None where it cannot be.
        out: the new history.
    """
    notes = notes_of(common, history)
    read = notes.read()
    if not common.quiet:
        tell_unread(common, read.problems)
    if read.notes:
        place = notes.copy_to(str(out))
        _say(common, f"{format_units.count(len(read.notes), 'note')} written to {place}")


Noted = Mapping[int, Sequence["PlacedNote"]]
"""Notes by the entry that they are on."""


def noted_of(common: Common, history: History) -> Noted:
    """Return the notes on each entry of the source of a call, and say what cannot be read of them."""
    by_entry: dict[int, list[PlacedNote]] = {}
    for one in found_notes(common, history)[1]:
        if one.seq is not None:
            by_entry.setdefault(one.seq, []).append(one)
    return by_entry


def note_lines(noted: Noted, seq: int) -> Iterator[str]:
    """Yield a line for each note on an entry, inert."""
    for one in noted.get(seq, ()):
        path = f"{_told_path(one.note)}: " if one.note.path else ""
        yield f"{'note':>8}  {path}{told_note(one)}"


def noted_shape(noted: Noted, seq: int) -> dict[str, Value]:
    """Return what JSON says of the notes on an entry: nothing where there are none."""
    return {"notes": [note_shape(one) for one in noted[seq]]} if seq in noted else {}


def tell_unread(common: Common, problems: Sequence[str]) -> int:
    """Say on standard error which notes could not be read, and return the exit code that follows."""
    for problem in problems:
        click.echo(f"unspool: {visible(problem)}", err=True)
    return _UNREAD if problems else 0


def _say(common: Common, text: str) -> None:
    if not common.quiet:
        click.echo(f"unspool: {visible(text)}", err=True)


def note_shape(found: PlacedNote) -> dict[str, Value]:
    """Return a note for JSON; `entry` is null where its entry is not in the history."""
    note = found.note
    return {
        "id": note.id,
        "entry": found.seq,
        "path": note.path,
        "text": note.text,
        "bookmark": note.is_bookmark,
        "written": note.written,
        **({} if found.seq == note.entry else {"was": _was_shape(note)}),
    }


def _was_shape(note: WrittenNote) -> dict[str, Value]:
    return {"entry": note.entry, "timestamp": told_time(note), "action": note.action}


def _told_path(note: WrittenNote) -> str:
    return visible(format_path(note.steps, root=""))


def told_time(note: WrittenNote) -> str:
    """Return the time of the entry that a note was written on; "" for one that no calendar has."""
    try:
        return iso_time(note.time_ns)
    except OverflowError:
        return ""


def notes_shape(found: Iterable[PlacedNote], notes: SourceNotes, problems: Sequence[str]) -> dict[str, Value]:
    """Return what `notes --json` prints."""
    return {
        "place": None if notes.place is None else str(notes.place),
        "notes": [note_shape(one) for one in found],
        "problems": list(problems),
    }


def print_notes(out: Output, found: Iterable[PlacedNote]) -> None:
    """Write notes as a table for people."""
    out.line(out.paint(f"{'entry':>8}  {'id':<8}  note", "dim"))
    for one in found:
        entry = "gone" if one.seq is None else str(one.seq)
        path = f"{out.paint(_told_path(one.note), 'name')}  " if one.note.path else ""
        out.line(f"{entry:>8}  {one.note.id:<8}  {path}{told_note(one)}".rstrip())


def told_note(found: PlacedNote) -> str:
    """Return what a note says, inert and in one line; of one without its entry also where that was."""
    note = found.note
    text = visible(note.text.replace("\n", " / ")) or "(bookmark)"
    if found.seq is None:
        return f"{text}  (was entry {note.entry}, {told_time(note)} {visible(note.action)})".rstrip()
    return text
