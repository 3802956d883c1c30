"""`unspool search`: where keys, values or paths match, over all entries."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

import click

from unspool.model.paths import format_path
from unspool.model.values import Value
from unspool_tui.cli.asking import conclude, entries, refuse_doubtful, skip_damaged_option
from unspool_tui.cli.completion import complete_expression
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.options import Common, json_option, judge, opened, source_command
from unspool_tui.cli.output import Output
from unspool_tui.cli.progress import Meter, shown_progress
from unspool_tui.present import humane
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.query.expressions import Expression
    from unspool.query.search_hits import Hit
    from unspool.query.search_queries import Query


@click.command("search")
@source_command()
@click.argument("text", metavar="[TEXT]", required=False)
@click.option(
    "--expr",
    metavar="E",
    shell_complete=complete_expression,
    help="Find results of this JMESPath expression, such as items[?qty > 3].",
)
@click.option("--regex", is_flag=True, help="TEXT is a regular expression.")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="End after N hits.")
@skip_damaged_option
@json_option("Print JSON Lines.")
def command(
    common: Common,
    text: str | None,
    expr: str | None,
    regex: bool,
    limit: int | None,
    skip_damaged: bool,
    as_json: bool,
) -> int:
    """Find TEXT in keys, values and paths of all entries, each hit at the entry where it appears.

    `qty > 3` compares the values at every path that ends in `qty`. Upper case counts only where TEXT has some.
    """
    from unspool.query.expressions import Expression
    from unspool.query.search import search

    query = _query(text, expr, regex)
    with opened(common) as history, interruptible() as interruption:
        with shown_progress(common, "searching") as progress:
            running = search(history, query, skip_damaged=skip_damaged, cancelled=interruption, progress=progress)
            found = _print_hits(common, islice(running, limit), as_json, progress)
        if isinstance(query, Expression):
            refuse_doubtful(common, query.watch.doubts(), is_answered=bool(found) or interruption())
        if not common.quiet and not as_json:
            among = f"{running.looked_at:,} of {entries(len(history))}"
            click.echo(f"unspool: {humane.count(found, 'hit')} in {among}", err=True)
        return conclude(common, judge(common, history.verdict), running.problems, interruption)


def _query(text: str | None, expr: str | None, regex: bool) -> Query | Expression:
    """Return what is looked for.

    Raises:
        ExpressionError: an expression or pattern does not parse.
    """
    from unspool.query.expressions import Expression
    from unspool.query.search import PatternQuery, parse_query

    if (text is None) == (expr is None):
        raise click.UsageError("Give either TEXT or --expr E.")
    if expr is not None:
        if regex:
            raise click.UsageError("--regex goes with TEXT, not with --expr.")
        return Expression(expr)
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
    out.line(f"{hit.seq:>8}  {out.paint(f'{hit.kind.value:<6}', 'dim')}  {place}{text}")


def hit_shape(hit: Hit) -> dict[str, Value]:
    """Return one line of `search --json`."""
    return {
        "seq": hit.seq,
        "kind": hit.kind.value,
        "atom": hit.atom,
        "path": format_path(hit.path),
        "text": hit.text,
        "span": list(hit.span),
    }
