"""What taking in a state costs the calling thread: wide changes, objects, some atoms of a large state."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.context import Context
from benchmarks.loads import State, many_atoms, many_small_edits
from benchmarks.measure import Evictor, median, percentile, race
from benchmarks.report import Row, absent, against, alone
from unspool import Recorder

TITLE = "Taking in a state: processor time of the calling thread, against encoding, copying and serialising it"

_STEPS: Final = 200
_OBJECTS: Final = 200
_LARGE_BYTES: Final = 10_000_000
_RATE: Final = 1_000
_encode = msgspec.msgpack.Encoder(enc_hook=vars).encode


def run(context: Context) -> list[Row]:
    """Measure wide changes and objects, then `update()` and a steady rate."""
    steps = _STEPS // 10 if context.quick else _STEPS
    rows: list[Row] = []
    for name, (source, most) in _WIDE.items():
        rows.extend(_raced(name, islice(source(), steps), context.folder, most))
    for name, make in _MAKERS.items():
        try:
            objects = _objects(make())
        except ImportError as why:
            rows.append(absent(f"{name}: record()", str(why)))
            continue
        rows.extend(_raced(f"{_OBJECTS} {name}, one changed", islice(objects, steps), context.folder, None))
    rows.extend(_some_atoms(context.folder, steps))
    rows.extend(_steady(context.folder, context.seconds / 6))
    return rows


def _raced(name: str, states: Iterator[State], folder: Path, most: float | None) -> list[Row]:
    inputs = list(states)
    rows = []
    for how, evict in (("evicted", Evictor()), ("hot", None)):
        path = folder / f"capture-{abs(hash((name, how)))}.unspool"
        with Recorder(path, on_error="raise") as recorder:
            contenders: dict[str, Callable[[State], object]] = {
                "ours": recorder.record,
                "encode": _encode,
                "json.dumps": partial(json.dumps, default=vars),
                "pickle": pickle.dumps,
                "deepcopy": copy.deepcopy,
                **_orjson(),
            }
            contenders = {
                peer: work for peer, work in contenders.items() if peer == "ours" or _takes(work, inputs[0])
            }
            times = race(contenders, inputs, evict=evict, clock=time.thread_time)
        micro = {peer: [value * 1e6 for value in values[1:]] for peer, values in times.items()}
        p50 = median(micro["ours"])
        rows.append(against(f"{name}, {how}: record() p50", p50, median(micro["encode"]), "µs", "msgspec", most=most))
        rows += [
            against(f"{name}, {how}: record() p50, against {peer}", p50, median(micro[peer]), "µs", peer)
            for peer in contenders
            if peer not in ("ours", "encode")
        ]
        rows.append(alone(f"{name}, {how}: record() p99.9", percentile(micro["ours"], 0.999), "µs"))
    return rows


def _takes(peer: Callable[[State], object], state: State) -> bool:
    """Whether a peer can do anything with a state at all."""
    try:
        peer(state)
    except (TypeError, AttributeError, pickle.PicklingError):
        return False
    return True


def _orjson() -> dict[str, Callable[[State], object]]:
    try:
        orjson = import_module("orjson")
    except ImportError:
        return {}
    return {"orjson": lambda state: orjson.dumps(state, default=vars)}


def _moving() -> Iterator[State]:
    """500 records of a game that all move."""
    rng = random.Random(1)
    records = [{"id": at, "x": rng.random(), "y": rng.random(), "hp": 100, "name": f"n{at}"} for at in range(500)]
    for tick in range(1 << 30):
        for record in records:
            record["x"] += rng.random()
            record["y"] -= rng.random()
        yield copy.deepcopy({"world": records, "tick": tick})


def _grid() -> Iterator[State]:
    """A grid of 100 x 100 cells, a third of which change."""
    rng = random.Random(2)
    grid = [[rng.randrange(10) for _ in range(100)] for _ in range(100)]
    for tick in range(1 << 30):
        for row in grid:
            for place in range(100):
                if rng.random() < 1 / 3:
                    row[place] = rng.randrange(10)
        yield copy.deepcopy({"grid": grid, "tick": tick})


def _gauges() -> Iterator[State]:
    """1,000 atoms of one number each, all of which change."""
    rng = random.Random(3)
    while True:
        yield {f"gauge{at}": rng.random() for at in range(1000)}


def _some_records() -> Iterator[State]:
    """Ten of 1,000 records change."""
    rng = random.Random(4)
    records = [{"id": at, "x": rng.random(), "y": rng.random(), "hp": 100, "name": f"n{at}"} for at in range(1000)]
    for tick in range(1 << 30):
        for record in rng.sample(records, 10):
            record["x"] += rng.random()
        yield copy.deepcopy({"world": records, "tick": tick})


def _copied(source: Callable[[], Iterator[State]]) -> Iterator[State]:
    return map(copy.deepcopy, source())


_WIDE: Final[dict[str, tuple[Callable[[], Iterator[State]], float]]] = {
    "S1": (partial(_copied, many_small_edits), 3.8),
    "S2": (partial(_copied, many_atoms), 3.8),
    "500 records that all move": (_moving, 5.0),
    "grid of 100 x 100, a third changes": (_grid, 5.0),
    "1,000 gauges that all change": (_gauges, 5.0),
    "10 of 1,000 records": (_some_records, 5.0),
}
"""Loads of plain values, and how many encodes `record()` may take."""


@dataclasses.dataclass
class Robot:
    """An object of an app."""

    name: str
    x: float
    tags: list[str]


class PlainRobot:
    """The same without any help."""

    def __init__(self, name: str, x: float, tags: list[str]) -> None:
        self.name = name
        self.x = x
        self.tags = tags


def _attrs() -> Callable[..., Any]:
    made: Callable[..., Any] = import_module("attrs").make_class("AttrsRobot", ["name", "x", "tags"])
    return made


def _pydantic() -> Callable[..., Any]:
    made: Callable[..., Any] = import_module("pydantic").create_model(
        "PydanticRobot", name=(str, ...), x=(float, ...), tags=(list[str], ...)
    )
    return made


_MAKERS: Final[dict[str, Callable[[], Callable[..., Any]]]] = {
    "dataclasses": lambda: Robot,
    "plain objects": lambda: PlainRobot,
    "attrs objects": _attrs,
    "pydantic models": _pydantic,
}


def _objects(make: Callable[..., Any]) -> Iterator[State]:
    """Some objects of a class, one of which changes a step."""
    rng = random.Random(5)
    robots = [make(name=f"robot {at}", x=rng.random(), tags=["a", "b"]) for at in range(_OBJECTS)]
    while True:
        place = rng.randrange(_OBJECTS)
        robots[place] = make(name=robots[place].name, x=rng.random(), tags=["a", "b"])
        yield {"robots": list(robots)}


def _some_atoms(folder: Path, steps: int) -> list[Row]:
    """Measure `update()` of one small atom of a large state."""
    text = "x" * 1000
    with Recorder(folder / "capture-update.unspool", on_error="raise") as recorder:
        recorder.record({f"atom{at}": [text] * 100 for at in range(_LARGE_BYTES // 100_000)} | {"cart": {}})
        carts = ({"cart": {"items": list(range(at % 50)), "total": at}} for at in range(steps))
        contenders: dict[str, Callable[[State], object]] = {"ours": recorder.update, "encode": _encode}
        times = race(contenders, carts, evict=None, clock=time.thread_time)
    ours, encode = (median(times[name][1:]) * 1e6 for name in ("ours", "encode"))
    return [
        against("update() of a small atom of 10 MB, p50, against encoding the atom", ours, encode, "µs", "msgspec")
    ]


def _steady(folder: Path, seconds: float) -> list[Row]:
    """Measure what both threads take at a steady rate, beyond the same loop without recording."""
    states = list(islice(_some_records(), 60))
    count = max(20, int(seconds * _RATE))
    spent = {}
    longest = {}
    for name in ("bare", "ours"):
        with Recorder(folder / f"capture-steady-{name}.unspool", on_error="raise") as recorder:
            started, due, times = time.process_time(), time.perf_counter(), []
            for at in range(count):
                rest = due - time.perf_counter()
                if rest > 0:
                    time.sleep(rest)
                due += 1 / _RATE
                began = time.perf_counter()
                if name == "ours":
                    recorder.record(states[at % len(states)])
                times.append(time.perf_counter() - began)
            spent[name] = time.process_time() - started
            longest[name] = percentile(times, 0.999)
    call = (spent["ours"] - spent["bare"]) / count * 1000
    over = (longest["ours"] - longest["bare"]) * 1000
    return [
        alone(f"ten of 1,000 records at {_RATE:,}/s, {count:,} calls: both threads, a call", call, "ms", most=0.6),
        alone(f"ten of 1,000 records at {_RATE:,}/s: p99.9 of record() beyond the bare loop", over, "ms", most=2.0),
    ]
