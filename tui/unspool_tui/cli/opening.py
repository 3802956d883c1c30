"""`unspool open`: the terminal UI, or where standard output is no terminal, what `stats` and `log` print."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from unspool.errors import ConfigError
from unspool_tui.cli.options import Common, judge, opened, source_command, stdout_is_terminal

if TYPE_CHECKING:
    from unspool.history.history import History


@click.command("open")
@source_command()
@click.option(
    "--at", "at_entry", type=int, metavar="N", help="Begin at this entry; negative numbers count from the end."
)
@click.option("--no-follow", is_flag=True, help="Do not keep up with a source that grows.")
def command(common: Common, at_entry: int | None, no_follow: bool) -> int:
    """Open SOURCE in the terminal UI."""
    if not stdout_is_terminal():
        with opened(common) as history:
            print_all(common, history, at_entry)
            return judge(common, history.verdict)
    if common.source == "-":
        _give_the_keyboard_back()
    # An entry asked for by number must be there before the screen is.
    with opened(common, follow=not no_follow, wait=at_entry is not None) as history:
        show(common, history, at_entry, follow=not no_follow)
        return judge(common, history.verdict)


def print_all(common: Common, history: History, at_entry: int | None = None) -> None:
    """Print what `stats` and `log` print."""
    # The screen, which is what most calls are for, should not wait for these.
    from unspool_tui.cli.log import print_entries
    from unspool_tui.cli.output import Output
    from unspool_tui.cli.stats import print_stats

    with Output(common) as out:
        if at_entry is not None:
            history.resolve(at_entry)
        print_stats(out, history.stats(), history.source_name)
        out.line()
        print_entries(out, iter(history))


def show(common: Common, history: History, at_entry: int | None, *, follow: bool) -> None:
    """Show a history in the terminal UI until the user leaves."""
    # Textual takes long to import, and no other command needs it.
    from unspool_tui.app import run_app
    from unspool_tui.options import UiOptions

    options = UiOptions(
        ascii=common.ascii or None,
        no_color=None if common.color else True,
        no_mouse=None if common.mouse else True,
        poll=common.poll,
    )
    run_app(history, at=at_entry, follow=follow, options=options)


def _give_the_keyboard_back() -> None:
    """A history piped in takes standard input; the UI needs the terminal there.

    Raises:
        ConfigError: there is no terminal to take keys from.
    """
    if sys.stdin.isatty():
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        raise ConfigError(
            "a history from standard input needs a terminal for the keys; use `unspool log -`"
        ) from None
    piped = os.dup(0)
    os.dup2(terminal, 0)
    os.close(terminal)
    sys.stdin = os.fdopen(piped)
