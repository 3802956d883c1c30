"""Processes killed while several threads record, and while they fork: nothing whose `record()` returned is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from torture.campaign import Campaign, Outcome, Result
from unspool import Recorder, open_history
from unspool.errors import HistoryLocked, UnspoolError

_TESTS = Path(__file__).parents[1]

PROGRAM = """
import os, random, sys, threading, time
from unspool import Recorder
path, threads, forks, seed, keep = sys.argv[1], *map(int, sys.argv[2:])
recorder = Recorder(path, keep=keep or None, on_error="raise")
gate = threading.Lock()

def work(number):
    for step in range(100_000):
        seq = recorder.record({"thread": number, "step": step, "pad": "x" * (step % 97)}, f"{number}.{step}")
        # One write of fewer than 4096 bytes is never torn apart by another's.
        os.write(1, f"{seq} {number} {step}\\n".encode())

def fork(count):
    for _ in range(count):
        child = os.fork()
        if child == 0:
            # A child that records, leaves in an orderly way or is ended at once: none of it is the parent's.
            recorder.record({"child": True})
            if random.random() < 0.5:
                recorder.close()
            os._exit(0)
        os.waitpid(child, 0)
        time.sleep(0.002)

for number in range(threads):
    threading.Thread(target=work, args=(number,), daemon=True).start()
fork(forks)
time.sleep(100)
"""


class Kills(Campaign):
    """kill -9 after some entries were acknowledged."""

    name = "kills"
    about = "kill -9 of a process that records from several threads and forks; every acknowledged entry is asked for"
    limit_s = 120.0
    memory = 0

    def prepare(self, folder: Path, seed: int) -> int:
        self.seed = seed
        return 10_000

    def run(self, case: int, folder: Path) -> Result:
        rng = random.Random(self.seed * 1_000_003 + case)
        path = folder / "killed.unspool"
        for side in folder.glob("killed*"):
            side.unlink()
        threads, forks, entries = rng.choice((1, 2, 4)), rng.choice((0, 0, 3, 8)), rng.randrange(1, 700)
        seed, keep = rng.randrange(1 << 30), rng.choice((0, 0, 1, 90))
        acknowledged = _killed(path, threads, forks, entries, seed, keep)
        return _judged(path, acknowledged, keep)


def _killed(path: Path, threads: int, forks: int, entries: int, seed: int, keep: int) -> dict[int, tuple[int, int]]:
    """Start the program, kill it after so many entries, and return what it acknowledged: thread and step by number.

    With `keep`, older blocks are dropped until fewer entries than that would be left.
    """
    command = [sys.executable, "-c", PROGRAM, str(path), *map(str, (threads, forks, seed, keep))]
    environment = {**os.environ, "PYTHONPATH": str(_TESTS)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if len(lines) >= entries:
                process.send_signal(signal.SIGKILL)
                break
        lines += process.stdout.read().splitlines()
    found = {}
    for line in lines:
        words = line.split()
        if len(words) == 3 and words[0] != b"None":
            found[int(words[0])] = (int(words[1]), int(words[2]))
    return found


def _judged(path: Path, acknowledged: dict[int, tuple[int, int]], keep: int) -> Result:
    try:
        with open_history(path) as history:
            count = len(history)
            if history.first and (not keep or count - history.first < keep):
                return Result(
                    Outcome.LOST, f"the {history.first} entries before entry {history.first} of {count} are gone"
                )
            for seq, (thread, step) in acknowledged.items():
                if seq >= count:
                    return Result(Outcome.LOST, f"entry {seq} was acknowledged, the file ends at {count}")
                if seq < history.first:
                    continue
                state = history.state(seq)
                if state != {"thread": thread, "step": step, "pad": "x" * (step % 97)}:
                    return Result(Outcome.WRONG, f"entry {seq} reads {state!r:.100}")
        with Recorder(path, on_error="raise") as recorder:
            recorder.record({"after": 1})
        with open_history(path) as history:
            if len(history) != count + 1 or history.state(count) != {"after": 1}:
                return Result(Outcome.LOST, f"a recorder that goes on leaves {len(history)} of {count + 1} entries")
    except (HistoryLocked, UnspoolError) as error:
        return Result(Outcome.LOST, f"the file is of no use afterwards: {error}")
    return Result(Outcome.RIGHT)
