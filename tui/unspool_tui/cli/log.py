"""`unspool log`, `show`, `shape` and `stats`: the entries, a state, the make of a state, the figures."""

from __future__ import annotations

import pathlib
import threading
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from unspool.errors import EntryNotFound, PathNotFound, PathSyntaxError
from unspool.history.history import Contexts
from unspool.model.entries import KINDS, EntryKind, iso_time, lag_in
from unspool.model.json_text import to_json
from unspool.model.keys import Path, format_path
from unspool.model.paths import parse_path
from unspool.model.values import State, Value
from unspool.model.wire import decode
from unspool.query.entry_names import is_range, names_time, time_named
from unspool.query.search_queries import PatternQuery
from unspool_tui.cli.ending import interruptible, was_told
from unspool_tui.cli.help_pages import command
from unspool_tui.cli.notes import Noted, note_lines, noted_of, noted_shape
from unspool_tui.cli.options import (
    Common,
    complete_atom,
    complete_entry,
    complete_path,
    entry_named,
    json_option,
    judge,
    opened,
    range_named,
    shown_progress,
    source_command,
)
from unspool_tui.cli.output import (
    Output,
    conclude,
    entries,
    entry_shape,
    fail_if_option,
    gate,
    problem_shapes,
    show_shape,
    skip_damaged_option,
    stats_shape,
)
from unspool_tui.rendering.format_units import size, smaller
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.history.history import History, StateView
    from unspool.history.stats import HistoryStats
    from unspool.model.entries import Entry
    from unspool.query.shape import KindTally, Place, Shape

_NAMED: Final = 12
"""Atoms named to whoever misspelt one."""


@command("log", context_settings={"ignore_unknown_options": True})
@source_command()
@click.argument("entries_named", metavar="[A..B]", shell_complete=complete_entry, required=False)
@click.option(
    "-n", "--count", "--tail", "--limit", type=click.IntRange(min=0), metavar="N", help="Only the newest N of them."
)
@click.option(
    "--since",
    metavar="ENTRY",
    shell_complete=complete_entry,
    help="Only entries from this one or this time on, such as 12:00:18.",
)
@click.option(
    "--until", metavar="ENTRY", shell_complete=complete_entry, help="Only entries up to this one or this time."
)
@click.option("--atom", metavar="A", shell_complete=complete_atom, help="Only entries that changed this atom.")
@click.option("--kind", type=click.Choice(["full", "delta", "note"]), help="Only entries of this kind.")
@click.option(
    "--action",
    metavar="TEXT",
    help="Only entries whose action or note holds TEXT; letter case counts where it has some.",
)
@click.option("--grep", metavar="PATTERN", help="Only entries whose action or note matches a regular expression.")
@click.option("--follow", "-f", is_flag=True, help="Go on with new entries as they come, until Ctrl-C.")
@fail_if_option("such an entry")
@json_option("Print JSON Lines.")
def log_command(
    common: Common,
    entries_named: str | None,
    count: int | None,
    since: str | None,
    until: str | None,
    atom: str | None,
    kind: str | None,
    action: str | None,
    grep: str | None,
    follow: bool,
    fail_if: str | None,
    as_json: bool,
) -> int:
    """List the entries, oldest first: all of them, one, or those from A to B.

    Entries are numbers, -1 (from the end), latest, 94~1, times such as 12:00:18, mark:1 (a bookmark), or words of an
    action: `unspool log shop.unspool 90..94 --atom carts`.
    """
    if follow and until is not None:
        raise click.UsageError("--follow has no end: leave --until out.")
    chosen = Chosen(atom=atom, kind=kind, action=action, pattern=None if grep is None else PatternQuery(grep))
    if follow and not _has_begun(common):
        return was_told()
    with opened(common, follow=follow) as history, Output(common) as out:
        first, last = _span(common, history, entries_named, since, until)
        listed = select(history, count, chosen, first, last)
        contexts = Contexts(history)
        noted = noted_of(common, history)
        printed = 0

        def put(found: Iterable[Entry]) -> None:
            if as_json:
                for entry in counted(found):
                    out.json({**entry_shape(entry, contexts.of(entry)), **noted_shape(noted, entry.seq)})
            else:
                print_rows(out, counted(found), noted)

        def counted(found: Iterable[Entry]) -> Iterator[Entry]:
            nonlocal printed
            for entry in found:
                printed += 1
                yield entry

        if not as_json:
            print_head(out)
        with shown_progress(common, "listing") as progress:
            put(progress.counted(listed, last + 1 - first if count is None else count))
        if follow:
            _follow(common, history, chosen, put, out)
        if atom is not None and not common.quiet:
            _tell_unknown(history, atom)
        code = max(judge(common, history.verdict), gate(fail_if, history.verdict, is_found=bool(printed)))
        return (was_told() or code) if follow else code


def _span(
    common: Common, history: History, named: str | None, since: str | None, until: str | None
) -> tuple[int, int]:
    """Return the first and the last entry that are listed.

    Raises:
        EntryNotFound: a word names no entry.
    """
    first, last = history.first, len(history) - 1
    if named is not None:
        whole = is_range(named)
        first, last = range_named(common, history, named) if whole else (entry_named(common, history, named),) * 2
    if since is not None:
        first = max(first, _end_named(common, history, since))
    if until is not None:
        last = min(last, _end_named(common, history, until, is_last=True))
    return first, last


def _end_named(common: Common, history: History, text: str, *, is_last: bool = False) -> int:
    """Return an end of a span.

    From a time on are the entries at or after it, up to a time those at or before it: there may be none.
    """
    if not names_time(text) or not len(history):
        return entry_named(common, history, text)
    times = history.columns().timestamp_ns
    wanted = time_named(text, times[len(history) - 1])
    if is_last:
        return bisect_right(times, wanted, history.first, len(history)) - 1
    return bisect_left(times, wanted, history.first, len(history))


def _has_begun(common: Common) -> bool:
    """Wait until something is in a file that is there and empty; whether it came before the person ended the wait."""
    from unspool.sources.watch import FileWatcher  # it loads ctypes, and only --follow needs it

    place = pathlib.Path(common.source)
    if not _is_empty(place):
        return True
    changed = threading.Event()
    with interruptible() as interruption, FileWatcher([place], changed.set, poll=common.poll):
        if not common.quiet:
            click.echo(f"unspool: {visible(common.source)}: is empty; waiting for its first entry", err=True)
        while not interruption():
            changed.clear()
            if not _is_empty(place):
                return True
            changed.wait(_LOOK_S)
    return False


def _is_empty(place: pathlib.Path) -> bool:
    try:
        return place.is_file() and not place.stat().st_size
    except (OSError, ValueError):
        # What is wrong with it is told when it is opened.
        return False


def _follow(
    common: Common, history: History, chosen: Chosen, put: Callable[[Iterable[Entry]], None], out: Output
) -> None:
    """Print new entries as they come, until the person ends it."""
    from unspool.sources.watch import FileWatcher  # it loads ctypes, and only --follow needs it

    changed = threading.Event()
    seen = len(history)
    with interruptible() as interruption, FileWatcher(history.watch_paths, changed.set, poll=common.poll):
        out.flush()
        while not interruption():
            changed.clear()
            history.refresh()
            if len(history) > seen:
                put(select(history, None, chosen, seen, len(history) - 1))
                out.flush()
                seen = len(history)
            # Now and then without being told: not every place of files tells of changes.
            changed.wait(_LOOK_S)


_LOOK_S: Final = 0.3
"""Less than a command has to end by itself after Ctrl-C."""


def _tell_unknown(history: History, atom: str) -> None:
    """Say that no entry has such an atom: a misspelt name would be taken for one that never changed."""
    if any(True for _ in history.writes(atom)):
        return
    known = sorted(history.view(-1)) if len(history) else []
    names = ", ".join(visible(name) for name in known[:_NAMED]) + (", …" if len(known) > _NAMED else "")
    click.echo(f"unspool: --atom: no entry changed {visible(atom)}; the newest state has {names or 'none'}", err=True)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which entries are listed; None leaves a question out.

    Attributes:
        atom: they changed it.
        kind: `full`, `delta` or `note`.
        action: text that the action holds.
        pattern: what the action matches.
    """

    atom: str | None = None
    kind: str | None = None
    action: str | None = None
    pattern: PatternQuery | None = None


def select(history: History, count: int | None, chosen: Chosen, first: int, last: int) -> Iterable[Entry]:
    """Return the entries asked for, oldest first.

    Args:
        history: where they are.
        count: only the newest so many of them; None for all.
        chosen: which.
        first: the first entry that may be one.
        last: the last entry that may be one.
    """
    if count == 0 or first > last:
        return ()
    if chosen == Chosen():
        if count is None and (first, last) == (history.first, len(history) - 1):
            return iter(history)
        first = first if count is None else max(first, last + 1 - count)
        return _in_batches(history, first, last + 1)
    numbers = _matching(history, chosen, first, last)
    if count is not None:
        return (history[seq] for seq in deque(numbers, maxlen=count))
    return (history[seq] for seq in numbers)


def _in_batches(history: History, first: int, end: int) -> Iterator[Entry]:
    for start in range(first, end, _BATCH):
        yield from history[start : min(start + _BATCH, end)]


_BATCH: Final = 256
"""Entries read at once."""


def _matching(history: History, chosen: Chosen, first: int, last: int) -> Iterator[int]:
    numbers: Iterable[int] = range(first, last + 1)
    if chosen.atom is not None:
        numbers = history.writes(chosen.atom, first, last + 1)
    if chosen.kind is not None:
        kinds, wanted = history.columns().kind, KINDS[EntryKind(chosen.kind)]
        numbers = (seq for seq in numbers if kinds[seq] == wanted)
    if chosen.action is not None:
        text = chosen.action
        find = str.lower if text == text.lower() else str
        numbers = (seq for seq in numbers if text in find(history.action(seq)))
    if chosen.pattern is not None:
        look = chosen.pattern.find
        numbers = (seq for seq in numbers if look(history.action(seq)) is not None)
    yield from numbers


def _doubt(entry: Entry) -> str:
    return f" ({entry.doubt})" if entry.doubt and entry.kind is not EntryKind.NOTE else ""


def print_entries(out: Output, entries: Iterable[Entry], noted: Noted) -> None:
    """Write entries as a table for people."""
    print_head(out)
    print_rows(out, entries, noted)


def print_head(out: Output) -> None:
    """Write the names of the columns that `print_rows` fills."""
    out.line(
        out.paint(
            f"{'seq':>8}  {'time (UTC)':<26} {'kind':<5} {'+':>4} {'~':>4} {'-':>4} {'bytes':>10}  action", "dim"
        )
    )


def print_rows(out: Output, entries: Iterable[Entry], noted: Noted) -> None:
    """Write a line for each entry, and one for each note on it."""
    for entry in entries:
        time = iso_time(entry.timestamp_ns)[:-1].replace("T", " ")
        counts = "".join(
            " " + out.paint(f"{number or '.':>4}", mark if number else "dim")
            for number, mark in ((entry.added, "+"), (entry.modified, "~"), (entry.deleted, "-"))
        )
        out.line(
            f"{entry.seq:>8}  {time:<26} {entry.kind.value:<5}{counts} {entry.stored_bytes:>10}  {visible(entry.action)}{_doubt(entry)}".rstrip()
        )
        for line in note_lines(noted, entry.seq):
            out.line(out.paint(line, "name"))


@command("show", context_settings={"ignore_unknown_options": True})
@source_command()
@click.argument("entry", metavar="[ENTRY]", shell_complete=complete_entry, default="latest")
@click.option("--atom", metavar="A", shell_complete=complete_atom, help="Only this atom.")
@click.option("--path", "path_text", metavar="P", shell_complete=complete_path,
              help="Only the value at this path, such as cart.items[2].qty.")  # fmt: skip
@json_option()
def show_command(common: Common, entry: str, atom: str | None, path_text: str | None, as_json: bool) -> int:
    """Print the state at ENTRY, the newest one unless another is named.

    ENTRY is a number, -1 (from the end), latest, 94~1, a time such as 12:00:18, mark:1 (a bookmark), or words of its
    action.
    """
    if atom is not None and path_text is not None:
        raise click.UsageError("--atom and --path exclude each other: a path begins with its atom.")
    with opened(common) as history:
        with Output(common) as out:
            try:
                seq = entry_named(common, history, entry)
            except EntryNotFound:
                if path_text is None and _has_path(history, entry):
                    raise click.UsageError(
                        f"{entry!r} is no entry but a value of the newest one: `unspool show {common.source} --path {entry}`."
                    ) from None
                raise
            noted = noted_of(common, history)
            if path_text is None:
                _show_state(out, history, seq, atom, noted, as_json)
            else:
                _show_value(out, history, seq, parse_path(path_text), as_json)
        return judge(common, history.verdict)


def _has_path(history: History, text: str) -> bool:
    """Whether the newest state has a value at a path that was typed where no path is taken."""
    try:
        _at(history.view(-1), parse_path(text), len(history) - 1)
    except (PathSyntaxError, PathNotFound, EntryNotFound):
        return False
    return True


def _show_state(out: Output, history: History, number: int, atom: str | None, noted: Noted, as_json: bool) -> None:
    entry = history[number]
    state: State = history.state(number)
    if atom is not None:
        state = {atom: _at(history.view(number), (atom,), entry.seq)}
    if as_json:
        out.json({**show_shape(entry, state), **noted_shape(noted, entry.seq)})
        return
    lag = lag_in(entry.meta)
    heading = f"entry {entry.seq}  {iso_time(entry.timestamp_ns)}  {visible(entry.action)}"
    out.line(out.paint(f"{heading.rstrip()}{f' ({lag})' if lag else ''}", "head"))
    for line in note_lines(noted, entry.seq):
        out.line(out.paint(line.strip(), "name"))
    _print_value(out, state)


def _show_value(out: Output, history: History, number: int, path: Path, as_json: bool) -> None:
    entry = history[number]
    value = _at(history.view(number), path, entry.seq) if path else history.state(number)
    if as_json:
        shape = show_shape(entry, {})
        del shape["state"]
        out.json({**shape, "path": format_path(path), "value": value})
    else:
        _print_value(out, value)


def _at(view: StateView, path: Path, seq: int) -> Value:
    from unspool.query.value_parts import find  # loaded by the one command that needs it

    try:
        return decode(find(view.wire, path, f"entry {seq}")[1])
    except PathNotFound as error:
        raise PathNotFound(f"{error}; `unspool show` lists what it has") from None


def _print_value(out: Output, value: Value) -> None:
    for line in to_json(value, indent=2).split("\n"):
        out.line(visible(line))


_WIDTH: Final = 100
"""Characters of a line, beyond which what stands in it gets lines of its own."""
_DEEPEST: Final = 48


@command("shape")
@source_command()
@click.argument("path_text", metavar="[PATH]", required=False, shell_complete=complete_path)
@click.option(
    "--at",
    "at_entry",
    metavar="ENTRY",
    shell_complete=complete_entry,
    help="The state at this entry; all entries without.",
)
@skip_damaged_option
@json_option()
def shape_command(
    common: Common, path_text: str | None, at_entry: str | None, skip_damaged: bool, as_json: bool
) -> int:
    """Tell what the state is made of: fields, kinds, how many, in what ranges; of the whole, or of what stands at PATH.

    Over all entries, unless --at names one; of more than 1,000 entries that many are sampled, and the answer says so.
    """
    from unspool.query.shape import shape  # loaded by the one command that needs it

    path = () if path_text is None else parse_path(path_text)
    with opened(common) as history, interruptible() as interruption, Output(common) as out:
        seq = None if at_entry is None else entry_named(common, history, at_entry)
        with shown_progress(common, "looking") as progress:
            found = shape(history, path, seq, skip_damaged=skip_damaged, progress=progress, cancelled=interruption)
        if as_json:
            out.json(shape_shape(found, seq))
        else:
            print_shape(out, found, seq)
        return conclude(common, judge(common, history.verdict), found.problems, interruption)


def shape_shape(found: Shape, at_entry: int | None = None) -> dict[str, Value]:
    """Return what `shape --json` prints."""
    return {
        "path": format_path(found.path),
        "at": at_entry,
        "shape": _place_shape(found.place),
        "entries": found.entries,
        "looked_at": found.looked_at,
        "values": found.values,
        "complete": found.complete,
        "stopped": found.stopped,
        "problems": problem_shapes(found.problems),
    }


def _place_shape(place: Place) -> dict[str, Value]:
    return {kind: _tally_shape(tally) for kind, tally in place.kinds.items()}


def _tally_shape(tally: KindTally) -> dict[str, Value]:
    told: dict[str, Value] = {"count": tally.count}
    if tally.least is not None:
        told |= {"least": tally.least, "most": tally.most}
    if tally.texts:
        told["texts"] = sorted(tally.texts)
    if tally.fields:
        told["fields"] = {
            name: {"had": tally.had[name], "shape": _place_shape(place)} for name, place in tally.fields.items()
        }
    if tally.each is not None:
        told["each"] = _place_shape(tally.each)
    return told


def print_shape(out: Output, found: Shape, at_entry: int | None) -> None:
    """Write what `shape` shows people."""
    where = f"over {entries(found.looked_at)}" if at_entry is None else f"at entry {at_entry}"
    out.line(out.paint(visible(f"{format_path(found.path)} {where}"), "head"))
    for line in _lines(found.place, "", "", 0):
        out.line(visible(line))
    if found.stopped:
        told = f"{found.stopped}; ranges and counts are those of what was looked at"
        out.line(out.paint(told, "dim"))


def _lines(place: Place, name: str, indent: str, depth: int, *, is_optional: bool = False) -> Iterator[str]:
    """Yield what stands at a place, in one line where it fits, else its fields below it."""
    from unspool.query.shape import tell  # loaded by the one command that needs it

    line = tell(place, name, is_optional=is_optional)
    holders = [tally for tally in place.kinds.values() if tally.fields or tally.each is not None]
    if (depth and len(indent) + len(line) <= _WIDTH) or len(holders) != 1 or depth > _DEEPEST:
        yield f"{indent}{line}"
        return
    yield from _opened(place, holders[0], name, indent, depth, is_optional)


def _opened(place: Place, tally: KindTally, name: str, indent: str, depth: int, is_optional: bool) -> Iterator[str]:
    from unspool.query.shape import Place, size_of, tell  # loaded by the one command that needs it

    others = Place({kind: other for kind, other in place.kinds.items() if other is not tally})
    (kind,) = (kind for kind, other in place.kinds.items() if other is tally)
    beside = f" | {tell(others)}" if others.kinds else ""
    head = f"{name}{'?' if is_optional else ''}{size_of(kind, tally)}{beside}"
    if head:
        yield f"{indent}{head}"
    deeper = indent + ("    " if head else "")
    for field, below in tally.fields.items():
        field_name = format_path((field,), root="")
        yield from _lines(below, field_name, deeper, depth + 1, is_optional=tally.had[field] < tally.count)
    if tally.each is not None:
        inner = list(tally.each.kinds.values())
        if kind == "list" and len(inner) == 1 and inner[0].fields:
            # The fields of a list's records stand right below it.
            for field, below in inner[0].fields.items():
                optional = inner[0].had[field] < inner[0].count
                yield from _lines(below, format_path((field,), root=""), deeper, depth + 1, is_optional=optional)
        else:
            yield from _lines(tally.each, "each", deeper, depth + 1)


_SHOWN_ATOMS: Final = 20


@command("stats")
@source_command()
@json_option()
def stats_command(common: Common, as_json: bool) -> int:
    """Print counts, chains, sizes, ratio, codecs, bytes by atom, rebuild times and cache."""
    with opened(common) as history:
        with Output(common) as out:
            stats = history.stats()
            if as_json:
                out.json(stats_shape(stats))
            else:
                print_stats(out, stats, history.source_name)
        return judge(common, history.verdict)


def _notes(count: int) -> str:
    return f", {count} {'note' if count == 1 else 'notes'}" if count else ""


def print_stats(out: Output, stats: HistoryStats, name: str) -> None:
    """Write the facts for people."""
    out.line(out.paint(visible(name), "head"))
    rebuild, sizes, cache = stats.rebuild_us, stats.sizes, stats.cache
    dropped = visible(stats.dropped)
    times = smaller(sizes.whole, sizes.held)
    passed = f"{stats.passed_over} calls were passed over, as max_hz or budget asked"
    facts = (
        ("entries", f"{stats.entries} ({stats.full} full, {stats.delta} delta{_notes(stats.notes)})"),
        *([("", dropped)] if stats.dropped else []),
        *([("", passed)] if stats.passed_over else []),
        ("chains", f"{stats.chains}, longest {stats.longest_chain}"),
        *([("on disk", size(sizes.on_disk))] if sizes.on_disk else []),
        ("records", size(sizes.records)),
        ("as full", f"{size(sizes.whole)}, {times} than that" if times else size(sizes.whole)),
        ("codecs", ", ".join(f"{visible(name)} {count}" for name, count in stats.codecs.items()) or "none"),
        ("rebuild", f"p50 {rebuild.p50:.0f} us, p95 {rebuild.p95:.0f} us, max {rebuild.max:.0f} us"),
        *(
            [("cache", f"{cache.size} of {cache.max_size}, {cache.hits} hits, {cache.misses} misses")]
            if cache.size
            else []
        ),
        ("health", stats.health.value),
        ("source", stats.verdict.status.value),
    )
    for label, text in facts:
        out.line(f"  {out.paint(f'{label:<8}', 'dim')} {text}")
    for problem in stats.problems:
        out.line(f"  {out.paint('problem ', '-')} {visible(problem)}")
    _print_atoms(out, stats)


def _print_atoms(out: Output, stats: HistoryStats) -> None:
    ranked = sorted(stats.atoms.items(), key=lambda item: -item[1].stored_bytes)
    if ranked:
        out.line(f"  {out.paint('values by atom', 'dim')}")
    for name, atom in ranked[:_SHOWN_ATOMS]:
        out.line(f"    {size(atom.stored_bytes):>10}  {atom.changes:>8} changes  {visible(name)}")
    if len(ranked) > _SHOWN_ATOMS:
        out.line(f"    and {len(ranked) - _SHOWN_ATOMS} more atoms")
