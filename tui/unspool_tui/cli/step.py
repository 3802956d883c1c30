"""`unspool step`: one question a line and answers in plain sentences, for screen readers, and for scripts over a pipe.

Nothing is drawn: no cursor moves, no colour means anything, and every answer ends before the next line is read. What is
asked goes the same way as everywhere else: to the questions of `OpenHistory`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from unspool.errors import ConfigError, EntryNotFound, UnspoolError, without_password
from unspool.model.entries import EntryKind, caller_of, iso_time
from unspool.model.keys import Path, format_path
from unspool.model.paths import parse_path, value_parts
from unspool.model.values import MISSING, Value
from unspool.model.wire import decode
from unspool_tui.cli.diff import print_words
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.help_pages import command
from unspool_tui.cli.notes import notes_of, told_note
from unspool_tui.cli.options import Common, complete_entry, entry_named, judge, opened, source_command
from unspool_tui.cli.output import Output, brief, entries
from unspool_tui.rendering import format_units
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.model.limits import Cancelled
    from unspool.opened import OpenHistory
    from unspool.query.path_writes import PathWrite

_REFUSED: Final = 1
_LONGEST_LINE: Final = 100_000
"""Bytes of one line that is typed."""
_MOST_PARTS: Final = 50
_MOST_HITS: Final = 10
"""Hits that are told at once; `more` tells the next."""
_MOST_WRITES: Final = 20
_LONGEST_VALUE: Final = 4_000


class Found(NamedTuple):
    """Somewhere that `hit N` goes to, and the sentence that tells of it."""

    seq: int
    told: str


class Typed(NamedTuple):
    """Something that can be typed.

    Attributes:
        name: the word that a line begins with.
        short: a letter for it; empty where it has none.
        usage: what follows it.
        help: a sentence.
        do: does it, given what follows the word.
    """

    name: str
    short: str
    usage: str
    help: str
    do: Callable[[str], Iterator[str]]


@command("step")
@source_command()
@click.option("--at", "at_entry", metavar="ENTRY", default="latest", shell_complete=complete_entry,
              help="Begin at this entry; the newest one.")  # fmt: skip
def step_command(common: Common, at_entry: str) -> int:
    """Step through SOURCE by typed lines, answered in plain sentences: for screen readers, and over a pipe.

    `help` lists what can be typed: next, previous, go, changes, value, who, find, bisect, notes and others; `quit` or the
    end of the input ends it. A line that is refused is answered in a line.
    """
    if common.source == "-":
        raise ConfigError("standard input gives the lines to answer; save the history to a file and name that")
    common = replace(common, pager=False)
    with opened(common, follow=True) as history, Output(common) as out:
        from typing import cast  # what `opened` gives is one

        walk = Walk(common, cast("OpenHistory", history), out)
        refused = walk.run(at_entry, is_terminal=sys.stdin.isatty())
        return max(judge(common, history.verdict), _REFUSED if refused and not sys.stdin.isatty() else 0)


class Walk:
    """A person's way through one history: where they are, and what was found last."""

    def __init__(self, common: Common, history: OpenHistory, out: Output) -> None:
        """Begin at the newest entry.

        Args:
            common: the options of the call.
            history: what is looked at.
            out: where answers go.
        """
        self._common = common
        self._history = history
        self._out = out
        self._head = len(history) - 1
        self._total = len(history)
        self._found: list[Found] = []
        self._coming: Iterator[Found] = iter(())
        self._cancelled: Cancelled = lambda: False
        self._ended = False
        self.actions = self._all()
        self._by_word = {word: action for action in self.actions for word in (action.name, action.short) if word}

    def _all(self) -> tuple[Typed, ...]:
        return (
            Typed("where", "w", "", "Say where you are, and what is noted there.", self._where),
            Typed("next", "n", "[N]", "Go to the entry after, or N further.", lambda rest: self._by(rest, 1)),
            Typed("previous", "p", "[N]", "Go to the entry before, or N back.", lambda rest: self._by(rest, -1)),
            Typed("first", "", "", "Go to the first entry.", lambda rest: self._go("first")),
            Typed("last", "l", "", "Go to the newest entry.", lambda rest: self._go("latest")),
            Typed("go", "g", "ENTRY", "Go to an entry: a number, a time, words of its action.", self._go),
            Typed("changes", "c", "[ENTRY]", "Say what this entry changed, or the changes since ENTRY.", self._changes),
            Typed("value", "v", "[PATH]", "Say what stands at a path here; without one, what atoms there are.", self._value),
            Typed("who", "", "PATH", "Say which entry set the value at a path, and from what.", self._who),
            Typed("writes", "", "PATH", "List the entries that set the value at a path, newest first.", self._writes),
            Typed("find", "f", "TEXT", "Find a text, qty > 3, or = EXPRESSION, in all entries.", self._find),
            Typed("bisect", "b", "EXPRESSION", "Find the entries where an answer changes.", self._bisect),
            Typed("hit", "", "N", "Go to one of what was found last.", self._hit),
            Typed("more", "m", "", "List more of what was found last.", self._more),
            Typed("notes", "", "", "List the notes that people wrote.", self._notes),
            Typed("note", "", "[on PATH:] TEXT", "Write a note on this entry, or on a value here.", self._note),
            Typed("unnote", "", "ID", "Remove a note; `notes` tells its id.", self._unnote),
            Typed("help", "h", "[WORD]", "Say what can be typed.", self._help),
            Typed("quit", "q", "", "End.", self._quit),
        )  # fmt: skip

    def run(self, at_entry: str, *, is_terminal: bool) -> int:
        """Answer lines until there are no more; return how many were refused.

        Args:
            at_entry: where to begin.
            is_terminal: somebody types, who is prompted.
        """
        refused = 0
        self._say(f"{visible(self._history.source_name)}: {entries(self._count)}. Type help for what can be asked.")
        if self._count:
            refused += not self._answer(f"go {at_entry}")
        while not self._ended:
            if is_terminal:
                sys.stdout.write(f"entry {self._head}: " if self._count else "no entry: ")
                sys.stdout.flush()
            line = _read_line()
            if line is None:
                break
            self._look_for_news()
            refused += not self._answer(line)
        return refused

    def _is_stopped(self) -> bool:
        """Whether the person wants no more of the answer; of the line that is answered now, also where it goes on with an earlier one."""
        return self._cancelled()

    @property
    def _count(self) -> int:
        return len(self._history) - self._history.first

    def _say(self, text: str) -> None:
        self._out.line(text)
        self._out.flush()

    def _look_for_news(self) -> None:
        try:
            self._history.refresh()
        except UnspoolError as error:
            self._say(f"Refused: {_told(error)}")
        new = len(self._history) - self._total
        if new > 0:
            self._say(f"{entries(new)} came meanwhile; last goes to the newest.")
        self._total = len(self._history)
        if self._head < self._history.first and self._count:
            # Those before were dropped by the recorder's own bound.
            self._head = self._history.first

    def _answer(self, line: str) -> bool:
        """Answer a line; say whether it was answered and not refused."""
        word, _, rest = line.strip().partition(" ")
        if not word:
            return True
        try:
            with interruptible() as interruption:
                self._cancelled = interruption
                for told in self._chosen(word, rest.strip(), line.strip()):
                    self._say(told)
                if interruption.came:
                    self._say("Stopped; the answer is partial.")
        except UnspoolError as error:
            self._say(f"Refused: {_told(error)}")
            return False
        return True

    def _chosen(self, word: str, rest: str, line: str) -> Iterator[str]:
        action = self._by_word.get(word.lower())
        if action is None:
            from unspool.query.entry_names import (
                looks_like_place,  # only a line that begins with no known word needs it
            )

            if looks_like_place(line):
                return self._go(line)
            import difflib  # only a misspelt word needs it

            near = difflib.get_close_matches(word.lower(), self._by_word, n=1)
            raise ConfigError(
                f"{word[:40]!r} is nothing that can be asked; "
                + (f"did you mean {near[0]}?" if near else "type help")
            )
        return action.do(rest)

    def _here(self) -> int:
        """Return the entry looked at.

        Raises:
            EntryNotFound: there is none yet.
        """
        if not self._count:
            raise EntryNotFound("the history has no entry yet")
        return self._head

    def _where(self, rest: str) -> Iterator[str]:
        history, seq = self._history, self._here()
        entry = history[seq]
        why = f": {visible(entry.action)}" if entry.action else ""
        yield f"Entry {seq} of {history.first} to {len(history) - 1}{why}"
        when = f"At {iso_time(entry.timestamp_ns)}"
        if seq > history.first:
            gap = entry.timestamp_ns - history[seq - 1].timestamp_ns
            when += f", {format_units.duration(abs(gap))} {'after' if gap >= 0 else 'before'} entry {seq - 1}"
        if entry.parent_seq is not None and entry.parent_seq != seq - 1:
            when += f". It follows entry {entry.parent_seq}, as a fork"
        caller = caller_of(entry.meta)
        yield when + (f". Line {visible(str(caller))}" if caller is not None else "")
        changed = ", ".join(
            f"{visible(atom)} {kind.value}" for atom, kind in islice(history.changed_atoms(seq), _MOST_PARTS)
        )
        if entry.kind is EntryKind.NOTE:
            yield "It is a note of the program and holds no state"
        else:
            kept = " It is a full snapshot" if entry.kind is EntryKind.FULL else ""
            yield f"Changed: {changed or 'nothing'}.{kept}"
        yield from (f"Note {told}" for told in self._noted(seq))

    def _noted(self, seq: int) -> Iterator[str]:
        from unspool.sources.written_notes import placed  # loaded with the first such question

        for one in placed(notes_of(self._common, self._history).read().notes, self._history):
            if one.seq == seq:
                on = f"on {visible(format_path(one.note.steps, root=''))}: " if one.note.path else ""
                yield f"{on}{told_note(one)}"

    def _by(self, rest: str, direction: int) -> Iterator[str]:
        if rest and not (rest.isascii() and rest.isdigit() and len(rest) < 19):
            raise ConfigError(f"{rest[:40]!r} is no number of entries; write next 5")
        wanted = self._here() + direction * int(rest or 1)
        reached = max(self._history.first, min(wanted, len(self._history) - 1))
        if reached == self._head:
            yield "This is the newest entry" if direction > 0 else "This is the first entry"
            return
        self._head = reached
        yield from self._where("")

    def _go(self, rest: str) -> Iterator[str]:
        if not rest:
            raise ConfigError("go where? a number, a time such as 12:00:18, or words of an action")
        self._head = entry_named(self._common, self._history, rest)
        yield from self._where("")

    def _changes(self, rest: str) -> Iterator[str]:
        seq = self._here()
        diff = (
            self._history.diff(entry_named(self._common, self._history, rest), seq)
            if rest
            else self._history.changes(seq)
        )
        since = "nothing" if diff.from_seq < 0 else f"entry {diff.from_seq}"
        yield f"From {since} to entry {diff.to_seq}:"
        print_words(self._out, diff)
        self._out.flush()

    def _value(self, rest: str) -> Iterator[str]:
        path = parse_path(rest) if rest else ()
        value = self._value_at(path)
        name = visible(format_path(path, root="")) if path else "the state"
        parts = value_parts(value)
        if parts is None:
            yield f"{name} is {brief(value, _LONGEST_VALUE)}"
            return
        listed = list(parts.items()) if isinstance(parts, dict) else list(enumerate(parts))
        yield f"{name} is {_kind(parts)}"
        for step, child in listed[:_MOST_PARTS]:
            inner = value_parts(child)
            yield f"{visible(format_path((step,), root=''))}: {brief(child, 200) if inner is None else _kind(inner)}"
        if len(listed) > _MOST_PARTS:
            yield f"And {len(listed) - _MOST_PARTS:,} more"

    def _value_at(self, path: Path) -> Value:
        from unspool.query.value_parts import find  # loaded with the first such question

        view = self._history.view(self._here())
        return view.to_dict() if not path else decode(find(view.wire, path, f"entry {view.seq}")[1])

    def _path(self, rest: str, word: str) -> Path:
        path = parse_path(rest)
        if not path:
            raise ConfigError(f"{word} of which value? write {word} cart.total; value lists what there is")
        return path

    def _who(self, rest: str) -> Iterator[str]:
        written = self._history.path_writes(self._path(rest, "who"), self._here(), cancelled=self._is_stopped)
        first = next(written, None)
        if first is None:
            yield "Nothing set it as far as the history goes"
        else:
            yield self._told_write(first)
            self._list(iter([Found(first.seq, self._told_write(first))]), tell=False)
            yield "hit 1 goes there"

    def _writes(self, rest: str) -> Iterator[str]:
        written = self._history.path_writes(self._path(rest, "writes"), self._here(), cancelled=self._is_stopped)
        yield from self._list((Found(write.seq, self._told_write(write)) for write in written), most=_MOST_WRITES)

    def _told_write(self, write: PathWrite) -> str:
        entry = self._history[write.seq]
        path = visible(format_path(write.path, root=""))
        if write.kind.value == "older":
            return f"{path} was set at entry {write.seq} or before it, in what was dropped"
        by = f", {visible(entry.action)}," if entry.action else ""
        values = [brief(value) for value in (write.old, write.new) if value is not MISSING]
        told = {"added": "added {}", "deleted": "removed {}", "modified": "changed it from {} to {}"}.get(
            write.kind.value, "left it"
        )
        caller = caller_of(entry.meta)
        place = "" if caller is None else f", line {visible(str(caller))}"
        age = self._history[self._head].timestamp_ns - entry.timestamp_ns
        before = "" if write.seq == self._head else f", {format_units.duration(age)} before this entry"
        doubt = "" if write.certain else ", if not one of the entries that cannot be read"
        doubt += f". In doubt: {visible(entry.doubt)}" if entry.doubt else ""
        return f"{path}: entry {write.seq}{by} {told.format(*values)}{before}{place}{doubt}"

    def _find(self, rest: str) -> Iterator[str]:
        from unspool.query.search import parse_search  # loaded with the first such question

        running = self._history.search(parse_search(rest), skip_damaged=True, cancelled=self._is_stopped)
        hits = (
            Found(hit.seq, f"entry {hit.seq}, {hit.kind.value}{f' at {visible(hit.place)}' if hit.place else ''}: {visible(hit.text)}")
            for hit in running
        )  # fmt: skip
        yield from self._list(hits)
        if running.problems:
            yield f"{entries(len(running.problems))} could not be read"

    def _bisect(self, rest: str) -> Iterator[str]:
        if not rest:
            raise ConfigError("bisect by what? an expression such as cart.total > 100")
        found = self._history.bisect(rest, skip_damaged=True, cancelled=self._is_stopped)
        if not found.flips and found.holds_first is not None:
            partly = "" if found.complete else " as far as it was asked"
            yield f"It {'holds' if found.holds_first else 'does not hold'} at every entry{partly}"
        yield from self._list(
            (Found(flip.seq, self._told_flip(flip.seq, holds=flip.holds)) for flip in found.flips), is_empty_told=True
        )
        yield from (visible(doubt) for doubt in found.doubts)
        if found.failures:
            yield f"Not answered at {entries(found.failures)}: {visible(found.failure)}"
        if found.problems:
            yield f"{entries(len(found.problems))} could not be read"

    def _told_flip(self, seq: int, *, holds: bool) -> str:
        entry = self._history[seq]
        told = f": {visible(entry.action)}" if entry.action else ""
        doubt = f". In doubt: {visible(entry.doubt)}" if entry.doubt else ""
        return f"from entry {seq} on it {'holds' if holds else 'no longer holds'}{told}{doubt}"

    def _list(
        self, places: Iterator[Found], *, most: int = _MOST_HITS, tell: bool = True, is_empty_told: bool = False
    ) -> Iterator[str]:
        """Begin a new list of what was found, and tell its first lines."""
        self._found, self._coming = [], places
        if not tell:
            self._found = list(places)
            return iter(())
        return self._next_of(most, "" if is_empty_told else "Nothing found")

    def _next_of(self, most: int, nothing: str) -> Iterator[str]:
        told = 0
        for place in islice(self._coming, most):
            self._found.append(place)
            told += 1
            yield f"{len(self._found)}: {place.told}"
        if not told and nothing:
            yield nothing
        elif told == most:
            yield "more lists further ones; hit N goes to one"
        elif told:
            yield "That is all; hit N goes to one"

    def _more(self, rest: str) -> Iterator[str]:
        return self._next_of(_MOST_HITS, "There is no more")

    def _hit(self, rest: str) -> Iterator[str]:
        if not (rest.isascii() and rest.isdigit() and len(rest) < 10 and 1 <= int(rest) <= len(self._found)):
            told = f"1 to {len(self._found)}" if self._found else "nothing was found yet"
            raise ConfigError(f"{rest[:40]!r} is none of what was found: {told}")
        self._head = self._history.resolve(self._found[int(rest) - 1].seq)
        yield from self._where("")

    def _notes(self, rest: str) -> Iterator[str]:
        from unspool.sources.written_notes import placed  # loaded with the first such question

        read = notes_of(self._common, self._history).read()
        yield from (visible(problem) for problem in read.problems)
        found = placed(read.notes, self._history)
        for one in found:
            where = "an entry that is gone" if one.seq is None else f"entry {one.seq}"
            on = f", {visible(format_path(one.note.steps, root=''))}" if one.note.path else ""
            yield f"{one.note.id} on {where}{on}: {told_note(one)}"
        if not found:
            yield "No notes; note TEXT writes one here"

    def _note(self, rest: str) -> Iterator[str]:
        from unspool.query.value_parts import find  # loaded with the first such question
        from unspool.sources.written_notes import new_note  # loaded with the first such question

        path: Path = ()
        if rest.startswith("on ") and ": " in rest:
            named, _, rest = rest.removeprefix("on ").partition(": ")
            path = parse_path(named)
            find(self._history.view(self._here()).wire, path, f"entry {self._head}")
        if not rest.strip():
            raise ConfigError("the note has no text; write note TEXT, or note on PATH: TEXT")
        notes = notes_of(self._common, self._history)
        kept = notes.add(new_note(self._history, self._here(), rest, path, part=notes.part))[0]
        yield f"Note {kept.id} kept in {visible(str(notes.place))}"

    def _unnote(self, rest: str) -> Iterator[str]:
        for note in notes_of(self._common, self._history).remove([rest]):
            yield f"Removed from entry {note.entry}: {visible(' '.join(note.text.split())) or 'a bookmark'}"

    def _help(self, rest: str) -> Iterator[str]:
        wanted = self._by_word.get(rest.lower())
        chosen: Sequence[Typed] = [wanted] if wanted is not None else self.actions
        for action in chosen:
            short = f", or {action.short}" if action.short else ""
            yield f"{action.name}{f' {action.usage}' if action.usage else ''}{short}: {action.help}"
        yield "A number or a time alone goes there"

    def _quit(self, rest: str) -> Iterator[str]:
        self._ended = True
        return iter(())


def _kind(parts: dict[object, Value] | list[Value] | object) -> str:
    """Say what a container is, and of how many."""
    if isinstance(parts, dict):
        return f"an object of {len(parts):,}" if parts else "an empty object"
    count = len(parts) if isinstance(parts, list) else 0
    return f"a list of {count:,}" if count else "an empty list"


def _told(error: UnspoolError) -> str:
    return visible(without_password(" ".join(str(error).split())))


def _read_line() -> str | None:
    """Return the next line that is typed, without its end; None when there is none.

    Raises:
        KeyboardInterrupt: whoever types wants to end.
    """
    data = sys.stdin.buffer.readline(_LONGEST_LINE)
    if not data:
        return None
    while len(data) == _LONGEST_LINE and not data.endswith(b"\n"):
        # The rest of what no question is as long as.
        rest = sys.stdin.buffer.readline(_LONGEST_LINE)
        if not rest or rest.endswith(b"\n"):
            break
    return data.decode("utf-8", "backslashreplace").rstrip("\r\n")
