"""Starting a program with an agent in it: its own Python, its own terminal, its own signals and exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import FrameType
from typing import Final, Literal

from unspool.errors import ConfigError
from unspool.model.values import Value
from unspool.recorder.redact import pattern_readings
from unspool.sources.bytestream import spelling

Settle = Literal["statement", "line", "return", "call"]
Behind = Literal["wait", "merge"]

VARIABLE: Final = "UNSPOOL_AGENT"
"""The environment variable that tells the agent what to do; it is gone before the program's own code runs."""
_NAMED: Final = ("-m", "-c")
_HEAD_BYTES: Final = 1000
_TOOLS: Final = ("pipx", "uv")
"""What installs programs into environments of their own, in which no other program's libraries are."""
_FROM_KEYS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGQUIT", "SIGHUP") if hasattr(signal, name))
"""Signals that a terminal sends to all of its foreground processes at once."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be recorded of a program; see docs/live.md.

    Attributes:
        watch: the names of what is watched.
        settle: when an entry is made.
        trace: functions whose calls are entries of their own.
        when: an expression that must hold for an entry.
        prefix: folders whose code is the program's own.
        exact: no place is passed over to save time.
        stores: before Python 3.12: notice each store, at its cost.
        behind: what the program does where the host is slower.
        rate: entries a second that one place may make; 0 for any number.
        redact: patterns of what is left out.
        notes: what is put down beside the state: sql, http, log.
    """

    watch: tuple[str, ...] = ()
    settle: Settle = "statement"
    trace: tuple[str, ...] = ()
    when: str | None = None
    prefix: tuple[str, ...] = ()
    exact: bool = False
    stores: bool = False
    behind: Behind = "wait"
    rate: int | None = None
    redact: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_config(self, place: Path, token: str, folder: Path) -> dict[str, Value]:
        """Return what the agent is told.

        Args:
            place: the socket of its host.
            token: what it says first.
            folder: where the program's own code is, where others are named besides.
        """
        config: dict[str, Value] = {
            "socket": str(place),
            "token": token,
            "settle": self.settle,
            "behind": self.behind,
        }
        for name in ("watch", "trace", "notes"):
            given = getattr(self, name)
            if given:
                config[name] = list(given)
        if self.redact:
            config["redact"] = [list(steps) for one in self.redact for steps in pattern_readings(one)]
        if self.prefix:
            config["prefix"] = [str(folder), *(str(Path(other).resolve()) for other in self.prefix)]
        if self.when:
            config["when"] = self.when
        if self.rate is not None:
            config["rate"] = self.rate
        return {**config, **{name: True for name in ("exact", "stores") if getattr(self, name)}}


def command_line(words: Sequence[str], agent: Path, python: str | None) -> list[str]:
    """Return the command that runs a program with an agent in it.

    Args:
        words: a script, or `-m` and a module, or `-c` and code, or a command that a package installed beside the interpreter, such as
            `flask`, and the program's own arguments; a Python with options of its own may stand in front.
        agent: the file of the agent.
        python: the interpreter; found when None.

    Raises:
        ConfigError: there is no program among the words, or no such interpreter.
    """
    found, rest = _interpreter_in(words)
    if python is not None or found is None:
        found = python or default_python()
    path = shutil.which(found)
    if path is None:
        raise ConfigError(f"{found}: no such Python; name one with --python")
    flags: list[str] = []
    while rest and rest[0].startswith("-") and rest[0] not in _NAMED:
        if rest[0] == "-":
            raise ConfigError("a program from standard input cannot be recorded; put it into a file")
        takes_value = rest[0] in ("-X", "-W")
        flags += rest[: 2 if takes_value else 1]
        rest = rest[2 if takes_value else 1 :]
    if not rest or (rest[0] in _NAMED and len(rest) == 1):
        raise ConfigError("which program? write `unspool run --watch NAME -- app.py`, or `-- -m module`")
    if rest[0] not in _NAMED and Path(rest[0]).is_dir() and not (Path(rest[0]) / "__main__.py").is_file():
        raise ConfigError(f"{rest[0]}: a folder without __main__.py is no program")
    if rest[0] not in _NAMED and (command := _installed_command(rest[0], Path(path).parent)) is not None:
        rest[0] = str(command)
    return [path, *flags, str(agent), *rest]


def require_program(words: Sequence[str], python: str | None) -> None:
    """Refuse a command whose program cannot be started, before anything is made for it.

    Raises:
        ConfigError: as `command_line`, and where the script is not there.
    """
    agent = Path("agent.py")
    command = command_line(words, agent, python)
    script = command[command.index(str(agent)) + 1]
    if script in _NAMED or os.path.lexists(script):
        return
    installed = shutil.which(script)
    hint = f"{installed} is no program of this Python" if installed else spelling(Path(script))
    raise ConfigError(f"{script}: no such file; {hint}")


def _installed_command(name: str, folder: Path) -> Path | None:
    """Return the script in Python that a command of a package is; None where it is none, or a file of that name is there."""
    file = folder / name
    if PurePath(name).name != name or Path(name).exists() or not file.is_file():
        return None
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return None
    return file if head.startswith(b"#!") and b"python" in b"".join(head.splitlines()[:2]) else None


def _interpreter_in(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the Python that a command begins with, if it does, and the rest."""
    if words and PurePath(words[0]).name.startswith("python") and not words[0].endswith(".py"):
        return words[0], list(words[1:])
    return None, list(words)


def default_python() -> str:
    """Return the interpreter that a program runs under where none is named.

    That of the active environment; otherwise our own, unless unspool is installed in an environment of its own.
    """
    active = os.environ.get("VIRTUAL_ENV")
    if active and (Path(active) / "bin" / "python").exists():
        return str(Path(active) / "bin" / "python")
    is_alone = any(tool in PurePath(sys.prefix).parts for tool in _TOOLS)
    return "python3" if is_alone else sys.executable


def _program_in(words: Sequence[str]) -> list[str]:
    """Return the words of a command from the script, or `-m`, or `-c` on."""
    _, rest = _interpreter_in(words)
    while rest and rest[0].startswith("-") and rest[0] not in _NAMED:
        rest = rest[1:]
    return rest


def folder_of(words: Sequence[str]) -> Path:
    """Return the folder that a program's own code is in: that of its script, or the current one."""
    rest = _program_in(words)
    return Path.cwd() if not rest or rest[0] in _NAMED else Path(rest[0]).resolve().parent


def name_of(words: Sequence[str]) -> str:
    """Return what a program is called: its script, or module, without path and suffix."""
    rest = _program_in(words)
    if rest and rest[0] == "-m" and len(rest) > 1:
        return rest[1]
    return PurePath(rest[0]).stem if rest and rest[0] != "-c" else "program"


def start(command: Sequence[str], config: Mapping[str, Value]) -> subprocess.Popen[bytes]:
    """Start a program with the agent in it. It has our terminal, standard streams, folder and environment.

    Raises:
        ConfigError: it cannot be started.
    """
    environment = {**os.environ, VARIABLE: json.dumps(config)}
    try:
        return subprocess.Popen(command, env=environment)
    except OSError as error:
        raise ConfigError(f"{command[0]}: {error.strerror or error}") from None


def code_of(returned: int) -> int:
    """Return the exit code that stands for how a program ended: its own, or 128 and the number of the signal."""
    return returned if returned >= 0 else 128 - returned


@contextmanager
def signals_passed_on(send: Callable[[int], None], *, with_keys: bool = False) -> Iterator[None]:
    """Have something told of the signals that this process is sent, which do nothing else meanwhile.

    Args:
        send: is told the number.
        with_keys: also of what comes from the keyboard, which a program in the same terminal gets by itself.
    """

    def handle(number: int, _: FrameType | None) -> None:
        if with_keys or not (number in _FROM_KEYS and _is_in_front()):
            send(number)

    # Whatever watches for signals to end this process must not: it ends with the program.
    woken = signal.set_wakeup_fd(-1)
    handlers = {number: signal.signal(number, handle) for number in (*_FROM_KEYS, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        signal.set_wakeup_fd(woken)


def _is_in_front() -> bool:
    """Whether what is typed at our terminal reaches us, and what has the same process group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


__all__ = [
    "VARIABLE",
    "Behind",
    "Settle",
    "Wanted",
    "code_of",
    "command_line",
    "default_python",
    "folder_of",
    "name_of",
    "signals_passed_on",
    "start",
]
