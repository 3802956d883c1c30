"""`unspool run` and `unspool attach`: record a program that nobody instrumented.

They exist on the command line only: no visitor of `serve` and no question of an agent can start a program or reach into one.
"""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

import click

from unspool.errors import ConfigError
from unspool.live.host import Found, Host, Listener
from unspool.live.launch import Wanted, code_of, command_line, name_of, signals_passed_on, start
from unspool_tui.cli.output import Output
from unspool_tui.rendering.sanitize import visible

_SUFFIX: Final = ".unspool"
_MOST_NAMES: Final = 999
_SHOWN_FOUND: Final = 10
_AGENT: Final = "agent.py"
_NOTES: Final = ("sql", "http", "log")

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
    click.option("--redact", multiple=True, metavar="PATTERN", help="Leave these out, such as password or user.*.email; repeatable."),
    click.option("--notes", multiple=True, type=click.Choice(_NOTES), help="Put statements of SQL, HTTP requests or log lines on the timeline; repeatable."),
    click.option("-o", "--out", "file", type=click.Path(path_type=Path, dir_okay=False),
                 help="Record into this file; one that is there is continued. By default NAME.unspool of a name that is free."),
    click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors."),
)  # fmt: skip


def _wanted(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command the options that say what to record; it gets them as one `Wanted` first."""

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
        return function(wanted, **given)

    decorated: Callable[..., int | None] = call
    for option in reversed(_WANTED):
        decorated = option(decorated)
    return decorated


class _Words(Listener):
    """Says what the host hears on standard error."""

    def __init__(self, quiet: bool, again: str, over: threading.Event | None) -> None:
        """Begin.

        Args:
            quiet: say nothing but errors.
            again: the command that records an object by its name, with `{}` in its place.
            over: is set when the agent has left.
        """
        self._quiet = quiet
        self._again = again
        self._over = over

    def ended(self, why: str) -> None:
        if self._over is not None:
            self._over.set()

    def said(self, text: str, level: str) -> None:
        if not self._quiet or level == "error":
            say(text)

    def found(self, host: Host, names: list[Found]) -> None:
        if not names:
            say("nothing that can be named changed; name what to record with --watch module:NAME")
            return
        say("nothing is recorded yet; these objects change most:")
        width = max(len(found.watch) for found in names[:_SHOWN_FOUND])
        for found in names[:_SHOWN_FOUND]:
            place = f"  {found.place}" if found.place else ""
            click.echo(visible(f"  {found.watch:<{width}}  {found.changes:>7,} changes{place}"), err=True)
        say(f"record one with: {self._again.format(names[0].watch)}")


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


@click.command(
    "run",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Words after -- are the program: a script, -m and a module, or -c and code, with arguments of its own; a Python "
    "may stand in front.",
)
@_wanted
@click.option("--python", metavar="PYTHON", help="The interpreter; that of the active environment by default.")
@click.option("--headless", is_flag=True, help="No screen: the program has the terminal.")
@click.argument("words", metavar="-- PROGRAM [ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED, required=True)
def run_command(
    wanted: Wanted, words: tuple[str, ...], python: str | None, headless: bool, file: Path | None, quiet: bool
) -> int:
    """Run a program and record what it does to the objects that are watched; it needs no line of unspool in it."""
    if words[0].startswith("-") and words[0] not in ("-m", "-c"):
        raise click.UsageError(f"no such option: {words[0]}; the program stands after --")
    from unspool.live import agent_source  # loaded by the one command that needs it

    with _Recording(file, name_of(words), quiet, f"unspool run --watch {{}} -- {' '.join(words)}") as recording:
        host = recording.host
        agent = host.door.put(_AGENT, agent_source())
        process = start(command_line(words, agent, python), wanted.to_config(host.door.place, host.door.token))
        host.start()
        with signals_passed_on(process.send_signal):
            code = process.wait()
            if host.program is not None:
                host.drain()
        recording.conclude("the program ended before anything of it could be recorded")
    return code_of(code)


@click.command("attach")
@_wanted
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Leave the program after so long.")
@click.option("--headless", is_flag=True, help="No screen: record until Ctrl-C.")
@click.argument("pid", type=click.IntRange(min=1), required=False)
def attach_command(
    wanted: Wanted,
    pid: int | None,
    seconds: float | None,
    headless: bool,
    file: Path | None,
    quiet: bool,
) -> int:
    """Record a Python program that is running, by its PID, until Ctrl-C; without a PID, list those that can be attached to."""
    if pid is None:
        return _list_processes()
    from unspool.live import agent_source, attach_text  # loaded by the one command that needs it
    from unspool.live.attach import Attachment  # loaded by the one command that needs it

    stop = threading.Event()
    attachment = Attachment(pid)
    with (
        signals_passed_on(lambda _: stop.set(), with_keys=True),
        _Recording(
            file, f"process-{pid}", quiet, f"unspool attach {pid} --watch {{}}", user=attachment.user, over=stop
        ) as recording,
    ):
        host = recording.host
        agent = host.door.put(_AGENT, agent_source())
        config = wanted.to_config(host.door.place, host.door.token)
        host.start()
        attachment.enter(host, attach_text(str(agent), config))
        if attachment.wait(host, say, stop.is_set):
            if not quiet:
                say(
                    f"attached to process {pid}, which stood still for {attachment.stopped_s * 1000:.0f} ms; Ctrl-C leaves it"
                )
            stop.wait(seconds)
        attachment.leave(host)
        recording.conclude("nothing was recorded")
    return 0 if host.failure is None else 3


def _list_processes() -> int:
    """Print the Python programs that are running."""
    from unspool.live.processes import processes  # loaded by the one command that needs it

    found = processes()
    if not found:
        say("no other Python program is running")
        return 1
    width = max(len(str(process.pid)) for process in found)
    with Output() as out:
        room = shutil.get_terminal_size().columns - width - 8 if out.is_terminal else None
        for process in found:
            out.line(f"{process.pid:>{width}}  {process.python or '?':<5} {visible(process.command)[:room]}")
            if process.refusal:
                out.line(f"{'':>{width}}        {visible(process.refusal)}")
    return 0


class _Recording:
    """A host and its recorder, for one command."""

    def __init__(
        self,
        file: Path | None,
        name: str,
        quiet: bool,
        again: str,
        *,
        user: int | None = None,
        over: threading.Event | None = None,
    ) -> None:
        """Open the recording.

        Args:
            file: what is recorded into; a free name when None.
            name: of the program.
            quiet: say nothing but errors.
            again, over: see `_Words`.
            user: whose program it is.

        Raises:
            UnspoolError: it cannot be recorded into.
        """
        from unspool.recorder import Recorder  # loaded by the one command that needs it

        self._quiet = quiet
        self._file = file or _free_name(name)
        self._was_there = self._file.exists()
        self.host = Host(Recorder(self._file, on_error="raise"), self._file, _Words(quiet, again, over), user=user)

    def conclude(self, nothing: str) -> None:
        """Say what was recorded.

        Args:
            nothing: what is said where nothing was.
        """
        entries = self.host.entries
        watched = () if self.host.program is None else self.host.program.watch
        if self.host.is_empty and watched:
            say(
                f"nothing named {' or '.join(watched)} was ever there; without --watch you are told what could be recorded"
            )
        elif not entries:
            say(nothing)
        elif not self._quiet:
            count = "1 entry" if entries == 1 else f"{entries:,} entries"
            say(f"{count} in {self._file}; look at them with `unspool {self._file}`")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.host.close()
        if self.host.is_empty and not self._was_there:
            # An empty history is of use to nobody.
            self._file.unlink(missing_ok=True)


__all__ = ["attach_command", "run_command"]
