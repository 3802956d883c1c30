"""Lines of code that a recording names: where they are on this machine, and how the person's editor opens them.

What a recording names is data. Only a regular file that is there is opened, by its absolute path, so that nothing in a
recording is ever an option of a program.
"""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from unspool.errors import UnspoolError
from unspool.model.entries import SourceLine

_PARENTS: Final = 4
"""Folders from that of a recording upwards in which a file named from the program's folder is looked for."""
_LAST_LINE: Final = 10**8
_BY_COLON: Final = frozenset(("hx", "helix", "subl", "zed"))
_BY_GOTO: Final = frozenset(("code", "code-insiders", "codium", "cursor"))


class EditorFailed(UnspoolError):
    """A line of code cannot be opened; the message says why, and what would help."""


def file_of(place: SourceLine, near: Iterable[Path]) -> Path:
    """Return the file that a line is in.

    A recording names files from the folder that its program ran in, or from where a package lies.

    Args:
        place: the line.
        near: files of the recording; programs often keep theirs in or below the folder they run in.

    Raises:
        EditorFailed: there is no such regular file.
    """
    for folder in _folders(near):
        try:
            path = (folder / place.file).resolve()
            if path.is_file():
                return path
        except (OSError, ValueError, RuntimeError):
            # A name with a zero byte, one that is too long, or links that lead in a circle.
            continue
    raise EditorFailed(
        f"{place.file[:200]}:{place.line} is not on this machine; start unspool in the folder that the program ran in"
    )


def _folders(near: Iterable[Path]) -> Iterator[Path]:
    yield Path.cwd()
    for file in near:
        folder = file.absolute().parent
        yield from (folder, *list(folder.parents)[: _PARENTS - 1])
    yield from (Path(entry) for entry in sys.path if entry)


def editor_command(path: Path, line: int, environ: Mapping[str, str]) -> list[str]:
    """Return the command that opens a file at a line.

    Args:
        path: an absolute path.
        line: counted from 1.
        environ: where `VISUAL` and `EDITOR` are looked up.

    Raises:
        EditorFailed: neither is set, or what is set cannot be run.
    """
    chosen = environ.get("VISUAL", "").strip() or environ.get("EDITOR", "").strip()
    try:
        words = shlex.split(chosen)
    except ValueError:
        words = []
    if not words:
        raise EditorFailed("no editor is known: set VISUAL or EDITOR, such as EDITOR=vim")
    program = shutil.which(words[0], path=environ.get("PATH"))
    if program is None:
        raise EditorFailed(f"{words[0][:80]} is not there: VISUAL or EDITOR names it")
    number = max(1, min(line, _LAST_LINE))
    name = Path(words[0]).name
    if name in _BY_COLON:
        return [program, *words[1:], f"{path}:{number}"]
    if name in _BY_GOTO:
        return [program, *words[1:], "--goto", f"{path}:{number}"]
    return [program, *words[1:], f"+{number}", str(path)]


def run_editor(command: list[str]) -> None:
    """Run an editor in the terminal, and wait until it ends.

    Raises:
        EditorFailed: it cannot be run, or ended with an error.
    """
    try:
        with _interrupts_ignored():
            code = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise EditorFailed(f"{command[0]} cannot be run: {error.strerror or error}") from None
    if code:
        raise EditorFailed(f"{command[0]} ended with {code}")


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Leave Ctrl+C to the editor, which sits at the same terminal."""
    # A handler, since the editor would inherit that a signal is ignored.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
