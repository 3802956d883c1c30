"""Following an expression of the program to the object it stands for, without running any code of the program.

Names are looked up in locals and globals, attributes in `__dict__` and slots, items in plain containers, and arithmetic
is done on plain numbers and texts. Everything else is `LOST`: no property, no `__getitem__`, no function is ever called.
"""

from __future__ import annotations

import ast
import operator
import sys
from collections import deque
from collections.abc import Callable
from types import CodeType, FrameType, MemberDescriptorType, ModuleType
from typing import Any, Protocol

from unspool.live.agent.shapes import dict_getter
from unspool.live.agent.wire import class_dict, mro_of


class _Lost:
    """Stands for what an expression could not be followed to."""


LOST = _Lost()

CO_OPTIMIZED = 0x01
_PLAIN_KEYS = (str, int, bytes, float, bool, type(None))
_NUMBERS = (int, float, bool)
_SIZED = (str, bytes, list, tuple, dict, set, frozenset, deque)
_LARGEST_NUMBER = 1 << 128


class Seen(Protocol):
    """What is known of how a code object's locals may be looked at."""

    is_readable: bool
    is_traced: bool


class Scope:
    """The names that code in a frame sees; its locals are asked for once."""

    __slots__ = ("_locals", "frame", "sites")

    def __init__(self, frame: FrameType, sites: Seen) -> None:
        self.frame = frame
        self.sites = sites
        self._locals: Any = None

    def value(self, name: str) -> Any:
        """Return the value of a name, or `LOST`."""
        frame = self.frame
        code = frame.f_code
        if not code.co_flags & CO_OPTIMIZED:
            held = frame.f_locals
            if type(held) is dict and name in held:
                return held[name]
            return frame.f_globals.get(name, LOST)
        if name in code.co_varnames or name in code.co_cellvars or name in code.co_freevars:
            if self._locals is None:
                self._locals = self._read_locals()
            return self._locals.get(name, LOST)
        return frame.f_globals.get(name, LOST)

    def _read_locals(self) -> Any:
        if not self.sites.is_readable and not self.sites.is_traced:
            return {}
        held = self.frame.f_locals
        if type(held) is not dict or self.sites.is_traced:
            return held
        # A copy, up to Python 3.12, that would keep alive what the function lets go of. Within a trace function the
        # interpreter puts it back into the function's variables.
        found = held.copy()
        held.clear()
        return found


Follow = Callable[[Scope], Any]
"""Finds in a scope what an expression stands for, or `LOST`."""


def local_value(frame: FrameType, name: str, sites: Seen) -> Any:
    """Return the value of a name as code in a frame sees it, or `LOST`."""
    return Scope(frame, sites).value(name)


def compiled(expression: ast.expr | None, code: CodeType) -> Follow | None:
    """Return what follows an expression; None for one that cannot be followed.

    Args:
        expression: of the program's source.
        code: the code object that it stands in.
    """
    if isinstance(expression, ast.Name):
        name = mangled(expression.id, code)
        return lambda scope: scope.value(name)
    if isinstance(expression, ast.Constant):
        constant = expression.value
        return lambda _: constant
    compile_kind = _KINDS.get(type(expression))
    return None if compile_kind is None else compile_kind(expression, code)


def _attribute(expression: Any, code: CodeType) -> Follow | None:
    inner = compiled(expression.value, code)
    if inner is None:
        return None
    name = mangled(expression.attr, code)
    if name == "__dict__":
        return inner
    return lambda scope: stored_attribute(inner(scope), name)


def _subscript(expression: Any, code: CodeType) -> Follow | None:
    inner, key = compiled(expression.value, code), compiled(expression.slice, code)
    if inner is None or key is None:
        return None
    return lambda scope: stored_item(inner(scope), key(scope))


def _tuple(expression: Any, code: CodeType) -> Follow | None:
    parts = [compiled(item, code) for item in expression.elts]
    known = [part for part in parts if part is not None]
    if len(known) != len(parts):
        return None

    def follow(scope: Scope) -> Any:
        values = tuple(part(scope) for part in known)
        return LOST if any(value is LOST for value in values) else values

    return follow


def _unary(expression: Any, code: CodeType) -> Follow | None:
    inner = compiled(expression.operand, code)
    act = _UNARY.get(type(expression.op))
    if inner is None or act is None:
        return None

    def follow(scope: Scope) -> Any:
        value = inner(scope)
        return act(value) if type(value) in _NUMBERS else LOST

    return follow


def _binary(expression: Any, code: CodeType) -> Follow | None:
    left, right = compiled(expression.left, code), compiled(expression.right, code)
    act = _BINARY.get(type(expression.op))
    if left is None or right is None or act is None:
        return None

    def follow(scope: Scope) -> Any:
        one, other = left(scope), right(scope)
        is_text = type(one) is str and type(other) is str and len(one) + len(other) < 1000 and act is operator.add
        if not is_text and not (_is_modest_number(one) and _is_modest_number(other)):
            return LOST
        try:
            return act(one, other)
        except (ArithmeticError, ValueError, TypeError):
            return LOST

    return follow


def _is_modest_number(value: Any) -> bool:
    return type(value) in _NUMBERS and -_LARGEST_NUMBER < value < _LARGEST_NUMBER


def _either(expression: Any, code: CodeType) -> Follow | None:
    # A part that cannot be followed matters only where the program comes to it.
    parts = [compiled(item, code) or _lost for item in expression.values]
    if parts[0] is _lost:
        return None
    is_or = isinstance(expression.op, ast.Or)

    def follow(scope: Scope) -> Any:
        value: Any = LOST
        for part in parts:
            value = part(scope)
            truth = _truth(value)
            if truth is None:
                return value if part is parts[-1] else LOST
            if truth is is_or:
                return value
        return value

    return follow


def _lost(_: Scope) -> Any:
    return LOST


def _conditional(expression: Any, code: CodeType) -> Follow | None:
    test = compiled(expression.test, code)
    body, other = compiled(expression.body, code) or _lost, compiled(expression.orelse, code) or _lost
    if test is None or (body is _lost and other is _lost):
        return None

    def follow(scope: Scope) -> Any:
        truth = _truth(test(scope))
        return LOST if truth is None else body(scope) if truth else other(scope)

    return follow


def _truth(value: Any) -> bool | None:
    """Whether a value counts as true; None where its class would have to be asked."""
    kind = type(value)
    if kind in _SIZED or kind in _NUMBERS or value is None:
        return bool(value)
    if value is LOST or any(name in class_dict(base) for base in mro_of(kind) for name in ("__bool__", "__len__")):
        return None
    return True


def _walrus(expression: Any, code: CodeType) -> Follow | None:
    return compiled(expression.target, code)


def _call(expression: Any, code: CodeType) -> Follow | None:
    """Follow calls of a few builtins that only read."""
    name = expression.func.id if isinstance(expression.func, ast.Name) else ""
    act = _CALLED.get((name, len(expression.args)))
    parts = [compiled(item, code) for item in expression.args]
    known = [part for part in parts if part is not None]
    if act is None or expression.keywords or len(known) != len(parts):
        return None

    def follow(scope: Scope) -> Any:
        # The program may have a function of that name.
        return act(scope, *(part(scope) for part in known)) if scope.value(name) is LOST else LOST

    return follow


def _module_of(scope: Scope) -> Any:
    module = sys.modules.get(str(scope.frame.f_globals.get("__name__", "")))
    return module if module is not None and vars(module) is scope.frame.f_globals else LOST


_CALLED: dict[tuple[str, int], Callable[..., Any]] = {
    ("len", 1): lambda _, value: len(value) if type(value) in _SIZED else LOST,
    ("vars", 1): lambda _, value: value,
    ("globals", 0): _module_of,
    ("getattr", 2): lambda _, value, name: stored_attribute(value, name) if type(name) is str else LOST,
    ("str", 1): lambda _, value: str(value) if type(value) in (int, float, bool, str) else LOST,
    ("int", 1): lambda _, value: int(value) if type(value) in (int, bool) else LOST,
    ("abs", 1): lambda _, value: abs(value) if type(value) in _NUMBERS else LOST,
}
_UNARY: dict[type, Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Mod: operator.mod,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_KINDS: dict[type, Callable[[Any, CodeType], Follow | None]] = {
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.Tuple: _tuple,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.BoolOp: _either,
    ast.IfExp: _conditional,
    ast.NamedExpr: _walrus,
    ast.Call: _call,
}


def mangled(name: str, code: CodeType) -> str:
    """Return a private name as the class that the code stands in spells it."""
    if not name.startswith("__") or name.endswith("__"):
        return name
    known = (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
    return next((held for held in known if held.startswith("_") and held.endswith(name) and held != name), name)


def stored_attribute(value: Any, name: str) -> Any:
    """Return an attribute as it is stored, without calling a property or `__getattr__`; else `LOST`."""
    if value is LOST:
        return LOST
    kind = type(value)
    bases = mro_of(kind)
    if type in bases:
        for base in mro_of(value):
            held = class_dict(base)
            if name in held:
                return held[name]
        return LOST
    if ModuleType in bases:
        return object.__getattribute__(value, "__dict__").get(name, LOST)
    in_class: Any = LOST
    for base in bases:
        held = class_dict(base)
        if name in held:
            in_class = held[name]
            break
    if type(in_class) is MemberDescriptorType:
        try:
            return in_class.__get__(value)
        except AttributeError:
            return LOST
    if in_class is not LOST and hasattr(type(in_class), "__set__"):
        return LOST
    getter = dict_getter(kind)
    if getter is not None:
        own = getter(value)
        if name in own:
            return own[name]
    return LOST if in_class is LOST or hasattr(type(in_class), "__get__") else in_class


def stored_item(value: Any, key: Any) -> Any:
    """Return an item of a plain list, tuple or dict, and of a module's names; of others, and by keys with a hash of their own, `LOST`."""
    kind = type(value)
    if kind is list or kind is tuple:
        if type(key) is not int or not -len(value) <= key < len(value):
            return LOST
        return value[key]
    if kind is dict and type(key) in _PLAIN_KEYS:
        return value.get(key, LOST)
    if ModuleType in mro_of(kind):
        return object.__getattribute__(value, "__dict__").get(key, LOST) if type(key) is str else LOST
    if dict not in mro_of(kind):
        return LOST
    if "__getitem__" in class_dict(kind) and kind is not dict:
        return LOST
    if type(key) in _PLAIN_KEYS or (type(key) is tuple and all(type(part) in _PLAIN_KEYS for part in key)):
        return dict.get(value, key, LOST)
    return LOST
