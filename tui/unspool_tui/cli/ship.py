"""`unspool ship`: what recorders left in their spools, brought to PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from unspool.errors import HistoryLocked
from unspool.model.addresses import is_postgres, without_password
from unspool_tui.cli.options import Common, json_option
from unspool_tui.cli.output import Output
from unspool_tui.cli.progress import shown_progress
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.recorder.targets import Shipment

_SECONDS: Final = 60.0
_SOMETHING_LEFT: Final = 1


@click.command("ship")
@click.argument("spools", nargs=-1, metavar="[ADDRESS|SPOOL]...")
@click.option("--spool", "base", type=click.Path(path_type=Path), help="Folder that spools lie in.")
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=_SECONDS, show_default=True, help="How long to try each."
)
@json_option("Print JSON Lines.")
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard error but errors.")
def ship_command(spools: tuple[str, ...], base: Path | None, seconds: float, as_json: bool, quiet: bool) -> int:
    """Ship what recorders of histories in PostgreSQL left on this machine; all spools when none is named."""
    from unspool.recorder.targets import ship
    from unspool.recorder.targets import spools as all_spools

    common = Common("", quiet=quiet)
    left = 0
    with Output(common) as output:
        for spool in spools or all_spools(base):
            try:
                with shown_progress(common, "shipping") as progress:
                    done = ship(spool, base, seconds, progress)
            except HistoryLocked as error:
                if spools:
                    raise
                # Its recorder is at work, and ships by itself.
                _say(common, str(error))
                continue
            if done is None:
                _say(common, f"{without_password(spool) if is_postgres(spool) else spool}: nothing waits")
                continue
            left += done.left
            if as_json:
                output.json(_shape(done))
            _tell(common, done)
    return _SOMETHING_LEFT if left else 0


def _shape(done: Shipment) -> dict[str, int | str]:
    return {
        "spool": str(done.folder),
        "history": done.name,
        "shipped": done.shipped,
        "skipped": done.skipped,
        "left": done.left,
    }


def _tell(common: Common, done: Shipment) -> None:
    for line in done.news:
        _say(common, line)
    told = f"{done.name}: {done.shipped} entries shipped"
    if done.skipped:
        told += f", {done.skipped} never arrive (`unspool doctor` tells which)"
    _say(common, told + (f", {done.left} wait in {done.folder}" if done.left else ""))


def _say(common: Common, text: str) -> None:
    if not common.quiet:
        click.echo(f"unspool: {visible(without_password(text))}", err=True)
