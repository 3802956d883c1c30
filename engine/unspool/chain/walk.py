"""Replaying a chain whose deltas may name what they stand on in any of the ways the originals used (row N-02).

A delta may name the delta before it, the snapshot before it, or the chain's full snapshot. The last is written in two
senses: "the change since the snapshot before", filed under the full one, and "all that changed since the full one".
The base timestamp tells which. Where it is silent, the old values do: they must be what stands there. Where these fit
both, our own deltas (which name the snapshot they lead to) mean what matches the number of atoms and the bytes they
tell of it, else the full snapshot; foreign ones mean the snapshot before.
"""

from __future__ import annotations

from collections.abc import Iterable

from unspool.delta.packing import packed_size
from unspool.delta.replay import Replay
from unspool.errors import BaseMismatch, ContradictoryDelta
from unspool.model.snapshot_metadata import SnapshotMetadata
from unspool.model.snapshots import DeltaSnapshot, Snapshot


class ChainWalk:
    """A state moving along a chain, delta by delta; after an error it is spoilt and must be dropped."""

    __slots__ = ("_facts", "_here", "_is_named", "_known", "_replay", "_root", "_roots", "_validate")

    def __init__(self, root: Snapshot, *, validate: bool = True) -> None:
        """Start at the chain's full snapshot.

        Args:
            root: the full snapshot.
            validate: check the names and old values of deltas; otherwise each is laid on the one before.
        """
        self._root = root
        self._roots = {root.id: root}
        self._validate = validate
        self._known = {root.id}
        self._stand(Replay(root.state), (root.id,), root)

    def _stand(self, replay: Replay, names: tuple[str, ...], facts: Snapshot | DeltaSnapshot) -> None:
        self._replay = replay
        self._here = names
        self._facts = facts
        # A foreign delta does not tell which snapshot it leads to; the next delta's base name then does.
        self._is_named = not isinstance(facts, DeltaSnapshot) or facts.snapshot_id is not None
        self._known.update(names)

    def resume(self, passed: Iterable[DeltaSnapshot], state: Snapshot) -> None:
        """Go on from a state that is known already.

        Args:
            passed: the deltas that lie between the root and that state, oldest first.
            state: the state they lead to.
        """
        last: Snapshot | DeltaSnapshot = self._root
        for last in passed:
            self._known.update(_names(last))
        self._stand(Replay(state.state), _names(last), last)

    def add_root(self, root: Snapshot) -> None:
        """Know a further full snapshot that deltas may name: the chain was folded into it where the walk stands."""
        self._roots[root.id] = root
        self._here = (*self._here, root.id)
        self._known.add(root.id)

    def stand_again(self, state: Snapshot) -> None:
        """Undo what a failed step spoilt.

        Args:
            state: the state before that step.
        """
        self._replay = Replay(state.state)

    def stands_at(self, name: str) -> bool:
        """Say whether a delta that names this would stand where the walk is."""
        return name in self._here or (not self._is_named and name not in self._known)

    def ends_at(self, delta: DeltaSnapshot) -> bool:
        """Say whether a delta stands where the walk is: by name, or because it can only mean an end that has no name.

        The second needs something that tells it: the time of its base, or where that is not told an old value, which
        is compared when the delta is laid on. A name that nothing supports may be that of any other chain.
        """
        if delta.base_snapshot_id in self._here:
            return True
        told = delta.metadata.base_timestamp
        is_supported = (
            any(change.old is not None for change in delta.changes.values())
            if told is None
            else told == self._facts.metadata.timestamp
        )
        return is_supported and self.stands_at(delta.base_snapshot_id)

    def has_root(self, name: str) -> bool:
        """Say whether this names a full snapshot the walk came by."""
        return name in self._roots

    def step(self, delta: DeltaSnapshot) -> None:
        """Lay the next delta on.

        Raises:
            BaseMismatch: it stands on something that is not on this chain's way; the message names both ids.
            ContradictoryDelta: it does not fit the state.
        """
        root = self._roots.get(delta.base_snapshot_id)
        at_end = self.ends_at(delta)
        if not self._validate or at_end:
            self._replay.apply(delta, validate=self._validate)
        elif root is not None:
            self._step_from_root(delta, root)
        else:
            raise BaseMismatch(
                f"delta {delta.id!r} stands on {delta.base_snapshot_id!r}, but the chain is at {self._here[-1]!r}"
            )
        self._known.add(delta.base_snapshot_id)
        self._stand(self._replay, _names(delta), delta)

    def _step_from_root(self, delta: DeltaSnapshot, root: Snapshot) -> None:
        told, here, then = delta.metadata.base_timestamp, self._facts.metadata.timestamp, root.metadata.timestamp
        since_root, since_here = Replay(root.state), Replay(self._replay.state())
        if told is not None and here != then and told in (here, then):
            self._replay = since_root if told == then else since_here
            self._replay.apply(delta)
            return
        # A delta that names the snapshot it leads to is our own, and means its base as it says.
        is_own = delta.snapshot_id is not None
        fitting = _fitting(delta, (since_root, since_here) if is_own else (since_here, since_root))
        matching = (replay for replay in fitting if is_own and _leads_to_target(delta, replay))
        self._replay = next(matching, fitting[0])

    def snapshot(self) -> Snapshot:
        """Return the full snapshot the walk stands at."""
        return self._root if self._facts is self._root else snapshot_at(self._facts, self._replay)


def snapshot_at(facts: Snapshot | DeltaSnapshot, replay: Replay) -> Snapshot:
    """Return the full snapshot of a replayed state, with the id, time and action of what led to it."""
    state = replay.state()
    meta = facts.metadata
    identity = facts.target_id if isinstance(facts, DeltaSnapshot) else facts.id
    return Snapshot(identity, state, SnapshotMetadata(meta.timestamp, meta.action, len(state), meta.extra))


def _fitting(delta: DeltaSnapshot, candidates: tuple[Replay, Replay]) -> list[Replay]:
    """Lay a delta on each state, and return those it fits.

    Raises:
        ContradictoryDelta: it fits neither.
    """
    fitting: list[Replay] = []
    problems: list[ContradictoryDelta] = []
    for candidate in candidates:
        try:
            candidate.apply(delta)
        except ContradictoryDelta as error:
            problems.append(error)
        else:
            fitting.append(candidate)
    if not fitting:
        raise problems[0]
    return fitting


def _leads_to_target(delta: DeltaSnapshot, replay: Replay) -> bool:
    """Say whether a state has the number of atoms and the bytes the delta tells of its target."""
    result, meta = snapshot_at(delta, replay), delta.metadata
    return len(result.state) == meta.atom_count and meta.original_size in (0, packed_size(result))


def _names(facts: Snapshot | DeltaSnapshot) -> tuple[str, ...]:
    if isinstance(facts, DeltaSnapshot):
        return (facts.id,) if facts.snapshot_id is None else (facts.id, facts.snapshot_id)
    return (facts.id,)


def follows(delta: DeltaSnapshot, before: Snapshot | DeltaSnapshot) -> bool:
    """Say whether a delta plainly names the snapshot or delta before it."""
    return delta.base_snapshot_id in _names(before)


def replay_chain(base: Snapshot, deltas: Iterable[DeltaSnapshot]) -> Snapshot:
    """Return the state at the end of a chain.

    Raises:
        BaseMismatch: a delta stands on something that is not on the way.
        ContradictoryDelta: a delta does not fit.
    """
    walk = ChainWalk(base)
    for delta in deltas:
        walk.step(delta)
    return walk.snapshot()
