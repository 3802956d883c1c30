"""A small shop that records itself: carts, stock and sessions, several moments a second.

It is an ordinary program with ordinary mutable state; the two lines that matter are `Recorder(…)` here and `record(…)`
in the shop. Run it with `python -m unspool_tui.demo_app --file shop.unspool`, and `unspool open shop.unspool` beside it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import signal
import sys
import time
from itertools import count
from typing import Final

from unspool import Recorder
from unspool.errors import UnspoolError
from unspool_tui.demo_bug import HastyShop
from unspool_tui.demo_shop import Shop

NOON: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
"""When a day begins that is recorded at once."""


def run(
    file: str,
    *,
    rate: float,
    seconds: float | None,
    seed: int,
    bug: bool = False,
    parent: int | None = None,
    before: int = 0,
) -> None:
    """Run the shop and record every step.

    Args:
        file: the history to write.
        rate: steps a second.
        seconds: how long; None runs until stopped.
        seed: see `Shop`.
        bug: let it be the shop with a mistake in it.
        parent: process to end with.
        before: steps that are recorded at once, as if they lay behind already.
    """
    moments = count()
    begun = time.time_ns()

    def clock() -> int:
        behind = before - next(moments)
        return begun - int(behind / rate * 1e9) if behind > 0 else time.time_ns()

    with Recorder(file, caller=True, on_error="raise", clock=clock) as recorder:
        shop = (HastyShop if bug else Shop)(seed, recorder)
        shop.open()
        for _ in range(before):
            shop.step()
        start = time.monotonic()
        step = 0
        while seconds is None or step < rate * seconds:
            step += 1
            time.sleep(max(0.0, start + step / rate - time.monotonic()))
            if parent is not None and os.getppid() != parent:
                return
            shop.step()


def run_at_once(file: str, *, rate: float, steps: int, seed: int, bug: bool = False) -> None:
    """Record a day without waiting, dated from noon of a fixed day on; see `run`."""
    moments = count()
    start = int(NOON.timestamp()) * 10**9

    def clock() -> int:
        return start + int(next(moments) / rate * 1e9)

    with Recorder(file, caller=True, on_error="raise", clock=clock) as recorder:
        shop = (HastyShop if bug else Shop)(seed, recorder)
        shop.open()
        for _ in range(steps):
            shop.step()


def _stop(*_: object) -> None:
    raise SystemExit(0)


def main() -> None:
    """Read the command line and run the shop."""
    parser = argparse.ArgumentParser(description="A small shop that records itself.")
    parser.add_argument("--file", default="shop.unspool", help="the history to write (shop.unspool)")
    parser.add_argument("--rate", type=float, default=5.0, metavar="HZ", help="steps a second (5)")
    parser.add_argument("--seconds", type=float, default=None, help="how long (until stopped)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same day (0)")
    parser.add_argument("--steps", type=int, default=None, metavar="N", help="N steps at once, without waiting")
    parser.add_argument("--bug", action="store_true", help="the shop with a mistake in it")
    parser.add_argument("--before", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--parent", type=int, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rate <= 0:
        parser.error("--rate must be above 0")
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        if given.steps is not None:
            run_at_once(given.file, rate=given.rate, steps=given.steps, seed=given.seed, bug=given.bug)
        else:
            run(
                given.file,
                rate=given.rate,
                seconds=given.seconds,
                seed=given.seed,
                bug=given.bug,
                parent=given.parent,
                before=given.before,
            )
    except UnspoolError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
