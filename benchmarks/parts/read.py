"""Going to an entry far away: one rebuild from cold, against decoding a whole state and against git."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.context import Context
from benchmarks.loads import Load
from benchmarks.measure import Evictor, median, p99, race, ratio_interval
from benchmarks.peers import PeerAbsent
from benchmarks.report import Row, absent, against
from benchmarks.sampling import encoded_at
from unspool.history import History
from unspool.store import FileStore

TITLE = "Random reads: nothing of the entry rebuilt before, caches flushed, contenders in random order"

_READS = 300
_DIRECT_MOST, _LAZY_MOST = 2.0, 1.2
_GIT_P50_MOST, _GIT_P99_MOST = 0.9, 0.5
_LEAST_BYTES = 10_000
"""States smaller than this have no goal against a decode: opening a block costs as much as they do."""
_decode = msgspec.msgpack.Decoder().decode


def run(context: Context) -> list[Row]:
    """Measure every load."""
    return [row for load in context.loads for row in _one_load(context, load)]


@dataclass(frozen=True, slots=True)
class _Read:
    """One read: an entry, one of its atoms, its state as msgpack, and histories that have not rebuilt anything."""

    seq: int
    atom: str
    encoded: bytes
    full: History
    lazy: History


def _one_load(context: Context, load: Load) -> list[Row]:
    rng = random.Random(7)
    reads = _READS // 5 if context.quick else _READS
    places = [rng.randrange(load.count) for _ in range(reads)]
    encoded = encoded_at(load, set(places))
    store = FileStore.open(context.recorded(load).path)
    missing: list[Row] = []
    with ExitStack() as stack:
        stack.callback(store.close)
        stack.enter_context(_one_processor())
        contenders: dict[str, Callable[[_Read], Any]] = {
            "full": lambda read: read.full.state(read.seq),
            "lazy": lambda read: read.lazy.value(read.seq, read.atom),
            "decode": lambda read: _decode(read.encoded),
        }
        try:
            git = stack.enter_context(context.git(load).reader())
            contenders["git"] = lambda read: git.state(read.seq)
        except PeerAbsent as why:
            missing.append(absent(f"{load.name}: read, against git cat-file", str(why)))
        checked = next(_reads(store, places, encoded, rng))
        for name in contenders.keys() - {"lazy"}:
            if contenders[name](checked) != _decode(checked.encoded):
                raise AssertionError(f"{load.name}: {name} does not read entry {checked.seq} back")
        times = race(contenders, _reads(store, places, encoded, rng), evict=Evictor())
    return [*_rows(load, times, sum(map(len, encoded.values())) // len(encoded)), *missing]


def _reads(
    store: FileStore, places: Iterable[int], encoded: Mapping[int, bytes], rng: random.Random
) -> Iterator[_Read]:
    for seq in places:
        atom = rng.choice(list(_decode(encoded[seq])))
        yield _Read(seq, atom, encoded[seq], History(store), History(store))


@contextmanager
def _one_processor() -> Iterator[None]:
    """Keep us and git's process on one processor, so that flushing its caches flushes git's too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _rows(load: Load, times: dict[str, list[float]], size: int) -> list[Row]:
    us = {name: [value * 1e6 for value in values] for name, values in times.items()}
    decode, full, lazy = us["decode"], us["full"], us["lazy"]
    large = size >= _LEAST_BYTES
    note = "" if large else f"states of {size:,} bytes: no goal"
    low, high = ratio_interval(full, decode)
    rows = [
        against(f"{load.name}: all atoms, p50", median(full), median(decode), "µs", "decode", note=note or
                f"90 % interval {low:.2f}-{high:.2f}", most=_DIRECT_MOST if large else None),
        against(f"{load.name}: lazy, one atom, p50", median(lazy), median(decode), "µs", "decode", note=note,
                most=_LAZY_MOST if large else None),
    ]  # fmt: skip
    if "git" in us:
        git = us["git"]
        rows += [
            against(f"{load.name}: all atoms, p50", median(full), median(git), "µs", "git", most=_GIT_P50_MOST),
            against(f"{load.name}: all atoms, p99", p99(full), p99(git), "µs", "git", most=_GIT_P99_MOST),
            against(f"{load.name}: lazy, one atom, p50", median(lazy), median(git), "µs", "git"),
        ]
    return rows
