"""`unspool demo`: a small program records itself, and the terminal UI follows it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from unspool.errors import UnreadableSource
from unspool.files.leftovers import ScratchFolder
from unspool_tui.cli.opening import print_all, show
from unspool_tui.cli.options import Common, judge, opened, stdout_is_terminal

_START_LIMIT_S: Final = 20.0
_STOP_LIMIT_S: Final = 5.0
_SHORT_RUN_S: Final = 2.0
"""How long the program runs where there is no terminal to show it in."""


@click.command("demo")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    metavar="HZ",
    help="Moments a second; 5 by default.",
)
@click.option("--seconds", type=click.FloatRange(min=0), default=None, help="Stop the program after so long.")
@click.option("--seed", type=int, default=0, help="The same seed gives the same day.")
@click.option("--steps", type=click.IntRange(min=0), metavar="N", help="Record N moments at once, then look at them.")
@click.option("--bug", is_flag=True, help="A shop with a mistake in it; docs/story.md finds it.")
@click.option(
    "--file", "file", type=click.Path(path_type=Path, dir_okay=False), help="Keep the history in this file."
)
@click.option("--ascii", is_flag=True, help="Plain ASCII only.")
@click.option("--no-color", is_flag=True, help="No colours; also when NO_COLOR is set.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
@click.option("--poll", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Look every so often.")
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
    with ScratchFolder() as folder:
        path = file or folder / "shop.unspool"
        common = replace(common, source=str(path))
        with shop_running(path, rate=rate, seconds=seconds, seed=seed, steps=steps, bug=bug) as process:
            live = is_shown and steps is None
            if not live:
                process.wait()
            with opened(common, follow=live) as history:
                if is_shown:
                    show(common, history, None, follow=live, remember=file is not None)
                else:
                    print_all(common, history)
                return judge(common, history.verdict)


@contextmanager
def shop_running(
    path: Path, *, rate: float, seconds: float | None, seed: int, steps: int | None = None, bug: bool = False
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
    before = len_of(path)
    process = subprocess.Popen(
        [sys.executable, "-m", "unspool_tui.demo_app", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _wait_for_entry(process, path, before)
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
    from unspool.errors import UnspoolError
    from unspool.sources.opening import open_history

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
