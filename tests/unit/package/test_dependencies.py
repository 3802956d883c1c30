"""docs/dependencies.md names every dependency and every extra, and nothing else; the public version is that of the package."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import unspool

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OURS = {"test", "lint", "bench", "screenshots", "docs", "mutants"}
"""Extras for work on the project itself."""


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]


def _tables() -> tuple[set[str], set[str]]:
    main, extras = (ROOT / "docs" / "dependencies.md").read_text("utf-8").split("## Extras")
    first = {cells[1].strip() for line in main.splitlines() if len(cells := line.split("|")) > 3}
    second = {cells[1].strip().strip("`") for line in extras.splitlines() if len(cells := line.split("|")) > 3}
    return first - {"Package", "---"}, second - {"Extra", "---"}


def test_every_dependency_has_its_line() -> None:
    packages, extras = _tables()
    assert packages == {_name(item) for item in PROJECT["dependencies"]}
    assert extras == set(PROJECT["optional-dependencies"]) - OURS


def test_a_plain_install_asks_for_few_packages() -> None:
    assert len(PROJECT["dependencies"]) <= 10


def test_every_dependency_is_imported_somewhere() -> None:
    code = "".join(path.read_text("utf-8") for folder in ("engine", "tui") for path in (ROOT / folder).rglob("*.py"))
    for item in PROJECT["dependencies"]:
        assert re.search(rf"^\s*(?:import|from) {_name(item)}\b", code, re.MULTILINE), item


def test_the_version_is_that_of_the_package() -> None:
    assert unspool.__version__ == version("unspool")
    assert "version" in PROJECT["dynamic"]
