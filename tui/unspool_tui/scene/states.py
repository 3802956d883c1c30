"""States whose atoms stay decoded from entry to entry: while scrubbing, most of a state stays the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from unspool.model.values import Value
from unspool.model.wire import decode
from unspool_tui.view.history_port import StateView

_MOST_BYTES: Final = 48 << 20
"""Wire bytes whose decoded values are kept; decoded they take a few times as much."""


class Decoded:
    """Decoded atoms by the identity of their wire form; neighbouring states share those objects."""

    __slots__ = ("_bytes", "_kept")

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[bytes, Value]] = OrderedDict()
        self._bytes = 0

    def value(self, wire: bytes) -> Value:
        """Return the value of a wire form; shared, so nobody may change it."""
        key = id(wire)
        known = self._kept.get(key)
        if known is not None and known[0] is wire:
            self._kept.move_to_end(key)
            return known[1]
        value = decode(wire)
        self._kept[key] = (wire, value)
        self._bytes += len(wire)
        while self._bytes > _MOST_BYTES and len(self._kept) > 1:
            _, (dropped, _) = self._kept.popitem(last=False)
            self._bytes -= len(dropped)
        return value


class SharedState:
    """A state of the history that decodes through a `Decoded`."""

    __slots__ = ("_decoded", "_inner")

    def __init__(self, inner: StateView, decoded: Decoded) -> None:
        """Wrap a state."""
        self._inner = inner
        self._decoded = decoded

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
