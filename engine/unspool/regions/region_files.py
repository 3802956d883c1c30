"""Files of regions as a store keeps them: visits, and the folding of deltas when a file is saved: fewer deltas, same region."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from unspool.model.values import Value
from unspool.regions.address import RegionAddress, RegionFileError, SnapshotMissing
from unspool.regions.formats import FileForm, RegionDocument, RegionStorage, decode_region, encode_region
from unspool.regions.records import HeaderlessRecords
from unspool.regions.region import RegionDelta, in_tick_order
from unspool.regions.region_file import Base, MultiplayerRegionDelta, RegionDeltaFile
from unspool.regions.state import RegionSnapshot
from unspool.regions.table import STANDARD_ACTIONS, ActionRule, ActionTable

StoredFile = RegionDeltaFile | MultiplayerRegionDelta
"""What a store keeps of one region."""


@dataclass(frozen=True, slots=True)
class Visits:
    """One or more visits of one region.

    Attributes:
        first: tick of the first entry.
        last: tick of the last exit.
        spent: ticks inside, over all of them.
        count: how many.
    """

    first: int
    last: int
    spent: int
    count: int

    @classmethod
    def one(cls, entry: int, leave: int) -> Self:
        """Return a single visit; a clock that was set back in between spent no time."""
        leave = max(entry, leave)
        return cls(entry, leave, leave - entry, 1)

    def followed_by(self, later: Visits) -> Self:
        """Return these visits and later ones together."""
        return replace(
            self,
            first=min(self.first, later.first),
            last=max(self.last, later.last),
            spent=self.spent + later.spent,
            count=self.count + later.count,
        )


@dataclass(frozen=True, slots=True, eq=False)
class OpenVisit:
    """A visit that has begun and is not stored yet; each is itself only.

    Attributes:
        address: which region.
        base: what the region is generated from.
        entry: tick of the entry.
    """

    address: RegionAddress
    base: Base
    entry: int


def with_visits(file: StoredFile, visits: Visits) -> StoredFile:
    """Return a file that counts some visits more.

    A file that does not say when its region was first visited takes the earliest tick it knows of: its deltas prove
    that somebody was there.
    """
    known = [visits.first]
    if file.first_visit_tick is not None:
        known.append(file.first_visit_tick)
    else:
        known += (delta.tick for delta in file.deltas_for()[:1])
    return replace(
        file,
        first_visit_tick=min(known),
        last_visit_tick=max(visits.last, file.last_visit_tick or 0),
        total_time_spent=(file.total_time_spent or 0) + visits.spent,
        player_visit_count=(file.player_visit_count or 0) + visits.count,
    )


def with_recorded(
    file: StoredFile, shared: tuple[RegionDelta, ...], personal: Mapping[str, tuple[RegionDelta, ...]]
) -> StoredFile:
    """Return a file with what was recorded; it becomes one of many players when something personal is in it."""
    if personal and isinstance(file, RegionDeltaFile):
        file = MultiplayerRegionDelta.sharing(file)
    file = file.with_deltas(shared)
    if isinstance(file, MultiplayerRegionDelta):
        for player, deltas in personal.items():
            file = file.with_deltas(deltas, player)
    return file


_ASIDE: Final = "aside"
_SNAPSHOT: Final = "snapshot"


class RegionFiles:
    """Documents of regions in a storage."""

    def __init__(self, storage: RegionStorage, actions: ActionTable, form: FileForm) -> None:
        """Use a storage; `form` is how documents are written, every form is read."""
        self._storage = storage
        self._actions = actions
        self._form = form

    def close(self) -> None:
        """Let go of the storage."""
        self._storage.close()

    def place(self, key: str) -> str:
        """Say where a key lies, for people."""
        return self._storage.place(key)

    def addresses(self) -> tuple[RegionAddress, ...]:
        """Return the regions that a file is stored for."""
        keys = (key for key in self._storage.list_keys() if RegionAddress.is_slug(key))
        return tuple(sorted(RegionAddress.from_slug(key) for key in keys))

    def read(self, address: RegionAddress) -> StoredFile | None:
        """Return what is stored of a region, or None.

        Raises:
            RegionFileError: it is damaged, no region file, or that of another region.
            InvalidRegionValue: it is malformed; nothing of it is used.
        """
        file = self._read(address.slug)
        if isinstance(file, RegionDeltaFile | MultiplayerRegionDelta) and file.address != address:
            # Saving it would overwrite the region that it is about.
            raise RegionFileError(
                f"{self.place(address.slug)}: holds the region {file.address}, not {address}; move it to its own place"
            )
        if file is None or isinstance(file, RegionDeltaFile | MultiplayerRegionDelta):
            return file
        raise RegionFileError(f"{self.place(address.slug)}: holds something else than a region's deltas")

    def write(self, file: StoredFile) -> None:
        """Store the file of a region.

        Raises:
            RegionStorageError: the storage refused; what was stored before is untouched.
        """
        self._storage.write(file.address.slug, encode_region(file, self._form))

    def read_snapshot(self, key: str) -> RegionSnapshot:
        """Return a snapshot.

        Raises:
            SnapshotMissing: it is not there.
            RegionFileError: it is damaged.
        """
        snapshot = self._read(key)
        if isinstance(snapshot, RegionSnapshot):
            return snapshot
        raise SnapshotMissing(
            f"{self.place(key)}: a region stands on this snapshot and it is not there; put it back from a backup, "
            "or start the region anew with set_aside(address)"
        )

    def write_snapshot(self, address: RegionAddress, snapshot: RegionSnapshot) -> str:
        """Store a snapshot beside those there are, and return its key."""
        key = self._next_key(address, _SNAPSHOT)
        self._storage.write(key, encode_region(snapshot, self._form))
        return key

    def snapshots(self, file: StoredFile) -> Iterator[RegionSnapshot]:
        """Yield the snapshots below a file, newest first.

        Raises:
            SnapshotMissing: one is not there.
        """
        key = None if file.snapshot is None else file.snapshot.key
        seen: set[str] = set()
        while key is not None and key not in seen:
            seen.add(key)
            snapshot = self.read_snapshot(key)
            yield snapshot
            key = snapshot.previous

    def set_aside(self, address: RegionAddress) -> str:
        """Give a region's file a key of its own, and return it."""
        aside = self._next_key(address, _ASIDE)
        self._storage.rename(address.slug, aside)
        return aside

    def files_aside(self, address: RegionAddress) -> tuple[str, ...]:
        """Return the keys of the files that were set aside for a region."""
        start = f"{address.slug}.{_ASIDE}-"
        return tuple(key for key in self._storage.list_keys() if key.startswith(start))

    def restore(self, aside: str) -> RegionAddress:
        """Put a file that was set aside back in use; the one in its place is set aside in turn.

        Raises:
            RegionFileError: there is no such file.
        """
        address = RegionAddress.from_slug(aside.partition(".")[0])
        if aside not in self.files_aside(address):
            raise RegionFileError(f"{self.place(aside)}: no file that was set aside; see files_aside(address)")
        if self._storage.read(address.slug) is not None:
            self.set_aside(address)
        self._storage.rename(aside, address.slug)
        return address

    def _read(self, key: str) -> RegionDocument | HeaderlessRecords | None:
        data = self._storage.read(key)
        return None if data is None else decode_region(data, self.place(key), actions=self._actions)

    def _next_key(self, address: RegionAddress, kind: str) -> str:
        numbers = (re.fullmatch(rf"{address.slug}\.{kind}-(\d+)", key) for key in self._storage.list_keys())
        taken = [int(match[1]) for match in numbers if match is not None]
        return f"{address.slug}.{kind}-{max(taken, default=0) + 1}"


def compress_deltas(
    deltas: Iterable[RegionDelta],
    *,
    actions: ActionTable = STANDARD_ACTIONS,
    barriers: Sequence[int] = (),
) -> tuple[RegionDelta, ...]:
    """Merge repeated deltas.

    Args:
        deltas: in any order; they are put in tick order first, as they apply.
        actions: what each action touches and how two of it merge.
        barriers: ticks at which something else happens to the region (another player's personal deltas); nothing
            is merged across them.

    Returns:
        Deltas in tick order that lead to the same region. A merged delta has the tick and the place of the last.

    Raises:
        UnknownAction: an action is not in the table.
    """
    kept: list[RegionDelta | None] = []
    last_touch: dict[Hashable, int] = {}
    # What happens elsewhere at a tick may come before or after the deltas of that tick: close both sides.
    pending_barriers = sorted({*barriers, *(tick + 1 for tick in barriers)}, reverse=True)
    for delta in in_tick_order(deltas):
        while pending_barriers and pending_barriers[-1] <= delta.tick:
            pending_barriers.pop()
            last_touch.clear()
        rule = actions.rule(delta.action)
        if rule.touches is None:
            last_touch.clear()
            kept.append(delta)
            continue
        cells = rule.touches(delta)
        partner = _partner(last_touch, cells)
        earlier = None if partner is None else kept[partner]
        merged = None if earlier is None else _merge(rule, earlier, delta)
        if partner is not None and merged is not None:
            kept[partner] = None
        last_touch.update(dict.fromkeys(cells, len(kept)))
        kept.append(merged or delta)
    return tuple(delta for delta in kept if delta is not None)


def _partner(last_touch: dict[Hashable, int], cells: tuple[Hashable, ...]) -> int | None:
    """Return the delta that was the last to touch all of some cells, if one delta was."""
    touched = {last_touch.get(cell) for cell in cells}
    return touched.pop() if len(touched) == 1 else None


def _merge(rule: ActionRule, earlier: RegionDelta, later: RegionDelta) -> RegionDelta | None:
    if rule.merge is None or rule.touches is None or earlier.action != later.action:
        return None
    # A cell that only the earlier one touches may have been touched by another since.
    if earlier.position != later.position or set(rule.touches(earlier)) != set(rule.touches(later)):
        return None
    # What a delta says beyond the four fields is the game's, and cannot be added up.
    return None if earlier.extra or later.extra else rule.merge(earlier, later)


SNAPSHOT_THRESHOLD: Final = 1000
"""The seed's DELTA_THRESHOLD: a file with more deltas than this is folded into a snapshot."""


def compressed(file: StoredFile, actions: ActionTable, horizon: int | None = None) -> StoredFile:
    """Return a file with repeated deltas merged; every player sees the same region as before.

    What happened between merged deltas can no longer be known: the file says up to which tick, and of how many.
    """

    def shorter(deltas: tuple[RegionDelta, ...], barriers: Sequence[int] = ()) -> tuple[RegionDelta, ...]:
        settled = tuple(delta for delta in deltas if horizon is None or delta.tick < horizon)
        open_ones = tuple(delta for delta in deltas if horizon is not None and delta.tick >= horizon)
        return (*compress_deltas(settled, actions=actions, barriers=barriers), *open_ones)

    if isinstance(file, RegionDeltaFile):
        return _saying_so(file, replace(file, deltas=shorter(file.deltas)))
    personal_ticks = [delta.tick for deltas in file.personal_deltas.values() for delta in deltas]
    shared_ticks = [delta.tick for delta in file.shared_deltas]
    merged = replace(
        file,
        shared_deltas=shorter(file.shared_deltas, personal_ticks),
        personal_deltas={player: shorter(deltas, shared_ticks) for player, deltas in file.personal_deltas.items()},
    )
    return _saying_so(file, merged)


MERGED: Final = "mergedDeltas"
"""The field of a file that says what merging cost: `{"until": tick, "count": deltas}`."""


def _all_deltas(file: StoredFile) -> list[RegionDelta]:
    if isinstance(file, RegionDeltaFile):
        return list(file.deltas)
    return [*file.shared_deltas, *(delta for deltas in file.personal_deltas.values() for delta in deltas)]


def _saying_so(file: StoredFile, merged: StoredFile) -> StoredFile:
    before, after = _all_deltas(file), _all_deltas(merged)
    gone = len(before) - len(after)
    if not gone:
        return merged
    kept = {id(delta) for delta in before}
    until = max(delta.tick for delta in after if id(delta) not in kept)
    told = merged_moments(file.extra)
    told = (max(told[0], until), told[1] + gone)
    return replace(merged, extra={**merged.extra, MERGED: {"until": told[0], "count": told[1]}})


def merged_moments(extra: Mapping[str, Value]) -> tuple[int, int]:
    """Return up to which tick deltas of a file were merged, and how many are gone; -1 and 0 where none were.

    Args:
        extra: the further fields of the file.
    """
    told = extra.get(MERGED)
    if not isinstance(told, Mapping):
        return -1, 0
    until, count = told.get("until"), told.get("count")
    return (until, count) if type(until) is int and type(count) is int else (-1, 0)


def split_foldable(
    file: StoredFile, threshold: int, horizon: int | None = None
) -> tuple[tuple[RegionDelta, ...], StoredFile]:
    """Split off the deltas that a snapshot shall hold, in the order they apply.

    Of a multiplayer file only the shared deltas before the first personal one are folded: a snapshot is one region,
    and from there on each player sees another.

    Returns:
        The deltas to fold, none if the file is not over the threshold; and the file without them.
    """
    ends = [] if horizon is None else [horizon]
    if isinstance(file, RegionDeltaFile):
        early, rest = _split(file.deltas, threshold, ends)
        return early, replace(file, deltas=rest) if early else file
    # At equal ticks shared deltas apply before personal ones, so they may be folded.
    ends += (delta.tick + 1 for deltas in file.personal_deltas.values() for delta in deltas)
    early, rest = _split(file.shared_deltas, threshold, ends)
    return early, replace(file, shared_deltas=rest) if early else file


def _split(
    deltas: tuple[RegionDelta, ...], threshold: int, ends: Sequence[int]
) -> tuple[tuple[RegionDelta, ...], tuple[RegionDelta, ...]]:
    """Split deltas that are too many, in tick order, before the first of some ticks."""
    if len(deltas) <= threshold:
        return (), deltas
    in_order = in_tick_order(deltas)
    early = tuple(delta for delta in in_order if not ends or delta.tick < min(ends))
    return early, in_order[len(early) :]
