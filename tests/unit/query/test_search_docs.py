"""The page about questions says what the code does."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path

from unspool.query import SEARCHED
from unspool_tui.actions import BY_ID
from unspool_tui.cli import COMMANDS
from unspool_tui.mcp_server import HistoryTools

PAGE = Path(__file__).parents[3] / "docs" / "questions.md"


def test_the_examples_run_as_written() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 25
    assert result.failed == 0


def test_everyone_calls_what_is_searched_the_same() -> None:
    root = PAGE.parents[1]
    pages = ("README.md", "docs/tui.md", "docs/keys.md", "engine/unspool/opened.py")
    told = [(root / page).read_text("utf-8") for page in pages]
    told += [HistoryTools.search.__doc__ or "", COMMANDS["search"].summary, BY_ID["search"].help]
    assert all(SEARCHED in " ".join(text.split()) for text in told)


def test_the_functions_it_names_are_there() -> None:
    names = re.findall(r"`(unspool\.query\.\w+)\.(\w+)`", PAGE.read_text())
    assert len(names) == 10
    assert all(callable(getattr(import_module(module), name)) for module, name in names)
