"""`unspool simulate`: what each strategy and codec would cost on a history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from unspool_tui.cli.asking import conclude
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.options import Common, json_option, judge, opened, source_command
from unspool_tui.cli.output import Output
from unspool_tui.cli.progress import shown_progress
from unspool_tui.cli.shapes import simulation_shape
from unspool_tui.cli.stats import human_bytes
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.query.simulator import Candidate, Simulation

_HEADING = (
    f"{'codec and strategy':<40} {'file':>9} {'whole':>9} {'full':>5} {'longest':>7} {'rebuild':>17} {'record':>17}"
)


@click.command("simulate")
@source_command()
@click.option("--entries", type=click.IntRange(min=1), metavar="N", help="Entries to try on; 2,000 by default.")
@json_option()
def simulate_command(common: Common, entries: int | None, as_json: bool) -> int:
    """Print what each strategy and codec would cost on SOURCE, and which to use."""
    from unspool.query.simulator import DEFAULT_ENTRIES, simulate

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
        f"{candidate.name:<40} {human_bytes(candidate.file_bytes):>9} {human_bytes(candidate.projected_bytes):>9} "
        f"{candidate.full:>5} {candidate.longest_chain:>7} {rebuild.p50:>8.0f}/{rebuild.p95:<8.0f} "
        f"{record.p50:>8.0f}/{record.p95:<8.0f}"
    )
    return f"{out.paint('+', '+')} {text}" if candidate.on_front else f"  {text}"
