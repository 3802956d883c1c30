"""`unspool log`: the entries of a history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import click

from unspool.model.caller import passed_over_in
from unspool.model.entries import KINDS, EntryKind
from unspool.sources.timestamps import iso_time
from unspool_tui.cli.completion import complete_atom
from unspool_tui.cli.options import Common, json_option, judge, opened, source_command
from unspool_tui.cli.output import Output
from unspool_tui.cli.progress import shown_progress
from unspool_tui.cli.shapes import entry_shape
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.model.entries import Entry

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
                    from unspool.history.contexts import Contexts

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
