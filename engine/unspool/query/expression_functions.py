"""Values as expressions see them: JSON types only, so that tuples index like lists and dates compare like text."""

from __future__ import annotations

import datetime as dt
import decimal
from collections import Counter
from collections.abc import Callable, Hashable
from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException
from typing import Any, Final, TypeVar, cast

import msgspec
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions, signature

from unspool.model import wire
from unspool.model.json_text import in_one_line
from unspool.model.keys import spell_key, step_of_form
from unspool.model.limits import LARGE_BYTES, refuse_heavy
from unspool.model.tags import Tag, from_tag
from unspool.model.values import Value
from unspool.model.wire import NotSplittable, split_list

_AS_LIST: Final = frozenset((Tag.TUPLE, Tag.SET, Tag.FROZENSET))


def plain(encoded: bytes) -> Value:
    """Decode a wire form to JSON types.

    Tuples and sets become lists, dates and times ISO text, durations seconds, decimals numbers, objects
    what they hold, keys that are no text their text, members of enumerations objects with name and value. What is nested too deeply for that is decoded as it is.

    Raises:
        CorruptHistory: the bytes are no wire form.
    """
    if len(encoded) > LARGE_BYTES:
        refuse_heavy(encoded)
    try:
        return _decode(encoded)
    except (RecursionError, NotSplittable, msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError):
        return wire.decode(encoded)


def _untag(code: int, payload: memoryview) -> Value:
    data = bytes(payload)
    if code in _AS_LIST:
        return plain(data)
    if code == Tag.TAGGED:
        _, content, *is_member = plain(data)
        return Member(name=content[0], value=content[1]) if is_member else content
    if code == Tag.PAIRS:
        return _keyed(split_list(data))
    return _leaf(from_tag(code, data, plain))


def _keyed(parts: list[bytes]) -> dict[str, Value]:
    steps = list(map(step_of_form, parts[::2]))
    texts = {step for step in steps if isinstance(step, str)}
    made: dict[str, Value] = {}
    for step, value in zip(steps, parts[1::2], strict=True):
        text = spell_key(step)
        made[other_key(text) if not isinstance(step, str) and text in texts else text] = plain(value)
    return made


def other_key(text: str) -> str:
    """Return how a key that is no text is called where its text is a key of the same object itself."""
    return f"[{text}] of another type"


class Member(dict[str, Value]):
    """A member of an enumeration: its name and value."""

    def beside(self, other: Value) -> Value:
        """Return what is compared with another value: the name where the other is that, else the value."""
        return self["name"] if type(other) is str and other == self["name"] else self["value"]


def without_members(value: Value) -> Value:
    """Return a value with the members of enumerations in it as their values."""
    root = [value]
    pending: list[tuple[Value, Value]] = [(root, 0)]
    while pending:
        holder, key = pending.pop()
        item = holder[key]
        while type(item) is Member:
            item = item["value"]
        if type(item) is list or type(item) is dict:
            item = item.copy()
            pending.extend((item, inner) for inner in (item if type(item) is dict else range(len(item))))
        holder[key] = item
    return root[0]


def may_have_members(encoded: bytes) -> bool:
    """Whether a wire form may hold members of enumerations; False is certain."""
    return _MEMBER_FORM in encoded


_MEMBER_FORM: Final = bytes((Tag.TAGGED, 0x93))
"""How the payload of a tagged value with three parts begins."""


def _leaf(value: Value) -> Value:
    match value:
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case decimal.Decimal():
            return float(value)
        case str() | int():
            return value
    return str(value)


_decode: Final[Callable[[bytes], Value]] = msgspec.msgpack.Decoder(ext_hook=_untag).decode


_MOST_BITS: Final = 65_536
"""Bits of a whole number; multiplying what was multiplied doubles them each time."""
_MOST_DIGITS: Final = 1_000
"""Digits that rounding keeps."""
_DECIMAL: Final = Context(prec=60)
_ANY: Final[dict[str, Any]] = {"types": []}
_SOME: Final[dict[str, Any]] = {"types": [], "variadic": True}

_Made = TypeVar("_Made", bound=Callable[..., Any])


def _takes(*arguments: dict[str, Any]) -> Callable[[_Made], _Made]:
    """Say what a function takes."""
    return cast("Callable[[_Made], _Made]", signature(*arguments))


ARITIES: Final = {"add": (2, None), "mul": (2, None), "round": (1, 2), "lookup": (2, 3), "root": (0, 0)}
"""How many arguments those functions take whose number is not fixed: at least, and at most."""


class CannotTake(JMESPathError):  # type: ignore[misc]
    """A function was given what it cannot take; the message names the function and the value."""


class ExpressionFunctions(Functions):  # type: ignore[misc]
    """The functions that expressions have."""

    def call_function(self, function_name: str, resolved_args: list[Value]) -> Value:
        """Call a function; those of `ARITIES` look at what they are given themselves."""
        if function_name in ARITIES:
            return self.FUNCTION_TABLE[function_name]["function"](self, *resolved_args)
        return super().call_function(function_name, resolved_args)

    @_takes(_ANY, _SOME)
    def _func_add(self, *given: Value) -> Value:
        return _folded("add", given, lambda one, other: one + other, _DECIMAL.add)

    @_takes(_ANY, _ANY)
    def _func_sub(self, *given: Value) -> Value:
        return _folded("sub", given, lambda one, other: one - other, _DECIMAL.subtract)

    @_takes(_ANY, _SOME)
    def _func_mul(self, *given: Value) -> Value:
        return _folded("mul", given, _product, _DECIMAL.multiply)

    @_takes(_ANY, _ANY)
    def _func_div(self, *given: Value) -> Value:
        one, other = (_number("div", value) for value in given)
        if not other:
            raise CannotTake(f"div: {_told(given[0])} is divided by 0")
        if isinstance(one, int) and isinstance(other, int):
            whole, rest = divmod(one, other)
            if not rest:
                return whole
        return _as_float("div", lambda: _DECIMAL.divide(_decimal(one), _decimal(other)))

    @_takes(_ANY, _ANY)
    def _func_mod(self, *given: Value) -> Value:
        one, other = (_number("mod", value) for value in given)
        if not other:
            raise CannotTake(f"mod: {_told(given[0])} is divided by 0")
        if isinstance(one, int) and isinstance(other, int):
            return one % other

        def rest() -> Decimal:
            found = _DECIMAL.remainder(_decimal(one), _decimal(other))
            # As in Python, what is left has the sign of the divisor.
            return found + _decimal(other) if found and (found < 0) is not (other < 0) else found

        return _as_float("mod", rest)

    @_takes(_ANY, {"types": [], "variadic": True})
    def _func_round(self, *given: Value) -> Value:
        number = _number("round", given[0])
        digits = given[1] if len(given) > 1 else 0
        if isinstance(digits, bool) or not isinstance(digits, int) or abs(digits) > _MOST_DIGITS:
            raise CannotTake(f"round takes a whole number of digits, not {_told(digits)}")
        if isinstance(number, int) and digits >= 0:
            return number
        if isinstance(number, int):
            unit = 10**-digits
            rounded = (abs(number) + unit // 2) // unit * unit
            return rounded if number >= 0 else -rounded
        unit = Decimal(1).scaleb(-digits)
        wide = Context(prec=_MOST_DIGITS + 400)
        rounded = _as_float("round", lambda: _decimal(number).quantize(unit, ROUND_HALF_UP, wide))
        return int(rounded) if digits <= 0 else rounded

    @_takes(_ANY)
    def _func_unique(self, items: Value) -> Value:
        found: dict[Hashable, Value] = {}
        for item in _list("unique", items):
            found.setdefault(_same(item), item)
        return list(found.values())

    @_takes(_ANY)
    def _func_duplicates(self, items: Value) -> Value:
        keys = [_same(item) for item in _list("duplicates", items)]
        twice = {key for key, count in Counter(keys).items() if count > 1}
        found = {key: item for key, item in zip(keys, items, strict=True) if key in twice}
        return list(found.values())

    @_takes(_ANY, {"types": ["expref"]})
    def _func_count_by(self, items: Value, by: Any) -> Value:
        counted: Counter[str] = Counter()
        for item in _list("count_by", items):
            key = by.visit(by.expression, item)
            counted[key if isinstance(key, str) else in_one_line(key)] += 1
        return dict(counted)

    @_takes(_ANY, _ANY, {"types": [], "variadic": True})
    def _func_lookup(self, where: Value, *given: Value) -> Value:
        if where is None:
            return None
        if len(given) == 2:
            return self._among_records(where, *given)
        (wanted,) = given
        if isinstance(wanted, list):
            return [_member(where, key) for key in wanted]
        return _member(where, wanted)

    def _among_records(self, where: Value, by: Any, wanted: Value) -> Value:
        if type(by).__name__ != "_Expression":
            raise CannotTake("lookup takes the key of records as an expression: lookup(songs, &id, song)")
        records = where.values() if isinstance(where, dict) else _list("lookup", where)
        known: dict[Hashable, Value] = {}
        for record in records:
            known.setdefault(_same(by.visit(by.expression, record)), record)
        if isinstance(wanted, list):
            return [known.get(_same(key)) for key in wanted]
        return known.get(_same(wanted))


def _number(name: str, value: Value) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = ""
        if isinstance(value, str) and value.strip().lstrip("+-").replace(".", "", 1).isdigit():
            hint = f"; to_number({value!r}) reads it"
        raise CannotTake(f"{name} takes numbers, not {_told(value)}{hint}")
    return value


def _list(name: str, value: Value) -> list[Value]:
    if not isinstance(value, list):
        hint = "; values(...) makes a list of an object's values" if isinstance(value, dict) else ""
        raise CannotTake(f"{name} takes a list, not {_told(value)}{hint}")
    return value


def _told(value: Value) -> str:
    text = in_one_line(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _decimal(number: int | float) -> Decimal:
    return Decimal(number) if isinstance(number, int) else Decimal(repr(number))


def _product(one: int, other: int) -> int:
    if one.bit_length() + other.bit_length() > _MOST_BITS:
        raise CannotTake("mul: the product has too many digits")
    return one * other


def _folded(
    name: str,
    given: tuple[Value, ...],
    exactly: Callable[[int, int], int],
    as_written: Callable[[Decimal, Decimal], Decimal],
) -> int | float:
    numbers = [_number(name, value) for value in given]
    result = numbers[0]
    for number in numbers[1:]:
        if isinstance(result, int) and isinstance(number, int):
            result = exactly(result, number)
        else:
            one, other = _decimal(result), _decimal(number)
            result = _as_float(name, lambda one=one, other=other: as_written(one, other))  # type: ignore[misc]
    return result


def _as_float(name: str, work: Callable[[], Decimal]) -> float:
    try:
        return float(work())
    except (DecimalException, OverflowError):
        raise CannotTake(f"{name}: the result is no number that can be told") from None


def _same(value: Value) -> Hashable:
    """Return a form of a value that equals that of no other: numbers by value, true apart from 1, objects whatever their order."""
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, dict):
        return dict, frozenset((key, _same(item)) for key, item in value.items())
    if isinstance(value, list):
        return list, tuple(map(_same, value))
    return value if isinstance(value, int | float | str | None) else repr(value)


def _member(where: Value, key: Value) -> Value:
    """Return what stands in an object by a key, or in a list by an index; None for nothing."""
    if isinstance(where, dict):
        text = key if isinstance(key, str) else in_one_line(key)
        return where.get(text)
    if not isinstance(where, list):
        raise CannotTake(f"lookup looks in an object or a list, not in {_told(where)}")
    if isinstance(key, bool) or not isinstance(key, int):
        raise CannotTake(
            f"lookup takes the index of a list, not {_told(key)}; lookup(songs, &id, song) looks among records"
        )
    return where[key] if -len(where) <= key < len(where) else None


__all__ = ["ARITIES", "CannotTake", "ExpressionFunctions"]
