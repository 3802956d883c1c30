"""Questions to a history, timed: who set this value, where does it flip, where is it, where are the bytes.

Each question is asked of a history opened anew, as the first thing after opening; medians of a few. Every answer is
checked before its time is told. `python -m benchmarks questions` runs them, with goals and peers.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from unspool.history import History
from unspool.model.keys import Path as ValuePath
from unspool.query.bisect import bisect
from unspool.query.blame import blame
from unspool.query.compare import compare
from unspool.query.disk_usage import footprint
from unspool.query.path_writes import last_write, next_write, previous_write
from unspool.query.search import TextQuery, search
from unspool.recorder import Recorder
from unspool.store.file import FileStore

ASKED = 5
NOWHERE = "nowhere at all"
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Timed:
    """One question.

    Attributes:
        what: what was asked, with what came of it.
        milliseconds: the median.
    """

    what: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value whose last write is asked for.

    Attributes:
        path: where it stands.
        at: the entry at which it stands there.
        seq: the entry that set it.
    """

    path: ValuePath
    at: int
    seq: int


def ask(path: Path, question: Callable[[History], R]) -> tuple[float, R]:
    """Ask a history opened anew a few times; return the median in milliseconds and the answer."""
    seconds = []
    for _ in range(ASKED):
        with History(FileStore.open(path)) as history:
            started = time.perf_counter()
            answer = question(history)
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1000, answer


def widest(path: Path) -> int:
    """Return the entry with the largest state."""
    with History(FileStore.open(path)) as history:
        sizes = history.columns().full_bytes
        return max(range(len(sizes)), key=sizes.__getitem__)


def all_leaves(path: Path, at: int) -> tuple[Timed, list[Leaf]]:
    """Ask who set every value of a state; also return its leaves, the oldest first."""
    elapsed, found = ask(path, lambda history: blame(history, at))
    leaves = sorted((Leaf(value.path, at, value.seq) for value in found.values), key=lambda leaf: leaf.seq)
    return Timed(f"who set each of {len(leaves):,} values of entry {at}", elapsed), leaves


def one_leaf(path: Path, leaf: Leaf) -> Timed:
    """Ask who set one value."""
    elapsed, write = ask(path, lambda history: last_write(history, leaf.path, leaf.at))
    if write.seq != leaf.seq:
        raise AssertionError(f"{leaf.path}: set at {leaf.seq} by one way of asking and at {write.seq} by the other")
    return Timed(f"who set one value, {leaf.at - leaf.seq:,} entries before", elapsed)


def neighbours(path: Path, atom: str, at: int) -> tuple[Timed, Timed]:
    """Ask for the writes of an atom's value before and after an entry."""
    with History(FileStore.open(path)) as history:
        expected = history.next_write(atom, at), history.previous_write(atom, at)
    after, following = ask(path, lambda history: next_write(history, (atom,), at))
    before, preceding = ask(path, lambda history: previous_write(history, (atom,), at))
    if (following and following.seq, preceding and preceding.seq) != expected:
        raise AssertionError(f"{atom}: {following} and {preceding} instead of {expected}")
    return Timed("next write", after), Timed("write before", before)


def text_anywhere(path: Path, text: str) -> Timed:
    """Search all entries for a text."""
    elapsed, hits = ask(path, lambda history: sum(1 for _ in search(history, TextQuery(text))))
    return Timed(f"search all entries, {hits} hits", elapsed)


def first_hit(path: Path, text: str) -> Timed:
    """Search for a text until it is found once."""
    elapsed, hit = ask(path, lambda history: next(iter(search(history, TextQuery(text))), None))
    return Timed(f"first hit, {'at entry ' + str(hit.seq) if hit else 'none'}", elapsed)


def rest(path: Path) -> list[Timed]:
    """Ask where a history parts from itself, and where its bytes are."""
    compared, found = ask(path, lambda history: compare(history, history))
    counted, where = ask(path, footprint)
    if found.differences or not where.complete:
        raise AssertionError("a history differs from itself, or was not counted to its end")
    return [
        Timed(f"compare with itself, {found.common:,} entries", compared),
        Timed(f"where the bytes are, {where.entries:,} entries", counted),
    ]


def record_counter(path: Path, count: int) -> Path:
    """Record a counter that rises every fiftieth entry, beside a hundred busy atoms."""
    rng = random.Random(2)
    state: dict[str, Any] = {f"atom{number}": {"value": 0} for number in range(100)} | {"counter": 0}
    with Recorder(path, on_error="raise", durability="fast") as recorder:
        for step in range(count):
            state[f"atom{rng.randrange(100)}"]["value"] = step
            if step % 50 == 0:
                state["counter"] = step
            recorder.record(state, "tick")
    return path


def flip(path: Path, count: int, *, single: bool) -> Timed:
    """Ask where that counter passes a number."""
    limit = count * 6 // 10
    elapsed, found = ask(path, lambda history: bisect(history, f"counter > {limit}", assume_single_flip=single))
    if [one.seq for one in found.flips] != [limit // 50 * 50 + 50]:
        raise AssertionError(f"bisect found {found.flips}")
    how = "taken to flip once" if single else "every flip"
    return Timed(f"where a question flips in {count:,} entries, {how}, {found.asked:,} rebuilt", elapsed)
