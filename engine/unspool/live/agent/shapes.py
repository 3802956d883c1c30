"""How containers of each type are read where the interpreter keeps them, so that no code of the program runs."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

from unspool.live.agent.wire import Cell, base64_text, class_dict, leaf_maker, mro_of, type_name

Row = tuple[list[Any] | None, list[Any], int]
"""Keys or names, items, and how many items more there are."""
Read = Callable[[Any, int], Row]

_MOST_TYPES = 4096
_DATA_MODULES = frozenset(("__main__", "collections", "types", "argparse", "fractions", "string", "optparse"))
"""Modules of the standard library whose objects are data; those of the others are machinery, and only named."""
_INSTRUMENTED = ("_sa_instance_state", "_sa_adapter", "_state")
"""What SQLAlchemy and Django keep beside the fields of a row."""
_NO_DATA = (
    FunctionType,
    classmethod,
    staticmethod,
    property,
    GetSetDescriptorType,
    MemberDescriptorType,
    ModuleType,
    type,
)


class Shape:
    """How objects of one type are read.

    Attributes:
        kind: the kind of node on the wire.
        type_name: name of the class, None for a plain type.
        read: gives a row of an object.
        weak: objects can be held weakly.
        fields: the shape of an instance's own attributes, where the row is that of its items.
    """

    __slots__ = ("fields", "kind", "read", "type_name", "weak")

    def __init__(
        self, kind: str, type_name: str | None, read: Read, *, weak: bool, fields: Shape | None = None
    ) -> None:
        self.kind = kind
        self.type_name = type_name
        self.read = read
        self.weak = weak
        self.fields = fields


def _read_list(target: Any, limit: int) -> Row:
    size = list.__len__(target)
    return None, list.__getitem__(target, slice(0, limit)), max(0, size - limit)


def _read_tuple(target: Any, limit: int) -> Row:
    size = tuple.__len__(target)
    return None, list(tuple.__getitem__(target, slice(0, limit))), max(0, size - limit)


def _reader_of_iterable(size_of: Callable[[Any], int], iterate: Callable[[Any], Iterable[Any]]) -> Read:
    def read(target: Any, limit: int) -> Row:
        items = list(islice(iterate(target), limit))
        return None, items, max(0, size_of(target) - limit)

    return read


def _read_dict(target: Any, limit: int) -> Row:
    size = dict.__len__(target)
    if size > limit:
        items = list(islice(dict.items(target), limit))
        return [key for key, _ in items], [value for _, value in items], size - limit
    keys, values = list(dict.keys(target)), list(dict.values(target))
    if len(keys) != len(values):
        raise RuntimeError("changed size during iteration")
    return keys, values, 0


def _read_ordered(items_of: Callable[[Any], Iterable[tuple[Any, Any]]]) -> Read:
    def read(target: Any, limit: int) -> Row:
        items = list(islice(items_of(target), limit))
        return [key for key, _ in items], [value for _, value in items], max(0, dict.__len__(target) - limit)

    return read


def _read_bytearray(target: Any, limit: int) -> Row:
    # As one item, whose identity differs at every look; then the texts are compared.
    return None, [base64_text(bytes(target[:20_000]))], max(0, len(target) - 20_000)


def _read_array(target: Any, limit: int) -> Row:
    shown = target[:2_500]
    return None, [base64_text(shown.tobytes()), target.typecode], max(0, len(target) - 2_500)


def _read_class(target: Any, limit: int) -> Row:
    held = dict(class_dict(target))
    pairs = [
        (name, value)
        for name, value in held.items()
        if type(name) is str and not _is_dunder(name) and not isinstance(value, _NO_DATA)
    ]
    return [name for name, _ in pairs], [value for _, value in pairs], 0


def _read_module(target: Any, limit: int) -> Row:
    pairs = [
        (name, value)
        for name, value in vars(target).copy().items()
        if type(name) is str and not _is_dunder(name) and not isinstance(value, _NO_DATA)
    ]
    return [name for name, _ in pairs[:limit]], [value for _, value in pairs[:limit]], max(0, len(pairs) - limit)


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def dict_getter(kind: type) -> Callable[[Any], dict[str, Any]] | None:
    """Return what gives the `__dict__` of a class's objects as the interpreter keeps it; None where they have none."""
    for base in mro_of(kind):
        held = class_dict(base).get("__dict__")
        if isinstance(held, GetSetDescriptorType):
            return held.__get__
    return None


def slots_of(kind: type) -> dict[str, MemberDescriptorType]:
    """Return the slots of a class and its bases by name, those of bases first."""
    found: dict[str, MemberDescriptorType] = {}
    for base in reversed(mro_of(kind)):
        held = class_dict(base)
        if "__slots__" in held:
            found |= {name: member for name, member in held.items() if type(member) is MemberDescriptorType}
    return found


def _fields_reader(kind: type) -> Read | None:
    """Return what reads slots and `__dict__` of a class's objects; None where they have neither."""
    getter, slots = dict_getter(kind), slots_of(kind)
    arguments = BaseException.__dict__["args"] if BaseException in mro_of(kind) else None
    if getter is None and not slots and arguments is None:
        return None

    def read(target: Any, limit: int) -> Row:
        names: list[Any] = []
        values: list[Any] = []
        if arguments is not None:
            names.append("args")
            values.append(arguments.__get__(target))
        for name, slot in slots.items():
            try:
                values.append(slot.__get__(target))
            except AttributeError:
                continue
            names.append(name)
        if getter is not None:
            held = getter(target).copy()
            if not all(type(name) is str for name in held) or not held.keys().isdisjoint(_INSTRUMENTED):
                held = {
                    name: value for name, value in held.items() if type(name) is str and name not in _INSTRUMENTED
                }
            names += held
            values += held.values()
        return names[:limit], values[:limit], max(0, len(names) - limit)

    return read


_IN_C: dict[type, tuple[str, str | None, Read, bool]] = {
    list: ("list", None, _read_list, False),
    dict: ("dict", None, _read_dict, False),
    tuple: ("tuple", None, _read_tuple, False),
    set: ("set", None, _reader_of_iterable(set.__len__, set.__iter__), True),
    frozenset: ("frozenset", None, _reader_of_iterable(frozenset.__len__, frozenset.__iter__), True),
    deque: ("deque", None, _reader_of_iterable(deque.__len__, deque.__iter__), True),
    bytearray: ("bytes", "builtins.bytearray", _read_bytearray, False),
}


class Shapes:
    """Shapes and leaves by type, found once."""

    def __init__(self) -> None:
        self._shapes: dict[type, Shape | None] = {}
        self._leaves: dict[type, Callable[[Any], Cell] | None] = {}

    def leaf(self, kind: type) -> Callable[[Any], Cell] | None:
        """Return what makes cells of a type's instances where they are leaves."""
        try:
            return self._leaves[kind]
        except KeyError:
            if len(self._leaves) > _MOST_TYPES:
                self._leaves.clear()
            made = self._leaves[kind] = leaf_maker(kind)
            return made

    def of(self, value: Any) -> Shape | None:
        """Return how an object is read as a container; None for what is none, or only to be named."""
        kind = type(value)
        try:
            return self._shapes[kind]
        except KeyError:
            if type in mro_of(kind):
                return Shape("object", "builtins.type", _read_class, weak=True)
            if ModuleType in mro_of(kind):
                return Shape("object", "builtins.module", _read_module, weak=True)
            if len(self._shapes) > _MOST_TYPES:
                self._shapes.clear()
            made = self._shapes[kind] = _shape_of(kind)
            return made

    def has(self, kind: type) -> bool:
        """Whether objects of a class are read as containers."""
        if kind not in self._shapes:
            self._shapes[kind] = _shape_of(kind)
        return self._shapes[kind] is not None

    def name(self, kind: type) -> str:
        """Return the name of a type."""
        return type_name(kind)

    def text(self, value: Any) -> str:
        """Return a short text of what is only named: one that is had without running code of the program."""
        name = getattr(value, "name", None) if type_name(type(value)).startswith("_io.") else None
        return name if type(name) is str else ""


def _shape_of(kind: type) -> Shape | None:
    known = _IN_C.get(kind)
    if known is not None:
        return Shape(known[0], known[1], known[2], weak=known[3])
    bases = mro_of(kind)
    name = type_name(kind)
    module, _, _ = name.partition(".")
    can_be_weak = vars(type)["__weakrefoffset__"].__get__(kind) != 0
    if name == "collections.OrderedDict" or any(type_name(base) == "collections.OrderedDict" for base in bases):
        ordered = next(base for base in bases if type_name(base) == "collections.OrderedDict")
        read: Read = _read_ordered(ordered.items)  # type: ignore[attr-defined]
        return Shape("dict", name, read, weak=can_be_weak, fields=_fields_shape(kind, name, can_be_weak, ordered))
    if name == "array.array":
        return Shape("bytes", name, _read_array, weak=can_be_weak)
    for base, (shape_kind, _, read_items, _) in _IN_C.items():
        if base in bases:
            fields = _fields_shape(kind, name, can_be_weak, base)
            names = class_dict(kind).get("_fields")
            if base is tuple and type(names) is tuple:
                read_items = _with_names(names, read_items)
            return Shape(shape_kind, name, read_items, weak=can_be_weak, fields=fields)
    if module in sys.stdlib_module_names and module not in _DATA_MODULES and BaseException not in bases:
        return None
    read_fields = _fields_reader(kind)
    return None if read_fields is None else Shape("object", name, read_fields, weak=can_be_weak)


def _fields_shape(kind: type, name: str, weak: bool, base: type) -> Shape | None:
    if type_name(kind).startswith("collections."):
        return None
    read = _fields_reader(kind)
    return None if read is None or base is tuple else Shape("object", name, read, weak=weak)


def _with_names(names: tuple[str, ...], read: Read) -> Read:
    def read_named(target: Any, limit: int) -> Row:
        _, values, more = read(target, limit)
        return list(names[: len(values)]), values, more

    return read_named
