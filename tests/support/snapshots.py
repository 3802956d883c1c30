"""Snapshots of seed 000 for tests: by hand, at random, and the fixed load of its performance claim."""

from __future__ import annotations

import itertools
import random
from typing import Any

from hypothesis import strategies as st

from support.values import atom_names, json_values, values
from unspool.snapshots import DeltaCalculator
from unspool.snapshots.snapshot import AtomEntry, DeltaSnapshot, Snapshot

CALCULATOR = DeltaCalculator()


def snap(identity: str, timestamp: int = 0, action: str | None = None, /, **atoms: Any) -> Snapshot:
    """Make a snapshot of plain values."""
    return Snapshot.of(identity, atoms, timestamp=timestamp, action=action)


def run_of(states: list[dict[str, Any]]) -> list[Snapshot]:
    """Make snapshots s0, s1, … a second apart."""
    return [Snapshot.of(f"s{n}", state, timestamp=1000 * n, action=f"step {n}") for n, state in enumerate(states)]


def deltas_of(snapshots: list[Snapshot], **options: Any) -> list[DeltaSnapshot]:
    """Return the deltas between neighbours, empty ones too."""
    deltas = []
    for one, other in itertools.pairwise(snapshots):
        delta = CALCULATOR.compute_delta(one, other, skip_empty=False, **options)
        assert delta is not None
        deltas.append(delta)
    return deltas


def same(one: Snapshot | None, other: Snapshot | None, *, strict: bool = True) -> bool:
    """Whether two snapshots hold the same state."""
    assert one is not None
    assert other is not None
    return CALCULATOR.are_snapshots_equal(one, other, strict=strict)


def entries(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[AtomEntry]:
    """Draw entries of all kinds, with and without display name and id."""
    return st.builds(
        AtomEntry,
        inner,
        st.sampled_from(["primitive", "computed", "writable", "odd kind"]),
        st.none() | st.sampled_from(["Cart", ""]),
        st.none() | st.just("atom-7"),
    )


atom_states = st.dictionaries(atom_names, entries(values), max_size=5)
"""Snapshot states of every value that has a wire form."""
json_atom_states = st.dictionaries(st.text(max_size=4), entries(json_values), max_size=5)
"""Snapshot states of values that JSON can hold."""


def counters_load(steps: int, atoms: int = 50, size: int = 180, seed: int = 1) -> list[dict[str, str]]:
    """The fixed load P-N1: atoms of a fixed size, one replaced a step."""
    rng = random.Random(seed)

    def text() -> str:
        return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789 ", k=size))

    state = {f"atom{n}": text() for n in range(atoms)}
    states = [dict(state)]
    for _ in range(steps - 1):
        state[f"atom{rng.randrange(atoms)}"] = text()
        states.append(dict(state))
    return states
