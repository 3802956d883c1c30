"""The page about questions says what the code does."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path

from unspool.query import HitKind

PAGE = Path(__file__).parents[3] / "docs" / "questions.md"


def test_the_examples_run_as_written() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 25
    assert result.failed == 0


def test_it_explains_everything_that_a_text_is_looked_for_in() -> None:
    section = PAGE.read_text("utf-8").split("\n## Search\n")[1].split("\n## ")[0]
    explained = re.findall(r"^- \*\*(\w+)\*\*:", section, re.MULTILINE)
    assert set(explained) == set(HitKind) - {HitKind.RESULT}
    assert len(explained) == len(HitKind) - 1


def test_the_functions_it_names_are_there() -> None:
    names = re.findall(r"`(unspool\.query\.\w+)\.(\w+)`", PAGE.read_text())
    assert len(names) == 10
    assert all(callable(getattr(import_module(module), name)) for module, name in names)
