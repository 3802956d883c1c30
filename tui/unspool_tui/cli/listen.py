"""`unspool listen`: stores of running apps tell of themselves, and each becomes a recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unspool.errors import MissingExtra
from unspool.model.limits import asked_for, use
from unspool_tui.cli.help_pages import command
from unspool_tui.rendering.sanitize import visible

if TYPE_CHECKING:
    from unspool.live.listen import Listening


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
        tell=lambda words: _tell(words, quiet),
    )
    listener.run(lambda place: _introduce(place, quiet))
    return 0


def _tell(words: str, quiet: bool) -> None:
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
