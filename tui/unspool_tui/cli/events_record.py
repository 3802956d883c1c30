"""`unspool events record`: a source file's history, kept as it is saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from unspool.errors import UnreadableSource
from unspool_tui.cli.options import json_option
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from types import FrameType

    from unspool.events.records import Event
    from unspool.sources.source_saves import Save, SourceSaves

_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.command("record")
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--log", type=_FILE, default="event-log.db", metavar="LOG.db", help="The event log; event-log.db by default."
)
@click.option("--once", is_flag=True, help="Record what the files hold now, and end.")
@click.option(
    "--poll", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
    help="Look for changes every so often instead of waiting for events.",
)  # fmt: skip
@json_option("Print each event as a line of JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
def record(files: tuple[Path, ...], log: Path, once: bool, poll: float | None, as_json: bool, quiet: bool) -> int:
    """Keep the history of source files as they are saved, until ctrl-c.

    Each file is a space of the log, named by its path as given. `unspool LOG.db` looks at it, live.
    """
    from unspool.events.log import EventLog
    from unspool.sources.source_saves import SourceSaves

    _refuse_log_itself(files, log)
    counts = {True: 0, False: 0}
    problems: list[str] = []
    with EventLog(log) as events:
        saves = SourceSaves(
            events, files, poll=poll, tell=lambda trouble: click.echo(f"unspool: {trouble}", err=True)
        )
        if not once and not quiet:
            names = f"{len(files)} files" if len(files) > 1 else visible(str(files[0]))
            click.echo(f"unspool: recording {names} into {visible(str(log))}; ctrl-c ends", err=True)
        with _ending_on_signals(saves):
            for save in saves.record() if once else saves.follow():
                counts[save.event is not None] += 1
                if save.event is None:
                    problems.append(save.problem)
                _tell(save, as_json=as_json, quiet=quiet, is_final=once)
    if once and problems:
        raise UnreadableSource(problems[0] if len(problems) == 1 else f"{problems[0]} (and {len(problems) - 1} more)")
    if not quiet:
        events_written = f"{counts[True]} event{'' if counts[True] == 1 else 's'}"
        click.echo(f"unspool: {events_written} written to {visible(str(log))}", err=True)
    return 0


def _refuse_log_itself(files: tuple[Path, ...], log: Path) -> None:
    for file in files:
        if log.exists() and file.exists() and file.samefile(log):
            raise UnreadableSource(
                f"{file}: is the event log itself; name the file to record, and the log with --log"
            )


def _tell(save: Save, *, as_json: bool, quiet: bool, is_final: bool) -> None:
    if save.event is None:
        # At the end it is the error that the command ends with.
        if not quiet and not is_final:
            click.echo(f"unspool: {visible(save.problem)}", err=True)
    elif as_json:
        from unspool.model.json_text import to_json

        click.echo(to_json(_event_shape(save.path, save.event)))
    elif not quiet:
        event = save.event
        click.echo(f"unspool: {visible(str(save.path))}: event {event.sequence_number}, {event.type.value}", err=True)


def _event_shape(path: Path, event: Event) -> dict[str, object]:
    return {
        "file": str(path),
        "space": event.space_id,
        "sequence": event.sequence_number,
        "type": event.type.value,
        "timestamp": event.timestamp,
        "id": event.id,
        "hash": event.hash,
    }


@contextmanager
def _ending_on_signals(saves: SourceSaves) -> Iterator[None]:
    """Let ctrl-c and a polite kill end the recording after the save at hand."""

    def end(_number: int, _frame: FrameType | None) -> None:
        saves.stop()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
