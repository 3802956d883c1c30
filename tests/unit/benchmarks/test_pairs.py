"""Two trees held against each other: when a row counts as slower, and that every task has something to run."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from benchmarks.pair_tasks import Place, prepared_tasks
from benchmarks.pairs import MOST_RATIO, compared


def times(base: float, factor: float, noise: float) -> dict[str, list[float]]:
    rng = random.Random(3)
    contenders = {"old": base, "again": base, "new": base * factor}
    return {name: [value * (1 + rng.uniform(-noise, noise)) for _ in range(40)] for name, value in contenders.items()}


@pytest.mark.parametrize(
    ("factor", "noise", "slower"),
    [
        (1.0, 0.001, False),
        (MOST_RATIO - 0.01, 0.001, False),
        (1.1, 0.001, True),
        (1.1, 0.6, False),
        (0.5, 0.001, False),
    ],
)
def test_a_row_is_slower_when_it_is_beyond_what_is_allowed_and_beyond_chance(
    factor: float, noise: float, slower: bool
) -> None:
    assert compared("anything", times(0.01, factor, noise)).is_slower is slower


@pytest.mark.parametrize("name", ["delta: patch", "read: S1, one atom", "seeds: snapshots, cached", "record: S1"])
def test_a_task_runs_with_the_engine_of_now(name: str, tmp_path: Path) -> None:
    work = prepared_tasks()[name](Place(tmp_path))
    work()
    work()
