"""`unspool serve`: the terminal UI in a web browser, through textual-serve."""

from __future__ import annotations

import ipaddress
import shlex
import sys
from typing import Final

import click

from unspool.errors import MissingExtra
from unspool.model.addresses import without_password
from unspool_tui.cli.options import Common, opened, source_command

_LOOPBACK_NAMES: Final = ("localhost", "ip6-localhost")


@click.command("serve")
@source_command()
@click.option("--host", default="localhost", metavar="NAME", help="Where to listen; this machine only by default.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, metavar="N", help="Port; 8000 by default.")
@click.option("--no-follow", is_flag=True, help="Do not keep up with a source that grows.")
def command(common: Common, host: str, port: int, no_follow: bool) -> int:
    """Open SOURCE in a web browser; each visitor gets a screen of their own."""
    try:
        from textual_serve.server import Server
    except ImportError:
        raise MissingExtra("serving needs textual-serve; run `pip install 'unspool[serve]'`") from None
    # A source that cannot be opened is told here, not to every visitor.
    with opened(common, follow=True):
        pass
    _tell(common, host, port)
    Server(
        _app_command(common, no_follow), host=host, port=port, title=f"unspool {without_password(common.source)}"
    ).serve()
    return 0


def _tell(common: Common, host: str, port: int) -> None:
    if not common.quiet:
        click.echo(
            f"unspool: serving {without_password(common.source)} at http://{host}:{port} (ctrl+c ends it)", err=True
        )
    if not is_loopback(host):
        click.echo(
            f"unspool: {host} can be reached from other machines, and whoever reaches it sees this history; "
            "there is no password",
            err=True,
        )


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach a host name or address."""
    if host in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _app_command(common: Common, no_follow: bool) -> str:
    """Spell the command that each visitor's screen is run by; nothing of it is left to a shell to read anew."""
    words = [sys.executable, "-m", "unspool_tui.cli", "open"]
    if common.format:
        words += ["--format", common.format]
    for option, pairs in (("--identity", common.identity), ("--fold", common.folds), ("--select", common.select)):
        for name, value in pairs.items():
            words += [option, f"{name}={value}"]
    if common.poll is not None:
        words += ["--poll", str(common.poll)]
    words += ["--ascii"] if common.ascii else []
    words += ["--no-color"] if not common.color else []
    words += ["--no-follow"] if no_follow else []
    return shlex.join([*words, "--", common.source])
