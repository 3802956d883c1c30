"""What a history manager tells its listeners (row N-56)."""

from __future__ import annotations

import warnings
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
        """Call all listeners in the order they came.

        What happened has happened: an error in a listener is a warning, and neither keeps others from being told nor
        looks as if the history had failed.
        """
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a listener is the app's own code and may raise anything
                name = getattr(listener, "__qualname__", type(listener).__name__)
                message = f"the listener {name} raised {type(error).__name__}: {error}; the {event.type} stands"
                warnings.warn(message, RuntimeWarning, stacklevel=3)
