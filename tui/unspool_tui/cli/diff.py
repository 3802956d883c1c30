"""`unspool diff`: what changed between two entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from unspool.model.entries import ChangeKind, Op, OpKind
from unspool.model.paths import format_path
from unspool_tui.cli.asking import dated, happened
from unspool_tui.cli.options import Common, json_option, judge, opened, source_command
from unspool_tui.cli.output import Output, brief, brief_change
from unspool_tui.cli.shapes import diff_shape
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.delta.hunks import Hunk
    from unspool.delta.structural import Identity
    from unspool.history.diff import Change, Diff
    from unspool.model.entries import Entry

_MARKS: Final = {ChangeKind.ADDED: "+", ChangeKind.MODIFIED: "~", ChangeKind.DELETED: "-"}
_OP_MARKS: Final = {OpKind.ADD: "+", OpKind.REMOVE: "-", OpKind.REPLACE: "~", OpKind.MOVE: "~", OpKind.SPLICE: "~"}


_MOST_ROWS: Final = 60
"""Rows that the lines of one text may take."""
_LONGEST_LINE: Final = 160
"""Characters of a line that are shown."""


@click.command("diff", context_settings={"ignore_unknown_options": True})
@source_command()
@click.argument("from_entry", type=int, metavar="A")
@click.argument("to_entry", type=int, metavar="B")
@json_option()
@click.option("--patch", "as_patch", is_flag=True, help="Print an RFC 6902 JSON Patch.")
@click.option("--explain", "in_words", is_flag=True, help="Tell each change in words.")
def diff_command(
    common: Common, from_entry: int, to_entry: int, as_json: bool, as_patch: bool, in_words: bool
) -> int:
    """Show what changed from entry A to entry B; negative numbers count from the end."""
    if as_json + as_patch + in_words > 1:
        raise click.UsageError("--json, --patch and --explain exclude each other.")
    with opened(common) as history:
        with Output(common) as out:
            diff = history.diff(from_entry, to_entry)
            if as_json:
                out.json({**diff_shape(diff), **dated(history[to_entry])})
            elif as_patch:
                _print_patch(out, diff, history.identity)
            elif in_words:
                _print_words(out, diff)
            else:
                _print_diff(out, diff, history[to_entry])
        return judge(common, history.verdict)


def _print_patch(out: Output, diff: Diff, identity: Identity | None) -> None:
    from unspool.delta.json_patch import encoded_patch, portable

    # Only the changed atoms are compared: the others add nothing to a patch.
    old = {change.atom: change.old_bytes for change in diff.changes if change.old_bytes is not None}
    new = {change.atom: change.new_bytes for change in diff.changes if change.new_bytes is not None}
    out.json(portable(encoded_patch(old, new, identity)))


def _print_words(out: Output, diff: Diff) -> None:
    """Tell the very steps that the other views show: records of a list are told apart by their keys here too."""
    from unspool_tui.view.change_list import explain_op

    if not diff.changes:
        out.line("nothing changed")
    for change in diff.changes:
        name = visible(change.atom)
        if change.kind is ChangeKind.ADDED:
            out.line(f"{name} was added: {brief(change.new)}")
        elif change.kind is ChangeKind.DELETED:
            out.line(f"{name} was removed: {brief(change.old)}")
        else:
            for told in key_changes(change):
                out.line(visible(told))
            for op in change.ops:
                out.line(visible(explain_op(change.atom, op, brief)))


def _print_diff(out: Output, diff: Diff, entry: Entry) -> None:
    from unspool.model.caller import caller_of
    from unspool.sources.timestamps import iso_time

    out.line(out.paint(f"entry {diff.from_seq} to {diff.to_seq}: {_summary(diff)}", "head"))
    why = happened(entry.action, caller_of(entry.meta))
    out.line(out.paint(f"entry {entry.seq}  {iso_time(entry.timestamp_ns)}{why}", "dim"))
    for change in diff.changes:
        mark = _MARKS[change.kind]
        out.line(f"{out.paint(f'{mark} {visible(change.atom)}', mark)}{_whole(change)}")
        for pattern, key in _shown_keys(change).items():
            out.line(f"    {out.paint(f'{visible(pattern)}[*] by {visible(key)}', 'dim')}")
        for told in key_changes(change):
            out.line(f"    {out.paint(visible(told), '~')}")
        for op in change.ops:
            if op.path or op.kind is OpKind.MOVE:
                _print_op(out, op)
            _print_hunks(out, op)


def _shown_keys(change: Change) -> dict[str, str]:
    """Return the keys by which records were told apart, with all records of one list of lists told once."""
    from unspool.delta.identity import pattern_of

    return {pattern_of(path): key for path, key in (change.list_keys.items() if change.ops else ())}


def key_changes(change: Change) -> Iterator[str]:
    """Yield a sentence for each list whose records another key tells apart than before."""
    from unspool.model.wire import decode

    for changed in change.key_changes:
        where = f"{format_path(changed.path, root='')}[*]"
        if not changed.old:
            yield f"{where}: {changed.new} tells the records apart, and did not before"
            continue
        named = ", ".join(brief(decode(form)) for form in changed.twice)
        why = f": {named} stands there twice" if named else ""
        instead = f"; {changed.new} does" if changed.new else ""
        yield f"{where}: {changed.old} no longer tells the records apart{why}{instead}"


def _summary(diff: Diff) -> str:
    counts = {kind: sum(change.kind is kind for change in diff.changes) for kind in _MARKS}
    parts = [f"{count} {kind.value}" for kind, count in counts.items() if count]
    return f"{', '.join(parts) or 'nothing changed'}; {diff.unchanged} unchanged"


def _whole(change: Change) -> str:
    """Return the values of a change that has no steps inside the atom."""
    if change.kind is ChangeKind.ADDED:
        return f"  {brief(change.new)}"
    if change.kind is ChangeKind.DELETED:
        return f"  {brief(change.old)}"
    replaced = [op for op in change.ops if not op.path and op.kind is OpKind.REPLACE]
    return f"  {_from_to(replaced[0])}" if replaced else ""


def _from_to(op: Op) -> str:
    """Return both values of a replacement; of texts of several lines how many lines differ, of long ones what does."""
    from unspool.delta.hunks import text_hunks

    if _is_told_by_lines(op):
        hunks = text_hunks(op.old, op.new)
        removed, added = (
            sum(len(lines) for lines in side) for side in zip(*((h.removed, h.added) for h in hunks), strict=True)
        )
        return f"text: {removed:,} {'line' if removed == 1 else 'lines'} removed, {added:,} added"
    return brief_change(op.old, op.new)


def _is_told_by_lines(op: Op) -> bool:
    from unspool.delta.hunks import is_told_by_lines

    return op.kind is OpKind.REPLACE and is_told_by_lines(op.old, op.new)


def _print_hunks(out: Output, op: Op) -> None:
    """Print the lines in which two texts differ."""
    if not _is_told_by_lines(op):
        return
    from unspool.delta.hunks import text_hunks

    rows = _hunk_rows(text_hunks(op.old, op.new))
    for text, role in islice(rows, _MOST_ROWS):
        out.line(f"    {out.paint(text, role)}")
    if next(rows, None) is not None:
        out.line(f"    {out.paint('… more lines; --json prints both texts whole', 'dim')}")


def _hunk_rows(hunks: Iterable[Hunk]) -> Iterator[tuple[str, str]]:
    from unspool.delta.hunks import changed_part

    for hunk in hunks:
        yield f"@@ line {hunk.new_line:,}", "dim"
        removed, added = hunk.removed, hunk.added
        if len(removed) == len(added) == 1 and len(max(removed + added, key=len)) > _LONGEST_LINE:
            before, after = changed_part(removed[0], added[0])
            removed, added = (before,), (after,)
        for mark, lines in (("-", removed), ("+", added)):
            for line in lines:
                cut = line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"
                yield f"{mark} {visible(cut)}", mark


def _print_op(out: Output, op: Op) -> None:
    mark = _OP_MARKS[op.kind]
    place = visible(format_path(op.path, root="") + (f" ({op.key})" if op.key else ""))
    if op.kind is OpKind.ADD:
        told = brief(op.new)
    elif op.kind is OpKind.REMOVE:
        told = brief(op.old)
    elif op.kind is OpKind.MOVE:
        told = f"moved from {visible(format_path(op.source, root=''))}"
    else:
        told = _from_to(op)
    out.line(f"    {out.paint(f'{mark} {place}', mark)}  {told}")
