"""A short slice of each campaign, always the same one; `make torture` runs them for as long as it is told to."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from torture.campaign import Campaign, Outcome, Result, Tally, run_campaign, table
from torture.campaigns import CAMPAIGNS
from torture.power import Disk, calls_in
from torture.truth import scratch

SEED = 20_261_129
SLICE = {
    "flips": 10, "flips, format 1": 8, "cuts": 8, "cuts, format 1": 6, "live flips": 10, "live flips, format 1": 8,
    "rows": 12, "power cuts": 15, "I/O faults": 15, "kills": 1, "exhaustion": 1, "re-entry": 4,
    "readers": 12, "git settings": 2, "postgres": 1, "web": 5,
    "agent": 2, "agent faults": 2,
}  # fmt: skip
"""Cases of each campaign; chosen so that each takes a few seconds."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    own = Path(tempfile.mkdtemp(prefix="torture-", dir=scratch(tmp_path)))
    yield own
    shutil.rmtree(own, ignore_errors=True)


@pytest.mark.one_in(6)
@pytest.mark.parametrize("name", SLICE)
def test_a_slice_of(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tally = run_campaign(CAMPAIGNS[name](), folder, seed=SEED, seconds=120, most=SLICE[name])
    if tally.skipped:
        pytest.skip(tally.skipped)
    with capsys.disabled():
        print(f"\nseed {SEED}\n{table([tally]).splitlines()[-1]}")
    assert tally.is_fine, f"\n{tally.failures(SEED)}"
    assert sum(tally.counts.values()) >= SLICE[name]


class _Mixed(Campaign):
    """Cases of every kind."""

    name = "mixed"
    limit_s = 1.0

    def prepare(self, folder: Path, seed: int) -> int:
        return 12

    def run(self, case: int, folder: Path) -> Result:
        match case:
            case 3:
                time.sleep(60)
            case 5:
                raise KeyError("a traceback")
            case 7:
                import os

                os._exit(9)
            case 9:
                return Result(Outcome.WRONG, "another answer")
            case 10:
                list(range(1 << 40))
        return Result(Outcome.TYPED if case % 2 else Outcome.RIGHT)


def test_every_outcome_is_counted_and_no_case_is_left_out(folder: Path) -> None:
    tally = run_campaign(_Mixed(), folder, seed=1, seconds=60)
    assert sum(tally.counts.values()) == tally.total == 12
    assert tally.counts[Outcome.HANG] == 1
    assert tally.counts[Outcome.UNTYPED] == 3
    assert tally.counts[Outcome.WRONG] == 1
    assert not tally.is_fine
    assert "KeyError: 'a traceback'" in tally.failures(1)
    assert "python -m torture mixed --seed 1 --case 9" in tally.failures(1)
    assert "| mixed | 12 of 12 | " in table([tally])


def test_a_campaign_ends_when_its_time_is_up(folder: Path) -> None:
    class Slow(_Mixed):
        def run(self, case: int, folder: Path) -> Result:
            time.sleep(0.3)
            return Result(Outcome.RIGHT)

    begun = time.monotonic()
    tally = run_campaign(Slow(), folder, seed=1, seconds=0.5)
    assert time.monotonic() - begun < 20
    assert 0 < sum(tally.counts.values()) < 12


@pytest.mark.parametrize(("synced", "left"), [(False, {b"", b"new"}), (True, {b"new"})])
def test_a_power_cut_empties_what_was_not_forced_to_disk(synced: bool, left: set[bytes], tmp_path: Path) -> None:
    """The fault that a rename without fsync has: this is what the campaign of power cuts must be able to see."""
    import random

    (tmp_path / "out").write_bytes(b"old")
    sync = f"S\t77\t{tmp_path}/part\n" if synced else ""
    log = (
        f"C\t77\t{tmp_path}/part\nW\t77\t0\t3\nnew{sync}R\t{tmp_path}/part\t{tmp_path}/out\nS\t1\t{tmp_path}\n"
    ).encode()
    found = set()
    for way in ("lost", "kept", "reordered", "torn"):
        for seed in range(10):
            disk = Disk(tmp_path)
            for call in calls_in(log):
                disk.take(call)
            found.add(disk.after(way, random.Random(seed))["out"])
    assert found == left


def test_names_say_which_campaigns_there_are() -> None:
    assert all(name == campaign.name and campaign.about for name, campaign in CAMPAIGNS.items())
    assert Tally("x").is_fine
