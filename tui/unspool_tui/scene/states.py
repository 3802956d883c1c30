"""States whose atoms stay decoded from entry to entry: while scrubbing, most of a state stays the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from unspool.model.values import Value
from unspool.model.wire import decode
from unspool_tui.view.history_port import StateView

_MOST_BYTES: Final = 48 << 20
"""Wire bytes whose decoded values are kept at most; decoded they take a few times as much."""
_SPARE_BYTES: Final = 1 << 20
"""Wire bytes kept of values that none of the last few states held."""
_STATES_KEPT: Final = 4
"""States ago that a value must have been looked at to be kept whatever else is."""


class Decoded:
    """Decoded atoms by the identity of their wire form; neighbouring states share those objects.

    What the states at hand hold stays, however much it is; of what only older ones held little does, or following a
    recorder would keep the values of hours.
    """

    __slots__ = ("_bytes", "_kept", "_states")

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[bytes, Value, int]] = OrderedDict()
        self._bytes = 0
        self._states = 0

    @property
    def wire_bytes(self) -> int:
        """Wire bytes of what is kept decoded."""
        return self._bytes

    def turn(self) -> None:
        """Take note that another state is looked at from now on."""
        self._states += 1

    def value(self, wire: bytes) -> Value:
        """Return the value of a wire form; shared, so nobody may change it."""
        key = id(wire)
        known = self._kept.get(key)
        if known is not None and known[0] is wire:
            if known[2] != self._states:
                self._kept[key] = (wire, known[1], self._states)
            self._kept.move_to_end(key)
            return known[1]
        value = decode(wire)
        self._kept[key] = (wire, value, self._states)
        self._bytes += len(wire)
        while len(self._kept) > 1 and self._has_too_much():
            _, (dropped, _, _) = self._kept.popitem(last=False)
            self._bytes -= len(dropped)
        return value

    def _has_too_much(self) -> bool:
        if self._bytes <= _SPARE_BYTES:
            return False
        oldest = next(iter(self._kept.values()))[2]
        return self._bytes > _MOST_BYTES or oldest < self._states - _STATES_KEPT


class SharedState:
    """A state of the history that decodes through a `Decoded`."""

    __slots__ = ("_decoded", "_inner")

    def __init__(self, inner: StateView, decoded: Decoded) -> None:
        """Wrap a state."""
        self._inner = inner
        self._decoded = decoded
        decoded.turn()

    @property
    def seq(self) -> int:
        """The entry it is the state of."""
        return self._inner.seq

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator[str]:
        return iter(self._inner)

    def __contains__(self, name: object, /) -> bool:
        return name in self._inner

    def __getitem__(self, name: str, /) -> Value:
        return self._decoded.value(self._inner.encoded(name))

    def encoded(self, name: str, /) -> bytes:
        """Return an atom's wire form."""
        return self._inner.encoded(name)


class NoState:
    """The state before there is any entry."""

    seq = -1

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __contains__(self, name: object, /) -> bool:
        return False

    def __getitem__(self, name: str, /) -> Value:
        raise KeyError(name)

    def encoded(self, name: str, /) -> bytes:
        """Return nothing: there is no atom."""
        raise KeyError(name)
