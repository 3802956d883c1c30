"""Which running programs can be attached to, and why not the others: looked up in `/proc`, without touching them."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unspool.live.inject import Library, NotInjected

OLDEST: Final = (3, 11)
"""The oldest Python that an agent runs in."""
_MOST_LISTED: Final = 200
_SECCOMP_FILTER: Final = "2"
_CALLS: Final = {
    "0": "read", "1": "write", "7": "poll", "23": "select", "35": "nanosleep", "42": "connect", "43": "accept", "45": "recvfrom",
    "47": "recvmsg", "61": "wait4", "202": "futex (a lock)", "230": "time.sleep", "232": "epoll_wait", "247": "waitid",
    "270": "select", "271": "poll", "281": "epoll_wait", "288": "accept",
}  # fmt: skip
"""System calls, by number on x86-64, that programs wait in."""
_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A running Python program.

    Attributes:
        pid: its number.
        command: its command line, cut.
        python: version of its interpreter; "" where that cannot be read.
        refusal: why it cannot be attached to, and what to do; "" where it can.
    """

    pid: int
    command: str
    python: str
    refusal: str


def user_of(pid: int, proc: Path = _PROC) -> int:
    """Return whose process it is.

    Raises:
        NotInjected: there is none.
    """
    return int(_status(pid, proc)["Uid"].split()[0])


def check(pid: int, proc: Path = _PROC) -> None:
    """Refuse a process that cannot be attached to, before anything is done to it.

    Args:
        pid: the process.
        proc: where the kernel tells of processes.

    Raises:
        NotInjected: why, and what to do, in a line.
    """
    if not sys.platform.startswith("linux"):
        raise NotInjected("a running program can be attached to on Linux only; start it with `unspool run`")
    status = _status(pid, proc)
    for refuse in (_ours, _alive, _permitted, _same_container, _unfiltered):
        refuse(pid, status, proc)


def check_python(pid: int) -> tuple[Library, tuple[int, int]]:
    """Return the interpreter of a process and its version.

    Raises:
        NotInjected: it has none that an agent runs in.
    """
    library = Library(pid)
    version = library.version(pid)
    if version < OLDEST:
        raise NotInjected(f"process {pid} runs a Python older than 3.11; run it under 3.11 or newer")
    return library, version


def _status(pid: int, proc: Path) -> dict[str, str]:
    try:
        lines = (proc / str(pid) / "status").read_text(errors="replace").splitlines()
    except OSError:
        raise NotInjected(f"there is no process {pid}; `unspool attach` alone lists those there are") from None
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _ours(pid: int, status: dict[str, str], _: Path) -> None:
    if pid == os.getpid():
        raise NotInjected("this is unspool itself; name another process")
    users = set(status["Uid"].split())
    if os.geteuid() != 0 and users != {str(os.geteuid())}:
        raise NotInjected(
            f"process {pid} belongs to user {status['Uid'].split()[0]}; run unspool as that user, or as root"
        )


def _alive(pid: int, status: dict[str, str], _: Path) -> None:
    state = status["State"][:1]
    if state in ("Z", "X"):
        raise NotInjected(f"process {pid} has ended already")
    if state == "T":
        raise NotInjected(f"process {pid} is stopped; let it go on first: kill -CONT {pid}")
    tracer = status.get("TracerPid", "0")
    if state == "t" or tracer != "0":
        raise NotInjected(f"process {pid} is being debugged by process {tracer}; end that first")


def _permitted(pid: int, status: dict[str, str], proc: Path) -> None:
    if os.geteuid() == 0:
        return
    try:
        scope = (proc / "sys/kernel/yama/ptrace_scope").read_text().strip()
    except OSError:
        return
    if scope == "0" or (scope == "1" and _descends_from_us(pid, proc)):
        return
    remedy = "sudo sysctl kernel.yama.ptrace_scope=0" if scope == "1" else "run unspool as root"
    if scope == "3":
        remedy = "start the program with `unspool run`"
    raise NotInjected(
        f"this system lets no program reach into another (kernel.yama.ptrace_scope is {scope}); {remedy}"
    )


def _descends_from_us(pid: int, proc: Path) -> bool:
    seen: set[int] = set()
    while pid > 1 and pid not in seen:
        if pid == os.getpid():
            return True
        seen.add(pid)
        try:
            pid = int(_status(pid, proc)["PPid"])
        except (NotInjected, KeyError, ValueError):
            return False
    return False


def _same_container(pid: int, _: dict[str, str], proc: Path) -> None:
    for space in ("pid", "mnt"):
        try:
            other, own = (proc / str(pid) / "ns" / space).readlink(), (proc / "self" / "ns" / space).readlink()
        except OSError:
            raise NotInjected(f"process {pid} cannot be looked into; run unspool as its user, or as root") from None
        if other != own:
            raise NotInjected(f"process {pid} runs in a container; run unspool inside of it, as with docker exec")


def _unfiltered(pid: int, status: dict[str, str], _: Path) -> None:
    if status.get("Seccomp") == _SECCOMP_FILTER:
        raise NotInjected(
            f"process {pid} is confined (seccomp): a call that its filter does not know would end it; look at it with --sample"
        )


def processes() -> list[Process]:
    """Return the running Python programs, newest first, and which of them can be attached to."""
    found = []
    for pid in sorted(_pids(), reverse=True):
        command = _command(pid)
        if not command or not _may_be_python(pid):
            continue
        version, refusal = "", ""
        try:
            check(pid)
            _, number = check_python(pid)
            version = ".".join(map(str, number))
        except NotInjected as error:
            refusal = str(error)
        except OSError:
            refusal = f"process {pid} cannot be looked into; run unspool as its user, or as root"
        found.append(Process(pid, command, version, refusal))
        if len(found) == _MOST_LISTED:
            break
    return found


def _pids() -> Iterator[int]:
    for item in os.scandir(_PROC):
        if item.name.isdigit() and int(item.name) not in (os.getpid(), os.getppid()):
            yield int(item.name)


def _command(pid: int) -> str:
    """Return the command line of a process in one line; "" where it has none, or it is none of our business."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes()[:4096].split(b"\0")
    except OSError:
        return ""
    return " ".join(word.decode(errors="replace") for word in words if word)


def _may_be_python(pid: int) -> bool:
    with suppress(OSError):
        if (_PROC / str(pid) / "exe").readlink().name.startswith("python"):
            return True
        return "libpython" in (_PROC / str(pid) / "maps").read_text(errors="replace")
    # Of another user: its name alone says so.
    with suppress(OSError):
        return (_PROC / str(pid) / "comm").read_text(errors="replace").startswith("python")
    return False


def waits_in(pid: int) -> str:
    """Return what the main thread of a process is in, as far as that can be told from outside; "" where it cannot."""
    try:
        call = (_PROC / str(pid) / "task" / str(pid) / "syscall").read_text().split()
    except OSError:
        return ""
    if not call or call[0] == "running":
        return "code that runs no Python" if call else ""
    name = _CALLS.get(call[0]) if platform.machine() == "x86_64" else None
    return name or f"system call {call[0]}"


__all__ = ["OLDEST", "Process", "check", "check_python", "processes", "user_of", "waits_in"]
