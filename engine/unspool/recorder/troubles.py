"""Failures of recording: reported once of each kind, counted, and never raised into an app that did not ask."""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress
from enum import Enum
from types import FrameType
from typing import Final, Literal

from unspool.errors import UnspoolError

OnError = Literal["warn", "raise", "ignore"]
"""What happens when something cannot be recorded: warn once of each kind, raise, or keep silent."""


class RecordingWarning(UserWarning):
    """Base of what a recorder warns of."""


class RecordingStopped(RecordingWarning):
    """Nothing is recorded any more; the app goes on."""


class EntrySkipped(RecordingWarning):
    """One call recorded nothing; recording goes on."""


class ValueMarked(RecordingWarning):
    """A value could not be kept as it is; a marker stands in its place."""


class SealingStopped(RecordingWarning):
    """Entries are recorded, but no longer compressed in the background."""


class LogsHeldBack(RecordingWarning):
    """Log lines are to become notes, and the levels of loggers keep them back."""


class NoRunningLoop(RecordingWarning):
    """Tasks were to be listened to where no event loop runs."""


class DamagedLogKept(RecordingWarning):
    """An earlier recorder left a damaged log beside the file; it was copied before recording went on."""


class EntriesWait(RecordingWarning):
    """Entries lie in the spool because a server cannot be reached, or refuses them; the app has nothing to do."""


class TravelUnavailable(RecordingWarning):
    """The app cannot be asked to go back, as its control channel cannot be opened; it is recorded all the same."""


class Trouble(Enum):
    """Kinds of trouble; each is reported once a recorder."""

    STOPPED = RecordingStopped
    SKIPPED = EntrySkipped
    MARKED = ValueMarked
    SEALING = SealingStopped
    LOG_KEPT = DamagedLogKept
    NO_LOOP = NoRunningLoop
    UNCONFIRMED = EntriesWait
    NO_CHANNEL = TravelUnavailable


class Troubles:
    """Counts and reports what went wrong in one recorder.

    Attributes:
        skipped: calls that should have recorded something and did not.
    """

    def __init__(self, on_error: OnError) -> None:
        """Begin without any.

        Args:
            on_error: see `OnError`.
        """
        self.on_error = on_error
        self.skipped = 0
        self._told: set[Trouble] = set()

    def pass_on(self, news: str) -> None:
        """Warn of what a server, or what became of entries on their way to it, makes worth knowing."""
        if self.on_error != "ignore":
            warn(news, EntriesWait)

    def tell(self, trouble: Trouble, message: str) -> None:
        """Warn, the first time that such a thing happens, where warnings are wanted."""
        if self.on_error == "warn" and trouble not in self._told:
            self._told.add(trouble)
            warn(message, trouble.value)

    def note(self, trouble: Trouble, message: str) -> None:
        """Warn of what keeps nothing from being recorded, also where errors are raised."""
        if self.on_error != "ignore":
            warn(message, trouble.value)

    def pass_over(self, reason: str) -> None:
        """Count an entry that is left out where there is nobody to raise to, and tell why the first time."""
        self.skipped += 1
        self.tell(Trouble.SKIPPED, f"unspool left an entry out: {reason}; recording goes on")

    def skip(self, error: UnspoolError) -> None:
        """Count a call that recorded nothing, and tell or raise why.

        Raises:
            UnspoolError: the error itself, where `on_error` is `raise`.
        """
        self.skipped += 1
        if self.on_error == "raise":
            raise error
        self.tell(Trouble.SKIPPED, f"unspool left an entry out: {error}; recording goes on")

    def report_or_raise(self, trouble: Trouble, error: UnspoolError, happened: str) -> None:
        """Tell, the first time, or raise what went wrong.

        Args:
            trouble: its kind.
            error: why.
            happened: how the message begins.

        Raises:
            UnspoolError: the error itself, where `on_error` is `raise`.
        """
        if self.on_error == "raise":
            raise error
        self.tell(trouble, f"{happened}: {error}")


_OWN: Final = __name__.partition(".")[0]


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the app that called into this package; never raises, whatever warnings are turned into."""
    frame = _calling_frame()
    scope = {} if frame is None else frame.f_globals
    file = "sys" if frame is None else frame.f_code.co_filename
    line = 1 if frame is None else frame.f_lineno
    try:
        warnings.warn_explicit(
            message,
            category,
            file,
            line,
            module=str(scope.get("__name__") or "<unknown>"),
            registry=scope.setdefault("__warningregistry__", {}),
        )
    except Exception:  # noqa: BLE001 - a filter that makes errors of warnings, or a handler of the app's own
        with suppress(Exception):
            print(f"{file}:{line}: {category.__name__}: {message}", file=sys.stderr)  # noqa: T201 - else nobody would know


def _calling_frame() -> FrameType | None:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == _OWN:
        frame = frame.f_back
    return frame
