"""`unspool events`: event logs of source files: record, verify, export, import."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from unspool.errors import UnreadableSource
from unspool.events.log import EventLog
from unspool.model.json_text import to_json
from unspool.sources.formats.event_archives import SourceSaves, chosen_spaces
from unspool_tui.cli.export import refuse_same_file, write_bytes
from unspool_tui.cli.help_pages import FiniteRange, command
from unspool_tui.cli.options import json_option
from unspool_tui.cli.output import Output
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from types import FrameType

    from unspool.events.log import EventLog
    from unspool.events.records import Event, IntegrityReport
    from unspool.model.values import Value
    from unspool.sources.formats.event_archives import Save, SourceSaves

_NAMED: Final = 5
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.group("events")
def events_command() -> None:
    """Keep the history of source files, and verify, export and import event logs.

    `unspool LOG` opens one.
    """


@events_command.command("verify")
@click.argument("log", type=_FILE, metavar="LOG")
@click.option("--space", metavar="ID", help="Only this space.")
@json_option()
def verify(log: Path, space: str | None, as_json: bool) -> int:
    """Recompute every hash and link of LOG; exit with 1 where one does not hold."""
    with EventLog(log, read_only=True) as events:
        if space is not None:
            _known_space(events, log, space)
        report = events.verify_integrity(space)
    with Output() as out:
        if as_json:
            out.json(_report_shape(report))
        else:
            out.line(f"{visible(str(log))}: {_report_words(report)}")
    return 0 if report.valid else 1


def _report_words(report: IntegrityReport) -> str:
    link = report.first_broken_link
    if link is None:
        return f"{report.total_events} {'event' if report.total_events == 1 else 'events'}, every hash and link holds"
    return (
        f"broken at event {link.sequence_number} of space {visible(repr(link.space_id))}: {visible(link.reason)}"
        f" ({report.checked_events} of {report.total_events} events checked)"
    )


def _report_shape(report: IntegrityReport) -> dict[str, Value]:
    link = report.first_broken_link
    broken = None
    if link is not None:
        broken = {
            "space": link.space_id,
            "sequence": link.sequence_number,
            "event": link.event_id,
            "reason": link.reason,
            "expected": link.expected,
            "actual": link.actual,
        }
    return {
        "valid": report.valid,
        "total_events": report.total_events,
        "checked_events": report.checked_events,
        "first_broken_link": broken,
        "duration_ms": report.duration,
    }


@events_command.command("export")
@click.argument("log", type=_FILE, metavar="LOG")
@click.argument("out", type=_FILE, metavar="OUT.rblogs")
@click.option("--space", metavar="ID", help="The space to export; needed where LOG has several.")
@click.option("--before", metavar="DATE", help="Only events before this ISO 8601 time.")
@click.option("--force", is_flag=True, help="Replace OUT if it is there already.")
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
def export(log: Path, out: Path, space: str | None, before: str | None, force: bool, quiet: bool) -> None:
    """Write one space of LOG to the archive OUT; every hash is recomputed first."""
    refuse_same_file(str(log), str(out))
    if os.path.lexists(out) and not force:
        raise UnreadableSource(f"{out}: is there already; name another file, or say --force to replace it")
    with EventLog(log, read_only=True) as events:
        chosen = _only_space(events, log) if space is None else _known_space(events, log, space)
        archive = events.export_archive(chosen, before)
    write_bytes(out, archive)
    if not quiet:
        click.echo(f"unspool: {visible(repr(chosen))} written to {visible(str(out))}", err=True)


def _only_space(events: EventLog, log: Path) -> str:
    spaces = events.spaces()
    if len(spaces) == 1:
        return spaces[0]
    names = ", ".join(visible(repr(name)) for name in spaces[:_NAMED]) or "none"
    more = f" and {len(spaces) - _NAMED} more" if len(spaces) > _NAMED else ""
    raise click.UsageError(f"Say which with --space: {visible(str(log))} has {names}{more}.")


def _known_space(events: EventLog, log: Path, space: str) -> str:
    return chosen_spaces(log, events.spaces(), space)[0]


@events_command.command("import")
@click.argument("archives", type=_FILE, nargs=-1, required=True, metavar="ARCHIVE...")
@click.argument("log", type=_FILE, metavar="LOG")
@json_option()
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
def import_archives(archives: tuple[Path, ...], log: Path, as_json: bool, quiet: bool) -> None:
    """Read archives into LOG, each of them wholly or not at all; events that are there already are skipped."""
    shapes: list[Value] = []
    with EventLog(log) as events:
        for archive in archives:
            report = events.import_archive(archive)
            shapes.append(
                {"archive": str(archive), "imported": report.imported_events, "skipped": report.skipped_duplicates}
            )
            if not quiet and not as_json:
                counts = f"{report.imported_events} events imported, {report.skipped_duplicates} already there"
                click.echo(f"unspool: {visible(str(archive))}: {counts}", err=True)
    if as_json:
        with Output() as out:
            out.json(shapes)


@command("record")
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--log", type=_FILE, default="event-log.db", metavar="LOG.db", help="The event log; event-log.db by default."
)
@click.option("--once", is_flag=True, help="Record what the files hold now, and end.")
@click.option(
    "--poll", type=FiniteRange(min=0, min_open=True), metavar="SECONDS",
    help="Look for changes every so often instead of waiting for events.",
)  # fmt: skip
@json_option("Print each event as a line of JSON.")
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
def record(files: tuple[Path, ...], log: Path, once: bool, poll: float | None, as_json: bool, quiet: bool) -> int:
    """Keep the history of source files as they are saved, until ctrl-c.

    Each file is a space of the log, named by its path as given. `unspool LOG.db` looks at it, live.
    """
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
        if saves.passed_over:
            told = f"{saves.passed_over} changes were followed by others before they could be read; saves among them are not in the log"
            click.echo(f"unspool: {told}", err=True)
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


events_command.add_command(record)
