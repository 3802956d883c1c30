"""`unspool completion`: the script that a shell needs to complete our command line, and what it offers for paths."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from unspool.errors import ConfigError, UnspoolError
from unspool_tui.cli.output import Output

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.history.view import StateView


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script for SHELL.

    For bash: unspool completion bash > ~/.local/share/bash-completion/completions/unspool
    """
    from click.shell_completion import get_completion_class

    from unspool_tui.cli import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise ConfigError(f"there is no completion for {shell}")
    with Output() as out:
        out.raw(kind(cli, {}, "unspool", "_UNSPOOL_COMPLETE").source().rstrip("\n"))


def complete_path(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the paths into the source's newest state that begin with what is typed."""
    from unspool.query.path_completion import completions

    return _offered(context, typed, completions)


def complete_expression(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return what an expression that ends in a path may go on with."""
    from unspool.query.path_completion import expression_completions

    return _offered(context, typed, expression_completions)


def complete_atom(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the names of atoms of the source's newest state that begin with what is typed."""
    return _offered(context, typed, lambda state, text: [name for name in state if name.startswith(text)])


def _offered(context: click.Context, typed: str, offer: Callable[[StateView, str], list[str]]) -> list[str]:
    """Return what is offered for the state a command line asks about; nothing where its source cannot be read."""
    from unspool_tui.cli.options import Common, opened

    given: dict[str, Any] = context.params
    if given.get("source") is None and context.args:
        # An option whose value is being typed ends click's reading, before the words that are no options are assigned.
        read = context.command.make_context("", list(context.args), context.parent, resilient_parsing=True)
        given = read.params
    named = {name: given[name] for name in ("identity", "folds", "select", "time") if given.get(name)}
    common = Common(given.get("source") or "", format=given.get("source_format"), quiet=True, **named)
    if common.source in ("", "-"):
        return []
    try:
        with opened(common, wait=False) as history:
            _read_awhile(history)
            number = given.get("at_entry", given.get("entry"))
            state = history.view(-1 if number is None else number)
            # A shell takes a line for each, and shows it as it is.
            return [text for text in offer(state, typed) if text.isprintable()]
    except UnspoolError:
        return []


def _read_awhile(history: History) -> None:
    """Wait until a source is read, but not for long: its earlier states have much the same paths."""
    deadline = time.monotonic() + _PATIENCE_S
    while not history.progress.is_finished and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
    history.cancel_reading()


_PATIENCE_S: Final = 1.0
_PAUSE_S: Final = 0.005
