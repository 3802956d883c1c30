"""What the reconstructor hands back."""

from __future__ import annotations

from dataclasses import dataclass

from unspool.errors import UnspoolError
from unspool.model.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class ReconstructionMetadata:
    """What a rebuild took.

    Attributes:
        reconstruction_time: milliseconds.
        deltas_applied: deltas laid on in this run: 0 after a cache hit, fewer than asked for after a nearer start.
        cache_hit: whether the state came straight from the cache.
        start_index: position the run started from; 0 is the full snapshot.
        start_id: id of the state there.
    """

    reconstruction_time: float
    deltas_applied: int
    cache_hit: bool
    start_index: int = 0
    start_id: str = ""


@dataclass(frozen=True, slots=True)
class ReconstructionResult:
    """A rebuilt state, or why there is none.

    Attributes:
        success: whether there is one.
        snapshot: the state, a full snapshot.
        error: why not.
        failed_at: index of the delta that could not be laid on.
        metadata: what it took.
    """

    success: bool
    snapshot: Snapshot | None
    error: UnspoolError | None
    failed_at: int | None
    metadata: ReconstructionMetadata


@dataclass(frozen=True, slots=True)
class ReconstructionPath:
    """The way a rebuild would go.

    Attributes:
        start_id: id of the known state it starts from.
        start_index: its position; 0 is the full snapshot.
        target_index: the position asked for.
        direction: `forward`, `backward`, or `none` where the state itself is known.
        deltas: ids of the deltas on the way, in the order they are laid on.
        cost: bytes of these deltas.
        from_cache: whether the start is a cached state.
    """

    start_id: str
    start_index: int
    target_index: int
    direction: str
    deltas: tuple[str, ...]
    cost: float
    from_cache: bool
