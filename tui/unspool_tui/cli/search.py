"""`unspool search` and `unspool bisect`: the entries at which something appears, or an answer changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

import click

from unspool.model.entries import caller_of, iso_time
from unspool.model.values import Value
from unspool.query import SEARCHED, HitKind
from unspool.query.bisect import bisect
from unspool.query.expressions import Expression, PythonQuestion
from unspool.query.search import MOST_HITS, ChangeQuestion, PatternQuery, changes_where, parse_query, search
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.help_pages import command
from unspool_tui.cli.options import (
    Common,
    Meter,
    complete_entry,
    complete_expression,
    entry_named,
    json_option,
    judge,
    opened,
    shown_progress,
    source_command,
)
from unspool_tui.cli.output import (
    Output,
    brief,
    brief_change,
    conclude,
    dated,
    entries,
    fail_if_option,
    first_options,
    gate,
    happened,
    problem_shapes,
    refuse_doubtful,
    setter,
    skip_damaged_option,
)
from unspool_tui.rendering import format_units
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.query.bisect import Bisection, Flip
    from unspool.query.search import Asked, Hit


_KIND_ROOM = max(map(len, HitKind))


@command(
    "search",
    help=f"""Find TEXT in {SEARCHED} of all entries, each hit at the entry where it appears.

    `qty > 3` compares the values at every path that ends in `qty`. Upper case counts only where TEXT has some.
    """,
)
@source_command()
@click.argument("text", metavar="[TEXT]", required=False)
@click.option(
    "--expr",
    metavar="E",
    shell_complete=complete_expression,
    help="Find results of this JMESPath expression, such as items[?qty > 3].",
)
@click.option("--change", metavar="E", help="Find the entries whose change answers this, such as after.x < before.x.")
@click.option(
    "--python",
    metavar="E",
    help="Find results of a Python expression with the atoms as names. It is executed: type only what you trust.",
)
@click.option("--regex", is_flag=True, help="TEXT is a regular expression.")
@first_options("hits")
@fail_if_option("a hit")
@skip_damaged_option
@json_option("Print JSON Lines.")
def search_command(
    common: Common,
    text: str | None,
    expr: str | None,
    change: str | None,
    python: str | None,
    regex: bool,
    most: int | None,
    fail_if: str | None,
    skip_damaged: bool,
    as_json: bool,
) -> int:
    """Print what is found; the help stands above, since it names what is looked in."""
    query = _query(text, expr, change, python, regex)
    with opened(common) as history, interruptible() as interruption:
        with shown_progress(common, "searching") as progress:
            running = search(history, query, skip_damaged=skip_damaged, cancelled=interruption, progress=progress)
            found = _print_hits(common, islice(running, most), as_json, progress)
        refuse_doubtful(common, running.doubts, is_answered=bool(found) or interruption())
        for seq in running.cut:
            click.echo(
                f"unspool: entry {seq}: only the first {MOST_HITS:,} of its hits are told; ask for less", err=True
            )
        if not common.quiet and not as_json:
            among = f"{running.looked_at:,} of {entries(len(history) - history.first)}"
            click.echo(f"unspool: {format_units.count(found, 'hit')} in {among}", err=True)
        code = max(judge(common, history.verdict), gate(fail_if, history.verdict, is_found=bool(found)))
        return conclude(common, code, running.problems, interruption)


def _query(text: str | None, expr: str | None, change: str | None, python: str | None, regex: bool) -> Asked:
    """Return what is looked for.

    Raises:
        ExpressionError: an expression or pattern does not parse.
    """
    if sum(one is not None for one in (text, expr, change, python)) != 1:
        raise click.UsageError("Give one of TEXT, --expr E, --change E and --python E.")
    if regex and text is None:
        raise click.UsageError("--regex goes with TEXT.")
    if expr is not None:
        return Expression(expr)
    if change is not None:
        return ChangeQuestion(change)
    if python is not None:
        return PythonQuestion(python)
    return PatternQuery(text or "") if regex else parse_query(text or "")


def _print_hits(common: Common, hits: Iterable[Hit], as_json: bool, progress: Meter) -> int:
    """Print hits: on a terminal each as it is found, else all of them when none can fail any more."""
    count = 0
    with Output(common) as whole:
        for hit in hits:
            count += 1
            if whole.is_terminal:
                progress.clear()
                with Output(common) as piece:
                    print_hit(piece, hit, as_json)
            else:
                print_hit(whole, hit, as_json)
    return count


def print_hit(out: Output, hit: Hit, as_json: bool) -> None:
    """Write a line of what `search` shows people, or its JSON."""
    if as_json:
        out.json(hit.shape())
        return
    start, end = hit.span
    matched = out.paint(visible(hit.text[start:end]), "~")
    text = f"{visible(hit.text[:start])}{matched}{visible(hit.text[end:])}"
    place = f"{visible(hit.place)}  " if hit.place else ""
    seq = setter(hit.seq, certain=True, older=hit.older)
    out.line(f"{seq:>8}  {out.paint(f'{hit.kind.value:<{_KIND_ROOM}}', 'dim')}  {place}{text}")


@command("bisect")
@source_command()
@click.argument("expression", metavar="[EXPR]", required=False, shell_complete=complete_expression)
@click.option("--change", metavar="E", help="Find the entries whose change answers this, such as after.x < before.x.")
@click.option(
    "--python",
    metavar="E",
    help="Ask a Python expression with the atoms as names. It is executed: type only what you trust.",
)
@click.option(
    "--at",
    "at_entry",
    metavar="ENTRY",
    shell_complete=complete_entry,
    help="Look only along the line that leads to this entry.",
)
@click.option("--single", is_flag=True, help="It flips once: search in halves.")
@first_options("entries at which the answer changes")
@fail_if_option("an entry where it holds")
@skip_damaged_option
@json_option()
def bisect_command(
    common: Common,
    expression: str | None,
    change: str | None,
    python: str | None,
    at_entry: str | None,
    single: bool,
    most: int | None,
    fail_if: str | None,
    skip_damaged: bool,
    as_json: bool,
) -> int:
    """Find the entries at which EXPR begins or ceases to hold.

    EXPR is JMESPath over the state: `cart.total > 100`, `user.name == "bob"`, `length(cart.items) > 2 && !cart.paid`,
    `sum(cart.items[].price) != cart.total`. Null, false and what is empty do not hold; everything else does.
    With --change it is about each entry, and sees `before`, `after`, `action`, `time` and `meta`.
    """
    given = [text for text in (expression, change, python) if text is not None]
    if len(given) != 1:
        raise click.UsageError("Give one of EXPR, --change E and --python E.")
    if change is not None and (at_entry is not None or single):
        raise click.UsageError("--at and --single go with EXPR and --python, not with --change.")
    ask = _question(expression, change, python, single)
    with opened(common) as history, interruptible() as interruption:
        at = None if at_entry is None else entry_named(common, history, at_entry)
        with shown_progress(common, "asking") as progress:
            found = ask(history, at, most=most, skip_damaged=skip_damaged, progress=progress, cancelled=interruption)
        refuse_doubtful(common, found.doubts, is_answered=bool(found.flips) or interruption())
        with Output(common) as out:
            if as_json:
                out.json(bisection_shape(found, history, given[0]))
            else:
                print_bisection(out, found, history, given[0], most, is_change=change is not None)
        holds = bool(found.holds_first or found.holds_last or any(flip.holds for flip in found.flips))
        is_known = found.complete and not found.failures and not found.single
        code = max(judge(common, history.verdict), gate(fail_if, history.verdict, is_found=holds, is_known=is_known))
        return conclude(common, code, found.problems, interruption)


def _question(
    expression: str | None, change: str | None, python: str | None, single: bool
) -> Callable[..., Bisection]:
    """Return what asks a history the question that was given.

    Raises:
        ExpressionError: it does not parse.
    """
    if change is not None:
        about = ChangeQuestion(change)
        return lambda history, at, **options: changes_where(history, about, **options)
    question = PythonQuestion(python) if python is not None else Expression(expression or "")
    return lambda history, at, **options: bisect(history, question, at=at, assume_single_flip=single, **options)


def bisection_shape(found: Bisection, history: History, expression: str) -> dict[str, Value]:
    """Return what `bisect --json` prints."""
    flips = [_flip_shape(flip, history) for flip in found.flips]
    return {
        "expression": expression,
        "holds_first": found.holds_first,
        "holds_last": found.holds_last,
        "first": flips[0] if flips else None,
        "last": flips[-1] if flips else None,
        "flips": flips,
        "asked": found.asked,
        "avoided": found.avoided,
        "single": found.single,
        "failures": found.failures,
        "failure": found.failure,
        "complete": found.complete,
        "problems": problem_shapes(found.problems),
        "doubts": list(found.doubts),
        **({"dropped": history.told_dropped()} if history.first else {}),
    }


def _flip_shape(flip: Flip, history: History) -> dict[str, Value]:
    entry = history[flip.seq]
    return {
        "seq": flip.seq,
        "parent_seq": flip.parent_seq,
        "holds": flip.holds,
        "old": flip.old,
        "new": flip.new,
        "certain": flip.certain and not entry.doubt,
        **dated(entry),
    }


def _unchanging(found: Bisection, history: History) -> str:
    holds = "holds" if found.holds_first else "does not hold"
    if not found.complete:
        return f"{holds} as far as it was asked"
    if found.single:
        return f"{holds} at the first and the last entry"
    kept = " that is kept" if history.first else ""
    return f"holds at every entry{kept}" if found.holds_first else f"never holds: it does not hold at any entry{kept}"


def print_bisection(
    out: Output, found: Bisection, history: History, expression: str, most: int | None, *, is_change: bool
) -> None:
    """Write what `bisect` shows people."""
    out.line(out.paint(visible(expression), "head"))
    if found.holds_first is None:
        out.line("no entries")
        return
    if not found.flips:
        out.line(_unchanging(found, history))
    for flip in found.flips:
        entry = history[flip.seq]
        mark = out.paint("holds " if flip.holds else "ceases", "+" if flip.holds else "-")
        seq = f"{flip.seq}{'' if flip.certain and not entry.doubt else '?'}"
        # Of a change only what it answers is known, not an answer before.
        values = brief(flip.new) if is_change else brief_change(flip.old, flip.new, 30)
        why = happened(entry.action, caller_of(entry.meta), entry.doubt)
        out.line(f"{seq:>8}  {iso_time(entry.timestamp_ns)}  {mark}  {values}{why}")
    if most is not None and len(found.flips) >= most and not found.complete:
        out.line(out.paint(f"ended after the first {most:,}; there may be more", "dim"))
    if found.failures:
        out.line(f"not answered at {entries(found.failures)}: {visible(found.failure)}")
    out.line(out.paint(f"{entries(found.asked)} rebuilt, {found.avoided:,} left out", "dim"))
