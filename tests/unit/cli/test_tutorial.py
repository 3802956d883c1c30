"""docs/tutorial.md does what it says: followed from top to bottom, it prints what it shows."""

from __future__ import annotations

from pathlib import Path

from support.pages import DOCS, Reader, blocks, numbered_as_by_3_12, without_times

PAGE = (DOCS / "tutorial.md").read_text("utf-8")


def test_whoever_follows_it_sees_what_it_shows(tmp_path: Path) -> None:
    ran = list(Reader(tmp_path).follow(list(blocks(PAGE))))
    for each in ran:
        assert each.code == 0, (each.command, each.told)
        printed, shown = each.printed, each.shown
        if "till.unspool" in each.command or "mended.unspool" in each.command:
            printed, shown = numbered_as_by_3_12(without_times(printed)), without_times(shown)
        if shown:
            assert printed == shown, each.command
    assert len(ran) == 12
    silent = [each.command.split()[1] for each in ran if not each.shown]
    assert silent == ["demo", "open"]


def test_it_installs_what_it_runs() -> None:
    first = next(blocks(PAGE))
    assert first.text.splitlines() == ["pip install .", "unspool --version"]
