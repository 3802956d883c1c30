"""Memory and processor time of processes, read from /proc."""

from __future__ import annotations

import os
import re
from pathlib import Path


def resident_mb(pid: int | str = "self") -> float:
    """Return the resident memory of a process now; 0 where there is no /proc."""
    return _status_kb(pid, "VmRSS") / 1024


def peak_resident_mb(pid: int | str = "self") -> float:
    """Return the largest resident memory of a process so far; 0 where there is no /proc."""
    return _status_kb(pid, "VmHWM") / 1024


def _status_kb(pid: int | str, field: str) -> int:
    try:
        found = re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def processor_seconds(pid: int) -> float:
    """Return the processor time that all threads of a process have taken."""
    total = 0
    for thread in _threads(pid):
        try:
            total += int((thread / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total / 1e9


def wake_ups(pid: int) -> int:
    """Return how often the threads of a process have gone to sleep by their own will."""
    total = 0
    for thread in _threads(pid):
        try:
            found = re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", (thread / "status").read_text())
        except OSError:
            continue
        total += int(found.group(1)) if found else 0
    return total


def _threads(pid: int) -> list[Path]:
    folder = Path(f"/proc/{pid}/task")
    try:
        return [folder / name for name in os.listdir(folder)]
    except OSError:
        return []
