"""docs/story.md does what it says: its commands are run as written, and print what the page shows."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "story.md"


def sessions() -> list[tuple[str, str]]:
    """Every command of the page with what it shows; nothing is shown of a command whose output is not told."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            found.append((command, shown))
    return found


def test_its_commands_print_what_it_shows(tmp_path: Path) -> None:
    told = sessions()
    for command, shown in told:
        program, *words = shlex.split(command)
        assert program == "unspool"
        ran = subprocess.run(
            [sys.executable, "-m", "unspool_tui.cli", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, (command, ran.stderr)
        if shown:
            assert ran.stdout == shown, command
    verbs = [shlex.split(command)[1] for command, _ in told]
    assert set(verbs) == {"demo", "bisect", "blame", "diff", "show", "search", "compare"}
    assert all(shown for command, shown in told if " demo " not in command)


def test_the_line_that_blame_names_is_the_one_under_the_mistake() -> None:
    (quoted,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    source = (ROOT / "tui" / "unspool_tui" / "demo_bug.py").read_text("utf-8")
    assert quoted in source
    wrong = source[: source.index('cart["total"] = round')].count("\n") + 1
    assert f"Line {wrong} of `demo_bug.py`" in PAGE.read_text("utf-8")
    assert f"demo_bug.py:{wrong + 1} in HastyShop._take_out" in PAGE.read_text("utf-8")


def test_the_page_is_found_from_the_readme_and_from_the_questions() -> None:
    assert "(docs/story.md)" in (ROOT / "README.md").read_text("utf-8")
    assert "(story.md)" in (ROOT / "docs" / "questions.md").read_text("utf-8")
    assert (PAGE.parent / "../screenshots/story.png").resolve().exists()
