"""A call of `record()`: what it says besides the state, and where it came from: file, line and function; process, thread,
task, and context variables of the app.

Lines are found in well under a microsecond once a function is known, and so are surroundings where variables hold plain
values.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import ContextVar
from operator import is_
from pathlib import PurePath
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

import msgspec

from unspool.errors import ConfigError
from unspool.model.entries import CALLER, CONTEXT, EVENT, RESTATED, SAME, SAME_META
from unspool.model.entries import SourceLine as Line
from unspool.model.values import MISSING, Value, strict_equal
from unspool.recorder.encoding import Encoding, bounded, plain_text, whole_level, whole_ns, whole_seq

_MOST_KNOWN: Final = 4096
"""Functions remembered; a program that makes functions without end gets by with these."""

_BRIDGES: Final = "unspool.bridges."


class Caller:
    """Adds the calling line to an entry's meta."""

    def __init__(self, skip: Iterable[str] = ()) -> None:
        """Start knowing no function; files are named as seen from the current directory.

        Args:
            skip: modules and packages whose lines are not meant: the first caller in none of them is. Where a library
                calls the app back (a framework's hook, say), its frames lie between the app's line and the recording.
        """
        self._skip = tuple(skip)
        for module in self._skip:
            if not isinstance(module, str):
                raise ConfigError("skip names modules, as in skip=('textual', 'sqlalchemy')")
        try:
            self._folder = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118 - compared with text
        except OSError:
            # Somebody removed the current directory, or it may not be read; files keep their whole names.
            self._folder = "\0"
        # By identity: hashing a code object looks at all of it. Holding the code keeps its number from being reused.
        self._known: dict[int, tuple[CodeType, str]] = {}

    def added_to(self, meta: Mapping[str, Value] | None, frame: FrameType | None, up: int) -> Mapping[str, Value]:
        """Return meta with the place of a call; a `caller` that the app gave itself stays.

        Args:
            meta: what the app gave.
            frame: of the caller of `record()`.
            up: how many callers further up to go; the outermost one where there are not so many.
        """
        while up > 0 and frame is not None and frame.f_back is not None:
            frame, up = frame.f_back, up - 1
        frame = self._first_of_the_app(frame) if self._skip else frame
        if frame is None or (meta is not None and CALLER in meta):
            return meta or {}
        code = frame.f_code
        known = self._known.get(id(code))
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[id(code)] = (code, self._named(code, frame.f_globals))
        if not known[1]:
            return meta or {}
        place = Line(known[1], frame.f_lineno, code.co_qualname).to_meta()
        return {CALLER: place} if meta is None else {**meta, CALLER: place}

    def _first_of_the_app(self, frame: FrameType | None) -> FrameType | None:
        """Return the first frame that is to be named, going up; the one given where all are skipped."""
        found = frame
        while found is not None:
            module, code = found.f_globals.get("__name__"), found.f_code
            # Methods that a decorator wrote, such as the `__init__` of a dataclass, stand in no file.
            skips = (code.co_filename.startswith("<") and code.co_name.startswith("__")) or (
                isinstance(module, str)
                and any(module == name or module.startswith(f"{name}.") for name in self._skip)
            )
            if not skips:
                return found
            found = found.f_back
        return frame

    def of_function(self, function: Any) -> Line | None:
        """Return where a function begins, its decorators included; None for what is no function written in Python."""
        while isinstance(function, functools.partial):
            function = function.func
        plain = getattr(function, "__func__", function)
        if not isinstance(plain, FunctionType):
            return None
        try:
            plain = inspect.unwrap(plain)
        except ValueError:
            # It wraps itself.
            return None
        if not isinstance(plain, FunctionType):
            return None
        code = plain.__code__
        return Line(self._named(code, plain.__globals__), code.co_firstlineno, code.co_qualname)

    def _named(self, code: CodeType, names: Mapping[str, Any]) -> str:
        """Return a file's path from the current directory, or for a module elsewhere from where its package lies.

        A bridge's is empty: where one finds no line of the app, its own would say nothing.
        """
        if str(names.get("__name__")).startswith(_BRIDGES):
            return ""
        path = code.co_filename
        if path.startswith(self._folder):
            return path[len(self._folder) :]
        spec = names.get("__spec__")
        module = getattr(spec, "name", None)
        if not os.path.isabs(path) or not isinstance(module, str):  # noqa: PTH117 - text from the interpreter
            return path
        # `shop.cart` lies in shop/cart.py, and the package `shop` itself in shop/__init__.py.
        parts = module.split(".") + (["__init__"] if path.endswith("__init__.py") else [])
        return str(PurePath(*PurePath(path).parts[-len(parts) :]))


_PLAIN: Final = frozenset((str, int, float, bool, type(None)))
_OWN: Final = ("pid", "thread", "task")
_UNSET: Final = object()


Form = tuple[Value, ...]
"""Surroundings as they are compared: process, thread, task or None, then the variables; `_UNSET` for one that is not set."""


class Surroundings:
    """Returns what surrounds a call, in well under a microsecond where context variables hold plain values."""

    def __init__(self, variables: Mapping[str, ContextVar[Any]], encoding: Encoding) -> None:
        """Prepare.

        Args:
            variables: context variables by the name they are kept under; one that is not set is left out.
            encoding: how values are kept that are no plain ones, and what is left out of them.

        Raises:
            ConfigError: a name is no text or taken, or something is no context variable.
        """
        for name, variable in variables.items():
            if not isinstance(name, str) or name in _OWN or not isinstance(variable, ContextVar):
                raise ConfigError(
                    f"context maps names other than {', '.join(_OWN)} to context variables, "
                    'as in context={"request": request_id}'
                )
        self._pid = os.getpid()
        self._names = (*_OWN, *variables)
        self._variables = tuple(variables.values())
        self._encoding = encoding.short

    def after_fork(self) -> None:
        """Take note of being in another process: asking for its number at each call would cost more than all else."""
        self._pid = os.getpid()

    def now(self) -> Form:
        """Return what surrounds the call that this thread is in.

        Raises:
            UnsupportedValue: the value of a variable cannot be kept, and that is to be raised.
        """
        task = None
        asyncio = sys.modules.get("asyncio")
        if asyncio is not None and asyncio._get_running_loop() is not None:
            running = asyncio.current_task()
            task = None if running is None else running.get_name()
        own = (self._pid, threading.current_thread().name, task)
        return (*own, *map(self._kept, self._variables)) if self._variables else own

    def _kept(self, variable: ContextVar[Any]) -> Value:
        value = variable.get(_UNSET)
        if type(value) in _PLAIN or value is _UNSET:
            return value
        return (self._encoding.meta({"": value}, []) or {}).get("")

    def told(self, form: Form) -> dict[str, Value]:
        """Return surroundings by name, without what is to be left out."""
        found = {name: value for name, value in zip(self._names, form, strict=True) if value is not _UNSET}
        if found["task"] is None:
            del found["task"]
        return dict(self._encoding.clean_meta(found, set()) or {})


class LastSurroundings:
    """Which surroundings the entries written last have: they are reported where they change, and now and then again.

    Attributes:
        is_on: whether any are recorded.
    """

    def __init__(self, named: Callable[[Form], dict[str, Value]] | None) -> None:
        """Begin with nothing told; `named` gives surroundings by name."""
        self._named = named
        self.is_on = named is not None
        self._form: Form | None = None
        self._since = 0

    def added_to(self, meta: Mapping[str, Value] | None, form: Form) -> Mapping[str, Value] | None:
        """Return an entry's meta with its surroundings, or the word that they are those of the entry before."""
        known = self._form
        if (
            known is not None
            and self._since < RESTATED
            and form == known
            # True equals 1, but is not the same.
            and (all(map(is_, form, known)) or all(map(_is_same, form, known)))
        ):
            return SAME_META if not meta else {**meta, CONTEXT: SAME}
        return meta if self._named is None else {**(meta or {}), CONTEXT: self._named(form)}

    def keep(self, form: Form | None, meta: Mapping[str, Value] | None) -> None:
        """Take note of a written entry's surroundings, and of the meta that holds them."""
        is_same = meta is SAME_META or (meta is not None and meta.get(CONTEXT) is SAME)
        self._since = self._since + 1 if is_same else 1
        self._form = form


def _is_same(value: Value, known: Value) -> bool:
    return type(value) is type(known) and (type(value) in _PLAIN or strict_equal(value, known))


class EntryDetails(msgspec.Struct, frozen=True):
    """What is said of a state besides; see `Recorder.record`.

    Attributes:
        action: why it happened.
        timestamp_ns: nanoseconds since the epoch; that of the writing when None.
        meta: free facts, as plain values.
        entry_id: an id of the source's own, or "".
        parent_seq: the entry this one follows, where that is not the last one.
        part: the atoms that follow `parent_seq`, sorted; all of them when None.
        full: store a full snapshot.
        only_changes: write nothing where nothing changed.
        surroundings: see `Surroundings.now`; None where they are not recorded.
    """

    action: str = ""
    timestamp_ns: int | None = None
    meta: Mapping[str, Value] | None = None
    entry_id: str = ""
    parent_seq: int | None = None
    part: list[str] | None = None
    full: bool = False
    only_changes: bool = False
    surroundings: Form | None = None


class CallFacts(msgspec.Struct, frozen=True):
    """What a call says besides the state, as the app handed it over; see `Recorder.record`.

    Attributes:
        action: why it happened, or what a note says.
        meta: free facts.
        timestamp_ns: nanoseconds since the epoch; now when None.
        entry_id: an id of the source's own.
        parent_seq: the entry this one follows, where that is not the last one.
        part: the atoms that follow it; all when None.
        full: store a full snapshot.
        stacklevel: whose line is kept: 1 that of the frame that is looked at, 2 that of its caller.
        is_short: keep no more of the facts than some kilobytes.
        is_note: there is no state.
        only_changes: nothing is to be recorded where nothing changed.
        event: the payload of the action.
        is_plain: the facts are plain values that nobody changes any more.
    """

    action: str = ""
    meta: Mapping[str, Value] | None = None
    timestamp_ns: int | None = None
    entry_id: str = ""
    parent_seq: int | None = None
    part: Collection[str] | None = None
    full: bool = False
    stacklevel: int = 1
    is_short: bool = False
    is_note: bool = False
    only_changes: bool = False
    event: Value = MISSING
    is_plain: bool = False

    @property
    def may_be_passed_over(self) -> bool:
        """Whether nothing about the entry says that it has to be there."""
        # Compared by type: what an app hands over by mistake, such as an array, may not tell whether it is empty.
        is_named = not (type(self.entry_id) is str and self.entry_id == "")
        return self.parent_seq is None and not is_named and self.full is False


class FactsReader:
    """Reads what calls say besides the state as facts of their entries. Code of the app runs in here, as in `Encoding`."""

    def __init__(
        self,
        encoding: Encoding,
        callers: Caller | None,
        surroundings: Surroundings | None,
        clock: Callable[[], int],
    ) -> None:
        """Settle what is kept.

        Args:
            encoding: how facts are kept, and what is left out of them.
            callers: adds the line of a call; None to leave it out.
            surroundings: finds what surrounds a call; None to leave it out.
            clock: gives nanoseconds since the epoch.
        """
        self._encoding = encoding
        self._callers = callers
        self._surroundings = surroundings
        self._clock = clock

    def read(self, call: CallFacts, frame: FrameType | None, problems: list[str]) -> EntryDetails:
        """Return what is kept of what a call says.

        Args:
            call: what it says.
            frame: the line of the app that is kept; None where there is none.
            problems: gets a line for each of the first markers.

        Raises:
            RefusedEntry: something that no store can keep.
            UnsupportedValue: strict, and a fact cannot be kept.
        """
        encoding = self._encoding.short if call.is_short else self._encoding
        given = call.meta if call.event is MISSING else {**(call.meta or {}), EVENT: call.event}
        meta: Mapping[str, Value] | None = given if call.is_plain else encoding.meta(given, problems)
        if self._callers is not None:
            meta = self._callers.added_to(meta, frame, whole_level(call.stacklevel) - 1)
        timestamp_ns, part = call.timestamp_ns, call.part
        # A clock of the app's own is its code; the time of the system is taken when the entry is written.
        if timestamp_ns is None and self._clock is not time.time_ns:
            timestamp_ns = self._clock()
        return EntryDetails(
            action=plain_text(call.action, "action"),
            timestamp_ns=None if timestamp_ns is None else whole_ns(timestamp_ns),
            meta=meta,
            entry_id=plain_text(call.entry_id, "entry_id"),
            parent_seq=whole_seq(call.parent_seq),
            part=None if part is None else sorted(map(self._atom_name, bounded(part, "atoms in part"))),
            full=bool(call.full),
            only_changes=call.only_changes,
            surroundings=None if self._surroundings is None else self._surroundings.now(),
        )

    def _atom_name(self, name: str) -> str:
        return self._encoding.atom_name(plain_text(name, "the name of an atom in part"))

    def without_secrets(self, facts: EntryDetails, secrets: set[str]) -> EntryDetails:
        """Return facts without what is to be left out, and without what was left out of the state."""
        if self._encoding.redaction is None:
            return facts
        # First, for what is left out there is left out of the texts too.
        meta = self._encoding.clean_meta(facts.meta, secrets)
        return msgspec.structs.replace(
            facts,
            meta=meta,
            action=self._encoding.clean_text(facts.action, secrets),
            entry_id=self._encoding.clean_text(facts.entry_id, secrets),
        )


__all__ = ["CallFacts", "FactsReader", "Form", "LastSurroundings", "Surroundings"]
