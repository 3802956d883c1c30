"""Measuring side by side: contenders in random order, caches flushed in between, medians and tails, ratios."""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_EVICT_BYTES = 24 << 20
"""Bytes touched between calls: more than the caches of one core hold."""
_LINE_BYTES = 64
_RESAMPLES = 400


class Evictor:
    """Flushes processor caches by touching 24 MB, a byte in every line of the cache."""

    def __init__(self) -> None:
        self._block = bytearray(b"\x5a") * _EVICT_BYTES

    def __call__(self) -> None:
        """Touch all of it."""
        self._block[::_LINE_BYTES]


def timed(work: Callable[..., object], *arguments: object) -> float:
    """Return how long a call takes, in seconds."""
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Keep the garbage collector from starting inside a measured call."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def race(
    contenders: Mapping[str, Callable[[T], object]],
    inputs: Iterable[T],
    *,
    evict: Callable[[], None] | None,
    seed: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Give every input to every contender, in an order that is random anew for each; return seconds by contender.

    Args:
        contenders: what is measured, by name.
        inputs: what each is given.
        evict: flushes the caches before each call; None leaves them warm.
        seed: of the order.
        clock: seconds; `time.thread_time` counts only what this thread's processor does.
    """
    rng = random.Random(seed)
    order = list(contenders)
    times: dict[str, list[float]] = {name: [] for name in order}
    with quiet_collector():
        for item in inputs:
            rng.shuffle(order)
            for name in order:
                work = contenders[name]
                if evict is not None:
                    evict()
                started = clock()
                work(item)
                times[name].append(clock() - started)
    return times


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of all lies, between neighbours in proportion."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def p99(values: Sequence[float]) -> float:
    """Return the value that one in a hundred exceeds."""
    return percentile(values, 0.99)


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return math.exp(sum(map(math.log, values)) / len(values))


def ratio_interval(ours: Sequence[float], peer: Sequence[float], seed: int = 1) -> tuple[float, float]:
    """Return where the ratio of medians lies with 90 % confidence: a bootstrap over the pairs."""
    rng = random.Random(seed)
    count = min(len(ours), len(peer))
    found = []
    for _ in range(_RESAMPLES):
        places = rng.choices(range(count), k=count)
        found.append(median([ours[place] for place in places]) / median([peer[place] for place in places]))
    return percentile(found, 0.05), percentile(found, 0.95)
