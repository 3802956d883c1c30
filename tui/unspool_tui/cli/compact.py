"""`unspool compact`: a finished history, written anew as small as it gets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unspool_tui.cli.options import Common, json_option
from unspool_tui.cli.output import Output
from unspool_tui.cli.progress import shown_progress
from unspool_tui.cli.stats import human_bytes
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.history.upkeep import SizeReport


@click.command("compact")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT")
@json_option()
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
def compact_command(file: Path, out: Path, as_json: bool, quiet: bool) -> None:
    """Write the history FILE anew to OUT, as small as it gets; every entry is verified, FILE is never changed."""
    from unspool.history.upkeep import compact

    refuse_foreign(file)
    common = Common(str(file), quiet=quiet)
    with shown_progress(common, "writing") as progress:
        report = compact(file, out, progress)
    tell(common, report, out, as_json=as_json)


def refuse_foreign(file: Path) -> None:
    """Refuse what is no history file of unspool's own.

    Raises:
        UnreadableSource: it is missing, or of another format.
    """
    from unspool.errors import UnreadableSource
    from unspool.sources.opening import is_native

    if not file.exists():
        raise UnreadableSource(f"{file}: no such file; check the spelling of the path")
    if not is_native(str(file), None):
        raise UnreadableSource(f"{file}: no unspool file; `unspool convert SOURCE OUT` makes one of any source")


def tell(common: Common, report: SizeReport, out: Path, *, as_json: bool) -> None:
    """Say what came of it: as JSON on standard output, or in words on standard error."""
    if as_json:
        with Output(common) as output:
            output.json({"entries": report.entries, "before": report.before, "after": report.after})
    elif not common.quiet:
        sizes = f"{human_bytes(report.before)} before, {human_bytes(report.after)} now"
        click.echo(f"unspool: {visible(str(out))}: {report.entries} entries; {sizes}", err=True)
