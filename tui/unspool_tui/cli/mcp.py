"""`unspool mcp`: a history for programs that speak the Model Context Protocol."""

from __future__ import annotations

import click

from unspool_tui.cli.options import Common, judge, opened, source_command


@click.command("mcp")
@source_command()
def mcp_command(common: Common) -> int:
    """Answer questions about SOURCE over standard input and output, as an MCP server; SOURCE is only read."""
    if common.source == "-":
        raise click.UsageError("standard input carries the questions; give a file.")
    from unspool_tui.mcp_server import make_server

    with opened(common, follow=True) as history:
        server = make_server(history)
        code = judge(common, history.verdict)
        server.run(transport="stdio")
        return code
