"""Delta compression: the seed's load P-F1, and what each strategy makes of other kinds of change.

Sizes are bytes stored over the whole chain, the base included; the ratio is 100 full states as JSON by that. Every
state is read back and compared before a number is reported.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Iterator
from typing import Any

from unspool.compression import DeltaChain, DeltaCompressor, DeltaStrategy
from unspool.compression.states import first_difference

STATES = 100
Row = tuple[str, float, str]


def one_key_of(count: int) -> list[dict[str, Any]]:
    """P-F1: `count` keys, one changed a step."""
    rng = random.Random(1)
    state: dict[str, Any] = {f"key{number:04}": f"value {rng.random()}" for number in range(count)}
    states = []
    for step in range(STATES):
        state = state | {f"key{rng.randrange(count):04}": f"value {rng.random()}"} if step else state
        states.append(state)
    return states


def edited_text() -> list[dict[str, Any]]:
    """One text of 20 KB, a few letters typed a step."""
    rng = random.Random(2)
    text = " ".join(f"word{rng.randrange(5000)}" for _ in range(2200))
    states = []
    for _ in range(STATES):
        place = rng.randrange(len(text))
        text = text[:place] + rng.choice(("typo", "x", "new words ")) + text[place:]
        states.append({"text": text, "cursor": place})
    return states


def list_of_records() -> list[dict[str, Any]]:
    """One list of 200 records under one key, one field changed a step."""
    rng = random.Random(3)
    rows = [{"id": number, "name": f"row {number}", "value": rng.randrange(10**6)} for number in range(200)]
    states = []
    for _ in range(STATES):
        rows = [dict(row) for row in rows]
        rows[rng.randrange(len(rows))]["value"] = rng.randrange(10**6)
        states.append({"rows": rows})
    return states


def wholly_new() -> list[dict[str, Any]]:
    """Forty keys, every one of them new a step."""
    rng = random.Random(4)
    return [{f"key{number}": f"{rng.random()}" * 3 for number in range(40)} for _ in range(STATES)]


def run() -> list[Row]:
    """Measure; returns (name, value, unit)."""
    loads = {
        "P-F1 1,000 keys": one_key_of(1000),
        "P-F1 1,001 keys": one_key_of(1001),
        "edited text": edited_text(),
        "list of records": list_of_records(),
        "wholly new": wholly_new(),
    }
    return [row for name, states in loads.items() for row in _measure(name, states)]


def _measure(name: str, states: list[dict[str, Any]]) -> Iterator[Row]:
    full = sum(len(json.dumps(state).encode()) for state in states)
    yield f"{name}: {len(states)} full JSON states", float(full), "bytes"
    for strategy in DeltaStrategy:
        chain = DeltaChain(strategy, max_chain_length=20)
        seconds = []
        for state in states:
            started = time.perf_counter()
            chain.add_state(state)
            seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        differing = [
            number for number, state in enumerate(states) if first_difference(chain[number], state) is not None
        ]
        reading = (time.perf_counter() - started) / len(states)
        if differing:
            raise AssertionError(f"{name}, {strategy}: state {differing[0]} does not read back")
        stored = _stored_bytes(chain, states[0])
        yield f"{name}: {strategy}", float(stored), "bytes"
        yield f"{name}: {strategy}, full ÷ stored", full / stored, "x"
        yield f"{name}: {strategy}, add_state median", statistics.median(seconds[1:]) * 1e6, "µs"
        yield f"{name}: {strategy}, read and compare mean", reading * 1e6, "µs"


def _stored_bytes(chain: DeltaChain, base: dict[str, Any]) -> int:
    records = [chain.get_delta_at_index(index) for index in range(len(chain))]
    base_bytes = DeltaCompressor("compress").calculate_delta({}, base)["compressed_size"]
    return int(base_bytes) + sum(record.size_bytes for record in records if record is not None)


if __name__ == "__main__":
    for label, value, unit in run():
        print(f"{label:60} {value:14,.1f} {unit}")
