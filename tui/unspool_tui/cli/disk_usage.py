"""`unspool bytes`, `simulate`, `compact` and `vacuum`: where the bytes go, where they would go, and fewer of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unspool.errors import UnreadableSource
from unspool.model.values import Value
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.help_pages import command
from unspool_tui.cli.notes import copy_beside
from unspool_tui.cli.options import Common, json_option, judge, opened, shown_progress, source_command
from unspool_tui.cli.output import Output, conclude, entries, problem_shapes, simulation_shape, skip_damaged_option
from unspool_tui.rendering import format_units
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.query.disk_usage import Exclusion, Footprint, Share, Spent
    from unspool.query.simulator import Candidate, Simulation
    from unspool.store.compacting import SizeReport


@command("bytes")
@source_command()
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Project what not recording this would save: clock, rows[*].note; repeatable.",
)
@click.option("--top", type=click.IntRange(min=1), default=20, metavar="N", help="Show N of each; 20.")
@skip_damaged_option
@json_option()
def bytes_command(
    common: Common, exclude: tuple[str, ...], top: int, skip_damaged: bool, as_json: bool
) -> int:  # fmt: skip
    """Tell which atoms, paths, actions and codecs the bytes of a history go to."""
    from unspool.query.disk_usage import footprint  # loaded by the one command that needs it

    with opened(common) as history, interruptible() as interruption:
        with shown_progress(common, "counting") as progress:
            found = footprint(
                history,
                top=top,
                exclude=exclude,
                skip_damaged=skip_damaged,
                cancelled=interruption,
                progress=progress,
            )
        with Output(common) as out:
            if as_json:
                out.json(footprint_shape(found))
            else:
                print_footprint(out, found, history.file_bytes(), top)
        return conclude(common, judge(common, history.verdict), found.problems, interruption)


def footprint_shape(found: Footprint) -> dict[str, Value]:
    """Return what `bytes --json` prints."""
    return {
        "entries": found.entries,
        "stored_bytes": found.stored_bytes,
        "full_bytes": found.full_bytes,
        "atoms": [asdict(share) for share in found.atoms],
        "paths": [asdict(share) for share in found.paths],
        "actions": [asdict(spent) for spent in found.actions],
        "codecs": [asdict(spent) for spent in found.codecs],
        "exclusions": [asdict(exclusion) for exclusion in found.exclusions],
        "complete": found.complete,
        "problems": problem_shapes(found.problems),
    }


def print_footprint(out: Output, found: Footprint, on_disk: int, top: int) -> None:
    """Write what `bytes` shows people; `on_disk` is what the history takes there, 0 where that is not known."""
    held = f"{format_units.size(on_disk)} on disk, " if on_disk else ""
    total = f"{held}{format_units.size(found.stored_bytes)} in records of {entries(found.entries)}"
    out.line(out.paint(f"{total}, {format_units.size(found.full_bytes)} as whole states", "head"))
    for title, shares in (("atoms", found.atoms), ("paths", found.paths)):
        _print_shares(out, title, shares, found.stored_bytes, top)
    for title, spent in (("actions", found.actions), ("codecs", found.codecs)):
        _print_spent(out, title, spent, found.stored_bytes, top)
    for exclusion in found.exclusions:
        _print_exclusion(out, exclusion, found)


def _percent(part: int, whole: int) -> str:
    return f"{part * 100 / whole:5.1f} %" if whole else f"{'':>7}"


def _print_shares(out: Output, title: str, shares: Sequence[Share], whole: int, top: int) -> None:
    if shares:
        out.line(out.paint(f"{'bytes':>12} {'share':>7} {'changes':>9} {'alone':>9}  {title}", "dim"))
    for share in shares[:top]:
        counts = f"{share.changes:>9,} {share.alone:>9,}"
        out.line(
            f"{format_units.size(share.stored_bytes):>12} {_percent(share.stored_bytes, whole)} {counts}  "
            f"{out.paint(visible(share.name), 'name')}{_rewritten(share)}"
        )
    _print_rest(out, len(shares) - top)


def _rewritten(share: Share) -> str:
    if not share.rewritten:
        return ""
    return f"  rewritten unchanged {format_units.count(share.rewritten, 'time')}, {format_units.size(share.rewritten_bytes)}"


def _print_spent(out: Output, title: str, spent: Sequence[Spent], whole: int, top: int) -> None:
    if spent:
        out.line(out.paint(f"{'bytes':>12} {'share':>7} {'entries':>9}  {title}", "dim"))
    for item in spent[:top]:
        share = f"{format_units.size(item.stored_bytes):>12} {_percent(item.stored_bytes, whole)}"
        out.line(f"{share} {item.entries:>9,}  {visible(item.name) or '(none)'}")
    _print_rest(out, len(spent) - top)


def _print_rest(out: Output, more: int) -> None:
    if more > 0:
        out.line(f"{'':>12} and {more:,} more")


def _print_exclusion(out: Output, exclusion: Exclusion, found: Footprint) -> None:
    name = out.paint(visible(exclusion.pattern), "name")
    if not exclusion.matched:
        out.line(f"without {name}: nothing is at such a path")
        return
    saved = f"{format_units.size(exclusion.stored_bytes)} ({_percent(exclusion.stored_bytes, found.stored_bytes).strip()})"
    whole = format_units.size(exclusion.full_bytes)
    out.line(f"without {name}: {saved} less, {whole} less in whole states, {entries(exclusion.entries)} fewer")


_HEADING = f"{'codec and strategy':<40} {'sample':>10} {'whole':>10} {'full':>5} {'longest':>7} {'rebuild':>17} {'record':>17}"


@command("simulate")
@source_command()
@click.option("--entries", type=click.IntRange(min=1), metavar="N", help="Entries to try on; 2,000 by default.")
@json_option()
def simulate_command(common: Common, entries: int | None, as_json: bool) -> int:
    """Print what each strategy and codec would cost on SOURCE, and which to use."""
    from unspool.query.simulator import DEFAULT_ENTRIES, simulate  # loaded by the one command that needs it

    with opened(common) as history:
        with shown_progress(common, "trying") as progress, interruptible() as interruption:
            simulation = simulate(
                history, most_entries=entries or DEFAULT_ENTRIES, progress=progress, cancelled=interruption
            )
        with Output(common) as out:
            if as_json:
                out.json(simulation_shape(simulation))
            else:
                _print_simulation(out, simulation)
        return conclude(common, judge(common, history.verdict), (), interruption)


def _print_simulation(out: Output, simulation: Simulation) -> None:
    out.line(out.paint(visible(simulation.source), "head"))
    for note in simulation.notes:
        out.line(f"  {visible(note)}")
    if simulation.recommended is None:
        out.line("  nothing to try: the history has no entries that read")
        return
    out.line(out.paint(f"  {_HEADING}", "dim"))
    for candidate in simulation.candidates:
        out.line(_row(out, candidate))
    out.line("  + nothing else is both smaller and faster to rebuild; times are p50/p95 in microseconds")
    out.line(f"use {simulation.recommended.name}: {simulation.reason}")
    out.line(out.paint(simulation.line, "+"))


def _row(out: Output, candidate: Candidate) -> str:
    rebuild, record = candidate.rebuild_us, candidate.record_us
    text = (
        f"{candidate.name:<40} {format_units.size(candidate.file_bytes):>10} {format_units.size(candidate.projected_bytes):>10} "
        f"{candidate.full:>5} {candidate.longest_chain:>7} {rebuild.p50:>8.0f}/{rebuild.p95:<8.0f} "
        f"{record.p50:>8.0f}/{record.p95:<8.0f}"
    )
    return f"{out.paint('+', '+')} {text}" if candidate.on_front else f"  {text}"


@command("compact")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT")
@json_option()
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
def compact_command(file: Path, out: Path, as_json: bool, quiet: bool) -> None:
    """Write the history FILE anew to OUT, as small as it gets; every entry is verified, FILE is never changed."""
    from unspool.store.compacting import compact  # loaded by the one command that needs it

    refuse_foreign(file)
    common = Common(str(file), quiet=quiet)
    with shown_progress(common, "writing") as progress:
        report = compact(file, out, progress)
    with opened(common) as history:
        copy_beside(common, history, out)
    tell(common, report, out, as_json=as_json)


def refuse_foreign(file: Path) -> None:
    """Refuse what is no history file of unspool's own.

    Raises:
        UnreadableSource: it is missing, or of another format.
    """
    from unspool.opened import is_native  # loaded by the one command that needs it

    if not file.exists():
        raise UnreadableSource(f"{file}: no such file; check the spelling of the path")
    if not is_native(str(file), None):
        raise UnreadableSource(f"{file}: no unspool file; `unspool convert SOURCE OUT` makes one of any source")


def tell(common: Common, report: SizeReport, out: Path, *, as_json: bool) -> None:
    """Say what came of it: as JSON on standard output, or in words on standard error."""
    if as_json:
        with Output(common) as output:
            output.json({"entries": report.entries, "before": report.before, "after": report.after})
    elif not common.quiet:
        sizes = f"{format_units.size(report.before)} before, {format_units.size(report.after)} now"
        click.echo(f"unspool: {visible(str(out))}: {report.entries} entries; {sizes}", err=True)


@command("vacuum")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@json_option()
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
def vacuum_command(file: Path, as_json: bool, quiet: bool) -> None:
    """Free FILE of empty pages; it is replaced by a verified copy, or left as it is."""
    from unspool.store.compacting import vacuum  # loaded by the one command that needs it

    refuse_foreign(file)
    tell(Common(str(file), quiet=quiet), vacuum(file), file, as_json=as_json)
