"""What a campaign is, and how its cases are run: by two processes with a watchdog, in an order that a seed gives."""

from __future__ import annotations

import math
import multiprocessing
import random
import resource
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing.connection import Connection, wait
from pathlib import Path

_LOOK_S = 0.2
_EXAMPLES = 20
"""Failures that are told in full."""


class Outcome(StrEnum):
    """What a case came to, best first; the worst answer of a case counts."""

    RIGHT = "right"
    """Every answer is the true one."""
    TYPED = "typed error"
    """What is not the true answer is an `UnspoolError`, or said to be missing or doubtful."""
    UNKNOWABLE = "unknowable"
    """An answer differs from the truth at a byte that nothing in a file of the first format vouches for."""
    WRONG = "wrong"
    """An answer differs from the truth and nothing says so."""
    LOST = "lost"
    """Something that is still there, or was promised to be, is gone, and nothing says so."""
    UNTYPED = "untyped"
    """A traceback."""
    HANG = "hang"
    """No answer in time."""

    @property
    def is_fine(self) -> bool:
        """Whether it is what unspool promises."""
        return self in (Outcome.RIGHT, Outcome.TYPED, Outcome.UNKNOWABLE)


ORDER = tuple(Outcome)


@dataclass(frozen=True)
class Result:
    """What a case came to.

    Attributes:
        outcome: the worst of its answers.
        told: which answer that was, and how it differs.
    """

    outcome: Outcome
    told: str = ""


class Campaign:
    """A set of cases, told apart by their number.

    Attributes:
        name: what it is called.
        about: what it does, in one line for the table.
        limit_s: seconds that a case may take.
        memory: bytes of address space that its process may have.
        workers: processes that run its cases.
    """

    name = ""
    about = ""
    limit_s = 30.0
    memory = 4 << 30
    workers = 2

    def prepare(self, folder: Path, seed: int) -> int:
        """Make what all cases need, once, and return how many cases there are; raise `Skipped` where none can run."""
        raise NotImplementedError

    def run(self, case: int, folder: Path) -> Result:
        """Run one case in a folder that is this process's own."""
        raise NotImplementedError

    def finish(self) -> Iterator[Result]:
        """Let go of what `prepare` made, and say what became of it, where that is a case too."""
        yield from ()


class Skipped(Exception):
    """The campaign cannot run on this machine; the message says why."""


@dataclass
class Tally:
    """What a campaign came to.

    Attributes:
        name: the campaign.
        total: cases there are.
        counts: cases by outcome.
        examples: failures, as the case's number and what was told.
        seconds: how long it took.
        skipped: why it did not run.
    """

    name: str
    total: int = 0
    counts: Counter[Outcome] = field(default_factory=Counter)
    examples: list[tuple[int, Result]] = field(default_factory=list)
    seconds: float = 0.0
    skipped: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether no case failed."""
        return all(outcome.is_fine for outcome in self.counts)

    def add(self, case: int, result: Result) -> None:
        """Count a case."""
        self.counts[result.outcome] += 1
        if not result.outcome.is_fine and len(self.examples) < _EXAMPLES:
            self.examples.append((case, result))

    def failures(self, seed: int) -> str:
        """Return the failures, each with the command that repeats it."""
        return "\n".join(
            f"  {result.outcome}: {result.told}\n    python -m torture {self.name} --seed {seed} --case {case}"
            for case, result in self.examples
        )


def worst(results: list[Result]) -> Result:
    """Return the worst of several answers."""
    return max(results, key=lambda one: ORDER.index(one.outcome), default=Result(Outcome.RIGHT))


def run_campaign(
    campaign: Campaign, folder: Path, *, seed: int, seconds: float, most: int | None = None, only: int | None = None
) -> Tally:
    """Run as many cases as there is time for, spread evenly over all of them.

    Args:
        campaign: what to run.
        folder: an empty folder.
        seed: gives the cases and their order.
        seconds: begin no case after that.
        most: cases at most.
        only: run this case alone, in this process.
    """
    tally = Tally(campaign.name)
    begun = time.monotonic()
    try:
        tally.total = campaign.prepare(folder, seed)
    except Skipped as reason:
        tally.skipped = str(reason)
        return tally
    if only is not None:
        tally.add(only, _run_one(campaign, only, _own(folder, 0)))
    else:
        numbers = list(_spread(tally.total, seed, most))
        _Pool(campaign, folder, numbers, tally, begun + seconds).run()
    for result in campaign.finish():
        tally.add(-1, result)
    tally.seconds = time.monotonic() - begun
    return tally


def _spread(total: int, seed: int, most: int | None) -> Iterator[int]:
    """Yield each number below `total` once, neighbours far apart, so that any first part is a fair sample."""
    if not total:
        return
    step = max(1, int(total * 0.6180339887))
    while math.gcd(step, total) != 1:
        step += 1
    place = random.Random(seed).randrange(total)
    for _ in range(total if most is None else min(most, total)):
        yield place
        place = (place + step) % total


def _own(folder: Path, worker: int) -> Path:
    own = folder / f"worker{worker}"
    own.mkdir(exist_ok=True)
    return own


def _run_one(campaign: Campaign, case: int, folder: Path) -> Result:
    try:
        return campaign.run(case, folder)
    except MemoryError:
        return Result(Outcome.UNTYPED, f"case {case} of {campaign.name}: MemoryError")
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what the case came to
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        return Result(Outcome.UNTYPED, f"{type(error).__name__}: {str(error)[:300]} ({where})")


def _work(campaign: Campaign, folder: Path, cases: list[int], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if campaign.memory:
        resource.setrlimit(resource.RLIMIT_AS, (campaign.memory, campaign.memory))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in cases:
            pipe.send((case, None))
            pipe.send((case, _run_one(campaign, case, folder)))
    pipe.send(None)


class _Worker:
    """A process that runs cases, and when it began the one it is at."""

    def __init__(self, campaign: Campaign, folder: Path, cases: list[int]) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe(duplex=False)
        self.cases = cases
        self.done = 0
        self.folder = folder
        self.process = context.Process(target=_work, args=(campaign, folder, cases, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.began: float | None = None

    def end(self) -> None:
        """Stop it, whatever it is doing."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class _Pool:
    """Runs a campaign's cases in several processes; one that hangs or dies is replaced behind the case it was at."""

    def __init__(self, campaign: Campaign, folder: Path, cases: list[int], tally: Tally, deadline: float) -> None:
        self._campaign = campaign
        self._tally = tally
        self._deadline = deadline
        shares = [cases[number :: campaign.workers] for number in range(campaign.workers)]
        self._workers = [_Worker(campaign, _own(folder, n), share) for n, share in enumerate(shares) if share]

    def run(self) -> None:
        """Return when all cases are done or the time is up."""
        try:
            while self._workers and time.monotonic() < self._deadline:
                ready = wait([worker.pipe for worker in self._workers], _LOOK_S)
                for worker in list(self._workers):
                    if worker.pipe in ready:
                        self._hear(worker)
                    elif worker.began is not None and time.monotonic() - worker.began > self._campaign.limit_s:
                        told = f"no answer in {self._campaign.limit_s:g} s"
                        self._replace(worker, Result(Outcome.HANG, told))
        finally:
            for worker in self._workers:
                worker.end()

    def _hear(self, worker: _Worker) -> None:
        try:
            said = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            self._replace(worker, Result(Outcome.UNTYPED, f"the process died ({worker.process.exitcode})"))
            return
        if said is None:
            worker.process.join()
            worker.pipe.close()
            self._workers.remove(worker)
            return
        case, result = said
        if result is None:
            worker.began = time.monotonic()
            return
        worker.began = None
        worker.done += 1
        self._tally.add(case, result)

    def _replace(self, worker: _Worker, result: Result) -> None:
        worker.end()
        self._workers.remove(worker)
        if worker.done < len(worker.cases):
            self._tally.add(worker.cases[worker.done], result)
        rest = worker.cases[worker.done + 1 :]
        if rest:
            self._workers.append(_Worker(self._campaign, worker.folder, rest))


def table(tallies: list[Tally]) -> str:
    """Return what campaigns came to, as a Markdown table."""
    lines = [
        "| Campaign | Cases | " + " | ".join(ORDER) + " |",
        "|---|--:|" + "--:|" * len(ORDER),
    ]
    for tally in tallies:
        if tally.skipped:
            lines.append(f"| {tally.name} | skipped: {tally.skipped} |" + " |" * len(ORDER))
            continue
        ran = sum(tally.counts.values())
        cells = " | ".join(f"{tally.counts[outcome]:,}" for outcome in ORDER)
        lines.append(f"| {tally.name} | {ran:,} of {tally.total:,} | {cells} |")
    return "\n".join(lines)
