"""`--identity`: in effect on every command, remembered for the source, taken back, and refused when it matches nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unspool_tui.cli import run
from unspool_tui.settings import config_folder
from unspool_tui.source import state_folder

BEFORE = [{"id": 1, "tag": "a", "n": 0}, {"id": 2, "tag": "b", "n": 0}]
AFTER = [{"id": 2, "tag": "a", "n": 1}, {"id": 1, "tag": "b", "n": 1}]


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A log in which records change places by `id`, and stay where they are by `tag`."""
    path = tmp_path / "app.jsonl"
    states = [{"id": f"e{n}", "timestamp": n, "state": {"rows": rows}} for n, rows in enumerate((BEFORE, AFTER))]
    path.write_text("".join(json.dumps(state) + "\n" for state in states))
    return str(path)


def printed(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    """Run a command and return what it printed, with what it told after a line of its own."""
    assert run(args) == code
    done = capsys.readouterr()
    return f"{done.out}----\n{done.err}"


def test_a_key_given_once_holds_the_next_time(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "rows[*] by id" in printed(capsys, "diff", log, "0", "1")
    assert "rows[*] by tag" in printed(capsys, "diff", log, "0", "1", "--identity", "rows[*]=tag")
    told = printed(capsys, "diff", log, "0", "1")
    assert "rows[*] by tag" in told
    assert "moved" not in told


def test_it_holds_however_the_source_is_named(
    log: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed(capsys, "log", log, "--identity", "rows=tag")
    monkeypatch.chdir(Path(log).parent)
    assert "by tag" in printed(capsys, "diff", "app.jsonl", "0", "1")
    Path("link.jsonl").symlink_to("app.jsonl")
    assert "by tag" in printed(capsys, "diff", "./link.jsonl", "0", "1")


def test_an_empty_key_takes_it_back(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "diff", log, "0", "1", "--identity", "rows=tag")
    assert "by id" in printed(capsys, "diff", log, "0", "1", "--identity", "$.rows[*]=")
    assert "by id" in printed(capsys, "diff", log, "0", "1")


def test_several_lists_have_keys_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "app.jsonl"
    path.write_text("".join(json.dumps({"a": rows, "b": rows}) + "\n" for rows in (BEFORE, AFTER)))
    printed(capsys, "stats", str(path), "--identity", "a=tag")
    told = printed(capsys, "diff", str(path), "0", "1", "--identity", "b[*]=n")
    assert "a[*] by tag" in told
    assert "b[*] by n" in told


@pytest.mark.parametrize(
    "args",
    [
        ("diff", "{}", "0", "1", "--patch"),
        ("blame", "{}", "rows", "--json"),
        ("search", "{}", "a", "--json"),
        ("export", "{}", "-", "--format", "json-patch"),
    ],
)
def test_a_key_changes_what_a_command_tells(
    log: str, capsys: pytest.CaptureFixture[str], args: tuple[str, ...]
) -> None:
    words = [arg.format(log) for arg in args]
    by_id = printed(capsys, *words)
    by_tag = printed(capsys, *words, "--identity", "rows[*]=tag")
    again = printed(capsys, *words)
    assert by_tag == again
    assert by_id != by_tag


def test_what_matches_nothing_is_refused_and_not_remembered(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = printed(capsys, "log", log, "--identity", "row[*]=tag", code=2)
    assert "unspool: --identity: there is no list at row" in told
    assert "did you mean rows?" in told
    for quiet in ((), ("--quiet",)):
        told = printed(capsys, "log", log, "--identity", "rows=uuid", *quiet, code=2)
        assert "no record of rows[*] has a key 'uuid'" in told
    assert "by id" in printed(capsys, "diff", log, "0", "1")


def test_a_field_further_inside_and_several_together_identify(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deep.jsonl"
    rows = [[{"of": {"who": who}, "part": part, "n": step} for who, part in pairs] for step, pairs in enumerate(
        ([("a", 1), ("a", 2), ("b", 1)], [("b", 1), ("a", 2), ("a", 1)])
    )]  # fmt: skip
    path.write_text("".join(json.dumps({"rows": items}) + "\n" for items in rows))
    told = printed(capsys, "diff", str(path), "0", "1", "--identity", "rows[*]=of.who,part")
    assert "rows[*] by of.who,part" in told
    assert told.count("moved from") == 2
    assert "who" not in told.replace("of.who", "")
    printed(capsys, "diff", str(path), "0", "1", "--identity", "rows[*]=of.whom,none", code=2)


def test_what_is_no_path_is_wrong_usage(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no path of a list" in printed(capsys, "log", log, "--identity", "rows[=x", code=2)
    assert run(["log", log, "--identity", "rows"]) == 2


def test_convert_keeps_it_in_the_file(log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "kept.unspool"
    printed(capsys, "convert", log, str(out), "--identity", "rows[*]=tag")
    moved = tmp_path / "elsewhere.unspool"
    out.rename(moved)
    assert "by tag" in printed(capsys, "diff", str(moved), "0", "1")
    again = tmp_path / "again.unspool"
    printed(capsys, "convert", log, str(again))
    assert "by tag" in printed(capsys, "diff", str(again), "0", "1")


def test_convert_refuses_what_matches_nothing(log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "kept.unspool"
    assert "there is no list at lines" in printed(capsys, "convert", log, str(out), "--identity", "lines=tag", code=2)
    assert not out.exists()


def test_nothing_is_kept_where_the_person_does_not_want_it(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    config_folder().mkdir(parents=True)
    (config_folder() / "config.toml").write_text("remember = false\n")
    assert "by tag" in printed(capsys, "diff", log, "0", "1", "--identity", "rows=tag")
    assert "by id" in printed(capsys, "diff", log, "0", "1")
    assert not list(state_folder().rglob("*.json"))


@pytest.mark.parametrize("content", ["", "{", '{"identity": [1]}', '{"identity": {"rows": 3}}', "\x00"])
def test_what_is_damaged_is_as_if_nothing_were_remembered(
    log: str, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    printed(capsys, "log", log, "--identity", "rows=tag")
    (kept,) = state_folder().rglob("*.json")
    kept.write_text(content)
    assert "by id" in printed(capsys, "diff", log, "0", "1")
