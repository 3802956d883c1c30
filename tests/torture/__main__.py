"""`python -m torture [CAMPAIGN ...] --minutes N --seed S --case K`: run campaigns for long and print what they came to."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from torture.campaign import run_campaign, table
from torture.campaigns import CAMPAIGNS
from torture.truth import scratch


def main() -> int:
    """Run what the command line asks for; return 1 where a case failed."""
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=", ".join(CAMPAIGNS))
    parser.add_argument("--minutes", type=float, default=10.0, help="time for all campaigns together")
    parser.add_argument("--seed", type=int, default=None, help="the same seed gives the same cases")
    parser.add_argument("--case", type=int, default=None, help="run this case of one campaign alone")
    given = parser.parse_args()
    unknown = [name for name in given.campaigns if name not in CAMPAIGNS]
    if unknown:
        parser.error(f"no campaign is called {', '.join(unknown)}; there are {', '.join(CAMPAIGNS)}")
    names = given.campaigns or list(CAMPAIGNS)
    seed = int(time.time()) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    tallies = []
    ends = time.monotonic() + given.minutes * 60
    folder = Path(tempfile.mkdtemp(prefix="torture-", dir=scratch(Path(tempfile.gettempdir()))))
    try:
        for place, name in enumerate(names):
            share = max(ends - time.monotonic(), 5.0) / (len(names) - place)
            own = folder / "".join(letter for letter in name if letter.isalnum())
            own.mkdir()
            tally = run_campaign(CAMPAIGNS[name](), own, seed=seed, seconds=share, only=given.case)
            shutil.rmtree(own, ignore_errors=True)
            tallies.append(tally)
            print(table([tally]).splitlines()[-1], f"{tally.seconds:.0f} s", flush=True)
            if tally.examples:
                print(tally.failures(seed), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print()
    print(table(tallies))
    return 0 if all(tally.is_fine for tally in tallies) else 1


sys.exit(main())
