"""Delta chains of snapshots: kept, and replayed although deltas may name their base in any of the ways the originals used.

A delta may name the delta before it, the snapshot before it, or the chain's full snapshot. The last is written in two
senses: "the change since the snapshot before", filed under the full one, and "all that changed since the full one".
The base timestamp decides which. Where it is missing, the old values do: they must be what is there. Where these fit
both, our own deltas (which name the snapshot they lead to) mean what matches the number of atoms and the bytes they
report it, else the full snapshot; foreign ones mean the snapshot before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Final

from unspool.codec.strategies import ChainState
from unspool.errors import BaseMismatch, ContradictoryDelta, UnspoolError
from unspool.snapshots.changes import DeltaOptions, Replay, changes_between, stored_size
from unspool.snapshots.packing import pack, packed_size, unpack_delta, unpack_full, without_values
from unspool.snapshots.snapshot import DeltaSnapshot, Milliseconds, Snapshot, SnapshotMetadata


class ChainWalk:
    """A state moving along a chain, delta by delta; after an error it is spoilt and must be dropped."""

    __slots__ = ("_facts", "_here", "_is_named", "_known", "_replay", "_root", "_roots", "_validate")

    def __init__(self, root: Snapshot, *, validate: bool = True) -> None:
        """Start at the chain's full snapshot.

        Args:
            root: the full snapshot.
            validate: check the names and old values of deltas; otherwise each is applied the one before.
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
        """Whether a delta that names this would stand where the walk is."""
        return name in self._here or (not self._is_named and name not in self._known)

    def ends_at(self, delta: DeltaSnapshot) -> bool:
        """Whether a delta stands where the walk is: by name, or because it can only mean an end that has no name.

        The second needs evidence: the time of its base, or where that is missing an old value, which
        is compared when the delta is applied. A name that nothing supports may be that of any other chain.
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
        """Whether this names a full snapshot the walk came by."""
        return name in self._roots

    def step(self, delta: DeltaSnapshot) -> None:
        """Apply the next delta.

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
    """Apply a delta to each state, and return those it fits.

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
    """Whether a state has the number of atoms and the bytes that the delta gives for its target."""
    result, meta = snapshot_at(delta, replay), delta.metadata
    return len(result.state) == meta.atom_count and meta.original_size in (0, packed_size(result))


def _names(facts: Snapshot | DeltaSnapshot) -> tuple[str, ...]:
    if isinstance(facts, DeltaSnapshot):
        return (facts.id,) if facts.snapshot_id is None else (facts.id, facts.snapshot_id)
    return (facts.id,)


def follows(delta: DeltaSnapshot, before: Snapshot | DeltaSnapshot) -> bool:
    """Whether a delta plainly names the snapshot or delta before it."""
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


@dataclass(frozen=True, slots=True)
class DeltaChain:
    """A full snapshot and the deltas that follow it.

    Attributes:
        base: the full snapshot.
        deltas: what follows, oldest first.
        created_at: when the chain was begun, in milliseconds by the clock of its owner.
        full_bytes: measured bytes of the base.
        delta_bytes: measured bytes of the deltas as stored.
        sealed: whether it was folded into a new base; it stays readable and takes no more deltas.
    """

    base: Snapshot
    deltas: tuple[DeltaSnapshot, ...] = ()
    created_at: Milliseconds = 0
    full_bytes: int = 0
    delta_bytes: int = 0
    sealed: bool = False

    @classmethod
    def of(
        cls, base: Snapshot, deltas: Iterable[DeltaSnapshot] = (), *, created_at: Milliseconds | None = None
    ) -> DeltaChain:
        """Measure and return a chain.

        Args:
            base: the full snapshot.
            deltas: what follows, oldest first.
            created_at: when it was begun; the base's own timestamp where nobody says.
        """
        kept = tuple(deltas)
        begun = base.metadata.timestamp if created_at is None else created_at
        return cls(base, kept, begun, packed_size(base), sum(map(stored_size, kept)))

    @property
    def id(self) -> str:
        """Id of the base: there is one chain for each."""
        return self.base.id

    @property
    def length(self) -> int:
        """Number of deltas."""
        return len(self.deltas)

    @property
    def tip_id(self) -> str:
        """Id of the snapshot the last delta leads to."""
        return self.deltas[-1].target_id if self.deltas else self.base.id

    @property
    def size(self) -> int:
        """Measured bytes of base and deltas."""
        return self.full_bytes + self.delta_bytes

    def age(self, now: Milliseconds) -> Milliseconds:
        """Milliseconds since the chain was begun, or between the timestamps of its ends where that is longer."""
        if not self.deltas:
            return now - self.created_at
        return max(now - self.created_at, self.deltas[-1].metadata.timestamp - self.base.metadata.timestamp)

    def state_for_strategy(self, now: Milliseconds) -> ChainState:
        """Return what a strategy may know of the chain, its last delta standing for the candidate's changes."""
        return ChainState(
            length=self.length,
            age_ms=self.age(now),
            delta_bytes=self.delta_bytes,
            full_bytes=self.full_bytes,
            changed_atoms=len(self.deltas[-1].changes) if self.deltas else 0,
        )


_PLAIN: Final = DeltaOptions()


@dataclass(slots=True)
class TrackedChain:
    """A chain that is being written."""

    base: Snapshot
    created_at: Milliseconds
    full_bytes: int
    deltas: list[DeltaSnapshot] = field(default_factory=list)
    delta_bytes: int = 0
    is_sealed: bool = False

    def view(self) -> DeltaChain:
        """Return the chain as a frozen value."""
        return DeltaChain(
            self.base, tuple(self.deltas), self.created_at, self.full_bytes, self.delta_bytes, self.is_sealed
        )


class ChainLine:
    """One history: the chain that takes deltas, and the sealed ones before it."""

    __slots__ = ("chain", "parent", "tip", "walk")

    def __init__(self, base: Snapshot, now: Milliseconds, parent: ChainLine | None = None) -> None:
        """Begin at a full snapshot.

        Args:
            base: the full snapshot.
            now: the time, in milliseconds.
            parent: the line it forked from.
        """
        self.parent = parent
        self.walk = ChainWalk(base)
        self.tip = base
        self.chain = TrackedChain(base, now, packed_size(base))

    def stems_from(self, line: ChainLine) -> bool:
        """Whether this is the given line, or forked from it."""
        ancestor: ChainLine | None = self
        while ancestor is not None and ancestor is not line:
            ancestor = ancestor.parent
        return ancestor is line

    def takes(self, base_id: str) -> bool:
        """Whether a delta on this id goes to the end of the line."""
        return self.walk.stands_at(base_id) or self.walk.has_root(base_id)

    def append(self, delta: DeltaSnapshot) -> DeltaSnapshot:
        """Add a delta, and return it as it is kept.

        Raises:
            BaseMismatch, ContradictoryDelta: it does not fit; the line is as before.
        """
        before = self.tip
        names_end = self.walk.ends_at(delta)
        try:
            self.walk.step(delta)
        except UnspoolError:
            self.walk.stand_again(before)
            raise
        self.tip = self.walk.snapshot()
        newest = self.chain.deltas[-1] if self.chain.deltas else self.chain.base
        kept = delta
        if not names_end:
            # Told against the full snapshot: kept as the change since the state before, like all the others.
            changes = changes_between(before.state, self.tip.state, _PLAIN)
            facts = replace(kept.metadata, change_count=len(changes), base_timestamp=before.metadata.timestamp)
            kept = replace(kept, changes=changes, metadata=facts)
        if not follows(kept, newest):
            kept = replace(kept, base_snapshot_id=before.id)
        kept = without_values(kept)
        self.chain.deltas.append(kept)
        self.chain.delta_bytes += stored_size(kept)
        return kept

    def fold(self, identity: str, now: Milliseconds) -> TrackedChain:
        """Seal the chain and begin a new one at the newest state.

        Args:
            identity: id of the new base.
            now: when.

        Returns:
            The new chain.
        """
        self.chain.is_sealed = True
        self.tip = self.tip if self.tip.id == identity else replace(self.tip, id=identity)
        self.walk.add_root(self.tip)
        self.chain = TrackedChain(self.tip, now, packed_size(self.tip))
        return self.chain


_START_SECONDS: Final = 0.5
"""What starting worker processes takes, imports included."""
_SECONDS_PER_BYTE_REBUILT: Final = 6e-9
"""Applying ops to an atom and encoding it again, measured on lists of records."""
_SECONDS_PER_BYTE_RETURNED: Final = 1.5e-9
"""Sending a state back from a worker and cutting it up again."""


def chain_states(chain: DeltaChain) -> list[Snapshot]:
    """Return every state of a chain, the base first.

    Raises:
        BaseMismatch, ContradictoryDelta: a delta does not fit.
    """
    walk = ChainWalk(chain.base)
    states = [chain.base]
    for delta in chain.deltas:
        walk.step(delta)
        states.append(walk.snapshot())
    return states


def states_of_chains(
    chains: Sequence[DeltaChain], *, workers: int = 1, executor: Executor | None = None
) -> list[list[Snapshot]]:
    """Return every state of every chain, in order.

    Args:
        chains: the chains.
        workers: processes to use where that pays. Starting them imports the caller's main module anew, so a script
            that asks for more than one must keep its own work under `if __name__ == "__main__"`.
        executor: where to walk the chains; given one, it is used without asking whether that pays.

    Raises:
        BaseMismatch, ContradictoryDelta: a delta does not fit.
    """
    if executor is not None:
        return _walked_by(executor, chains)
    count = min(workers, len(chains))
    if not pays(chains, count):
        return [chain_states(chain) for chain in chains]
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        return _walked_by(pool, chains)


def pays(chains: Sequence[DeltaChain], workers: int) -> bool:
    """Whether walking chains in worker processes is quicker than walking them here."""
    if workers < 2:
        return False
    rebuilt = sum(map(_bytes_rebuilt, chains))
    returned = sum(chain.full_bytes * (chain.length + 1) for chain in chains)
    saved = rebuilt * _SECONDS_PER_BYTE_REBUILT * (1 - 1 / workers)
    return saved > _START_SECONDS + returned * _SECONDS_PER_BYTE_RETURNED


def _bytes_rebuilt(chain: DeltaChain) -> int:
    sizes = {name: len(entry.encoded) for name, entry in chain.base.state.items()}
    total = 0
    for delta in chain.deltas:
        for name, change in delta.changes.items():
            if change.new is not None and change.new.encoded:
                sizes[name] = len(change.new.encoded)
            elif change.packed_ops:
                total += sizes.get(name, 0)
    return total


def _walked_by(executor: Executor, chains: Sequence[DeltaChain]) -> list[list[Snapshot]]:
    jobs = [
        executor.submit(_walk_packed, pack(chain.base), [pack(delta) for delta in chain.deltas]) for chain in chains
    ]
    return [[unpack_full(state) for state in job.result()] for job in jobs]


def _walk_packed(base: bytes, deltas: list[bytes]) -> list[bytes]:
    chain = DeltaChain(unpack_full(base), tuple(map(unpack_delta, deltas)))
    return [pack(state) for state in chain_states(chain)]
