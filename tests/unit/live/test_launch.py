"""How a program is started: whose Python, which words, what the agent is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from unspool.errors import ConfigError
from unspool.live.agent.redaction import Redaction
from unspool.live.launch import Wanted, command_line, default_python, folder_of, name_of

AGENT = Path("/x/agent.py")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["app.py", "-x", "--watch"], ["/x/agent.py", "app.py", "-x", "--watch"]),
        (["-m", "mod", "a"], ["/x/agent.py", "-m", "mod", "a"]),
        (["-c", "pass"], ["/x/agent.py", "-c", "pass"]),
        ([sys.executable, "-X", "dev", "-O", "app.py"], ["-X", "dev", "-O", "/x/agent.py", "app.py"]),
        ([sys.executable, "-m", "mod", "-m"], ["/x/agent.py", "-m", "mod", "-m"]),
    ],
)
def test_the_agent_stands_before_the_program(words: list[str], expected: list[str]) -> None:
    python, *rest = command_line(words, AGENT, None if words[0] == sys.executable else sys.executable)
    assert (python, rest) == (sys.executable, expected)


def test_a_command_that_a_package_installed_is_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    python = folder / "python"
    python.symlink_to(sys.executable)
    (folder / "serve").write_text(f"#!{python}\nimport app\n")
    (folder / "deactivate").write_text("#!/bin/sh\necho no\n")
    monkeypatch.chdir(tmp_path)
    assert command_line(["serve", "-p", "1"], AGENT, str(python))[1:] == [
        "/x/agent.py",
        str(folder / "serve"),
        "-p",
        "1",
    ]
    assert command_line(["deactivate"], AGENT, str(python))[-1] == "deactivate"
    (tmp_path / "serve").write_text("")
    assert command_line(["serve"], AGENT, str(python))[-1] == "serve"


@pytest.mark.parametrize("words", [[sys.executable], ["-m"], [sys.executable, "-"], ["-c"]])
def test_without_a_program_the_way_to_write_one_is_told(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"unspool run|put it into a file"):
        command_line(words, AGENT, None)


def test_the_active_environment_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert default_python() == sys.executable
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    assert default_python() == str(tmp_path / "bin" / "python")


def test_where_unspool_has_an_environment_of_its_own_the_program_s_python_is_that_of_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setattr(sys, "prefix", "/home/ada/.local/pipx/venvs/unspool")
    assert default_python() == "python3"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["dir/app.py"], "app"),
        (["-m", "pack.mod"], "pack.mod"),
        (["-c", "pass"], "program"),
        (["python3", "-O", "a.py"], "a"),
    ],
)
def test_a_recording_is_named_after_the_program(words: list[str], name: str) -> None:
    assert name_of(words) == name


def test_folders_that_are_named_come_besides_the_program_s_own(tmp_path: Path) -> None:
    assert folder_of([str(tmp_path / "app.py")]) == tmp_path
    assert folder_of(["-m", "mod"]) == Path.cwd()
    config = Wanted(prefix=(str(tmp_path / "lib"),)).to_config(Path("/s"), "t", tmp_path)
    assert config["prefix"] == [str(tmp_path), str(tmp_path / "lib")]
    assert "prefix" not in Wanted().to_config(Path("/s"), "t", tmp_path)


def test_the_agent_is_told_only_what_was_asked_for() -> None:
    assert Wanted().to_config(Path("/s"), "t", Path("/")) == {
        "socket": "/s",
        "token": "t",
        "settle": "statement",
        "behind": "wait",
    }
    wanted = Wanted(watch=("A",), exact=True, stores=True, when="n > 1", rate=0, redact=("password",), notes=("sql",))
    config = wanted.to_config(Path("/s"), "t", Path("/"))
    assert {name: config[name] for name in ("watch", "exact", "stores", "when", "rate", "redact", "notes")} == {
        "watch": ["A"],
        "exact": True,
        "stores": True,
        "when": "n > 1",
        "rate": 0,
        "redact": [["password"]],
        "notes": ["sql"],
    }


@pytest.mark.parametrize("pattern", ["users[*].token", "$.users[0].Token", '["users"][*]["token"]', "/users/*/tok*"])
def test_the_agent_understands_what_is_to_be_left_out_as_recorders_do(pattern: str) -> None:
    config = Wanted(watch=("A",), redact=(pattern,)).to_config(Path("/s"), "t", Path("/"))
    redaction = Redaction(config["redact"], [], ignore_case=True)  # type: ignore[arg-type]
    cursor = redaction.start()
    for key in ("users", 0):
        found = redaction.step(cursor, key, is_key=key == "users")
        assert found is not None
        cursor = found
    assert redaction.step(cursor, "token", is_key=True) is None
    assert redaction.step(cursor, "name", is_key=True) is not None
