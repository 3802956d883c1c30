"""Checkpoints of LangGraph as entries, wherever they are stored: channels are atoms, threads and namespaces share one state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from unspool.errors import ConfigError
from unspool.model.entries import NO_META
from unspool.model.tags import Tagged
from unspool.model.values import MISSING, State, Value
from unspool.sources.entries import TIME_FROM_FILE, SourceEntry, UnusableRecord
from unspool.sources.findings import Known, with_others
from unspool.sources.langgraph_channels import Accumulated, WrittenChannels
from unspool.sources.langgraph_values import SNAPSHOT
from unspool.sources.timestamps import to_ns

_KEPT: Final = 4096
"""Checkpoints of which it is remembered what their nodes had seen, so that the next ones tell which nodes ran."""
_SELECTABLE: Final = {"thread": "thread_id", "namespace": "checkpoint_ns"}


_OF_CHECKPOINT: Final[Known] = dict.fromkeys(
    ("v", "ts", "id", "channel_values", "channel_versions", "versions_seen", "updated_channels", "pending_sends", "current_tasks")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint without its content.

    Attributes:
        thread: its thread.
        namespace: the subgraph it belongs to; "" for the graph itself.
        id: its id.
        parent: the checkpoint it follows, if any.
        metadata: what LangGraph tells besides.
    """

    thread: str
    namespace: str
    id: str
    parent: str | None
    metadata: dict[str, Value]


class Timeline:
    """Puts checkpoints together to one history.

    One thread shows its channels by name. With several the state is that of all, and atoms are named `thread channel`; an entry
    then names the atoms of its own thread alone, so that what the others hold costs nothing.
    """

    def __init__(self, channels: WrittenChannels, threads: list[tuple[str, str]]) -> None:
        """Begin.

        Args:
            channels: follows channels that are stored as writes.
            threads: threads and namespaces there are already; two are enough to know that there are several.
        """
        self._channels = channels
        self._is_single = len(threads) < 2
        self._first = threads[0] if threads else None
        self._state: State = {}
        """The channels of the only thread; nothing once there are several."""
        self._atoms: dict[tuple[str, str], tuple[str, ...]] = {}
        """The channels that each thread has in the state."""
        self._newest: dict[tuple[str, str], str] = {}
        self._ever: dict[tuple[str, str], dict[str, None]] = {}
        """All atoms that each thread ever had: those that follow it where it goes back."""
        self._said: set[str] = set()
        self._seen: dict[tuple[str, str, str | None], dict[str, Value]] = {}

    def entry(self, row: CheckpointRow, checkpoint: dict[str, Value], default_ns: int) -> SourceEntry:
        """Return the entry of the next checkpoint.

        Args:
            row: which it is.
            checkpoint: its content.
            default_ns: the time to use where it names none.

        Raises:
            UnusableRecord: it holds no channel values.
        """
        values = self._values(row, checkpoint)
        key = (row.thread, row.namespace)
        self._first = self._first or key
        renamed = self._become_many() if self._is_single and key != self._first else None
        touched = self._replace(key, values)
        timestamp_ns = to_ns(checkpoint.get("ts"))
        nodes = self._nodes(row, checkpoint)
        meta = with_others(_meta(row, nodes, timestamp_ns is None), checkpoint, _OF_CHECKPOINT)
        at = default_ns if timestamp_ns is None else timestamp_ns
        # Threads take turns: only one that goes back to an older checkpoint of its own leaves the common line.
        newest, self._newest[key] = self._newest.get(key), row.id
        parent = None if row.parent == newest else row.parent
        part = None if self._is_single or parent is None else tuple(self._ever[key])
        is_part = not self._is_single and renamed is None
        state = touched if renamed is None else {**renamed, **touched}
        return SourceEntry(state, at, _label(row.metadata, nodes), meta, row.id, parent, part, is_part=is_part)

    def ends(self) -> list[tuple[str, str, str]]:
        """Return the newest checkpoint of each thread and namespace that was read."""
        return [(*key, identity) for key, identity in self._newest.items()]

    def _values(self, row: CheckpointRow, checkpoint: dict[str, Value]) -> State:
        stored = stored_values(checkpoint)
        written = written_names(row, checkpoint)
        channels = self._channels.after(row.thread, row.namespace, row.parent, written - set(stored))
        values: State = {}
        for name, value in stored.items():
            if isinstance(value, Tagged) and value.type_name == SNAPSHOT:
                channels[name] = Accumulated(value.value, has_seed=True)
                values[name] = value.value
            else:
                channels.pop(name, None)
                values[name] = value
        for name, accumulated in channels.items():
            if name not in values:
                values[name] = self._channels.value(name, accumulated)
        self._channels.remember(row.thread, row.namespace, row.id, channels)
        return values

    def _nodes(self, row: CheckpointRow, checkpoint: dict[str, Value]) -> list[str]:
        """Return the nodes that ran since the parent: those that have seen other versions of channels than there.

        None are named where the parent is not known.
        """
        given = checkpoint.get("versions_seen")
        seen = given if isinstance(given, dict) else {}
        before = {} if row.parent is None else self._seen.get((row.thread, row.namespace, row.parent))
        self._seen[row.thread, row.namespace, row.id] = seen
        if len(self._seen) > _KEPT:
            del self._seen[next(iter(self._seen))]
        if before is None:
            return []
        ran = (name for name, versions in seen.items() if versions and versions != before.get(name))
        return [name for name in ran if isinstance(name, str) and not name.startswith("__")]

    def _become_many(self) -> State:
        """A second thread appeared: from here on atoms carry their thread's name. Return those of the first one."""
        self._is_single = False
        state, self._state = self._state, {}
        prefix = "" if self._first is None else prefix_of(*self._first)
        return {prefix + name: value for name, value in state.items()}

    def _replace(self, key: tuple[str, str], values: State) -> State:
        """Take a thread's channels in the place of those it had before, and return the atoms that are touched by that."""
        before, self._atoms[key] = self._atoms.get(key, ()), tuple(values)
        if self._is_single:
            self._state = values
            return dict(values)
        prefix = prefix_of(*key)
        touched: State = {prefix + name: MISSING for name in before if name not in values}
        touched |= {prefix + name: value for name, value in values.items()}
        self._ever.setdefault(key, {}).update(dict.fromkeys(prefix + name for name in values))
        return touched

    def notices(self) -> Iterator[str]:
        """Yield what must be said about the whole and was not said yet."""
        for channel in sorted(self._channels.unfolded - self._said):
            self._said.add(channel)
            message = f"the channel {channel!r} is stored as writes, and how they fold is known to the app only"
            yield f"{message}; choose with --fold {channel}=append|merge|messages"


def stored_values(checkpoint: Value) -> dict[str, Value]:
    """Return the channels that a checkpoint holds.

    Raises:
        UnusableRecord: it holds none at all, or something else.
    """
    values = checkpoint.get("channel_values") or {} if isinstance(checkpoint, dict) else None
    if not isinstance(values, dict):
        raise UnusableRecord("it holds no channel values")
    return values


def written_names(row: CheckpointRow, checkpoint: dict[str, Value]) -> set[str]:
    """Return the channels that are stored as writes, with a snapshot now and then."""
    versions = checkpoint.get("channel_versions")
    counters = row.metadata.get("counters_since_delta_snapshot")
    named = set(counters) if isinstance(counters, dict) else set()
    return named & (set(versions) if isinstance(versions, dict) else set())


def metadata_of(data: Value) -> dict[str, Value]:
    """Read a checkpoint's metadata; what is no JSON object is kept as it stands."""
    try:
        metadata = json.loads(data) if data else {}
    except (ValueError, TypeError, RecursionError):
        return {"metadata": data}
    return metadata if isinstance(metadata, dict) else {"metadata": metadata}


def selection(select: Mapping[str, str], mark: str) -> tuple[str, tuple[str, ...]]:
    """Return the SQL condition for what a user selected, and its values.

    Args:
        select: `{"thread": …, "namespace": …}`, both optional.
        mark: how the database's driver spells a parameter.

    Raises:
        ConfigError: something else is selected.
    """
    for name in select:
        if name not in _SELECTABLE:
            raise ConfigError(f"LangGraph checkpoints have no {name!r}; write --select {'|'.join(_SELECTABLE)}=NAME")
    conditions = [f"{_SELECTABLE[name]} = {mark}" for name in select]
    return " AND ".join(["TRUE", *conditions]), tuple(select.values())


def prefix_of(thread: str, namespace: str) -> str:
    """Return what the names of a thread's atoms begin with, where there are several."""
    return f"{thread}|{namespace} " if namespace else f"{thread} "


def _label(metadata: dict[str, Value], nodes: list[str]) -> str:
    source, step = metadata.get("source"), metadata.get("step")
    told = " ".join(str(part) for part in (source, None if step is None else f"step {step}") if part is not None)
    return f"{told}: {', '.join(nodes)}" if nodes else told


def _meta(row: CheckpointRow, nodes: list[str], has_no_time: bool) -> dict[str, Value]:
    meta: dict[str, Value] = {"thread": row.thread, "checkpoint": row.id}
    if row.namespace:
        meta["namespace"] = row.namespace
    if row.parent is not None:
        meta["parent"] = row.parent
    if nodes:
        meta["nodes"] = nodes
    meta.update({key: value for key, value in row.metadata.items() if value not in (None, {}, [])})
    if has_no_time:
        meta.update(TIME_FROM_FILE)
    return meta or dict(NO_META)
