"""The page for contributors names files, classes and targets that are there, and tests lie where it says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
BESIDE_ROOMS = {"engine", "cli", "benchmarks", "package"}
"""Folders of tests that are about the engine as a whole, the command line, the benchmarks, and what is installed."""
PATHS = sorted(set(re.findall(r"`((?:engine|tui|tests|docs|fixtures)/[\w./-]*)`", PAGE)))


@pytest.mark.parametrize("path", PATHS)
def test_every_file_that_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_class_that_is_named_stands_in_the_file_behind_it() -> None:
    named = re.findall(r"`([A-Z]\w+)(?:\.(\w+))?`\s\((?:`[\w/.]+`, )*?`([\w/]+\.py)`", PAGE)
    assert len(named) > 10
    for name, method, path in named:
        text = (ROOT / path).read_text("utf-8")
        assert re.search(rf"^(?:class )?{name}\b", text, re.MULTILINE), f"{path} has no {name}"
        assert not method or f"def {method}(" in text, f"{path} has no {name}.{method}"


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / ".github" / target).exists(), target


def test_folders_of_tests_are_named_after_rooms_and_every_room_has_one() -> None:
    engine = ROOT / "engine" / "unspool"
    rooms = {path.name for path in engine.iterdir() if len(list(path.glob("*.py"))) > 1}
    folders = {path.name for path in (ROOT / "tests" / "unit").iterdir() if list(path.glob("test_*.py"))}
    modules = {path.stem for path in engine.glob("*.py")}
    assert folders - BESIDE_ROOMS - modules == rooms


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["test"], "-m pytest -n 3\n"),
        (["test", "ROOM=query"], "HYPOTHESIS_PROFILE=work .venv/bin/python -m pytest -n 2 tests/unit/query\n"),
        (["test", "ROOM=tui"], "HYPOTHESIS_PROFILE=work .venv/bin/python -m pytest -n 2 tests/tui\n"),
    ],
)
def test_a_room_is_tested_alone(asked: list[str], expected: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--assume-old=.venv/.test", *asked],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.endswith(expected)


def test_a_room_that_is_none_is_refused_with_those_there_are() -> None:
    done = subprocess.run(
        ["make", "--assume-old=.venv/.test", "test", "ROOM=quary"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "there is no room quary; there are: " in done.stderr
    assert " query " in done.stderr
