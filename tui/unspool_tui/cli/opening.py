"""`unspool open` and `unspool demo`: sources in the terminal app, or printed where there is no terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from unspool.errors import ConfigError, EntryNotFound, UnreadableSource, UnspoolError
from unspool.files import ScratchFolder
from unspool.model.paths import parse_path
from unspool.sources.opening import open_history
from unspool_tui.cli.help_pages import FiniteRange, command
from unspool_tui.cli.options import (
    Common,
    complete_entry,
    complete_path,
    entry_named,
    judge,
    opened,
    source_command,
    source_of,
    stdout_is_terminal,
)
from unspool_tui.cli.output import Output
from unspool_tui.permits import EVERYTHING, Permits
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.model.keys import Path as Address
    from unspool_tui.permits import Permits
    from unspool_tui.tabs import Tab, Tabs

_FOUND_PROBLEMS, _UNREADABLE = 1, 3
_STANDARD_INPUT = "-"
_MOST_NAMES = 100
"""Atoms among which one of a like name is looked for."""


@command("open")
@source_command(many=True)
@click.option(
    "--at",
    "at_entries",
    multiple=True,
    metavar="ENTRY",
    shell_complete=complete_entry,
    help="Begin at this entry: a number, -1, latest, a time, words of its action. Given again, for the next SOURCE.",
)
@click.option(
    "--atom",
    "address",
    metavar="PATH",
    shell_complete=complete_path,
    help="Show this value in Inspect, such as cart.items[0].qty.",
)
@click.option("--merge", is_flag=True, help="Join all SOURCES by time into one timeline, each a part of it.")
@click.option("--no-follow", is_flag=True, help="Do not keep up with sources that grow.")
@click.option("--visitor", is_flag=True, hidden=True, help="For `serve`: whoever sits at the screen is a visitor.")
@click.option("--visitor-writes", type=click.Path(path_type=Path), hidden=True, help="For `serve`: where to.")
def open_command(
    common: Common,
    sources: tuple[str, ...],
    at_entries: tuple[str, ...],
    address: str | None,
    merge: bool,
    no_follow: bool,
    visitor: bool,
    visitor_writes: Path | None,
) -> int:
    """Open each SOURCE in the terminal UI, side by side as tabs."""
    if merge:
        from unspool.sources.formats.merged import merged_name  # only several sources need it

        sources = (merged_name(sources),)
        common = replace(common, source=sources[0])
    permits = _confined(visitor_writes) if visitor else None
    if len(at_entries) > len(sources):
        raise click.UsageError(f"--at is given {len(at_entries)} times, for {len(sources)} source(s)")
    if sources.count(_STANDARD_INPUT) > 1:
        raise click.UsageError("standard input can be read once only; name - once")
    places = [*at_entries, *[None] * (len(sources) - len(at_entries))]
    select = parse_path(address) if address else ()
    if not stdout_is_terminal():
        return _print_each([replace(common, source=source) for source in sources], places, select)
    if _STANDARD_INPUT in sources:
        _give_the_keyboard_back()
    if len(sources) == 1:
        return _show_one(common, places[0], follow=not no_follow, select=select, permits=permits)
    return _show_tabs(common, sources, places, follow=not no_follow, select=select, permits=permits)


def _confined(below: Path | None) -> Permits:
    """Hold this process to what a visitor may do, before it opens anything."""
    from unspool_tui.serving.confined import Confinement  # only a visitor's screen needs it

    permits = Permits(visitor=True, below=None if below is None else below.resolve())
    Confinement(permits).begin()
    return permits


def print_all(common: Common, history: History, at_entry: str | None = None) -> None:
    """Print what `stats` and `log` print."""
    # The screen, which is what most calls are for, should not wait for these.
    from unspool_tui.cli.log import print_entries, print_stats
    from unspool_tui.cli.notes import noted_of

    with Output(common) as out:
        if at_entry is not None:
            entry_named(common, history, at_entry)
        print_stats(out, history.stats(), history.source_name)
        out.line()
        print_entries(out, iter(history), noted_of(common, history))


def _print_each(commons: Sequence[Common], places: Sequence[str | None], select: Address) -> int:
    """Print one source after the other, each under its name; those that are refused are told on standard error.

    Raises:
        EntryNotFound: the first source has no atom of the name that was asked for.
    """
    codes = []
    refused = 0
    for number, (common, at_entry) in enumerate(zip(commons, places, strict=True)):
        try:
            with opened(common) as history:
                if select and not number:
                    _check_atom(history, -1, str(select[0]))
                if number > refused:
                    click.echo()
                print_all(common, history, at_entry)
                codes.append(judge(common, history.verdict))
        except (ConfigError, EntryNotFound):
            # What the person asked for is wrong, not a source.
            raise
        except UnspoolError as error:
            if len(commons) == 1:
                raise
            refused += 1
            _tell_refused(str(error))
    if refused == len(commons):
        return _UNREADABLE
    return max([*codes, _FOUND_PROBLEMS if refused else 0])


def _tell_refused(error: str) -> None:
    click.echo(f"unspool: {visible(error)}", err=True)


def show(
    common: Common,
    history: History | None,
    at_entry: int | None,
    *,
    follow: bool,
    tabs: Tabs | None = None,
    select: Address = (),
    permits: Permits | None = None,
    passing: str = "",
    card: str = "app",
) -> None:
    """Show a history, or several as tabs, in the terminal UI until the user leaves.

    Args:
        common: options of the call.
        history: what is in front at first; None for a source to which nothing has been written yet.
        at_entry: the entry to begin at; None begins where the person left.
        follow: keep up with new entries.
        tabs: all sources, where there are several.
        select: what is selected at first.
        permits: what the person may do; None for everything.
        passing: of a source that goes away when the user leaves, what would keep it; neither place nor notes outlive it.
        card: what is told at first; see `UiOptions`.
    """
    if select and history is not None:
        _check_atom(history, -1 if at_entry is None else at_entry, str(select[0]))
    # Textual takes long to import, and no other command needs it.
    from unspool_tui.cli.ending import note_code
    from unspool_tui.launch import run_app  # Textual takes long to import, and no other command needs it
    from unspool_tui.settings import UiOptions  # only a screen needs it
    from unspool_tui.tabs import Tab, Tabs  # only a screen needs it

    options = UiOptions(
        ascii=common.ascii or None,
        no_color=None if common.color else True,
        no_mouse=None if common.mouse else True,
        poll=common.poll,
        select=select,
        permits=permits or EVERYTHING,
        remember=not passing,
        card=card,
        passing=passing,
    )
    if tabs is None:
        tabs = Tabs([Tab(source_of(common, follow=follow), at_entry, history, given=common.identity)])
    note_code(run_app(history, at=at_entry, follow=follow, options=options, tabs=tabs))


def _show_one(common: Common, at_entry: str | None, *, follow: bool, select: Address, permits: Permits | None) -> int:
    """Show one source in the terminal UI."""
    from unspool_tui.tabs import Tabs  # only a screen needs it

    tab = _tab(common, follow=follow, permits=permits)
    tabs = Tabs([tab])
    # An entry or a value asked for by name must be there before the screen is.
    history = _opened_or_to_come(tab, wait=at_entry is not None or bool(select))
    try:
        if at_entry is not None and history is not None:
            tab.at = entry_named(common, history, at_entry)
        show(common, history, tab.at, follow=follow, tabs=tabs, select=select, permits=permits)
        return _judge_all(common, tabs)
    finally:
        tabs.close()


def _opened_or_to_come(tab: Tab, *, wait: bool) -> History | None:
    """Open a source; None for one that is shown as soon as something is written to it.

    Raises:
        UnspoolError: it is refused, or what is asked for by name is not there.
    """
    try:
        return tab.open_or_raise(wait=wait)
    except UnspoolError:
        if wait or not tab.is_to_come():
            raise
        return None


def _tab(common: Common, *, follow: bool, permits: Permits | None) -> Tab:
    """Return the tab of a source: the part of it that was chosen last time, if that is still there.

    What the person at this machine chose is none of a visitor's.
    """
    from unspool_tui.source import with_choice  # only a screen needs it
    from unspool_tui.tabs import Tab  # only a screen needs it

    whole = source_of(common, follow=follow)
    chosen = whole if permits is not None and permits.visitor else with_choice(whole)
    return Tab(chosen, fallback=None if chosen is whole else whole, given=common.identity)


def _check_atom(history: History, entry: int, atom: str) -> None:
    """Refuse a name that no atom has.

    Raises:
        EntryNotFound: the state there has no such atom; the message names the one that is most like it.
    """
    from unspool_tui.settings import nearest  # only a screen needs it

    if not len(history):
        return
    state = history.view(entry)
    if atom not in state:
        names = list(islice(state, _MOST_NAMES))
        raise EntryNotFound(f"--atom {atom}: entry {history.resolve(entry)} has no such atom: {nearest(atom, names)}")


def _show_tabs(
    common: Common,
    sources: Sequence[str],
    places: Sequence[str | None],
    *,
    follow: bool,
    select: Address,
    permits: Permits | None,
) -> int:
    """Open the first source that can be opened; the screen opens the others."""
    from unspool_tui.tabs import Tabs  # only a screen needs it

    tabs = [_tab(replace(common, source=source), follow=follow, permits=permits) for source in sources]
    for tab, source, place in zip(tabs, sources, places, strict=True):
        if place is not None:
            tab.at = _place_named(tab, replace(common, source=source), place)
    front = next((number for number, tab in enumerate(tabs) if tab.open()), None)
    if front is None:
        front = next((number for number, tab in enumerate(tabs) if tab.waits), None)
    if front is None:
        for tab in tabs:
            _tell_refused(tab.error)
        return _UNREADABLE
    side_by_side = Tabs(tabs, front)
    try:
        show(
            common,
            tabs[front].history,
            tabs[front].at,
            follow=follow,
            tabs=side_by_side,
            select=select,
            permits=permits,
        )
        return _judge_all(common, side_by_side)
    finally:
        side_by_side.close()


def _place_named(tab: Tab, common: Common, place: str) -> int | None:
    """Return the entry that a tab begins at; None where its source cannot be opened, which the tab then shows.

    Raises:
        EntryNotFound: there is no such entry.
    """
    if place.lstrip("-").isdigit() and len(place) < 19:
        return int(place)
    try:
        history = tab.open_or_raise(wait=True)
    except UnspoolError:
        return None
    return entry_named(common, history, place)


def _judge_all(common: Common, tabs: Tabs) -> int:
    """Tell what could not be read of any source that is open, and return the exit code that follows from it."""
    verdicts = [tab.history.verdict for tab in tabs.all if tab.history is not None]
    return max((judge(common, verdict) for verdict in verdicts), default=0)


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


_START_LIMIT_S: Final = 20.0
_STOP_LIMIT_S: Final = 5.0
_MORNING: Final = 120
"""Moments that the demo begins with in the app."""
_SHORT_RUN_S: Final = 2.0
"""How long the program runs where there is no terminal to show it in."""


@command("demo")
@click.option(
    "--rate",
    type=FiniteRange(min=0, min_open=True),
    default=5.0,
    metavar="HZ",
    help="Moments a second; 5 by default.",
)
@click.option("--seconds", type=FiniteRange(min=0), default=None, help="Stop the program after so long.")
@click.option("--seed", type=int, default=0, help="The same seed gives the same day.")
@click.option("--steps", type=click.IntRange(min=0), metavar="N", help="Record N moments at once, then look at them.")
@click.option(
    "--bug/--no-bug", default=True, help="A shop with a mistake in it, which docs/story.md finds; the default."
)
@click.option(
    "--file", "file", type=click.Path(path_type=Path, dir_okay=False), help="Keep the history in this file."
)
@click.option("--ascii", is_flag=True, help="Plain ASCII only.")
@click.option("--no-color", is_flag=True, help="No colours; also when NO_COLOR is set.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
@click.option("--poll", type=FiniteRange(min=0, min_open=True), metavar="SECONDS", help="Look every so often.")
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
def demo_command(
    rate: float,
    seconds: float | None,
    seed: int,
    steps: int | None,
    bug: bool,
    file: Path | None,
    ascii: bool,  # noqa: A002 - named by the option
    no_color: bool,
    no_mouse: bool,
    poll: float | None,
    quiet: bool,
) -> int:
    """Watch a small shop that records itself live."""
    if steps is not None and seconds is not None:
        raise click.UsageError("--steps records at once; --seconds says how long to go on. Give one of them.")
    color = not no_color and not os.environ.get("NO_COLOR")
    common = Common("", ascii=ascii, color=color, mouse=not no_mouse, poll=poll, quiet=quiet)
    is_shown = stdout_is_terminal()
    if not is_shown and seconds is None and steps is None:
        seconds = _SHORT_RUN_S
    if is_shown and not quiet:
        # A loaded machine takes seconds until there is an entry and a screen to show it on.
        click.echo("unspool: a small shop opens and records itself; the screen follows", err=True)
    with ScratchFolder() as folder:
        path = file or folder / "shop.unspool"
        common = replace(common, source=str(path))
        live = is_shown and steps is None
        # There is something to look back on from the start, unless the file has a past of its own.
        before = _MORNING if live and not len_of(path) else 0
        with shop_running(
            path, rate=rate, seconds=seconds, seed=seed, steps=steps, bug=bug, before=before
        ) as process:
            if not live:
                process.wait()
            with opened(common, follow=live) as history:
                if is_shown:
                    passing = "" if file is not None else "unspool demo --file FILE keeps it"
                    show(common, history, None, follow=live, passing=passing, card="demo" if bug else "app")
                else:
                    print_all(common, history)
                return judge(common, history.verdict)


@contextmanager
def shop_running(
    path: Path,
    *,
    rate: float,
    seconds: float | None,
    seed: int,
    steps: int | None = None,
    bug: bool = False,
    before: int = 0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the shop as a process of its own, from its first entry on; it ends with this block.

    Raises:
        UnreadableSource: the program could not begin to record.
    """
    arguments = ["--file", str(path), "--rate", str(rate), "--seed", str(seed), "--parent", str(os.getpid())]
    if seconds is not None:
        arguments += ["--seconds", str(seconds)]
    if steps is not None:
        arguments += ["--steps", str(steps)]
    if bug:
        arguments.append("--bug")
    if before:
        arguments += ["--before", str(before)]
    known = len_of(path)
    process = subprocess.Popen(
        [sys.executable, "-m", "unspool_tui.demo_app", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _wait_for_entry(process, path, known)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


def len_of(path: Path) -> int:
    """Return the number of entries in a native file; 0 while there is none."""
    try:
        if not path.exists():
            return 0
        with open_history(path, follow=False) as history:
            return len(history)
    except (UnspoolError, OSError):
        return 0


def _wait_for_entry(process: subprocess.Popen[bytes], path: Path, before: int) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while len_of(path) <= before:
        if process.poll() is not None and len_of(path) <= before:
            said = process.stderr.read().decode(errors="replace").strip() if process.stderr is not None else ""
            raise UnreadableSource(
                said.splitlines()[-1] if said else f"{path}: the demo program ended without a word"
            )
        if time.monotonic() > deadline:
            raise UnreadableSource(f"{path}: the demo program did not begin to record; is the disk full?")
        time.sleep(0.02)
