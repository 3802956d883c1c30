"""Twenty recorders on a PostgreSQL that is frozen for ten seconds and killed twice, beside the same into files."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.context import ROOT, Context
from benchmarks.measure import percentile
from benchmarks.report import Row, absent, against, alone
from unspool import open_history

if TYPE_CHECKING:
    from support.postgres_server import Server

TITLE = "Twenty recorders on a PostgreSQL that is frozen for 10 s and killed twice"

_PROCESSES = 4
_RECORDERS = 5
"""In each process."""
_RATE = 10.0
"""Calls a second and recorder."""
_FROZEN_S = 10.0
_MOST_EXCESS_MS = 1.0
_LIMIT_S = 300.0
"""For one process, whatever it waits for."""


def run(context: Context) -> list[Row]:
    """Record, trouble the server meanwhile, and count what arrived."""
    sys.path.append(str(ROOT / "tests"))
    from support.postgres_server import running_server, why_not

    reason = why_not()
    if reason is not None:
        return [absent("recording into PostgreSQL", reason)]
    seconds = max(context.seconds, _FROZEN_S + 10)
    # Sockets allow names of about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="pg") as place, running_server(Path(place)) as server:
        found = _record(context.folder, server, seconds)
        lost, wrong = _missing(server, found)
    return _rows(found, lost, wrong)


def _record(folder: Path, server: Server, seconds: float) -> list[dict[str, Any]]:
    outs = [folder / f"fleet-{number}.json" for number in range(_PROCESSES)]
    trouble = threading.Thread(target=_trouble, args=(server, seconds))
    processes = []
    for number, out in enumerate(outs):
        words = (number * _RECORDERS, _RECORDERS, _RATE, seconds, folder, out)
        command = (sys.executable, "-m", "benchmarks.postgres_fleet", *map(str, words))
        process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, text=True)
        assert process.stdin is not None
        process.stdin.write(server.address() + "\n")
        process.stdin.close()
        processes.append(process)
    trouble.start()
    try:
        for process in processes:
            if process.wait(_LIMIT_S):
                raise subprocess.CalledProcessError(process.returncode, "benchmarks.postgres_fleet")
    finally:
        for process in processes:
            process.kill()
        trouble.join()
    return [json.loads(out.read_text()) for out in outs]


def _trouble(server: Server, seconds: float) -> None:
    """Freeze the server for ten seconds, and kill it twice."""
    rest = (seconds - _FROZEN_S) / 4
    time.sleep(rest)
    server.freeze()
    time.sleep(_FROZEN_S)
    server.thaw()
    for _ in range(2):
        time.sleep(rest)
        server.kill()
        server.start()


def _missing(server: Server, found: list[dict[str, Any]]) -> tuple[int, int]:
    """Return how many entries are not there, and how many are not what was recorded."""
    lost = wrong = 0
    for process, facts in enumerate(found):
        for number in range(process * _RECORDERS, (process + 1) * _RECORDERS):
            with open_history(server.address(history=f"fleet-{number}")) as history:
                lost += abs(facts["entries"] - len(history))
                seen = [history.value(seq, "n") for seq in range(len(history))]
                wrong += sum(n != seq for seq, n in enumerate(seen))
    return lost, wrong


def _rows(found: list[dict[str, Any]], lost: int, wrong: int) -> list[Row]:
    ours = [value * 1000 for facts in found for value in facts["server"]]
    files = [value * 1000 for facts in found for value in facts["file"]]
    name = f"{_PROCESSES * _RECORDERS} recorders in {_PROCESSES} processes, {len(ours):,} calls"
    excess = percentile(ours, 0.999) - percentile(files, 0.999)
    return [
        alone(f"{name}: entries lost or repeated", lost, "", most=0),
        alone(f"{name}: entries that differ", wrong, "", most=0),
        alone(f"{name}: p99.9 of record() beyond that of the same into a file", excess, "ms", most=_MOST_EXCESS_MS),
        against(f"{name}: p50", percentile(ours, 0.5), percentile(files, 0.5), "ms", "file"),
        against(f"{name}: p99", percentile(ours, 0.99), percentile(files, 0.99), "ms", "file"),
        against(f"{name}: p99.9", percentile(ours, 0.999), percentile(files, 0.999), "ms", "file"),
        against(f"{name}: longest", max(ours), max(files), "ms", "file"),
    ]
