"""Checkpoints of LangGraph in order, with their stored values: msgpack with extension codes of its own.

Nothing that a value names is imported or called.
"""

from __future__ import annotations

import json
import math
import struct
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgpack

from unspool.errors import ConfigError
from unspool.model.entries import NO_META
from unspool.model.json_exact import BrokenText, parse
from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import MISSING, State, Value
from unspool.sources.entries import TIME_FROM_FILE, Known, SourceEntry, UnusableRecord, to_ns, with_others

_CONSTRUCTED: Final = range(6)
"""Codes 0 to 5: a class by module and name, and what it was made from (one argument, positional ones, keywords, a
method's argument, pydantic v1, pydantic v2)."""
_ARRAY, _SNAPSHOT = 6, 7
SNAPSHOT: Final = "langgraph.DeltaSnapshot"
"""Marks the value of a channel that is otherwise stored as writes (extension code 7)."""
_MAX_NESTING: Final = 64
"""Objects inside objects; each level unpacks one more piece of bytes."""
_MOST_NUMBERS: Final = 1_000
"""Numbers of an array that is shown as numbers."""
_LETTERS: Final = {
    "b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip
"""How `struct` calls the numbers of an array, by the type's name in numpy without its byte order."""


def _unpack(data: bytes, level: int) -> Value:
    def extension(code: int, payload: bytes) -> Value:
        if level >= _MAX_NESTING:
            raise UnusableRecord(f"objects nested deeper than {_MAX_NESTING} levels")
        return _object(code, payload, level + 1)

    try:
        return msgpack.unpackb(
            data, raw=False, strict_map_key=False, ext_hook=extension, timestamp=0, unicode_errors="surrogateescape"
        )
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError) as error:
        raise UnusableRecord(f"its msgpack does not read ({error or type(error).__name__})") from None


def _object(code: int, payload: bytes, level: int) -> Value:
    if code == _SNAPSHOT:
        return Tagged(SNAPSHOT, _unpack(payload, level))
    if code == _ARRAY:
        return Tagged("numpy.ndarray", _array(_unpack(payload, level)))
    if code not in _CONSTRUCTED:
        return Tagged(f"msgpack.ext.{code}", payload)
    parts = _unpack(payload, level)
    if not isinstance(parts, list | tuple) or len(parts) < 3:
        return Unrepresentable(f"msgpack.ext.{code}", "not a class, a name and its content")
    name = f"{parts[0]}.{parts[1]}"
    if name == "uuid.UUID" and isinstance(parts[2], str):
        try:
            return uuid.UUID(parts[2])
        except ValueError:
            return Tagged(name, parts[2])
    return Tagged(name, parts[2])


def _array(parts: Value) -> Value:
    """Return an array as a recorder keeps one: a small one of numbers as its values, any other as its bytes."""
    if not isinstance(parts, list | tuple) or len(parts) != 4:
        return parts
    dtype, shape, order, data = parts
    numbers = _numbers(dtype, shape, order, data)
    if numbers is None:
        return {"dtype": dtype, "shape": shape, "order": order, "data": data}
    for size in reversed(shape[1:]):
        numbers = [numbers[start : start + size] for start in range(0, len(numbers), size)]
    return {"dtype": dtype, "shape": list(shape), "values": numbers}


def _numbers(dtype: Value, shape: Value, order: Value, data: Value) -> list[Value] | None:
    """The numbers of a small array in C order; `None` for what is large, empty, or no such array."""
    if not (isinstance(dtype, str) and isinstance(shape, list | tuple) and order == "C" and isinstance(data, bytes)):
        return None
    letter = _LETTERS.get(dtype[1:])
    if letter is None or dtype[0] not in "<>|" or not all(type(size) is int and size > 0 for size in shape):
        return None
    count = math.prod(shape)
    if not shape or count > _MOST_NUMBERS or len(data) != count * struct.calcsize(f"={letter}"):
        return None
    return list(struct.unpack(f"{'>' if dtype[0] == '>' else '<'}{count}{letter}", data))


def decode_value(kind: Value, data: Value) -> Value:
    """Decode one stored value by its type column.

    Raises:
        UnusableRecord: it does not decode, or is a pickle, which is refused: loading one runs code.
    """
    # A damaged or foreign database may hold any type in any column.
    raw = data if isinstance(data, bytes) else b"" if data is None else str(data).encode("utf-8", "surrogatepass")
    if kind == "msgpack":
        return _unpack(raw, 0)
    if kind == "json":
        try:
            return parse(raw).value
        except BrokenText as error:
            raise UnusableRecord(f"its JSON does not read ({error})") from None
    if kind in (None, "null", "empty"):
        return None
    if kind in ("bytes", "bytearray"):
        return raw
    if kind == "pickle":
        raise UnusableRecord("it is a pickle, and loading one would run code; save it again without pickle_fallback")
    raise UnusableRecord(f"it is stored as {kind!r}, which is not known (encrypted values need their key)")


Writes = Callable[[str, str, str], Iterable[tuple[str, str | None, bytes]]]
"""Gives what was written at a checkpoint, in order: channel, type and value; by thread, namespace and id."""
_KEPT: Final = 4096
"""Checkpoints whose channels are remembered, so that the next one only adds its own writes."""


@dataclass(slots=True)
class Accumulated:
    """A channel's value at a checkpoint, as far as the file holds it.

    Attributes:
        seed: the nearest snapshot of the channel; None where it started empty.
        has_seed: there is such a snapshot.
        writes: what was written since, oldest first.
    """

    seed: Value = None
    has_seed: bool = False
    writes: list[Value] = field(default_factory=list)


def _append(seed: Value, writes: list[Value]) -> Value:
    items = list(seed) if isinstance(seed, list) else [] if seed is None else [seed]
    for write in writes:
        items.extend(write if isinstance(write, list) else [write])
    return items


def _merge(seed: Value, writes: list[Value]) -> Value:
    merged = dict(seed) if isinstance(seed, dict) else {}
    for write in writes:
        if isinstance(write, dict):
            merged.update(write)
    return merged


def _message_id(message: Value) -> Value:
    content = message.value if isinstance(message, Tagged) else message
    return content.get("id") if isinstance(content, dict) else None


def _by_id(seed: Value, writes: list[Value]) -> Value:
    messages: list[Value] = []
    places: dict[Value, int] = {}
    for message in [*_append(seed, []), *_append([], writes)]:
        identity = _message_id(message)
        if isinstance(identity, str) and identity in places:
            messages[places[identity]] = message
            continue
        if isinstance(identity, str):
            places[identity] = len(messages)
        messages.append(message)
    return messages


FOLDS: Final[dict[str, Callable[[Value, list[Value]], Value]]] = {
    "append": _append,
    "merge": _merge,
    "messages": _by_id,
}
"""How writes can be folded; the file does not hold the app's own reducer, so the user chooses."""


def check_folds(folds: Mapping[str, str]) -> None:
    """Refuse a way of folding that there is not.

    Raises:
        ConfigError: an unknown name.
    """
    for channel, name in folds.items():
        if name not in FOLDS:
            raise ConfigError(f"{name!r} is no way to fold the channel {channel!r}; write one of {', '.join(FOLDS)}")


class WrittenChannels:
    """Follows the channels that are stored as writes along the tree of checkpoints."""

    def __init__(self, writes: Writes, folds: Mapping[str, str]) -> None:
        check_folds(folds)
        self._writes = writes
        self._folds = folds
        self._known: dict[tuple[str, str, str], dict[str, Accumulated]] = {}
        self.unfolded: set[str] = set()

    def after(self, thread: str, namespace: str, parent: str | None, names: set[str]) -> dict[str, Accumulated]:
        """Return the channels as the children of a checkpoint begin with them: its own, and what it wrote."""
        if parent is None:
            return {}
        before = self._known.get((thread, namespace, parent), {})
        result = {name: Accumulated(known.seed, known.has_seed, list(known.writes)) for name, known in before.items()}
        for channel, kind, data in self._writes(thread, namespace, parent):
            if channel in names or channel in result:
                result.setdefault(channel, Accumulated()).writes.append(self._decode(kind, data))
        return result

    @staticmethod
    def _decode(kind: str | None, data: bytes) -> Value:
        try:
            return decode_value(kind, data)
        except UnusableRecord as error:
            return Tagged("unreadable write", str(error))

    def remember(self, thread: str, namespace: str, checkpoint: str, channels: dict[str, Accumulated]) -> None:
        """Keep a checkpoint's channels for its children."""
        if channels:
            self._known[thread, namespace, checkpoint] = channels
            if len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]

    def value(self, channel: str, accumulated: Accumulated) -> Value:
        """Return a channel's value: folded as the user said, else its seed and the writes as they are."""
        fold = self._folds.get(channel)
        if fold is not None:
            return FOLDS[fold](accumulated.seed, accumulated.writes)
        if not accumulated.writes and accumulated.has_seed:
            return accumulated.seed
        self.unfolded.add(channel)
        return {"seed": accumulated.seed, "writes": accumulated.writes}


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
        metadata: further facts from LangGraph.
    """

    thread: str
    namespace: str
    id: str
    parent: str | None
    metadata: dict[str, Value]


class CheckpointTimeline:
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
