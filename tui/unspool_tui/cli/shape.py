"""`unspool shape`: the skeleton of the state, with counts, kinds and ranges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from unspool.model.paths import format_path, parse_path
from unspool.model.values import Value
from unspool_tui.cli.asking import conclude, entries, problem_shapes, skip_damaged_option
from unspool_tui.cli.completion import complete_path
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.options import Common, json_option, judge, opened, source_command
from unspool_tui.cli.output import Output
from unspool_tui.cli.progress import shown_progress
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.query.shape import Place, Shape, Tally

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
    from unspool.query.shape import shape

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
    from unspool.query.shape import tell

    line = tell(place, name, is_optional=is_optional)
    holders = [tally for tally in place.kinds.values() if tally.fields or tally.each is not None]
    if (depth and len(indent) + len(line) <= _WIDTH) or len(holders) != 1 or depth > _DEEPEST:
        yield f"{indent}{line}"
        return
    yield from _opened(place, holders[0], name, indent, depth, is_optional)


def _opened(place: Place, tally: Tally, name: str, indent: str, depth: int, is_optional: bool) -> Iterator[str]:
    from unspool.query.shape import Place, size_of, tell

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
