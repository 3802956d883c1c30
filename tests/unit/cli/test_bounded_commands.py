"""Commands over a history whose first entries a bound on the recording dropped: what went is said, and never guessed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from unspool import Recorder, open_history
from unspool_tui import cli


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    """Give a file that keeps the last entries of 500, and the first of them."""
    path = tmp_path_factory.mktemp("bounded") / "run.unspool"
    with Recorder(path, keep="last 100", on_error="raise") as recorder:
        for number in range(500):
            recorder.record({"n": number, "cart": {"owner": "ann", "qty": number // 90}}, f"step {number}")
    with open_history(path) as history:
        return str(path), history.first


class Ran(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def run(*arguments: str) -> Ran:
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n") for _ in range(2)]
    with patch("sys.stdout", streams[0]), patch("sys.stderr", streams[1]):
        code = cli.run(list(arguments))
    for stream in streams:
        stream.flush()
    return Ran(code, *(stream.buffer.getvalue().decode() for stream in streams))  # type: ignore[attr-defined]


def answer(*arguments: str) -> Any:
    return json.loads(run(*arguments).stdout)


@pytest.mark.parametrize(
    "command",
    [("log",), ("stats",), ("show", "-1"), ("diff", "-2", "-1"), ("blame",), ("blame", "n"), ("bisect", "n > `450`"),
     ("search", "ann"), ("check",), ("bytes",), ("doctor",), ("simulate",), ("why", "cart.owner"),
     ("export", "-", "--format", "json-patch"), ("export", "-", "--format", "redux"), ("export", "-", "--format", "nexus"),
     ("export", "-", "--format", "html"), ("export", "-", "--format", "csv", "--path", "n"), ("compare", "SELF")],
    ids=" ".join,
)  # fmt: skip
def test_each_command_answers_and_says_what_went(bounded: tuple[str, int], command: tuple[str, ...]) -> None:
    path, first = bounded
    name, *rest = [path if part == "SELF" else part for part in command]
    result = run(name, path, *rest)
    assert result.exit_code == 0, result.output
    assert f"entries 0 to {first - 1} were dropped by keep='last 100'" in result.output


@pytest.mark.parametrize(
    "command",
    [("show", "3"), ("diff", "3", "-1"), ("diff", "-1", "3"), ("blame", "--at", "3"), ("blame", "n", "--writes", "--at", "3"),
     ("bisect", "n > `4`", "--at", "3"), ("show", "3", "--path", "n"), ("why", "n", "--at", "3")],
    ids=" ".join,
)  # fmt: skip
def test_a_dropped_entry_is_refused_in_one_line_that_names_what_went(
    bounded: tuple[str, int], command: tuple[str, ...]
) -> None:
    path, first = bounded
    result = run(command[0], path, *command[1:])
    assert result.exit_code != 0
    assert (
        f"has no entry 3 any more: keep='last 100' dropped the {first:,} entries before entry {first}"
        in result.output
    )
    assert "Traceback" not in result.output


def test_what_no_kept_entry_wrote_is_told_as_older(bounded: tuple[str, int]) -> None:
    path, first = bounded
    told = run("blame", path, "cart.owner").stdout
    assert f"<={first}" in told
    assert "at or before that entry" in told
    assert f"step {first}" not in told
    told = run("blame", path, "cart.owner", "--writes").stdout
    assert "older" in told
    assert f"step {first}" not in told
    (value,) = answer("blame", path, "cart.owner", "--json")["values"]
    assert (value["seq"], value["older"], value["certain"]) == (first, True, False)
    (write,) = answer("blame", path, "cart.owner", "--writes", "--json")["writes"]
    assert (write["seq"], write["kind"], write["certain"]) == (first, "older", False)
    (hit,) = [json.loads(line) for line in run("search", path, "ann", "--json").stdout.splitlines()]
    assert (hit["seq"], hit["older"]) == (first, True)
    assert f"<={first}" in run("search", path, "ann").stdout
    assert f"written at <={first}" in run("why", path, "cart.owner").stdout
    assert "that is kept" in run("bisect", path, "cart.owner == 'ann'").stdout


def test_the_list_begins_with_the_first_entry_that_is_kept(bounded: tuple[str, int]) -> None:
    path, first = bounded
    for extra in ((), ("--kind", "full"), ("--atom", "n"), ("-n", "450")):
        seqs = [json.loads(line)["seq"] for line in run("log", path, "--json", *extra).stdout.splitlines()]
        assert min(seqs) >= first
        assert max(seqs) <= 499
    stats = answer("stats", path, "--json")
    assert (stats["first"], stats["entries"], stats["health"]) == (first, 500 - first, "healthy")
    found = answer("doctor", path, "--json")
    assert (found["verdict"], found["entries"], found["readable"]) == ("healthy", 500 - first, 500 - first)


def test_a_new_file_of_it_begins_where_it_does(bounded: tuple[str, int], tmp_path: Path) -> None:
    path, first = bounded
    for command in (("compact",), ("convert",), ("doctor", "--repair")):
        out = tmp_path / f"{command[0]}.unspool"
        assert run(command[0], path, *command[1:], str(out)).exit_code == 0
        assert answer("stats", str(out), "--json")["first"] == first
    out = tmp_path / "out.jsonl"
    assert run("export", path, str(out)).exit_code == 0
    assert len(out.read_text().splitlines()) == 500 - first


def test_an_answer_in_json_says_what_was_dropped_too(bounded: tuple[str, int]) -> None:
    path, first = bounded
    found = answer("bisect", path, 'cart.owner == "ann"', "--json")
    assert found["dropped"].startswith(f"entries 0 to {first - 1} were dropped")
