"""Long texts are told apart by the lines, and the parts of lines, in which they differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.delta.structural import changed_part, text_hunks
from unspool_tui.cli import run

texts = st.lists(st.sampled_from(["", "a", "b", "line", "another line"]), max_size=12).map("\n".join)


@given(texts, texts)
def test_the_hunks_of_two_texts_turn_one_into_the_other(old: str, new: str) -> None:
    lines = old.split("\n")
    for hunk in reversed(text_hunks(old, new)):
        start = hunk.old_line - 1
        assert tuple(lines[start : start + len(hunk.removed)]) == hunk.removed
        lines[start : start + len(hunk.removed)] = hunk.added
        assert tuple(new.split("\n")[hunk.new_line - 1 :][: len(hunk.added)]) == hunk.added
    assert "\n".join(lines) == new


@given(st.text(max_size=80), st.text(max_size=80))
def test_parts_of_a_line_differ_where_the_line_does(old: str, new: str) -> None:
    before, after = changed_part(old, new)
    assert (before == after) is (old == new)


def test_ten_thousand_rewritten_lines_are_compared_at_once() -> None:
    old, new = ("\n".join(f"{word} {at}" for at in range(10_000)) for word in ("old", "new"))
    assert [(hunk.old_line, len(hunk.removed), len(hunk.added)) for hunk in text_hunks(old, new)] == [
        (1, 10_000, 10_000)
    ]


def history(tmp_path: Path, *texts: str) -> str:
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps({"doc": {"text": text}}) + "\n" for text in texts))
    return str(path)


def test_diff_shows_the_changed_lines_of_a_long_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"line {number}" for number in range(1, 31)]
    changed = [*lines[:19], "line twenty", *lines[20:], "line \x1b[31mred"]
    source = history(tmp_path, "\n".join(lines), "\n".join(changed))
    assert run(["diff", source, "0", "1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in out[3:]] == [
        "~ text  text: 1 line removed, 2 added",
        "@@ line 20",
        "- line 20",
        "+ line twenty",
        "@@ line 31",
        "+ line \\e[31mred",
    ]
    assert run(["diff", "--explain", source, "0", "1"]) == 0
    assert capsys.readouterr().out == (
        'doc.text, line 20 became "line twenty" instead of "line 20"; 1 more place changed\n'
    )


def test_diff_shows_the_changed_part_of_a_long_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"word{number}" for number in range(60)]
    source = history(tmp_path, " ".join(words), " ".join([*words[:40], "other", *words[41:]]))
    assert run(["diff", source, "0", "1"]) == 0
    out = capsys.readouterr().out
    assert '"…7 word38 word39 word40 word41 word42 w…" -> "…7 word38 word39 other word41 word42 w…"' in out


def test_diff_ends_after_many_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = history(tmp_path, "\n".join(map(str, range(500))), "\n".join(map(str, range(1000, 1500))))
    assert run(["diff", source, "0", "1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) < 70
    assert "--json prints both texts whole" in out[-1]


def test_blame_shows_where_long_texts_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"word{number}" for number in range(60)]
    source = history(tmp_path, " ".join(words), " ".join([*words[:40], "other", *words[41:]]))
    assert run(["blame", source, "doc.text", "--writes"]) == 0
    shown = '"…7 word38 word39 word40 word41 word42 w…" -> "…7 word38 word39 other word41 word42 w…"'
    assert shown in capsys.readouterr().out
