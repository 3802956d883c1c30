"""Channels that a LangGraph file stores as writes: their value is a snapshot and the writes after it, folded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from unspool.errors import ConfigError
from unspool.model.tags import Tagged
from unspool.model.values import Value
from unspool.sources.entries import UnusableRecord
from unspool.sources.langgraph_values import decode_value

Writes = Callable[[str, str, str], Iterable[tuple[str, str | None, bytes]]]
"""Gives what was written at a checkpoint, in order: channel, type and value; by thread, namespace and id."""
_KEPT: Final = 4096
"""Checkpoints whose channels are remembered, so that the next one only adds its own writes."""


@dataclass(slots=True)
class Accumulated:
    """A channel's value at a checkpoint, as far as the file tells it.

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
