"""What can be wrong with the deltas of a region file: some do not read, stand out of order, or contradict the land."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from unspool.history.verdict import ChainFault
from unspool.regions.deltas import RegionDelta
from unspool.regions.state import RegionMoment
from unspool.sources.region_salvage import Loss, RegionSource


def lost_deltas(losses: Iterable[Loss], total: int, *, in_order: bool) -> Iterator[ChainFault]:
    """Yield deltas that do not read, and what they put in doubt.

    Args:
        losses: what was left out.
        total: entries that were read.
        in_order: the file holds one list, and its deltas apply in the order they stand in.
    """
    for loss in losses:
        first = loss.before if in_order else 0
        yield ChainFault("malformed-record", loss.place, loss.message, first, is_lost=True)
        if first < total:
            text = "a delta before them is lost, so none of these states is certain"
            yield ChainFault("severed-base", loss.place, text, first, total - 1)


def document_deltas(document: RegionSource) -> tuple[RegionDelta, ...]:
    """Return the deltas of a document as they stand in it."""
    listed: tuple[RegionDelta, ...] = getattr(document, "folded", ()) or getattr(document, "deltas", ())
    return listed


def out_of_order(deltas: Iterable[RegionDelta], path: str) -> Iterator[ChainFault]:
    """Yield deltas of one list that stand behind later ones."""
    latest: RegionDelta | None = None
    for index, delta in enumerate(deltas):
        if latest is not None and delta.tick < latest.tick:
            text = f"its tick {delta.tick} lies before tick {latest.tick} of a delta before it; deltas apply by tick"
            yield ChainFault("clock-backwards", f"{path}: delta {index}", text)
        else:
            latest = delta


def conflicts(moments: Iterable[RegionMoment], path: str) -> Iterator[ChainFault]:
    """Yield deltas that contradict what the deltas before them left."""
    for seq, moment in enumerate(moments):
        for conflict in moment.meta.get("conflicts", ()):
            place = f"{path}: tick {moment.tick}, {moment.action}"
            yield ChainFault("contradicts-base", place, str(conflict), seq, severity="warning")
