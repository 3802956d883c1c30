"""Lines of the standard library's log as notes of a recording.

No handler is put anywhere: with one, `logging.basicConfig` would do nothing any more, `dictConfig` would drop it, and
what nobody handles would not reach standard error. Instead the place where loggers hand records over is wrapped.
"""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Final

from unspool.errors import ConfigError, UnspoolError
from unspool.model.values import Value
from unspool.recorder.spans import TakesDown
from unspool.recorder.troubles import LogsHeldBack, warn

_OWN: Final = __name__.partition(".")[0]
_USUAL: Final = frozenset((*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"))
"""Attributes that every record has; what else one has is a fact that the app gave."""
_MOST_EXTRAS: Final = 32
_LINE: Final = 64
"""Records that may stand in line, logged while another one is put down on the same thread."""


def level_of(level: str | int) -> int:
    """Return the number of a level.

    Raises:
        ConfigError: there is no such level.
    """
    number = level if type(level) is int else logging.getLevelNamesMapping().get(str(level).upper())
    if number is None or number < 0:
        names = ", ".join(logging.getLevelNamesMapping())
        raise ConfigError(f"logging is {level!r}; write the name or number of a level: {names}")
    return number


class LogNotes:
    """Puts down records of a level and above as notes, until it is told to stop."""

    def __init__(self, recorder: weakref.ref[TakesDown], level: int) -> None:
        """Prepare.

        Args:
            recorder: where notes go; not kept alive.
            level: the lowest level that is put down.
        """
        self._recorder = recorder
        self._level = level
        self._here = threading.local()

    def install(self) -> Callable[[], None]:
        """Begin, and return what ends it."""
        _tap.add(self)
        if not logging.getLogger().isEnabledFor(self._level):
            name, least = logging.getLevelName(self._level), logging.getLogger().getEffectiveLevel()
            warn(
                f"unspool puts down log lines from {name} on, but the root logger lets only "
                f"{logging.getLevelName(least)} and above through; call logging.getLogger().setLevel({self._level})",
                LogsHeldBack,
            )
        return lambda: _tap.remove(self)

    def hear(self, record: logging.LogRecord) -> None:
        """Take a record that was handed over."""
        if record.levelno >= self._level:
            self.take(record)

    def take(self, record: logging.LogRecord) -> None:
        """Put a record down; one that is logged meanwhile on this thread follows, unless such come without end."""
        recorder = self._recorder()
        # What works for the recorder must not be told to it: a note about shipping would be shipped.
        is_own = record.name.partition(".")[0] == _OWN or str(record.threadName).startswith(f"{_OWN}-")
        if recorder is None or is_own:
            return
        line: deque[logging.LogRecord] | None = getattr(self._here, "line", None)
        if line is not None:
            if len(line) < _LINE:
                line.append(record)
            else:
                recorder.pass_over("log lines came without end while one was put down")
            return
        line = self._here.line = deque((record,))
        try:
            for _ in range(_LINE):
                if not line:
                    break
                self._put_down(recorder, line.popleft())
            for _ in line:
                recorder.pass_over("log lines came without end while one was put down")
        finally:
            self._here.line = None

    def _put_down(self, recorder: TakesDown, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - texts of an app's own objects; logging tells of it where it handles the record
            message = str(record.msg) if isinstance(record.msg, str) else f"a {type(record.msg).__name__}"
        try:
            recorder.put_note(message, _facts_of(record), _frame_of(record))
        except UnspoolError:
            # It is counted; whoever logs did not ask for the recorder's errors.
            return


class _Tap:
    """The one place where loggers are listened to, for as long as anybody listens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listening: tuple[LogNotes, ...] = ()
        self._before = self._ours = logging.Logger.callHandlers

    def add(self, notes: LogNotes) -> None:
        with self._lock:
            self._listening += (notes,)
            # Somebody may have put what was there before back.
            if logging.Logger.callHandlers is not self._ours or self._ours is self._before:
                before = self._before = logging.Logger.callHandlers

                def hand_over(logger: logging.Logger, record: logging.LogRecord) -> None:
                    try:
                        before(logger, record)
                    finally:
                        for one in self._listening if self._ours is hand_over else ():
                            one.hear(record)

                self._ours = hand_over  # type: ignore[assignment]
                logging.Logger.callHandlers = hand_over  # type: ignore[assignment, method-assign]

    def remove(self, notes: LogNotes) -> None:
        with self._lock:
            self._listening = tuple(one for one in self._listening if one is not notes)
            if not self._listening and logging.Logger.callHandlers is self._ours:
                logging.Logger.callHandlers = self._before  # type: ignore[method-assign]
                self._ours = self._before


_tap: Final = _Tap()


def _facts_of(record: logging.LogRecord) -> dict[str, Value]:
    facts: dict[str, Value] = {"level": str(record.levelname).lower(), "logger": str(record.name)}
    if record.exc_info and record.exc_info[1] is not None:
        facts["exception"] = record.exc_info[1]
    if isinstance(record.args, Mapping):
        # They have names, which say what is to be left out of the text that they were put into.
        facts["args"] = record.args
    given = [(name, fact) for name, fact in vars(record).items() if isinstance(name, str) and name not in _USUAL]
    for name, fact in given[:_MOST_EXTRAS]:
        facts.setdefault(name, fact)
    return facts


def _frame_of(record: logging.LogRecord) -> FrameType | None:
    """Return the frame that logged a record, where it runs on this thread still."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_lineno == record.lineno and frame.f_code.co_filename == record.pathname:
            return frame
        frame = frame.f_back
    return None


__all__ = ["LogNotes", "level_of"]
