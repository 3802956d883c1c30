"""A program as it meets Windows: our modules, and only ours, see no names that Windows does not have.

Run as `python -m support.windows_names -m unspool_tui.cli ARGUMENTS`. What Windows does itself (mandatory locks, names that cannot be
removed while a file is open) is not imitated.
"""

from __future__ import annotations

import builtins
import fcntl
import os
import runpy
import signal
import socket
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any, Final

MISSING_MODULES: Final = ("fcntl", "termios", "pty", "tty", "resource", "pwd", "grp", "syslog")
MISSING_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "os": (
        "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_DIRECTORY", "O_NOCTTY", "fchmod", "fchown", "chown", "getuid", "geteuid",
        "getgid", "getegid", "fork", "forkpty", "register_at_fork", "killpg", "setsid", "getpgid", "getpgrp", "tcgetpgrp",
        "mkfifo", "sysconf", "posix_fadvise", "posix_fallocate", "wait3", "wait4", "sched_getaffinity", "pread", "pwrite",
        "preadv", "statvfs", "fdatasync", "pipe2", "WIFEXITED", "WNOHANG", "nice", "uname",
    ),
    "signal": (
        "SIGHUP", "SIGKILL", "SIGQUIT", "SIGWINCH", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGTSTP", "SIGCONT", "SIGPIPE", "SIGTTOU",
        "pthread_kill", "pthread_sigmask", "sigwait", "pause", "setitimer", "alarm",
    ),
    "socket": ("AF_UNIX", "SCM_RIGHTS", "SO_PEERCRED"),
}  # fmt: skip


def _without(module: types.ModuleType, names: Sequence[str]) -> types.ModuleType:
    """Return a module that has everything of another but some names; what is changed in one is changed in the other."""
    missing = frozenset(names)

    class Without(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name in missing:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            return getattr(module, name)

        def __setattr__(self, name: str, value: Any) -> None:
            setattr(module, name, value)

    return Without(module.__name__)


def _locking(descriptor: int, mode: int, size: int) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, size, 0, os.SEEK_CUR)
        # Locks of this kind are the process's; the other kind keeps two holders in one process apart.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise PermissionError(13, "Permission denied") from None


def imitate() -> None:
    """From now on, modules of unspool that are imported meet Windows."""
    proxies = {name: _without(sys.modules[name], missing) for name, missing in MISSING_NAMES.items()}
    proxies["msvcrt"] = types.ModuleType("msvcrt")
    proxies["msvcrt"].__dict__.update(locking=_locking, LK_NBLCK=2, LK_UNLCK=0)
    usual = builtins.__import__

    def imported(
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - named by the interpreter
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        if globals is not None and str(globals.get("__name__", "")).startswith("unspool") and not level:
            if name in MISSING_MODULES:
                raise ImportError(f"No module named {name!r}", name=name)
            if name in proxies:
                return proxies[name]
        return usual(name, globals, locals, fromlist, level)

    builtins.__import__ = imported
    _ = (signal, socket)


if __name__ == "__main__":
    imitate()
    sys.argv = sys.argv[1:]
    if sys.argv[0] == "-m":
        sys.argv = sys.argv[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
