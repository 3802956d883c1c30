"""Many regions at rest: load, save, snapshot, set aside."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from unspool.regions.address import RegionAddress
from unspool.regions.apply import Applied, apply_deltas, apply_parts
from unspool.regions.checks import InvalidRegionValue, Number, RegionFileError, RegionWarning
from unspool.regions.conservation import Audit, balance
from unspool.regions.deltas import Conflict, RegionDelta
from unspool.regions.folding import SNAPSHOT_THRESHOLD, compressed, merged_moments, split_foldable
from unspool.regions.formats import DirectoryStorage, FileForm, RegionStorage
from unspool.regions.generator import World
from unspool.regions.region import Region
from unspool.regions.region_file import (
    SNAPSHOT_TEMPLATE,
    Base,
    MultiplayerRegionDelta,
    RegionDeltaFile,
    SnapshotReference,
)
from unspool.regions.region_files import OpenVisit, RegionFiles, StoredFile, Visits, with_recorded, with_visits
from unspool.regions.state import RegionSnapshot


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
