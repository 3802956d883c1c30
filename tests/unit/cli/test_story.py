"""docs/story.md does what it says: its commands are run as written, and print what the page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from support.pages import DOCS, ROOT, Reader, blocks

PAGE = DOCS / "story.md"


def test_its_commands_print_what_it_shows(tmp_path: Path) -> None:
    ran = list(Reader(tmp_path).follow(list(blocks(PAGE.read_text("utf-8")))))
    for each in ran:
        assert each.code == 0, (each.command, each.told)
        if each.shown:
            assert each.printed == each.shown, each.command
    verbs = {shlex.split(each.command)[1] for each in ran}
    assert verbs == {"demo", "bisect", "blame", "diff", "show", "search", "compare"}
    assert all(each.shown for each in ran if " demo " not in each.command)


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
