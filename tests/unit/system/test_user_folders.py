"""Where a user's settings, places, notes and caches are kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unspool import system
from unspool.system import user_folder

VARIABLES = {
    "config": ("XDG_CONFIG_HOME", ".config"),
    "state": ("XDG_STATE_HOME", ".local/state"),
    "data": ("XDG_DATA_HOME", ".local/share"),
    "cache": ("XDG_CACHE_HOME", ".cache"),
}


@pytest.mark.parametrize("kind", VARIABLES)
def test_the_variable_names_it_and_only_with_an_absolute_path(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, below = VARIABLES[kind]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, str(tmp_path / "given"))
    assert user_folder(kind) == tmp_path / "given" / "unspool"
    for meaningless in ("", "relative/folder", "~/folder"):
        monkeypatch.setenv(variable, meaningless)
        assert user_folder(kind) == tmp_path / below / "unspool"


def test_windows_has_one_folder_for_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, _ in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(system, "fcntl", None)
    assert [user_folder(kind) for kind in VARIABLES] == [tmp_path / "unspool" / kind for kind in VARIABLES]


def test_who_has_no_home_can_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "states.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    kept = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    done = subprocess.run(
        [sys.executable, "-c", "from unspool_tui.cli import main; main()", "log", "states.jsonl"],
        env={**kept, "HOME": "nowhere"}, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 2
    assert not (tmp_path / "nowhere").exists()
