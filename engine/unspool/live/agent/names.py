"""The names to watch: which values of the program are the roots of the state, and where they may be bound anew."""

from __future__ import annotations

import sys
import weakref
from types import CodeType, FunctionType, ModuleType
from typing import Any

from unspool.live.agent.following import CO_OPTIMIZED, LOST, stored_attribute
from unspool.live.agent.wire import mro_of, type_name

_MOST_INSTANCES = 1000


class Watch:
    """One name as it was given.

    Attributes:
        text: as given: `name`, `mod:NAME.attr`, `mod:func.var`, `mod:func.*`, `mod:Class` or `@Class`.
        module: the module it names, "" for none.
        parts: the dotted names that follow.
        of_class: the name of the class whose instances are meant.
        was_seen: it stood for something at some time.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.of_class = text[1:].rpartition(":")[2] if text.startswith("@") else ""
        module, colon, path = text.lstrip("@").rpartition(":")
        self.module = module if colon else ""
        self.parts = tuple(path.split("."))
        self.instances: list[tuple[str, weakref.ref[Any]]] = []
        self.total = 0
        self.was_seen = False

    @property
    def atom(self) -> str:
        """The name of its atom, where it is one of several."""
        return ".".join(self.parts)


class Frames:
    """The locals of one function that is watched, while it runs; of a recursion those of the innermost call."""

    def __init__(self) -> None:
        self._stack: list[tuple[int, dict[str, Any]]] = []

    def set(self, frame_id: int, name: str, value: Any) -> None:
        """Take note of a local, or of its end where it is `LOST`."""
        for number, held in self._stack:
            if number == frame_id:
                if value is LOST:
                    held.pop(name, None)
                else:
                    held[name] = value
                return
        if value is not LOST:
            self._stack.append((frame_id, {name: value}))

    def leave(self, frame_id: int) -> bool:
        """Forget the locals of a call that ended; return whether there were any."""
        before = len(self._stack)
        self._stack = [pair for pair in self._stack if pair[0] != frame_id]
        return len(self._stack) != before

    def forget(self) -> None:
        """Forget the locals of all calls."""
        self._stack.clear()

    def values(self) -> dict[str, Any]:
        """Return the locals of the innermost call."""
        return self._stack[-1][1] if self._stack else {}


class Names:
    """All watched names, and what they stand for now."""

    def __init__(self, texts: list[str], main_name: str) -> None:
        """Take names.

        Args:
            texts: as they were given.
            main_name: the name that the main module would have if it were imported.
        """
        self._main_name = main_name
        self.watches = [Watch(text) for text in texts]
        self.frames: dict[str, Frames] = {}
        self.has_classes = any(watch.of_class for watch in self.watches)

    def globals_named(self) -> frozenset[str]:
        """Return the global names whose binding may make another root."""
        return frozenset(watch.parts[0] for watch in self.watches)

    def locals_named(self, module: str, code: CodeType) -> frozenset[str]:
        """Return which locals of a function are watched; `*` stands for all. What a class body binds are attributes of the class."""
        if not code.co_flags & CO_OPTIMIZED:
            return frozenset()
        qualname = code.co_qualname
        return frozenset(
            watch.parts[-1]
            for watch in self.watches
            if len(watch.parts) > 1
            and ".".join(watch.parts[:-1]) == qualname
            and (not watch.module or self._is_module(watch.module, module))
        )

    def _is_module(self, wanted: str, name: str) -> bool:
        return wanted == name or (name == "__main__" and wanted == self._main_name)

    def modules(self, watch: Watch) -> list[ModuleType]:
        """Return the modules that a name may be in."""
        names = [watch.module] if watch.module else ["__main__"]
        if watch.module == self._main_name:
            names.append("__main__")
        return [module for name in names if isinstance(module := sys.modules.get(name), ModuleType)]

    def module_name_of(self, name: str) -> str:
        """Return how a module is called in a name: the main module as if it were imported."""
        return self._main_name if name == "__main__" else name

    def value(self, watch: Watch) -> Any:
        """Return what a name stands for, or `LOST`."""
        for module in self.modules(watch):
            held = vars(module)
            if watch.parts == ("*",):
                return module
            value = held.get(watch.parts[0], LOST)
            if value is not LOST:
                for part in watch.parts[1:]:
                    value = stored_attribute(value, part)
                return value
        return LOST

    def holders(self) -> set[int]:
        """Return the identities of modules and objects that names lead through: a store there may make another root."""
        found: set[int] = set()
        for watch in self.watches:
            for module in self.modules(watch):
                found.add(id(module))
                value: Any = vars(module).get(watch.parts[0], LOST)
                for part in watch.parts[1:]:
                    if value is LOST:
                        break
                    found.add(id(value))
                    value = stored_attribute(value, part)
        return found

    def watched_class(self, watch: Watch) -> type | None:
        """Return the class whose instances a name means, once it is there."""
        value = self.value(watch)
        return value if type in mro_of(type(value)) else None

    def is_method(self, code: CodeType) -> bool:
        """Whether code is, by its name, a method of a class whose instances are watched."""
        owner = code.co_qualname.rpartition(".")[0].rpartition(".<locals>.")[2]
        return bool(owner and code.co_argcount) and any(watch.of_class == owner for watch in self.watches)

    def add_instance(self, value: Any) -> bool:
        """Take note of an object, should it be an instance of a watched class; return whether it is new."""
        added = False
        for watch in self.watches:
            if not watch.of_class:
                continue
            wanted = [base for base in mro_of(type(value)) if type_name(base).endswith(f".{watch.atom}")]
            if not wanted or (
                watch.module
                and not self._is_module(watch.module, type_name(wanted[0]).removesuffix(f".{watch.atom}"))
            ):
                continue
            if any(held() is value for _, held in watch.instances) or len(watch.instances) >= _MOST_INSTANCES:
                continue
            try:
                held = weakref.ref(value)
            except TypeError:
                continue
            watch.total += 1
            watch.instances.append((f"{watch.atom}#{watch.total}", held))
            added = True
        return added

    def roots(self) -> list[tuple[str, Any]]:
        """Return all atoms by name, as several roots."""
        found: list[tuple[str, Any]] = []
        for watch in self.watches:
            if watch.of_class:
                alive = [(name, held, held()) for name, held in watch.instances]
                watch.instances = [(name, held) for name, held, value in alive if value is not None]
                found += [(name, value) for name, _, value in alive if value is not None]
                watch.was_seen = watch.total > 0
                continue
            local = self.frames.get(".".join(watch.parts[:-1]))
            if local is not None:
                values = local.values()
                watch.was_seen = (
                    watch.was_seen or watch.parts[-1] in values or (watch.parts[-1] == "*" and bool(values))
                )
                if watch.parts[-1] == "*":
                    found += values.items()
                elif watch.parts[-1] in values:
                    found.append((watch.atom, values[watch.parts[-1]]))
                continue
            value = self.value(watch)
            if value is not LOST and not isinstance(value, FunctionType):
                found.append((watch.atom, value))
                watch.was_seen = True
        used: dict[str, int] = {}
        return [(_numbered(name, used), value) for name, value in found]

    def only_root(self) -> Any:
        """Return the one root that all atoms belong to, or `LOST` where there are several, or none yet."""
        if len(self.watches) != 1 or self.watches[0].of_class or self.frames:
            return LOST
        value = self.value(self.watches[0])
        self.watches[0].was_seen = self.watches[0].was_seen or value is not LOST
        return value

    def explain(self, watch: Watch) -> str:
        """Return in a line why a name stands for nothing; "" where it stands for something, or may do so later."""
        if watch.of_class or self.value(watch) is not LOST:
            return ""
        modules = self.modules(watch)
        if not modules:
            return f"{watch.text}: no module {watch.module or '__main__'} is loaded yet"
        near = self._near(watch)
        hint = f"; did you mean {near}" if near else ""
        return f"{watch.text}: there is no {watch.parts[0]} in {watch.module or '__main__'} yet{hint}"

    def _near(self, watch: Watch) -> str:
        """Return a name of the module that was perhaps meant; "" where there is none, or the name is one."""
        modules = self.modules(watch)
        names = [name for name in vars(modules[0]) if not name.startswith("__")] if modules else []
        if watch.parts[0] in names:
            return ""
        near = (name for name in names if name.lower() == watch.parts[0].lower() or _is_near(name, watch.parts[0]))
        return next(near, "")

    def unseen(self) -> list[str]:
        """Return the names that never stood for anything, as they were given, each with what was perhaps meant."""
        found = []
        for watch in self.watches:
            if not watch.was_seen:
                near = self._near(watch)
                found.append(f"{watch.text} (did you mean {near}?)" if near else watch.text)
        return found


def _is_near(left: str, right: str) -> bool:
    """Whether two names differ by two letters that changed places, or one that is more, less or another."""
    if abs(len(left) - len(right)) > 1 or left == right:
        return False
    start = next(
        (at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right))
    )
    rest, other = left[start:], right[start:]
    if rest[1:] == other[1:] or rest[1:] == other or rest == other[1:]:
        return True
    return rest[:2] == other[1::-1] and rest[2:] == other[2:]


def _numbered(name: str, used: dict[str, int]) -> str:
    number = used[name] = used.get(name, 0) + 1
    return name if number == 1 else f"{name} {number}"
