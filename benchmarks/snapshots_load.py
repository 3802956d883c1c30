"""Delta snapshots: the seed's loads P-N1 to P-N4, and its claims of speed (rows N-60 to N-65).

Bytes are what a history keeps; times are medians of contenders given the same entries in random order, caches flushed
in between, and every ratio comes from one run. Direct access means: the same state kept as one full record, unpacked
and decoded.
"""

from __future__ import annotations

import copy
import json
import random
import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.measure import Evictor, quiet_collector, race
from unspool.snapshots import DeltaAwareHistoryManager
from unspool.snapshots.packing import pack, unpack_full
from unspool.snapshots.snapshot import Snapshot

Row = tuple[str, float, str]
State = dict[str, Any]

_CHAIN = 20
_READS = 120


def counters(steps: int) -> list[State]:
    """P-N1 and P-N2: 50 atoms of 180 bytes, one replaced a step."""
    rng = random.Random(1)
    state = {f"atom{number}": _text(rng, 180) for number in range(50)}
    states = [dict(state)]
    for _ in range(steps - 1):
        state[f"atom{rng.randrange(50)}"] = _text(rng, 180)
        states.append(dict(state))
    return states


def wholly_new(steps: int) -> list[State]:
    """P-N4: 10 KB, all of it new each step."""
    rng = random.Random(2)
    return [{f"atom{number}": _text(rng, 180) for number in range(50)} for _ in range(steps)]


def one_big_list(steps: int) -> list[State]:
    """One atom of 100 KB: a list of records, one field of one changed a step."""
    rng = random.Random(3)
    rows = [{"id": number, "title": f"row {number}", "done": False, "tags": ["a", "b"]} for number in range(2000)]
    states = []
    for _ in range(steps):
        place = rng.randrange(len(rows))
        rows = [*rows[:place], {**rows[place], "title": _text(rng, 12)}, *rows[place + 1 :]]
        states.append({"rows": rows})
    return states


def many_small_atoms(steps: int) -> list[State]:
    """1,000 atoms of a few bytes, two changed a step."""
    rng = random.Random(4)
    state: State = {f"atom{number}": rng.randrange(10**6) for number in range(1000)}
    states = [dict(state)]
    for _ in range(steps - 1):
        for _ in range(2):
            state[f"atom{rng.randrange(1000)}"] = rng.randrange(10**6)
        states.append(dict(state))
    return states


def _text(rng: random.Random, size: int) -> str:
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789 ", k=size))


def _run_of(states: list[State]) -> list[Snapshot]:
    return [Snapshot.of(f"s{n}", state, timestamp=1000 * n, action="set") for n, state in enumerate(states)]


def run() -> list[Row]:
    """Measure; returns (name, value, unit)."""
    rows = [*_bytes("P-N1 300 snapshots", counters(300)), *_bytes("P-N2 1000 snapshots", counters(1000))]
    rows += _bytes("P-N4 1000 wholly new", wholly_new(1000))
    loads = {"P-N3 50 atoms": counters(200), "one 100 KB list": one_big_list(60), "1000 atoms": many_small_atoms(200)}
    for name, states in loads.items():
        rows += _reading(name, states)
        rows += _creating(name, states)
    return rows


def _bytes(name: str, states: list[State]) -> Iterator[Row]:
    run_of = _run_of(states)
    as_json = sum(len(json.dumps(entry.to_dict(), separators=(",", ":"))) for entry in run_of)
    yield f"{name}: as full JSON", float(as_json), "bytes"
    variants: dict[str, dict[str, Any]] = {
        "none": {"compression_level": "none"},
        "light": {"compression_level": "light"},
        "aggressive": {"compression_level": "aggressive"},
        "light, adaptive": {"strategy": "adaptive", "max_delta_chain_length": None},
        "light, all full": {"enabled": False},
    }
    for variant, options in variants.items():
        manager = DeltaAwareHistoryManager(max_history=None, **options)
        manager.add_all(run_of)
        assert manager.get_snapshot(len(run_of) // 2).to_state() == states[len(states) // 2]
        kept = manager.get_delta_stats().kept_bytes
        yield f"{name}: kept, {variant}", float(kept), "bytes"
        yield f"{name}: kept, {variant}, of full JSON", kept / as_json, "x"


def _reading(name: str, states: list[State]) -> Iterator[Row]:
    run_of = _run_of(states)
    options: dict[str, Any] = {"max_history": None, "strategy": f"changes:{_CHAIN}", "compression_level": "none"}
    cold = DeltaAwareHistoryManager(**options, cache_reconstructed=False)
    light = DeltaAwareHistoryManager(**{**options, "compression_level": "light"}, cache_reconstructed=False)
    warm = DeltaAwareHistoryManager(**options, max_cache_size=len(run_of))
    direct = [pack(entry) for entry in run_of]
    for manager in (cold, light, warm):
        manager.add_all(run_of)
        manager.jump_to(0)
    warm.get_all()
    places = random.Random(5).choices(range(1, len(run_of)), k=_READS)
    with quiet_collector():
        seconds = race(
            {
                "direct": lambda place: unpack_full(direct[place]).to_state(),
                "rebuilt": lambda place: cold.get_snapshot(place).to_state(),
                "rebuilt, one atom": lambda place: next(iter(cold.get_snapshot(place).state.values())).value,
                "rebuilt, light": lambda place: light.get_snapshot(place).to_state(),
                "cached": lambda place: warm.get_snapshot(place).to_state(),
            },
            places,
            evict=Evictor(),
        )
        steps = race({"undo": lambda _: _step(warm)}, range(_READS), evict=Evictor())
    base = statistics.median(seconds["direct"])
    yield f"{name}: direct access, median", base * 1e6, "us"
    for contender in ("rebuilt", "rebuilt, one atom", "rebuilt, light", "cached"):
        yield (
            f"{name}: {contender}, chains of up to {_CHAIN}",
            statistics.median(seconds[contender]) / base,
            "x direct",
        )
    yield f"{name}: one step of undo or redo, cached", statistics.median(steps["undo"]) / base, "x direct"


def _step(manager: DeltaAwareHistoryManager) -> None:
    if manager.undo() is None:
        manager.jump_to(-1)


def _creating(name: str, states: list[State]) -> Iterator[Row]:
    with_deltas = DeltaAwareHistoryManager(max_history=None, full_snapshot_interval=20)
    whole = DeltaAwareHistoryManager(max_history=None, enabled=False)
    with quiet_collector():
        seconds = race(
            {
                "deltas": lambda place: with_deltas.add(Snapshot.of(f"s{place}", states[place])),
                "whole": lambda place: whole.add(Snapshot.of(f"s{place}", states[place])),
                "deep copy": lambda place: copy.deepcopy(states[place]),
                "JSON": lambda place: json.dumps(states[place]),
            },
            range(len(states)),
            evict=Evictor(),
        )
    medians = {contender: statistics.median(values) for contender, values in seconds.items()}
    yield f"{name}: adding an entry, deltas on", medians["deltas"] * 1e6, "us"
    yield f"{name}: adding an entry, deltas on over off", medians["deltas"] / medians["whole"], "x"
    yield (
        f"{name}: adding an entry, deltas on over a deep copy of the state",
        medians["deltas"] / medians["deep copy"],
        "x",
    )
    yield f"{name}: adding an entry, deltas on over writing full JSON", medians["deltas"] / medians["JSON"], "x"


if __name__ == "__main__":
    for label, value, unit in run():
        print(f"{label:78} {value:14.3f} {unit}")
