"""A file's history in git when it was renamed, merged, deleted, rewritten, or goes on while it is read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from support.git_repo import Repo
from unspool import History, open_history
from unspool.errors import UnreadableSource

LONG = {f"key {number}": number for number in range(30)}
"""Enough of a document that a rename with an edit is still seen as one."""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


def opened(repo: Repo, path: str, follow: bool = False) -> History:
    return open_history(f"git:{repo.folder}:{path}", follow=follow)


def told(history: History) -> list[str]:
    return [entry.action for entry in history]


def states_in_git(repo: Repo, history: History) -> list[str]:
    """Return what git itself shows of each entry's version."""
    names = [entry.meta.get("path", history.source_name.rpartition(":")[2]) for entry in history]
    return [repo.git("show", f"{entry.id}:{name}") for entry, name in zip(history, names, strict=True)]


def test_a_renamed_file_keeps_its_history_and_says_what_it_was_called(repo: Repo) -> None:
    repo.commit("old/a.json", {**LONG, "n": 1}, "one")
    repo.commit("old/a.json", {**LONG, "n": 2}, "two")
    repo.commit("unrelated.json", {"x": 1}, "elsewhere")
    repo.move("old/a.json", "b.json", "move")
    repo.commit("b.json", {**LONG, "n": 3}, "three")
    repo.git("mv", "b.json", "state.json")
    repo.write("state.json", {**LONG, "n": 4})
    repo.commit_staged("move and edit")
    repo.commit("state.json", {**LONG, "n": 5}, "five")
    with opened(repo, "state.json") as history:
        assert told(history) == ["one", "two", "move", "three", "move and edit", "five"]
        followed = repo.git("log", "--follow", "--reverse", "--format=%H", "--", "state.json").split()
        assert {entry.id for entry in history} >= set(followed)
        assert [entry.meta.get("path") for entry in history] == ["old/a.json"] * 2 + ["b.json"] * 2 + [None] * 2
        assert [entry.meta.get("renamed_from") for entry in history] == [
            None, None, "old/a.json", None, "b.json", None,
        ]  # fmt: skip
        assert [history.state(seq) for seq in range(6)] == list(map(json.loads, states_in_git(repo, history)))
        assert [entry.parent_seq for entry in history] == [None, 0, 1, 2, 3, 4]
        assert history.verdict.status == "complete"


def test_another_file_that_had_the_name_before_is_left_out(repo: Repo) -> None:
    repo.commit("state.json", {"other": True}, "another file")
    repo.git("rm", "--quiet", "state.json")
    repo.commit_staged("gone")
    repo.commit("first.json", {**LONG, "n": 1}, "one")
    repo.move("first.json", "state.json", "take its name")
    with opened(repo, "state.json") as history:
        assert told(history) == ["one", "take its name"]


def test_a_copy_is_a_file_of_its_own(repo: Repo) -> None:
    repo.commit("a.json", LONG, "one")
    repo.commit("b.json", LONG, "copied")
    with opened(repo, "b.json") as history:
        assert told(history) == ["copied"]


def test_a_file_that_was_deleted_and_came_back_is_one_history(repo: Repo) -> None:
    repo.commit("state.json", {"n": 1}, "one")
    repo.git("rm", "--quiet", "state.json")
    repo.commit_staged("gone")
    repo.commit("state.json", {"n": 2}, "back")
    with opened(repo, "state.json") as history:
        assert told(history) == ["one", "gone", "back"]
        assert [history.state(seq) for seq in range(3)] == [{"n": 1}, {}, {"n": 2}]


def test_what_two_lines_had_in_common_before_either_was_renamed_is_told_once(repo: Repo) -> None:
    repo.commit("c.json", {**LONG, "n": 1}, "one")
    repo.commit("c.json", {**LONG, "n": 2}, "two")
    repo.git("checkout", "--quiet", "-b", "side")
    repo.move("c.json", "state.json", "renamed on the side")
    repo.git("checkout", "--quiet", "main")
    repo.move("c.json", "a.json", "renamed")
    repo.move("a.json", "state.json", "renamed again")
    repo.git("merge", "--quiet", "--no-commit", "--strategy", "ours", "side")
    repo.commit("state.json", {**LONG, "n": 3}, "merged")
    with opened(repo, "state.json") as history:
        assert told(history) == ["one", "two", "renamed", "renamed on the side", "renamed again", "merged"]
        assert [entry.parent_seq for entry in history] == [None, 0, 1, 1, 2, 4]


@pytest.mark.parametrize(
    "setting", ["log.follow=true", "i18n.logOutputEncoding=latin1", "diff.orderFile=none", "diff.renames=false"]
)
def test_settings_of_a_repository_change_nothing(repo: Repo, setting: str) -> None:
    repo.commit("a.json", {**LONG, "n": 1}, "one é")
    repo.commit("a.json", {**LONG, "n": 2}, "two")
    repo.move("a.json", "state.json", "move")
    repo.commit("state.json", {**LONG, "n": 3}, "three")
    repo.git("config", *setting.split("="))
    with opened(repo, "state.json") as history:
        assert told(history) == ["one é", "two", "move", "three"]


def test_a_file_that_was_renamed_away_says_where_it_went(repo: Repo) -> None:
    repo.commit("state.json", LONG, "one")
    repo.move("state.json", "elsewhere.json", "away")
    with opened(repo, "state.json") as history:
        assert told(history) == ["one", "away"]
        assert history.state(1) == {}
        assert history[1].meta["renamed_to"] == "elsewhere.json"


def two_branches(repo: Repo) -> None:
    repo.commit("state.json", {"top": 0, **LONG, "bottom": 0}, "begin")
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit("state.json", {"top": 0, **LONG, "bottom": 1}, "side 1")
    repo.git("checkout", "--quiet", "main")
    repo.commit("state.json", {"top": 1, **LONG, "bottom": 0}, "main 1")
    repo.git("checkout", "--quiet", "side")
    repo.commit("state.json", {"top": 0, **LONG, "bottom": 2}, "side 2")
    repo.git("checkout", "--quiet", "main")
    repo.commit("state.json", {"top": 2, **LONG, "bottom": 0}, "main 2")


def changed(history: History, seq: int) -> dict[str, Any]:
    return {change.atom: change.new for change in history.changes(seq).changes}


def test_both_sides_of_a_merge_are_told_and_each_entry_follows_its_own_side(repo: Repo) -> None:
    two_branches(repo)
    repo.merge("side", "merge")
    repo.commit("state.json", {"top": 9, **LONG, "bottom": 2}, "after")
    with opened(repo, "state.json") as history:
        assert told(history) == ["begin", "side 1", "main 1", "side 2", "main 2", "merge", "after"]
        assert [entry.parent_seq for entry in history] == [None, 0, 0, 1, 2, 4, 5]
        assert changed(history, 3) == {"bottom": 2}
        assert changed(history, 4) == {"top": 2}
        assert changed(history, 5) == {"bottom": 2}
        assert history[5].meta["merged"] == [history[3].id]


def test_a_merge_that_takes_one_side_as_it_is_adds_nothing(repo: Repo) -> None:
    repo.commit("state.json", {"n": 1}, "one")
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit("state.json", {"n": 2}, "two")
    repo.git("checkout", "--quiet", "main")
    repo.commit("other.json", {}, "elsewhere")
    repo.merge("side", "merge")
    with opened(repo, "state.json") as history:
        assert told(history) == ["one", "two"]


def test_a_range_of_revisions_leaves_out_what_came_before(repo: Repo) -> None:
    for number in range(5):
        repo.commit("state.json", {"n": number}, f"c{number}")
        repo.git("tag", f"v{number}")
    for span, expected in (("v1..v3", ["c2", "c3"]), ("v2..", ["c3", "c4"]), ("HEAD~1..main", ["c4"])):
        with opened(repo, f"state.json@{span}") as history:
            assert told(history) == expected
    with pytest.raises(UnreadableSource, match="no such revision"):
        opened(repo, "state.json@nosuch..main")


def test_a_range_goes_on_when_its_end_does(repo: Repo) -> None:
    for number in range(3):
        repo.commit("state.json", {"n": number}, f"c{number}")
    with opened(repo, "state.json@HEAD~1..main", follow=True) as history:
        assert told(history) == ["c2"]
        repo.commit("state.json", {"n": 3}, "c3")
        assert history.refresh() == 1
        assert told(history) == ["c2", "c3"]


def test_a_bare_repository_has_histories_too(repo: Repo, tmp_path: Path) -> None:
    repo.commit("data/state.json", {"n": 1}, "one")
    bare = tmp_path / "bare.git"
    repo.git("clone", "--quiet", "--bare", str(repo.folder), str(bare))
    repo.git("remote", "add", "bare", str(bare))
    with open_history(f"git:{bare}:data/state.json") as history:
        assert told(history) == ["one"]
        repo.commit("data/state.json", {"n": 2}, "two")
        repo.git("push", "--quiet", "bare", "main")
        assert history.refresh() == 1
        assert history.state(1) == {"n": 2}


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "name",
    ["-n.json", "*.json", ":(top)x.json", "é ü.json", '"q".json', "a\nb.json", "tab\there.json", "a blob 7\n.json",
     "back\\slash.json", "[x].json", "HEAD:x.json", "x..y@{0}.json"],
)  # fmt: skip
def test_a_path_may_hold_any_character(repo: Repo, name: str) -> None:
    repo.commit(name, {"n": 1}, "one")
    repo.git("rm", "--quiet", "--", name)
    repo.commit_staged("gone")
    repo.commit(name, {"n": 2}, "back")
    with opened(repo, name) as history:
        assert [history.state(seq) for seq in range(3)] == [{"n": 1}, {}, {"n": 2}]
        assert history.verdict.status == "complete"


def test_a_branch_that_is_reset_while_open_leaves_a_fork(repo: Repo) -> None:
    for number in range(4):
        repo.commit("state.json", {"n": number}, f"c{number}")
    old = repo.git("rev-parse", "HEAD")
    with opened(repo, "state.json", follow=True) as history:
        repo.git("reset", "--quiet", "--hard", "HEAD~2")
        assert history.refresh() == 0
        repo.commit("state.json", {"n": 20}, "again")
        assert history.refresh() == 1
        assert history[4].parent_seq == 1
        assert {change.old for change in history.changes(4).changes} == {1}
        repo.git("reset", "--quiet", "--hard", old)
        assert history.refresh() == 0
        repo.commit("state.json", {"n": 4}, "onward")
        assert history.refresh() == 1
        assert history[5].parent_seq == 3
        assert told(history) == ["c0", "c1", "c2", "c3", "again", "onward"]


def test_a_version_that_was_left_out_does_not_stand_between_others(repo: Repo) -> None:
    repo.commit("state.json", {"n": 1}, "one")
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit("state.json", "{", "broken")
    repo.commit("state.json", {"n": 2}, "mended")
    with opened(repo, "state.json") as history:
        assert told(history) == ["one", "mended"]
        assert history[1].parent_seq == 0
        assert history.verdict.status == "partial"


def test_a_growing_repository_is_read_through_one_process(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = next(place for place in os.environ["PATH"].split(":") if (Path(place) / "git").exists())
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    calls = tmp_path / "calls"
    shim.write_text(f'#!/bin/sh\necho "$*" >> "{calls}"\nexec "{real}/git" "$@"\n')
    shim.chmod(0o755)
    repo.commit("state.json", {"n": 0}, "c0")
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    with opened(repo, "state.json", follow=True) as history:
        for number in range(1, 6):
            repo.commit("state.json", {"n": number}, f"c{number}")
            if number == 3:
                repo.git("gc", "--quiet", "--prune=now")
            assert history.refresh() == 1
        assert history.state(-1) == {"n": 5}
    assert calls.read_text().count("cat-file") == 1


def test_a_branch_that_starts_anew_is_read_from_its_beginning(repo: Repo) -> None:
    repo.commit("state.json", {"n": 1}, "one")
    with opened(repo, "state.json", follow=True) as history:
        repo.git("checkout", "--quiet", "--orphan", "fresh")
        repo.commit("state.json", {"n": 7}, "unrelated")
        repo.git("branch", "--force", "main", "fresh")
        assert history.refresh() == 1
        assert told(history) == ["one", "unrelated"]


def test_branches_whose_result_was_not_taken_are_forks(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")

    def commit(number: int) -> None:
        repo.commit("d.json", f'{{"n": {number}}}', f"n is {number}")

    commit(1)
    main = repo.git("branch", "--show-current").strip()
    repo.git("checkout", "-q", "-b", "side")
    commit(9)
    repo.git("checkout", "-q", main)
    commit(2)
    repo.git("merge", "-q", "-s", "ours", "-m", "keep ours", "side")
    commit(3)
    with open_history(f"git:{repo.folder}:d.json", follow=False) as history:
        assert sorted(history.state(entry.seq)["n"] for entry in history) == [1, 2, 3, 9]
        at = {history.state(entry.seq)["n"]: entry for entry in history}
        assert at[9].parent_seq == at[2].parent_seq == at[1].seq
        assert at[3].parent_seq == at[2].seq
        assert history.verdict.status == "complete"
