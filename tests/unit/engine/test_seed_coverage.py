"""The coverage table names every row of the seeds, and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TABLE = (ROOT / "docs" / "seed-coverage.md").read_text()
ROWS = {
    "N": [*range(1, 20), *range(20, 28), *range(30, 36), *range(40, 47), *range(50, 68), *range(70, 76)],
    "F": [*range(1, 26), *range(30, 46)],
    "R": [
        *range(1, 9),
        10,
        *range(20, 24),
        *range(30, 35),
        *range(40, 45),
        *range(50, 53),
        *range(54, 59),
        *range(60, 66),
        70,
    ],
    "E": [*range(1, 9), *range(10, 28), *range(30, 37), 40, 41, *range(50, 54), *range(60, 67), *range(70, 76)],
}


@pytest.mark.parametrize("seed", ROWS)
def test_every_row_of_a_seed_is_covered(seed: str) -> None:
    told = {
        int(number)
        for line in TABLE.splitlines()
        if line.startswith("| ")
        for number in re.findall(rf"\b{seed}-(\d+)", line.split("|")[1])
    }
    spans = re.findall(rf"\b{seed}-(\d+)\s*(?:to|–|\.\.)\s*(?:{seed}-)?(\d+)", TABLE)
    told |= {number for start, stop in spans for number in range(int(start), int(stop) + 1)}
    assert sorted(set(ROWS[seed]) - told) == []


def test_every_test_that_is_named_exists() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    named = {
        name for line in TABLE.splitlines() if line.startswith("| ") for name in re.findall(r"`(test_\w+)", line)
    }
    assert len(named) > 200
    assert [name for name in sorted(named) if f"def {name}" not in tests and name not in files] == []
