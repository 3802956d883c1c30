"""The parts of a run, one module each; every module has a `TITLE` and a `run(context)`."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

from benchmarks.context import Context
from benchmarks.report import Row

NAMES = (
    "record",
    "stall",
    "capture",
    "postgres",
    "size",
    "read",
    "step",
    "open",
    "follow",
    "live",
    "travel",
    "listen",
    "formats",
    "delta",
    "questions",
    "tui",
    "start",
    "seeds",
)


class Part(Protocol):
    """What a module here offers."""

    TITLE: str

    def run(self, context: Context) -> list[Row]:
        """Measure."""


def part(name: str) -> Part:
    """Return a part by name; imported late, so that one part's peers do not weigh on another's memory."""
    module: Part = import_module(f"benchmarks.parts.{name}")
    return module
