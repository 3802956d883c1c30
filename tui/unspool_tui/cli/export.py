"""`unspool export`: a history as text that other tools read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click

from unspool.errors import UnreadableSource
from unspool_tui.cli.options import Common, judge, opened, source_command
from unspool_tui.cli.output import Output
from unspool_tui.present.inert import visible


@click.command("export")
@source_command(format_option="--from")
@click.argument("out", metavar="OUT")
@click.option(
    "--format", "target_format", default="jsonl", metavar="NAME", help="jsonl, json-patch or nexus; jsonl by default."
)
def command(common: Common, out: str, target_format: str) -> int:
    """Write SOURCE to the file OUT; - is standard output."""
    from unspool.sources.exporting import export_lines

    with opened(common) as history:
        lines = export_lines(history, target_format)
        if out == "-":
            with Output(common) as output:
                for line in lines:
                    output.raw(line)
        else:
            write_file(Path(out), lines)
            if not common.quiet:
                click.echo(f"unspool: {len(history)} entries written to {visible(out)}", err=True)
        return judge(common, history.verdict)


def write_file(path: Path, lines: Iterable[str]) -> None:
    """Write lines to a file that appears under its name only when it is complete.

    Raises:
        UnreadableSource: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(f"{line}\n" for line in lines)
        os.replace(part, path)  # noqa: PTH105 - replaces in one step, which Path.rename promises on POSIX only
    except OSError as error:
        raise UnreadableSource(f"{path}: cannot be written ({error.strerror}); check its folder") from None
    finally:
        with suppress(OSError):
            part.unlink()
