"""How far something is, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from unspool_tui.cli.options import Common


@contextmanager
def shown_progress(common: Common) -> Iterator[Callable[[int, int], None]]:
    """Give what to call with done and total; shows a percentage where standard error is a terminal."""
    is_shown = not common.quiet and sys.stderr is not None and sys.stderr.isatty()
    last = -1

    def show(done: int, total: int) -> None:
        nonlocal last
        share = done * 100 // total if total else 100
        if is_shown and share != last:
            last = share
            click.echo(f"\r{share:3d} %", err=True, nl=False)

    try:
        yield show
    finally:
        if last >= 0:
            click.echo("\r     \r", err=True, nl=False)
