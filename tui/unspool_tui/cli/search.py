"""`unspool search`: where keys, values or paths match, over all entries."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

import click

from unspool.model.paths import format_path
from unspool.model.values import Value
from unspool_tui.cli.asking import conclude, entries, first_options, refuse_doubtful, setter, skip_damaged_option
from unspool_tui.cli.completion import complete_expression
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.options import Common, json_option, judge, opened, source_command
from unspool_tui.cli.output import Output
from unspool_tui.cli.progress import Meter, shown_progress
from unspool_tui.present import humane
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.query.search import Asked
    from unspool.query.search_hits import Hit


@click.command("search")
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
    skip_damaged: bool,
    as_json: bool,
) -> int:
    """Find TEXT in keys, values and paths of all entries, each hit at the entry where it appears.

    `qty > 3` compares the values at every path that ends in `qty`. Upper case counts only where TEXT has some.
    """
    from unspool.query.search import search
    from unspool.query.search_hits import MOST_HITS

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
            click.echo(f"unspool: {humane.count(found, 'hit')} in {among}", err=True)
        return conclude(common, judge(common, history.verdict), running.problems, interruption)


def _query(text: str | None, expr: str | None, change: str | None, python: str | None, regex: bool) -> Asked:
    """Return what is looked for.

    Raises:
        ExpressionError: an expression or pattern does not parse.
    """
    from unspool.query.changes import ChangeQuestion
    from unspool.query.expressions import Expression
    from unspool.query.python_questions import PythonQuestion
    from unspool.query.search import PatternQuery, parse_query

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
                    _print_hit(piece, hit, as_json)
            else:
                _print_hit(whole, hit, as_json)
    return count


def _print_hit(out: Output, hit: Hit, as_json: bool) -> None:
    if as_json:
        out.json(hit_shape(hit))
        return
    start, end = hit.span
    matched = out.paint(visible(hit.text[start:end]), "~")
    text = f"{visible(hit.text[:start])}{matched}{visible(hit.text[end:])}"
    place = "" if hit.kind == "path" else f"{visible(format_path(hit.path, root=''))}  "
    seq = setter(hit.seq, certain=True, older=hit.older)
    out.line(f"{seq:>8}  {out.paint(f'{hit.kind.value:<6}', 'dim')}  {place}{text}")


def hit_shape(hit: Hit) -> dict[str, Value]:
    """Return one line of `search --json`."""
    return {
        "seq": hit.seq,
        "kind": hit.kind.value,
        "atom": hit.atom,
        "path": format_path(hit.path),
        "text": hit.text,
        "span": list(hit.span),
        **({"older": True} if hit.older else {}),
    }
