"""What can be wrong with the events of a space: its chain of hashes, its numbers, its genesis, its diffs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from unspool.errors import EventLogError
from unspool.events.hashing import GAP
from unspool.events.histories import ForkBase, next_source
from unspool.events.log import EventLog
from unspool.events.records import BrokenLink, Event, EventType
from unspool.events.replay import SourceState
from unspool.history.verdict import Cancelled, ChainFault
from unspool.sources.chains import SeqOf

PlaceOf = Callable[[str, int], str]
"""Says where an event is, given its space and number."""
SeqAt = Callable[[str, int], int | None]
"""Gives the entry of the first event of a space from a number on that made one."""
_BEGINNINGS = (EventType.SPACE_CREATED, EventType.SPACE_FORKED)


def broken_links(
    log: EventLog, spaces: Iterable[str], place_of: PlaceOf, seq_at: SeqAt, total: int, cancelled: Cancelled
) -> Iterator[ChainFault]:
    """Verify the chain of each space as `unspool events verify` does, and yield the first break of each.

    Args:
        log: the log.
        spaces: the spaces to verify.
        place_of: says where an event is.
        seq_at: gives the entry of the first readable event of a space from a number on; None behind the last.
        total: entries that were read.
        cancelled: asked whether to stop.
    """
    for space_id in spaces:
        if cancelled():
            return
        link = log.verify_integrity(space_id).first_broken_link
        if link is None:
            continue
        first = seq_at(space_id, link.sequence_number)
        place = place_of(space_id, link.sequence_number)
        is_unreadable = link.reason.startswith("it cannot be read")
        if is_unreadable or _is_gap(link):
            code = "malformed-record" if is_unreadable else "missing-entries"
            yield ChainFault(code, place, _message_of(link), total if first is None else first, is_lost=True)
            if first is not None:
                text = "something before them in their chain is lost, so none of these states is certain"
                yield ChainFault("severed-base", place, text, first, total - 1)
        else:
            last = None if first is None else total - 1
            text = f"{link.reason}; it and what follows are not certain"
            yield ChainFault("hash-chain-broken", place, text, first, last)


def _is_gap(link: BrokenLink) -> bool:
    expected, actual = link.expected or "", link.actual or ""
    if link.reason.startswith(GAP):
        return True
    # Numbers are told as numbers, hashes as 64 digits.
    return expected.isdigit() and actual.isdigit() and len(expected) < 64


def _message_of(link: BrokenLink) -> str:
    if not _is_gap(link):
        return link.reason
    if link.reason.startswith(GAP):
        # The first event of a space follows none.
        return (
            f"the genesis of the space is missing{link.reason.removeprefix(GAP)}"
            if link.expected is None
            else link.reason
        )
    return f"{link.reason} (expected number {link.expected}, found {link.actual})"


def misfits(
    events: Iterable[Event], fork_base: ForkBase, place_of: PlaceOf, seq_of: SeqOf, total: int, cancelled: Cancelled
) -> Iterator[ChainFault]:
    """Replay the events of one space and yield diffs that do not apply, and a genesis that is not there."""
    source: SourceState | None = None
    is_first, is_severed = True, False
    for event in events:
        if cancelled():
            return
        place, first = place_of(event.space_id, event.sequence_number), seq_of(event.id)
        if is_first and event.type is EventType.SPACE_EVOLVED and not event.payload.get("source"):
            is_severed = True
            text = "the space has no genesis: what its diffs change is not in the log"
            yield ChainFault("severed-base", place, text, first, total - 1)
        is_first = False
        try:
            before, source = source, next_source(source, event, fork_base)
        except EventLogError as error:
            text = f"{error}; the source is shown as it was before, up to the end"
            yield ChainFault("malformed-record", place, text, first, total - 1)
            continue
        is_unknown_fork = event.type is EventType.SPACE_FORKED and before is None and source is None
        if is_unknown_fork and not is_severed and "source" not in event.payload:
            is_severed = True
            text = "the space it was forked from, or the moment of the fork, is not in the log"
            yield ChainFault("fork-without-parent", place, text, first, total - 1)
