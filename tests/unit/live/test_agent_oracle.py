"""Random programs under the agent against brute force: every entry is a state the program was in, and names its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.agent_trials import exact_trial, loose_trial
from support.live_host import pythons

SEEDS = range(int(os.environ.get("UNSPOOL_AGENT_SEEDS", "2")))
MANY = range(1000, 1000 + int(os.environ.get("UNSPOOL_AGENT_MANY", "40")))


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", pythons())
@pytest.mark.parametrize("seed", SEEDS)
def test_entries_are_what_brute_force_sees(tmp_path: Path, seed: int, version: str) -> None:
    expected, named = exact_trial(tmp_path, seed, version)
    assert named >= 0.8 * expected, (named, expected)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", pythons())
@pytest.mark.parametrize("seed", SEEDS)
def test_without_exactness_entries_are_right_or_marked(tmp_path: Path, seed: int, version: str) -> None:
    loose_trial(tmp_path, seed + 1, version)


@pytest.mark.slow
@pytest.mark.parametrize("version", pythons())
def test_many_programs_are_what_brute_force_sees(tmp_path: Path, version: str) -> None:
    total = right = 0
    for seed in MANY:
        expected, named = exact_trial(tmp_path, seed, version)
        total += expected
        right += named
    assert right >= 0.95 * total, (right, total)
