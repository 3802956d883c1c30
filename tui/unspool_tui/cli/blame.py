"""`unspool blame` and `unspool why`: who set a value, and the causes behind it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from unspool.errors import ConfigError
from unspool.model.entries import caller_of, iso_time
from unspool.model.keys import Path, format_path
from unspool.model.paths import parse_path
from unspool.model.values import MISSING, Value
from unspool.query.blame import blame
from unspool.query.path_writes import all_writes
from unspool_tui.cli.ending import Interruption, interruptible
from unspool_tui.cli.help_pages import FiniteRange, command
from unspool_tui.cli.options import (
    Common,
    Meter,
    complete_entry,
    complete_path,
    entry_named,
    json_option,
    judge,
    opened,
    shown_progress,
    source_command,
)
from unspool_tui.cli.output import (
    Output,
    brief,
    brief_change,
    caller_shape,
    conclude,
    dated,
    doubt_shape,
    first_options,
    happened,
    problem_shapes,
    setter,
    skip_damaged_option,
    write_shape,
)
from unspool_tui.rendering import format_units
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.query.blame import Blame
    from unspool.query.path_writes import PathWrite, Writes
    from unspool.query.why import CauseLink, Guess, GuessedValue, Why

_MARKS: Final = {"added": "+", "modified": "~", "deleted": "-", "unchanged": "dim", "older": "dim"}


@command("blame")
@source_command()
@click.argument("path_text", metavar="[PATH]", required=False, shell_complete=complete_path)
@click.option(
    "--at",
    "at_entry",
    default="latest",
    metavar="ENTRY",
    shell_complete=complete_entry,
    help="The entry to look back from; the last one.",
)
@click.option("--writes", "all_writes", is_flag=True, help="List every write of the value at PATH, oldest first.")
@click.option(
    "--unchanged", is_flag=True, help="With --writes: also entries that changed its atom and not the value."
)
@first_options("writes, or values by when they were set")
@skip_damaged_option
@json_option()
def blame_command(
    common: Common,
    path_text: str | None,
    at_entry: str,
    all_writes: bool,
    unchanged: bool,
    most: int | None,
    skip_damaged: bool,
    as_json: bool,
) -> int:
    """Name the entry that last set each value of the state, or each one at and below PATH."""
    if all_writes and path_text is None:
        raise click.UsageError("--writes needs a PATH, such as cart.items[2].qty.")
    if unchanged and not all_writes:
        raise click.UsageError("--unchanged goes with --writes.")
    path = () if path_text is None else parse_path(path_text)
    with opened(common) as history, interruptible() as interruption, Output(common) as out:
        seq = entry_named(common, history, at_entry)
        if all_writes:
            with shown_progress(common, "looking back") as progress:
                listed = _writes(history, path, seq, unchanged, skip_damaged, interruption, progress)
            listed = replace(listed, writes=listed.writes[::-1][:most])
            if as_json:
                out.json(writes_shape(listed, history, path))
            else:
                print_writes(out, listed, history, path)
            return conclude(common, judge(common, history.verdict), listed.problems, interruption)

        with shown_progress(common, "looking back") as progress:
            found = blame(history, seq, path, skip_damaged=skip_damaged, cancelled=interruption, progress=progress)
        if most is not None:
            found = replace(found, values=tuple(sorted(found.values, key=lambda value: value.seq)[:most]))
        if as_json:
            out.json(blame_shape(found))
        else:
            print_blame(out, found)
        return conclude(common, judge(common, history.verdict), found.problems, interruption)


def blame_shape(found: Blame) -> dict[str, Value]:
    """Return what `blame --json` prints."""
    values = [
        {
            "path": format_path(value.path),
            "seq": value.seq,
            "timestamp": iso_time(value.timestamp_ns),
            "action": value.action,
            "caller": caller_shape(value.caller),
            "age_ns": value.age_ns,
            "certain": value.certain,
            **doubt_shape(value.doubt),
            **({"passed_over": value.passed_over} if value.passed_over else {}),
            **({"older": True} if value.older else {}),
            "value": value.value,
        }
        for value in found.values
    ]
    return {
        "at": found.at,
        "complete": found.complete,
        "values": values,
        "unexplained": [format_path(path) for path in found.unexplained],
        "problems": problem_shapes(found.problems),
        **({"dropped": found.dropped} if found.dropped else {}),
    }


def print_blame(out: Output, found: Blame) -> None:
    """Write what `blame` shows people."""
    out.line(out.paint(f"entry {found.at}: {format_units.count(len(found.values), 'value')}", "head"))
    out.line(out.paint(f"{'set at':>8}  {'before':>8}  value", "dim"))
    for value in found.values:
        seq = setter(value.seq, certain=value.certain, older=value.older)
        path = out.paint(visible(format_path(value.path, root="")), "name")
        # Why the entry happened says nothing of a value that may be older.
        why = "  at or before that entry" if value.older else happened(value.action, value.caller, value.doubt)
        action = out.paint(why, "dim")
        out.line(f"{seq:>8}  {format_units.duration(value.age_ns):>8}  {path} = {brief(value.value)}{action}")
    for unexplained in found.unexplained:
        out.line(f"{'unknown':>8}  {'':>8}  {visible(format_path(unexplained, root=''))}")
    if found.dropped:
        out.line(out.paint(f"<=: at that entry or before it; {visible(found.dropped)}", "dim"))


def _writes(
    history: History,
    path: Path,
    at_entry: int,
    unchanged: bool,
    skip_damaged: bool,
    interruption: Interruption,
    progress: Meter,
) -> Writes:
    if not path:
        raise ConfigError("the whole state is no value that is written; name an atom, or a path inside one")
    return all_writes(
        history,
        path,
        at_entry,
        unchanged=unchanged,
        skip_damaged=skip_damaged,
        cancelled=interruption,
        progress=progress,
    )


def writes_shape(listed: Writes, history: History, path: Path) -> dict[str, Value]:
    """Return what `blame --writes --json` prints."""
    dated_writes = [(write, history[write.seq]) for write in listed.writes]
    return {
        "at": listed.at,
        "path": format_path(path),
        "writes": [{**write_shape(write, entry.doubt), **dated(entry)} for write, entry in dated_writes],
        "complete": listed.complete,
        "problems": problem_shapes(listed.problems),
    }


def print_writes(out: Output, listed: Writes, history: History, path: Path) -> None:
    """Write what `blame --writes` shows people."""
    out.line(out.paint(f"{format_path(path)}: {format_units.count(len(listed.writes), 'write')}", "head"))
    for write in listed.writes:
        _print_write(out, history, write)


def _print_write(out: Output, history: History, write: PathWrite) -> None:
    entry = history[write.seq]
    known = [value for value in (write.old, write.new) if value is not MISSING]
    kind = out.paint(f"{write.kind.value:<9}", _MARKS[write.kind.value])
    place = visible(format_path(write.path, root=""))
    if len(known) > 1 and write.kind.value != "unchanged":
        told = brief_change(*known)
    else:
        told = brief(known[-1]) if known else ""
    is_older = write.kind.value == "older"
    seq = setter(write.seq, certain=write.certain and not entry.doubt, older=is_older)
    why = happened(entry.action, caller_of(entry.meta), entry.doubt)
    if is_older:
        why = f"  at or before that entry; {visible(history.told_dropped())}"
    out.line(f"{seq:>8}  {iso_time(entry.timestamp_ns)}  {kind}  {place}  {told}{why}")


_INDENT: Final = 4
_DEEPEST: Final = 12
"""Levels beyond which nothing is indented further."""


@command("why")
@source_command()
@click.argument("path_text", metavar="PATH", shell_complete=complete_path)
@click.option(
    "--at",
    "at_entry",
    default="latest",
    metavar="ENTRY",
    shell_complete=complete_entry,
    help="The entry to look back from; the last one.",
)
@click.option(
    "--links", type=click.IntRange(min=1, max=5_000), metavar="N", help="End after N values of the chain; 48."
)
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), metavar="S", help="End after S seconds; 10.")
@skip_damaged_option
@json_option()
def why_command(
    common: Common,
    path_text: str,
    at_entry: str,
    links: int | None,
    seconds: float | None,
    skip_damaged: bool,
    as_json: bool,
) -> int:
    """Tell the chain of causes behind the value at PATH: who wrote it, what explains it, who wrote that, and so on.

    A write is a fact. What explains it (a copy, a sum, a product of other values at that entry) is a guess, and is told as
    one, with how sure it is and why; a chain ends at the first value that nothing explains.
    """
    from unspool.query.why import Bounds, why  # loaded by the one command that needs it

    bounds = Bounds()
    bounds = replace(bounds, links=links or bounds.links, seconds=seconds or bounds.seconds)
    with opened(common) as history, interruptible() as interruption, Output(common) as out:
        path = parse_path(path_text)
        seq = entry_named(common, history, at_entry)
        with shown_progress(common, "looking back") as progress:
            found = why(
                history,
                path,
                seq,
                bounds=bounds,
                skip_damaged=skip_damaged,
                cancelled=interruption,
                progress=progress,
            )
        if as_json:
            out.json(why_shape(found, history))
        else:
            print_why(out, found, history, common.source)
        return conclude(common, judge(common, history.verdict), found.problems, interruption)


def why_shape(found: Why, history: History) -> dict[str, Value]:
    """Return what `why --json` prints."""
    return {
        "at": found.at,
        "path": format_path(found.path),
        "links": [_link_shape(link, history) for link in found.links],
        "main_line": [link.number for link in found.main_line()],
        "complete": found.complete,
        "stopped": found.stopped,
        "looked_at": found.looked_at,
        "problems": problem_shapes(found.problems),
    }


def _link_shape(link: CauseLink, history: History) -> dict[str, Value]:
    shape: dict[str, Value] = {
        "link": link.number,
        "path": format_path(link.path),
        "value": link.value,
        "depth": link.depth,
        "reached": {
            "from": link.parent,
            "as": "part" if link.is_part else "guess",
            "sureness": round(link.sureness, 3),
        }
        if link.parent is not None
        else None,
        "fact": None,
        "guesses": [_guess_shape(guess) for guess in link.guesses],
        "parts": list(link.parts),
        "end": link.end,
    }
    if link.write is not None:
        shape["fact"] = {
            "seq": link.write.seq,
            "parent_seq": history[link.write.seq].parent_seq,
            "kind": link.write.kind.value,
            **({"old": link.old} if link.old is not MISSING else {}),
            "timestamp": iso_time(link.timestamp_ns),
            "action": link.action,
            "caller": caller_shape(link.caller),
            "certain": link.certain,
            **doubt_shape(link.doubt),
        }
    return shape


def _guess_shape(guess: Guess) -> dict[str, Value]:
    return {
        "kind": guess.formula.kind.value,
        "formula": guess.formula.spelled(),
        "sureness": round(guess.sureness, 3),
        "word": guess.word,
        "reasons": list(guess.reasons),
        "sources": [
            {"path": format_path(source.path), "before": source.before, "link": source.link}
            for source in guess.sources
        ],
        "left_out": guess.left_out,
    }


def print_why(out: Output, found: Why, history: History, source: str) -> None:
    """Write what `why` shows people."""
    heading = (
        f"{format_path(found.path)} at entry {found.at}: {format_units.count(len(found.links), 'value')} in its chain"
    )
    out.line(out.paint(visible(heading), "head"))
    is_doubted = any(link.doubt for link in found.links)
    doubts = "; a doubt is what an entry wrote, maybe by other code than it names" if is_doubted else ""
    out.line(out.paint(f"a fact is what an entry wrote; a guess is what may explain it{doubts}", "dim"))
    for link in found.in_order():
        lead = "" if link.parent is None else f"  {'part of' if link.is_part else 'may explain'} {link.parent}"
        indent = " " * _INDENT * min(link.depth, _DEEPEST)
        name = out.paint(visible(format_path(link.path, root="")), "name")
        out.line(f"{indent}{link.number:>3}  {name} = {brief(link.value)}{out.paint(lead, 'dim')}")
        for text, role in _told(link, history, source):
            out.line(f"{indent}     {out.paint(text, role) if role else text}")
    if found.stopped:
        out.line(out.paint(f"the chain may go on: {found.stopped}{_remedy(found)}", "~"))


def _remedy(found: Why) -> str:
    is_bound = "links" in found.stopped or "seconds" in found.stopped
    return "; --links and --seconds raise that" if is_bound else ""


def _told(link: CauseLink, history: History, source: str) -> Iterator[tuple[str, str]]:
    """Yield what is known of a link and what is guessed, with the role of each line."""
    if link.write is not None:
        entry = history[link.write.seq]
        is_older = link.write.kind.value == "older"
        place = setter(link.write.seq, certain=link.certain, older=is_older)
        why = happened(link.action, link.caller, link.doubt)
        before = "" if link.old is MISSING else f"  {brief_change(link.old, link.value, 30)}"
        kind = "written" if is_older else link.write.kind.value
        yield (
            f"{'doubt' if link.doubt else 'fact':<5}  {kind} at {place}  {iso_time(link.timestamp_ns)}{before}{why}",
            "",
        )
        yield f"       {visible(_command(link, None if is_older else entry.parent_seq, source))}", "dim"
    for guess in link.guesses:
        told = f"guess  {guess.word}, {guess.sureness:.0%}: {guess.formula.spelled()}{_linked(guess.sources)}"
        reasons = f" ({'; '.join(guess.reasons)})" if guess.reasons else ""
        yield visible(f"{told}{reasons}"), "~"
    if link.parts:
        yield f"fact   that entry wrote these parts of it: {', '.join(f'[{number}]' for number in link.parts)}", ""
    if link.end:
        yield visible(f"end    {link.end}"), "dim"


def _linked(sources: tuple[GuessedValue, ...]) -> str:
    numbers = list(dict.fromkeys(f"[{source.link}]" for source in sources if source.link is not None))
    return f" {' '.join(numbers)}" if numbers else ""


def _command(link: CauseLink, parent_seq: int | None, source: str) -> str:
    """Return the command that shows the entry of a link."""
    seq = 0 if link.write is None else link.write.seq
    if parent_seq is None:
        return f"unspool show {shlex.quote(source)} {seq} --path {shlex.quote(format_path(link.path))}"
    return f"unspool diff {shlex.quote(source)} {parent_seq} {seq}"
