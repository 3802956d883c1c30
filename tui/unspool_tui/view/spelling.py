"""Odd object keys and set items as short text, without recursion and whatever they are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from unspool.model.values import Value

BIG_INT_BITS: Final = 4096
"""Integers beyond this are told by their size: Python refuses to spell out much longer ones."""
_MOST: Final = 80
_FIRST_ITEMS: Final = 6


def whole_number(value: int) -> str:
    """Spell an integer, or tell the size of a huge one."""
    bits = value.bit_length()
    if bits <= BIG_INT_BITS:
        return str(value)
    sign = "-" if value < 0 else ""
    return f"{sign}(integer of about {int(bits * math.log10(2)) + 1:,} digits)"


def spell(value: Value) -> str:
    """Return a short text for a value that can be an object key: never recursive, never longer than a line."""
    if isinstance(value, tuple | frozenset):
        inside = [_spell_leaf(item) for item, _ in zip(value, range(_FIRST_ITEMS), strict=False)]
        more = ", …" if len(value) > _FIRST_ITEMS else ""
        return f"({', '.join(inside)}{more})"
    return _spell_leaf(value)


def _spell_leaf(value: Value) -> str:
    if isinstance(value, tuple | frozenset):
        return f"({len(value)} items)"
    if isinstance(value, int) and not isinstance(value, bool):
        return whole_number(value)
    if isinstance(value, str):
        return value[:_MOST]
    if isinstance(value, bytes):
        return repr(value[:_MOST])
    return str(value)[:_MOST]


def in_order(items: Iterable[Value]) -> list[Value]:
    """Return the items of a set in an order that stays the same from entry to entry."""
    return sorted(
        items, key=lambda item: (type(item).__name__, len(spell(item)) if _is_count(item) else 0, spell(item))
    )


def _is_count(item: Value) -> bool:
    return isinstance(item, int) and item >= 0
