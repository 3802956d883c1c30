"""`unspool bytes`: where the bytes of a history are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from unspool.model.values import Value
from unspool_tui.cli.asking import conclude, entries, problem_shapes, skip_damaged_option
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.options import Common, json_option, judge, opened, source_command
from unspool_tui.cli.output import Output
from unspool_tui.cli.progress import shown_progress
from unspool_tui.present import humane
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.query.footprint_facts import Exclusion, Footprint, Share, Spent


@click.command("bytes")
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
    from unspool.query.footprint import footprint

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
                _print_footprint(out, found, top)
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


def _print_footprint(out: Output, found: Footprint, top: int) -> None:
    total = f"{humane.size(found.stored_bytes)} in records of {entries(found.entries)}"
    out.line(out.paint(f"{total}, {humane.size(found.full_bytes)} as whole states", "head"))
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
            f"{humane.size(share.stored_bytes):>12} {_percent(share.stored_bytes, whole)} {counts}  "
            f"{out.paint(visible(share.name), 'name')}{_rewritten(share)}"
        )
    _print_rest(out, len(shares) - top)


def _rewritten(share: Share) -> str:
    if not share.rewritten:
        return ""
    return f"  rewritten unchanged {humane.count(share.rewritten, 'time')}, {humane.size(share.rewritten_bytes)}"


def _print_spent(out: Output, title: str, spent: Sequence[Spent], whole: int, top: int) -> None:
    if spent:
        out.line(out.paint(f"{'bytes':>12} {'share':>7} {'entries':>9}  {title}", "dim"))
    for item in spent[:top]:
        share = f"{humane.size(item.stored_bytes):>12} {_percent(item.stored_bytes, whole)}"
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
    saved = f"{humane.size(exclusion.stored_bytes)} ({_percent(exclusion.stored_bytes, found.stored_bytes).strip()})"
    whole = humane.size(exclusion.full_bytes)
    out.line(f"without {name}: {saved} less, {whole} less in whole states, {entries(exclusion.entries)} fewer")
