"""The `unspool` command line: data on standard output, words on standard error."""

from __future__ import annotations

import errno
import gc
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

import click

from unspool import __version__
from unspool.errors import (
    ConfigError,
    EntryNotFound,
    PathSyntaxError,
    UnreadableSource,
    UnspoolError,
    without_password,
)
from unspool.query import SEARCHED
from unspool_tui.cli.ending import end_when_told, is_ending, was_told
from unspool_tui.cli.help_pages import write_first_screen
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class CommandEntry(NamedTuple):
    """A command that is imported when it is called.

    Attributes:
        module: its module in this package, which holds a click command of its name and `_command`.
        summary: the first sentence of its help.
    """

    module: str
    summary: str


COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "open": CommandEntry("opening", "Open each SOURCE in the terminal UI, side by side as tabs."),
    "demo": CommandEntry("opening", "Watch a small shop that records itself live."),
    "run": CommandEntry(
        "live",
        "Run a program and record what it does to the objects that are watched; it needs no line of unspool in it.",
    ),
    "attach": CommandEntry(
        "live",
        "Record a Python program that is running, by its PID, until Ctrl-C; without a PID, list those that can be attached to.",
    ),
    "serve": CommandEntry(
        "serve", "Open each SOURCE in a web browser, side by side as tabs; each visitor gets a screen of their own."
    ),
    "listen": CommandEntry(
        "serve",
        "Record stores of running apps, each into a file of its own in DIR, and let the screen put them back.",
    ),
    "step": CommandEntry(
        "step",
        "Step through SOURCE by typed lines, answered in plain sentences: for screen readers, and over a pipe.",
    ),
    "log": CommandEntry("log", "List the entries, oldest first: all of them, one, or those from A to B."),
    "show": CommandEntry("log", "Print the state at ENTRY, the newest one unless another is named."),
    "shape": CommandEntry(
        "log",
        "Tell what the state is made of: fields, kinds, how many, in what ranges; of the whole, or of what stands at PATH.",
    ),
    "diff": CommandEntry("diff", "Show what entry A did, or the changes from entry A to entry B."),
    "stats": CommandEntry(
        "log", "Print counts, chains, sizes, ratio, codecs, bytes by atom, rebuild times and cache."
    ),
    "blame": CommandEntry(
        "blame", "Name the entry that last set each value of the state, or each one at and below PATH."
    ),
    "why": CommandEntry(
        "blame",
        "Tell the chain of causes behind the value at PATH: who wrote it, what explains it, who wrote that, and so on.",
    ),
    "search": CommandEntry(
        "search", f"Find TEXT in {SEARCHED} of all entries, each hit at the entry where it appears."
    ),
    "bisect": CommandEntry("search", "Find the entries at which EXPR begins or ceases to hold."),
    "compare": CommandEntry(
        "diff", "Name the first entry at which SOURCE (A) and B differ, and who set what differs in each."
    ),
    "note": CommandEntry(
        "notes", "Write a note on ENTRY, or on the value at PATH there; the history itself is not changed."
    ),
    "notes": CommandEntry(
        "notes",
        "List the notes that people wrote on SOURCE, by entry; those whose entry is not there any more come last.",
    ),
    "bytes": CommandEntry("disk_usage", "Tell which atoms, paths, actions and codecs the bytes of a history go to."),
    "convert": CommandEntry("export", "Keep SOURCE as the native file OUT."),
    "export": CommandEntry("export", "Write SOURCE to the file OUT; - is standard output."),
    "share": CommandEntry(
        "export",
        "Write some entries of SOURCE to hand on, with the notes on them, without what is nobody else's business.",
    ),
    "events": CommandEntry("events", "Keep the history of source files, and verify, export and import event logs."),
    "jump": CommandEntry(
        "travel",
        "Have the program that records into FILE go on from ENTRY: a number, -1 (from the end), a time, words of its action.",
    ),
    "skip": CommandEntry(
        "travel",
        "Have the store that is recorded into FILE work its state out without the actions of some entries, or with them again.",
    ),
    "pause": CommandEntry("travel", "Have nothing recorded into FILE until `resume`; the program itself runs on."),
    "resume": CommandEntry("travel", "Have the program record into FILE again."),
    "replay": CommandEntry("travel", "Record what would have been without some entries, as a fork of FILE."),
    "compact": CommandEntry(
        "disk_usage",
        "Write the history FILE anew to OUT, as small as it gets; every entry is verified, FILE is never changed.",
    ),
    "vacuum": CommandEntry(
        "disk_usage", "Free FILE of empty pages; it is replaced by a verified copy, or left as it is."
    ),
    "ship": CommandEntry(
        "export",
        "Ship what recorders of histories in PostgreSQL left on this machine; all spools when none is named.",
    ),
    "doctor": CommandEntry(
        "doctor", "Verify every chain and checksum of SOURCE; exit with 1 when something is wrong."
    ),
    "simulate": CommandEntry(
        "disk_usage", "Print what each strategy and codec would cost on SOURCE, and which to use."
    ),
    "check": CommandEntry(
        "doctor",
        "Look for faults of the app: oscillation, thrash, leaks, overwritten values, drifting types, ids that stand twice, tables that leak, relations between values that break, and rules of your own.",
    ),
    "mcp": CommandEntry(
        "serve",
        "Answer questions about each SOURCE over standard input and output, as an MCP server; a SOURCE is only read.",
    ),
    "formats": CommandEntry("export", "List the formats that can be opened; their names are what --format takes."),
    "schema": CommandEntry(
        "json_schemas",
        "Print the JSON Schema of what a command prints with --json; without a NAME, list the names.",
    ),
    "completion": CommandEntry("options", "Print the completion script for SHELL."),
}
"""All commands, in the order of the help. A test holds the summaries to the commands' own help."""

FINE, FOUND_PROBLEMS, WRONG_USAGE, UNREADABLE, INTERRUPTED = 0, 1, 2, 3, 130
COLLECT_AFTER: Final = 50_000
"""Objects made until the garbage collector looks at them; a start makes thousands that all stay."""
_OWN_OPTIONS: Final = ("--help", "-h", "--version")
_WORDS: Final = {"help": "--help", "version": "--version", "-V": "--version"}
"""What people type as commands; a file of that name goes first."""
_MEANT: Final[Mapping[str, str]] = {
    "annotate": "blame", "cat": "show", "checkout": "jump", "cmp": "compare", "du": "bytes", "dump": "export",
    "find": "search", "fsck": "doctor", "grep": "search", "head": "log", "history": "log", "import": "convert",
    "info": "stats", "list": "log", "ls": "log", "merge": "open --merge", "mv": "convert", "print": "show",
    "ps": "attach", "record": "run", "repair": "doctor --repair", "rewind": "jump", "set-by": "blame", "size": "bytes",
    "status": "stats", "tail": "log --follow", "trace": "run", "tui": "open", "ui": "open", "undo": "jump",
    "verify": "doctor", "view": "open", "watch": "open", "web": "serve", "who": "blame",
}  # fmt: skip
"""What people type who know other tools, and the command that does it here."""
_MANY: Final = ("open", "compare", "serve")
"""Commands that read several sources, in any order."""
_MOST_FILES: Final = 5_000
_ALL_COMMANDS: Final = "unspool.all_commands"
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
        listed = COMMANDS.get(cmd_name)
        if listed is None:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{listed.module}"), f"{cmd_name}_command")
        return command

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one screen; `unspool help` writes a line for every command."""
        if ctx.meta.get(_ALL_COMMANDS):
            super().format_help(ctx, formatter)
        else:
            write_first_screen(formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        limit = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl([(name, _shortened(listed.summary, limit)) for name, listed in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command without importing any."""
        # Only a shell that completes needs it.
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=_shortened(listed.summary))
            for name, listed in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        options = click.Command.shell_complete(self, ctx, incomplete)
        if not names or options:
            # A source may stand in the place of a command; the shell knows the names of files best.
            return options or [CompletionItem(incomplete, type="file")]
        # Bash takes either words or files: beside commands, files are words.
        with os.scandir() as found:
            files = [item.name for item in islice(found, _MOST_FILES) if item.name.startswith(incomplete)]
        return [*names, *(CompletionItem(name) for name in sorted(files) if name.isprintable() and " " not in name)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `open` before a source that stands alone, and what tests left in the place of `--last-failed`."""
        if args and args[0] == _LAST_FAILED:
            args = _with_last_failed(args[1:])
        if args and args[0] in _WORDS and not os.path.lexists(args[0]):
            ctx.meta[_ALL_COMMANDS] = args == ["help"]
            if args[1:] and args[1] not in COMMANDS:
                self._refuse_misspelt_command(ctx, [args[1], "--help"])
            args = [*args[1:2], _WORDS[args[0]]]
        if args and args[0] not in COMMANDS and args[0] not in _OWN_OPTIONS:
            self._refuse_misspelt_command(ctx, args)
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
    def _refuse_misspelt_command(ctx: click.Context, args: Sequence[str]) -> None:
        """Refuse a first word that is neither a command nor a source, before it is taken for a source.

        Args:
            ctx: of the call.
            args: its words; the first is no command.

        Raises:
            UsageError: it names the command that was probably meant.
        """
        word = args[0]
        if word.startswith("-") or set(word) & set(":./\\") or os.path.lexists(word):
            return
        import difflib  # only a misspelt command needs it

        meant = _MEANT.get(word) or next(iter(difflib.get_close_matches(word, COMMANDS, n=1, cutoff=0.6)), "")
        if meant or len(args) > 1:
            hint = f" Did you mean {meant!r}?" if meant else ""
            raise click.UsageError(f"There is no command and no file {word!r}.{hint}", ctx)


def _shortened(summary: str, limit: int = 45) -> str:
    return click.Command(None, help=summary).get_short_help_str(limit)


def _with_last_failed(args: list[str]) -> list[str]:
    """Return a command line over what tests recorded that failed last; see `unspool.bridges.test_runs`.

    Raises:
        UnreadableSource: no test left anything, or none failed.
    """
    from pathlib import Path  # only --last-failed needs it

    from unspool.bridges.test_runs import TestRuns  # only --last-failed needs it

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
        click.echo(f"unspool {__version__}")
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
    words = sys.argv[1:] if args is None else list(args)
    say = _Refusals(words)
    try:
        code = cli.main(list(words), prog_name="unspool", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return WRONG_USAGE
    except click.UsageError as error:
        return say.refused(_in_one_line(error, words), "UsageError", WRONG_USAGE)
    except click.ClickException as error:
        return say.refused(visible(error.format_message()), type(error).__name__, error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return say.interrupted()
    except UnspoolError as error:
        told = visible(without_password(str(error)))
        return say.refused(told + say.swapped(error), type(error).__name__, exit_code_of(error))
    except OSError as error:
        _tell_refused(error)
        return UNREADABLE
    return code if isinstance(code, int) else FINE


class _Refusals:
    """Says why a command line was refused: in a line for people, or as JSON where the command was asked for JSON."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def refused(self, message: str, kind: str, code: int) -> int:
        """Say it on standard error, and return the exit code."""
        if "--json" in self._words:
            from unspool.model.json_text import to_json  # only a refused --json needs it

            click.echo(to_json({"error": {"type": kind, "message": message, "exit_code": code}}), err=True)
        else:
            click.echo(f"unspool: {message}", err=True)
        return code

    def interrupted(self) -> int:
        """Say so where it was Ctrl-C, and return the exit code."""
        code = was_told() or INTERRUPTED
        return self.refused("interrupted", "Interrupted", code) if code == INTERRUPTED else code

    def swapped(self, error: UnspoolError) -> str:
        """Return what is to be said of operands in the wrong order; "" where they are not."""
        if not isinstance(error, UnreadableSource) or "no such file" not in str(error) or self._words[0] in _MANY:
            return ""
        first = next((word for word in self._words[1:] if not word.startswith("-")), "")
        if visible(first) not in str(error):
            return ""
        there = [word for word in self._words[1:] if not word.startswith("-") and os.path.isfile(word)]  # noqa: PTH113
        return f"; SOURCE comes first: is it {visible(there[0])}?" if there and self._words[0] in COMMANDS else ""


def _tell_refused(error: OSError) -> None:
    """Say what the operating system refused; what has no file's name is standard output."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        click.echo(
            "unspool: no file descriptor is left; close other programs, or raise the limit (ulimit -n)", err=True
        )
        return
    name = error.filename
    place = "standard output" if name is None else visible(str(name) if isinstance(name, int) else os.fsdecode(name))
    remedy = "free some space" if name is None else "check its name, its folder and its permissions"
    click.echo(f"unspool: {place}: {error.strerror or error}; {remedy}", err=True)


def _in_one_line(error: click.UsageError, words: Sequence[str]) -> str:
    """Return what click says of wrong usage, and where to look it up."""
    said = " ".join(error.format_message().split()).rstrip(".")
    named = f"unspool {words[0]}" if words and words[0] in COMMANDS else "unspool"
    command = error.ctx.command_path if error.ctx is not None else named
    if isinstance(error, click.NoSuchOption) and words and words[0] == error.option_name:
        # It stands where a command would, so the options of all commands are meant too.
        import difflib  # only a misspelt option needs it

        own = {option.lower(): option for option in (*_OWN_OPTIONS, *_WORDS) if option.startswith("-")}
        near = difflib.get_close_matches(error.option_name.lower(), own, n=1, cutoff=0.8)
        if near:
            said, command = f"No such option {error.option_name!r}. Did you mean {own[near[0]]!r}?", "unspool"
    said = re.sub(r" is not a valid boolean\b.*", " is neither yes nor no: write 1 or 0", said)
    for kind, meant in _NUMBERS.items():
        said = said.replace(f" is not a valid {kind}", f" is no {meant}")
    return f"{visible(said)}; see `{command} --help`"


_NUMBERS: Final = {
    "integer range": "whole number", "integer": "whole number", "float range": "number", "float": "number"
}  # fmt: skip
"""What click calls numbers, and what people do."""


def _let_go_of_standard_output() -> None:
    """Whoever read our output went away, or its disk is full: what is still buffered must not fail again when the interpreter ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _hold_standard_streams() -> None:
    """Have what we were started without (`>&-`) be the null device: a file opened later would take its number, and be written to."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= _STANDARD_ERROR:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    for name, at, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", _STANDARD_ERROR, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(at, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - open as long as the process


_STANDARD_ERROR: Final = 2


def main() -> None:
    """Run the command line of this process."""
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    _hold_standard_streams()
    try:
        end_when_told()
        code = run()
        is_ending()
    except KeyboardInterrupt:
        # Told before the command began, or just as it was over.
        is_ending()
        code = _Refusals(sys.argv[1:]).interrupted()
    try:
        # The package `mcp` closes it with the session.
        if not sys.stdout.closed:
            sys.stdout.flush()
    except BrokenPipeError:
        _let_go_of_standard_output()
    except OSError as error:
        _let_go_of_standard_output()
        if code != UNREADABLE:
            _tell_refused(error)
            code = UNREADABLE
    if "unspool_tui.app" in sys.modules or was_told():
        _leave_at_once(was_told() or code)
    sys.exit(code)


def _leave_at_once(code: int) -> NoReturn:
    """End the process now: nobody waits for what its worker is in the middle of, or for memory to be freed."""
    import atexit  # only an app that ends needs it

    atexit._run_exitfuncs()
    # The terminal itself may be what went away.
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(code)
