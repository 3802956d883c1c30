"""Command lines that people get wrong: each ends with a line that helps."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from unspool.recorder import Recorder
from unspool_tui.cli import run


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    with Recorder("shop.unspool", on_error="raise") as recorder:
        recorder.record({"cart": {"total": 1}}, action="open")
        recorder.record({"cart": {"total": 2}}, action="ada puts tea in")
    return "shop.unspool"


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("serach shop.unspool tea", 2, "Did you mean 'search'?"),
        ("log shp.unspool", 3, "did you mean shop.unspool?"),
        ("blame cart shop.unspool", 3, "SOURCE comes first: is it shop.unspool?"),
        ("blame shop.unspool cart.totl", 2, "did you mean cart.total?"),
        ("log shop.unspool --format jsnl", 2, "did you mean jsonl?"),
        ("log shop.unspool --cuont 3", 2, "--count"),
        ("export shop.unspool out.xlsx", 2, "choose --format"),
        ("convert shop.unspool out.json", 2, "out.unspool"),
        ("diff shop.unspool shop.unspool", 2, "unspool compare"),
        ("show shop.unspool 99", 2, "it has 2 (0 to 1)"),
        ("show shop.unspool tae", 2, "write a number"),
        ("show shop.unspool 'ada puts tee in'", 2, "did you mean 'ada puts tea in'?"),
        ("search shop.unspool", 2, "search --help"),
    ],
)
def test_a_mistaken_line_is_answered_with_what_helps(
    shop: str, line: str, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shlex.split(line)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize("line", ["help", "help log", "version", "--help", "log --help"])
def test_words_for_help(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("unspool " if line == "version" else "Usage: unspool")
    assert printed.err == ""


@pytest.mark.parametrize(
    ("line", "kind", "code"),
    [
        ("show shop.unspool 99 --json", "EntryNotFound", 2),
        ("log nothing-there.unspool --json", "UnreadableSource", 3),
        ("log shop.unspool --json --nope", "UsageError", 2),
    ],
)
def test_errors_are_json_where_the_answer_would_have_been(
    shop: str, line: str, kind: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.split()) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    error = json.loads(printed.err)["error"]
    assert (error["type"], error["exit_code"]) == (kind, code)
    assert error["message"]
