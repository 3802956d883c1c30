"""One run along a route: from a known state to the one asked for."""

from __future__ import annotations

from unspool.chain.route import Route
from unspool.chain.walk import ChainWalk, follows, snapshot_at
from unspool.delta.invert import invert_delta
from unspool.delta.replay import Replay
from unspool.errors import BrokenChain, DeltaError, UnspoolError
from unspool.model.snapshots import DeltaSnapshot, Snapshot


class FailedRebuild(Exception):
    """A delta that could not be laid on; never leaves the room: the reconstructor makes a result of it."""

    def __init__(self, index: int, reason: UnspoolError) -> None:
        super().__init__(index, reason)
        self.index = index
        self.reason = reason


def rebuild(base: Snapshot, chain: tuple[DeltaSnapshot, ...], route: Route, start: Snapshot) -> Snapshot:
    """Rebuild the state a route leads to.

    Args:
        base: the chain's full snapshot.
        chain: all its deltas.
        route: where from and where to.
        start: the state the route starts at.

    Raises:
        FailedRebuild: a delta does not fit.
    """
    if route.target == 0:
        return base
    if route.steps == 0:
        return start
    if not route.is_forward:
        return _back(chain, route, start)
    walk = ChainWalk(base)
    if route.start:
        walk.resume(chain[: route.start], start)
    for index in route.deltas():
        try:
            walk.step(chain[index])
        except UnspoolError as error:
            raise FailedRebuild(index, _placed(index, chain[index], error)) from error
    return walk.snapshot()


def _back(chain: tuple[DeltaSnapshot, ...], route: Route, start: Snapshot) -> Snapshot:
    replay = Replay(start.state)
    for index in route.deltas():
        try:
            replay.apply(invert_delta(chain[index]))
        except UnspoolError as error:
            raise FailedRebuild(index, _placed(index, chain[index], error)) from error
    return snapshot_at(chain[route.target - 1], replay)


def _placed(index: int, delta: DeltaSnapshot, error: UnspoolError) -> UnspoolError:
    message = f"delta {index} of the chain ({delta.id!r}) cannot be applied: {error}"
    return type(error)(message) if isinstance(error, DeltaError) else BrokenChain(message)


def can_go_back(base: Snapshot, chain: tuple[DeltaSnapshot, ...], index: int) -> bool:
    """Say whether a delta can be turned round: it plainly follows the one before and tells all old values."""
    delta = chain[index]
    if not follows(delta, chain[index - 1] if index else base):
        return False
    return all(change.packed_ops or change.old is None or change.old.encoded for change in delta.changes.values())
