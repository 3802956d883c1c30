"""`unspool stats`: measured facts about a history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from unspool_tui.cli.options import Common, json_option, judge, opened, source_command
from unspool_tui.cli.output import Output
from unspool_tui.cli.shapes import stats_shape
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.history.stats import HistoryStats

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
