"""The seed systems' own loads, as the scripts beside this package measure them."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable

from benchmarks.context import Context
from benchmarks.report import Row, absent, alone

TITLE = "The seed systems' loads (targets of the seeds stand in the names)"

_SCRIPTS = ("snapshots_load", "compression_load", "regions_load", "events_load", "health")
_QUICK_SCRIPTS = ("compression_load", "regions_load")
"""Those that take a second or two."""


def run(context: Context) -> list[Row]:
    """Run each script that is there."""
    rows: list[Row] = []
    for name in _QUICK_SCRIPTS if context.quick else _SCRIPTS:
        module = f"benchmarks.{name}"
        if importlib.util.find_spec(module) is None:
            rows.append(absent(name, "no such script yet"))
            continue
        measure: Callable[[], list[tuple[str, float, str]]] = importlib.import_module(module).run
        rows.extend(alone(f"{name}: {what}", value, unit) for what, value, unit in measure())
    return rows
