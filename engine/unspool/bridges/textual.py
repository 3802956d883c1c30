"""Textual: each change of a reactive is an entry, and its line is that of the assignment.

Textual itself is not imported: whoever has a widget has it loaded.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final

from unspool.errors import ConfigError
from unspool.model.values import Value
from unspool.recorder.calling import Caller
from unspool.recorder.recorder import Recorder

_NOT_MEANT: Final = ("textual", "unspool.bridges")
"""Between an assignment and what it leads to lie frames of these packages."""

_named: Final[weakref.WeakKeyDictionary[Recorder, weakref.WeakValueDictionary[str, Any]]] = (
    weakref.WeakKeyDictionary()
)
"""The nodes that are recorded, by their atoms."""


def record_reactives(recorder: Recorder, node: Any, names: Iterable[str] = (), *, atom: str = "") -> None:
    """Record the reactives of an app, a screen or a widget: as they are now, and whenever one changes.

    Call it in `on_mount`, when the node has its values. All of a node's reactives are one atom. One with a `compute_`
    method is in it from its first change on: asking for its value runs code of the app.

    Args:
        recorder: what it is recorded with.
        node: the app, screen or widget.
        names: the reactives; when there are none, all that classes outside of Textual declare.
        atom: what the atom is called; the node's id when empty, or the name of its class where it has no id, with a number
            where another node that is on the screen has that name.

    Raises:
        ConfigError: the node has no such reactive, or none at all, or another node has the name that is given.
    """
    known = _declared(type(node))
    chosen = tuple(names) or tuple(name for name, is_own in known.items() if is_own)
    for name in chosen:
        if name not in known:
            raise ConfigError(f"{type(node).__name__} has no reactive {name!r}; it has {', '.join(sorted(known))}")
    if not chosen:
        raise ConfigError(f"{type(node).__name__} declares no reactive; name those of Textual that are meant")
    _Reactives(recorder, node, chosen, _free_name(recorder, node, atom)).begin()


def _free_name(recorder: Recorder, node: Any, given: str) -> str:
    nodes = _named.setdefault(recorder, weakref.WeakValueDictionary())
    name = wanted = given or str(node.id or type(node).__name__)
    number = 1
    while (other := nodes.get(name)) is not None and other is not node and other.is_attached:
        if given:
            raise ConfigError(f"the atom {given!r} is that of another {type(other).__name__}; give it another name")
        number += 1
        name = f"{wanted} {number}"
    nodes[name] = node
    return name


def _declared(kind: type) -> dict[str, bool]:
    """Return the reactives of a class, and whether a class outside of Textual declares each."""
    reactive = sys.modules["textual.reactive"].Reactive
    return {
        name: base.__module__.partition(".")[0] != "textual"
        for base in reversed(kind.__mro__)
        for name, value in vars(base).items()
        if isinstance(value, reactive)
    }


class _Reactives:
    """The reactives of one node as they were last told."""

    def __init__(self, recorder: Recorder, node: Any, names: tuple[str, ...], atom: str) -> None:
        self._recorder = recorder
        self._node = node
        self._names = names
        self._atom = atom
        self._callers = Caller(skip=_NOT_MEANT)
        self._values: dict[str, Value] = {}

    def begin(self) -> None:
        """Record the values as they are, and follow them."""
        kind = type(self._node)
        self._values = {
            name: getattr(self._node, name)
            for name in self._names
            if not any(hasattr(kind, f"{prefix}compute_{name}") for prefix in ("", "_"))
        }
        self._record(self._atom)
        for name in self._names:
            self._node.watch(self._node, name, self._watcher(name), init=False)

    def _watcher(self, name: str) -> Callable[[object, object], None]:
        def changed(_: object, value: object) -> None:
            self._values[name] = value
            self._record(f"{self._atom}.{name}")

        return changed

    def _record(self, action: str) -> None:
        meta = self._callers.added_to(None, sys._getframe(1), 0)
        self._recorder.update({self._atom: self._values}, action, meta=meta)
