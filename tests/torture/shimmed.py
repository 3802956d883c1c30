"""A process whose calls of the system go through `shim.c`: it runs scenarios in children, logged or with a fault.

The shim was chosen over a VFS of SQLite's own: it sees what every part of unspool writes, renames and forces to disk, not only
what SQLite does, and the program under test runs unchanged.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from support.open_files import descriptors
from torture.campaign import Outcome, Result, Skipped
from unspool.errors import UnspoolError

_SOURCE = Path(__file__).with_name("shim.c")
_TESTS = Path(__file__).parents[1]
ACKS = ".acks"
"""The file in which scenarios say what is done; what is written to it is in the log as well."""


def compiled(folder: Path) -> Path:
    """Compile the shim.

    Raises:
        Skipped: this machine cannot; the message says why.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not sys.platform.startswith("linux") or compiler is None:
        raise Skipped("no C compiler on a Linux: calls of the system cannot be stood between")
    out = folder / "shim.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(out), str(_SOURCE), "-ldl", "-lpthread"]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise Skipped(f"the shim does not compile here: {ran.stderr.splitlines()[0] if ran.stderr else ''}")
    return out


class Server:
    """The other side of `main`: asks for scenarios one after the other."""

    def __init__(self, shim: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "torture.shimmed"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": str(_TESTS), "HOME": str(shim.parent)},
        )

    def run(self, **order: Any) -> dict[str, Any]:
        """Run a scenario and return what came of it; see `_child`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError("the shimmed process ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Read orders, one a line, and run each in a child of its own."""
    _die_with_parent()
    # Everything is imported before the first fault.
    from torture import scenarios  # noqa: F401

    for line in sys.stdin:
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reads)
            _die_with_parent()
            found = _child(json.loads(line))
            os.write(writes, json.dumps(found).encode())
            os._exit(0)
        os.close(writes)
        with os.fdopen(reads, "rb") as stream:
            said = stream.read()
        _, status = os.waitpid(child, 0)
        told = said.decode() if said else json.dumps({"outcome": "untyped", "told": f"the child died ({status})"})
        print(told, flush=True)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _child(order: dict[str, Any]) -> dict[str, Any]:
    """Run a scenario and say what came of it.

    Args:
        order: `scenario`, `folder`, and `log` (a file to write the log to) or `at`, `error`, `stays`, `short` for a fault.
    """
    from torture.scenarios import SCENARIOS

    shim = ctypes.CDLL(None)
    scenario, folder = SCENARIOS[order["scenario"]], Path(order["folder"])
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    log = os.open(order["log"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC) if "log" in order else -1
    acks = os.open(folder / ACKS, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    said: list[str] = []

    def ack(text: str) -> None:
        said.append(text)
        if log >= 0:
            os.write(acks, f"{text}\n".encode())

    before = descriptors()
    result = Result(Outcome.RIGHT)
    shim.unspool_shim_arm(
        str(folder).encode(), log, ctypes.c_long(order.get("at", -1)), order.get("error", 0),
        int(order.get("stays", False)), int(order.get("short", False)),
    )  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scenario.act(folder, ack)
    except UnspoolError as error:
        result = Result(Outcome.TYPED, str(error))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what the case came to
        result = Result(Outcome.UNTYPED, f"{type(error).__name__}: {error} {_place(error)}")
    shim.unspool_shim_calls.restype = ctypes.c_long
    calls = shim.unspool_shim_calls()
    shim.unspool_shim_disarm()
    os.close(acks)
    left = sorted(Path(leads).name for _, leads in descriptors() - before if leads.startswith(str(folder)))
    return {"outcome": str(result.outcome), "told": result.told, "acks": said, "calls": calls, "left": left}


def _place(error: BaseException) -> str:
    return " < ".join(
        f"{Path(one.filename).name}:{one.lineno}" for one in reversed(traceback.extract_tb(error.__traceback__)[-3:])
    )


ERRORS = {"full": errno.ENOSPC, "failing": errno.EIO}

if __name__ == "__main__":
    main()
