"""A file's history in git."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from support.git_repo import Repo
from unspool import open_history
from unspool.errors import ConfigError, UnreadableSource


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


def test_each_commit_that_touched_the_file_is_an_entry(repo: Repo) -> None:
    first = repo.commit("data/state.json", {"n": 1}, "begin")
    repo.commit("other.json", {}, "elsewhere")
    second = repo.commit("data/state.json", {"n": 2}, "count: on")
    with open_history(f"git:{repo.folder}:data/state.json", follow=False) as history:
        assert [entry.action for entry in history] == ["begin", "count: on"]
        assert [entry.id for entry in history] == [first, second]
        assert history[0].timestamp_ns == 1_700_000_060_000_000_000
        assert history[1].meta == {"author": "Ada", "commit": second}
        assert history.state(1) == {"n": 2}
        assert history.verdict.status == "complete"


def test_new_commits_arrive_on_refresh(repo: Repo) -> None:
    repo.commit("state.json", {"n": 1}, "one")
    with open_history(f"git:{repo.folder}:state.json") as history:
        assert history.refresh() == 0
        repo.commit("state.json", {"n": 2}, "two")
        repo.commit("state.json", {"n": 3}, "three")
        assert history.refresh() == 2
        assert history.state(-1) == {"n": 3}
        assert repo.folder / ".git" / "refs" / "heads" / "main" in history.watch_paths
        # How much a repository takes is not known by the size of its references.
        assert history.source_paths == (repo.folder / ".git",)
        assert history.file_bytes() == 0


def test_history_that_was_rewritten_keeps_old_entries_and_says_so(repo: Repo) -> None:
    repo.commit("state.json", {"n": 1}, "one")
    repo.commit("state.json", {"n": 2}, "two")
    with open_history(f"git:{repo.folder}:state.json") as history:
        repo.git("reset", "--quiet", "--hard", "HEAD~1")
        repo.commit("state.json", {"n": 20}, "two again")
        history.refresh()
        assert [entry.action for entry in history] == ["one", "two", "two again"]
        assert "history was rewritten" in history.verdict.notes[0]


def test_a_revision_ends_the_history(repo: Repo) -> None:
    repo.commit("state.json", {"n": 1}, "one")
    repo.git("tag", "v1")
    repo.commit("state.json", {"n": 2}, "two")
    for revision in ("v1", "HEAD~1"):
        with open_history(f"git:{repo.folder}:state.json@{revision}", follow=False) as history:
            assert [entry.action for entry in history] == ["one"]


def test_names_may_hold_at_signs_colons_and_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "a:b c"
    repo = Repo(folder)
    repo.commit("pkg@1/st ate.json", {"n": 1}, "one")
    with open_history(f"git:{folder}:pkg@1/st ate.json", follow=False) as history:
        assert history.state(0) == {"n": 1}
    with open_history(f"git:{folder}:pkg@1/st ate.json@main", follow=False) as history:
        assert len(history) == 1


def test_a_version_that_does_not_read_is_left_out_and_named(repo: Repo) -> None:
    repo.commit("state.json", {"n": 1}, "one")
    broken = repo.commit("state.json", '{"n": <<<<<<< HEAD', "conflict")
    repo.commit("state.json", {"n": 3}, "mended")
    with open_history(f"git:{repo.folder}:state.json", follow=False) as history:
        assert [entry.action for entry in history] == ["one", "mended"]
        assert broken[:12] in history.verdict.problems[0].place


def test_a_commit_that_deleted_the_file_has_no_atoms(repo: Repo) -> None:
    repo.commit("state.json", {"n": 1}, "one")
    repo.git("rm", "--quiet", "state.json")
    repo.git("commit", "--quiet", "-m", "gone")
    with open_history(f"git:{repo.folder}:state.json", follow=False) as history:
        assert [history.state(seq) for seq in range(2)] == [{"n": 1}, {}]


@pytest.mark.parametrize(("name", "text"), [("s.toml", "n = 1\n"), ("s.yaml", "n: 1\n")])
def test_toml_and_yaml_files_have_histories_too(repo: Repo, name: str, text: str) -> None:
    repo.commit(name, text, "one")
    with open_history(f"git:{repo.folder}:{name}", follow=False) as history:
        assert history.state(0) == {"n": 1}


def test_versions_are_unfolded_and_may_be_in_utf_16_as_files_are(repo: Repo) -> None:
    for number, encoding in enumerate(("utf-8", "utf-16", "utf-32")):
        repo.commit("s.toml", f'n = {number}\ntext = "\u00fc"\n'.encode(encoding), f"in {encoding}")
    packed = gzip.compress(b'n = 3\ntext = "\xc3\xbc"\n')
    for subject, data in (("packed", packed), ("cut", packed[:-12]), ("damaged", packed[:15] + bytes(12))):
        repo.commit("s.toml", data, subject)
    with open_history(f"git:{repo.folder}:s.toml", follow=False) as history:
        assert [history.state(seq) for seq in range(len(history))] == [{"n": n, "text": "\u00fc"} for n in range(4)]
        cut, damaged = (problem.message for problem in history.verdict.problems)
        assert "ends early" in cut
        assert "damaged near byte" in damaged


def test_a_repository_that_names_programs_runs_none(repo: Repo, tmp_path: Path) -> None:
    repo.commit("state.json", {"n": 1}, "one")
    witness = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch '{witness}'\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "gpg.program", "core.pager", "diff.external", "core.sshCommand"):
        repo.git("config", key, str(program))
    repo.git("config", "log.showSignature", "true")
    with open_history(f"git:{repo.folder}:state.json", follow=False) as history:
        assert len(history) == 1
    assert not witness.exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("git:", "write git:REPO:PATH"),
        ("git:state.json", "write git:REPO:PATH"),
        ("git:/no/such/folder:state.json", "is no directory"),
        ("git:{repo}:missing.json", "no commit touches missing.json"),
        ("git:{repo}:state.json@nosuch", "no such revision"),
        ("git:{repo}:state.json@--help", "no such revision"),
        ("git:{outside}:state.json", "git says"),
    ],
)
def test_what_is_wrong_with_a_git_source_is_said_in_one_line(
    repo: Repo, tmp_path: Path, source: str, message: str
) -> None:
    repo.commit("state.json", {"n": 1}, "one")
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(UnreadableSource, match=message) as caught:
        open_history(source.format(repo=repo.folder, outside=outside))
    assert "\n" not in str(caught.value)


def test_git_is_read_as_git_only(repo: Repo) -> None:
    repo.commit("state.json", {"n": 1}, "one")
    with pytest.raises(ConfigError, match="leave --format jsonl out"):
        open_history(f"git:{repo.folder}:state.json", format="jsonl")


def test_a_repository_without_commits_is_refused(repo: Repo) -> None:
    with pytest.raises(UnreadableSource, match="no commit touches"):
        open_history(f"git:{repo.folder}:state.json")


def test_content_that_is_missing_is_told_and_not_taken_for_a_removed_file(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    for number in range(3):
        repo.commit("a.json", {"n": number}, f"commit {number}")
    blob = repo.git("rev-parse", "HEAD~1:a.json")
    (repo.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for _ in range(2):
        with open_history(f"git:{repo.folder}:a.json", follow=False, cache=True) as history:
            assert [history.state(entry.seq) for entry in history] == [{"n": 0}, {"n": 2}]
            assert history.verdict.status == "partial"
            assert "is not in the repository" in history.verdict.problems[0].message
    repo.git("rm", "--quiet", "a.json")
    repo.commit_staged("gone")
    with open_history(f"git:{repo.folder}:a.json", follow=False) as history:
        assert history.state(-1) == {}
        assert len(history.verdict.problems) == 1
