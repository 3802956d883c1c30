"""docs/how-to.md and the README do what they say: commands are run as they stand there, or at least understood."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import click
import pytest

from support.pages import DOCS, ROOT, Block, Reader, blocks, sessions, without_times
from unspool_tui.cli import cli

PAGE = (DOCS / "how-to.md").read_text("utf-8")
TOLD = list(blocks(PAGE))
ATTACHING = "Attach to an app that is running"


def follow(folder: Path, told: list[Block]) -> list[str]:
    """Follow recipes in a folder, compare what is shown, and return the commands."""
    shutil.copyfile(ROOT / "fixtures" / "redux" / "lifted.json", folder / "export.json")
    commands = []
    for each in Reader(folder).follow(told):
        assert each.code == 0, (each.command, each.told)
        if each.shown:
            assert without_times(each.printed) == without_times(each.shown), each.command
        commands.append(each.command)
    return commands


def test_the_recipes_print_what_they_show(tmp_path: Path) -> None:
    commands = follow(tmp_path, [block for block in TOLD if block.section != ATTACHING])
    assert len(commands) == 13
    page = (tmp_path / "bug.html").read_text("utf-8")
    assert "Why does ada pay 49.55?" in page
    assert "pages_seen" not in page


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="attaching works on Linux on x86-64"
)
def test_attaching_works_as_told(tmp_path: Path) -> None:
    try:
        commands = follow(tmp_path, [block for block in TOLD if block.section == ATTACHING])
    finally:
        started = tmp_path / "worker.pid"
        if started.exists():
            try:
                os.kill(int(started.read_text()), signal.SIGKILL)
            except ProcessLookupError:
                pass
    assert len(commands) == 4


def test_what_the_readme_says_works_on_its_own_recording(tmp_path: Path) -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    told = list(blocks(page))
    reader = Reader(tmp_path)
    list(reader.follow(told))
    assert reader.run("python app.py")[0] == 0
    (asked,) = [block.text.splitlines() for block in told if block.section == "Ask it"]
    assert len(asked) > 10
    for line in asked:
        code, printed, words = reader.run(line)
        assert (code, bool(printed)) == (0, " share " not in line), (line, words)
    assert (tmp_path / "cart.html").exists()


def test_the_readme_installs_first_and_from_where_it_lies() -> None:
    install = next(blocks((ROOT / "README.md").read_text("utf-8"))).text.splitlines()
    assert re.findall(r"(?:pip|pipx|uv tool) install \.", install[0]) == [
        "pip install .",
        "pipx install .",
        "uv tool install .",
    ]
    assert install[1].startswith("unspool demo")
    fetching = re.compile(r"(?:pip3?|pipx|uv|tool) (?:install|run|add) '?unspool|uvx unspool")
    pages = [ROOT / "README.md", *DOCS.rglob("*.md"), *(ROOT / ".github").rglob("*.md")]
    assert [page.name for page in pages if fetching.search(page.read_text("utf-8"))] == []


def test_the_moving_picture_is_inert_and_small() -> None:
    picture = ROOT / "screenshots" / "story-moving.svg"
    text = picture.read_text("utf-8")
    assert picture.stat().st_size <= 200_000
    assert not re.search(r"<(?!/|svg|title|style|rect|g\b|text)|\son\w+=|href|url\(|@import", text)
    assert text.count("http") == text.count("http://www.w3.org/2000/svg") == 1
    assert "prefers-reduced-motion" in text
    told = [" ".join(row.split()) for row in re.findall(r"<g[^>]*>(.*?)</g>", re.sub(r"</?text[^>]*>", " ", text))]
    assert any("demo_bug.py:19" in row for row in told)
    assert any("ada pays 49.55" in row for row in told)


def commands_told() -> list[tuple[str, str]]:
    """Return every call of unspool in a block of shell of any page, with the page."""
    told = []
    for page in [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]:
        for block in blocks(page.read_text("utf-8")):
            lines = [command for command, _ in sessions(block)] if block.language == "console" else []
            lines += block.text.splitlines() if block.language == "sh" else []
            told += [(page.name, line) for line in lines if line.startswith("unspool ")]
    return told


def unspool_call(line: str) -> list[str]:
    """Return the words of the call of unspool that a line of shell begins with."""
    split = shlex.shlex(re.sub(r"\$\(.*?\)", "1", line), posix=True, punctuation_chars=True)
    split.whitespace_split = True
    words = list(split)
    ends = [number for number, word in enumerate(words) if set(word) <= set(";|&><")]
    return words[1 : min(ends, default=len(words))]


def test_every_command_of_every_page_is_one_that_there_is() -> None:
    told = commands_told()
    assert len(told) > 60
    parent = click.Context(cli)
    named = set()
    for page, line in told:
        words = unspool_call(line)
        command = cli.get_command(parent, words[0])
        if command is None:
            assert words[0].startswith("--") or re.search(r"[./:]", words[0]), (
                f"{page}: {line}: no command, and no file"
            )
            continue
        named.add(words[0])
        if words[0] == "help" or isinstance(command, click.Group):
            continue
        try:
            command.make_context(words[0], words[1:], parent=parent)
        except click.UsageError as refused:
            pytest.fail(f"{page}: {line}\n{refused.format_message()}")
    assert len(named) > 15


def test_the_settings_for_agents_start_the_server() -> None:
    (block,) = [block for block in TOLD if block.language == "json"]
    (server,) = json.loads(block.text)["mcpServers"].values()
    assert server["command"] == "unspool"
    command = cli.get_command(click.Context(cli), server["args"][0])
    assert command is not None
    context = command.make_context("mcp", server["args"][1:], resilient_parsing=True)
    assert "app.unspool" in str(context.params)


def test_every_recipe_is_in_the_list_at_the_top() -> None:
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert re.findall(r"^- \[(.+?)\]\(#", PAGE, re.MULTILINE) == headings
