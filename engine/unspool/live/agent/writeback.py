"""Putting the program back into a state that it had: in place, so that every alias sees it.

First everything is planned without touching anything; then all of it is written at once. Objects keep their identity by
their path. What cannot be put back safely is left as it is, and told.
"""

from __future__ import annotations

import binascii
import operator
import sys
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from types import FunctionType, MemberDescriptorType, ModuleType
from typing import Any

from unspool.live.agent.following import LOST, stored_attribute
from unspool.live.agent.recording import Session
from unspool.live.agent.shapes import dict_getter, slots_of
from unspool.live.agent.wire import Cell, class_dict, leaf_maker, mro_of, short_name, type_name

_MOST_TOLD = 200
_DEEPEST = 200
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_CONTAINERS = frozenset(("list", "dict", "tuple", "set", "frozenset", "deque", "object"))
_PLACES = {"list": 2, "tuple": 2, "set": 2, "frozenset": 2, "deque": 2, "dict": 3, "object": 1}
"""Where in a cell the name of the type stands."""
_BY_NAME: dict[str, type] = {
    "list": list, "dict": dict, "tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque,
}  # fmt: skip


class _Refused(Exception):
    """A value that cannot be made."""


class Report:
    """What a jump did, by path."""

    def __init__(self) -> None:
        self.changed: list[str] = []
        self.kept: list[list[str]] = []
        self.rebuilt: list[str] = []
        self.refused: list[list[str]] = []

    def message(self) -> dict[str, Any]:
        """Return the lists as the wire has them."""
        told: dict[str, Any] = {}
        more = 0
        for name in ("changed", "kept", "rebuilt", "refused"):
            found = getattr(self, name)
            told[name] = found[:_MOST_TOLD]
            more += len(found[_MOST_TOLD:])
        return {**told, "more": more} if more else told


class WriteBack:
    """One state, planned against what the program holds now."""

    def __init__(self, session: Session, *, force: bool) -> None:
        """Begin.

        Args:
            session: the recording.
            force: also write where a class has a `__setattr__` of its own, around it.
        """
        self._session = session
        self._force = force
        self._writes: list[Callable[[], None]] = []
        self._depth = 0
        self._whys: dict[type, str] = {}
        self.report = Report()

    def plan(self, state: Cell) -> None:
        """Plan the writes that make the program's state this one.

        Raises:
            ValueError: it is no state.
        """
        is_state = type(state) is list and len(state) == 3 and state[0] == "state"
        if not is_state or len(state[1]) != len(state[2]) or not all(type(name) is str for name in state[1]):
            raise ValueError("a jump needs a state: ['state', names, cells]")
        names = self._session.names
        root = names.only_root()
        if root is not LOST and self._session.graph.can_be_alone(root):
            self._plan_alone(root, state)
            return
        wanted = dict(zip(state[1], state[2], strict=True))
        now = dict(names.roots())
        for name, value in now.items():
            if name not in wanted:
                self._unbind(name)
                continue
            after = self._merged(value, wanted[name], name)
            if after is not value:
                self._bind(name, after)
        for name in wanted.keys() - now.keys():
            try:
                self._bind(name, self._made(wanted[name], name))
            except _Refused as error:
                self.report.refused.append([name, str(error)])

    def apply(self) -> None:
        """Write."""
        for write in self._writes:
            write()

    def _plan_alone(self, root: Any, state: Cell) -> None:
        """Plan for one root, whose fields or keys are the atoms."""
        if dict in mro_of(type(root)):
            keys = list(dict.keys(root))
            shown, _, _ = self._session.graph.state.shape.read(root, len(keys) + 1)
            known = dict(zip(shown or [], keys, strict=False))
            cell = ["dict", [_KnownKey(known[name]) if name in known else name for name in state[1]], state[2], None]
            self._merge_dict(root, cell, "")
        else:
            self._merge_fields(root, state[1], state[2], "")

    def _bind(self, name: str, value: Any) -> None:
        for watch in self._session.names.watches:
            if watch.atom != name or watch.of_class or self._session.names.frames:
                continue
            for module in self._session.names.modules(watch):
                holder: Any = module
                for part in watch.parts[:-1]:
                    holder = stored_attribute(holder, part)
                if holder is not LOST:
                    self._store(holder, watch.parts[-1], value, name)
                    return
        self.report.refused.append([name, "a plain local cannot be put back from outside: watch what it holds"])

    def _unbind(self, name: str) -> None:
        self.report.kept.append([name, "there was no such name then"])

    def _store(self, holder: Any, name: str, value: Any, path: str) -> None:
        kind = type(holder)
        if ModuleType in mro_of(kind):
            self._write(path, lambda: vars(holder).__setitem__(name, value))
        elif type in mro_of(kind):
            self._write(path, lambda: type.__setattr__(holder, name, value))
        else:
            slot = slots_of(kind).get(name)
            getter = dict_getter(kind)
            if slot is not None:
                self._write(path, lambda: slot.__set__(holder, value))
            elif getter is not None:
                self._write(path, lambda: getter(holder).__setitem__(name, value))

    def _write(self, path: str, write: Callable[[], Any]) -> None:
        self.report.changed.append(path)
        self._writes.append(write)

    # Values that are there already.

    def _merged(self, value: Any, cell: Cell, path: str) -> Any:
        """Return what is to stand at a path: the object that stands there wherever it can be made to fit."""
        kind = cell[0] if type(cell) is list and cell else None
        if kind in ("other", "cut", "redacted", "unset", "ref"):
            why = {"other": "not recorded", "cut": "cut by a limit", "ref": "a cycle", "unset": "not set"}
            self.report.kept.append([path, why.get(str(kind), "redacted")])
            return value
        try:
            if kind not in _CONTAINERS:
                return self._merged_leaf(value, cell, path)
            if self._depth < _DEEPEST and self._is_of(value, cell):
                self._depth += 1
                try:
                    if kind == "dict" and type(value) is dict:
                        self._merge_dict(value, cell, path)
                        return value
                    return self._merged_container(value, cell, path)
                finally:
                    self._depth -= 1
            made = self._made(cell, path)
        except _Refused as error:
            self.report.refused.append([path, str(error)])
            return value
        self.report.rebuilt.append(path)
        return made

    def _merged_leaf(self, value: Any, cell: Cell, path: str) -> Any:
        if type(cell) is float and type(value) is float and value == cell and cell:
            # Zeros have signs.
            return value
        maker = leaf_maker(type(value))
        if maker is not None and _same_cell(maker(value), cell):
            return value
        if type(cell) is list and cell[0] == "bytes" and len(cell) > 2 and type(value) is bytearray:
            data = binascii.a2b_base64(cell[1])
            if bytes(value) != data:
                self._write(path, lambda: value.__setitem__(slice(None), data))
            return value
        return self._made(cell, path)

    def _is_of(self, value: Any, cell: Cell) -> bool:
        """Whether an object is of the class that a cell names."""
        place = _PLACES[cell[0]]
        wanted = cell[place] if len(cell) > place else None
        if wanted is None:
            return type(value) is _BY_NAME.get(cell[0])
        return bool(type_name(type(value)) == wanted)

    def _merged_container(self, value: Any, cell: Cell, path: str) -> Any:
        kind = cell[0]
        why = self._whys.get(type(value))
        if why is None:
            why = self._whys[type(value)] = self._why_not(type(value))
        if why:
            if self._is_unchanged(value, cell, path):
                return value
            raise _Refused(why)
        if kind == "object":
            return self._merged_object(value, cell, path)
        if kind == "dict":
            self._merge_dict(value, cell, path)
        elif kind in ("tuple", "frozenset"):
            return self._merged_fixed(value, cell, path)
        elif kind == "set":
            members = {self._made(item, path) for item in cell[1]}
            if not _same_members(value, members):
                self._write(path, lambda: (set.clear(value), set.update(value, members)))
        else:
            before = list(list.__iter__(value)) if kind == "list" else list(deque.__iter__(value))
            after = self._items(before, cell[1], path)
            if not _same_objects(before, after):
                if kind == "list":
                    self._write(path, lambda: list.__setitem__(value, slice(None), after))
                else:
                    self._write(path, lambda: (deque.clear(value), deque.extend(value, after)))
        own = cell[4] if kind == "dict" and len(cell) > 4 else cell[3] if kind != "dict" and len(cell) > 3 else None
        if type(own) is list:
            self._merge_fields(value, own[2], own[3], path)
        return value

    def _items(self, before: list[Any], cells: list[Cell], path: str) -> list[Any]:
        after = before[: len(cells)]
        for place, (held, item) in enumerate(zip(before, cells, strict=False)):
            kind = type(item)
            if kind is not type(held) or kind not in _ALIKE or held != item:
                after[place] = self._merged(held, item, f"{path}[{place}]")
        for place in range(len(before), len(cells)):
            at = f"{path}[{place}]"
            after.append(self._made(cells[place], at))
            self._note_made(cells[place], at)
        return after

    def _note_made(self, cell: Cell, path: str) -> None:
        if type(cell) is list and cell and cell[0] in _CONTAINERS:
            self.report.rebuilt.append(path)

    def _made_or_not(self, cell: Cell, path: str) -> Any:
        """Return a new value, or `LOST` where it cannot be made, which is told."""
        try:
            made = self._made(cell, path)
        except _Refused as error:
            self.report.refused.append([path, str(error)])
            return LOST
        self._note_made(cell, path)
        return made

    def _merged_fixed(self, value: Any, cell: Cell, path: str) -> Any:
        if cell[0] == "frozenset":
            members = {self._made(item, path) for item in cell[1]}
            return value if _same_members(value, members) else frozenset(members)
        before = list(tuple.__iter__(value))
        after = self._items(before, cell[1], path)
        if _same_objects(before, after):
            return value
        self.report.rebuilt.append(path)
        return tuple.__new__(type(value), after)

    def _merge_dict(self, value: Any, cell: Cell, path: str) -> None:
        methods: Any = dict
        if type(value) is dict:
            if list(value) == cell[1]:
                self._merge_values(value, cell, path)
                return
        else:
            methods = next(base for base in mro_of(type(value)) if base is dict or type_name(base) == _ORDERED)
        before = dict(methods.items(value))
        after: dict[Any, Any] = {}
        for key_cell, item in zip(cell[1], cell[2], strict=True):
            key = key_cell if type(key_cell) is str else self._key(key_cell, before, path)
            if key in before and _is_already(before[key], item):
                after[key] = before[key]
                continue
            at = path + _step(key)
            found = self._merged(before[key], item, at) if key in before else self._made_or_not(item, at)
            if found is not LOST:
                after[key] = found
        if list(before) == list(after):
            for key, item in after.items():
                if before[key] is not item:
                    self._write(path + _step(key), _setter(methods, value, key, item))
            return

        def write() -> None:
            methods.clear(value)
            for key, item in after.items():
                methods.__setitem__(value, key, item)

        self._write(path or "the keys", write)

    def _merge_values(self, value: dict[Any, Any], cell: Cell, path: str) -> None:
        """Plan for a dict whose keys are as they are to be: nearly every one, in a state of many."""
        for key, held, item in list(zip(value, value.values(), cell[2], strict=True)):
            # `_is_already`, without a call for each value of the program.
            kind = type(item)
            if kind is type(held) and kind in _ALIKE and held == item:
                continue
            at = path + _step(key)
            found = self._merged(held, item, at)
            if found is not held:
                self._write(at, _setter(dict, value, key, found))

    def _key(self, cell: Cell, before: dict[Any, Any], path: str) -> Any:
        if type(cell) is _KnownKey:
            return cell.key
        if type(cell) is list and cell and cell[0] == "other":
            for key in before:
                if type_name(type(key)) == cell[1]:
                    return key
        return self._made(cell, path)

    def _merged_object(self, value: Any, cell: Cell, path: str) -> Any:
        parameters = stored_attribute(type(value), "__dataclass_params__")
        if parameters is not LOST and getattr(parameters, "frozen", False):
            if self._is_unchanged(value, cell, path):
                return value
            made = self._made(cell, path)
            self.report.rebuilt.append(path)
            return made
        self._merge_fields(value, cell[2], cell[3], path)
        return value

    def _is_unchanged(self, value: Any, cell: Cell, path: str) -> bool:
        trial = WriteBack(self._session, force=True)
        if cell[0] == "object":
            trial._merge_fields(value, cell[2], cell[3], path)
        else:
            trial._merged_container(value, cell, path)
        found = trial.report
        return not (found.changed or found.rebuilt or found.refused)

    def _merge_fields(self, value: Any, names: list[str], cells: list[Cell], path: str) -> None:
        shape = self._session.graph.shape_of_fields(value)
        if shape is None:
            raise _Refused("its fields cannot be read")
        held_names, held, _ = shape.read(value, sys.maxsize)
        before = dict(zip(held_names or [], held, strict=False))
        for name, item in zip(names, cells, strict=True):
            if name in before and _is_already(before[name], item):
                continue
            at = f"{path}.{name}" if path else name
            if name in before:
                after = self._merged(before[name], item, at)
                if after is not before[name]:
                    self._store_field(value, name, after, at)
            elif item != ["unset"]:
                made = self._made_or_not(item, at)
                if made is not LOST:
                    self._store_field(value, name, made, at)
        for name in before:
            if name not in names:
                self._delete_field(value, name, f"{path}.{name}" if path else name)

    def _store_field(self, value: Any, name: str, item: Any, path: str) -> None:
        if name == "args" and BaseException in mro_of(type(value)):
            self._write(path, lambda: BaseException.__dict__["args"].__set__(value, item))
            return
        self._store(value, name, item, path)

    def _delete_field(self, value: Any, name: str, path: str) -> None:
        kind = type(value)
        slot, getter = slots_of(kind).get(name), dict_getter(kind)
        if type in mro_of(kind):
            self._write(path, lambda: type.__delattr__(value, name))
        elif slot is not None:
            self._write(path, lambda: MemberDescriptorType.__delete__(slot, value))
        elif getter is not None or ModuleType in mro_of(kind):
            held = vars(value) if getter is None else getter(value)
            self._write(path, lambda: held.pop(name, None))

    def _why_not(self, kind: type) -> str:
        """Return why objects of a class are not written to; "" where they may be."""
        parameters = stored_attribute(kind, "__dataclass_params__")
        if self._force or type in mro_of(kind) or (parameters is not LOST and getattr(parameters, "frozen", False)):
            return ""
        for base in mro_of(kind):
            held = class_dict(base)
            for name in ("__setattr__", "__setitem__", "__delitem__"):
                if type(held.get(name)) is FunctionType:
                    return (
                        f"{short_name(base)} has its own {name}, which writing in place would pass by; force does so"
                    )
        return ""

    # Values that are not there.

    def _made(self, cell: Cell, path: str) -> Any:
        """Return a new value.

        Raises:
            _Refused: it cannot be made.
        """
        if type(cell) is not list:
            return cell
        if not cell:
            raise _Refused("it is no value")
        kind = str(cell[0])
        if kind in _CONTAINERS:
            self._depth += 1
            try:
                if self._depth > _DEEPEST:
                    raise _Refused("it is nested too deeply")
                return self._made_container(kind, cell, path)
            finally:
                self._depth -= 1
        maker = _MAKERS.get(kind)
        if maker is None:
            why = {
                "other": "was not recorded",
                "cut": "was cut by a limit",
                "redacted": "was left out",
                "ref": "is a cycle",
            }
            raise _Refused(f"what stood here {why.get(kind, 'is of an unknown kind')}, and nothing stands here now")
        try:
            return maker(*cell[1:])
        except _Refused:
            raise
        except Exception as error:  # noqa: BLE001 - cells of any content come from the host
            raise _Refused(f"{kind} cannot be made: {error}") from None

    def _made_container(self, kind: str, cell: Cell, path: str) -> Any:
        if kind == "object":
            return self._made_object(cell, path)
        place = _PLACES[kind]
        name = cell[place] if len(cell) > place else None
        base: Any = _BY_NAME[kind]
        made_class: Any = base if name is None or name == "collections.deque" else _class_named(name)
        if base not in mro_of(made_class):
            raise _Refused(f"{name} is no {kind} any more")
        if kind == "dict":
            made: Any = dict.__new__(made_class)
            setter: Any = (
                made_class.__setitem__ if type_name(made_class).startswith("collections.") else dict.__setitem__
            )
            for key, item in zip(cell[1], cell[2], strict=True):
                setter(made, self._made(key, path), self._made(item, path))
            return made
        items = [self._made(item, path) for item in cell[1]]
        if kind == "tuple":
            return tuple.__new__(made_class, items)
        if kind == "frozenset":
            return frozenset.__new__(made_class, items)
        if kind == "deque":
            return deque(items)
        made = base.__new__(made_class)
        if kind == "list":
            list.extend(made, items)
        else:
            set.update(made, items)
        return made

    def _made_object(self, cell: Cell, path: str) -> Any:
        kind = _class_named(cell[1])
        if self._session.graph.is_machinery(kind):
            raise _Refused(f"a {cell[1]} is no data, and is not made")
        base: Any = BaseException if BaseException in mro_of(kind) else object
        try:
            made: Any = base.__new__(kind)
        except TypeError as error:
            raise _Refused(f"a {cell[1]} cannot be made without its own code: {error}") from None
        getter, slots = dict_getter(kind), slots_of(kind)
        for name, item in zip(cell[2], cell[3], strict=True):
            if item == ["unset"]:
                continue
            value = self._made(item, f"{path}.{name}")
            if name == "args" and base is BaseException:
                BaseException.__dict__["args"].__set__(made, value)
            elif name in slots:
                slots[name].__set__(made, value)
            elif getter is not None:
                getter(made)[name] = value
        return made


class _KnownKey:
    """A key that is there already."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key


_ORDERED = "collections.OrderedDict"


def _setter(methods: Any, target: Any, key: Any, item: Any) -> Callable[[], None]:
    return lambda: methods.__setitem__(target, key, item)


def _class_named(name: str) -> type:
    """Return a class of the program by the name that it is kept by; no module is imported for it."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:count]))
        if module is None:
            continue
        found: Any = module
        for part in parts[count:]:
            found = stored_attribute(found, part)
            if found is LOST:
                break
        if found is not LOST and type in mro_of(type(found)) and type_name(found) == name:
            return found  # type: ignore[no-any-return]
    raise _Refused(f"there is no class {name} now")


def _step(key: Any) -> str:
    if type(key) is str:
        return _text_step(key)
    return f"[{key!r}]" if type(key) in (int, float, bool, type(None), bytes) else f"[{short_name(type(key))}]"


@lru_cache(maxsize=1024)
def _text_step(key: str) -> str:
    if key and _WORD.issuperset(key) and not key[0].isdigit():
        return f".{key}"
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'["{escaped}"]'


def _is_already(value: Any, cell: Cell) -> bool:
    """Whether a plain value is what a cell stands for; False also where that takes a closer look."""
    kind = type(cell)
    return kind is type(value) and kind in _ALIKE and bool(value == cell)


_ALIKE = frozenset((int, str, bool, type(None)))
"""Types whose values are the same where they are equal."""


def _same_cell(left: Cell, right: Cell) -> bool:
    return type(left) is type(right) and repr(left) == repr(right)


def _same_objects(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(map(operator.is_, left, right))


def _same_members(left: Any, right: set[Any]) -> bool:
    try:
        return frozenset(left) == right
    except TypeError:
        return False


def _enum_member(name: str, member: str, _: Cell) -> Any:
    kind = _class_named(name)
    found = stored_attribute(kind, "_member_map_")
    if found is LOST or member not in found:
        raise _Refused(f"{name} has no member {member} now")
    return found[member]


def _standard(name: str, *content: Any) -> Any:
    if name == "range":
        return range(*map(_number, content))
    if name == "slice":
        return slice(*map(_number, content))
    module = {"fraction": ("fractions", "Fraction"), "zone": ("zoneinfo", "ZoneInfo")}.get(name)
    if module is None:
        module = ("ipaddress" if name.startswith("IPv") else "pathlib", name)
    made = getattr(sys.modules.get(module[0]), module[1], None)
    if made is None:
        raise _Refused(f"{module[0]} is not loaded")
    return made(*map(_number, content))


def _number(cell: Any) -> Any:
    return int(cell[1], 16) if type(cell) is list and cell[0] == "int" else cell


def _moment(kind: str, text: str, zone: str | None = None) -> Any:
    made = _loaded("datetime", kind).fromisoformat(text.removesuffix("~"))
    if zone is not None:
        made = made.replace(tzinfo=_loaded("zoneinfo", "ZoneInfo")(zone))
    return made.replace(fold=1) if text.endswith("~") else made


def _loaded(module: str, name: str) -> Any:
    found = getattr(sys.modules.get(module), name, None)
    if found is None:
        raise _Refused(f"{module} is not loaded")
    return found


def _of_subclass(name: str, cell: Cell) -> Any:
    kind = _class_named(name)
    for base in (str, float, int, bytes, complex):
        if base in mro_of(kind):
            return base.__new__(kind, _number(cell))
    raise _Refused(f"{name} is no plain value any more")


_MAKERS: dict[str, Callable[..., Any]] = {
    "int": lambda text: int(text, 16),
    "float": float,
    "bytes": lambda text, kind=None: (
        binascii.a2b_base64(text) if kind is None else bytearray(binascii.a2b_base64(text))
    ),
    "complex": lambda real, imaginary: complex(float(real), float(imaginary)),
    "datetime": lambda *parts: _moment("datetime", *parts),
    "date": lambda *parts: _moment("date", *parts),
    "time": lambda *parts: _moment("time", *parts),
    "timedelta": lambda days, seconds, micros: _loaded("datetime", "timedelta")(days, seconds, micros),
    "decimal": lambda text: _loaded("decimal", "Decimal")(text),
    "uuid": lambda text: _loaded("uuid", "UUID")(text),
    "enum": _enum_member,
    "std": _standard,
    "of": _of_subclass,
}
