"""A run as a Markdown file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.loads import Load
from benchmarks.report import PartResult, markdown_table, tally

_HOW = """\
Every number comes from one run. Contenders run side by side in random order; where an app would feel it, processor
caches are flushed before each call (24 MB touched). Ratios are what counts: absolute times vary between machines.
`make bench` makes such a run anew; docs/performance.md says how each part measures."""


def document(facts: Mapping[str, str], loads: Sequence[Load], results: Sequence[PartResult]) -> str:
    """Return the whole file."""
    met, missed = tally(results)
    quick = any(result.quick for result in results)
    lines = ["# Measurements", "", f"{facts['date']}. {met} goals met, {missed} missed.", "", _HOW, ""]
    if quick:
        lines += ["**Run with `--quick`: short loads, few repeats. A look, no result.**", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items() if name != "date"), ""]
    lines += ["Loads:", "", *(f"- {load.name}: {load.title}; {load.count:,} states" for load in loads), ""]
    missing = [f"- {row.what}: {_shortfall(row.ours, row.ratio, row.unit)}, goal {row.goal}"
               for result in results for row in result.rows if row.met is False]  # fmt: skip
    if missing:
        lines += ["## Missed", "", *missing, ""]
    for result in results:
        lines += [
            f"## {result.name}",
            "",
            f"{result.title}. {result.seconds:.0f} s.",
            "",
            markdown_table(result.rows),
            "",
        ]
    return "\n".join(lines)


def _shortfall(ours: float | None, ratio: float | None, unit: str) -> str:
    return f"{ratio:.2f}x" if ratio is not None else f"{ours:,.2f} {unit}"
