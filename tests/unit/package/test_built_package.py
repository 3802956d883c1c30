"""The source archive and the wheel: what is in them, and that a plain install of the wheel works."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import unspool
from support.pages import DOCS, blocks, sessions

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow


def _run(*words: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return folder


def test_the_source_archive_holds_the_code_and_no_tests(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"engine/unspool/__init__.py", "tui/unspool_tui/__init__.py", "README.md", "LICENSE"} <= names
    assert not [name for name in names if name.startswith(("tests/", "fixtures/", "benchmarks/", ".github/"))]


def test_the_wheel_passes_the_usual_checks(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    _run(sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir()))
    _run(sys.executable, "-m", "check_wheel_contents", "--toplevel", "unspool,unspool_tui", str(wheel))
    with zipfile.ZipFile(wheel) as opened:
        held = opened.namelist()
    meta = f"unspool-{unspool.__version__}"
    assert {name.split("/")[0] for name in held} == {"unspool", "unspool_tui", f"{meta}.dist-info", f"{meta}.data"}
    assert {name.rpartition("/")[0] for name in held if name.startswith(f"{meta}.data/")} == {
        f"{meta}.data/data/share/man/man1"
    }


def story_told_by(programs: Path, folder: Path) -> int:
    """Run the commands of the story with installed programs; return how many printed what the page shows."""
    shown = 0
    for block in blocks((DOCS / "story.md").read_text("utf-8")):
        if block.language != "console":
            continue
        for command, printed in sessions(block):
            done = subprocess.run(
                ["sh", "-c", command], cwd=folder, env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{command}: {done.stderr}"
            assert not printed or done.stdout.rstrip() == printed.rstrip(), command
            shown += bool(printed)
    return shown


def test_a_plain_install_runs_the_demo_the_story_and_every_help(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    _run(sys.executable, "-m", "venv", str(tmp_path / "venv"))
    binary = tmp_path / "venv" / "bin"
    _run(str(binary / "python"), "-m", "pip", "install", "--quiet", str(wheel))
    # Beside the environment, not around it: what lies below the current directory is named from there.
    at = tmp_path / "shop"
    at.mkdir()
    demo = at / "demo.unspool"
    _run(str(binary / "unspool"), "demo", "--steps", "40", "--file", str(demo), cwd=at)
    assert _run(str(binary / "unspool"), "blame", str(demo), cwd=at)
    assert _run(str(binary / "unspool"), "--version", cwd=at).strip().endswith(unspool.__version__)
    listed = _run(str(binary / "unspool"), "help", cwd=at).partition("Commands:")[2].split("\n\n")[0]
    for line in listed.strip("\n").splitlines():
        name = line.split()[0]
        if line.startswith("  ") and not line.startswith("   "):
            assert "Usage:" in _run(str(binary / "unspool"), name, "--help", cwd=at)
    assert story_told_by(binary, at) > 5
