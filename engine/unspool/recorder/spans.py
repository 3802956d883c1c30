"""More than single states: spans, calls of functions, and what ends a program unhandled, each one entry."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import Any, Final, NamedTuple, ParamSpec, Protocol, Self, TypeVar, cast

from unspool.errors import ConfigError, UnspoolError
from unspool.model.entries import CALLER
from unspool.model.entries import SourceLine as Line
from unspool.model.values import Value
from unspool.recorder.adapters import Parameters
from unspool.recorder.troubles import LogsHeldBack, warn

Given = ParamSpec("Given")
Result = TypeVar("Result")

_NS: Final = 1e9
_running: Final[ContextVar[tuple[str, ...]]] = ContextVar("unspool_running_spans", default=())


class TakesDown(Protocol):
    """What a recorder offers to what is in here."""

    def take_down(self, action: str, facts: Mapping[str, Value], frame: FrameType | None) -> int | None:
        """Record an entry with the recorder's own state, or without one where it has none."""

    def put_note(self, message: str, facts: Mapping[str, Value], frame: FrameType | None) -> int | None:
        """Put a note on the timeline."""

    def as_it_is_now(self, value: Value) -> Value:
        """Return what is kept of something that accompanies a state, before the app changes it."""

    def pass_over(self, reason: str) -> None:
        """Count something that was left out, and tell why the first time."""


class _Entered(NamedTuple):
    """One time that a span was entered: when, and the names of the spans that run outside it and with it."""

    began_ns: int
    clock_ns: int
    outer: tuple[str, ...]
    running: tuple[str, ...]


class Span:
    """Something that takes a while: one entry at its end, with how long it took and what it raised.

    Attributes:
        facts: kept with the entry; more may be added while it runs.
        place: the line that the entry names; None for that of the `with`, where the recorder keeps lines.
    """

    def __init__(self, recorder: TakesDown, action: str, facts: Mapping[str, Value]) -> None:
        """Prepare a span; it begins where it is entered.

        Args:
            recorder: what it is recorded with.
            action: what it is called.
            facts: kept with the entry.
        """
        self.facts = dict(facts)
        self.place: Line | None = None
        self._recorder = recorder
        self._action = action
        self._entered: list[_Entered] = []

    def __enter__(self) -> Self:
        outer = _running.get()
        entered = _Entered(time.time_ns(), time.perf_counter_ns(), outer, (*outer, self._action))
        _running.set(entered.running)
        self._entered.append(entered)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._entered:
            return
        entered = self._entered.pop()
        # Where it ends in another context than it began in, as generators do that a framework drives from several
        # tasks or threads, that context's spans are not its own.
        if _running.get() is entered.running:
            _running.set(entered.outer)
        span: dict[str, Value] = {
            "began_ns": entered.began_ns,
            "seconds": (time.perf_counter_ns() - entered.clock_ns) / _NS,
        }
        if type(self.facts) is not dict or self.facts:
            span["facts"] = self.facts
        if entered.outer:
            span["within"] = list(entered.outer)
        meta: dict[str, Value] = {"span": span}
        if error is not None:
            meta["exception"] = error
        if self.place is not None:
            meta[CALLER] = self.place.to_meta()
        self._recorder.take_down(self._action, meta, sys._getframe(1))


def traced(recorder: TakesDown, function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Return a function that records each of its calls: arguments, and the result or what was raised."""
    name = getattr(function, "__qualname__", type(function).__name__)
    parameters = Parameters.of(function)

    def begin(given: tuple[Any, ...], named: dict[str, Any]) -> tuple[dict[str, Value], int]:
        # Names first: where arguments are cut short, those that are kept have theirs. They are taken now, for a function
        # may change what it was given.
        call = {
            "function": name,
            "parameters": parameters.names(len(given)),
            **{kind: recorder.as_it_is_now(held) for kind, held in (("args", list(given)), ("kwargs", dict(named)))},
        }
        return call, time.perf_counter_ns()

    def finish(call: dict[str, Value], clock_ns: int, outcome: dict[str, Value]) -> None:
        call["seconds"] = (time.perf_counter_ns() - clock_ns) / _NS
        # The caller of the wrapper: this, and the wrapper, are no lines of the app.
        recorder.take_down(name, {"call": {**call, **outcome}}, sys._getframe(2))

    @functools.wraps(function)
    async def wait(*given: Given.args, **named: Given.kwargs) -> Any:
        taken, clock_ns = begin(given, named)
        try:
            result = await cast(Any, function)(*given, **named)
        except BaseException as error:
            finish(taken, clock_ns, {"raised": error})
            raise
        finish(taken, clock_ns, {"result": result})
        return result

    @functools.wraps(function)
    def call(*given: Given.args, **named: Given.kwargs) -> Result:
        taken, clock_ns = begin(given, named)
        try:
            result = function(*given, **named)
        except BaseException as error:
            finish(taken, clock_ns, {"raised": error})
            raise
        finish(taken, clock_ns, {"result": result})
        return result

    return cast("Callable[Given, Result]", wait) if inspect.iscoroutinefunction(function) else call


class Hooks:
    """Records what ends a program, a thread or a task unhandled; the hooks that were there go on as before."""

    def __init__(self, recorder: TakesDown) -> None:
        """Install nothing yet; a recorder that is gone is not kept alive by its hooks."""
        self._recorder = weakref.ref(recorder)
        self._undo: list[Callable[[], None]] = []

    def install_excepthook(self) -> None:
        """Record what ends the main thread."""
        before = sys.excepthook

        def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            try:
                self._crashed(error, "the program")
            finally:
                before(kind, error, trace)

        def undo() -> None:
            if sys.excepthook is hook:
                sys.excepthook = before

        sys.excepthook = hook
        self._undo.append(undo)

    def install_threading(self) -> None:
        """Record what ends other threads."""
        before = threading.excepthook

        def hook(ended: Any) -> None:
            try:
                if ended.exc_value is not None:
                    self._crashed(ended.exc_value, getattr(ended.thread, "name", None) or "a thread")
            finally:
                before(ended)

        def undo() -> None:
            if threading.excepthook is hook:
                threading.excepthook = before

        threading.excepthook = hook
        self._undo.append(undo)

    def install_asyncio(self) -> None:
        """Record what nobody awaited of the tasks of the running loop.

        Raises:
            ConfigError: no loop runs here.
        """
        # Programs without it need not wait for its import.
        import asyncio

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigError("asyncio=True needs a running loop; call install from within it") from None
        before = loop.get_exception_handler()

        def handler(of: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            try:
                if isinstance(error, BaseException):
                    self._crashed(error, "a task")
            finally:
                if before is None:
                    of.default_exception_handler(context)
                else:
                    before(of, context)

        def undo() -> None:
            if loop.get_exception_handler() is handler:
                loop.set_exception_handler(before)

        loop.set_exception_handler(handler)
        self._undo.append(undo)

    def install_logging(self, level: str | int) -> None:
        """Put lines of the log down as notes.

        Raises:
            ConfigError: there is no such level.
        """
        # Programs without it need not wait for its import.

        self._undo.append(LogNotes(self._recorder, level_of(level)).install())

    def remove(self) -> None:
        """Put back what was there, where nobody else put another in its place."""
        while self._undo:
            self._undo.pop()()

    def _crashed(self, error: BaseException, what: str) -> None:
        recorder = self._recorder()
        if recorder is not None and isinstance(error, Exception):
            recorder.take_down(f"uncaught {type(error).__name__} in {what}", {"exception": error}, None)


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
        except Exception:  # noqa: BLE001 - texts of an app's own objects; logging reports it where it handles the record
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
