"""What two trees are compared by: pieces of every part, each repeatable in one process, run with the engine of a tree.

    python pair_tasks.py FOLDER

reads commands from its standard input, a JSON array a line, and answers each with a JSON line: `["names"]` gives the
names of all tasks, `["run", NAME, REPEATS]` the processor seconds that so many repeats took, all threads counted.
Names of an engine that other trees may spell otherwise come from that tree's own `benchmarks`.
"""

from __future__ import annotations

import copy
import gc
import itertools
import json
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import compression_load, events_load, many, questions, regions_load, snapshots_load
from benchmarks.context import record_load
from benchmarks.loads import Load, State, synthetic_loads
from benchmarks.parts import capture, delta, formats, size
from benchmarks.questions import FileStore, History, TextQuery
from benchmarks.sampling import pairs
from unspool import Recorder, open_history

Work = Callable[[], object]
Prepare = Callable[["Place"], Work]

_ENTRIES: Final = 20_000
_FLIP_ENTRIES: Final = 2_000
_STATES: Final = 40
_READS: Final = 20
_PREPARE: dict[str, Prepare] = {}


class _Fresh:
    """Work on what is made anew each time, before the clock starts."""

    def __init__(self, ready: Callable[[], Work]) -> None:
        self.ready = ready

    def __call__(self) -> None:
        self.ready()()


class Place:
    """A folder with the files that tasks read, each made once by the tree that reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()

    def load(self, name: str) -> Load:
        """Return a load, cut to what a comparison needs."""
        return next(load for load in synthetic_loads(quick=True) if load.name == name)

    def recorded(self, name: str) -> Path:
        """Return a load, recorded."""
        return self.kept(f"{name}.unspool", lambda path: record_load(self.load(name).states(), path))

    def many(self) -> Path:
        """Return a history of many entries."""
        return self.kept("many.unspool", lambda path: many.record_many(path, _ENTRIES))

    def kept(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return a file that is made by whoever needs it first."""
        path = self.folder / name
        if not path.exists():
            part = self.folder / f"part-{name}"
            make(part)
            part.rename(path)
        return path

    def new(self) -> Path:
        """Return the path of a file that is not there yet."""
        return self.folder / f"new-{next(self._numbers)}.unspool"


def _task(name: str) -> Callable[[Prepare], Prepare]:
    def keep(prepare: Prepare) -> Prepare:
        _PREPARE[name] = prepare
        return prepare

    return keep


def prepared_tasks() -> dict[str, Prepare]:
    """Return what prepares each task, by its name."""
    _add_repeated()
    return _PREPARE


def _add_repeated() -> None:
    """Add the tasks that are the same thing done with several loads or questions."""
    for load in ("S1", "S2", "S3", "S4", "S5"):
        _task(f"record: {load}")(
            lambda place, load=load: _recording(place, _copies(place.load(load).states(_STATES)))
        )
        _task(f"read: {load}, all atoms")(partial(_reading, load=load, lazy=False))
        _task(f"read: {load}, one atom")(partial(_reading, load=load, lazy=True))
        _task(f"step: {load}, forward")(partial(_stepping, load=load, back=False))
        _task(f"step: {load}, back")(partial(_stepping, load=load, back=True))
    for name in ("500 records that all move", "1,000 gauges that all change", "10 of 1,000 records"):
        source, _ = capture._WIDE[name]
        _task(f"capture: {name}")(lambda place, source=source: _recording(place, _copies(source(), 20)))
    for load in ("S1", "S5"):
        for name, question in _QUESTIONS.items():
            _task(f"questions: {load}, {name}")(partial(_asking, load=load, question=question))
    for name, question in _MANY.items():
        _task(f"open: {_ENTRIES:,} entries, {name}")(lambda place, question=question: _fresh(place.many(), question))
    for strategy in compression_load.DeltaStrategy:
        _task(f"seeds: compression, {strategy}, add")(partial(_adding, strategy=strategy))
        _task(f"seeds: compression, {strategy}, read")(partial(_taking, strategy=strategy))
    for name, level, cached in (
        ("rebuilt", "none", False),
        ("rebuilt, light", "light", False),
        ("cached", "none", True),
    ):
        _task(f"seeds: snapshots, {name}")(partial(_snapshots, level=level, cached=cached))


def _copies(states: Iterable[State], limit: int | None = None) -> list[State]:
    return [copy.deepcopy(state) for state in itertools.islice(states, limit)]


def _recording(place: Place, states: Sequence[State]) -> Work:
    """Record states into a new file and close it."""

    def work() -> None:
        path = place.new()
        with Recorder(path, durability="fast", on_error="raise") as recorder:
            for state in states:
                recorder.record(state, "step")
        path.unlink()

    return work


@_task("record: update of one atom")
def _updating(place: Place) -> Work:
    state = {f"atom{at}": ["x" * 1000] * 10 for at in range(100)} | {"cart": {}}
    carts = [{"cart": {"items": list(range(at % 50)), "total": at}} for at in range(60)]

    def work() -> None:
        path = place.new()
        with Recorder(path, durability="fast", on_error="raise") as recorder:
            recorder.record(state)
            for cart in carts:
                recorder.update(cart)
        path.unlink()

    return work


@_task("follow: 50 entries read as they come")
def _following(place: Place) -> Work:
    states = _copies(place.load("S1").states(50))

    def work() -> None:
        path = place.new()
        with Recorder(path, durability="fast", on_error="raise") as recorder:
            recorder.record(states[0])
            recorder.flush()
            with open_history(path) as history:
                for state in states:
                    recorder.record(state)
                    recorder.flush()
                    history.refresh()
                    history.view(len(history) - 1)
        path.unlink()

    return work


def _reading(place: Place, *, load: str, lazy: bool) -> Work:
    store = FileStore.open(place.recorded(load))
    count = place.load(load).count
    rng = random.Random(7)
    places = [rng.randrange(count) for _ in range(_READS)]
    with History(FileStore.open(place.recorded(load))) as history:
        atom = next(iter(history.state(0)))

    def ready() -> Work:
        histories = [(History(store), seq) for seq in places]

        def work() -> None:
            for history, seq in histories:
                history.value(seq, atom) if lazy else history.state(seq)

        return work

    return _Fresh(ready)


def _stepping(place: Place, *, load: str, back: bool) -> Work:
    store = FileStore.open(place.recorded(load))
    count = place.load(load).count
    order = range(count - 1, -1, -1) if back else range(count)

    def work() -> None:
        history = History(store)
        for seq in order:
            history.view(seq)

    return work


def _fresh(path: Path, question: Callable[[History], object]) -> Work:
    """Ask a history that is opened anew each time."""

    def work() -> None:
        with History(FileStore.open(path)) as history:
            question(history)

    return work


def _far(history: History) -> None:
    rng = random.Random(3)
    for _ in range(_READS):
        history.view(rng.randrange(len(history)))


def _scrubbed(history: History) -> None:
    """Go to entries far apart and look at what changed there, as a screen does."""
    rng = random.Random(4)
    for _ in range(_READS):
        seq = rng.randrange(1, len(history))
        history.state(seq)
        history.changes(seq)


_MANY: Final[dict[str, Callable[[History], object]]] = {
    "newest 200": lambda history: history[-200:],
    "metadata": lambda history: history.columns(),
    "writes of the busiest atom": lambda history: deque(history.writes(many.HOT), maxlen=0),
    "writes of a quiet atom": lambda history: deque(history.writes(many.COLD), maxlen=0),
    "neighbours of a quiet atom": lambda history: (
        history.next_write(many.COLD, len(history) // 2),
        history.previous_write(many.COLD, len(history) // 2),
    ),
    "20 views far apart": _far,
    "20 states and changes far apart": _scrubbed,
    "blame": lambda history: questions.blame(history, len(history) - 1),
    "first hit": lambda history: next(iter(questions.search(history, TextQuery("tick"))), None),
    "text that is nowhere, 3,000 entries": lambda history: deque(
        questions.search(history, TextQuery(questions.NOWHERE), stop=3_000), maxlen=0
    ),
}


def _one_leaf(history: History) -> None:
    at = len(history) - 1
    for name in list(history.state(at))[:8]:
        questions.last_write(history, (name,), at)


_QUESTIONS: Final[dict[str, Callable[[History], object]]] = {
    "blame": lambda history: questions.blame(history, len(history) - 1),
    "last write of 8 atoms": _one_leaf,
    "first hit": lambda history: next(iter(questions.search(history, TextQuery("a"))), None),
    "text that is nowhere": lambda history: deque(questions.search(history, TextQuery(questions.NOWHERE)), maxlen=0),
    "text that is everywhere": lambda history: deque(questions.search(history, TextQuery("a")), maxlen=0),
    "compare": lambda history: questions.compare(history, history),
    "where the bytes are": lambda history: questions.footprint(history),
}


def _asking(place: Place, *, load: str, question: Callable[[History], object]) -> Work:
    return _fresh(place.recorded(load), question)


def _flipping(place: Place, *, single: bool) -> Work:
    path = place.kept("counter.unspool", lambda path: questions.record_counter(path, _FLIP_ENTRIES))
    limit = _FLIP_ENTRIES * 6 // 10
    return _fresh(path, lambda history: questions.bisect(history, f"counter > {limit}", assume_single_flip=single))


_task("questions: bisect, one flip")(partial(_flipping, single=True))
_task("questions: bisect, every flip")(partial(_flipping, single=False))


def _incidents(place: Place) -> Path:
    from benchmarks import health

    return place.kept("incidents.unspool", lambda path: record_load(health.incidents(100), path))


@_task("seeds: health, doctor")
def _doctor(place: Place) -> Work:
    from benchmarks import health

    return partial(health.diagnose, _incidents(place))


@_task("seeds: health, checkers")
def _checkers(place: Place) -> Work:
    from benchmarks import health

    return _fresh(_incidents(place), lambda history: health.check(history, plugins={}))


@_task("seeds: health, simulator")
def _simulator(place: Place) -> Work:
    from benchmarks import health

    return _fresh(_incidents(place), lambda history: health.simulate(history))


@_task("seeds: health, repair")
def _repair(place: Place) -> Work:
    from benchmarks import health

    damaged = health._damaged(_incidents(place), place.folder)

    def work() -> None:
        out = place.new()
        health.repair(damaged, out)
        out.unlink()

    return work


@_task("size: compact S1")
def _compacting(place: Place) -> Work:
    path = place.recorded("S1")

    def work() -> None:
        out = place.new()
        size.compact(path, out)
        out.unlink()

    return work


@_task("formats: JSON Lines in zstd")
def _json_lines(place: Place) -> Work:
    return _opened_whole(
        place.kept("S1.jsonl.zst", lambda path: formats._write_lines(path, place.load("S1").states()))
    )


@_task("formats: LangGraph thread")
def _thread(place: Place) -> Work:
    return _opened_whole(place.kept("thread.sqlite", formats._write_thread))


def _opened_whole(path: Path) -> Work:
    def work() -> None:
        with open_history(path, follow=False) as history:
            history.view(len(history) - 1)

    return work


def _deltas(place: Place, *, what: str) -> Work:
    found = list(pairs(place.load("S1"), 30))
    wire = [(delta.encode(old), delta.encode(new)) for old, new in found]
    makers: dict[str, Callable[[], list[Any]]] = {
        "values": lambda: [delta.diff_values(old, new) for old, new in found],
        "encoded": lambda: [delta.diff_encoded(old, new) for old, new in wire],
        "patch": lambda: [delta.state_patch(old, new) for old, new in found],
    }
    return makers[what]


for _what in ("values", "encoded", "patch"):
    _task(f"delta: {_what}")(partial(_deltas, what=_what))


def _chain(strategy: compression_load.DeltaStrategy, states: Sequence[State]) -> compression_load.DeltaChain:
    chain = compression_load.DeltaChain(strategy, max_chain_length=20)
    for state in states:
        chain.add_state(state)
    return chain


def _adding(_: Place, *, strategy: compression_load.DeltaStrategy) -> Work:
    return partial(_chain, strategy, compression_load.one_key_of(200)[:30])


def _taking(_: Place, *, strategy: compression_load.DeltaStrategy) -> Work:
    chain = _chain(strategy, compression_load.one_key_of(200)[:60])
    return lambda: [chain[place] for place in range(len(chain))]


def _snapshots(_: Place, *, level: str, cached: bool) -> Work:
    listed = snapshots_load._run_of(snapshots_load.counters(100))
    options: dict[str, Any] = {"max_history": None, "strategy": "changes:20", "compression_level": level}
    kept: dict[str, Any] = {"max_cache_size": len(listed)} if cached else {"cache_reconstructed": False}
    manager = snapshots_load.DeltaAwareHistoryManager(**options, **kept)
    manager.add_all(listed)
    manager.jump_to(0)
    places = random.Random(5).choices(range(1, len(listed)), k=60)
    if cached:
        manager.get_all()
        return lambda: [manager.get_snapshot(place) for place in places]
    return lambda: [manager.get_snapshot(place).to_state() for place in places]


@_task("seeds: snapshots, undo")
def _undoing(_: Place) -> Work:
    listed = snapshots_load._run_of(snapshots_load.counters(100))
    manager = snapshots_load.DeltaAwareHistoryManager(max_history=None, strategy="changes:20")
    manager.add_all(listed)

    def work() -> None:
        for _ in range(60):
            snapshots_load._step(manager)

    return work


@_task("seeds: snapshots, add")
def _snapshots_added(_: Place) -> Work:
    listed = snapshots_load._run_of(snapshots_load.counters(100))

    def work() -> None:
        manager = snapshots_load.DeltaAwareHistoryManager(max_history=None, full_snapshot_interval=20)
        for entry in listed:
            manager.add(entry)

    return work


def _regions(_: Place, *, what: str) -> Work:
    load = regions_load
    deltas = load.mixed_deltas(500)
    pristine = load.generate_region(load.ADDRESS, *load.BASE)
    file = load.RegionDeltaFile(load.ADDRESS, *load.BASE, deltas, 0, 1, 1, 1)
    binary, text = (load.encode_region(file, form) for form in (load.FileForm.BINARY, load.FileForm.JSON))
    makers: dict[str, Work] = {
        "encode": lambda: load.encode_region(file, load.FileForm.BINARY),
        "load, binary": lambda: load.decode_region(binary),
        "load, JSON": lambda: load.decode_region(text),
        "apply": lambda: load.apply_deltas(pristine, deltas, strict=False),
        "generate": lambda: load.generate_region(load.ADDRESS, *load.BASE),
    }
    return makers[what]


for _what in ("encode", "load, binary", "load, JSON", "apply", "generate"):
    _task(f"seeds: regions, {_what}")(partial(_regions, what=_what))


@_task("seeds: regions, record")
def _regions_recorded(place: Place) -> Work:
    load = regions_load
    recorder = load.DeltaRecorder(load.RegionStore(place.folder / f"world-{id(place)}", load.demo_world()), load.ADDRESS,
                                  lambda: 150_000)  # fmt: skip
    item = load.ItemDelta("chair", 1)

    def work() -> None:
        for number in range(300):
            recorder.record_delta(load.DeltaAction.ITEM_ADDED, load.Position(number % 100, number // 100), item)
        recorder.undo_last(300)

    return work


def _events(place: Place, *, what: str) -> Work:
    load = events_load

    def fill(path: Path) -> None:
        with load.EventLog(path) as log:
            for number in range(150):
                load.write(log, number)

    def sources(path: Path) -> None:
        rng = random.Random(7)
        source = load.program(10_000, rng)
        with load.EventLog(path) as log:
            for number in range(60):
                load.write_source(log, load.SPACE, load.timestamp(number), source, "text")
                source = load.edited(source, 1, rng)

    log = load.EventLog(place.kept("events.db", fill), read_only=True)
    told = load.EventLog(place.kept("sources.db", sources), read_only=True)

    def written() -> None:
        path = place.new()
        fill(path)
        path.unlink()

    makers: dict[str, Work] = {
        "write": written,
        "query": lambda: log.query_by_space(load.SPACE, limit=1000),
        "state": lambda: log.reconstruct_state(load.SPACE),
        "verify": lambda: log.verify_integrity(),
        "export": lambda: log.export_archive(load.SPACE),
        "rebuild a source": lambda: load.reconstruct_source(told, load.SPACE),
        "all sources": lambda: deque(load.source_history(told, load.SPACE), maxlen=0),
    }
    return makers[what]


for _what in ("write", "query", "state", "verify", "export", "rebuild a source", "all sources"):
    _task(f"seeds: events, {_what}")(partial(_events, what=_what))


def _measured(work: Work, repeats: int) -> float:
    works = [work.ready() if isinstance(work, _Fresh) else work for _ in range(repeats)]
    gc.collect()
    gc.disable()
    try:
        started = time.process_time()
        for each in works:
            each()
        return time.process_time() - started
    finally:
        gc.enable()


def main() -> None:
    """Answer commands until there are no more."""
    tasks = prepared_tasks()
    place = Place(Path(sys.argv[1]))
    works: dict[str, Work] = {}
    for line in sys.stdin:
        command, *words = json.loads(line)
        answer: object = list(tasks)
        if command == "run":
            name, repeats = words
            if name not in works:
                works[name] = tasks[name](place)
                # The first time fills caches and finishes late imports.
                works[name]()
            answer = _measured(works[name], repeats)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
