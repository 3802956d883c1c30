"""`python -m benchmarks`: measure against peers, side by side, and write down what came out."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, parts
from benchmarks.context import Context
from benchmarks.jsonl import load_from_file
from benchmarks.loads import Load, synthetic_loads
from benchmarks.markdown import document
from benchmarks.report import PartResult, absent, tally, text_table
from unspool.errors import UnspoolError

DATA_VARIABLE = "UNSPOOL_BENCH_DATA"
_SIZES = (1_000, 100_000, 1_000_000)
_QUICK_SIZES = (1_000, 20_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for, all of them by default; return an exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    unknown = [name for name in options.parts if name not in parts.NAMES]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; parts are {', '.join(parts.NAMES)}")
    try:
        loads = [*synthetic_loads(quick=options.quick), *_loads_from_files(options.load, quick=options.quick)]
    except (OSError, ValueError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    started, load_before = dt.datetime.now(dt.UTC), machine.load_average()
    with tempfile.TemporaryDirectory(prefix="unspool-bench-") as folder:
        seconds = options.seconds if options.seconds is not None else 5.0 if options.quick else 60.0
        sizes = _QUICK_SIZES if options.quick else _SIZES
        context = Context(loads, Path(folder), options.quick, seconds, sizes)
        results = [_run_part(name, context) for name in options.parts or parts.NAMES]
    met, missed = tally(results)
    print(f"\n{met} goals met, {missed} missed")
    facts = machine.facts() | {
        "date": started.strftime("%Y-%m-%d %H:%M UTC"),
        "load average before and after": f"{load_before}, {machine.load_average()}",
    }
    if options.json:
        found = {"facts": facts, "parts": [_as_json(result) for result in results]}
        options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    if options.markdown:
        options.markdown.write_text(document(facts, loads, results))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(parts.NAMES)}; all when none is given")
    add("--quick", action="store_true", help="shorter loads and fewer repeats: a look, no result")
    load_help = f"a history of your own, a state a line (may be repeated); also from ${DATA_VARIABLE}"
    add("--load", type=Path, action="append", default=[], metavar="FILE.jsonl[.zst]", help=load_help)
    add("--seconds", type=float, help="length of the recording that is about stalls (60; quick: 5)")
    add("--json", type=Path, metavar="OUT", help="write all numbers")
    add("--markdown", type=Path, metavar="OUT", help="write the tables")
    return parser


def _loads_from_files(given: list[Path], *, quick: bool) -> list[Load]:
    from_variable = [Path(path) for path in os.environ.get(DATA_VARIABLE, "").split(os.pathsep) if path]
    return [load_from_file(path, quick=quick) for path in (given or from_variable)]


def _run_part(name: str, context: Context) -> PartResult:
    started = time.perf_counter()
    title = name
    try:
        module = parts.part(name)
        title = module.TITLE
        rows = module.run(context)
    except (ImportError, UnspoolError, subprocess.CalledProcessError) as error:
        rows = [absent(name, f"{type(error).__name__}: {error}")]
    taken = time.perf_counter() - started
    print(f"\n{name}: {title} ({taken:.0f} s)\n\n{text_table(rows)}", flush=True)
    return PartResult(name, title, tuple(rows), taken, context.quick)


def _as_json(result: PartResult) -> dict[str, object]:
    rows = [row.to_json() for row in result.rows]
    return {
        "name": result.name,
        "title": result.title,
        "seconds": result.seconds,
        "quick": result.quick,
        "rows": rows,
    }


if __name__ == "__main__":
    sys.exit(main())
