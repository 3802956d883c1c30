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
import sys
import uuid
from collections import ChainMap, OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from struct import calcsize
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Final

from unspool.model.tags import Tag, Tagged, Unrepresentable, standard_contents
from unspool.model.values import Value

Recipe = Callable[[Value], tuple[int, Value]]
Find = Callable[[type], Recipe | None]
Contents = tuple[tuple[type, str, Callable[[Value], Value]], ...]
"""Plain types, the name that their content has among fields, and what gives it."""

_MOST_KNOWN: Final = 4096
"""Classes remembered; a program that makes classes without end gets by with these."""
MOST_ITEMS: Final = 100_000
"""Items that a mapping of the app's own may have; one that never ends must not hang its app."""

TUPLE: Final = int(Tag.TUPLE)
SET: Final = int(Tag.SET)
FROZENSET: Final = int(Tag.FROZENSET)
TAGGED: Final = int(Tag.TAGGED)
UNREPRESENTABLE: Final = int(Tag.UNREPRESENTABLE)
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
_POINTER: Final = calcsize("P")
HIDDEN: Final = "…"
"""Key under which a mapping says that it is not all there is."""
_INSTRUMENTED: Final = ("_sa_instance_state", "_sa_adapter", "_state")
"""What SQLAlchemy and Django keep beside the fields of a row, and the items of a collection."""


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
        return tagged(kind, object_content(kind, tuple(item.name for item in dataclasses.fields(kind))))
    inherited = inherited_content(kind, _CONTENTS)
    if inherited is not None:
        return tagged(kind, inherited)
    if issubclass(kind, tuple):
        return tagged(kind, _tuple_content(kind))
    if issubclass(kind, Mapping):
        return tagged(kind, _mapping_content)
    fields = getattr(kind, "__struct_fields__", None)
    if isinstance(fields, tuple):
        return tagged(kind, field_reader(kind, fields))
    return None


def _standard_recipe(kind: type) -> Recipe | None:
    known = standard_contents().get(kind)
    if known is None:
        return None
    name, take = known
    return lambda value: (_STANDARD, [name, take(value)])


def field_reader(kind: type, names: tuple[str, ...]) -> Callable[[Value], dict[str, Value]]:
    """Return what reads the fields of a class's objects where they are stored: no property of theirs is called.

    A field that is not set is left out: None would be a value.
    """
    read_all = stored_reader(kind)
    if read_all is None:
        return lambda _: {}
    declared = dict.fromkeys(names)
    own = {name: slot for name in names if (slot := slot_of(kind, name)) is not None}
    fields = fields_reader(kind)
    is_told = declared.keys() >= set(slot_names(kind))
    if fields is None and is_told and own.keys() == declared.keys():
        return lambda value: slot_values(own, value)

    def read_fields(value: Value) -> dict[str, Value]:
        if fields is not None and is_told:
            held = fields(value)
            if held.keys() == declared.keys():
                return dict(held)
        found = read_all(value)
        return {**{name: found[name] for name in declared if name in found}, **found}

    return read_fields


def stored_reader(kind: type, beside: type = object) -> Callable[[Value], dict[str, Value]] | None:
    """Return what reads all that a class's objects store in slots and in their `__dict__`; None where they have neither.

    Args:
        kind: the class.
        beside: a base whose own slots are left out.
    """
    slots = {name: slot for name in slot_names(kind, beside) if (slot := slot_of(kind, name)) is not None}
    fields = fields_reader(kind)
    if fields is None:
        return (lambda value: slot_values(slots, value)) if slots else None

    def read(value: Value) -> dict[str, Value]:
        held = fields(value)
        found = {**slot_values(slots, value), **held} if slots else dict(held)
        for name in _INSTRUMENTED:
            if name in found and module_name(type(found[name])).startswith(("sqlalchemy.", "django.")):
                del found[name]
        if "psygnal" in sys.modules:
            found = {name: part for name, part in found.items() if not module_name(type(part)).startswith("psygnal.")}
        return found

    return read


def slot_names(kind: type, beside: type = object) -> tuple[str, ...]:
    """Return the names of a class's slots, those of its bases first; not those that a base `beside` has as well."""
    passed = _mro_of(beside)
    return tuple(name for base in reversed(_mro_of(kind)) if base not in passed for name in _slots(base))


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


def object_content(kind: type, names: tuple[str, ...] = ()) -> Callable[[Value], Value]:
    """Return what reads an object's fields, and what it holds besides them as a list, text or the like.

    Of a class that builds on one written in C, whose objects hold what no field tells, a marker says so.

    Args:
        kind: the class.
        names: fields that come first.
    """
    fields = field_reader(kind, names)
    inherited = inherited_content(kind, _CONTENTS, fields)
    if inherited is not None:
        return inherited
    hiding = _hiding_base(kind)
    if hiding is None:
        return fields
    marker = Unrepresentable(type_name(hiding), "what it holds beside the fields is not kept")
    return lambda value: {**fields(value), HIDDEN: marker}


def _hiding_base(kind: type) -> type | None:
    """Return the class written in C whose objects hold what neither slots nor a `__dict__` tell; None where none does."""
    for base in _mro_of(kind):
        above = base.__base__
        if above is None:
            continue
        held = vars(base)
        told = sum(type(member) is MemberDescriptorType for member in held.values())
        told += sum(name in held for name in ("__dict__", "__weakref__"))
        if base.__basicsize__ - above.__basicsize__ > told * _POINTER or base.__itemsize__ != above.__itemsize__:
            return base
    return None


def inherited_content(
    kind: type, contents: Contents, fields: Callable[[Value], dict[str, Value]] | None = None
) -> Callable[[Value], Value] | None:
    """Return what gives the content of a subclass as its plain base gives it, and the fields it has besides.

    Where there are fields, the content stands among them as `items` (`value` for a scalar).

    Args:
        kind: the subclass.
        contents: plain bases, and what gives their content.
        fields: reads the fields; None for all that the plain base does not store itself.

    Returns:
        None where it is a subclass of none of them.
    """
    for base, key, content in contents:
        if issubclass(kind, base):
            return _with_fields(key, content, fields or stored_reader(kind, base))
    return None


def _with_fields(
    key: str, content: Callable[[Value], Value], fields: Callable[[Value], dict[str, Value]] | None
) -> Callable[[Value], Value]:
    if fields is None:
        return content

    def read(value: Value) -> Value:
        found, held = fields(value), content(value)
        if not found:
            return held
        name = key
        while name in found:
            name = f"{name}_"
        return {**found, name: held}

    return read


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
    if isinstance(fields, tuple) and all(type(name) is str for name in fields) and len(set(fields)) == len(fields):
        names = tuple(fields)

        beside = stored_reader(kind)

        def by_name(value: Value) -> Value:
            items = tuple.__getitem__(value, slice(None))
            if len(items) != len(names):
                return items
            fields = dict(zip(names, items, strict=True))
            return fields if beside is None else {**beside(value), **fields}

        return by_name
    return _with_fields("items", lambda value: tuple.__getitem__(value, slice(None)), stored_reader(kind))


def _mapping_content(value: Value) -> dict[Value, Value]:
    content = dict(islice(value.items(), MOST_ITEMS + 1))
    if len(content) > MOST_ITEMS:
        raise TypeError(f"a mapping with more than {MOST_ITEMS} items")
    return content


_CONTENTS: Final[Contents] = (
    (OrderedDict, "items", lambda value: dict(OrderedDict.items(value))),
    (dict, "items", lambda value: dict(dict.items(value))),
    (str, "value", str.__str__),
    (int, "value", int.__index__),
    (float, "value", float.__float__),
    (bytes, "value", lambda value: bytes.__getitem__(value, slice(None))),
    (bytearray, "value", lambda value: bytes(bytearray.__getitem__(value, slice(None)))),
    (list, "items", lambda value: list.__getitem__(value, slice(None))),
    (set, "items", lambda value: set(set.__iter__(value))),
    (frozenset, "items", lambda value: frozenset(frozenset.__iter__(value))),
    (dt.datetime, "value", dt.datetime.__str__),
    (dt.date, "value", dt.date.__str__),
    (dt.time, "value", dt.time.__str__),
    (dt.timedelta, "value", dt.timedelta.__str__),
    (decimal.Decimal, "value", decimal.Decimal.__str__),
    (uuid.UUID, "value", uuid.UUID.__str__),
    (complex, "value", lambda value: complex(value.real, value.imag)),
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
    Unrepresentable: lambda value: (UNREPRESENTABLE, [value.type_name, value.reason]),
}
