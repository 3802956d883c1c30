"""Many regions at rest: load, save, snapshot, set aside; and the recorder of a player's visit, stored when the player leaves."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from unspool.model.values import Value
from unspool.regions.address import (
    REGION_HEIGHT,
    REGION_WIDTH,
    InvalidRegionValue,
    NotInRegion,
    Number,
    OutOfRange,
    Position,
    RegionAddress,
    RegionFileError,
    RegionWarning,
    as_position,
    need_whole,
)
from unspool.regions.formats import DirectoryStorage, FileForm, RegionStorage
from unspool.regions.payloads import Payload, payload_for
from unspool.regions.region import Conflict, Region, RegionDelta, unknown_region
from unspool.regions.region_file import (
    SNAPSHOT_TEMPLATE,
    Base,
    MultiplayerRegionDelta,
    RegionDeltaFile,
    SnapshotReference,
)
from unspool.regions.region_files import (
    SNAPSHOT_THRESHOLD,
    OpenVisit,
    RegionFiles,
    StoredFile,
    Visits,
    compressed,
    merged_moments,
    split_foldable,
    with_recorded,
    with_visits,
)
from unspool.regions.state import Applied, Audit, RegionSnapshot, apply_deltas, apply_parts, balance, require_fate
from unspool.regions.table import STANDARD_ACTIONS, World


@dataclass(frozen=True, slots=True)
class LoadedRegion:
    """A region as a player finds it.

    Attributes:
        region: the region.
        file: what was stored; None if nothing was, or if it was set aside.
        conflicts: changes that did not fit their base; they hold nevertheless.
        notices: what the player should know, in words.
    """

    region: Region
    file: StoredFile | None = None
    conflicts: tuple[Conflict, ...] = ()
    notices: tuple[str, ...] = ()


class RegionStore:
    """The regions of one world, in one directory or one SQLite file; nothing is stored for untouched regions."""

    def __init__(
        self,
        storage: RegionStorage | str | Path,
        world: World,
        *,
        form: FileForm | str = FileForm.BINARY,
        compress_on_save: bool = True,
        snapshot_threshold: int = SNAPSHOT_THRESHOLD,
        conservation: bool = False,
    ) -> None:
        """Open a store.

        Args:
            storage: where files lie; a path is a directory.
            world: the game's rules.
            form: how files are written; every form is read.
            compress_on_save: merge repeated deltas when saving.
            snapshot_threshold: fold a file into a snapshot when it has more deltas.
            conservation: recorders refuse deltas that take items without a fate.

        Raises:
            RegionStorageError: the directory cannot be made.
        """
        opened = DirectoryStorage(storage) if isinstance(storage, str | Path) else storage
        self._files = RegionFiles(opened, world.actions, FileForm(form))
        self.world = world
        self.conservation = conservation
        self._compress = compress_on_save
        self._threshold = snapshot_threshold
        # Visits of regions nobody has changed: a file is not made for them, but they count once there is one.
        self._unsaved_visits: dict[RegionAddress, Visits] = {}
        self._open_visits: list[OpenVisit] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the storage."""
        self._files.close()

    def addresses(self) -> tuple[RegionAddress, ...]:
        """Return the regions that something is stored for."""
        return self._files.addresses()

    def read_file(self, address: RegionAddress) -> StoredFile | None:
        """Return what is stored of a region, or None.

        Raises:
            RegionFileError: it is damaged, or no region file.
            InvalidRegionValue: it is malformed; nothing of it is used.
        """
        return self._files.read(address)

    def load(
        self,
        address: RegionAddress,
        *,
        template: str | None = None,
        seed: Number | None = None,
        player: str | None = None,
    ) -> LoadedRegion:
        """Return a region: generated, with everything that players did to it.

        If the stored file was made for another template or seed, it is set aside under a name of its own, a warning
        says how to use it again, and the region is as generated.

        Args:
            address: which region.
            template: what the game generates it from; asked of the world if not given.
            seed: likewise.
            player: whose personal deltas to merge in.

        Raises:
            RegionFileError: the stored file is damaged.
            SnapshotMissing: it stands on a snapshot that is not there.
        """
        base = self.world.base_of(address, template, seed)
        file, notices = self.matching_file(address, base)
        if file is None:
            return LoadedRegion(self.world.pristine(address, base), None, (), notices)
        applied = self._apply(self.start_of(file), file.deltas_for(player))
        return LoadedRegion(applied.region, file, applied.conflicts, notices)

    def matching_file(self, address: RegionAddress, base: Base) -> tuple[StoredFile | None, tuple[str, ...]]:
        """Return the stored file if it was made for a base; set it aside with a warning if it was not."""
        file = self.read_file(address)
        if file is None or file.original == base:
            return file, ()
        aside = self.set_aside(address)
        if file.base_template == SNAPSHOT_TEMPLATE and file.snapshot is None:
            made_for = "stands on a snapshot that it does not name"
        else:
            made_for = f"was made for {file.original}, but the game now says {base}"
        notice = (
            f"{address}: its file {made_for}; it is kept as {self._files.place(aside)} and the region starts as "
            f"generated; to use it again, restore({aside!r}) and load with what it was made for"
        )
        warnings.warn(RegionWarning(notice), stacklevel=3)
        return None, (notice,)

    def start_of(self, file: StoredFile) -> Region:
        """Return the region that a file's deltas stand on: its snapshot, or the region as generated.

        Raises:
            SnapshotMissing: the snapshot is not there.
        """
        if file.snapshot is not None:
            return self._files.read_snapshot(file.snapshot.key).region
        return self.world.pristine(file.address, file.original)

    def save_file(self, file: StoredFile) -> StoredFile:
        """Store what there is of a region: compressed if so set, folded into a snapshot if it has grown too long.

        Returns:
            The file as stored.

        Raises:
            RegionStorageError: the storage refused; what was stored before is untouched.
        """
        return self._save(file)

    def _save(self, file: StoredFile, leaving: OpenVisit | None = None) -> StoredFile:
        others = (visit for visit in self._open_visits if visit is not leaving)
        horizon = min((visit.entry for visit in others if visit.address == file.address), default=None)
        if self._compress:
            file = compressed(file, self.world.actions, horizon)
        folded, rest = split_foldable(file, self._threshold, horizon)
        if folded:
            file = replace(rest, base_template=SNAPSHOT_TEMPLATE, snapshot=self._write_snapshot(file, folded))
        self._files.write(file)
        return file

    def begin_visit(self, address: RegionAddress, base: Base, entry: int) -> OpenVisit:
        """Note that somebody is in a region: what others do meanwhile is not merged or folded until they leave."""
        visit = OpenVisit(address, base, entry)
        self._open_visits.append(visit)
        return visit

    def forget_visit(self, visit: OpenVisit) -> None:
        """Note that a visit ended with nothing to store."""
        self._open_visits.remove(visit)

    def end_visit(
        self,
        visit: OpenVisit,
        leave: int,
        shared: Iterable[RegionDelta],
        personal: Mapping[str, tuple[RegionDelta, ...]],
    ) -> StoredFile | None:
        """Add a visit, and what was done in it, to the file of its region.

        Returns:
            The file as stored; None if nobody ever changed the region, so that nothing is stored.

        Raises:
            RegionStorageError: the storage refused; the visit is still open and may be ended again.
        """
        address, shared = visit.address, tuple(shared)
        visits = Visits.one(visit.entry, leave)
        if address in self._unsaved_visits:
            visits = self._unsaved_visits[address].followed_by(visits)
        file, _ = self.matching_file(address, visit.base)
        if file is None and not shared and not personal:
            self._unsaved_visits[address] = visits
            self._open_visits.remove(visit)
            return None
        file = file or RegionDeltaFile(address, visit.base.template, visit.base.seed)
        saved = self._save(with_visits(with_recorded(file, shared, personal), visits), leaving=visit)
        self._unsaved_visits.pop(address, None)
        self._open_visits.remove(visit)
        return saved

    def undo_last(
        self, address: RegionAddress, count: int = 1, *, player: str | None = None
    ) -> tuple[RegionDelta, ...]:
        """Take back the deltas of a region that apply last, and store the rest.

        Args:
            address: which region.
            count: how many.
            player: whose personal deltas; without it those that everyone sees.

        Returns:
            What was undone, oldest first.

        Raises:
            RegionFileError: nothing is stored.
            InvalidRegionValue: there are fewer deltas.

        Warns:
            RegionWarning: deltas were merged when the file was saved, so that one may stand for several.
        """
        file = self._stored(address)
        self._report_merged(file, None)
        rest: StoredFile
        if isinstance(file, MultiplayerRegionDelta):
            rest, undone = file.undo_last(count, player)
        elif player is None:
            rest, undone = file.undo_last(count)
        else:
            raise InvalidRegionValue(f"{address}: {player!r} has no personal deltas; undo without a player")
        self._files.write(rest)
        return undone

    def region_at(self, address: RegionAddress, tick: int, *, player: str | None = None) -> Applied:
        """Return a region as it was at a tick, before snapshots too.

        Raises:
            RegionFileError: nothing is stored.
            SnapshotMissing: a snapshot is not there.

        Warns:
            RegionWarning: deltas around that tick were merged when the file was saved.
        """
        file = self._stored(address)
        self._report_merged(file, tick)
        return self._replay(file, tick, player)

    @staticmethod
    def _report_merged(file: StoredFile, tick: int | None) -> None:
        """Warn that moments are gone, where they may be among those that are asked for."""
        until, count = merged_moments(file.extra)
        if count and (tick is None or tick < until):
            what = "one delta may stand for several" if tick is None else f"steps before tick {until} may be missing"
            notice = (
                f"{file.address}: {count} deltas up to tick {until} were merged when the region was saved, so {what}; "
                "a store with compress_on_save=False keeps every one"
            )
            warnings.warn(RegionWarning(notice), stacklevel=4)

    def audit(self, address: RegionAddress, *, player: str | None = None) -> Audit:
        """Check that every item of a region, from its first delta on, is there or has a fate.

        Raises:
            RegionFileError: nothing is stored.
            SnapshotMissing: a snapshot is not there.
        """
        file = self._stored(address)
        return balance(self.world.pristine(address, file.original), self._replay(file, None, player))

    def set_aside(self, address: RegionAddress) -> str:
        """Give a region's file a name of its own that nothing ever overwrites, and return it for `restore`."""
        return self._files.set_aside(address)

    def files_aside(self, address: RegionAddress) -> tuple[str, ...]:
        """Return the names of the files that were set aside for a region."""
        return self._files.files_aside(address)

    def restore(self, aside: str) -> RegionAddress:
        """Put a file that was set aside back in use; the one in its place is set aside in turn.

        Raises:
            RegionFileError: there is no such file.
        """
        return self._files.restore(aside)

    def _stored(self, address: RegionAddress) -> StoredFile:
        file = self.read_file(address)
        if file is None:
            raise RegionFileError(f"{address}: nothing is stored for it")
        return file

    def _apply(self, region: Region, deltas: Iterable[RegionDelta]) -> Applied:
        return apply_deltas(region, deltas, actions=self.world.actions, strict=False)

    def _replay(self, file: StoredFile, tick: int | None, player: str | None) -> Applied:
        folded = (snapshot.folded for snapshot in reversed(list(self._files.snapshots(file))))
        pristine = self.world.pristine(file.address, file.original)
        return apply_parts(pristine, (*folded, file.deltas_for(player)), tick, actions=self.world.actions)

    def _write_snapshot(self, file: StoredFile, folded: tuple[RegionDelta, ...]) -> SnapshotReference:
        region = self._apply(self.start_of(file), folded).region
        previous = None if file.snapshot is None else file.snapshot.key
        key = self._files.write_snapshot(file.address, RegionSnapshot(region, folded, previous))
        return SnapshotReference(key, file.original)


Clock = Callable[[], int]
"""Returns the current tick."""

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
