"""`unspool serve`, `mcp` and `listen`: a history for web browsers and for MCP clients, and stores of running apps that report to us."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unspool.errors import ConfigError, MissingExtra
from unspool.model.limits import asked_for, use
from unspool_tui.cli.help_pages import FiniteRange, command
from unspool_tui.cli.options import Common, judge, opened, source_command
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.live.listen import Listening
    from unspool_tui.serving.server import Served


@command("serve")
@source_command(many=True)
@click.option("--host", default="localhost", metavar="NAME", help="Where to listen; this machine only by default.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, metavar="N", help="Port; 8000 by default.")
@click.option(
    "--visitors", type=click.IntRange(1, 1000), default=8, metavar="N", help="Most visitors at once; 8 by default."
)
@click.option(
    "--idle",
    type=FiniteRange(0),
    default=60.0,
    metavar="MINUTES",
    help="End a visit that nobody touched for so long; 60 by default, 0 for never.",
)
@click.option(
    "--allow-write",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Let visitors write exports and repaired copies below DIR; by default they write nothing.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="Also answer to this host name, such as a proxy's; repeatable.",
)
@click.option("--no-follow", is_flag=True, help="Do not keep up with a source that grows.")
def serve_command(
    common: Common,
    sources: tuple[str, ...],
    host: str,
    port: int,
    visitors: int,
    idle: float,
    allow_write: Path | None,
    names: tuple[str, ...],
    no_follow: bool,
) -> int:
    """Open each SOURCE in a web browser, side by side as tabs; each visitor gets a screen of their own."""
    try:
        from unspool_tui.serving.server import Served, Server  # the other command of this module goes without
        from unspool_tui.serving.visit import VisitLimits  # the other command of this module goes without
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("aiohttp", "textual_serve"):
            raise
        raise MissingExtra("serving needs textual-serve; run `pip install 'unspool[serve]'`") from None
    if "-" in sources:
        raise ConfigError(
            "standard input can be read once only, and every visitor reads anew; save it to a file first"
        )
    # A source that cannot be opened is told here, not to every visitor.
    for source in sources:
        with opened(replace(common, source=source), wait=False):
            pass
    served = Served(
        words=_app_command(common, sources, no_follow, allow_write),
        title=f"unspool · {_called(sources)}",
        host=host,
        port=port,
        visitors=visitors,
        names=names,
        limits=VisitLimits(idle_s=idle * 60 or None),
    )
    Server(served).run(lambda: _tell(common, sources, served))
    return 0


def _called(sources: Sequence[str]) -> str:
    from unspool_tui.source import distinct_names  # the other command of this module goes without

    return ", ".join(distinct_names(sources))


def _tell(common: Common, sources: Sequence[str], served: Served) -> None:
    from unspool_tui.serving.server import is_loopback  # the other command of this module goes without

    # Without the address, which holds the token, nobody can visit: it is told in any case.
    words = "" if common.quiet else f"unspool: serving {visible(_called(sources))} at "
    click.echo(f"{words}{served.address}" + ("" if common.quiet else " (ctrl+c ends it)"), err=True)
    if not is_loopback(served.host):
        click.echo(
            f"unspool: {served.host} can be reached from other machines, and whoever learns this address sees the "
            "history; nothing is encrypted",
            err=True,
        )


def _app_command(common: Common, sources: Sequence[str], no_follow: bool, allow_write: Path | None) -> list[str]:
    """Spell the command that each visitor's screen is run by; no shell reads it."""
    words = [sys.executable, "-m", "unspool_tui.cli", "open", "--visitor"]
    if allow_write is not None:
        words += ["--visitor-writes", str(allow_write.resolve())]
    if common.format:
        words += ["--format", common.format]
    for option, pairs in (("--identity", common.identity), ("--fold", common.folds), ("--select", common.select)):
        for name, value in pairs.items():
            words += [option, f"{name}={value}"]
    for text in click.get_current_context().params.get("limits", ()):
        words += ["--raise-limit", text]
    if common.poll is not None:
        words += ["--poll", str(common.poll)]
    if common.time is not None:
        words += ["--time", common.time]
    words += ["--ascii"] if common.ascii else []
    words += ["--no-color"] if not common.color else []
    words += ["--no-mouse"] if not common.mouse else []
    words += ["--no-follow"] if no_follow else []
    return [*words, "--", *sources]


@command("mcp")
@source_command(many=True)
def mcp_command(common: Common, sources: tuple[str, ...]) -> int:
    """Answer questions about each SOURCE over standard input and output, as an MCP server; a SOURCE is only read."""
    if "-" in sources:
        raise click.UsageError("standard input carries the questions; give a file.")
    from unspool_tui.cli.notes import notes_of  # the other command of this module goes without
    from unspool_tui.mcp_server import make_server  # the other command of this module goes without

    with ExitStack() as stack:
        commons = [replace(common, source=source) for source in sources]
        histories = [stack.enter_context(opened(each, follow=True)) for each in commons]
        notes = [notes_of(each, history) for each, history in zip(commons, histories, strict=True)]
        server = make_server(*histories, notes=notes)
        code = max(judge(each, history.verdict) for each, history in zip(commons, histories, strict=True))
        server.run(transport="stdio")
        return code


@command("listen")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, metavar="N", help="Port; 8000 by default, 0 for any."
)
@click.option(
    "--name", "names", multiple=True, metavar="HOST", help="Also answer to this name of this machine; repeatable."
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Also let pages of this origin ask, such as https://shop.test; those of this machine may; repeatable.",
)
@click.option(
    "--redact",
    multiple=True,
    metavar="PATTERN",
    help="Leave out what this names, such as user.token; entries that lack something cannot be jumped to; repeatable.",
)
@click.option("--keep", metavar="HOW_MUCH", help='How much of each recording stays: "last 10_000", "100MB", "7d".')
@click.option("--quiet", "-q", is_flag=True, help="Only addresses and errors on standard error.")
def listen_command(
    folder: Path,
    port: int,
    names: tuple[str, ...],
    origins: tuple[str, ...],
    redact: tuple[str, ...],
    keep: str | None,
    quiet: bool,
) -> int:
    """Record stores of running apps, each into a file of its own in DIR, and let the screen put them back.

    Redux by @redux-devtools/remote; Redux Toolkit, zustand and others by a script in the place of the browser extension;
    any program by POST of JSON Lines.
    """
    try:
        from unspool.live.listen import Kept, Listener  # loaded by the one command that needs it
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("h11", "wsproto"):
            raise
        raise MissingExtra("listening needs h11 and wsproto; run `pip install 'unspool[listen]'`") from None
    # A limit that means nothing in the environment is told now; and the environment is not asked with every message.
    use(asked_for())
    listener = Listener(
        folder,
        port=port,
        names=names,
        origins=origins,
        kept=Kept(redact, keep),
        tell=lambda words: _print_line(words, quiet),
    )
    listener.run(lambda place: _introduce(place, quiet))
    return 0


def _print_line(words: str, quiet: bool) -> None:
    if not quiet:
        click.echo(f"unspool: {visible(words)}", err=True)


def _introduce(place: Listening, quiet: bool) -> None:
    # Without the addresses, which hold the token, no script and no line would be taken: they are told in any case.
    if quiet:
        click.echo(f"{place.script}\n{place.posting('NAME')}", err=True)
        return
    click.echo(
        f"unspool: listening at localhost:{place.port}, recording into {visible(str(place.folder))} (ctrl+c ends it)\n"
        f"  Redux           devToolsEnhancer({{ realtime: true, port: {place.port} }}) of @redux-devtools/remote\n"
        f'  zustand, RTK …  <script src="{place.script}"></script> before the app\n'
        f'  any program     POST lines {{"state": …, "action": …}} to {place.posting("NAME")}',
        err=True,
    )
