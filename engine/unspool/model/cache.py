"""The one bounded cache: least recently used first out, bounded by entries and by bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Generic, TypeAlias, TypeVar

from msgspec import Struct

from unspool.model.limits import require_number

_K = TypeVar("_K")
_V = TypeVar("_V")

DEFAULT_MAX_ENTRIES: Final = 100
DEFAULT_MAX_BYTES: Final = 64 * 1024 * 1024


class CacheStats(Struct, frozen=True):
    """How a cache has served.

    Attributes:
        size: entries held.
        max_size: most entries it will hold.
        hits: reads that found an entry.
        misses: reads that found none.
        evictions: entries that had to leave.
        bytes: bytes of the entries held, as they were given.
        max_bytes: most bytes it will hold.
        prefetched: entries put in ahead of being asked for.
        prefetch_hits: hits on these.
    """

    size: int
    max_size: int
    hits: int
    misses: int
    evictions: int
    bytes: int = 0
    max_bytes: int = 0
    prefetched: int = 0
    prefetch_hits: int = 0

    @property
    def hit_rate(self) -> float:
        """Hits as a share of reads; 0 before the first."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0


_Slot: TypeAlias = list[Any]
"""An entry with its bytes, and whether it was put in ahead of being asked for; making an object of it would cost more."""


class BoundedCache(Generic[_K, _V]):
    """A cache that forgets what was not used for longest; safe to use from several threads.

    An entry larger than `max_bytes` by itself is not kept.
    """

    def __init__(self, max_size: int = DEFAULT_MAX_ENTRIES, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Set the bounds.

        Args:
            max_size: most entries; 0 keeps none.
            max_bytes: most bytes; 0 keeps none, but for entries whose size is not given.

        Raises:
            ConfigError: a bound that is no whole number of at least 0.
        """
        require_number("max_size", max_size, least=0)
        require_number("max_bytes", max_bytes, least=0)
        self.max_size = max_size
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._slots: OrderedDict[_K, _Slot] = OrderedDict()
        self._reset()

    def _reset(self) -> None:
        self._slots.clear()
        self._bytes = self._hits = self._misses = self._evictions = self._prefetched = self._prefetch_hits = 0

    def get(self, key: _K, accept: Callable[[_V], bool] | None = None) -> _V | None:
        """Return the entry and make it the most recently used one, or None; counts as a hit or a miss.

        Args:
            key: what it was put in under.
            accept: whether the entry is the one meant; an entry it refuses counts as missing.
        """
        with self._lock:
            slot = self._slots.get(key)
            if slot is None or (accept is not None and not accept(slot[0])):
                self._misses += 1
                return None
            self._slots.move_to_end(key)
            self._hits += 1
            if slot[2]:
                self._prefetch_hits += 1
                slot[2] = False
            found: _V = slot[0]
            return found

    def peek(self, key: _K) -> _V | None:
        """Return the entry without using it: neither order nor counts change."""
        slot = self._slots.get(key)
        return None if slot is None else slot[0]

    def put(self, key: _K, value: _V, size: int = 0, *, prefetched: bool = False) -> None:
        """Keep an entry, as the most recently used one.

        Args:
            key: what it is asked for by; an entry of this key is replaced, and no other leaves for it.
            value: the entry.
            size: its bytes, where they are bounded.
            prefetched: whether it was not asked for yet.
        """
        with self._lock:
            slots = self._slots
            if key in slots:
                self._drop(key)
            if size > self.max_bytes or self.max_size == 0:
                return
            slots[key] = [value, size, prefetched]
            self._bytes += size
            if prefetched:
                self._prefetched += 1
            while len(slots) > self.max_size or self._bytes > self.max_bytes:
                self._bytes -= slots.popitem(last=False)[1][1]
                self._evictions += 1

    def _drop(self, key: _K) -> None:
        slot = self._slots.pop(key, None)
        if slot is not None:
            self._bytes -= slot[1]

    def discard(self, key: _K) -> None:
        """Forget one entry, if it is there."""
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        """Forget all entries and counts."""
        with self._lock:
            self._reset()

    def items(self) -> list[tuple[_K, _V]]:
        """Return the entries, least recently used first; neither order nor counts change."""
        with self._lock:
            return [(key, slot[0]) for key, slot in self._slots.items()]

    def values(self) -> list[_V]:
        """Return the entries without their keys, as `items` does."""
        with self._lock:
            return [slot[0] for slot in self._slots.values()]

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, key: object) -> bool:
        return key in self._slots

    def stats(self) -> CacheStats:
        """Return what is held and how reads went."""
        with self._lock:
            return CacheStats(
                size=len(self._slots),
                max_size=self.max_size,
                hits=self._hits,
                misses=self._misses,
                evictions=self._evictions,
                bytes=self._bytes,
                max_bytes=self.max_bytes,
                prefetched=self._prefetched,
                prefetch_hits=self._prefetch_hits,
            )


ReconstructionCache = BoundedCache
"""The cache of rebuilt states as the reference of delta snapshots names it."""
