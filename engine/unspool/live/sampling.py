"""Looking at a running program from outside, now and then: what its threads are in, and the texts of their variables.

py-spy reads the memory of the program; nothing of it is changed, and nothing runs in it. What changed between two looks is
not known, and neither is the line that did it: an entry says where the program was when it was looked at.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from unspool.errors import MissingExtra
from unspool.live.inject import NotInjected
from unspool.model.entries import CALLER, SourceLine
from unspool.model.values import Value
from unspool.recorder import Recorder

_DUMP_S: Final = 20.0
_MOST_FRAMES: Final = 30
_MOST_LOCALS: Final = 60
_LONGEST: Final = 2_000
_LARGEST_DUMP: Final = 16 * 1024 * 1024
_FAILURES: Final = 3
"""Looks in a row that may fail: a program changes while it is read."""
_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
_NO_VARIABLE: Final = ""
_LIBRARIES: Final = ("site-packages", "dist-packages", "lib/python")


def py_spy() -> str:
    """Return the program that looks.

    Raises:
        MissingExtra: it is not installed.
    """
    beside = shutil.which("py-spy", path=sysconfig.get_path("scripts") or str(Path(sys.executable).parent))
    found = beside or shutil.which("py-spy")
    if found is None:
        raise MissingExtra("--sample needs py-spy; run `pip install 'unspool[sample]'`")
    return found


def look(program: str, pid: int, watch: Collection[str] = ()) -> tuple[dict[str, Value], SourceLine | None]:
    """Return what the threads of a process are in: an atom a thread, functions outermost first, variables by name.

    Args:
        program: see `py_spy`.
        pid: the process.
        watch: names of variables; all when there are none.

    Returns:
        The state, and the line that the main thread is in.

    Raises:
        NotInjected: it cannot be looked at.
    """
    command = [program, "dump", "--pid", str(pid), "--json", "--locals", "--locals", "--full-filenames"]
    remedy = "run unspool as its user, or as root"
    try:
        done = subprocess.run(command, capture_output=True, timeout=_DUMP_S, check=False)
        threads = json.loads(done.stdout) if not done.returncode and len(done.stdout) <= _LARGEST_DUMP else None
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise NotInjected(f"process {pid} cannot be looked at ({type(error).__name__}); {remedy}") from None
    if threads is None:
        raise NotInjected(f"process {pid} cannot be looked at ({_reason(done.stderr)}); {remedy}")
    state: dict[str, Value] = {}
    caller = None
    for thread in threads if isinstance(threads, list) else ():
        frames = [frame for frame in thread.get("frames", ()) if _is_of_the_program(str(frame.get("filename")))]
        is_main = thread.get("os_thread_id") == pid
        name = "main thread" if is_main else str(thread.get("thread_name") or f"thread {thread.get('os_thread_id')}")
        state[name] = {_function(frame): _variables(frame, watch) for frame in reversed(frames[:_MOST_FRAMES])}
        if is_main and frames:
            caller = SourceLine(
                str(frames[0].get("filename")), int(frames[0].get("line") or 0), str(frames[0].get("name"))
            )
    return state, caller


def line_of(pid: int) -> str:
    """Return the line of its own code that the main thread of a process is in, such as `svc.py:12`; "" where nobody can tell."""
    try:
        _, caller = look(py_spy(), pid, (_NO_VARIABLE,))
    except (MissingExtra, NotInjected):
        return ""
    return "" if caller is None else f"{Path(caller.file).name}:{caller.line}"


def sample(
    recorder: Recorder, pid: int, every: float, watch: Collection[str], is_over: Callable[[float], bool]
) -> int:
    """Record what a process is in, whenever that is another thing than before.

    Args:
        recorder: takes the entries.
        pid: the process.
        every: seconds between looks.
        watch: see `look`.
        is_over: waits so many seconds, and says whether nobody wants to look any more.

    Returns:
        How many entries were recorded.

    Raises:
        NotInjected: it could not be looked at from the start.
        MissingExtra: see `py_spy`.
    """
    program = py_spy()
    entries = failures = 0
    before: Mapping[str, Value] | None = None
    while failures < _FAILURES:
        try:
            state, caller = look(program, pid, watch)
            failures = 0
            if state != before:
                meta = {} if caller is None else {CALLER: caller.to_meta()}
                action = "" if caller is None else f"in {caller.function}"
                entries += recorder.record(state, action, meta=meta) is not None
                before = state
        except NotInjected:
            failures += 1
            if before is None:
                raise
        if is_over(every) or not Path(f"/proc/{pid}").exists():
            break
    return entries


def _reason(told: bytes) -> str:
    lines = told.decode(errors="replace").strip().splitlines()
    return lines[0].removeprefix("Error: ")[:200] if lines else "it says nothing"


def _is_of_the_program(file: str) -> bool:
    return not file.startswith("<") and not any(part in file for part in _LIBRARIES)


def _function(frame: Mapping[str, Value]) -> str:
    return f"{frame.get('name')} ({Path(str(frame.get('filename'))).name})"


def _variables(frame: Mapping[str, Value], watch: Collection[str]) -> dict[str, Value]:
    found = {}
    for local in (frame.get("locals") or ())[:_MOST_LOCALS]:
        name = str(local.get("name"))
        if not watch or name in watch:
            found[name] = _value(str(local.get("repr")))
    return found


def _value(text: str) -> Value:
    """Return what a text of py-spy stands for, where that is a number, text or short container; otherwise the text."""
    if len(text) > _LONGEST:
        return f"{text[: _LONGEST - 1]}…"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return _ADDRESS.sub("", text)


__all__ = ["look", "py_spy", "sample"]
