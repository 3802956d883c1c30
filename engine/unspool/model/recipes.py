"""How objects become what the wire form has: one recipe a class, found once.

A recipe gives a tag and content: bytes, or plain values that are encoded in turn. Recipes here know what every room
needs; a recorder finds more (`unspool.recorder.adapters`). None calls a method that a class may override, other than
those of mappings that are no dicts.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from collections import ChainMap, OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Final

from unspool.model.tags import Tag, Tagged, Unrepresentable
from unspool.model.values import Value

Recipe = Callable[[Value], tuple[int, Value]]
Find = Callable[[type], Recipe | None]

_MOST_KNOWN: Final = 4096
"""Classes remembered; a program that makes classes without end gets by with these."""
MOST_ITEMS: Final = 100_000
"""Items that a mapping of the app's own may have; one that never ends must not hang its app."""

TUPLE: Final = int(Tag.TUPLE)
SET: Final = int(Tag.SET)
FROZENSET: Final = int(Tag.FROZENSET)
TAGGED: Final = int(Tag.TAGGED)
_UNREPRESENTABLE: Final = int(Tag.UNREPRESENTABLE)
_STANDARD: Final = int(Tag.STANDARD)


class Recipes(dict[type, Recipe]):
    """Recipes by class; what is missing is found, and TypeError raised where there is none."""

    def __init__(self, find: Find) -> None:
        """Begin with those of the wire form's own types.

        Args:
            find: gives the recipe of a class, or None.
        """
        super().__init__(_OWN)
        self._find = find

    def __missing__(self, kind: type) -> Recipe:
        recipe = self._find(kind)
        if recipe is None:
            raise TypeError(f"values of type {short_name(kind)} have no wire form")
        if len(self) >= _MOST_KNOWN:
            self.forget()
        self[kind] = recipe
        return recipe

    def forget(self) -> None:
        """Find all recipes anew."""
        self.clear()
        self.update(_OWN)


def type_name(kind: type) -> str:
    """Return the name that a class is kept by."""
    # As the interpreter keeps them: a metaclass of the app's own may say something else, or raise.
    return f"{_module_of(kind)}.{_name_of(kind)}"


def short_name(kind: type) -> str:
    """Return the name of a class without its module."""
    return _name_of(kind).rpartition(".")[2]


def module_name(kind: type) -> str:
    """Return the name of the module that a class comes from; "" where it names none."""
    module = _module_of(kind)
    return module if type(module) is str else ""


_module_of: Final[Callable[[type], Value]] = vars(type)["__module__"].__get__
_name_of: Final[Callable[[type], str]] = vars(type)["__qualname__"].__get__
_mro_of: Final[Callable[[type], tuple[type, ...]]] = vars(type)["__mro__"].__get__
_NO_FIELDS: Final[dict[str, Value]] = {}


def fields_reader(kind: type) -> Callable[[Value], dict[str, Value]] | None:
    """Return what gives the `__dict__` of a class's objects, as the interpreter keeps it; None where they have none."""
    for base in _mro_of(kind):
        held = base.__dict__.get("__dict__")
        if isinstance(held, GetSetDescriptorType):
            return held.__get__
    return None


def tagged(kind: type, content: Callable[[Value], Value]) -> Recipe:
    """Return the recipe of a class whose content some function gives as plain values."""
    name = type_name(kind)
    return lambda value: (TAGGED, [name, content(value)])


def find_plain(kind: type) -> Recipe | None:
    """Return the recipe of a value type of the standard library, an enum, dataclass, msgspec struct, mapping, or
    subclass of a plain type; None for others.
    """
    found = _standard_recipe(kind) or _OF_ITS_OWN.get(kind)
    if found is not None:
        return found
    if issubclass(kind, enum.Enum):
        name = type_name(kind)
        return lambda value: (TAGGED, [name, [value.name, value.value], True])
    if dataclasses.is_dataclass(kind):
        return tagged(kind, field_reader(kind, tuple(item.name for item in dataclasses.fields(kind))))
    for base, content in _CONTENTS:
        if issubclass(kind, base):
            return tagged(kind, content)
    if issubclass(kind, tuple):
        return tagged(kind, _tuple_content(kind))
    if issubclass(kind, Mapping):
        return tagged(kind, _mapping_content)
    fields = getattr(kind, "__struct_fields__", None)
    if isinstance(fields, tuple):
        return tagged(kind, field_reader(kind, fields))
    return None


def _standard_recipe(kind: type) -> Recipe | None:
    # Most programs hold no such values, and every start would wait for their modules.
    from unspool.model.standard import CONTENTS

    known = CONTENTS.get(kind)
    if known is None:
        return None
    name, take = known
    return lambda value: (_STANDARD, [name, take(value)])


def field_reader(kind: type, names: tuple[str, ...]) -> Callable[[Value], dict[str, Value]]:
    """Return what reads the fields of a class's objects where they are stored: no property of theirs is called.

    A field that is not set is left out: None would be a value.
    """
    slots = {name: slot_of(kind, name) for name in names}
    own = {name: slot for name, slot in slots.items() if slot is not None}
    if names and len(own) == len(names):
        return lambda value: slot_values(own, value)

    fields = fields_reader(kind) or (lambda _: _NO_FIELDS)

    def read_fields(value: Value) -> dict[str, Value]:
        held = fields(value)
        if held.keys() == slots.keys():
            return dict(held)
        found = slot_values(own, value)
        return {name: found[name] if name in found else held[name] for name in slots if name in found or name in held}

    return read_fields


def slot_of(kind: type, name: str) -> MemberDescriptorType | None:
    """Return the slot that holds an attribute, or None where no slot does."""
    for base in _mro_of(kind):
        if name in base.__dict__:
            found = base.__dict__[name]
            return found if isinstance(found, MemberDescriptorType) else None
    return None


def slot_values(slots: Mapping[str, MemberDescriptorType], value: Value) -> dict[str, Value]:
    """Return what slots of an object hold, by their names; those that are not set are left out."""
    try:
        return {name: slot.__get__(value) for name, slot in slots.items()}
    except AttributeError:
        pass
    found = {}
    for name, slot in slots.items():
        with suppress(AttributeError):
            found[name] = slot.__get__(value)
    return found


def _tuple_content(kind: type) -> Callable[[Value], Value]:
    fields = getattr(kind, "_fields", None)
    if isinstance(fields, tuple) and all(type(name) is str for name in fields):
        names = tuple(fields)

        def by_name(value: Value) -> Value:
            items = tuple.__getitem__(value, slice(None))
            return dict(zip(names, items, strict=True)) if len(items) == len(names) else items

        return by_name
    return lambda value: tuple.__getitem__(value, slice(None))


def _mapping_content(value: Value) -> dict[Value, Value]:
    content = dict(islice(value.items(), MOST_ITEMS + 1))
    if len(content) > MOST_ITEMS:
        raise TypeError(f"a mapping with more than {MOST_ITEMS} items")
    return content


_CONTENTS: Final[tuple[tuple[type, Callable[[Value], Value]], ...]] = (
    (OrderedDict, lambda value: dict(OrderedDict.items(value))),
    (dict, lambda value: dict(dict.items(value))),
    (str, str.__str__),
    (int, int.__index__),
    (float, float.__float__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (bytearray, lambda value: bytes(bytearray.__getitem__(value, slice(None)))),
    (list, lambda value: list.__getitem__(value, slice(None))),
    (set, lambda value: set(set.__iter__(value))),
    (frozenset, lambda value: frozenset(frozenset.__iter__(value))),
    (dt.datetime, dt.datetime.__str__),
    (dt.date, dt.date.__str__),
    (dt.time, dt.time.__str__),
    (dt.timedelta, dt.timedelta.__str__),
    (decimal.Decimal, decimal.Decimal.__str__),
    (uuid.UUID, uuid.UUID.__str__),
    (complex, lambda value: complex(value.real, value.imag)),
)
"""Content of subclasses, as the plain type itself gives it: what a subclass makes of it is not asked."""


def _defaultdict(value: defaultdict[Value, Value]) -> tuple[int, Value]:
    factory = value.default_factory
    made = getattr(factory, "__qualname__", None) if isinstance(factory, type | FunctionType) else None
    shown = "" if factory is None else f"({made or type(factory).__name__})"
    return TAGGED, [f"collections.defaultdict{shown}", dict(dict.items(value))]


_OF_ITS_OWN: Final[dict[type, Recipe]] = {
    defaultdict: _defaultdict,
    ChainMap: tagged(ChainMap, lambda value: list(value.maps)),
    memoryview: tagged(memoryview, bytes),
}
"""Types whose plain content alone would say too little."""

_OWN: Final[dict[type, Recipe]] = {
    tuple: lambda value: (TUPLE, list(value)),
    set: lambda value: (SET, list(value)),
    frozenset: lambda value: (FROZENSET, list(value)),
    Tagged: lambda value: (TAGGED, [value.type_name, value.value, *((True,) if value.is_member else ())]),
    Unrepresentable: lambda value: (_UNREPRESENTABLE, [value.type_name, value.reason]),
}
