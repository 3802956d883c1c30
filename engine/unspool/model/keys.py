"""Keys of any type as steps of a path, and how they are spelled.

A key that is a text or an integer is a step as it is. Every other one is a `Key`: it is the same key where its wire form
is the same, so `True`, `1` and `1.0` are three keys, and so are `Decimal("1.0")` and `Decimal("1.00")`.

The spelling is Python's where Python has a literal (`None`, `(1, 2)`, `b'ab'`), ISO 8601 for dates and times, and a call
otherwise: `Decimal('1.00')`, `shop.Color(RED=1)`. It is read by looking at its syntax tree; nothing is called.
"""

from __future__ import annotations

import ast
import datetime as dt
import decimal
import math
import re
import uuid
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from unspool.errors import CorruptHistory, PathSyntaxError, UnsupportedValue
from unspool.model.tags import Tag, Tagged, compose, from_tag, leaf_form, standard_contents
from unspool.model.values import Value, strict_equal
from unspool.model.wire import PLAIN, decode, extension_of


class Key:
    """A key of an object that is neither a text nor an integer.

    Attributes:
        form: its wire form, by which it is compared.
    """

    __slots__ = ("_value", "form")

    def __init__(self, form: bytes) -> None:
        """Take a key by its wire form."""
        self.form = form
        self._value: Value = _UNREAD

    @property
    def value(self) -> Value:
        """The key itself."""
        if self._value is _UNREAD:
            self._value = decode(self.form)
        return self._value

    def __eq__(self, other: object) -> bool:
        return type(other) is Key and self.form == other.form

    def __hash__(self) -> int:
        return hash(self.form)

    def __repr__(self) -> str:
        return f"Key({spell_key(self)})"

    def __str__(self) -> str:
        return spell_key(self)


_UNREAD: Final = object()

Step = str | int | Key
"""One step of a path: a key that is a text; the index of a list, or a key that is an integer; any other key."""


def step_of_form(form: bytes) -> Step:
    """Return a key of an object, given as wire form, as a step of a path.

    Raises:
        CorruptHistory: the bytes are no wire form.
    """
    # The numbers of the wire form are read here: an object may have very many such keys.
    first = form[0] if form else 0xC1
    if first <= 0x7F:
        return first
    if first >= 0xE0:
        return first - 0x100
    if 0xCC <= first <= 0xD3:
        return int.from_bytes(form[1:], signed=first >= 0xD0)
    if first in _NEITHER or (first in _EXTENSIONS and form[_EXTENSIONS[first]] not in _TEXT_OR_NUMBER):
        return Key(form)
    value = decode(form)
    return value if type(value) is str or type(value) is int else Key(form)


_NEITHER: Final = frozenset((0xC0, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xCA, 0xCB))
"""First bytes of nil, booleans, bytes and floats."""
_EXTENSIONS: Final = {0xC7: 2, 0xC8: 3, 0xC9: 5, **dict.fromkeys(range(0xD4, 0xD9), 1)}
"""First bytes of tagged values, with where their code stands."""
_TEXT_OR_NUMBER: Final = frozenset((int(Tag.BIG_INT), int(Tag.SURROGATES)))


def key_of(step: Step) -> Value:
    """Return the key of an object that a step stands for."""
    return step.value if type(step) is Key else step


def spell_key(step: Step) -> str:
    """Return the text of a key: what stands in the brackets of a path, or the text itself where it is one."""
    if isinstance(step, Key):
        return _spelled(step.form) if len(step.form) <= _SHORT else _spell_form(step.form)
    return step if isinstance(step, str) else _integer(step)


def spelled_form(text: str) -> bytes | None:
    """Return the wire form that stands in the spelling of a key which nothing else spells; None for other spellings."""
    raw = _WIRE.fullmatch(text)
    return bytes.fromhex(raw[1]) if raw is not None and not len(raw[1]) % 2 else None


def spelled_value(text: str) -> Value:
    """Return the key that a spelling in the manner of Python stands for; nothing is called.

    Raises:
        PathSyntaxError: it is the spelling of no key.
    """
    try:
        return _moment(text) if _MOMENT.fullmatch(text) is not None else _parsed(text)
    except (SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
    except (CorruptHistory, UnsupportedValue) as error:
        reason = str(error)
    raise PathSyntaxError(f"{text[:80]!r} is no key ({reason})")


def _spell_form(form: bytes) -> str:
    try:
        value = decode(form)
        text = _literal(value, nested=False)
        if _is_read_as(text, value, form):
            return text
    except (PathSyntaxError, ValueError, TypeError, LookupError, RecursionError, CorruptHistory):
        pass
    return f"wire('{form.hex()}')"


def _is_read_as(text: str, value: Value, form: bytes) -> bool:
    """Whether a spelling is read as the key that it was made of."""
    again = spelled_value(text)
    written = PLAIN.plain(again)
    # What the fast path cannot write, such as a lone surrogate, is compared as a value.
    return strict_equal(again, value) if written is None else written == form


_spelled: Final = lru_cache(maxsize=4096)(_spell_form)
_SHORT: Final = 1024
"""Bytes of a key up to which its spelling is remembered."""


Path = tuple[Step, ...]
"""Steps from a state (or an atom) down to a value."""

_PLAIN_KEY: Final = re.compile(r"[^\W\d][\w-]*\Z")


def format_path(path: Path, *, root: str = "$") -> str:
    """Spell a path for people.

    Args:
        path: the steps.
        root: what stands for the value the path starts at; `""` drops the leading dot too.

    Returns:
        Text such as `$.cart.items[2].qty`; keys that are not plain words are quoted: `$["a b"]`; keys that are no text
        stand in brackets as Python spells them: `$.grid[(1, 2)]`.
    """
    parts: list[str] = [root]
    for step in path:
        if not isinstance(step, str):
            parts.append(f"[{spell_key(step)}]")
        elif _PLAIN_KEY.match(step):
            parts.append(f".{step}" if parts != [""] else step)
        else:
            escaped = step.replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'["{escaped}"]')
    return "".join(parts)


def to_pointer(path: Path) -> str:
    """Spell a path as an RFC 6901 JSON Pointer; a key that is no text stands there by its spelling."""
    return "".join(f"/{spell_key(step).replace('~', '~0').replace('/', '~1')}" for step in path)


_LONGEST_INTEGER: Final = 14_000
"""Bits of an integer that Python spells in decimal digits."""


def _integer(value: int) -> str:
    return str(value) if value.bit_length() < _LONGEST_INTEGER else hex(value)


def _literal(value: Value, *, nested: bool = True) -> str:
    """Spell a key; raises what `read_key` would not understand either."""
    kind = type(value)
    if kind is int:
        return _integer(value)
    if value is None or kind in _PYTHON:
        return repr(value)
    if kind is tuple or kind is list:
        inner = ", ".join(map(_literal, value))
        if kind is list:
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if kind is dict:
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    if kind is frozenset or kind is set:
        return f"{kind.__name__}([{', '.join(sorted(map(_literal, value)))}])"
    if kind in _MOMENTS:
        text = (extension_of(leaf_form(value) or b"\xc0") or (0, b""))[1].decode()
        return text if not nested and _MOMENT.fullmatch(text) else f"{kind.__name__}({text!r})"
    if kind is Tagged:
        name = value.type_name if _DOTTED.fullmatch(value.type_name) else ""
        if name and value.is_member and str(value.value[0]).isidentifier():
            return f"{name}({value.value[0]}={_literal(value.value[1])})"
        given = [] if name else [repr(value.type_name)]
        given.append(_literal(value.value))
        given += ["True"] if value.is_member else []
        return f"{name or 'tagged'}({', '.join(given)})"
    return _called(value)


def _called(value: Value) -> str:
    known = _CALLS.get(type(value))
    if known is not None:
        return f"{type(value).__name__}({known(value)})"
    name, take = standard_contents()[type(value)]
    return f"{name}({_literal(take(value))})"


_PYTHON: Final = frozenset((bool, float, str, bytes, complex))
_MOMENTS: Final = frozenset((dt.date, dt.datetime, dt.time))
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:[-+]\d\d:\d\d(?::\d\d)?)?)?"
    r"|\d\d:\d\d:\d\d(?:\.\d+)?(?:[-+]\d\d:\d\d(?::\d\d)?)?",
    re.ASCII,
)
_WIRE: Final = re.compile(r"wire\('([0-9a-f]+)'\)")
"""A key that nothing else spells."""
_DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_CALLS: Final[dict[type, Callable[[Value], str]]] = {
    dt.timedelta: lambda value: f"{value.days}, {value.seconds}, {value.microseconds}",
    decimal.Decimal: lambda value: repr(str(value)),
    uuid.UUID: lambda value: repr(str(value)),
}
_MADE: Final[dict[str, Callable[..., Value]]] = {
    "date": dt.date.fromisoformat,
    "datetime": lambda text: _tagged_leaf(Tag.ZONED if "|" in text else Tag.DATETIME, text),
    "time": lambda text: _tagged_leaf(Tag.TIME, text),
    "timedelta": dt.timedelta,
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "frozenset": frozenset,
    "set": set,
}
"""What is made of the arguments of a call in the spelling of a key; a closed list, none runs code of anyone."""


def _tagged_leaf(tag: Tag, text: str) -> Value:
    return from_tag(int(tag), text.encode(), decode)


def _moment(text: str) -> Value:
    if ":" not in text:
        return dt.date.fromisoformat(text)
    return dt.datetime.fromisoformat(text) if "T" in text else dt.time.fromisoformat(text)


def _value(node: ast.expr) -> Value:
    """Return the value that a syntax tree spells.

    Raises:
        ValueError: it is no spelling of a value.
    """
    match node:
        case ast.Constant(value=value) if value is not Ellipsis:
            return value
        case ast.Name(id="nan" | "inf"):
            return math.nan if node.id == "nan" else math.inf
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=ast.Constant(value=complex() as right)):
            return _value(left) + right if isinstance(node.op, ast.Add) else _value(left) - right
        case ast.Tuple(elts=items):
            return tuple(map(_value, items))
        case ast.List(elts=items):
            return list(map(_value, items))
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {_value(key): _value(item) for key, item in zip(keys, values, strict=True) if key is not None}
        case ast.Call(func=function, args=args, keywords=[]):
            return _made(ast.unparse(function), [_value(item) for item in args])
        case ast.Call(func=ast.Attribute() as function, args=[], keywords=[ast.keyword(arg=str(member), value=item)]):
            return Tagged(ast.unparse(function), [member, _value(item)], True)
    raise ValueError("not the spelling of a key")


def _parsed(text: str) -> Value:
    if len(text) > _LONGEST_SPELLING:
        raise ValueError(f"{len(text):,} characters")
    with warnings.catch_warnings():
        # Python warns of what a text in quotes may not mean one day; whoever asks a question cannot help it.
        warnings.simplefilter("ignore")
        return _value(ast.parse(text.strip(), mode="eval").body)


_LONGEST_SPELLING: Final = 100_000
"""Characters of a key; Python's parser needs memory by the hundredfold."""


def _made(name: str, given: list[Value]) -> Value:
    make = _MADE.get(name)
    if make is not None:
        return make(*given)
    if name == "tagged":
        name, *given = given
    elif "." not in name:
        (content,) = given
        made = compose(int(Tag.STANDARD), [name, content])
        if type(made) is Tagged:
            raise ValueError(f"{name} is no type that is known")
        return made
    content, *is_member = given
    return Tagged(name, content, is_member == [True])


__all__ = [
    "Key",
    "Path",
    "Step",
    "format_path",
    "key_of",
    "spell_key",
    "spelled_form",
    "spelled_value",
    "step_of_form",
    "to_pointer",
]
