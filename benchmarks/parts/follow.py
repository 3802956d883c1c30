"""From a writer's record() to a reader in another process, at 100 entries a second."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.context import ROOT, Context
from benchmarks.loads import many_small_edits
from benchmarks.measure import median, p99
from benchmarks.report import Row, alone
from unspool import Recorder

TITLE = "Writer to reader: record() has returned to the entry being counted in another process, 100 entries/s"

_RATE = 100
_P50_MS, _P99_MS, _CPU_PERCENT = 5.0, 10.0, 3.0
_MANNERS = (("poll", "reader asks every 5 ms"), ("events", "reader waits for file events, as the app does"))


def run(context: Context) -> list[Row]:
    """Measure both ways of following."""
    seconds = min(10.0, context.seconds / 2)
    rows: list[Row] = []
    for manner, title in _MANNERS:
        rows.extend(_one_manner(context.folder / f"live-{manner}.unspool", seconds, manner, title))
    return rows


def _one_manner(path: Path, seconds: float, manner: str, title: str) -> list[Row]:
    states = many_small_edits()
    with Recorder(path, on_error="raise") as recorder:
        recorder.record(next(states))
        command = (sys.executable, "-m", "benchmarks.live_reader", str(path), str(seconds + 1), manner)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as reader:
            assert reader.stdout is not None
            reader.stdout.readline()
            written = []
            due = time.monotonic() + 0.2
            for _ in range(int(seconds * _RATE)):
                time.sleep(max(0.0, due - time.monotonic()))
                seq = recorder.record(next(states))
                written.append((seq or 0, time.monotonic()))
                due += 1 / _RATE
            lines = reader.stdout.read().splitlines()
    lags = _lags(written, [line.split() for line in lines[:-1]])
    _, used, elapsed = lines[-1].split()
    return [
        alone(f"{title}: p50", median(lags), "ms", most=_P50_MS),
        alone(f"{title}: p99", p99(lags), "ms", most=_P99_MS),
        alone(f"{title}: reader's processor time", float(used) / float(elapsed) * 100, "%", most=_CPU_PERCENT),
        alone(f"{title}: entries seen", 100 * len(lags) / len(written), "%", least=100),
    ]


def _lags(written: list[tuple[int, float]], seen: list[list[str]]) -> list[float]:
    """Return the milliseconds from each write to the first look that counted it."""
    looks = [(int(count), float(moment)) for count, moment in seen]
    lags = []
    place = 0
    for seq, moment in written:
        while place < len(looks) and looks[place][0] <= seq:
            place += 1
        if place < len(looks):
            lags.append(max(0.0, looks[place][1] - moment) * 1000)
    return lags
