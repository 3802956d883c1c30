"""What a field must be; one place for the words that say it is not."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Final

from unspool.model.values import MISSING, Value
from unspool.regions.errors import InvalidRegionValue, OutOfRange
from unspool.regions.frozen import EMPTY, FrozenObject, describe, freeze_object

U8_MAX: Final = 0xFF
U16_MAX: Final = 0xFFFF
U32_MAX: Final = 0xFFFF_FFFF

Number = int | float


def _wrong(name: str, wanted: str, value: Value) -> InvalidRegionValue:
    if value is MISSING:
        return InvalidRegionValue(f"{name} is missing; it must be {wanted}")
    return InvalidRegionValue(f"{name} must be {wanted}, not {describe(value)}")


def need_text(name: str, value: Value) -> None:
    """Refuse what is not text that says something.

    Raises:
        InvalidRegionValue: the value is no text or empty.
    """
    if not isinstance(value, str) or not value:
        raise _wrong(name, "text", value)


def need_text_or_none(name: str, value: Value) -> None:
    """Refuse what is neither text nor absent.

    Raises:
        InvalidRegionValue: the value is something else.
    """
    if value is not None and not isinstance(value, str):
        raise _wrong(name, "text", value)


def need_whole(name: str, value: Value, low: int = 0, high: int | None = None) -> None:
    """Refuse what is not a whole number from `low` to `high`, both included.

    Raises:
        InvalidRegionValue: the value is no integer (booleans are none).
        OutOfRange: it lies outside.
    """
    if type(value) is not int:
        raise _wrong(name, "a whole number", value)
    if value < low or (high is not None and value > high):
        limits = f"from {low} to {high}" if high is not None else f"{low} or more"
        raise OutOfRange(f"{name} is {value}; it must be {limits}")


def need_number(name: str, value: Value) -> None:
    """Refuse what is not a finite number.

    Raises:
        InvalidRegionValue: the value is something else.
    """
    if type(value) is not int and (type(value) is not float or not math.isfinite(value)):
        raise _wrong(name, "a finite number", value)


def need_object(name: str, value: Value) -> Mapping[str, Value]:
    """Return the value if it is an object.

    Raises:
        InvalidRegionValue: the value is something else.
    """
    if not isinstance(value, Mapping):
        raise _wrong(name, "an object", value)
    return value


def need_list(name: str, value: Value) -> list[Value] | tuple[Value, ...]:
    """Return the value if it is a list.

    Raises:
        InvalidRegionValue: the value is something else.
    """
    if not isinstance(value, list | tuple):
        raise _wrong(name, "a list", value)
    return value


def present(**fields: Value) -> dict[str, Value]:
    """Return the fields that have a value, in the order given."""
    return {name: value for name, value in fields.items() if value is not None}


def set_frozen(target: object, field: str, value: Value) -> None:
    """Normalise a field of a frozen dataclass while it is being made; nowhere else."""
    object.__setattr__(target, field, value)


def only_fields(name: str, raw: Mapping[str, Value], known: Collection[str]) -> None:
    """Refuse fields that would be lost.

    Raises:
        InvalidRegionValue: there is a field outside `known`.
    """
    for field in raw:
        if field not in known:
            raise InvalidRegionValue(f"{name} has an unknown field {field!r}; it may hold {', '.join(known)}")


def rest_of(raw: Mapping[str, Value], known: Collection[str]) -> dict[str, Value]:
    """Return the fields that no name here speaks for, and known ones that are written as null.

    Both are kept verbatim, so that a file that is read and written again says the same.
    """
    return {name: value for name, value in raw.items() if value is None or name not in known}


def freeze_extra(name: str, extra: Mapping[str, Value], fields: Mapping[str, Value]) -> FrozenObject:
    """Freeze the fields kept verbatim beside the known ones.

    Args:
        name: what holds them.
        extra: the fields kept verbatim.
        fields: the known fields as they will be written; `extra` may not speak twice for one of them.

    Raises:
        InvalidRegionValue: a known field is named again, or a value is none JSON can hold.
    """
    if not extra:
        return EMPTY
    again = [field for field in extra if field in fields]
    for field in again:
        # An optional field that was read as null and has been set since is simply set now.
        if extra[field] is not None:
            raise InvalidRegionValue(f"{name} says {field!r} twice; leave it out of the extra fields")
    kept = {field: value for field, value in extra.items() if field not in again} if again else extra
    return freeze_object(kept, name)
