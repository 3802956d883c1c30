"""`unspool formats`: what can be opened."""

from __future__ import annotations

import click

from unspool_tui.cli.options import json_option
from unspool_tui.cli.output import Output


@click.command("formats")
@json_option()
def formats_command(as_json: bool) -> None:
    """List the formats that can be opened; their names are what --format takes."""
    from unspool.sources.registry import FORMATS

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
