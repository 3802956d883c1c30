"""Checking the demo's shop: the line with the mistake is found, and nothing is reported of a day without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from unspool.history import History
from unspool.query.checkers import CheckReport, check
from unspool.store import FileStore
from unspool_tui.demo_app import run_at_once


def checked(path: Path, *, steps: int, seed: int, bug: bool) -> CheckReport:
    run_at_once(str(path), rate=5, steps=steps, seed=seed, bug=bug)
    with History(FileStore.open(path)) as history:
        return check(history, plugins={})


@pytest.mark.one_in(4)
@pytest.mark.parametrize("seed", [0, 3, 11, 12])
def test_a_day_in_the_shop_without_a_mistake_has_no_findings(tmp_path: Path, seed: int) -> None:
    report = checked(tmp_path / "good.unspool", steps=600, seed=seed, bug=False)
    assert (report.findings, report.problems, report.entries) == ((), (), 601)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("steps", "seed"), [(120, 0), (600, 0), (600, 3), (600, 11)])
def test_the_mistake_of_a_day_in_the_shop_is_found_at_its_line(tmp_path: Path, steps: int, seed: int) -> None:
    report = checked(tmp_path / "bad.unspool", steps=steps, seed=seed, bug=True)
    (found,) = report.findings
    assert found.caller is not None
    assert found.caller.function == "HastyShop._take_out"
    assert found.path.endswith(".total")
    assert found.action.endswith(" back")
    assert "total <= sum(items[].amount)" in found.message
