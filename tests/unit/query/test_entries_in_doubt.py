"""An entry that says itself that other code may have made its changes is told so by every answer that names its line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.support.live_host import monitored, pythons

from unspool import Recorder, open_history
from unspool.model.entries import PASSED_OVER, caller_of, doubt_in
from unspool.model.values import Value
from unspool.query.blame import blame
from unspool.query.why import why
from unspool.sources.exports import ExportOptions
from unspool.sources.exports.html_report import html_lines
from unspool_tui.cli import run
from unspool_tui.cli.json_schemas import schema_of
from unspool_tui.panes.answer import EntryAnswer, entry_line
from unspool_tui.rendering.labels import file_and_line
from unspool_tui.rendering.line import UNICODE

PLACE: Mapping[str, Value] = {"caller": {"file": "shop.py", "line": 4, "function": "pay"}}
MAYBE = "code that ran before may have changed it unseen"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a recording whose second entry is in doubt, and whose third is not."""
    path = tmp_path / "shop.unspool"
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"paid": 0, "sent": 0}, "begin")
        recorder.record({"paid": 7351, "sent": 0}, "pay", meta={**PLACE, "live": {"doubt": True}})
        recorder.record({"paid": 7351, "sent": 9}, "send", meta={**PLACE, "live": {"called_from": "shop.py:9"}})
    return path


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        ({}, ""),
        ({"live": {"doubt": True}}, MAYBE),
        ({"live": {"unseen": True}}, "it was found changed: code that ran before changed it unseen"),
        ({PASSED_OVER: 3}, "3 calls passed over before it"),
        ({"live": {"doubt": True}, PASSED_OVER: 1}, f"{MAYBE}; 1 call passed over before it"),
        # What other programs keep under that name says nothing of the line.
        ({"live": True}, ""),
        ({"live": {"doubt": "no"}}, ""),
    ],
)
def test_an_entry_says_why_other_code_may_have_done_it(meta: Mapping[str, Value], told: str) -> None:
    assert doubt_in(meta) == told


def test_blame_and_why_are_not_certain_of_an_entry_in_doubt(path: Path) -> None:
    with open_history(path) as history:
        paid, sent = blame(history).values
        assert (paid.certain, paid.doubt, sent.certain, sent.doubt) == (False, MAYBE, True, "")
        assert [why(history, (name,)).links[0].certain for name in ("paid", "sent")] == [False, True]


def test_every_answer_in_words_tells_the_doubt(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ("blame", path, "paid"),
        ("blame", path, "paid", "--writes"),
        ("bisect", path, "paid > 0"),
        ("diff", path, "1"),
        ("why", path, "paid"),
    ):
        told = asked(capsys, *arguments)
        assert f"shop.py:4 in pay (line in doubt)  ({MAYBE})" in told, arguments
    assert "doubt  modified at 1?" in told
    assert "fact   modified at 2 " in asked(capsys, "why", path, "sent")
    assert f"pay ({MAYBE})" in asked(capsys, "log", path)
    assert "doubt" not in asked(capsys, "blame", path, "sent")


def test_every_answer_in_json_tells_the_doubt_as_its_schema_says(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def of(*arguments: str) -> Any:
        answer = json.loads(asked(capsys, arguments[0], path, *arguments[1:], "--json"))
        schema = schema_of(arguments[0] + "-writes" * ("--writes" in arguments))
        Draft202012Validator(schema).validate(answer)
        assert '"doubt"' in json.dumps(schema)
        return answer

    paid, sent = of("blame")["values"]
    (fact,) = (link["fact"] for link in of("why", "paid")["links"])
    (flip,) = of("bisect", "paid > 0")["flips"]
    write = of("blame", "paid", "--writes")["writes"][-1]
    for found in (paid, fact, flip, write):
        assert (found["certain"], found["doubt"]) == (False, MAYBE)
    assert sent["certain"] is True
    assert "doubt" not in sent


def test_the_screen_and_the_report_tell_the_doubt(path: Path) -> None:
    with open_history(path) as history:
        places = [caller_of(entry.meta) for entry in history[1:]]
        assert [file_and_line(place) for place in places if place] == ["shop.py:4 (line in doubt)", "shop.py:4"]
        row = entry_line(EntryAnswer(1, "pay", None, None, places[0]), 80, UNICODE)
        assert "shop.py:4 (line in doubt)" in "".join(text for text, _ in row.right)
        assert any("shop.py:4 in pay (line in doubt)" in line for line in html_lines(history, ExportOptions()))


@pytest.mark.skipif(not monitored(), reason="no Python 3.12 or newer is installed")
def test_a_line_that_a_running_program_may_not_have_changed_is_in_doubt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "prog.py"
    program.write_text(
        "from functools import partial\nSTATE = {}\n"
        'list(map(partial(STATE.__setitem__, "set"), [1, 2]))\nSTATE.update(zed=1)\n'
    )
    path = tmp_path / "p.unspool"
    command = [sys.executable, "-m", "unspool_tui.cli", "run", "--headless", "--python", pythons()[monitored()[0]]]
    subprocess.run([*command, "--watch", "STATE", "-o", path, program], cwd=tmp_path, check=True, capture_output=True)
    told = asked(capsys, "blame", path, "set")
    with open_history(path) as history:
        (value,) = blame(history, path=("set",)).values
        # C code that is handed a method of a dict runs unheard; whoever learns to hear it names the right line.
        assert value.caller is None or value.caller.line == 3 or value.doubt == MAYBE, told
