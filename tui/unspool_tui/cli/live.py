"""`unspool run` and `unspool attach`: record a program that nobody instrumented.

They exist on the command line only: no visitor of `serve` and no question of an agent can start a program or reach into one.
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import click
from click.shell_completion import CompletionItem

from unspool.errors import ConfigError, UnspoolError
from unspool.live import agent_source, attach_text
from unspool.live.attach import Attachment
from unspool.live.host import Host, ProgramListener, WatchableObject
from unspool.live.launch import (
    Wanted,
    code_of,
    command_line,
    folder_of,
    name_of,
    require_program,
    signals_passed_on,
    start,
)
from unspool.live.processes import Process, processes
from unspool.live.sampling import py_spy
from unspool.live.sampling import sample as take_samples
from unspool.recorder import Recorder
from unspool.system import require_local_sockets
from unspool_tui.cli.ending import was_told
from unspool_tui.cli.help_pages import FiniteRange, command
from unspool_tui.cli.opening import show
from unspool_tui.cli.options import Common, opened, stdout_is_terminal
from unspool_tui.cli.output import Output
from unspool_tui.cli.program_terminal import ProgramTerminal, TerminalStatus
from unspool_tui.live_programs import Message
from unspool_tui.rendering.sanitize import visible

_SUFFIX: Final = ".unspool"
_MOST_NAMES: Final = 999
_SHOWN_FOUND: Final = 10
_AGENT: Final = "agent.py"
_MOST_HELP: Final = 60
"""Letters of a command line beside a number that is completed."""
_NOTES: Final = ("sql", "http", "log")
_FOUND_NONE, _UNREADABLE = 1, 3
_NO_IDENTIFIERS: Final = ("*", "<locals>", "<lambda>")
"""Parts of a name that stand for all there is, or are what Python calls it."""
_SWEEP: Final = "sweep"
_STORES: Final = "--stores"
_NOTHING_FOUND: Final = (
    "nothing that can be named changed; name what to record: --watch module:NAME, module:function.variable, or @Class"
)
_SPELT: Final = {"behind": "--when-behind"}
"""Options that are called otherwise than what they say of a program."""

_WANTED: Final = (
    click.option("--watch", multiple=True, metavar="NAME",
                 help="What to record: name, module:NAME, module:NAME.attribute, module:function.variable, module:Class, or @Class for all of its instances; repeatable."),
    click.option("--settle", type=click.Choice(["statement", "line", "return", "call"]), default="statement",
                 help="When an entry is made: at each statement that changes something, line, return of a function, or call from outside."),
    click.option("--trace", multiple=True, metavar="module:function", help="Make each call of a function an entry; repeatable."),
    click.option("--when", metavar="EXPR", help="Record only while this holds, such as 'len(CART.items) > 3'."),
    click.option("--prefix", multiple=True, type=click.Path(exists=True, file_okay=False), help="Code in this folder is the program's own; its main script's folder by default; repeatable."),
    click.option("--exact", is_flag=True, help="Never pass a busy line over to save time."),
    click.option("--stores", is_flag=True, help="Under Python 3.11: notice each store, which makes the program slow."),
    click.option("--when-behind", "behind", type=click.Choice(["wait", "merge"]), default="wait",
                 help="Where recording is slower than the program: it waits, or changes are merged."),
    click.option("--rate", type=click.IntRange(min=0), metavar="N", help="Entries a second that one line may make; 2,000 by default, 0 for any number."),
    click.option("--redact", multiple=True, metavar="PATTERN", help="Leave these out, such as password or users[*].email; repeatable."),
    click.option("--notes", multiple=True, type=click.Choice(_NOTES), help="Put statements of SQL, HTTP requests or log lines on the timeline; repeatable."),
    click.option("-o", "--out", "file", type=click.Path(path_type=Path, dir_okay=False),
                 help="Record into this file; one that is there is continued. By default NAME.unspool of a name that is free."),
    click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors."),
    click.option("--ascii", is_flag=True, help="Plain ASCII only."),
    click.option("--no-color", is_flag=True, help="No colours; also when NO_COLOR is set."),
    click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal."),
    click.option("--status", type=int, hidden=True, help="For the screen: the socket that it listens to."),
)  # fmt: skip


@dataclass(frozen=True)
class _Around:
    """How a command shows what it records.

    Attributes:
        file: what is recorded into; None for a name that is free.
        is_shown: in the terminal UI.
        common: options of the screen.
        status: socket of the process that shows it; None where there is none.
    """

    file: Path | None
    is_shown: bool
    common: Common
    status: int | None

    def named(self, name: str) -> Path:
        """Return the file, which a program of some name gets where none was given."""
        return self.file or _free_name(name)


def _wanted(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command the options that say what to record and how to show it; it gets a `Wanted` and an `_Around` first."""

    @functools.wraps(function)
    def call(**given: Any) -> int | None:
        wanted = Wanted(
            watch=given.pop("watch"),
            settle=given.pop("settle"),
            trace=given.pop("trace"),
            when=given.pop("when"),
            prefix=given.pop("prefix"),
            exact=given.pop("exact"),
            stores=given.pop("stores"),
            behind=given.pop("behind"),
            rate=given.pop("rate"),
            redact=given.pop("redact"),
            notes=given.pop("notes"),
        )
        _require_readable(wanted)
        status = given.pop("status")
        color = not given.pop("no_color") and not os.environ.get("NO_COLOR")
        quiet = given.pop("quiet")
        around = _Around(
            file=given.pop("file"),
            is_shown=not given.pop("headless") and status is None and stdout_is_terminal() and sys.stdin.isatty(),
            common=Common("", ascii=given.pop("ascii"), color=color, mouse=not given.pop("no_mouse"), quiet=quiet),
            status=status,
        )
        return function(wanted, around, **given)

    decorated: Callable[..., int | None] = call
    for option in reversed(_WANTED):
        decorated = option(decorated)
    return decorated


def _require_readable(wanted: Wanted) -> None:
    """Refuse what is not written as it must be, before a program is started or a file made.

    Raises:
        click.BadParameter: names the place.
    """
    for option, texts in (("--watch", wanted.watch), ("--trace", wanted.trace)):
        for text in texts:
            at = _misspelt_at(text.removeprefix("@"))
            if at is not None:
                at += text.startswith("@")
                what = (
                    f"letter {at + 1}, {text[at]!r}, is no part of a name"
                    if at < len(text)
                    else "a name is missing at its end"
                )
                raise click.BadParameter(
                    f"{text!r}: {what}; write NAME, module:NAME or module:NAME.attribute", param_hint=option
                )
    if wanted.when is not None:
        try:
            with warnings.catch_warnings(action="ignore"):
                compile(wanted.when.strip(), "--when", "eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            at_letter = f", at letter {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
            why = error.msg if isinstance(error, SyntaxError) else "it cannot be read"
            raise click.BadParameter(
                f"{wanted.when!r} is no expression of Python: {why}{at_letter}", param_hint="--when"
            ) from None


def _misspelt_at(name: str) -> int | None:
    """Return where a name stops being one; None where it is one. A module may be called as its file is."""
    module, colon, path = name.rpartition(":")
    if colon and (not module or module != module.strip()):
        return 0
    at = len(module) + len(colon)
    for part in path.split("."):
        if not part.isidentifier() and part not in _NO_IDENTIFIERS:
            return at + next((end for end in range(len(part)) if not part[: end + 1].isidentifier()), 0)
        at += len(part) + 1
    return None


class _Words(ProgramListener):
    """Says what the host hears on standard error."""

    def __init__(
        self, file: Path, quiet: bool, again: tuple[list[str], list[str]], over: threading.Event | None
    ) -> None:
        """Begin.

        Args:
            file: what is recorded into.
            quiet: say nothing but errors.
            again: the words of the command before and after the options that name what to record.
            over: is set when the agent has left.
        """
        self._file = file
        self._quiet = quiet
        self._again = again
        self._over = over
        self.has_found = False
        self.status: TerminalStatus | None = None

    def ended(self, why: str) -> None:
        if self._over is not None:
            self._over.set()

    def recorded(self) -> None:
        if self.status is not None:
            self.status.say(recorded=True, file=os.fspath(self._file.absolute()))

    def said(self, text: str, level: str) -> None:
        if not self._quiet or level == "error":
            say(text)

    def found(self, host: Host, names: list[WatchableObject], *, is_over: bool) -> None:
        if not names:
            say(_NOTHING_FOUND)
            return
        self.has_found = True
        names = names[:_SHOWN_FOUND]
        say(
            f"nothing {'was recorded' if is_over else 'is recorded yet'}; what {'changed' if is_over else 'changes'} most:"
        )
        width = max(len(found.watch) for found in names)
        for number, found in enumerate(names, 1):
            count = (
                f"{'new':>7}, of {_counted(found.nodes, 'object', 'objects')}"
                if found.is_new
                else f"{found.changes:>7,} {'change' if found.changes == 1 else 'changes'}"
            )
            place = f"  {found.place}" if found.place else ""
            click.echo(visible(f"{number:>3}  {found.watch:<{width}}  {count}{place}"), err=True)
        more = [_STORES] if host.program is not None and host.program.how == _SWEEP else []
        before, after = self._again
        if self.status is None or is_over:
            say(f"record one with: {shlex.join([*before, *more, '--watch', names[0].watch, *after])}")
        if self.status is not None:
            self.status.say(found=[found.watch for found in names], over=is_over, more=more)


def say(text: str) -> None:
    """Say something on standard error."""
    click.echo(f"unspool: {visible(text)}", err=True)


def _free_name(name: str) -> Path:
    plain = "".join(sign if sign.isalnum() or sign in "._-" else "-" for sign in name).strip(".-") or "program"
    for number in range(1, _MOST_NAMES):
        file = Path(f"{plain}{_SUFFIX}" if number == 1 else f"{plain}-{number}{_SUFFIX}")
        if not file.exists():
            return file
    raise ConfigError(f"{plain}{_SUFFIX} and {_MOST_NAMES} more are there already; name a file with --out")


def _complete_pid(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Return the programs that can be attached to whose number begins with what is typed."""
    return [
        CompletionItem(str(process.pid), help=visible(process.command)[:_MOST_HELP])
        for process in processes()
        if not process.refusal and str(process.pid).startswith(typed)
    ]


def _complete_program(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Have the shell offer files."""
    return [CompletionItem(typed, type="file")]


@command(
    "run",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Words after -- are the program: a script, -m and a module, or -c and code, with arguments of its own; a Python "
    "may stand in front.",
)
@_wanted
@click.option("--python", metavar="PYTHON", help="The interpreter; that of the active environment by default.")
@click.option("--headless", is_flag=True, help="No screen: the program has the terminal.")
@click.argument(
    "words",
    metavar="-- PROGRAM [ARGUMENTS]...",
    nargs=-1,
    type=click.UNPROCESSED,
    required=True,
    shell_complete=_complete_program,
)
def run_command(wanted: Wanted, around: _Around, words: tuple[str, ...], python: str | None) -> int:
    """Run a program and record what it does to the objects that are watched; it needs no line of unspool in it."""
    require_local_sockets("unspool run")
    if words[0].startswith("-") and words[0] not in ("-m", "-c"):
        raise click.UsageError(f"no such option: {words[0]}; the program stands after --")
    options = [*_as_words(wanted), *(("--python", python) if python else ())]
    # What cannot be started is refused before there is a screen, or a file for what it records.
    require_program(words, python)
    if around.is_shown:
        return _show(["run", *options], ["--", *words], around, name_of(words), ends_with_screen=False)

    kept = [*options, *(("-o", str(around.file)) if around.file is not None and around.status is None else ())]
    again = (["unspool", "run", *kept], ["--", *words])
    with _Recording(around, name_of(words), again) as recording:
        host = recording.host
        agent = host.door.put(_AGENT, agent_source())
        process = start(
            command_line(words, agent, python), wanted.to_config(host.door.place, host.door.token, folder_of(words))
        )
        host.start()
        with signals_passed_on(process.send_signal):
            code = process.wait()
            if host.program is not None:
                host.drain()
        recording.conclude("the program ended before anything of it could be recorded")
    return code_of(code)


@command("attach")
@_wanted
@click.option("--sample", is_flag=True, help="Only look from outside, now and then; needs unspool[sample].")
@click.option(
    "--every",
    type=FiniteRange(min=0.01),
    default=0.5,
    metavar="SECONDS",
    help="How often --sample looks; 0.5 by default.",
)
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Leave the program after so long.")
@click.option("--headless", is_flag=True, help="No screen: record until Ctrl-C.")
@click.argument("pid", type=click.IntRange(min=1), required=False, shell_complete=_complete_pid)
def attach_command(
    wanted: Wanted, around: _Around, pid: int | None, sample: bool, every: float, seconds: float | None
) -> int:
    """Record a Python program that is running, by its PID, until Ctrl-C; without a PID, list those that can be attached to."""
    require_local_sockets("unspool attach")
    if pid is None:
        found = _list_processes()
        if not around.is_shown or not found:
            return 0 if found else _FOUND_NONE
        numbers = click.Choice([str(process.pid) for process in found if not process.refusal])
        pid = int(click.prompt("attach to which one?", type=numbers, show_choices=False))

    name = f"process-{pid}"
    options = [*_as_words(wanted), *(("--seconds", str(seconds)) if seconds else ())]
    if sample:
        py_spy()
        if around.is_shown:
            options += ["--sample", "--every", str(every)]
            return _show(["attach", *options], [str(pid)], around, name, ends_with_screen=True)
        return _sample(wanted, around, pid, every, seconds)
    attachment = Attachment(pid)
    if around.is_shown:
        return _show(["attach", *options], [str(pid)], around, name, ends_with_screen=True)
    stop = threading.Event()
    again: tuple[list[str], list[str]] = (["unspool", "attach", str(pid), *_as_words(wanted)], [])
    with (
        signals_passed_on(lambda _: stop.set(), with_keys=True),
        _Recording(around, name, again, user=attachment.user, over=stop) as recording,
    ):
        host = recording.host
        agent = host.door.put(_AGENT, agent_source())
        config = wanted.to_config(host.door.place, host.door.token, attachment.folder)
        host.start()
        attachment.enter(host, attach_text(str(agent), config))
        if attachment.wait(host, say, stop.is_set):
            if not around.common.quiet:
                stood = f"{attachment.stopped_s * 1000:.0f} ms"
                say(f"attached to process {pid}, which stood still for {stood}; Ctrl-C leaves it")
            stop.wait(seconds)
        attachment.leave(host)
        recording.conclude("nothing was recorded")
    return 0 if host.failure is None and recording.is_whole else _UNREADABLE


def _sample(wanted: Wanted, around: _Around, pid: int, every: float, seconds: float | None) -> int:
    """Look at a process from outside until Ctrl-C."""
    stop = threading.Event()
    deadline = None if seconds is None else time.monotonic() + seconds
    file = around.named(f"process-{pid}")
    was_there = file.exists()
    entries = 0
    status = None if around.status is None else TerminalStatus(around.status, lambda _: None)

    def is_over(pause: float) -> bool:
        if status is not None:
            status.say(recorded=True)
        return stop.wait(pause) or (deadline is not None and time.monotonic() > deadline)

    try:
        with (
            signals_passed_on(lambda _: stop.set(), with_keys=True),
            Recorder(file, on_error="raise", redact=wanted.redact) as recorder,
        ):
            entries = take_samples(recorder, pid, every, wanted.watch, is_over)
    finally:
        if not entries and not was_there:
            file.unlink(missing_ok=True)
    if not around.common.quiet:
        say(f"{_counted(entries)} in {file}; look at them with `unspool {file}`")
    return 0


def _counted(number: int, one: str = "entry", many: str = "entries") -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many}"


def _as_words(wanted: Wanted) -> list[str]:
    """Return what is wanted, other than by default, as options of a command line."""
    words: list[str] = []
    by_default = asdict(Wanted())
    for name, value in asdict(wanted).items():
        if value == by_default[name]:
            continue
        option = _SPELT.get(name, f"--{name}")
        if isinstance(value, tuple):
            words += [word for item in value for word in (option, item)]
        elif value is True:
            words.append(option)
        elif value not in (None, False):
            words += [option, str(value)]
    return words


def _show(before: list[str], after: list[str], around: _Around, name: str, *, ends_with_screen: bool) -> int:
    """Record in a process of its own, and show the recording while it grows.

    Args:
        before: the command, and its options.
        after: its words.
        around: how it is shown.
        name: of the program.
        ends_with_screen: leaving the screen ends the recording; otherwise the program goes on in our terminal.

    Returns:
        The exit code of the command that recorded.
    """

    def stops(message: Message) -> bool:
        return bool(message.get("recorded") or message.get("found"))

    file = around.named(name)
    quiet = ["--quiet"] if around.common.quiet else []
    common = replace(around.common, source=str(file))
    with ProgramTerminal([*before, *quiet, "--out", str(file), *after]) as program:
        message = program.in_front(stops)
        while message is not None and message.get("found"):
            found = [str(item) for item in message["found"]]
            more = [str(word) for word in message["more"]]
            if message.get("over"):
                program.in_front()
                code = program.close()
                chosen = _chosen(found, "the program has ended; run it again and record which one? (q: none)")
                if chosen is None:
                    return code
                return _show([*before, *more, "--watch", chosen], after, around, name, ends_with_screen=False)
            with program.behind():
                chosen = _chosen(found, "watch which one? (q: none)")
            if chosen is not None:
                program.tell(watch=[chosen])
            message = program.in_front(stops)
            if message is None and chosen is not None and not ends_with_screen:
                code = program.close()
                if not click.confirm(f"the program has ended; run it again and record {chosen}?", default=True):
                    return code
                return _show([*before, *more, "--watch", chosen], after, around, name, ends_with_screen=False)
        while message is not None:
            with opened(common, follow=True) as history, program.behind():
                show(common, history, None, follow=True)
            if was_told():
                return was_told()
            if ends_with_screen:
                program.interrupt()
            elif program.code is None:
                say("the program goes on; Ctrl-] shows the recording again")
            message = program.in_front()
        return program.close()


def _chosen(found: list[str], question: str) -> str | None:
    """Ask for one of what is listed on the terminal, by its number; None where none is wanted."""
    numbers = [str(number) for number in range(1, len(found) + 1)]
    answer = click.prompt(question, type=click.Choice([*numbers, "q"]), default="1", show_choices=False)
    return None if answer == "q" else found[int(answer) - 1]


def _list_processes() -> list[Process]:
    """Print the Python programs that are running, and return them."""

    found = processes()
    if not found:
        say("no other Python program is running")
        return []
    width = max(len(str(process.pid)) for process in found)
    with Output() as out:
        room = shutil.get_terminal_size().columns - width - 8 if out.is_terminal else None
        for process in found:
            out.line(f"{process.pid:>{width}}  {process.python or '?':<5} {visible(process.command)[:room]}")
            if process.refusal:
                out.line(f"{'':>{width}}        {visible(process.refusal)}")
    return found


class _Recording:
    """A host and its recorder, for one command.

    Attributes:
        is_whole: the file could be finished.
    """

    def __init__(
        self,
        around: _Around,
        name: str,
        again: tuple[list[str], list[str]],
        *,
        user: int | None = None,
        over: threading.Event | None = None,
    ) -> None:
        """Open the recording.

        Args:
            around: where to, and who is told.
            name: of the program.
            again, over: see `_Words`.
            user: whose program it is.

        Raises:
            UnspoolError: it cannot be recorded into.
        """

        self._quiet = around.common.quiet
        self._file = around.named(name)
        self._was_there = self._file.exists()
        self.is_whole = True
        self._words = words = _Words(self._file, self._quiet, again, over)
        self.host = Host(Recorder(self._file, on_error="raise"), self._file, words, user=user)
        if around.status is not None:
            words.status = TerminalStatus(around.status, self._watch, over.set if over is not None else lambda: None)

    def _watch(self, names: list[str]) -> None:
        try:
            lines = self.host.watch(names)
        except UnspoolError as error:
            lines = [str(error)]
        for line in lines:
            say(line)

    def conclude(self, nothing: str) -> None:
        """Say what was recorded.

        Args:
            nothing: what is said where nothing was.
        """
        entries = self.host.entries
        watched = () if self.host.program is None else self.host.program.watch
        if self._quiet:
            return
        unseen, uncalled, never = self.host.missing()
        if self.host.is_empty and watched and (not self.host.statistics or len(unseen) == len(watched)):
            say(f"nothing named {' or '.join(watched)} was seen; without --watch you are told what could be recorded")
        elif self.host.is_empty and self._words.has_found:
            return
        elif self.host.is_empty or not entries:
            say(nothing if self.host.program is None else "nothing was recorded")
        else:
            say(f"{_counted(entries)} in {self._file}; look at them with `unspool {self._file}`")
            if self.host.program is not None and self.host.program.how == _SWEEP:
                say(
                    "changes between two looks are not among them: --stores, or --python python3.12, records each with its line"
                )
            if unseen:
                say(f"nothing named {' or '.join(unseen)} was seen")
        if uncalled:
            say(f"no call of {' or '.join(uncalled)} (--trace) was seen")
        if never:
            say(f"what --when says never held: {never}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.host.close()
        except UnspoolError as error:
            # What became of the program is told by the exit code all the same.
            self.is_whole = False
            say(str(error))
        if self.host.is_empty and not self._was_there:
            # An empty history is of use to nobody.
            self._file.unlink(missing_ok=True)


__all__ = ["attach_command", "run_command"]
