"""LangGraph: each checkpoint is an entry as soon as its saver has stored it, named by the nodes that ran.

LangGraph itself is not imported: whoever has a saver has it loaded. What comes of it is what `unspool` shows of the
saver's own database, but as it happens and with the lines of the nodes.
"""

from __future__ import annotations

import copy
import functools
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from unspool.bridges import harmless
from unspool.errors import ConfigError
from unspool.model.entries import CALLER
from unspool.model.values import MISSING, Value
from unspool.recorder.calling import Caller
from unspool.recorder.recorder import Recorder
from unspool.sources.entries import SourceEntry, UnusableRecord
from unspool.sources.formats.langgraph_timeline import (
    CheckpointRow,
    CheckpointTimeline,
    WrittenChannels,
    prefix_of,
    stored_values,
    written_names,
)

_KEPT: Final = 4096
"""Checkpoints whose entries are remembered, for others to go back to."""


def record_checkpoints(recorder: Recorder, saver: Any, graph: Any = None) -> Any:
    """Return a saver that also records each checkpoint, as in `graph.compile(checkpointer=record_checkpoints(…))`.

    Channels are atoms; with several threads, atoms carry the thread's name. A run that goes on from an older checkpoint is
    a fork. An entry that one node wrote names the line at which the node's function begins, if the graph is given.

    Args:
        recorder: what it is recorded with.
        saver: stores the checkpoints, of any kind, synchronous or not; it stays as it is.
        graph: the `StateGraph` that has the nodes.

    Raises:
        ConfigError: the saver is none.
    """
    if not callable(getattr(saver, "put", None)) or not callable(getattr(saver, "aput", None)):
        raise ConfigError(f"{type(saver).__name__} is no checkpoint saver; give one such as InMemorySaver()")
    record = harmless(recorder, _Checkpoints(recorder, graph).record)
    recording = copy.copy(saver)
    put, aput = recording.put, recording.aput

    @functools.wraps(put)
    def put_and_record(config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        stored = put(config, checkpoint, metadata, new_versions)
        # Savers whose `aput` calls `put` come by twice.
        record(config, checkpoint, metadata)
        return stored

    @functools.wraps(aput)
    async def aput_and_record(config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        stored = await aput(config, checkpoint, metadata, new_versions)
        record(config, checkpoint, metadata)
        return stored

    recording.put, recording.aput = put_and_record, aput_and_record
    return recording


class _Thread:
    """One thread of a graph, or a subgraph in one.

    Attributes:
        timeline: its checkpoints; a timeline of one thread names channels as the graph does.
        atoms: what its channels are called in the state that all share.
        ever: all atoms that it ever had: those that follow it where it goes back.
    """

    def __init__(self, atoms: Iterable[str] = ()) -> None:
        self.timeline = CheckpointTimeline(WrittenChannels(lambda *_: (), {}), [])
        self.atoms = set(atoms)
        self.ever = set(self.atoms)


class _Checkpoints:
    """The checkpoints of all threads, put together to one history; other atoms of the recording are left alone."""

    def __init__(self, recorder: Recorder, graph: Any) -> None:
        self._recorder = recorder
        self._graph = graph
        self._callers = Caller()
        self._seqs: dict[tuple[str, str, str | None], int | None] = {}
        self._threads: dict[tuple[str, str], _Thread] = {}
        # A recording that goes on may hold other threads already; their names distinguish them from the first one on.
        self._before = frozenset(recorder.last())
        self._is_single = not self._before
        self._turn = threading.Lock()

    def record(self, config: Any, checkpoint: Any, metadata: Any) -> None:
        """Record a checkpoint, once; what is no checkpoint is left out, as the saver's database would leave it out."""
        given = config["configurable"]
        thread, namespace = str(given["thread_id"]), str(given.get("checkpoint_ns") or "")
        row = CheckpointRow(thread, namespace, str(checkpoint["id"]), given.get("checkpoint_id"), dict(metadata))
        key = (thread, namespace, row.id)
        with self._turn:
            if key in self._seqs:
                return
            self._seqs[key] = None
            if len(self._seqs) > _KEPT:
                del self._seqs[next(iter(self._seqs))]
            try:
                missing = written_names(row, checkpoint) - set(stored_values(checkpoint))
                atoms, entry, ever = self._placed(row, checkpoint)
            except UnusableRecord:
                return
            parent = None if entry.parent_id is None else self._seqs.get((thread, namespace, entry.parent_id))
        # Not in turn: code of the app runs while values are encoded. One thread's checkpoints come one after the other.
        seq = self._recorder.update(
            atoms,
            entry.action,
            timestamp_ns=entry.timestamp_ns,
            meta={**entry.meta, **self._line(entry.meta.get("nodes", [])), **_not_kept(missing)},
            entry_id=row.id,
            parent_seq=parent,
            part=None if parent is None else ever,
        )
        self._seqs[key] = seq

    def _placed(self, row: CheckpointRow, checkpoint: Any) -> tuple[dict[str, Value], SourceEntry, list[str]]:
        """Return the atoms that a checkpoint sets and takes away, its entry, and all atoms its thread ever had."""
        key, prefix = (row.thread, row.namespace), prefix_of(row.thread, row.namespace)
        atoms: dict[str, Value] = {}
        if key not in self._threads:
            known = self._threads.setdefault(key, _Thread(name for name in self._before if name.startswith(prefix)))
            if self._is_single and len(self._threads) > 1:
                self._is_single = False
                atoms = self._named_anew()
        for ended in [other for other in self._threads if _is_within(other, key)]:
            atoms |= dict.fromkeys(self._threads.pop(ended).atoms, MISSING)
        known = self._threads[key]
        entry = known.timeline.entry(row, checkpoint, time.time_ns())
        placed = entry.state if self._is_single else {prefix + name: value for name, value in entry.state.items()}
        atoms |= {**dict.fromkeys(known.atoms - set(placed), MISSING), **placed}
        known.atoms = set(placed)
        known.ever |= known.atoms
        return atoms, entry, sorted(known.ever)

    def _named_anew(self) -> dict[str, Value]:
        """A second thread appeared: from here on, atoms of the first one carry its name too."""
        key, first = next(iter(self._threads.items()))
        old, prefix, values = first.atoms, prefix_of(*key), self._recorder.last()
        first.atoms = {prefix + name for name in old}
        first.ever = {prefix + name for name in first.ever}
        return {**dict.fromkeys(old, MISSING), **{prefix + name: values[name] for name in old if name in values}}

    def _line(self, nodes: list[str]) -> Mapping[str, Value]:
        """Return where the node is that ran; with several, each of which wrote some of it, there is no one line."""
        specs = getattr(self._graph, "nodes", {})
        spec = specs.get(nodes[0]) if len(nodes) == 1 else None
        runnable = getattr(spec, "runnable", None)
        function = getattr(runnable, "func", None) or getattr(runnable, "afunc", None)
        line = self._callers.of_function(function)
        return {} if line is None else {CALLER: line.to_meta()}


def _is_within(thread: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether a thread is one call of a subgraph in another, which has ended when the other one goes on.

    Its namespace ends with the number of a task; that of a subgraph which keeps its state from call to call does not.
    """
    begin = f"{other[1]}|" if other[1] else ""
    return (
        thread[0] == other[0] and thread != other and thread[1].startswith(begin) and ":" in thread[1][len(begin) :]
    )


def _not_kept(channels: set[str]) -> Mapping[str, Value]:
    """Say which channels are stored as writes that only the graph can fold, and so are not in the state."""
    return {"not_kept": sorted(channels)} if channels else {}
