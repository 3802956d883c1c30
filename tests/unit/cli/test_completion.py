"""What a shell offers while a path is typed, asked as the shell's script asks."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from support.waiting import wait_until
from unspool import Recorder
from unspool_tui.cli import run


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "shop.unspool"
    with Recorder(path) as recorder:
        recorder.record({"cart": {"items": [{"qty": 1}]}, "early": {"x": 1}})
        recorder.record({"cart": {"items": [{"qty": 2}], "total": 3, "evil\n\x1b[31m": 1}, "card": 1})
    return path


def offered(*words: str) -> list[str]:
    """Return what is offered for the last word of a command line."""
    place = {
        "_UNSPOOL_COMPLETE": "bash_complete",
        "COMP_CWORD": str(len(words)),
        "COMP_WORDS": " ".join(["unspool", *(f"'{word}'" for word in words)]),
    }
    printed, complained = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(complained):
        for name, value in place.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            run([])
    assert ended.value.code == 0
    assert complained.buffer.getvalue() == b""
    return [line.partition(",")[2] for line in printed.buffer.getvalue().decode().splitlines() if line]


def test_paths_are_offered_where_a_command_takes_one(shop: Path) -> None:
    assert offered("blame", str(shop), "car") == ["cart", "card"]
    assert offered("blame", str(shop), "--at", "0", "ea") == ["early"]
    assert offered("show", str(shop), "0", "--path", "cart.") == ["cart.items"]
    assert offered("bisect", str(shop), "cart.total > 1 && cart.items[0].") == ["cart.total > 1 && cart.items[0].qty"]
    assert offered("log", str(shop), "--atom", "c") == ["cart", "card"]
    for command in ("why", "shape"):
        assert offered(command, str(shop), "cart.") == ["cart.items", "cart.total"]


def test_files_are_left_to_the_shell_wherever_a_source_stands() -> None:
    for words in (
        ("log", "sh"),
        ("compare", "a.unspool", "sh"),
        ("open", "a.unspool", "sh"),
        ("convert", "a", "sh"),
        ("so",),
    ):
        assert offered(*words) == [words[-1]]


def test_files_are_offered_beside_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "show.jsonl").touch()
    (tmp_path / "other.jsonl").touch()
    assert offered("sho") == ["show", "show.jsonl"]


def test_formats_are_offered_by_name() -> None:
    assert offered("log", "--format", "lang") == ["langgraph"]
    assert offered("export", "--from", "jso") == ["jsonl", "json-patch"]


def test_entries_are_offered_by_the_ends_and_the_newest_numbers(shop: Path) -> None:
    assert offered("show", str(shop), "la") == ["latest", "latest~1"]
    assert offered("diff", str(shop), "") == ["latest", "latest~1", "first", "1", "0"]
    assert offered("diff", str(shop), "0..l") == ["0..latest", "0..latest~1"]
    assert offered("log", str(shop), "--since", "fi") == ["first"]
    assert offered("blame", str(shop), "--at", "1") == ["1"]
    assert offered("jump", str(shop), "fir") == ["first"]
    assert offered("show", "nothing-here.unspool", "l") == []


def test_names_that_act_on_a_terminal_are_not_offered(shop: Path) -> None:
    assert offered("blame", str(shop), "cart.") == ["cart.items", "cart.total"]
    assert offered("blame", str(shop), "cart[") == []


@pytest.mark.one_in(2)
@pytest.mark.parametrize("source", ["nothing-here.unspool", "-", "git:nowhere:x"])
def test_nothing_is_offered_for_what_cannot_be_read(source: str) -> None:
    assert offered("blame", source, "c") == []


def test_programs_are_offered_as_files_and_running_ones_by_their_number(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "unspool_tui.cli"],
        env={**os.environ, "_UNSPOOL_COMPLETE": "bash_complete", "COMP_CWORD": "2", "COMP_WORDS": "unspool run ap"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.stdout == "file,ap\n"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        # For a moment after its start it is the program that started it.
        wait_until(lambda: str(process.pid) in offered("attach", str(process.pid)[:2]))
        process.kill()
