"""`update()`: whatever atoms are set, added and taken away, the history holds what a whole recording would; large states cost what changes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool import MISSING, History, Recorder, open_history
from unspool.codec.strategies import CHAIN_LENGTH, BlockStrategy, ChainState, longest_chain
from unspool.errors import ConfigError
from unspool.model.encoding import encode
from unspool.model.values import Unrepresentable
from unspool.recorder import ValueMarked, encoding
from unspool.store.memory import MemoryStore

NAMES = [f"atom {number}" for number in range(20)]
VALUES = st.one_of(st.integers(), st.text(max_size=40), st.lists(st.integers(), max_size=9), st.none())
UPDATES = st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES | st.just(MISSING), max_size=6), max_size=25)


@pytest.mark.parametrize("large", [0, 1 << 20])
@given(updates=UPDATES, wholes=st.sets(st.integers(0, 24)))
def test_updates_come_to_what_whole_states_would(large: int, updates: list[dict[str, Any]], wholes: set[int]) -> None:
    store = MemoryStore()
    expected: list[dict[str, Any]] = []
    state: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "_LARGE_ORIGIN", large)
        recorder = Recorder(store, on_error="raise")
        for number, atoms in enumerate(updates):
            state = {name: value for name, value in {**state, **atoms}.items() if value is not MISSING}
            expected.append(state)
            if number in wholes:
                recorder.record(state)
            else:
                recorder.update(atoms)
    history = History(store)
    history.refresh()
    assert [history.state(seq) for seq in range(len(history))] == expected
    for seq in range(1, len(history)):
        before, after = expected[seq - 1], expected[seq]
        changed = {name for name, _ in history.changed_atoms(seq)}
        assert changed == {
            name for name in {**before, **after} if before.get(name, MISSING) != after.get(name, MISSING)
        }


def test_a_new_atom_of_a_large_state_costs_what_the_atom_costs(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.unspool", on_error="raise", durability="fast") as recorder:
        recorder.record({f"part {number}": "x" * 100_000 for number in range(200)})

        def spent(size: int) -> float:
            started = time.thread_time()
            for number in range(20):
                recorder.update({f"new {size} {number}": "y" * size})
            return time.thread_time() - started

        spent(10)
        small = min(spent(20 + number) for number in range(3))
    # Twenty copies of twenty million bytes took some hundred milliseconds.
    assert small < 0.05
    with open_history(tmp_path / "a.unspool") as history:
        assert len(history.state(-1)) == 280


@pytest.mark.parametrize(
    ("full_bytes", "longest"),
    [(0, CHAIN_LENGTH), ((1 << 20) - 1, CHAIN_LENGTH), (1 << 20, 1024), (100 << 20, 102_400)],
)
def test_chains_of_large_states_are_longer(full_bytes: int, longest: int) -> None:
    assert longest_chain(full_bytes) == longest
    rule = BlockStrategy()
    assert not rule.wants_full(ChainState(length=longest - 2, full_bytes=full_bytes))
    assert rule.wants_full(ChainState(length=longest - 1, full_bytes=full_bytes))


@given(updates=UPDATES, wholes=st.sets(st.integers(0, 24)), immutable=st.booleans())
def test_encoded_atoms_come_to_what_their_values_would(
    updates: list[dict[str, Any]], wholes: set[int], immutable: bool
) -> None:
    encoded, plain = MemoryStore(), MemoryStore()
    state: dict[str, Any] = {}
    with (
        Recorder(encoded, on_error="raise", immutable=immutable) as first,
        Recorder(plain, on_error="raise") as second,
    ):
        for number, atoms in enumerate(updates):
            state = {name: value for name, value in {**state, **atoms}.items() if value is not MISSING}
            if number in wholes:
                first.record(state)
                second.record(state)
            else:
                first.record_encoded({name: v if v is MISSING else encode(v) for name, v in atoms.items()})
                second.update(atoms)
    one, other = History(encoded), History(plain)
    one.refresh()
    other.refresh()
    assert [one.state(seq) for seq in range(len(one))] == [other.state(seq) for seq in range(len(other))]
    assert [one.changed_atoms(seq) for seq in range(len(one))] == [
        other.changed_atoms(seq) for seq in range(len(other))
    ]


def test_encoded_atoms_are_redacted_and_bounded(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.unspool", redact=["password"], max_bytes=4096) as recorder, pytest.warns(ValueMarked):
        recorder.record_encoded(
            {"user": encode({"password": "secret"}), "large": encode("x" * 5000)}, "log secret in"
        )
    with open_history(tmp_path / "a.unspool") as history:
        state = history.state(0)
        assert state["user"] == {"password": "[redacted]"}
        assert isinstance(state["large"], Unrepresentable)
        assert history[0].action == "log [redacted] in"


def test_what_is_no_wire_form_is_refused(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.unspool", on_error="raise") as recorder:
        recorder.record_encoded({"a": encode(1)})
        with pytest.raises(ConfigError, match="give its wire form"):
            recorder.record_encoded({"a": 5})  # type: ignore[dict-item]
        assert recorder.record_encoded({"a": encode(2)}) == 1
