"""`unspool check`: what a history tells about faults of the app that made it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from unspool.sources.timestamps import iso_time
from unspool_tui.cli.asking import conclude, happened
from unspool_tui.cli.ending import interruptible
from unspool_tui.cli.options import Common, json_option, judge, opened, source_command
from unspool_tui.cli.output import Output
from unspool_tui.cli.progress import shown_progress
from unspool_tui.cli.shapes import check_shape
from unspool_tui.present import humane
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.query.checkers import CheckReport

_NOT_CHECKED: Final = 2
"""The exit code where a rule can hardly be meant as it is written, a checker failed or entries do not read."""
_STYLES: Final = {"error": "-", "info": "dim"}
_SHOWN_TOGETHER: Final = 3
"""Findings of one checker at one entry that are printed; `--json` has them all."""


@click.command("check")
@source_command()
@click.option(
    "--rules", "rules_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="A TOML file of rules and invariants; without it the usual checkers run with their usual limits.",
)  # fmt: skip
@click.option(
    "--severity", type=click.Choice(["error", "warning", "info"]), default="warning",
    help="Exit with 1 where something at least so severe is found; warning by default.",
)  # fmt: skip
@click.option(
    "--mine",
    is_flag=True,
    help="Look for relations between values that held for long and break; with --rules for these too.",
)
@json_option()
def check_command(common: Common, rules_file: Path | None, severity: str, mine: bool, as_json: bool) -> int:
    """Look for faults of the app: oscillation, thrash, leaks, overwritten values, drifting types, ids that stand twice,
    tables that leak, relations between values that break, and rules of your own. Exit with 1 when some are found.
    """
    from unspool.query.checkers import MINED, check, read_rules

    rules = None if rules_file is None else read_rules(rules_file)
    if mine:
        rules = (*(rules or ()), MINED)
    with opened(common) as history:
        with shown_progress(common, "checking") as progress, interruptible() as interruption:
            report = check(history, rules, progress=progress, cancelled=interruption)
        with Output(common) as out:
            if as_json:
                out.json(check_shape(report))
            else:
                _print_report(out, report)
        code = 1 if report.matters(severity) else _NOT_CHECKED if report.doubts or not report.complete else 0
        return conclude(common, max(code, judge(common, history.verdict)), (), interruption)


def _print_report(out: Output, report: CheckReport) -> None:
    from unspool.query.checkers import together

    total = sum(report.counts.values())
    found = humane.count(total, "finding") if total else "no findings"
    out.line(out.paint(f"{visible(report.source)}: {found} in {report.entries} entries", "head"))
    for group in together(report.findings):
        for finding in group[:_SHOWN_TOGETHER]:
            begun = "" if finding.since == finding.seq else f" since {finding.since}"
            place = out.paint(visible(finding.path), "name")
            grave = (
                "" if finding.severity == "warning" else f"{out.paint(finding.severity, _STYLES[finding.severity])}  "
            )
            told = f"  {finding.seq}{begun}  {grave}{visible(finding.checker)}  {place}: {visible(finding.message)}"
            time = iso_time(finding.timestamp_ns)
            out.line(f"{told}  {out.paint(time, 'dim')}{happened(finding.action, finding.caller)}")
        if len(group) > _SHOWN_TOGETHER:
            out.line(
                f"  {group[0].seq}  and {len(group) - _SHOWN_TOGETHER} more of {visible(group[0].checker)} there"
            )
    for name, count in report.counts.items():
        listed = sum(finding.checker == name for finding in report.findings)
        if count > listed:
            out.line(f"  and {count - listed} more of {visible(name)}")
    for problem in (*report.doubts, *report.problems):
        out.line(f"  {out.paint('not checked', '-')}: {visible(problem)}")
