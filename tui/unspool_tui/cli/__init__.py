"""The `unspool` command line: data on standard output, words on standard error."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final, NoReturn

import click

from unspool.errors import ConfigError, EntryNotFound, PathSyntaxError, UnspoolError
from unspool.model.addresses import without_password
from unspool_tui.cli.ending import end_when_told, is_ending, was_told
from unspool_tui.present.inert import visible

COMMANDS: Final = {
    "open": "opening",
    "demo": "demo",
    "serve": "serve",
    "log": "log",
    "show": "show",
    "shape": "shape",
    "diff": "diff",
    "stats": "stats",
    "blame": "blame",
    "why": "why",
    "search": "search",
    "bisect": "bisect",
    "compare": "compare",
    "bytes": "bytes",
    "convert": "convert",
    "export": "export",
    "events": "events",
    "compact": "compact",
    "vacuum": "vacuum",
    "ship": "ship",
    "doctor": "doctor",
    "simulate": "simulate",
    "check": "check",
    "mcp": "mcp",
    "formats": "formats",
    "completion": "completion",
}
"""Each command's module in this package, which holds a click command named `command`; imported when it is called."""

FINE, FOUND_PROBLEMS, WRONG_USAGE, UNREADABLE, INTERRUPTED = 0, 1, 2, 3, 130
COLLECT_AFTER: Final = 50_000
"""Objects made until the garbage collector looks at them; a start makes thousands that all stay."""
_OWN_OPTIONS: Final = ("--help", "-h", "--version")
_DEFAULT: Final = "open"
_LAST_FAILED: Final = "--last-failed"
_MOST_TABS: Final = 9


class CommandLine(click.Group):
    """A group whose commands are imported when they are called; a source alone means `open`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = import_module(f"unspool_tui.cli.{module}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `open` before a source that stands alone, and what tests left in the place of `--last-failed`."""
        if args and args[0] == _LAST_FAILED:
            args = _with_last_failed(args[1:])
        if args and args[0] not in COMMANDS and args[0] not in _OWN_OPTIONS:
            self._refuse_misspelt_command(ctx, args[0])
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; whoever stops reading its output is no error, which click would exit with 1 for."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _let_go_of_standard_output()
            return FINE

    @staticmethod
    def _refuse_misspelt_command(ctx: click.Context, word: str) -> None:
        if word.startswith("-") or ":" in word or os.path.lexists(word):
            return
        import difflib

        near = difflib.get_close_matches(word, COMMANDS, n=1, cutoff=0.7)
        if near:
            raise click.UsageError(f"There is no command and no file {word!r}. Did you mean {near[0]!r}?", ctx)


def _with_last_failed(args: list[str]) -> list[str]:
    """Return a command line over what tests recorded that failed last; see `unspool.bridges.test_runs`.

    Raises:
        UnreadableSource: no test left anything, or none failed.
    """
    from pathlib import Path

    from unspool.bridges.test_runs import TestRuns
    from unspool.errors import UnreadableSource

    runs = TestRuns.nearest(Path.cwd())
    failed = runs.failed()
    if not failed:
        raise UnreadableSource(f"{runs.folder}: no test failed in the last run with --unspool")
    sources = [str(runs.place_of(run)) for run in failed]
    green = runs.green(failed[0])
    command, rest = (args[0], args[1:]) if args and args[0] in COMMANDS else (_DEFAULT, args)
    if command == _DEFAULT and len(failed) > 1:
        return [command, *sources[:_MOST_TABS], *rest]
    if len(failed) > 1:
        click.echo(f"unspool: the first of {len(failed)} tests that failed: {visible(failed[0].test)}", err=True)
    if command == "compare" and green is None:
        raise UnreadableSource(f"{failed[0].test}: there is no green run of it to compare with; pass it once")
    beside = [str(green)] if green is not None and command in ("compare", _DEFAULT) else []
    return [command, sources[0], *beside, *rest]


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"unspool {version('unspool')}")
        ctx.exit()


@click.command(
    cls=CommandLine,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="SOURCE is a file or directory, - for standard input, git:REPO:PATH[@REV], merge:PATH:PATH, or "
    "postgresql://USER@HOST/DATABASE[?history=NAME]. "
    "`unspool SOURCE` is short for `unspool open SOURCE`.",
)
@click.option(
    _LAST_FAILED,
    is_flag=True,
    expose_value=False,
    help="In the place of a command's SOURCE: what the test recorded that failed last; see docs/bridges.md.",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version."
)
def cli() -> None:
    """Go back to any state that an application went through."""


def exit_code_of(error: UnspoolError) -> int:
    """Return the exit code for an error: wrong usage, or a source that cannot be read."""
    return WRONG_USAGE if isinstance(error, ConfigError | EntryNotFound | PathSyntaxError) else UNREADABLE


def run(args: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        args: words after the program's name; those of the process when None.
    """
    try:
        code = cli.main(list(args) if args is not None else None, prog_name="unspool", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return WRONG_USAGE
    except click.UsageError as error:
        click.echo(f"unspool: {_in_one_line(error)}", err=True)
        return WRONG_USAGE
    except click.ClickException as error:
        click.echo(f"unspool: {visible(error.format_message())}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return was_told() or INTERRUPTED
    except UnspoolError as error:
        click.echo(f"unspool: {visible(without_password(str(error)))}", err=True)
        return exit_code_of(error)
    except OSError as error:
        _tell_refused(error)
        return UNREADABLE
    return code if isinstance(code, int) else FINE


def _tell_refused(error: OSError) -> None:
    """Say what the operating system refused; what has no file's name is standard output."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        click.echo(
            "unspool: no file descriptor is left; close other programs, or raise the limit (ulimit -n)", err=True
        )
        return
    name = error.filename
    # `bytes` is one of this package's modules here.
    place = "standard output" if name is None else visible(str(name) if isinstance(name, int) else os.fsdecode(name))
    remedy = "free some space" if name is None else "check its name, its folder and its permissions"
    click.echo(f"unspool: {place}: {error.strerror or error}; {remedy}", err=True)


def _in_one_line(error: click.UsageError) -> str:
    """Return what click says of wrong usage, and where to look it up."""
    said = " ".join(error.format_message().split()).rstrip(".")
    command = error.ctx.command_path if error.ctx is not None else "unspool"
    return f"{visible(said)}; see `{command} --help`"


def _let_go_of_standard_output() -> None:
    """Whoever read our output went away, or its disk is full: what is still buffered must not fail again when the interpreter ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def main() -> None:
    """Run the command line of this process."""
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    try:
        end_when_told()
        code = run()
        is_ending()
    except KeyboardInterrupt:
        # Told before the command began, or just as it was over.
        is_ending()
        code = was_told() or INTERRUPTED
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go_of_standard_output()
    except OSError as error:
        _let_go_of_standard_output()
        if code != UNREADABLE:
            _tell_refused(error)
            code = UNREADABLE
    if "unspool_tui.window" in sys.modules or was_told():
        _leave_at_once(was_told() or code)
    sys.exit(code)


def _leave_at_once(code: int) -> NoReturn:
    """End the process now: nobody waits for what its worker is in the middle of, or for memory to be freed."""
    import atexit

    atexit._run_exitfuncs()
    # The terminal itself may be what went away.
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(code)
