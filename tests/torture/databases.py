"""A PostgreSQL server that is killed, frozen, stopped, cut off and full while recorders write to it, and are killed themselves."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import quote

from support.cut_proxy import CutProxy, cut_proxy
from support.postgres_server import PASSWORD, Server, running_server, why_not
from support.waiting import wait_until
from torture.campaign import Campaign, Outcome, Result, Skipped
from unspool import Recorder, open_history
from unspool.errors import UnspoolError

_TESTS = Path(__file__).parents[1]
PROGRAM = """
import random, sys, warnings
warnings.simplefilter("ignore")
from unspool import Recorder
recorder = Recorder(sys.argv[1], spool=sys.argv[2], close_timeout=1)
print("ready", flush=True)
for line in sys.stdin:
    word, *numbers = line.split()
    if word == "close":
        recorder.close()
        print("closed", flush=True)
        break
    for n in range(int(numbers[0]), int(numbers[1])):
        if recorder.record({"n": n, "pad": random.Random(n).randbytes(n % 7 * 200).hex()}, f"step {n}") is None:
            print("refused", n, flush=True)
    print("done", flush=True)
"""
STEPS = 10


class _Client:
    """A process that records when it is told to."""

    def __init__(self, address: str, spool: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, address, str(spool)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONPATH": str(_TESTS)},
        )  # fmt: skip
        self._expect("ready")

    def _expect(self, word: str) -> list[str]:
        assert self._process.stdout is not None
        lines = []
        for line in self._process.stdout:
            lines.append(line.strip())
            if lines[-1] == word:
                return lines
        raise AssertionError(f"the recorder ended: {lines}")

    def record(self, start: int, stop: int) -> bool:
        """Record some entries, and say whether all were taken."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"record {start} {stop}\n")
        self._process.stdin.flush()
        return len(self._expect("done")) == 1

    def end(self, *, kill: bool) -> None:
        """Close the recorder, or kill it."""
        if kill:
            self._process.send_signal(signal.SIGKILL)
        else:
            assert self._process.stdin is not None
            self._process.stdin.write("close\n")
            self._process.stdin.flush()
            self._expect("closed")
        self._process.communicate()


class _SmallDisk:
    """A small file system of its own for a database, which can be filled up to the last byte."""

    def __init__(self, folder: Path, server: Server) -> None:
        """Mount it.

        Raises:
            OSError, subprocess.CalledProcessError: mounting is not allowed here.
        """
        self._folder = folder
        self._filler = folder / "filler"
        folder.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", folder],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        self.place = folder / "tables"
        self.place.mkdir()
        server.give(self.place)

    def fill(self) -> None:
        """Leave no room."""
        with suppress(OSError), self._filler.open("ab") as stream:
            # The server takes some of it meanwhile, and then there is less.
            while True:
                stream.write(bytes(1 << 16))
                stream.flush()

    def empty(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it, whoever still has files of it open."""
        subprocess.run(["umount", "--lazy", self._folder], check=False, stderr=subprocess.DEVNULL)


_DISK_BYTES = 160 << 20


class Databases(Campaign):
    """A recorder, a proxy, a server, and a random row of troubles; in the end every entry is there, once."""

    name = "postgres"
    about = "PostgreSQL killed, frozen, stopped, cut off, full, and the recorder killed in any order; each entry arrives once"
    limit_s = 180.0
    memory = 0
    workers = 1

    def prepare(self, folder: Path, seed: int) -> int:
        reason = why_not()
        if reason is not None:
            raise Skipped(reason)
        self.seed = seed
        self._resources = ExitStack()
        # A socket's name may not be long.
        self._place = Path(tempfile.mkdtemp(prefix="pg"))
        self._server = self._resources.enter_context(running_server(self._place))
        self._disk: _SmallDisk | None = None
        try:
            self._disk = _SmallDisk(self._place / "disk", self._server)
        except (OSError, subprocess.CalledProcessError):
            # Who may not mount has the other ways in which a database takes nothing any more.
            self._database = self._server.new_database()
        else:
            self._resources.callback(self._disk.close)
            self._database = self._server.new_database(self._disk.place)
        self._socket = self._place / ".s.PGSQL.5432"
        # A file, since the process that runs the cases may be replaced.
        self._state = folder / "state"
        self._state.write_text("well")
        return 10_000

    def run(self, case: int, folder: Path) -> Result:
        rng = random.Random(self.seed * 1_000_003 + case)
        spool = folder / f"spool{case}"
        troubles: list[str] = []
        with cut_proxy(self._socket) as proxy:
            place = f"127.0.0.1:{proxy.port}"
            address = f"postgresql://ada:{quote(PASSWORD, safe='')}@{place}/{self._database}?history=case{case}"
            try:
                result = self._troubled(address, spool, proxy, rng, troubles)
            finally:
                self._restore(proxy, troubles)
                shutil.rmtree(spool, ignore_errors=True)
        return Result(result.outcome, f"{result.told} [{', '.join(troubles)}]")

    def _troubled(
        self, address: str, spool: Path, proxy: CutProxy, rng: random.Random, troubles: list[str]
    ) -> Result:
        client: _Client | None = _Client(address, spool)
        count = 0
        for _ in range(STEPS):
            self._trouble(rng, proxy, troubles)
            if client is None:
                client = _Client(address, spool)
            size = rng.choice((1, 5, 60))
            if not client.record(count, count + size):
                return Result(Outcome.LOST, f"an entry of {count} to {count + size} was refused")
            count += size
            if rng.random() < 0.25:
                kill = rng.random() < 0.6
                troubles.append("recorder killed" if kill else "recorder closed")
                client.end(kill=kill)
                client = None
        if client is not None:
            client.end(kill=rng.random() < 0.5)
        self._restore(proxy, troubles)
        return _arrived(address, spool, count)

    def _trouble(self, rng: random.Random, proxy: CutProxy, troubles: list[str]) -> None:
        full = () if self._disk is None else ("full",)
        kind = rng.choice(("none", "killed", "frozen", "stopped", "cut", "held", "well", "read-only", *full))
        if kind not in ("none", "cut", "held"):
            self._restore(proxy, troubles)
        if kind == "killed":
            self._server.kill()
            self._server.start()
        elif kind == "stopped":
            self._server.stop()
            self._state.write_text(kind)
        elif kind == "frozen":
            self._server.freeze()
            self._state.write_text(kind)
        elif kind == "read-only":
            self._state.write_text(kind)
            self._server.take_writes(False)
        elif kind == "full" and self._disk is not None:
            self._state.write_text(kind)
            self._disk.fill()
        elif kind == "cut":
            proxy.allowance = rng.randrange(3000)
        elif kind == "held":
            proxy.held.set()
        troubles.append(kind)

    def _restore(self, proxy: CutProxy, troubles: list[str]) -> None:
        """Let server and network work again."""
        proxy.allowance = None
        proxy.held.clear()
        self._make_well()
        troubles.append("restored")

    def _make_well(self) -> None:
        state = self._state.read_text()
        if state == "stopped":
            self._server.start()
        elif state == "frozen":
            self._server.thaw()
        elif state == "read-only":
            self._server.take_writes(True)
        elif state == "full" and self._disk is not None:
            self._disk.empty()
        self._state.write_text("well")

    def finish(self) -> Iterator[Result]:
        self._make_well()
        self._resources.close()
        shutil.rmtree(self._place, ignore_errors=True)
        yield from ()


def _arrived(address: str, spool: Path, count: int) -> Result:
    """Ship what waits, and say whether each entry is there once, in order."""

    def is_all_there() -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with Recorder(address, spool=spool, on_error="raise", close_timeout=20):
                    pass
                with open_history(address) as history:
                    return len(history) >= count
            except UnspoolError:
                # The server may still be setting itself right after a crash.
                return False

    try:
        wait_until(is_all_there, "all entries")
    except AssertionError:
        return Result(Outcome.LOST, f"not all of {count} entries arrived")
    with open_history(address) as history:
        numbers = [history.state(seq)["n"] for seq in range(len(history))]
    if numbers != list(range(count)):
        return Result(Outcome.WRONG, f"{len(numbers)} entries of {count}, first wrong one {_first_wrong(numbers)}")
    return Result(Outcome.RIGHT)


def _first_wrong(numbers: list[object]) -> int:
    return next((place for place, number in enumerate(numbers) if place != number), len(numbers))
