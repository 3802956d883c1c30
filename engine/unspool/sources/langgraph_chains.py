"""What can be wrong with the checkpoints of a LangGraph database: parents, and the seeds of channels kept as writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from unspool.history.verdict import Cancelled, ChainFault
from unspool.model.values import Value
from unspool.sources.chains import SeqOf
from unspool.sources.entries import UnusableRecord
from unspool.sources.json_exact import BrokenText
from unspool.sources.langgraph_timeline import CheckpointRow, stored_values, written_names

_PARENTS: Final = (
    "SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id FROM checkpoints WHERE {chosen} "
    "ORDER BY checkpoint_id"
)
_STRAY: Final = (
    "SELECT thread_id, checkpoint_ns, checkpoint_id, count(*) FROM {writes} WHERE {chosen} AND NOT EXISTS "
    "(SELECT 1 FROM checkpoints WHERE checkpoints.thread_id = {writes}.thread_id "
    "AND checkpoints.checkpoint_ns = {writes}.checkpoint_ns "
    "AND checkpoints.checkpoint_id = {writes}.checkpoint_id) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)
Key = tuple[str, str, str]
"""Thread, namespace and id of a checkpoint."""


def parents_query(chosen: str) -> str:
    """Return the query for what `broken_parents` takes."""
    return _PARENTS.format(chosen=chosen)


def stray_query(chosen: str, writes: str) -> str:
    """Return the query for what `stray_writes` takes, given the name of the table of writes."""
    return _STRAY.format(chosen=chosen, writes=writes)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What of a checkpoint matters to those that follow it.

    Attributes:
        key: which it is.
        parent: the one it follows; None for the first of a thread.
        stored: channels whose value it holds, as a snapshot or whole.
        written: channels whose value is a snapshot further up and the writes since.
        problem: why it does not read; "" where it does.
    """

    key: Key
    parent: Key | None
    stored: frozenset[str]
    written: frozenset[str]
    problem: str = ""


def link_of(row: CheckpointRow, read: Callable[[], dict[str, Value]]) -> Checkpoint:
    """Return what of a checkpoint matters to those that follow it.

    Args:
        row: its row.
        read: gives its content; may raise `UnusableRecord` or `BrokenText`.
    """
    key = key_of(row.thread, row.namespace, row.id)
    parent = None if row.parent is None else key_of(row.thread, row.namespace, row.parent)
    try:
        checkpoint = read()
        stored = frozenset(stored_values(checkpoint))
    except (UnusableRecord, BrokenText) as error:
        return Checkpoint(key, parent, frozenset(), frozenset(), str(error))
    return Checkpoint(key, parent, stored, frozenset(written_names(row, checkpoint)))


class CheckpointChains:
    """Follows checkpoints in the order of their ids, which are ordered by time."""

    def __init__(self, place_of: Callable[[str], str], seq_of: SeqOf) -> None:
        """Prepare.

        Args:
            place_of: says where a checkpoint is, given its id.
            seq_of: see `ChainedReader.chain_faults`.
        """
        self._place_of = place_of
        self._seq_of = seq_of
        self._severed: dict[Key, frozenset[str]] = {}
        self._next = 0

    def see(self, checkpoint: Checkpoint) -> Iterator[ChainFault]:
        """Take the next checkpoint and yield what is wrong with its channels."""
        place, seq = self._place_of(checkpoint.key[2]), self._seq_of(checkpoint.key[2])
        if checkpoint.problem:
            yield ChainFault("malformed-record", place, checkpoint.problem, self._next, is_lost=True)
            return
        self._next = self._next if seq is None else seq + 1
        parent = checkpoint.parent
        if parent is None:
            inherited: frozenset[str] = frozenset()
        elif parent in self._severed:
            inherited = self._severed[parent]
        else:
            # The one before does not read or is not there, and neither is what it held of these channels.
            inherited = checkpoint.written
        severed = (inherited & checkpoint.written) - checkpoint.stored
        self._severed[checkpoint.key] = severed
        for channel in sorted(severed):
            text = f"the snapshot that the writes of channel {channel!r} stand on is not in the file"
            yield ChainFault("severed-base", place, text, seq)


def broken_parents(
    rows: Iterable[Sequence[Value]], place_of: Callable[[str], str], seq_of: SeqOf, cancelled: Cancelled
) -> Iterator[ChainFault]:
    """Yield checkpoints whose parent is not there, or that are their own ancestor; `rows` are of `parents_query`."""
    parents: dict[Key, Key | None] = {}
    for thread, namespace, identity, parent in rows:
        key = key_of(thread, namespace, identity)
        parents[key] = None if parent is None else key_of(thread, namespace, parent)
    for key, parent_key in parents.items():
        if cancelled():
            return
        if parent_key is not None and parent_key not in parents:
            text = f"follows checkpoint {parent_key[2]}, which is not in the file"
            yield ChainFault("fork-without-parent", place_of(key[2]), text, seq_of(key[2]), severity="warning")
    for key in _on_cycles(parents):
        text = "is its own ancestor: following parents never comes to a first checkpoint"
        yield ChainFault("parent-cycle", place_of(key[2]), text, seq_of(key[2]))


def _on_cycles(parents: dict[Key, Key | None]) -> list[Key]:
    """Return one checkpoint of each cycle, the first by id."""
    done: set[Key] = set()
    found = []
    for start in parents:
        walked: dict[Key, None] = {}
        key: Key | None = start
        while key is not None and key in parents and key not in done and key not in walked:
            walked[key] = None
            key = parents[key]
        if key in walked:
            cycle = list(walked)[list(walked).index(key) :]
            found.append(min(cycle))
        done.update(walked)
    return found


def stray_writes(rows: Iterable[Sequence[Value]], place_of: Callable[[str], str]) -> Iterator[ChainFault]:
    """Yield writes of checkpoints that are not there; `rows` are of `stray_query`."""
    for thread, _, identity, count in rows:
        text = f"{count} writes of thread {thread!r} belong to a checkpoint that is not in the file"
        yield ChainFault("unreachable-records", place_of(str(identity)), text)


def key_of(thread: Value, namespace: Value, identity: Value) -> Key:
    """Return the key of a checkpoint; a damaged database may hold any type in any column."""
    return str(thread), str(namespace or ""), str(identity)
