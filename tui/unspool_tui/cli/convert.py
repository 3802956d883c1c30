"""`unspool convert`: a foreign history as a native file."""

from __future__ import annotations

from pathlib import Path

import click

from unspool_tui.cli.options import Common, judge, keep_matching, source_command, source_of
from unspool_tui.cli.progress import shown_progress
from unspool_tui.present.inert import visible


@click.command("convert")
@source_command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.unspool")
@click.option("--strategy", default="auto", metavar="NAME", help="When a full snapshot is stored; auto by default.")
@click.option(
    "--codec", default="auto", metavar="NAME", help="How entries are written: auto, dict, binary, compress or none."
)
@click.option("--force", is_flag=True, help="Replace OUT if it is there already.")
def convert_command(common: Common, out: Path, strategy: str, codec: str, force: bool) -> int:
    """Keep SOURCE as the native file OUT."""
    from unspool.model.paths import parse_path
    from unspool.sources.converting import convert
    from unspool.sources.entries import Reading

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
        click.echo(f"unspool: {converted.entries} entries written to {visible(str(out))}", err=True)
    return judge(common, converted.verdict)
