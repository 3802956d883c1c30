"""Attaching to a running program: the agent is brought in, and leaves without a trace."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from unspool.live.host import Host
from unspool.live.inject import Injection, NotInjected
from unspool.live.processes import check, check_python, user_of, waits_in
from unspool.live.sampling import line_of

_REMOTE: Final = (3, 14)
"""The first version that brings a way in of its own."""
_REMOTE_CODE: Final = "import sys; sys.remote_exec(int(sys.argv[1]), sys.argv[2])"
_REMOTE_S: Final = 20.0
_LOOK_S: Final = 0.25
_SAY_AFTER: Final = 4
"""Looks after which it is said what is waited for."""


class Attachment:
    """An agent on its way into a program, or in it.

    Attributes:
        stopped_s: how long the program's main thread stood still for it.
    """

    def __init__(self, pid: int) -> None:
        """Look at a process; nothing is done to it yet.

        Raises:
            NotInjected: it cannot be attached to; the message says why, and what to do.
        """
        check(pid)
        self._pid = pid
        self.user = user_of(pid)
        self._library, self._version = check_python(pid)
        self._injection: Injection | None = None
        self.stopped_s = 0.0

    @property
    def folder(self) -> Path:
        """The current folder of the program, where its own code is most likely."""
        with suppress(OSError):
            return Path(f"/proc/{self._pid}/cwd").readlink()
        return Path("/")

    def enter(self, host: Host, line: str) -> None:
        """Have the program load the agent as soon as its main thread runs Python.

        Args:
            host: waits for it.
            line: the line of Python that loads it.

        Raises:
            NotInjected: the program cannot be reached into.
        """
        if self._version >= _REMOTE:
            run_remotely(Path(f"/proc/{self._pid}/exe"), self._pid, host.door.put("line.py", line))
            return
        self._injection = Injection(self._pid, self._library, line)
        self.stopped_s = self._injection.stopped_s

    def wait(self, host: Host, say: Callable[[str], None], is_over: Callable[[], bool]) -> bool:
        """Return when the agent is in, saying what is waited for.

        Args:
            host: knows.
            say: is told what the program is in, whenever that is another thing than before.
            is_over: whether nobody wants to wait any more.

        Returns:
            Whether it is in.

        Raises:
            NotInjected: the process ended, or the agent could not begin.
        """
        said = ""
        looks = 0
        while not host.wait_for_agent(_LOOK_S):
            if host.failure is not None:
                raise NotInjected(str(host.failure))
            if not Path(f"/proc/{self._pid}").exists():
                raise NotInjected(f"process {self._pid} ended meanwhile")
            if is_over():
                return False
            looks += 1
            where = waits_in(self._pid)
            if looks >= _SAY_AFTER and where and where != said:
                said = where
                line = line_of(self._pid)
                say(f"waiting: the main thread of {self._pid} is in {where}{f', {line}' if line else ''}")
        return True

    def leave(self, host: Host) -> None:
        """Have the agent leave, and free what brought it in."""
        host.detach()
        # Before the agent was in, its line may still be waiting there.
        if self._injection is not None and host.program is not None:
            self._injection.remove()
            self._injection = None


def run_remotely(python: Path, pid: int, file: Path) -> None:
    """Have a process of Python 3.14 or newer run a file, by the way that it brings for that.

    Args:
        python: an interpreter of the same version.
        pid: the process.
        file: what it is to run.

    Raises:
        NotInjected: it refuses.
    """
    command = [str(python), "-I", "-S", "-c", _REMOTE_CODE, str(pid), str(file)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_REMOTE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInjected(
            f"process {pid} cannot be reached ({type(error).__name__}); start it with `unspool run`"
        ) from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise NotInjected(f"process {pid} refuses: {reason}; start it with `unspool run`")


__all__ = ["Attachment", "run_remotely"]
