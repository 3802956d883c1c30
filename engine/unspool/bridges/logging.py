"""logging: a handler that makes notes of log lines, for apps that choose by logger, level and filter what is noted.

`Recorder.install(logging="INFO")` needs no handler: it takes what all loggers let through, and leaves the app's own
configuration alone. A handler stands in that configuration:

    logging.getLogger("shop").addHandler(NoteHandler(recorder))

or in what `logging.config.dictConfig` is given:

    "handlers": {"notes": {"class": "unspool.bridges.logging.NoteHandler", "recorder": "ext://shop.recorder", "level": "INFO"}}
"""

from __future__ import annotations

import logging
import weakref

from unspool.errors import ConfigError
from unspool.recorder.recorder import Recorder
from unspool.recorder.spans import LogNotes


class _NoLock:
    """Is held by everybody: from Python 3.13 on, a handler has to have something to enter."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Return at once."""
        return True

    def release(self) -> None:
        """Return at once."""

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        pass


class NoteHandler(logging.Handler):
    """Puts log lines down as notes, each with the line of the app that logged it.

    It never raises into the app and never waits for another thread that logs. A recorder that is closed, or gone, takes
    no notes; the handler does not keep it alive.
    """

    def __init__(self, recorder: Recorder, level: int | str = logging.NOTSET) -> None:
        """Make a handler, to be added to loggers.

        Args:
            recorder: where notes go.
            level: the lowest level that is put down.

        Raises:
            ConfigError: the recorder is none.
        """
        if not isinstance(recorder, Recorder):
            raise ConfigError(f"NoteHandler was given a {type(recorder).__name__}; give it the Recorder")
        super().__init__(level)
        self._notes = LogNotes(weakref.ref(recorder), self.level)

    def createLock(self) -> None:  # noqa: N802 - the name is of the standard library
        """Have none: whoever records looks after threads, and code of the app runs while a note is put down."""
        self.lock = _NoLock()  # type: ignore[assignment]

    def emit(self, record: logging.LogRecord) -> None:
        """Put a line down."""
        self._notes.take(record)
