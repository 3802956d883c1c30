"""`unspool log`, `show`, `shape` and `stats`: the entries, a state, the make of a state, the figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import click

from unspool.model.entries import KINDS, EntryKind, passed_over_in
from unspool.model.json_text import to_json
from unspool.model.keys import Path, format_path
from unspool.model.paths import parse_path
from unspool.model.values import State, Value
from unspool.model.wire import decode
from unspool.query.errors import PathNotFound
from unspool.sources.timestamps import iso_time
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.options import (
    Common,
    complete_atom,
    complete_path,
    json_option,
    judge,
    opened,
    shown_progress,
    source_command,
)
from unspool_tui.cli.output import (
    Output,
    conclude,
    entries,
    entry_shape,
    problem_shapes,
    show_shape,
    skip_damaged_option,
    stats_shape,
)
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.history.history import History, StateView
    from unspool.history.stats import HistoryStats
    from unspool.model.entries import Entry
    from unspool.query.shape import Place, Shape, Tally

_NAMED: Final = 12
"""Atoms named to whoever misspelt one."""


@click.command("log")
@source_command()
@click.option("-n", "--count", type=click.IntRange(min=0), metavar="N", help="Only the newest N of them.")
@click.option("--atom", metavar="A", shell_complete=complete_atom, help="Only entries that changed this atom.")
@click.option("--kind", type=click.Choice(["full", "delta", "note"]), help="Only entries of this kind.")
@click.option(
    "--action",
    metavar="TEXT",
    help="Only entries whose action or note holds TEXT; letter case counts where it has some.",
)
@json_option("Print JSON Lines.")
def log_command(
    common: Common, count: int | None, atom: str | None, kind: str | None, action: str | None, as_json: bool
) -> int:
    """List the entries, oldest first."""
    with opened(common) as history:
        with Output(common) as out:
            entries = select(history, count, atom, kind, action)
            with shown_progress(common, "listing") as progress:
                entries = progress.counted(entries, len(history) - history.first if count is None else count)
                if as_json:
                    from unspool.history.history import Contexts  # loaded by the one command that needs it

                    contexts = Contexts(history)
                    for entry in entries:
                        out.json(entry_shape(entry, contexts.of(entry)))
                else:
                    print_entries(out, entries)
        if atom is not None and not common.quiet:
            _tell_unknown(history, atom)
        return judge(common, history.verdict)


def _tell_unknown(history: History, atom: str) -> None:
    """Say that no entry has such an atom: a misspelt name would be taken for one that never changed."""
    if any(True for _ in history.writes(atom)):
        return
    known = sorted(history.view(-1)) if len(history) else []
    names = ", ".join(visible(name) for name in known[:_NAMED]) + (", …" if len(known) > _NAMED else "")
    click.echo(f"unspool: --atom: no entry changed {visible(atom)}; the newest state has {names or 'none'}", err=True)


def select(
    history: History,
    count: int | None = None,
    atom: str | None = None,
    kind: str | None = None,
    action: str | None = None,
) -> Iterable[Entry]:
    """Return the entries asked for, oldest first."""
    if count == 0:
        return ()
    if atom is None and kind is None and action is None:
        return iter(history) if count is None else history[max(0, len(history) - count) :]
    numbers = _matching(history, atom, kind, action)
    if count is not None:
        kept = list(numbers)[-count:]
        return (history[seq] for seq in kept)
    return (history[seq] for seq in numbers)


def _matching(history: History, atom: str | None, kind: str | None, action: str | None) -> Iterator[int]:
    numbers: Iterable[int] = range(history.first, len(history)) if atom is None else history.writes(atom)
    if kind is not None:
        kinds, wanted = history.columns().kind, KINDS[EntryKind(kind)]
        numbers = (seq for seq in numbers if kinds[seq] == wanted)
    if action is not None:
        find = str.lower if action == action.lower() else str
        numbers = (seq for seq in numbers if action in find(history.action(seq)))
    yield from numbers


def _passed(entry: Entry) -> str:
    count = passed_over_in(entry.meta)
    return f" ({count} calls passed over before it)" if count and entry.kind is not EntryKind.NOTE else ""


def print_entries(out: Output, entries: Iterable[Entry]) -> None:
    """Write entries as a table for people."""
    out.line(
        out.paint(
            f"{'seq':>8}  {'time (UTC)':<26} {'kind':<5} {'+':>4} {'~':>4} {'-':>4} {'bytes':>10}  action", "dim"
        )
    )
    for entry in entries:
        time = iso_time(entry.timestamp_ns)[:-1].replace("T", " ")
        counts = "".join(
            " " + out.paint(f"{number or '.':>4}", mark if number else "dim")
            for number, mark in ((entry.added, "+"), (entry.modified, "~"), (entry.deleted, "-"))
        )
        out.line(
            f"{entry.seq:>8}  {time:<26} {entry.kind.value:<5}{counts} {entry.stored_bytes:>10}  {visible(entry.action)}{_passed(entry)}".rstrip()
        )


@click.command("show", context_settings={"ignore_unknown_options": True})
@source_command()
@click.argument("entry", type=int, metavar="N")
@click.option("--atom", metavar="A", shell_complete=complete_atom, help="Only this atom.")
@click.option("--path", "path_text", metavar="P", shell_complete=complete_path,
              help="Only the value at this path, such as cart.items[2].qty.")  # fmt: skip
@json_option()
def show_command(common: Common, entry: int, atom: str | None, path_text: str | None, as_json: bool) -> int:
    """Print the state at entry N; negative numbers count from the end."""
    if atom is not None and path_text is not None:
        raise click.UsageError("--atom and --path exclude each other: a path begins with its atom.")
    with opened(common) as history:
        with Output(common) as out:
            if path_text is None:
                _show_state(out, history, entry, atom, as_json)
            else:
                _show_value(out, history, entry, parse_path(path_text), as_json)
        return judge(common, history.verdict)


def _show_state(out: Output, history: History, number: int, atom: str | None, as_json: bool) -> None:
    entry = history[number]
    state: State = history.state(number)
    if atom is not None:
        state = {atom: _at(history.view(number), (atom,), entry.seq)}
    if as_json:
        out.json(show_shape(entry, state))
        return
    heading = f"entry {entry.seq}  {iso_time(entry.timestamp_ns)}  {visible(entry.action)}"
    out.line(out.paint(heading.rstrip(), "head"))
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


@click.command("shape")
@source_command()
@click.argument("path_text", metavar="[PATH]", required=False, shell_complete=complete_path)
@click.option("--at", "at_entry", type=int, metavar="N", help="The state at this entry; all entries without.")
@skip_damaged_option
@json_option()
def shape_command(
    common: Common, path_text: str | None, at_entry: int | None, skip_damaged: bool, as_json: bool
) -> int:
    """Tell what the state is made of: fields, kinds, how many, in what ranges; of the whole, or of what stands at PATH.

    Over all entries, unless --at names one; of more than 1,000 entries that many are sampled, and the answer says so.
    """
    from unspool.query.shape import shape  # loaded by the one command that needs it

    path = () if path_text is None else parse_path(path_text)
    with opened(common) as history, interruptible() as interruption, Output(common) as out:
        with shown_progress(common, "looking") as progress:
            found = shape(
                history, path, at_entry, skip_damaged=skip_damaged, progress=progress, cancelled=interruption
            )
        if as_json:
            out.json(shape_shape(found, at_entry))
        else:
            _print_shape(out, found, at_entry)
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


def _tally_shape(tally: Tally) -> dict[str, Value]:
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


def _print_shape(out: Output, found: Shape, at_entry: int | None) -> None:
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


def _opened(place: Place, tally: Tally, name: str, indent: str, depth: int, is_optional: bool) -> Iterator[str]:
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
_UNITS: Final = ("B", "KB", "MB", "GB", "TB")


@click.command("stats")
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
                print_stats(out, stats, history.source_name, is_converted=history.is_foreign)
        return judge(common, history.verdict)


def human_bytes(count: float) -> str:
    """Spell a number of bytes for people."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"


def _notes(count: int) -> str:
    return f", {count} {'note' if count == 1 else 'notes'}" if count else ""


def print_stats(out: Output, stats: HistoryStats, name: str, *, is_converted: bool) -> None:
    """Write the facts for people; of a foreign source the size is that of its native copy, and is called so."""
    out.line(out.paint(visible(name), "head"))
    rebuild = stats.rebuild_us
    dropped = visible(stats.dropped)
    passed = f"{stats.passed_over} calls were passed over, as max_hz or budget asked"
    facts = (
        ("entries", f"{stats.entries} ({stats.full} full, {stats.delta} delta{_notes(stats.notes)})"),
        *([("", dropped)] if stats.dropped else []),
        *([("", passed)] if stats.passed_over else []),
        ("chains", f"{stats.chains}, longest {stats.longest_chain}"),
        (
            "stored",
            f"{human_bytes(stats.stored_bytes)} of {human_bytes(stats.full_bytes)} full, ratio {stats.ratio:.1f}",
        ),
        ("file", f"{human_bytes(stats.file_bytes)}{', as a native file' if is_converted else ''}"),
        ("codecs", ", ".join(f"{visible(name)} {count}" for name, count in stats.codecs.items()) or "none"),
        ("rebuild", f"p50 {rebuild.p50:.0f} us, p95 {rebuild.p95:.0f} us, max {rebuild.max:.0f} us"),
        (
            "cache",
            f"{stats.cache.size} of {stats.cache.max_size}, {stats.cache.hits} hits, {stats.cache.misses} misses",
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
        out.line(f"  {out.paint('bytes by atom', 'dim')}")
    for name, atom in ranked[:_SHOWN_ATOMS]:
        out.line(f"    {human_bytes(atom.stored_bytes):>10}  {atom.changes:>8} changes  {visible(name)}")
    if len(ranked) > _SHOWN_ATOMS:
        out.line(f"    and {len(ranked) - _SHOWN_ATOMS} more atoms")
