"""`unspool completion`: the script that a shell needs to complete our command line."""

from __future__ import annotations

import click

from unspool.errors import ConfigError
from unspool_tui.cli.output import Output


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
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
