"""Keeping a file short: merge what repeats, and split off what a snapshot can hold (rows R-22, R-50, R-51).

Both change what comes between ticks, so both leave alone what is not settled: deltas at or after the `horizon`, the
earliest entry of a visit that is still going on and may yet store deltas of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from unspool.regions.compress import compress_deltas
from unspool.regions.deltas import RegionDelta, in_tick_order
from unspool.regions.region_file import RegionDeltaFile
from unspool.regions.table import ActionTable
from unspool.regions.visits import StoredFile

SNAPSHOT_THRESHOLD: Final = 1000
"""The seed's DELTA_THRESHOLD: a file with more deltas than this is folded into a snapshot."""


def compressed(file: StoredFile, actions: ActionTable, horizon: int | None = None) -> StoredFile:
    """Return a file with repeated deltas merged; every player sees the same region as before."""

    def shorter(deltas: tuple[RegionDelta, ...], barriers: Sequence[int] = ()) -> tuple[RegionDelta, ...]:
        settled = tuple(delta for delta in deltas if horizon is None or delta.tick < horizon)
        open_ones = tuple(delta for delta in deltas if horizon is not None and delta.tick >= horizon)
        return (*compress_deltas(settled, actions=actions, barriers=barriers), *open_ones)

    if isinstance(file, RegionDeltaFile):
        return replace(file, deltas=shorter(file.deltas))
    personal_ticks = [delta.tick for deltas in file.personal_deltas.values() for delta in deltas]
    shared_ticks = [delta.tick for delta in file.shared_deltas]
    return replace(
        file,
        shared_deltas=shorter(file.shared_deltas, personal_ticks),
        personal_deltas={player: shorter(deltas, shared_ticks) for player, deltas in file.personal_deltas.items()},
    )


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
