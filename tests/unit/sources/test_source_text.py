"""The git history of a source file: its text, version by version."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from unspool import open_history
from unspool_tui.cli import run


def commit(repository: Path, name: str, content: bytes | None) -> None:
    path = repository / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for words in (["add", "-A"], [*who, "commit", "-q", "-m", f"change {name}"]):
        subprocess.run(["git", "-C", str(repository), *words], check=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def versions(repository: Path, name: str) -> list[dict[str, object]]:
    with open_history(f"git:{repository}:{name}", follow=False) as history:
        assert history.verdict.status == "complete"
        return [history.state(seq) for seq in range(len(history))]


@pytest.mark.parametrize("name", ["launch.py", "read.me", "Makefile", "page.html"])
def test_a_source_file_is_one_text(name: str, repository: Path) -> None:
    texts = [b"def f():\n    return 1\n", b"x = 1\n", b"caf\xc3\xa9 \xff\n", b""]
    for text in texts:
        commit(repository, name, text)
    assert versions(repository, name) == [{"source": text.decode("utf-8", "surrogateescape")} for text in texts]


def test_code_that_reads_as_toml_is_code(repository: Path) -> None:
    for text in (b"x = 1\n", b"x = 2\n"):
        commit(repository, "config.py", text)
    assert versions(repository, "config.py") == [{"source": "x = 1\n"}, {"source": "x = 2\n"}]


def test_a_document_is_a_document_whatever_its_name(repository: Path) -> None:
    commit(repository, "state", b'{"n": 1}')
    commit(repository, "state", b'{"n": 2}')
    assert versions(repository, "state") == [{"n": 1}, {"n": 2}]


def test_a_deleted_source_file_is_an_empty_state(repository: Path) -> None:
    commit(repository, "launch.py", b"x = 1\n")
    commit(repository, "launch.py", None)
    commit(repository, "launch.py", b"x = 2\n")
    assert versions(repository, "launch.py") == [{"source": "x = 1\n"}, {}, {"source": "x = 2\n"}]


def test_a_broken_document_and_a_binary_file_are_told(repository: Path) -> None:
    commit(repository, "state.json", b'{"n": 1}')
    commit(repository, "state.json", b'{"n": ')
    commit(repository, "image.png", b"\x89PNG\x00\x00")
    commit(repository, "image.png", b"text now")
    for name in ("state.json", "image.png"):
        with open_history(f"git:{repository}:{name}", follow=False) as history:
            assert len(history) == 1
            assert "left out" in history.verdict.problems[0].message


def test_a_source_files_history_is_kept(repository: Path, tmp_path: Path) -> None:
    for text in (b"x = 1\n", b"x = 2\n"):
        commit(repository, "launch.py", text)
    out = tmp_path / "app.unspool"
    assert run(["convert", f"git:{repository}:launch.py", str(out), "-q"]) == 0
    with open_history(out) as history:
        assert [history.state(seq) for seq in range(2)] == [{"source": "x = 1\n"}, {"source": "x = 2\n"}]
        assert history[1].action == "change launch.py"
