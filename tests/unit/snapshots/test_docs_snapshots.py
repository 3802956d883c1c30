"""The reference of delta snapshots says what the code does."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import unspool.chain
import unspool.delta
import unspool.history
import unspool.snapshots
from unspool.snapshots import (
    ApplyOptions,
    DeltaAwareHistoryManager,
    DeltaCalculator,
    DeltaChainManager,
    DeltaOptions,
    IncrementalSnapshotConfig,
    SnapshotReconstructor,
)
from unspool.snapshots.chain_manager import ChainManagerConfig

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "api-delta-snapshots.md"
COVERAGE = ROOT / "docs" / "seed-coverage.md"


def test_the_examples_of_the_reference_run_as_written() -> None:
    result = doctest.testfile(
        str(REFERENCE), module_relative=False, optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    )
    assert result.attempted > 60
    assert result.failed == 0


def test_the_reference_names_every_method_and_option() -> None:
    text = REFERENCE.read_text()
    for kind in (DeltaCalculator, DeltaChainManager, SnapshotReconstructor, DeltaAwareHistoryManager):
        public = {name for name in vars(kind) if not name.startswith("_") and callable(getattr(kind, name))}
        unnamed = {name for name in public if name not in text}
        assert unnamed <= {"close", "clear_cache", "wait_for_prefetch"}
    for options in (DeltaOptions, ApplyOptions, ChainManagerConfig, IncrementalSnapshotConfig):
        assert [name for name in options.__dataclass_fields__ if name not in text] == []


def test_everything_that_is_public_can_be_imported() -> None:
    assert [name for name in unspool.snapshots.__all__ if getattr(unspool.snapshots, name, None) is None] == []
    assert set(unspool.snapshots.__all__) <= set(dir(unspool.snapshots))


def test_the_names_of_the_first_reference_go_on_working() -> None:
    for room in (unspool.delta, unspool.chain):
        for name in room.__all__:
            assert getattr(room, name) is getattr(unspool.snapshots, name)
    for name in ("DeltaAwareHistoryManager", "HistoryEvent", "IncrementalSnapshotConfig"):
        assert getattr(unspool.history, name) is getattr(unspool.snapshots, name)


def test_the_coverage_table_names_every_row_and_tests_that_exist() -> None:
    text = COVERAGE.read_text()
    rows = set(re.findall(r"^\| (N-\d\d)", text, re.MULTILINE))
    wanted = [*range(1, 20), *range(20, 28), *range(30, 36), *range(40, 47), *range(50, 68), *range(70, 76)]
    assert sorted(rows) == [f"N-{number:02}" for number in wanted]
    tests = "\n".join(path.read_text() for path in (ROOT / "tests" / "unit").rglob("test_*.py"))
    named = [name.removesuffix("*") for name in re.findall(r"`(test_\w+\*?)`", text) if (name + ".py") not in text]
    assert len(named) > 60
    assert [name for name in named if f"def {name}" not in tests] == []
