"""`note` writes beside the history, `notes` lists and removes, `log`, `show` and `convert` tell of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unspool import open_history
from unspool.recorder import Recorder
from unspool_tui.cli import run
from unspool_tui.session import SourceSession
from unspool_tui.source import NamedSource, state_folder
from unspool_tui.view.model import View


@pytest.fixture
def shop(tmp_path: Path) -> str:
    path = tmp_path / "shop.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for number in range(6):
            recorder.record(
                {"n": number, "cart": {"total": number * 2}}, f"step {number}", timestamp_ns=number * 10**9
            )
    return str(path)


def ask(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    assert run(list(args)) == code
    return capsys.readouterr().out


def listed(capsys: pytest.CaptureFixture[str], shop: str) -> list[dict[str, object]]:
    notes: list[dict[str, object]] = json.loads(ask(capsys, "notes", shop, "--json"))["notes"]
    return notes


def test_a_note_is_written_listed_and_removed(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no notes" in ask(capsys, "notes", shop)
    ask(capsys, "note", shop, "step 3", "cart.total", "should be 7")
    ask(capsys, "note", shop, "-1", "the end")
    first, second = listed(capsys, shop)
    assert (first["entry"], first["path"], first["text"]) == (3, "$.cart.total", "should be 7")
    assert (second["entry"], second["path"], second["text"]) == (5, "", "the end")
    told = ask(capsys, "notes", shop)
    assert "cart.total  should be 7" in told
    ask(capsys, "note", shop, "3", "cart.total", "should be 8", "--replace", str(first["id"]))
    assert [note["text"] for note in listed(capsys, shop)] == ["should be 8", "the end"]
    ask(capsys, "notes", shop, "--remove", str(first["id"]), "--remove", str(second["id"]))
    assert listed(capsys, shop) == []
    assert not Path(f"{shop}-notes").exists()


@pytest.mark.parametrize("command", [["compact", "IN", "OUT"], ["doctor", "IN", "--repair", "OUT"]])
def test_notes_go_along_into_a_history_that_is_written_anew(
    shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    ask(capsys, "note", shop, "step 3", "cart.total", "should be 7")
    out = str(tmp_path / "new.unspool")
    ask(capsys, *({"IN": shop, "OUT": out}.get(word, word) for word in command))
    assert [(note["entry"], note["text"]) for note in listed(capsys, out)] == [(3, "should be 7")]
    assert listed(capsys, out) == listed(capsys, shop)


def test_log_and_show_tell_the_notes_of_an_entry(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    ask(capsys, "note", shop, "3", "cart.total", "odd\nindeed \x1b[31m")
    lines = ask(capsys, "log", shop).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("       3  "))
    assert lines[place + 1].strip() == "note  cart.total: odd / indeed \\e[31m"
    assert "note" in ask(capsys, "show", shop, "3").splitlines()[1]
    entries = [json.loads(line) for line in ask(capsys, "log", shop, "--json").splitlines()]
    assert [entry["notes"][0]["text"] for entry in entries if "notes" in entry] == ["odd\nindeed \x1b[31m"]
    assert json.loads(ask(capsys, "show", shop, "3", "--json"))["notes"][0]["path"] == "$.cart.total"
    assert "notes" not in json.loads(ask(capsys, "show", shop, "2", "--json"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["3", "cart.tot", "x"], "has nothing at $.cart.tot"),
        (["99", "x"], "has no entry 99"),
        (["3", "  "], "TEXT is empty"),
        (["3", "too", "many", "words"], "put TEXT in quotes"),
        (["3", "a[", "x"], "a["),
        (["3", "x", "--replace", "abcd"], "no note has the id"),
    ],
)
def test_what_cannot_be_written_is_refused_in_a_line(
    shop: str, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["note", shop, *words]) in (2, 3)
    said = capsys.readouterr()
    assert told in said.err
    assert len(said.err.splitlines()) == 1
    assert not Path(f"{shop}-notes").exists()


def test_notes_that_cannot_be_read_are_told_and_do_not_hide_the_history(
    shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(f"{shop}-notes").write_text("{")
    assert run(["log", shop, "--json"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 6
    assert len(said.err.splitlines()) == 1
    assert run(["notes", shop]) == 1
    assert run(["note", shop, "1", "x"]) == 3
    assert Path(f"{shop}-notes").read_text() == "{"


def test_convert_takes_notes_along(shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask(capsys, "note", shop, "3", "kept")
    out = str(tmp_path / "out.unspool")
    assert run(["convert", shop, out]) == 0
    assert "6 entries and 1 note written" in capsys.readouterr().err
    assert [note["text"] for note in listed(capsys, out)] == ["kept"]


def test_bookmarks_go_along_when_asked(
    shop: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = NamedSource(shop)
    with open_history(shop) as history:
        session = SourceSession.of(history, state_folder(), source.place_key)
    session.save(View(total=6, bookmarks=(2, 4)), None)
    ask(capsys, "notes", shop, "--keep-bookmarks")
    assert [(note["entry"], note["bookmark"]) for note in listed(capsys, shop)] == [(2, True), (4, True)]
    # On another machine.
    monkeypatch.setenv("XDG_STATE_HOME", f"{shop}-elsewhere")
    assert json.loads(ask(capsys, "show", shop, "mark:2", "--json"))["seq"] == 4


@pytest.mark.parametrize(
    ("out", "told"), [("o.jsonl", "1 note written to"), ("o.json", "1 note that somebody wrote")]
)
def test_an_export_takes_notes_along_or_says_that_it_does_not(
    shop: str, tmp_path: Path, out: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(capsys, "note", shop, "3", "kept")
    format_name = "jsonl" if out.endswith("l") else "redux"
    assert run(["export", shop, str(tmp_path / out), "--format", format_name]) == 0
    assert told in capsys.readouterr().err
