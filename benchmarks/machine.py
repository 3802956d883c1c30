"""What a run was made on, read when it is made."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import subprocess
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "msgspec", "ormsgpack", "orjson", "zstandard", "deepdiff", "jsonpatch", "bsdiff4", "mercurial", "textual",
    "watchdog", "libcst",
)  # fmt: skip


def facts() -> dict[str, str]:
    """Return the machine's class and the versions of everything that was measured."""
    found = {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "git": _git_version(),
    }
    return found | {name: _version(name) for name in _PACKAGES}


def load_average() -> str:
    """Return how many processes wanted to run in the last minute; more than there are cores disturbs a run."""
    return f"{os.getloadavg()[0]:.1f}"


def _cpu_model() -> str:
    found = re.search(r"model name\s*:\s*(.+)", _read("/proc/cpuinfo"))
    return found[1] if found else platform.processor() or "unknown"


def _memory() -> str:
    found = re.search(r"MemTotal:\s+(\d+)", _read("/proc/meminfo"))
    return f"{int(found[1]) / (1 << 20):.0f} GiB" if found else "unknown"


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _git_version() -> str:
    if shutil.which("git") is None:
        return "absent"
    done = subprocess.run(("git", "--version"), check=True, capture_output=True, text=True)
    return done.stdout.split()[2]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
