"""Where in the program a call came from besides its line: process, thread, task, and context variables of the app."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from operator import is_
from typing import Any, Final

from unspool.errors import ConfigError
from unspool.model.entries import CONTEXT, RESTATED, SAME, SAME_META
from unspool.model.values import Value, strict_equal
from unspool.recorder.encoding import Encoding

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
    """Which surroundings the entries written last have: they are told where they change, and now and then again.

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
        """Take note of a written entry's surroundings, and of the meta that tells them."""
        is_same = meta is SAME_META or (meta is not None and meta.get(CONTEXT) is SAME)
        self._since = self._since + 1 if is_same else 1
        self._form = form


def _is_same(value: Value, known: Value) -> bool:
    return type(value) is type(known) and (type(value) in _PLAIN or strict_equal(value, known))


__all__ = ["Form", "LastSurroundings", "Surroundings"]
