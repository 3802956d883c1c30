"""What a history manager tells its listeners (row N-56)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

EventType: TypeAlias = Literal["add", "undo", "redo", "jump", "clear", "full"]


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """Something that happened to a history.

    Attributes:
        type: `add`, `undo`, `redo`, `jump`, `clear`, or `full` when entries were stored anew as full snapshots.
        index: place of the current entry after it; None in an empty history.
        snapshot_id: id of the current entry after it.
        is_full: whether that entry is stored whole.
        forked: whether an added entry began another future.
        evicted: entries that left because of `max_history`.
        truncated: entries that were dropped because of `on_write_after_undo="truncate"`.
    """

    type: EventType
    index: int | None
    snapshot_id: str | None
    is_full: bool = False
    forked: bool = False
    evicted: int = 0
    truncated: int = 0


Listener: TypeAlias = Callable[[HistoryEvent], object]


class Listeners:
    """The functions that are told."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the function returned takes it out again, as often as it is called."""
        self._listeners = [*self._listeners, listener]
        is_in = True

        def unsubscribe() -> None:
            nonlocal is_in
            if is_in:
                left = list(self._listeners)
                left.remove(listener)
                self._listeners = left
                is_in = False

        return unsubscribe

    def tell(self, event: HistoryEvent) -> None:
        """Call all listeners in the order they came; an error in one ends the round and reaches the caller."""
        for listener in self._listeners:
            listener(event)
