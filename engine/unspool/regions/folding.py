"""Keeping a file short: merge what repeats, and split off what a snapshot can hold (rows R-22, R-50, R-51)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from unspool.regions.compress import compress_deltas
from unspool.regions.deltas import RegionDelta, in_tick_order
from unspool.regions.region_file import RegionDeltaFile
from unspool.regions.table import ActionTable
from unspool.regions.visits import StoredFile

SNAPSHOT_THRESHOLD: Final = 1000
"""The seed's DELTA_THRESHOLD: a file with more deltas than this is folded into a snapshot."""


def compressed(file: StoredFile, actions: ActionTable) -> StoredFile:
    """Return a file with repeated deltas merged; every player sees the same region as before."""
    if isinstance(file, RegionDeltaFile):
        return replace(file, deltas=compress_deltas(file.deltas, actions=actions))
    personal_ticks = [delta.tick for deltas in file.personal_deltas.values() for delta in deltas]
    shared_ticks = [delta.tick for delta in file.shared_deltas]
    return replace(
        file,
        shared_deltas=compress_deltas(file.shared_deltas, actions=actions, barriers=personal_ticks),
        personal_deltas={
            player: compress_deltas(deltas, actions=actions, barriers=shared_ticks)
            for player, deltas in file.personal_deltas.items()
        },
    )


def split_foldable(file: StoredFile, threshold: int) -> tuple[tuple[RegionDelta, ...], StoredFile]:
    """Split off the deltas that a snapshot shall hold, in the order they apply.

    A file of one player is folded whole. Of a multiplayer file only the shared deltas before the first personal one
    are folded: a snapshot is one region, and from there on each player sees another.

    Returns:
        The deltas to fold, none if the file is not over the threshold; and the file without them.
    """
    if isinstance(file, RegionDeltaFile):
        if len(file.deltas) <= threshold:
            return (), file
        return in_tick_order(file.deltas), replace(file, deltas=())
    if len(file.shared_deltas) <= threshold:
        return (), file
    ticks = [delta.tick for deltas in file.personal_deltas.values() for delta in deltas]
    shared = in_tick_order(file.shared_deltas)
    # At equal ticks shared deltas apply before personal ones, so they may be folded.
    early = tuple(delta for delta in shared if not ticks or delta.tick <= min(ticks))
    return early, replace(file, shared_deltas=shared[len(early) :])
