"""Headless commands, from their start to their exit, over what the bare interpreter takes."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import time

from benchmarks.bytecode import as_installed
from benchmarks.context import ROOT, Context
from benchmarks.measure import median
from benchmarks.report import Row, absent, against, alone

TITLE = "Headless commands: start to exit, over a bare interpreter's"

_RUNS = 15
_MOST_MS = 100.0
_PATIENCE_S = 60.0
_MIDDLE = 20_000
_HEAVY = ("textual", "numpy", "deepdiff")
_BARE = (sys.executable, "-c", "pass")


def run(context: Context) -> list[Row]:
    """Measure `stats` and `log -n 10` on histories of all sizes."""
    if importlib.util.find_spec("unspool_tui.cli.log") is None:
        return [absent("headless commands", "unspool_tui has no `stats` command yet")]
    commands: dict[str, tuple[str, ...]] = {"bare interpreter": _BARE}
    for count in sorted({*context.sizes, _MIDDLE}):
        path = str(context.many(count).path)
        commands[f"stats, {count:,} entries"] = _command("stats", path)
        commands[f"log -n 10, {count:,} entries"] = _command("log", path, "-n", "10")
    times = _interleaved(commands, 5 if context.quick else _RUNS)
    bare = median(times.pop("bare interpreter"))
    rows = []
    for name, taken in times.items():
        over = median(taken) - bare
        rows.append(alone(f"{name}: over the interpreter", over, "ms", most=_MOST_MS))
        rows.append(against(f"{name}: start to exit", median(taken), bare, "ms", "python -c pass"))
    return [*rows, _imports(str(context.many(context.sizes[0]).path))]


def _command(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "unspool_tui.cli", *words)


def _interleaved(commands: dict[str, tuple[str, ...]], runs: int) -> dict[str, list[float]]:
    rng = random.Random(5)
    environment = as_installed(os.environ)
    order = list(commands)
    times: dict[str, list[float]] = {name: [] for name in order}
    for number in range(runs + 1):
        rng.shuffle(order)
        for name in order:
            started = time.perf_counter()
            subprocess.run(
                commands[name], check=True, stdout=subprocess.DEVNULL, cwd=ROOT, env=environment, timeout=_PATIENCE_S
            )
            # The first round fills the page cache and compiles what was edited since.
            if number:
                times[name].append((time.perf_counter() - started) * 1000)
    return times


def _imports(path: str) -> Row:
    """Say which heavy packages the commands import: none is the goal."""
    script = (
        "import sys\nfrom unspool_tui.cli import run\n"
        f"run(['log', {path!r}, '-n', '1'])\nrun(['stats', {path!r}])\n"
        f"print([name for name in {_HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run((sys.executable, "-c", script), check=True, capture_output=True, text=True, cwd=ROOT)
    found = done.stdout.splitlines()[-1]
    return alone(
        "heavy packages imported by log and stats",
        float(found.count("'") // 2),
        "packages",
        most=0,
        note=found.strip("[]"),
    )
