"""Pages of the documentation, read and followed: files are written, and commands run, as they stand there."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from unspool_tui.cli import run

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^(?: *)```(\w*)\n(.*?)^(?: *)```$", re.DOTALL | re.MULTILINE)
IN_SHELL = re.compile(r"[|&;<>$`]")
WHEN = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d+Z?")
SINCE = re.compile(r"^( +\d+ )[ \d.]+ (?:ns|us|ms|s)\b", re.MULTILINE)
WORKED = re.compile(r"^\d+ entr(?:y|ies) rebuilt, \d+ left out$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        language: that stands behind the fence.
        text: what is in it.
        before: the line of prose above it.
        section: the heading that it stands under.
    """

    language: str
    text: str
    before: str
    section: str

    @property
    def file(self) -> str:
        """The name of the file that it is to be, where the line above ends with one: `` `app.py`: ``."""
        named = re.search(r"`([\w./-]+)`:$", self.before)
        return named[1] if named else ""


class Ran(NamedTuple):
    """A command of a page, what the page shows of it, and what it did."""

    command: str
    shown: str
    code: int
    printed: str
    told: str


def blocks(text: str) -> Iterator[Block]:
    """Yield a page's fenced blocks in order."""
    section, end = "", 0
    for found in FENCE.finditer(text):
        prose = text[end : found.start()]
        section = (re.findall(r"^#+ (.*)$", prose, re.MULTILINE) or [section])[-1]
        end = found.end()
        lines = [line.strip() for line in prose.splitlines() if line.strip()]
        yield Block(found[1], found[2], lines[-1] if lines else "", section)


def sessions(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a `console` block, each with what is shown of it."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]


def unspool_words(command: str) -> list[str] | None:
    """Return the arguments of a command that is a single call of unspool and needs no shell, else None."""
    words = shlex.split(command, comments=True)
    if words[:1] != ["unspool"] or words[1:2] in (["run"], ["attach"], ["mcp"], ["listen"]):
        return None
    unquoted = re.sub(r"'[^']*'", "", command.partition("#")[0])
    return None if IN_SHELL.search(unquoted) else words[1:]


class Reader:
    """Somebody who follows a page in a folder of their own.

    Args:
        folder: where files are written and commands run; it becomes the current directory of calls within this process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs = folder.parent / f"{folder.name}-programs"
        self._programs.mkdir(exist_ok=True)
        for name, words in (("unspool", "-m unspool_tui.cli"), ("python", "")):
            program = self._programs / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n', "utf-8")
            program.chmod(0o755)

    def run(self, command: str) -> tuple[int, str, str]:
        """Run one command; a plain call of unspool within this process. Return code, standard output and standard error."""
        words = unspool_words(command)
        if words is None:
            path = f"{self._programs}{os.pathsep}{os.environ['PATH']}"
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=self.folder,
                env=os.environ | {"PATH": path},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )
            return done.returncode, done.stdout, done.stderr
        printed, told = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
            code = run(words)
        for stream in (printed, told):
            stream.seek(0)
        return code, printed.read(), told.read()

    def follow(self, told: Sequence[Block]) -> Iterator[Ran]:
        """Do in order what blocks say: write and change files, run commands. Yield each command that was run."""
        for block in told:
            if block.language == "console":
                for command, shown in sessions(block):
                    yield Ran(command, shown, *self.run(command))
            elif block.file and block.language == "diff":
                self._change(block)
            elif block.file:
                path = self.folder / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, "utf-8")

    def _change(self, block: Block) -> None:
        path = self.folder / block.file
        lines = block.text.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] != "+")
        new = "".join(line[1:] for line in lines if line[0] != "-")
        text = path.read_text("utf-8")
        assert text.count(old) == 1, f"{block.file} does not hold once:\n{old}"
        path.write_text(text.replace(old, new), "utf-8")


def without_times(text: str) -> str:
    """Take out of what a command printed what differs from run to run: times, durations, how many entries were rebuilt."""
    return WORKED.sub("", SINCE.sub(r"\1 DURATION", WHEN.sub("TIME", text)))


def numbered_as_by_3_12(text: str) -> str:
    """Number the entries of `unspool run` as Python 3.12 and later do; under 3.11 a note comes first."""
    if sys.version_info >= (3, 12):
        return text
    return re.sub(
        r"^( {0,7})(\d+)(?=  )|(?<=entry )(\d+)|(?<= to )(\d+)",
        lambda found: f"{found[1] or ''}{int(found[2] or found[3] or found[4]) - 1}",
        text,
        flags=re.MULTILINE,
    )
