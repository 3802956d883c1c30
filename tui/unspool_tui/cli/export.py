"""`unspool export`, `convert`, `ship` and `formats`: a history in another form, or in another place."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

import click

from unspool.errors import HistoryLocked, UnreadableSource, is_postgres, without_password
from unspool.files import write_whole
from unspool.model.paths import parse_path
from unspool_tui.cli.help_pages import FiniteRange, command
from unspool_tui.cli.notes import found_notes, tell_unread
from unspool_tui.cli.options import (
    Common,
    complete_entry,
    json_option,
    judge,
    keep_matching,
    opened,
    range_named,
    shown_progress,
    source_command,
    source_of,
)
from unspool_tui.cli.output import Output
from unspool_tui.rendering.format_units import count
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.recorder.targets import Shipment
    from unspool.sources.written_notes import PlacedNote, SourceNotes


@command("export")
@source_command(format_option="--from")
@click.argument("out", metavar="OUT")
@click.option(
    "--format",
    "target_format",
    metavar="NAME",
    help="jsonl, json-patch, nexus, redux, csv or html; told by OUT's ending where it can be, else jsonl.",
)
@click.option("--path", "paths", multiple=True, metavar="P", help="csv: a column for this value; several times.")
@click.option("--force", is_flag=True, help="Replace OUT if it is there already.")
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    metavar="N",
    help="html: about how large the report may get; 8388608 by default. Entries are sampled to fit.",
)
def export_command(
    common: Common, out: str, target_format: str | None, paths: tuple[str, ...], force: bool, max_bytes: int | None
) -> int:
    """Write SOURCE to the file OUT; - is standard output."""
    # Loaded by the one command that needs it.
    from unspool.sources.exports import DEFAULT_REPORT_BYTES, ExportOptions, export_for, export_lines, losses

    refuse_same_file(common.source, out)
    if not force:
        refuse_what_is_there(Path(out))
    name = target_format or export_for(out).name
    options = ExportOptions(paths, max_bytes or DEFAULT_REPORT_BYTES, time.time_ns())
    with opened(common) as history:
        notes, found = found_notes(common, history)
        options = replace(options, notes=found)
        lines = export_lines(history, name, options)
        if out == "-":
            with Output(common) as output, shown_progress(common, "writing") as progress:
                for line in progress.counted(lines, len(history) - history.first):
                    output.raw(line)
        else:
            with shown_progress(common, "writing") as progress:
                write_file(Path(out), progress.counted(lines, len(history) - history.first))
            if not common.quiet:
                click.echo(
                    f"unspool: {len(history) - history.first} entries written to {visible(out)} as {name}", err=True
                )
        kept = keep_beside(common, out, name, notes, found)
        lost = "" if common.quiet else losses(history, name, written_notes=0 if kept else len(found))
        if lost:
            click.echo(f"unspool: {lost}", err=True)
        missing = options.holes.told()
        if missing:
            click.echo(f"unspool: {visible(missing)}", err=True)
        return max(judge(common, history.verdict), 1 if missing else 0)


def keep_beside(common: Common, out: str, name: str, notes: SourceNotes, found: Sequence[PlacedNote]) -> bool:
    """Write notes beside a file that was exported, where its format has them there; say whether all of them are told."""
    from unspool.sources.exports import export_named  # loaded by the one command that needs it

    told = export_named(name).written_notes
    if not found or told != "beside" or out == "-":
        return not found or told == "inside"
    place = notes.copy_to(out)
    if not common.quiet:
        click.echo(f"unspool: {count(len(found), 'note')} written to {visible(str(place))}", err=True)
    return True


def refuse_same_file(source: str, out: str) -> None:
    """Refuse to write over what is being read.

    Raises:
        UnreadableSource: both names mean one file.
    """
    with suppress(OSError, ValueError):
        if Path(out).samefile(source):
            raise UnreadableSource(f"{out}: is the source itself; name another file")


def refuse_what_is_there(out: Path) -> None:
    """Refuse to write over a file that holds anything.

    Raises:
        UnreadableSource: it does.
    """
    with suppress(OSError, ValueError):
        if out.is_file() and out.stat().st_size:
            raise UnreadableSource(f"{out}: is there already; name another file, or say --force to replace it")


def write_file(path: Path, lines: Iterable[str]) -> None:
    """Write lines to a file that appears under its name only when it is complete.

    Raises:
        UnreadableSource: it cannot be written.
    """
    # JSON escapes what has no UTF-8; a table or a page spells it out.
    _write(path, (f"{line}\n".encode("utf-8", "backslashreplace") for line in lines))


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes to a file that appears under its name only when it is complete.

    Raises:
        UnreadableSource: it cannot be written.
    """
    _write(path, (data,))


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # A pipe or a device, such as /dev/stdout, is written to; a file must not take its place.
            with path.open("wb") as stream:
                stream.writelines(pieces)
        else:
            # What a link leads to is replaced, and the link stays.
            write_whole(path.resolve(), pieces)
    except BrokenPipeError:
        raise
    except IsADirectoryError:
        raise UnreadableSource(f"{path}: is a folder; name a file in it") from None
    except OSError as error:
        raise UnreadableSource(f"{path}: cannot be written ({error.strerror}); check its folder") from None


_OTHER_KINDS: Final = frozenset(
    (".json", ".jsonl", ".ndjson", ".csv", ".html", ".txt", ".yaml", ".yml", ".toml", ".xml")
)


@command("convert")
@source_command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.unspool")
@click.option("--strategy", default="auto", metavar="NAME", help="When a full snapshot is stored; auto by default.")
@click.option(
    "--codec", default="auto", metavar="NAME", help="How entries are written: auto, dict, binary, compress or none."
)
@click.option("--force", is_flag=True, help="Replace OUT if it is there already.")
def convert_command(common: Common, out: Path, strategy: str, codec: str, force: bool) -> int:
    """Keep SOURCE as the native file OUT."""
    if out.suffix.lower() in _OTHER_KINDS:
        raise click.UsageError(
            f"convert makes a native file, which {out.name} does not say: name it {out.stem}.unspool, "
            f"or write {out.suffix} with `unspool export`"
        )
    from unspool.sources.copying import convert  # loaded by the one command that needs it
    from unspool.sources.entries import Reading  # loaded by the one command that needs it

    if common.identity:
        # Before a file is made that would hold a misspelt key for ever.
        with source_of(common, follow=False).open(wait=True) as history:
            keep_matching(common, history)
    identity = source_of(common, follow=False).identity
    with shown_progress(common, "reading") as progress:
        reading = Reading(
            format=common.format,
            follow=False,
            folds=common.folds,
            select=common.select,
            time=parse_path(common.time) if common.time else (),
            progress=progress,
        )
        converted = convert(
            common.source, out, reading, strategy=strategy, codec=codec, identity=identity, replace=force
        )
    if not common.quiet:
        notes = f" and {count(converted.notes, 'note')}" if converted.notes else ""
        click.echo(f"unspool: {converted.entries} entries{notes} written to {visible(str(out))}", err=True)
    return max(judge(common, converted.verdict), tell_unread(common, converted.problems))


@command("share")
@source_command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.html|OUT.unspool")
@click.option(
    "--range",
    "span",
    metavar="A..B",
    shell_complete=complete_entry,
    help="Only these entries, which keep their numbers; all by default.",
)
@click.option(
    "--redact",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Leave out the values of this key (password) or path (users[*].token); repeatable.",
)
@click.option(
    "--redact-text",
    "texts",
    multiple=True,
    metavar="REGEX",
    help="Leave out what matches of every text: values, keys, actions, notes; repeatable.",
)
@click.option(
    "--unmatched-ok", is_flag=True, help="Write OUT although a pattern matched nothing; otherwise that is refused."
)
@click.option("--question", default="", metavar="TEXT", help="html: what whoever gets it is to look at.")
@click.option("--force", is_flag=True, help="Replace OUT if it is there already.")
def share_command(
    common: Common,
    out: Path,
    span: str | None,
    patterns: tuple[str, ...],
    texts: tuple[str, ...],
    unmatched_ok: bool,
    question: str,
    force: bool,
) -> int:
    """Write some entries of SOURCE to hand on, with the notes on them, without what is nobody else's business.

    OUT is a report for any browser, or a native file with the same entries. The source is not changed.
    """
    if out.suffix.lower() not in (".html", ".htm", ".unspool"):
        raise click.UsageError(
            f"{out.name} says neither: name it {out.stem}.html for a report, or {out.stem}.unspool"
        )
    # Loaded by the one command that needs it.
    from unspool.files import ScratchFolder
    from unspool.recorder.redact import Redaction
    from unspool.sources.copying import share
    from unspool.sources.written_notes import notes_place

    refuse_same_file(common.source, str(out))
    if not force:
        refuse_what_is_there(out)
    redaction = Redaction(patterns, text=texts, is_bounded=True) if patterns or texts else None
    with opened(common) as history, ExitStack() as stack:
        first, last = range_named(common, history, span) if span else (history.first, len(history) - 1)
        _, found = found_notes(common, history)
        is_page = out.suffix.lower() != ".unspool"
        made = stack.enter_context(ScratchFolder()) / "shared.unspool" if is_page else out
        with shown_progress(common, "sharing") as progress:
            notes = share(
                history,
                made,
                first,
                last,
                redaction=redaction,
                notes=found,
                overwrites=force,
                must_match=() if unmatched_ok else (*patterns, *texts),
                progress=progress,
            )
        if is_page:
            title = PurePath(history.source_name).name or history.source_name
            if redaction is not None:
                title, question = (redaction.clean_text(text, ()) for text in (title, question))
            _write_page(made, out, title, question)
        if not common.quiet:
            beside = None if is_page else notes_place(str(out))
            if beside is not None and beside.exists():
                click.echo(
                    f"unspool: {visible(str(beside))} holds notes on what {visible(out.name)} was before; "
                    "it is left as it is: remove it unless they are meant for this one too",
                    err=True,
                )
            told = f" and {count(notes, 'note')}" if notes else ""
            idle = [] if redaction is None else redaction.unmatched((*patterns, *texts))
            left_out = ", ".join(one for one in (*patterns, *texts) if not unmatched_ok or one not in idle)
            without = f", without {left_out}" if left_out else ""
            if unmatched_ok and idle:
                click.echo(f"unspool: nothing matched {visible(', '.join(idle))}", err=True)
            click.echo(
                f"unspool: entries {first} to {last}{told} written to {visible(str(out))}{visible(without)}", err=True
            )
        return judge(common, history.verdict)


def _write_page(made: Path, out: Path, title: str, question: str) -> None:
    """Write the report of what is shared; nothing of the source itself is read for it."""
    from unspool.sources.exports import ExportOptions, export_lines  # loaded by the one command that needs it

    with opened(Common(str(made), quiet=True)) as shared:
        _, found = found_notes(Common(str(made), quiet=True), shared)
        options = ExportOptions(made_ns=time.time_ns(), notes=found, title=title, question=question)
        write_file(out, export_lines(shared, "html", options))


@command("formats")
@json_option()
def formats_command(as_json: bool) -> None:
    """List the formats that can be opened; their names are what --format takes."""
    from unspool.sources.detection import FORMATS  # loaded by the one command that needs it

    with Output() as out:
        if as_json:
            out.json(
                [
                    {"name": item.name, "title": item.title, "live": item.is_live, "aliases": list(item.aliases)}
                    for item in FORMATS
                ]
            )
            return
        width = max(len(item.name) for item in FORMATS)
        for item in FORMATS:
            other = f"  (also: {', '.join(item.aliases)})" if item.aliases else ""
            out.line(f"{item.name:<{width}}  {item.title}{other}")


_SECONDS: Final = 60.0
_SOMETHING_LEFT: Final = 1


@command("ship")
@click.argument("spools", nargs=-1, metavar="[ADDRESS|SPOOL]...")
@click.option("--spool", "base", type=click.Path(path_type=Path), help="Folder that spools lie in.")
@click.option("--seconds", type=FiniteRange(min=0), default=_SECONDS, show_default=True, help="How long to try each.")
@json_option("Print JSON Lines.")
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
def ship_command(spools: tuple[str, ...], base: Path | None, seconds: float, as_json: bool, quiet: bool) -> int:
    """Ship what recorders of histories in PostgreSQL left on this machine; all spools when none is named."""
    from unspool.recorder.targets import ship  # loaded by the one command that needs it
    from unspool.recorder.targets import spools as all_spools  # loaded by the one command that needs it

    common = Common("", quiet=quiet)
    left = 0
    with Output(common) as output:
        found = spools or all_spools(base)
        if not found:
            _say(common, "no spool is left on this machine" if base is None else f"{base}: no spool is left there")
        for spool in found:
            try:
                with shown_progress(common, "shipping") as progress:
                    done = ship(spool, base, seconds, progress)
            except HistoryLocked as error:
                if spools:
                    raise
                # Its recorder is at work, and ships by itself.
                _say(common, str(error))
                continue
            if done is None:
                _say(common, f"{without_password(spool) if is_postgres(spool) else spool}: nothing waits")
                continue
            left += done.left
            if as_json:
                output.json(_shape(done))
            _tell(common, done)
    return _SOMETHING_LEFT if left else 0


def _shape(done: Shipment) -> dict[str, int | str]:
    return {
        "spool": str(done.folder),
        "history": done.name,
        "shipped": done.shipped,
        "skipped": done.skipped,
        "left": done.left,
    }


def _tell(common: Common, done: Shipment) -> None:
    for line in done.news:
        _say(common, line)
    told = f"{done.name}: {done.shipped} entries shipped"
    if done.skipped:
        told += f", {done.skipped} never arrive (`unspool doctor` tells which)"
    _say(common, told + (f", {done.left} wait in {done.folder}" if done.left else ""))


def _say(common: Common, text: str) -> None:
    if not common.quiet:
        click.echo(f"unspool: {visible(without_password(text))}", err=True)
