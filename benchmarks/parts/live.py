"""What watching costs a program that nobody instrumented: ours against the bare program, hunter, pysnooper, viztracer and `record()`."""

from __future__ import annotations

import itertools
import random
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, get_args

from benchmarks import pythons
from benchmarks.context import Context
from benchmarks.measure import median
from benchmarks.report import Row, absent, against, alone
from benchmarks.watched import PROGRAM, ProgramFailed, Run, Taken
from unspool import Recorder
from unspool.control import ControlClient
from unspool.errors import UnspoolError
from unspool.live import agent_source, attach_text
from unspool.live.attach import Attachment
from unspool.live.host import Host, ProgramListener
from unspool.live.launch import Settle, Wanted

TITLE = "Watching a program that nobody instrumented: processor time in the program, contenders in random order"

_MONITORED: Final = (3, 12)
"""The first Python in which code that nobody watches runs at its own speed."""
_MOST_UNWATCHED, _MOST_WEB, _MOST_ENTRY_US, _MOST_HOST_US, _MOST_LONG_US = 1.05, 1.2, 30.0, 100.0, 50.0
_MOST_ATTACH_S, _MOST_STANDSTILL_MS, _MOST_JUMP_MS = 2.0, 500.0, 50.0
_ROUNDS: Final = 3
_ATTACHMENTS: Final = 10
_JUMPS: Final = 20
_RECORDS: Final = 4_990
"""Each is two objects; one list is recorded up to its item 5,000."""
_BARE: Final = "the bare program"
_AT: Final = "ours at {}"
_OURS: Final[dict[str, Settle]] = {_AT.format(settle): settle for settle in get_args(Settle) if settle != "line"}
_TOOLS: Final = {
    "hunter, no-op": "hunter_quiet",
    "hunter, VarsPrinter": "hunter_printer",
    "pysnooper": "pysnooper",
    "viztracer": "viztracer",
    "record()": "by_hand",
}
_FEWER: Final = {"hunter, no-op": 10, "hunter, VarsPrinter": 100, "pysnooper": 100, "record()": 20}
"""Contenders that take so long that they do the work less often, by how much less."""


@dataclass(frozen=True, slots=True)
class _Work:
    """A workload.

    Attributes:
        title: what it is.
        turns: how often it is done by contenders that cost little.
        is_watched: it touches what is watched.
        watched_turns: how often it is done under an agent, where each turn makes an entry.
    """

    title: str
    turns: int
    is_watched: bool = False
    watched_turns: int = 0


_WORKS: Final = {
    "hot": _Work("stores into a hot dict", 200_000, is_watched=True, watched_turns=3_000),
    "web": _Work("web-like request", 2_000, is_watched=True, watched_turns=2_000),
    "attribute": _Work("unwatched attributes", 3_000_000),
    "matrix": _Work("unwatched matrices", 1_200),
    "pure": _Work("unwatched calls", 12_000),
}


def run(context: Context) -> list[Row]:
    """Measure under each Python that is installed; a quick run takes the newest alone."""
    found = pythons.pythons()
    versions = [version for version in found if not context.quick or version == max(found, key=_number)]
    rows = [absent(f"Python {version}", "not installed") for version in ("3.12", "3.13") if version not in found]
    for version in versions:
        rows += _against_others(context, version)
        rows += _entries(context, version)
        rows += _attaching(context, version)
        rows += _jumping(context, version)
    return rows


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _has_monitoring(version: str) -> bool:
    return _number(version) >= _MONITORED


_names = itertools.count()


def _file(context: Context) -> Path:
    return context.folder / f"watched-{next(_names)}.unspool"


def _against_others(context: Context, version: str) -> list[Row]:
    """Run each workload under each contender, in rounds of random order."""
    rows: list[Row] = []
    chance = random.Random(1)
    for name, work in _WORKS.items():
        taken: dict[str, list[Taken]] = defaultdict(list)
        failed: dict[str, str] = {}
        contenders = _contenders(context, version, name, work)
        for _ in range(1 if context.quick else _ROUNDS):
            order = list(contenders)
            chance.shuffle(order)
            for contender in order:
                if contender not in failed:
                    try:
                        taken[contender].append(contenders[contender]())
                    except (ProgramFailed, subprocess.TimeoutExpired) as error:
                        failed[contender] = str(error)
        rows += _compared(version, work, taken)
        rows += [absent(f"{version}, {work.title}: {contender}", why) for contender, why in failed.items()]
    return rows


def _contenders(context: Context, version: str, name: str, work: _Work) -> dict[str, Callable[[], Taken]]:
    """Return what runs a workload under each contender."""
    turns = work.turns // 10 if context.quick else work.turns
    ours = Run(name, min(work.watched_turns or turns, turns))
    found: dict[str, Callable[[], Taken]] = {_BARE: partial(Run(name, turns).bare, version)}
    for title, settle in _OURS.items():
        found[title] = partial(_watched, context, version, ours, settle)
    for title, tool in _TOOLS.items():
        if tool != "by_hand" or work.is_watched:
            found[title] = partial(Run(name, max(turns // _FEWER.get(title, 1), 3), tool=tool).bare, version)
    return found


def _watched(context: Context, version: str, run: Run, settle: Settle) -> Taken:
    return run.under_agent(version, _file(context), settle=settle)


def _compared(version: str, work: _Work, taken: dict[str, list[Taken]]) -> Iterator[Row]:
    """Yield rows: ours against the bare program, and ours at each statement against the other tools."""
    cost = {contender: median([one.processor_us for one in runs]) for contender, runs in taken.items()}
    bare = cost.get(_BARE)
    if bare is None:
        return
    for title, settle in _OURS.items():
        if title in cost:
            most = None
            if _has_monitoring(version):
                most = _MOST_UNWATCHED if not work.is_watched else None
                most = _MOST_WEB if work is _WORKS["web"] and settle == "return" else most
            ours = cost[title]
            yield against(
                f"{version}, {work.title}: {title}", ours, bare, "µs", _BARE, most=most, note=_note(taken[title])
            )
    ours = cost.get(_AT.format("statement"), bare)
    for title in _TOOLS:
        if title in cost:
            yield against(f"{version}, {work.title}: ours at statement", ours, cost[title], "µs", title)


def _note(runs: list[Taken]) -> str:
    """Return what a program waits besides, in its own time, for who records it."""
    wall = median([run.wall_us for run in runs])
    return f"{wall:.3g} µs by the clock, {runs[-1].entries:,} entries"


def _entries(context: Context, version: str) -> list[Row]:
    """Measure what one entry costs the program and the recording process, at sizes of the state."""
    rows: list[Row] = []
    turns = 500 if context.quick else 3_000
    for work, size in (("field", 10), ("field", 1_000), ("field", 10_000), ("field", 100_000), ("append", 100_000)):
        what = "one field of a record set" if work == "field" else "one append"
        what = f"{version}, {what} among {size:,} records"
        try:
            bare = Run(work, turns * 10, size).bare(version)
            runs = [
                Run(work, turns, size).under_agent(version, _file(context), settle="statement")
                for _ in range(1 if context.quick else 3)
            ]
        except ProgramFailed as error:
            rows.append(absent(what, str(error)))
            continue
        if runs[0].entries < turns // 2:
            rows.append(absent(what, f"{runs[0].entries} entries of {turns}: {'; '.join(runs[0].said)}"))
            continue
        app = max(median([run.processor_us for run in runs]) - bare.processor_us, 0.0)
        most = (_MOST_LONG_US if size == 100_000 else _MOST_ENTRY_US) if _has_monitoring(version) else None
        rows.append(alone(f"{what}: an entry in the program", app, "µs", most=most))
        if size <= 10_000:
            host = median([run.host_us for run in runs])
            rows.append(alone(f"{what}: an entry in the recording process", host, "µs", most=_MOST_HOST_US))
    if _has_monitoring(version):
        capped = Run("hot", turns * 100).under_agent(version, _file(context), settle="statement", rate=None)
        said = next((line for line in capped.said if "merged" in line), "")
        rows.append(
            alone(
                f"{version}, a hot line, capped: entries a second",
                capped.entries / max(capped.wall_us * capped.turns / 1e6, 0.001),
                "/s",
                note=f"{capped.wall_us:.3g} µs an iteration; said: {said.rpartition('/')[2] or 'nothing'}",
            )
        )
    return rows


@contextmanager
def _service(context: Context, version: str, size: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that changes its store now and then, and waits in between."""
    context.folder.joinpath("service.py").write_text(_SERVICE.format(size=size, folder=str(PROGRAM.parent)))
    command = [pythons.pythons()[version], "service.py"]
    with subprocess.Popen(command, cwd=context.folder, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


_SERVICE: Final = """\
import sys, time
sys.path.insert(0, {folder!r})
from live_program import Store

class Service:
    def __init__(self):
        self.store = Store({size})
        for record in self.store.records:
            record["tags"] = [record["id"]]
        self.turns = 0

SERVICE = Service()

def turn():
    SERVICE.turns += 1
    SERVICE.store.records[SERVICE.turns % {size}]["quantity"] = SERVICE.turns

def serve():
    while True:
        turn()
        time.sleep(0.01)

print("ready", flush=True)
serve()
"""


@contextmanager
def _attached(pid: int, file: Path) -> Iterator[tuple[Host, Attachment, float]]:
    """Attach to the service; yields how many seconds that took."""
    began = time.perf_counter()
    attachment = Attachment(pid)
    with Host(Recorder(file, on_error="raise"), file, ProgramListener(), user=attachment.user) as host:
        agent = host.door.put("agent.py", agent_source())
        config = Wanted(watch=("SERVICE",), settle="return").to_config(
            host.door.place, host.door.token, attachment.folder
        )
        host.start()
        attachment.enter(host, attach_text(str(agent), config))
        attachment.wait(host, lambda _: None, lambda: False)
        yield host, attachment, time.perf_counter() - began
        attachment.leave(host)


def _attaching(context: Context, version: str) -> list[Row]:
    took, stood = [], []
    try:
        with _service(context, version, 100) as process:
            for _ in range(3 if context.quick else _ATTACHMENTS):
                with _attached(process.pid, _file(context)) as (_, attachment, seconds):
                    took.append(seconds)
                    stood.append(attachment.stopped_s * 1000)
    except UnspoolError as error:
        return [absent(f"{version}, attaching", str(error))]
    return [
        alone(f"{version}, attaching, until it is recorded: longest", max(took), "s", most=_MOST_ATTACH_S),
        alone(f"{version}, attaching: the program stands still, longest", max(stood), "ms", most=_MOST_STANDSTILL_MS),
    ]


def _jumping(context: Context, version: str) -> list[Row]:
    """Put a program of 10,000 objects back to entries, and hold what it is then against the recording."""
    what = f"{version}, a jump among 10,000 objects"
    took, wrong = [], []
    file = _file(context)
    try:
        with (
            _service(context, version, _RECORDS) as process,
            _attached(process.pid, file) as (host, _, _),
        ):
            _until(lambda: host.entries > _JUMPS + 2)
            with ControlClient(file) as client:
                for seq in range(2, 4 if context.quick else _JUMPS):
                    began = time.perf_counter()
                    answer = client.jump(seq)
                    took.append((time.perf_counter() - began) * 1000)
                    wrong += [*answer.kept, *answer.refused]
    except (UnspoolError, TimeoutError) as error:
        return [absent(what, str(error))]
    note = f"not put back: {wrong[0]}" if wrong else "all was put back"
    return [alone(f"{what}, from asking to the answer: median", median(took), "ms", most=_MOST_JUMP_MS, note=note)]


def _until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait.

    Raises:
        TimeoutError: it took too long.
    """
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing was recorded within {seconds:g} s")
        time.sleep(0.01)
