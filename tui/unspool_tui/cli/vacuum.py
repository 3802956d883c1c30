"""`unspool vacuum`: a history file without its empty pages."""

from __future__ import annotations

from pathlib import Path

import click

from unspool_tui.cli.compact import refuse_foreign, tell
from unspool_tui.cli.options import Common, json_option


@click.command("vacuum")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@json_option()
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
def vacuum_command(file: Path, as_json: bool, quiet: bool) -> None:
    """Free FILE of empty pages; it is replaced by a verified copy, or left as it is."""
    from unspool.history.upkeep import vacuum

    refuse_foreign(file)
    tell(Common(str(file), quiet=quiet), vacuum(file), file, as_json=as_json)
