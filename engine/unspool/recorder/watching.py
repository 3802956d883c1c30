"""Objects that are watched: each change becomes an entry, whose line is that of the assignment where that can be known.

An object that reports its changes (psygnal) is listened to. Of one whose class is written in Python, assignments to
attributes are heard: `__setattr__` of its class is wrapped for as long as one of its objects is watched. What neither
tells, such as a list that is changed in place, is found by comparing: at each call of the recorder, by `poll`, and before
an assignment, so that its line is not taken for that of changes which came earlier.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final, Protocol

from unspool.errors import ConfigError
from unspool.model.recipes import fields_reader
from unspool.model.values import Value
from unspool.recorder.calling import Caller
from unspool.recorder.encoding import plain_text

_NOT_MEANT: Final = ("psygnal", "pydantic", "sqlalchemy", "unspool.recorder")
"""Between an assignment and what hears of it lie frames of these packages."""


class TakesWatched(Protocol):
    """What a recorder offers to watched objects."""

    def take_watched(self, name: str, action: str, meta: Mapping[str, Value]) -> None:
        """Record the watched objects as they are now, unless nothing changed."""

    def take_in_place(self, name: str) -> None:
        """Record what nobody heard change since the last entry, before an assignment is taken for it."""


class Watch:
    """One watched object; it is not kept alive, where its class allows that.

    Attributes:
        name: the atom it is recorded as.
    """

    def __init__(self, recorder: TakesWatched, watched: Value, name: str, *, hears: bool) -> None:
        """Begin to watch.

        Args:
            recorder: what changes are recorded by.
            watched: the object.
            name: its atom.
            hears: listen to events and assignments; otherwise it is only compared.
        """
        self.name = name
        self._recorder = weakref.ref(recorder)
        self._callers = Caller(skip=_NOT_MEANT)
        self._end: list[Callable[[], None]] = []
        try:
            self._object: Callable[[], Value] = weakref.ref(watched)
        except TypeError:
            # A dict, a list, or slots without room for it.
            self._object = lambda: watched
        if hears and not self._listen(watched) and not issubclass(type(watched), dict | list | set | tuple):
            self._hear_assignments(watched)

    def value(self) -> tuple[Value, ...]:
        """Return the object, if it is still there."""
        watched = self._object()
        return () if watched is None else (watched,)

    def _listen(self, watched: Value) -> bool:
        """Listen to the events of an object that has some; say whether it has."""
        psygnal = sys.modules.get("psygnal")
        if psygnal is None:
            return False
        events = _events_of(watched, psygnal)
        if events is None:
            return False

        def heard(emission: Any) -> None:
            signal = getattr(emission.signal, "name", "")
            self.changed(str(signal), sys._getframe(1))

        events.connect(heard)
        self._end.append(lambda: events.disconnect(heard, missing_ok=True))
        return True

    def _hear_assignments(self, watched: Value) -> None:
        if _assignments.add(watched, self):
            self._end.append(lambda: _assignments.remove(type(watched), self))

    def changes(self) -> None:
        """Tell the recorder that an attribute of the object is about to be assigned."""
        recorder = self._recorder()
        if recorder is not None:
            recorder.take_in_place(self.name)

    def changed(self, part: str, frame: FrameType | None) -> None:
        """Tell the recorder that something of the object may have changed."""
        recorder = self._recorder()
        if recorder is not None:
            meta = self._callers.added_to(None, frame, 0)
            recorder.take_watched(self.name, f"{self.name}.{part}" if part else self.name, meta)

    def stop(self) -> None:
        """Watch no more; stopping twice is fine."""
        while self._end:
            self._end.pop()()


def _events_of(watched: Value, psygnal: Any) -> Any:
    """Return the events of an object of psygnal's making; None for others, whose attributes are not asked for."""
    kind = type(watched)
    read = fields_reader(kind)
    held = {} if read is None else read(watched)
    own = held.get("events")
    if own is not None:
        return own if issubclass(type(own), psygnal.SignalGroup) else None
    found = next((vars(base)["events"] for base in type.mro(kind) if "events" in vars(base)), None)
    getter = getattr(found, "fget", None) if type(found) is property else type(found)
    if str(getattr(getter, "__module__", "")).partition(".")[0] != "psygnal":
        return None
    events = watched.events
    return events if issubclass(type(events), psygnal.SignalGroup) else None


class _Assignments:
    """The classes whose assignments are heard, and which of their objects are meant."""

    def __init__(self) -> None:
        # It lets a thread in again: a destructor may end a watch while another one begins.
        self._lock = threading.RLock()
        self.watches: dict[type, dict[int, tuple[Watch, ...]]] = {}
        self._undo: dict[type, Callable[[], None]] = {}

    def add(self, watched: Value, watch: Watch) -> bool:
        """Hear an object's assignments; say whether that is possible."""
        kind = type(watched)
        with self._lock:
            if kind not in self._undo:
                undo = self._wrap(kind)
                if undo is None:
                    return False
                self._undo[kind] = undo
            places = self.watches.setdefault(kind, {})
            places[id(watched)] = (*places.get(id(watched), ()), watch)
        return True

    def remove(self, kind: type, watch: Watch) -> None:
        """Hear no more of what a watch watches; the class is as it was when nothing of it is watched any more."""
        with self._lock:
            places = self.watches.get(kind, {})
            for place, watches in list(places.items()):
                left = tuple(one for one in watches if one is not watch)
                if left:
                    places[place] = left
                else:
                    del places[place]
            if not places and kind in self._undo:
                self._undo.pop(kind)()
                self.watches.pop(kind, None)

    def _wrap(self, kind: type) -> Callable[[], None] | None:
        undone: list[Callable[[], None]] = []

        def undo() -> None:
            while undone:
                undone.pop()()

        for method in ("__setattr__", "__delattr__"):
            own = vars(kind).get(method)
            wrapper = self._wrapper(kind, type.__getattribute__(kind, method))
            try:
                type.__setattr__(kind, method, wrapper)
            except TypeError:
                # A class that is not written in Python.
                undo()
                return None
            undone.append(_putting_back(kind, method, wrapper, own))
        return undo

    def _wrapper(self, kind: type, before: Callable[..., None]) -> Callable[..., None]:
        def assign(holder: Any, name: str, *value: Any) -> None:
            # A number of an object that is gone may be another one's now.
            watches = [
                watch
                for watch in self.watches.get(kind, {}).get(id(holder), ())
                if watch.value() and watch.value()[0] is holder
            ]
            for watch in watches:
                watch.changes()
            before(holder, name, *value)
            for watch in watches:
                watch.changed(str(name), sys._getframe(1))

        return assign


def _putting_back(kind: type, method: str, wrapper: object, own: object) -> Callable[[], None]:
    def undo() -> None:
        if vars(kind).get(method) is not wrapper:
            # Somebody else put another one in its place since, which leads here and finds nobody.
            return
        if own is None:
            type.__delattr__(kind, method)
        else:
            type.__setattr__(kind, method, own)

    return undo


_assignments: Final = _Assignments()


class Watched:
    """The watched objects of one recorder.

    Attributes:
        watches: by atom.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.watches: dict[str, Watch] = {}

    def __bool__(self) -> bool:
        return bool(self.watches)

    def add(self, recorder: TakesWatched, watched: Value, name: str, *, hears: bool) -> Callable[[], None]:
        """Watch an object, and return what ends it.

        Raises:
            ConfigError: the name is no text or taken, or the object is one that Textual changes all the time.
        """
        plain_text(name, "the name of a watched object")
        if name in self.watches:
            raise ConfigError(f"{name!r} is watched already; give this object another name")
        dom = sys.modules.get("textual.dom")
        if dom is not None and issubclass(type(watched), dom.DOMNode):
            raise ConfigError(
                "apps, screens and widgets of Textual are followed by their reactives: "
                "unspool.bridges.textual.record_reactives(recorder, node)"
            )
        watch = self.watches[name] = Watch(recorder, watched, name, hears=hears)

        def stop() -> None:
            watch.stop()
            if self.watches.get(name) is watch:
                self.watches = {at: one for at, one in self.watches.items() if one is not watch}

        return stop

    def atoms(self) -> dict[str, Value]:
        """Return the objects that are still there, by atom."""
        return {name: value for name, watch in self.watches.items() for value in watch.value()}

    def stop(self) -> None:
        """Watch nothing more."""
        for watch in self.watches.values():
            watch.stop()
        self.watches = {}


__all__ = ["Watch", "Watched"]
