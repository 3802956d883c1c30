"""`unspool compare`: where two histories part."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from unspool.model.paths import format_path
from unspool.model.values import MISSING, Value
from unspool_tui.cli.asking import conclude, entries, problem_shapes, skip_damaged_option, write_shape
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.options import Common, json_option, judge, opened, source_command
from unspool_tui.cli.output import Output, brief
from unspool_tui.cli.progress import shown_progress
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.query.divergence_facts import Divergence, PathDifference, Side
    from unspool.query.path_writes import PathWrite

_RELATIONS: Final = {
    "same": "both go through the same states",
    "first ends": "A is a beginning of B",
    "second ends": "B is a beginning of A",
    "diverged": "they part after entries they have in common",
    "different": "they differ from the first entry on",
    "unrelated": "they have nothing in common, not even the name of an atom",
}


@click.command("compare")
@source_command()
@click.argument("other", metavar="B")
@click.option(
    "--ignore", multiple=True, metavar="PATTERN", help="Let this path differ: clock, rows[*].seen; repeatable."
)
@click.option("--top", type=click.IntRange(min=1), default=20, metavar="N", help="Show N differing values; 20.")
@skip_damaged_option
@json_option()
def compare_command(
    common: Common, other: str, ignore: tuple[str, ...], top: int, skip_damaged: bool, as_json: bool
) -> int:
    """Name the first entry at which SOURCE (A) and B differ, and who set what differs in each."""
    from unspool.query.divergence import compare

    other_common = replace(common, source=other)
    with opened(common) as first, opened(other_common) as second, interruptible() as interruption:
        with shown_progress(common, "comparing") as progress:
            found = compare(
                first,
                second,
                ignore=ignore,
                most=top,
                skip_damaged=skip_damaged,
                cancelled=interruption,
                progress=progress,
            )
        with Output(common) as out:
            if as_json:
                out.json(divergence_shape(found))
            else:
                _print_divergence(out, found)
        code = max(judge(common, first.verdict), judge(other_common, second.verdict))
        return conclude(common, code, found.problems, interruption)


def divergence_shape(found: Divergence) -> dict[str, Value]:
    """Return what `compare --json` prints."""
    return {
        "relation": None if found.relation is None else found.relation.value,
        "common": found.common,
        "same_action": found.same_action,
        "a": _side_shape(found.first),
        "b": _side_shape(found.second),
        "differences": [_difference_shape(part) for part in found.differences],
        "more": found.more,
        "meet_again": None if found.meet_again is None else dict(zip("ab", found.meet_again, strict=True)),
        "other_actions": [dict(zip("ab", pair, strict=True)) for pair in found.renamed],
        "complete": found.complete,
        "problems": problem_shapes(found.problems),
    }


def _side_shape(side: Side) -> dict[str, Value]:
    return {
        "seq": side.seq,
        "action": side.action,
        "last_common": side.last_common,
        "unchanging": side.unchanging,
    }


def _difference_shape(part: PathDifference) -> dict[str, Value]:
    shape: dict[str, Value] = {}
    for name, path, value, write in (
        ("a", part.first_path, part.first, part.first_write),
        ("b", part.second_path, part.second, part.second_write),
    ):
        if path is not None:
            set_by = None if write is None else write_shape(write)
            shape[name] = {"path": format_path(path), "value": value, "set_by": set_by}
        else:
            shape[name] = None
    return shape


def _print_divergence(out: Output, found: Divergence) -> None:
    relation = "interrupted before that was known" if found.relation is None else _RELATIONS[found.relation.value]
    out.line(out.paint(relation, "head"))
    out.line(f"  in common   {entries(found.common)}")
    if found.first.unchanging or found.second.unchanging:
        out.line(
            f"  passed over {found.first.unchanging:,} of A and {found.second.unchanging:,} of B that change nothing"
        )
    if found.renamed:
        out.line(f"  with other actions {', '.join(f'A {a} / B {b}' for a, b in found.renamed[:5])}")
    if found.first.seq is not None or found.second.seq is not None:
        for name, side in (("A", found.first), ("B", found.second)):
            told = "ends" if side.seq is None else f"entry {side.seq}  {visible(side.action)}"
            after = "" if side.last_common is None else f"  (after {side.last_common})"
            out.line(f"  {name} {told}{after}".rstrip())
    for part in found.differences:
        _print_difference(out, part)
    if found.more:
        out.line(f"  and {found.more:,} more values")
    if found.meet_again is not None:
        out.line("  the same again at A {} and B {}".format(*found.meet_again))


def _print_difference(out: Output, part: PathDifference) -> None:
    path = part.first_path if part.second_path is None else part.second_path
    out.line(f"  {out.paint(visible(format_path(path or (), root='')), 'name')}")
    for name, mark, value, write in (
        ("A", "-", part.first, part.first_write),
        ("B", "+", part.second, part.second_write),
    ):
        told = "not there" if value is MISSING else f"{brief(value)}{_set_by(write)}"
        out.line(f"    {out.paint(name, mark)} {told}")


def _set_by(write: PathWrite | None) -> str:
    return "" if write is None else f"  set at {'or before ' if write.kind.value == 'older' else ''}{write.seq}"
