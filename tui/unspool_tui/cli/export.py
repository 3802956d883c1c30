"""`unspool export`: a history as text that other tools read."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click

from unspool.errors import UnreadableSource
from unspool.files.whole import write_whole
from unspool_tui.cli.options import Common, judge, opened, source_command
from unspool_tui.cli.output import Output
from unspool_tui.cli.progress import shown_progress
from unspool_tui.present.inert import visible


@click.command("export")
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
    from unspool.sources.exports.options import DEFAULT_REPORT_BYTES, ExportOptions
    from unspool.sources.exports.registry import export_for, export_lines, losses

    refuse_same_file(common.source, out)
    if not force:
        refuse_what_is_there(Path(out))
    name = target_format or export_for(out).name
    options = ExportOptions(paths, max_bytes or DEFAULT_REPORT_BYTES, time.time_ns())
    with opened(common) as history:
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
        lost = "" if common.quiet else losses(history, name)
        if lost:
            click.echo(f"unspool: {lost}", err=True)
        missing = options.holes.told()
        if missing:
            click.echo(f"unspool: {visible(missing)}", err=True)
        return max(judge(common, history.verdict), 1 if missing else 0)


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
