"""`step` answers typed lines in plain sentences, one after the other, and stays up whatever is typed."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool.recorder import Recorder
from unspool_tui.cli import run

WORDS = ("where", "next", "previous", "first", "last", "go", "changes", "value", "who", "writes", "find", "bisect", "hit",
         "more", "notes", "unnote", "help", "3", "-1", "zzz")  # fmt: skip


def record(path: Path) -> Path:
    with Recorder(path, on_error="raise") as recorder:
        for number in range(8):
            state = {"n": number, "cart": {"items": [{"sku": "tea"}] * (number // 2), "total": number * 2}}
            recorder.record(state, f"step {number}", timestamp_ns=number * 10**9)
    return path


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return record(tmp_path / "shop.unspool")


class Asker:
    """Types lines to `step` and returns what it says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patching = monkeypatch
        self._capsys = capsys
        self.code = 0

    def __call__(self, source: Path, *lines: str | bytes) -> list[str]:
        data = b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines)
        self._patching.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        self.code = run(["step", str(source)])
        return self._capsys.readouterr().out.splitlines()


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asker:
    return Asker(monkeypatch, capsys)


def places(lines: list[str]) -> list[int]:
    """Return the entries that were said to be looked at, the first one included."""
    return [int(found[1]) for line in lines if (found := re.match(r"Entry (\d+) of", line))]


def test_every_way_of_moving(shop: Path, ask: Asker) -> None:
    said = ask(
        shop, "previous", "p 2", "next", "first", "n 3", "last", "go step 2", "00:00:05", "5", "-2", "g latest~1"
    )
    assert places(said) == [7, 6, 4, 5, 0, 3, 7, 2, 5, 5, 6, 6]
    assert ask.code == 0


def test_the_ends_are_said_and_not_passed(shop: Path, ask: Asker) -> None:
    said = ask(shop, "next", "first", "previous", "p 99", "n 99", "n 99")
    assert said.count("This is the newest entry") == 2
    assert said.count("This is the first entry") == 2
    assert places(said) == [7, 0, 7]


def test_changes_values_and_who_set_them(shop: Path, ask: Asker) -> None:
    said = ask(
        shop, "4", "changes", "changes 1", "value", "value cart", "value cart.total", "who cart.items", "hit 1"
    )
    assert "cart.total rose from 6 to 8, by 2" in said
    assert "cart.total rose from 2 to 8, by 6" in said
    assert "the state is an object of 2" in said
    assert "items: a list of 2" in said
    assert "cart.total is 8" in said
    assert any(line.startswith("cart.items: entry 4, step 4, changed it from") for line in said)
    assert places(said)[-1] == 4


def test_writes_are_listed_newest_first_and_gone_to(shop: Path, ask: Asker) -> None:
    said = ask(shop, "writes cart.items", "hit 2")
    listed = [line for line in said if re.match(r"\d+: cart", line)]
    assert [int(line.split("entry ")[1].split(",")[0]) for line in listed] == [6, 4, 2, 0]
    assert places(said) == [7, 4]


def test_finding_goes_on_with_more(tmp_path: Path, ask: Asker) -> None:
    path = tmp_path / "many.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for number in range(25):
            recorder.record({"n": number}, f"tea {number}")
    said = ask(path, "find tea", "more", "hit 12", "more", "more")
    hits = [line for line in said if "action: tea" in line]
    assert len(hits) == 25
    assert hits[24].startswith("25: entry 24")
    assert places(said) == [24, 11]
    assert "There is no more" in said
    assert "Nothing found" in ask(path, "find coffee")


def test_bisect_says_where_an_answer_changes(shop: Path, ask: Asker) -> None:
    said = ask(shop, "bisect cart.total > `6`", "hit 1", "bisect n >= `0`")
    assert any("from entry 4 on it holds: step 4" in line for line in said)
    assert "It holds at every entry" in said
    assert places(said) == [7, 4]


def test_notes_are_written_told_and_removed(shop: Path, ask: Asker) -> None:
    said = ask(shop, "3", "note look \x1b[31mhere", "note on cart.total: should be 7", "where", "notes")
    assert any(line.startswith("Note look \\e[31mhere") for line in said)
    assert "Note on cart.total: should be 7" in said
    note_id = next(line for line in said if " on entry 3: look" in line).split()[0]
    said = ask(shop, f"unnote {note_id}", "notes")
    assert sum(" on entry 3" in line for line in said) == 1


def test_what_is_refused_is_said_in_a_line_and_the_rest_is_answered(shop: Path, ask: Asker) -> None:
    wrong = ("nxt", "g 99", "value cart.nothing", "value [[", "who", "who x.y", "bisect (", "bisect", "find", "hit 9",
             "n five", "note", "note on zzz: x", "unnote abcd", "changes 77", "go", b"\xff\xfe", "x" * 250_000)  # fmt: skip
    said = ask(shop, *wrong, "", "2")
    refused = [line for line in said if line.startswith("Refused: ")]
    assert len(refused) == len(wrong)
    assert all(len(line) < 600 for line in refused)
    assert "did you mean n" in refused[0]
    assert places(said) == [7, 2]
    assert ask.code == 1


def test_an_empty_history_is_no_reason_to_end(tmp_path: Path, ask: Asker) -> None:
    Recorder(tmp_path / "empty.unspool").close()
    said = ask(tmp_path / "empty.unspool", "where", "next", "value", "help")
    assert said[0] == "empty.unspool: 0 entries. Type help for what can be asked."
    assert sum("no entry yet" in line for line in said) == 3
    assert any(line.startswith("quit, or q") for line in said)


def test_damage_is_said_and_the_rest_can_be_asked(shop: Path, ask: Asker) -> None:
    Path(f"{shop}-notes").write_text("{")
    said = ask(shop, "notes", "note x", "previous")
    assert any("damaged, so its notes are not shown" in line for line in said)
    assert places(said) == [7, 6]


def test_help_tells_one_word_or_all(shop: Path, ask: Asker) -> None:
    assert "who PATH: Say which entry set the value at a path, and from what." in ask(shop, "help who")
    said = ask(shop, "help")
    assert all(any(line.startswith(word) for line in said) for word in WORDS[:-3])


def test_quit_ends_and_so_does_the_end_of_the_input(shop: Path, ask: Asker) -> None:
    assert places(ask(shop, "quit", "first")) == [7]
    assert places(ask(shop)) == [7]
    assert run(["step", "-"]) == 2


@settings(max_examples=examples(20))
@given(lines=st.lists(st.tuples(st.sampled_from(WORDS), st.text(max_size=12)), max_size=8))
def test_nothing_that_is_typed_ends_it_or_acts_on_the_terminal(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str]]
) -> None:
    path = record(tmp_path_factory.mktemp("typed") / "h.unspool")
    typed = [f"{word} {rest}".replace("\n", " ").replace("\r", " ") for word, rest in lines]
    with pytest.MonkeyPatch.context() as patching, io.BytesIO() as raw:
        data = "\n".join([*typed, "first"]).encode("utf-8", "surrogatepass")
        patching.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        patching.setattr(sys, "stdout", io.TextIOWrapper(raw, write_through=True))
        assert run(["step", "-q", str(path)]) in (0, 1)
        said = raw.getvalue().decode()
        sys.stdout.detach()  # type: ignore[union-attr]
    assert places(said.splitlines())[-1] == 0 or "This is the first entry" in said
    assert "\x1b" not in said


def test_over_a_pipe_each_answer_comes_before_the_next_line_is_read(shop: Path) -> None:
    command = [sys.executable, "-m", "unspool_tui.cli", "step", str(shop)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline().startswith("shop.unspool: 8 entries")
        for typed, said in (("first", "Entry 0 of 0 to 7: step 0"), ("next 3", "Entry 3 of 0 to 7: step 3")):
            while not process.stdout.readline().startswith("Changed:"):
                pass
            process.stdin.write(f"{typed}\n")
            process.stdin.flush()
            assert process.stdout.readline().strip() == said
        # What is recorded meanwhile is told.
        with Recorder(shop, on_error="raise") as recorder:
            recorder.record({"n": 99}, "late")
        process.stdin.write("last\nquit\n")
        process.stdin.flush()
        rest = process.stdout.read()
        assert process.wait() == 0
    assert "1 entry came meanwhile; last goes to the newest." in rest
    assert "Entry 8 of 0 to 8: late" in rest
    assert "\x1b" not in rest
