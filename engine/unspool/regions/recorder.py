"""Records what a player does in a region, and stores it when the player leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from unspool.model.values import Value
from unspool.regions.address import REGION_HEIGHT, REGION_WIDTH, Position, RegionAddress, as_position
from unspool.regions.checks import InvalidRegionValue, NotInRegion, Number, OutOfRange, need_whole
from unspool.regions.conservation import require_fate
from unspool.regions.deltas import RegionDelta
from unspool.regions.payloads import Payload, payload_for
from unspool.regions.region import unknown_region
from unspool.regions.region_files import OpenVisit, StoredFile
from unspool.regions.store import RegionStore
from unspool.regions.table import STANDARD_ACTIONS

Clock = Callable[[], int]
"""Says the current tick."""

_NOWHERE: Final = unknown_region()


class DeltaRecorder:
    """The changes of one visit after another; pending ones are kept until they are stored.

    Making a recorder enters its region. `save_on_region_exit` stores the visit; if that fails, everything pending is
    still there and it may be called again. As a context manager a recorder stores the visit at the end of its block.
    """

    def __init__(
        self,
        store: RegionStore,
        address: RegionAddress,
        clock: Clock,
        *,
        template: str | None = None,
        seed: Number | None = None,
        player: str | None = None,
    ) -> None:
        """Enter a region.

        Args:
            store: where its file is.
            address: which region.
            clock: says the current tick.
            template: what the game generates the region from; asked of the store's world if not given.
            seed: likewise.
            player: who plays; needed to record personal deltas.
        """
        self._store = store
        self._clock = clock
        self._player = player
        self._pending: list[tuple[RegionDelta, bool]] = []
        self._visit: OpenVisit | None = None
        self._address = address
        self._entry_tick = 0
        self.enter(address, template=template, seed=seed)

    def enter(self, address: RegionAddress, *, template: str | None = None, seed: Number | None = None) -> None:
        """Begin a visit.

        Raises:
            NotInRegion: the visit before is not stored yet.
        """
        if self._visit is not None:
            raise NotInRegion(
                f"still in {self._address} with {len(self._pending)} unsaved changes; call save_on_region_exit() first"
            )
        entry_tick = self._clock()
        need_whole("tick of the clock", entry_tick)
        base = self._store.world.base_of(address, template, seed)
        self._address, self._entry_tick = address, entry_tick
        self._visit = self._store.begin_visit(address, base, entry_tick)

    @property
    def address(self) -> RegionAddress:
        """The region of the current visit, or of the last one."""
        return self._address

    @property
    def entry_tick(self) -> int:
        """When the current visit began, or the last one."""
        return self._entry_tick

    @property
    def pending(self) -> tuple[RegionDelta, ...]:
        """What is recorded and not stored yet, oldest first."""
        return tuple(delta for delta, _ in self._pending)

    def record_delta(
        self,
        action: str,
        position: Position | tuple[int, int] | Mapping[str, Value],
        data: Payload | Mapping[str, Value] | None = None,
        *,
        personal: bool = False,
    ) -> RegionDelta:
        """Record one change, at the tick of the clock.

        Args:
            action: one of `DeltaAction`, or an action of the game's own.
            position: where.
            data: with what; none if the action needs none.
            personal: whether only this recorder's player sees it.

        Returns:
            The delta.

        Raises:
            NotInRegion: there is no visit.
            UnknownAction: the world does not know the action.
            FateRequired: the store keeps conservation of matter, and an item leaves without a fate.
            InvalidRegionValue: the delta does not have the shape of its action, or lies outside the region.
        """
        self._require_visit()
        if personal and self._player is None:
            raise InvalidRegionValue("a personal delta needs a player; DeltaRecorder(.., player=..)")
        delta = RegionDelta(self._clock(), action, as_position(position), payload_for(action, data))
        self._check(delta)
        self._pending.append((delta, personal))
        return delta

    def _check(self, delta: RegionDelta) -> None:
        """Refuse now what could not be applied later."""
        if delta.position.x >= REGION_WIDTH or delta.position.y >= REGION_HEIGHT:
            raise OutOfRange(f"{delta}: a region has {REGION_WIDTH} x {REGION_HEIGHT} tiles")
        rule = self._store.world.actions.rule(delta.action)
        if rule is STANDARD_ACTIONS.rules.get(delta.action):
            rule.reduce(_NOWHERE, delta)
        if self._store.conservation:
            require_fate(delta)

    def undo_last(self, count: int = 1) -> tuple[RegionDelta, ...]:
        """Take back the last changes of this visit.

        Returns:
            What was undone, oldest first.

        Raises:
            InvalidRegionValue: fewer are pending; stored ones are undone by `RegionStore.undo_last`.
        """
        need_whole("count", count)
        if count > len(self._pending):
            raise InvalidRegionValue(
                f"cannot undo {count} changes: {len(self._pending)} are pending; use RegionStore.undo_last for stored ones"
            )
        undone = self._pending[len(self._pending) - count :]
        del self._pending[len(self._pending) - count :]
        return tuple(delta for delta, _ in undone)

    def save_on_region_exit(self) -> StoredFile | None:
        """End the visit: append what was recorded to the region's file, and count the visit.

        Returns:
            The file as stored; None if nobody ever changed the region, so that nothing is stored. Such a visit is
            remembered by the store, and counted once there is a file.

        Raises:
            NotInRegion: there is no visit.
            RegionStorageError: the storage refused; everything pending is kept, call again.
        """
        visit = self._require_visit()
        shared = [delta for delta, personal in self._pending if not personal]
        mine = tuple(delta for delta, personal in self._pending if personal)
        personal = {self._player: mine} if self._player is not None and mine else {}
        file = self._store.end_visit(visit, self._clock(), shared, personal)
        self._pending.clear()
        self._visit = None
        return file

    def discard(self) -> tuple[RegionDelta, ...]:
        """End the visit and forget it, and return what was pending."""
        forgotten = self.pending
        if self._visit is not None:
            self._store.forget_visit(self._visit)
        self._pending.clear()
        self._visit = None
        return forgotten

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What a player did is kept even when the game fails in the middle of a visit.
        if self._visit is not None:
            self.save_on_region_exit()

    def _require_visit(self) -> OpenVisit:
        if self._visit is None:
            raise NotInRegion(f"not in a region; call enter(address) first (the last one was {self._address})")
        return self._visit
