"""Chains by base: adding deltas, limits, folding into new bases, reading any state back (rows N-20 to N-27)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from unspool.chain.config import ChainManagerConfig, rule_of
from unspool.chain.delta_chain import DeltaChain
from unspool.chain.line import ChainLine, TrackedChain
from unspool.chain.reconstructor import SnapshotReconstructor
from unspool.chain.stats import ChainStats, DeltaTally
from unspool.chain.strategy import ChainState
from unspool.chain.validation import ChainValidation, over_limit, validate
from unspool.chain.walk import replay_chain
from unspool.delta.calculator import DeltaLike, SnapshotLike, as_delta, as_snapshot
from unspool.delta.packing import packed_size
from unspool.errors import BrokenChain, ContradictoryDelta, EntryNotFound
from unspool.model.options import read_options
from unspool.model.snapshots import DeltaSnapshot, Snapshot
from unspool.model.values import Value


@dataclass(frozen=True, slots=True)
class _Place:
    line: ChainLine
    chain: TrackedChain
    position: int


class DeltaChainManager:
    """Keeps chains: full snapshots and the deltas that follow them.

    A chain that reaches a limit, or whose strategy says so, is folded: its newest state becomes a new base, and the
    old chain is sealed. Sealed chains stay readable. Deltas are kept in their stored form: modifications that ops
    tell in fewer bytes carry no values.
    """

    def __init__(self, config: ChainManagerConfig | Mapping[str, Value] | None = None, **options: Value) -> None:
        """Set up.

        Args:
            config: see `ChainManagerConfig`.
            options: single options by name, such as `max_delta_chain_length=20`.

        Raises:
            ConfigError: an option that does not exist or cannot be honoured.
        """
        self.config = read_options(ChainManagerConfig, config, options)
        self._rule = rule_of(self.config)
        self.clear()

    def clear(self) -> None:
        """Forget all chains, counts and cached states."""
        self._chains: dict[str, TrackedChain] = {}
        self._places: dict[str, _Place] = {}
        self._tally = DeltaTally()
        self._reconstructor = SnapshotReconstructor(max_cache_size=self.config.max_cache_size)

    def add_base(self, snapshot: SnapshotLike) -> None:
        """Register a full snapshot that deltas may stand on; registering the same one again changes nothing.

        Raises:
            ContradictoryDelta: another snapshot or delta of this id is known already.
        """
        base = as_snapshot(snapshot)
        known = self._chains.get(base.id)
        if known is not None and known.base == base:
            return
        if base.id in self._places:
            raise ContradictoryDelta(f"{base.id!r} is known already with another content; give each its own id")
        self._begin(base)

    def _begin(self, base: Snapshot, parent: ChainLine | None = None) -> ChainLine:
        now = self.config.clock()
        line = ChainLine(base, now, parent)
        self._register(line, line.chain)
        self._tally.count_full(now)
        return line

    def _register(self, line: ChainLine, chain: TrackedChain) -> None:
        self._chains[chain.base.id] = chain
        self._places[chain.base.id] = _Place(line, chain, 0)

    def add_delta(self, delta: DeltaLike, base: SnapshotLike | None = None) -> None:
        """Add a delta to the chain it stands on; the chain is folded when it is due.

        A delta on a state in the middle of a chain begins a chain of its own there.

        Args:
            delta: what to add; it may name the snapshot before it, the delta before it, or the chain's full snapshot.
            base: the full snapshot it stands on, if that was not registered before.

        Raises:
            BrokenChain: nothing known has the id it stands on.
            ContradictoryDelta: it does not fit the state it stands on, or its id is known already.
        """
        if base is not None:
            self.add_base(base)
        new = as_delta(delta)
        if new.id in self._places:
            raise ContradictoryDelta(f"delta {new.id!r} was added already")
        line = self._line_for(new)
        kept = line.append(new)
        place = _Place(line, line.chain, len(line.chain.deltas))
        self._places[new.id] = place
        self._places.setdefault(new.target_id, place)
        now = self.config.clock()
        self._tally.count_delta(kept, packed_size(line.tip), now)
        if self._is_due(line.chain, len(new.changes)):
            self._fold(line)

    def _line_for(self, delta: DeltaSnapshot) -> ChainLine:
        place = self._places.get(delta.base_snapshot_id)
        if place is None:
            return self._line_with_unnamed_end(delta)
        if place.line.takes(delta.base_snapshot_id):
            return place.line
        state = replay_chain(place.chain.base, place.chain.deltas[: place.position])
        identity = delta.base_snapshot_id
        return self._begin(state if state.id == identity else replace(state, id=identity), place.line)

    def _line_with_unnamed_end(self, delta: DeltaSnapshot) -> ChainLine:
        """Find the line whose last delta did not tell what it leads to, so that this name can only mean that."""
        lines = {id(place.line): place.line for place in self._places.values()}.values()
        open_ended = [line for line in lines if line.walk.ends_at(delta)]
        if len(open_ended) != 1:
            raise BrokenChain(
                f"delta {delta.id!r} stands on {delta.base_snapshot_id!r}, which is neither a base nor in a chain; "
                "register that snapshot with add_base first"
            )
        line = open_ended[0]
        self._places[delta.base_snapshot_id] = _Place(line, line.chain, len(line.chain.deltas))
        return line

    def _is_due(self, chain: TrackedChain, changed_atoms: int) -> bool:
        now = self.config.clock()
        view = chain.view()
        state = ChainState(view.length, view.age(now), view.delta_bytes, view.full_bytes, changed_atoms)
        return over_limit(view, self.config, now, at_length=True) is not None or self._rule.wants_full(state)

    def _fold(self, line: ChainLine) -> Snapshot:
        last = line.chain.deltas[-1]
        # Two deltas may lead to snapshots of one id; the delta's own id is unique.
        identity = line.tip.id if line.tip.id not in self._chains else last.id
        now = self.config.clock()
        self._register(line, line.fold(identity, now))
        self._places[last.id] = self._places[line.tip.id]
        self._tally.count_full(now)
        return line.tip

    def get_chain(self, base_id: str) -> DeltaChain | None:
        """Return the chain of a base, sealed or not, or None."""
        chain = self._chains.get(base_id)
        return None if chain is None else chain.view()

    def get_all_chains(self) -> list[DeltaChain]:
        """Return all chains, sealed ones too, in the order their bases came."""
        return [chain.view() for chain in self._chains.values()]

    def get_active_chain_count(self) -> int:
        """Return the number of chains that take deltas."""
        return sum(not chain.is_sealed for chain in self._chains.values())

    def validate_chain(self, chain: DeltaChain | str) -> ChainValidation:
        """Check a chain: that it can be replayed, then its length, age and size.

        Args:
            chain: a chain, or the id of its base.

        Raises:
            EntryNotFound: no chain has this base.
        """
        view = chain if isinstance(chain, DeltaChain) else self._known(chain).view()
        return validate(view, self.config, self.config.clock())

    def _known(self, base_id: str) -> TrackedChain:
        if base_id not in self._chains:
            raise EntryNotFound(f"no chain has the base {base_id!r}; get_all_chains() lists them")
        return self._chains[base_id]

    def reconstruct(self, base_id: str, target_delta_id: str | None = None) -> Snapshot:
        """Rebuild a state.

        Args:
            base_id: the base of a chain.
            target_delta_id: the delta, or the snapshot it leads to, at which the state is wanted; it may lie in a
                chain this one was folded into. None is the newest state that stands on the base.

        Returns:
            The full snapshot there.

        Raises:
            EntryNotFound: no chain has this base, or nothing on its line has this id.
            BrokenChain: the chain cannot be replayed.
        """
        line = self._places[self._known(base_id).base.id].line
        place = _Place(line, line.chain, len(line.chain.deltas))
        if target_delta_id is not None:
            found = self._places.get(target_delta_id)
            if found is None or not found.line.stems_from(line):
                raise EntryNotFound(f"nothing on the line of {base_id!r} has the id {target_delta_id!r}")
            place = found
        result = self._reconstructor.reconstruct(place.chain.base, place.chain.deltas, place.position)
        if result.snapshot is None:
            raise BrokenChain(f"the chain of {place.chain.base.id!r} cannot be replayed: {result.error}")
        return result.snapshot

    def create_new_base_snapshot(self, chain: DeltaChain | str) -> Snapshot:
        """Fold a chain: its newest state becomes a new base, and every earlier state stays readable.

        Args:
            chain: a chain, or the id of its base.

        Returns:
            The new full snapshot; the existing one where the chain holds no deltas or was folded already.

        Raises:
            EntryNotFound: no chain has this base.
        """
        known = self._known(chain.id if isinstance(chain, DeltaChain) else chain)
        if known.is_sealed and known.deltas:
            return self._places[known.deltas[-1].id].chain.base
        return self._fold(self._places[known.base.id].line) if known.deltas else known.base

    def get_stats(self) -> ChainStats:
        """Return measured numbers over all chains."""
        return self._tally.stats(self._chains.values(), self._reconstructor.get_cache_stats())
