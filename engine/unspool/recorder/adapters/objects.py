"""Objects of classes that nobody made an adapter for are kept by their fields, as they are stored."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Final

from unspool.model.recipes import Recipe, fields_reader, module_name, slot_of, slot_values, tagged
from unspool.model.values import Value

_INSTRUMENTED: Final = ("_sa_instance_state", "_state")
"""What SQLAlchemy and Django keep beside the fields of a row."""


def find_object(kind: type) -> Recipe | None:
    """Return the recipe of a class of the app's own, or of a library's; None for one whose objects are no data.

    Classes of the standard library that hold fields are services (threads, sockets, locks, tasks): following them
    leads into the machinery of the program.
    """
    module = module_name(kind).partition(".")[0]
    if module == __name__.partition(".")[0]:
        # An app's object often holds its recorder, which leads to the bytes of all that the state was before.
        return tagged(kind, lambda _: None)
    if module in sys.stdlib_module_names and module != "__main__":
        return None
    names = tuple(name for base in reversed(kind.__mro__) for name in _slots(base))
    slots = {name: slot for name in names if (slot := slot_of(kind, name)) is not None}
    fields = fields_reader(kind)
    return tagged(kind, _reader(slots, fields)) if slots or fields is not None else None


def _slots(base: type) -> tuple[str, ...]:
    slots = base.__dict__.get("__slots__", ())
    given = (slots,) if isinstance(slots, str) else tuple(slots)
    hidden = base.__name__.lstrip("_")
    # As Python spells names that begin with two underscores.
    return tuple(
        f"_{hidden}{name}" if name.startswith("__") and not name.endswith("__") else name
        for name in given
        if name not in ("__dict__", "__weakref__")
    )


def _reader(
    slots: dict[str, types.MemberDescriptorType], held: Callable[[Value], dict[str, Value]] | None
) -> Callable[[Value], dict[str, Value]]:
    def read(value: Value) -> dict[str, Value]:
        fields = slot_values(slots, value)
        if held is not None:
            fields.update(held(value))
            for name in _INSTRUMENTED:
                if name in fields and type(fields[name]).__module__.startswith(("sqlalchemy.", "django.")):
                    del fields[name]
        return fields

    return read
