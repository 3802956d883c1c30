"""`unspool blame`: the entry that last set each value."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from unspool.errors import ConfigError
from unspool.model.caller import caller_of, passed_over_in
from unspool.model.paths import Path, format_path, parse_path
from unspool.model.values import MISSING, Value
from unspool.sources.timestamps import iso_time
from unspool_tui.cli.asking import (
    caller_shape,
    conclude,
    dated,
    first_options,
    happened,
    problem_shapes,
    setter,
    skip_damaged_option,
    write_shape,
)
from unspool_tui.cli.completion import complete_path
from unspool_tui.cli.ending import Interruption, interruptible
from unspool_tui.cli.options import Common, json_option, judge, opened, source_command
from unspool_tui.cli.output import Output, brief, brief_change
from unspool_tui.cli.progress import Meter, shown_progress
from unspool_tui.present import humane
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.query.blame import Blame
    from unspool.query.path_writes import PathWrite, Writes

_MARKS: Final = {"added": "+", "modified": "~", "deleted": "-", "unchanged": "dim", "older": "dim"}


@click.command("blame")
@source_command()
@click.argument("path_text", metavar="[PATH]", required=False, shell_complete=complete_path)
@click.option(
    "--at", "at_entry", type=int, default=-1, metavar="N", help="The entry to look back from; the last one."
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
    at_entry: int,
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
        if all_writes:
            with shown_progress(common, "looking back") as progress:
                listed = _writes(history, path, at_entry, unchanged, skip_damaged, interruption, progress)
            listed = replace(listed, writes=listed.writes[::-1][:most])
            if as_json:
                out.json(writes_shape(listed, history, path))
            else:
                _print_writes(out, listed, history, path)
            return conclude(common, judge(common, history.verdict), listed.problems, interruption)
        from unspool.query.blame import blame

        with shown_progress(common, "looking back") as progress:
            found = blame(
                history, at_entry, path, skip_damaged=skip_damaged, cancelled=interruption, progress=progress
            )
        if most is not None:
            found = replace(found, values=tuple(sorted(found.values, key=lambda value: value.seq)[:most]))
        if as_json:
            out.json(blame_shape(found))
        else:
            _print_blame(out, found)
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


def _print_blame(out: Output, found: Blame) -> None:
    out.line(out.paint(f"entry {found.at}: {humane.count(len(found.values), 'value')}", "head"))
    out.line(out.paint(f"{'set at':>8}  {'before':>8}  value", "dim"))
    for value in found.values:
        seq = setter(value.seq, certain=value.certain, older=value.older)
        path = out.paint(visible(format_path(value.path, root="")), "name")
        # Why the entry happened says nothing of a value that may be older.
        why = "  at or before that entry" if value.older else happened(value.action, value.caller, value.passed_over)
        action = out.paint(why, "dim")
        out.line(f"{seq:>8}  {humane.duration(value.age_ns):>8}  {path} = {brief(value.value)}{action}")
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
    from unspool.query.path_writes import all_writes

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
    return {
        "at": listed.at,
        "path": format_path(path),
        "writes": [{**write_shape(write), **dated(history[write.seq])} for write in listed.writes],
        "complete": listed.complete,
        "problems": problem_shapes(listed.problems),
    }


def _print_writes(out: Output, listed: Writes, history: History, path: Path) -> None:
    out.line(out.paint(f"{format_path(path)}: {humane.count(len(listed.writes), 'write')}", "head"))
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
    seq = setter(write.seq, certain=write.certain, older=is_older)
    why = happened(entry.action, caller_of(entry.meta), passed_over_in(entry.meta))
    if is_older:
        why = f"  at or before that entry; {visible(history.told_dropped())}"
    out.line(f"{seq:>8}  {iso_time(entry.timestamp_ns)}  {kind}  {place}  {told}{why}")
