"""The history manager against a plain list of states, over random runs of everything a person can do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support.examples import examples
from support.snapshots import CALCULATOR, atom_states, same
from unspool.errors import DeltaError, EntryNotFound
from unspool.snapshots.atoms import AtomEntry
from unspool.snapshots.chains import replay_chain
from unspool.snapshots.history_manager import DeltaAwareHistoryManager, HistoryEvent
from unspool.snapshots.snapshot import Snapshot

configs = st.fixed_dictionaries(
    {
        "max_history": st.sampled_from([None, 1, 3, 5, 8]),
        "full_snapshot_interval": st.integers(1, 6),
        "compression_level": st.sampled_from(["none", "light", "aggressive"]),
        "reconstruct_on_demand": st.booleans(),
        "cache_reconstructed": st.booleans(),
        "max_cache_size": st.integers(0, 4),
        "max_cache_bytes": st.sampled_from([0, 300, 10**6]),
        "on_write_after_undo": st.sampled_from(["fork", "truncate"]),
        "strategy": st.sampled_from([None, "manual", "changes:2", "adaptive:3", "significance:2"]),
        "enabled": st.sampled_from([True, True, True, False]),
        "change_detection": st.sampled_from(["deep", "deep", "reference"]),
        "strict": st.just(True),
    }
)


BALLAST = {"ballast": AtomEntry("b" * 1500), "log": AtomEntry([{"id": n, "text": f"line {n}"} for n in range(40)])}
"""Makes states large enough for deltas to be smaller than full snapshots."""


@dataclass(eq=False)
class Kept:
    """What the model knows of an entry."""

    snapshot: Snapshot
    parent: Kept | None
    redo: Kept | None = field(default=None, repr=False)


class HistoryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model: list[Kept] = []
        self.here: Kept | None = None
        self.count = 0
        self.events: list[HistoryEvent] = []

    @initialize(config=configs)
    def begin(self, config: dict[str, Any]) -> None:
        self.config = config
        self.history = DeltaAwareHistoryManager(config)
        self.history.subscribe(self.events.append)

    @rule(state=atom_states)
    def add(self, state: dict[str, AtomEntry]) -> None:
        self._add({**BALLAST, **state})

    @rule(
        name=st.sampled_from("abc"),
        value=st.integers() | st.text(max_size=3),
        gone=st.none() | st.sampled_from("abc"),
        cut=st.integers(0, 39),
    )
    def add_a_small_change(self, name: str, value: Any, gone: str | None, cut: int) -> None:
        state = dict(self.here.snapshot.state if self.here else BALLAST)
        state.pop(gone or "", None)
        log = state.get("log", BALLAST["log"]).value
        self._add({**state, name: AtomEntry(value), "log": AtomEntry([*log[:cut], {"id": value}, *log[cut + 1 :]])})

    @rule(back=st.integers(1, 3), count=st.integers(1, 4))
    def rewrite_after_undo(self, back: int, count: int) -> None:
        for _ in range(back):
            self._undo()
        for number in range(count):
            self.add_a_small_change("a", number, None, number)

    @precondition(lambda self: self.here is not None)
    @rule()
    def add_the_same_again(self) -> None:
        assert self.here is not None
        self._add(dict(self.here.snapshot.state))

    def _add(self, state: dict[str, AtomEntry]) -> None:
        self.count += 1
        snapshot = Snapshot.of(f"s{self.count}", state, timestamp=self.count, action=f"step {self.count}")
        if self.config["on_write_after_undo"] == "truncate" and self.here is not None:
            del self.model[self.model.index(self.here) + 1 :]
            self.here.redo = None
        kept = Kept(snapshot, self.here)
        if self.here is not None:
            self.here.redo = kept
        self.model.append(kept)
        self.here = kept
        while self.config["max_history"] is not None and len(self.model) > self.config["max_history"]:
            gone = self.model.pop(0)
            for other in self.model:
                if other.parent is gone:
                    other.parent = None
        assert self.history.add(snapshot) == len(self.model) - 1
        assert self.events[-1].type == "add"

    @rule(steps=st.integers(1, 4))
    def undo(self, steps: int) -> None:
        for _ in range(steps):
            self._undo()

    def _undo(self) -> None:
        target = self.here.parent if self.here else None
        assert self.history.can_undo() is (target is not None)
        result = self.history.undo()
        if target is None:
            assert result is None
            return
        self.here = target
        assert same(result, target.snapshot)
        assert self.events[-1].type == "undo"

    @rule(steps=st.integers(1, 4))
    def redo(self, steps: int) -> None:
        for _ in range(steps):
            self._redo()

    def _redo(self) -> None:
        target = self.here.redo if self.here else None
        assert self.history.can_redo() is (target is not None)
        result = self.history.redo()
        if target is None:
            assert result is None
            return
        self.here = target
        assert same(result, target.snapshot)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def jump(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(-len(self.model), len(self.model) - 1))
        target = self.model[place]
        step = target
        while step.parent is not None:
            step.parent.redo, step = step, step.parent
        self.here = target
        assert same(self.history.jump_to(place), target.snapshot)

    @rule(data=st.data())
    def look_at_some_entry(self, data: st.DataObject) -> None:
        with pytest.raises(EntryNotFound):
            self.history.get_snapshot(len(self.model))
        if self.model:
            place = data.draw(st.integers(0, len(self.model) - 1))
            found = self.history.get_snapshot(place)
            assert same(found, self.model[place].snapshot)
            assert (found.id, found.metadata) == (
                self.model[place].snapshot.id,
                self.model[place].snapshot.metadata,
            )

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def force_one_full(self, data: st.DataObject) -> None:
        self.history.force_full_snapshot(data.draw(st.integers(0, len(self.model) - 1)))

    @precondition(lambda self: len(self.model) > 5)
    @rule()
    def force_all_full(self) -> None:
        self.history.force_full_snapshot()
        assert self.history.get_delta_snapshots() == []

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def a_known_id_is_refused(self, data: st.DataObject) -> None:
        known = data.draw(st.sampled_from(self.model)).snapshot
        with pytest.raises(DeltaError, match="already"):
            self.history.add(known)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def any_chain_replays(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.model) - 1))
        chain = self.history.get_delta_chain(place)
        assert same(replay_chain(chain.base, chain.deltas), self.model[place].snapshot)
        rebuilt = self.history.get_delta_reconstructor().reconstruct(chain.base, chain.deltas)
        assert same(rebuilt.snapshot, self.model[place].snapshot)

    @rule(strategy=st.sampled_from(["manual", "changes:1", "adaptive"]))
    def change_strategy(self, strategy: str) -> None:
        self.config["strategy"] = strategy
        self.history.set_delta_strategy(strategy)

    @precondition(lambda self: len(self.model) > 5)
    @rule()
    def clear(self) -> None:
        self.history.clear()
        self.model, self.here = [], None

    @invariant()
    def the_history_is_the_model(self) -> None:
        if not hasattr(self, "history"):
            return
        stats = self.history.get_stats()
        assert len(self.history) == stats.standard.total == len(self.model)
        assert stats.standard.full_count + stats.standard.delta_count == len(self.model)
        assert stats.delta.kept_bytes <= stats.delta.stored_bytes <= stats.delta.full_bytes
        current = self.history.get_current()
        assert (current is None) is (self.here is None)
        if self.here is not None:
            assert same(current, self.here.snapshot)
            assert stats.standard.position == self.model.index(self.here)
        if self.config["strategy"] is None:
            assert stats.delta.longest_chain < self.config["full_snapshot_interval"]
        assert stats.delta.longest_chain <= 20

    def teardown(self) -> None:
        if hasattr(self, "history"):
            assert [entry.id for entry in self.history.get_all()] == [kept.snapshot.id for kept in self.model]
            for found, kept in zip(self.history.get_all(), self.model, strict=True):
                assert CALCULATOR.are_snapshots_equal(found, kept.snapshot, strict=True)


TestHistoryMachine = HistoryMachine.TestCase
TestHistoryMachine.settings = settings(max_examples=examples(80), stateful_step_count=40)
