"""Each program in examples/ is run as people run it, and asked who set its wrong value."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from unspool_tui.cli import run

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(place for place in EXAMPLES.glob("*.py") if "# wrong\n" in place.read_text())
ENVIRONMENT = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
NEEDED = {"fastapi", "langgraph", "sqlalchemy", "pandas", "pydantic", "attrs"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples and nothing else, which is where commands are given."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands(source: str) -> tuple[list[str], list[str]]:
    """Return how a program says that it is run without a terminal, and the question it says is to be asked."""
    told = (ast.get_docstring(ast.parse(source)) or "").splitlines()
    said = [shlex.split(line, comments=True) for line in told if line.startswith(("python ", "pytest ", "unspool "))]
    runs = [words for words in said if words[:1] in (["python"], ["pytest"])]
    return runs[-1], next(words for words in said if "blame" in words)


def recordings(name: str) -> list[str]:
    """Return the files that a program made; one for each process where `%p` is in the name."""
    return sorted(str(place) for place in Path().glob(re.sub(r"%p|\d{3,}", "*", name)))


def test_there_are_ten_short_programs() -> None:
    assert len(PROGRAMS) >= 10
    assert all(30 <= len(place.read_text().splitlines()) <= 100 for place in PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS, ids=[place.stem for place in PROGRAMS])
def test_recording_takes_three_lines(program: Path) -> None:
    """Making the recorder, and what records; a name that is handed on is not counted, nor are imports and docstrings."""
    tree = ast.parse(program.read_text())
    calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = r"Recorder|record_\w+|(\w+\.)*recorder\.\w+|app\.add_middleware"
    assert 1 <= len({call for call in calls if re.match(rf"({names})\(", call)}) <= 3


@pytest.mark.one_in(4)
@pytest.mark.parametrize("program", PROGRAMS, ids=[place.stem for place in PROGRAMS])
def test_who_set_the_wrong_value_is_named(program: Path, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = program.read_text()
    for library in NEEDED & set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)):
        pytest.importorskip(library)
    command, question = commands(source)
    # Loaded by its name, so that this does not depend on when unspool was installed here.
    tester = [sys.executable, "-m", "pytest", "-p", "unspool.bridges.pytest_plugin"]
    whole = [*({"python": [sys.executable], "pytest": tester}[command[0]]), *command[1:]]
    done = subprocess.run(whole, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (1 if command[0] == "pytest" else 0), done.stdout + done.stderr
    line = next(number for number, text in enumerate(source.splitlines(), 1) if text.endswith("# wrong"))
    capsys.readouterr()
    asked = [question]
    if "--last-failed" not in question:
        asked = [[*question[:2], file, *question[3:]] for file in recordings(question[2])]
    found = []
    for words in asked:
        if run([*words[1:], "--json"]) == 0:
            found.append(json.loads(capsys.readouterr().out))
    [answer] = [told for told in found if told["values"][0]["caller"]["line"] == line]
    [value] = answer["values"]
    assert value["caller"]["file"] == f"examples/{program.name}"
    assert value["certain"]
    assert answer["complete"]
