"""`unspool diff` and `unspool compare`: two entries of one history, two histories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from unspool.delta.identity import pattern_of
from unspool.delta.structural import changed_part, is_told_by_lines, text_hunks
from unspool.model.entries import ChangeKind, Op, OpKind, caller_of, iso_time
from unspool.model.keys import format_path
from unspool.model.values import MISSING, Value
from unspool.model.wire import decode
from unspool.query.entry_names import is_range
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.help_pages import command
from unspool_tui.cli.options import (
    Common,
    complete_entry,
    complete_file,
    entry_named,
    json_option,
    judge,
    opened,
    range_named,
    shown_progress,
    source_command,
)
from unspool_tui.cli.output import (
    Output,
    brief,
    brief_change,
    conclude,
    dated,
    diff_shape,
    entries,
    fail_if_option,
    gate,
    happened,
    problem_shapes,
    skip_damaged_option,
    write_shape,
)
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.delta.structural import Identity, TextHunk
    from unspool.history.diff import Change, Diff
    from unspool.history.history import History
    from unspool.model.entries import Entry
    from unspool.query.compare import Divergence, PathDifference, Side
    from unspool.query.path_writes import PathWrite

_MARKS: Final = {ChangeKind.ADDED: "+", ChangeKind.MODIFIED: "~", ChangeKind.DELETED: "-"}
_OP_MARKS: Final = {OpKind.ADD: "+", OpKind.REMOVE: "-", OpKind.REPLACE: "~", OpKind.MOVE: "~", OpKind.SPLICE: "~"}


_MOST_ROWS: Final = 60
"""Rows that the lines of one text may take."""
_LONGEST_LINE: Final = 160
"""Characters of a line that are shown."""


@command("diff", context_settings={"ignore_unknown_options": True})
@source_command()
@click.argument("entry", metavar="A|A..B", shell_complete=complete_entry, default="latest")
@click.argument("to_entry", metavar="[B]", shell_complete=complete_entry, required=False)
@json_option()
@click.option("--patch", "as_patch", is_flag=True, help="Print an RFC 6902 JSON Patch.")
@click.option("--deepdiff", "as_delta", is_flag=True, help="Print DeepDiff's Delta as JSON.")
@click.option("--explain", "in_words", is_flag=True, help="Tell each change in words.")
@fail_if_option("a difference")
def diff_command(
    common: Common,
    entry: str,
    to_entry: str | None,
    as_json: bool,
    as_patch: bool,
    as_delta: bool,
    in_words: bool,
    fail_if: str | None,
) -> int:
    """Show what entry A did, or the changes from entry A to entry B.

    Entries are numbers, -1 (from the end), latest, 94~1, times such as 12:00:18, mark:1 (a bookmark), or words of an
    action: `unspool diff shop.unspool 94`, `diff shop.unspool 90..94`, `diff shop.unspool "tea back"`.
    """
    if as_json + as_patch + as_delta + in_words > 1:
        raise click.UsageError("--json, --patch, --deepdiff and --explain exclude each other.")
    with opened(common) as history:
        with Output(common) as out:
            diff = _asked_for(common, history, entry, to_entry)
            if as_json:
                out.json({**diff_shape(diff), **dated(history[diff.to_seq])})
            elif as_patch:
                _print_patch(out, diff, history.identity)
            elif as_delta:
                from unspool.query.compare import deepdiff_delta  # loaded by the one command that needs it

                changed = diff.changes
                old = {change.atom: change.old for change in changed if change.old_bytes is not None}
                new = {change.atom: change.new for change in changed if change.new_bytes is not None}
                out.raw(deepdiff_delta(old, new))
            elif in_words:
                print_words(out, diff)
            else:
                print_diff(out, diff, history[diff.to_seq])
        return max(judge(common, history.verdict), gate(fail_if, history.verdict, is_found=bool(diff.changes)))


def _asked_for(common: Common, history: History, entry: str, to_entry: str | None) -> Diff:
    """Return the differences that the words of the command line ask for.

    Raises:
        EntryNotFound: a word names no entry.
        UsageError: it names a file.
    """
    if to_entry is None and not is_range(entry):
        return history.changes(entry_named(common, history, entry))
    if to_entry is None:
        return history.diff(*range_named(common, history, entry))
    return history.diff(entry_named(common, history, entry), entry_named(common, history, to_entry))


def _print_patch(out: Output, diff: Diff, identity: Identity | None) -> None:
    from unspool.delta.apply import encoded_patch, portable  # only --patch needs it

    # Only the changed atoms are compared: the others add nothing to a patch.
    old = {change.atom: change.old_bytes for change in diff.changes if change.old_bytes is not None}
    new = {change.atom: change.new_bytes for change in diff.changes if change.new_bytes is not None}
    out.json(portable(encoded_patch(old, new, identity)))


def print_words(out: Output, diff: Diff) -> None:
    """Tell the very steps that the other views show: records of a list are told apart by their keys here too."""
    from unspool_tui.panes.change_list import explain_op  # only --words needs it

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


def print_diff(out: Output, diff: Diff, entry: Entry) -> None:
    """Write what `diff` shows people."""
    since = "nothing" if diff.from_seq < 0 else f"entry {diff.from_seq}"
    out.line(out.paint(f"{since} to {diff.to_seq}: {_summary(diff)}", "head"))
    why = happened(entry.action, caller_of(entry.meta), entry.doubt)
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
    return {pattern_of(path): key for path, key in (change.list_keys.items() if change.ops else ())}


def key_changes(change: Change) -> Iterator[str]:
    """Yield a sentence for each list whose records another key tells apart than before."""
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
    if _is_told_by_lines(op):
        hunks = text_hunks(op.old, op.new)
        removed, added = (
            sum(len(lines) for lines in side) for side in zip(*((h.removed, h.added) for h in hunks), strict=True)
        )
        return f"text: {removed:,} {'line' if removed == 1 else 'lines'} removed, {added:,} added"
    return brief_change(op.old, op.new)


def _is_told_by_lines(op: Op) -> bool:
    return op.kind is OpKind.REPLACE and is_told_by_lines(op.old, op.new)


def _print_hunks(out: Output, op: Op) -> None:
    """Print the lines in which two texts differ."""
    if not _is_told_by_lines(op):
        return

    rows = _hunk_rows(text_hunks(op.old, op.new))
    for text, role in islice(rows, _MOST_ROWS):
        out.line(f"    {out.paint(text, role)}")
    if next(rows, None) is not None:
        out.line(f"    {out.paint('… more lines; --json prints both texts whole', 'dim')}")


def _hunk_rows(hunks: Iterable[TextHunk]) -> Iterator[tuple[str, str]]:
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


_RELATIONS: Final = {
    "same": "both go through the same states",
    "first ends": "A is a beginning of B",
    "second ends": "B is a beginning of A",
    "diverged": "they part after entries they have in common",
    "different": "they differ from the first entry on",
    "unrelated": "they have nothing in common, not even the name of an atom",
}


@command("compare")
@source_command()
@click.argument("other", metavar="B", shell_complete=complete_file)
@click.option(
    "--ignore", multiple=True, metavar="PATTERN", help="Let this path differ: clock, rows[*].seen; repeatable."
)
@click.option("--top", type=click.IntRange(min=1), default=20, metavar="N", help="Show N differing values; 20.")
@fail_if_option("an entry of one that the other has not")
@skip_damaged_option
@json_option()
def compare_command(
    common: Common,
    other: str,
    ignore: tuple[str, ...],
    top: int,
    fail_if: str | None,
    skip_damaged: bool,
    as_json: bool,
) -> int:
    """Name the first entry at which SOURCE (A) and B differ, and who set what differs in each."""
    from unspool.query.compare import compare  # loaded by the one command that needs it

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
                print_divergence(out, found)
        is_other = found.relation is not None and found.relation.value != "same"
        gated = gate(fail_if, first.verdict, second.verdict, is_found=is_other, is_known=found.complete)
        code = max(judge(common, first.verdict), judge(other_common, second.verdict), gated)
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


def print_divergence(out: Output, found: Divergence) -> None:
    """Write what `compare` shows people."""
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
