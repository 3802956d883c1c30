"""A file that changes when a database does: how those who watch files hear of new rows."""

from __future__ import annotations

import contextlib
import threading
from time import monotonic
from typing import Any, Final

from unspool.errors import UnspoolError
from unspool.files.leftovers import ScratchFolder
from unspool.store.postgres_link import Link
from unspool.store.postgres_target import Target, load_driver

LOOK_S: Final = 2.0
"""Seconds between looks: poolers swallow notifications, and other programs send none."""
_SLICE_S: Final = 0.2
"""How long to wait for a notification before looking whether to stop."""

_PATIENCE_S: Final = 1.0
"""How long `stop` waits for the thread: connecting to a server that does not answer cannot be broken off."""


class Pulse:
    """Listens to a server from a thread, over a connection of its own.

    Attributes:
        path: the file; it grows by a byte whenever there may be more.
    """

    def __init__(self, target: Target, channel: str | None, fingerprint: tuple[str, tuple[object, ...]]) -> None:
        """Begin to listen.

        Args:
            target: what to listen to.
            channel: the notifications to wait for; None where nobody sends any.
            fingerprint: a query and its values; what it returns differs once there is more.
        """
        self._folder = ScratchFolder()
        # Named like a database's side file, so that nobody takes it for the history itself.
        self.path = self._folder.path / "pulse-wal"
        self.path.touch()
        self._target = target
        self._channel = channel
        self._fingerprint = fingerprint
        self._seen: object = None
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="unspool-postgres", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        driver = load_driver()
        settings = () if self._channel is None else (f"LISTEN {self._channel}",)
        link: Link | None = None
        while not self._is_stopping.is_set():
            try:
                link = link or Link(self._target, read_only=True, settings=settings)
                self._look(link)
                self._wait(link)
            except (UnspoolError, driver.Error):
                # The server is away; whoever reads is told so by their own connection.
                self._is_stopping.wait(LOOK_S)
        if link is not None:
            link.close()

    def _look(self, link: Link) -> None:
        now = link.fetch(*self._fingerprint)
        if now != self._seen:
            self._seen = now
            with contextlib.suppress(OSError), self.path.open("ab") as stream:
                stream.write(b".")

    def _wait(self, link: Link) -> None:
        """Return when it is time to look again."""
        if self._channel is None:
            self._is_stopping.wait(LOOK_S)
            return
        end = monotonic() + LOOK_S
        while monotonic() < end and not self._is_stopping.is_set() and not link.call(_was_told):
            pass

    def stop(self) -> None:
        """Listen no more; stopping twice is fine. A thread that waits for a server that is away ends by itself."""
        self._is_stopping.set()
        self._thread.join(_PATIENCE_S)
        self._folder.close()


def _was_told(connection: Any) -> bool:
    # Entries that come in a burst are told once.
    return any(True for _ in connection.notifies(timeout=_SLICE_S, stop_after=1))
