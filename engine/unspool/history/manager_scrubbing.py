"""Warming the states a person is about to step to (row N-73)."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

from unspool.chain.predict import Prefetcher, ScrubPredictor
from unspool.history.config import IncrementalSnapshotConfig
from unspool.history.manager_nodes import Node
from unspool.history.manager_store import EntryStore


class Scrubbing:
    """Watches where a history goes and rebuilds ahead."""

    def __init__(self, store: EntryStore, config: IncrementalSnapshotConfig, lock: RLock) -> None:
        """Set up.

        Args:
            store: the entries.
            config: how far ahead, and where the work runs.
            lock: held while entries are read.
        """
        self._store = store
        self._ahead = config.prefetch
        self._lock = lock
        self._predictor = ScrubPredictor()
        self._prefetcher = Prefetcher(config.executor)

    def went_to(self, node: Node) -> None:
        """Note a step, and ask for the states that are likely next."""
        timeline = self._store.timeline
        self._predictor.observe("history", node.serial)
        serials = self._predictor.next_positions(self._ahead, timeline.first_serial, timeline.next_serial - 1)
        if serials:
            self._prefetcher.want([self._warming(serial) for serial in serials])

    def _warming(self, serial: int) -> Callable[[], None]:
        def warm() -> None:
            with self._lock:
                # The entry may have left, and its place may be another's by now.
                node = self._store.timeline.of_serial(serial)
                if node is not None:
                    self._store.states.warm(node)

        return warm

    def wait(self, timeout: float | None) -> None:
        """Wait until what was asked for last is done."""
        self._prefetcher.wait(timeout)

    def close(self) -> None:
        """End the work."""
        self._prefetcher.close()
