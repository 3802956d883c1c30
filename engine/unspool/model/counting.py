"""How many values bytes stand for, told before any of them is made.

Few bytes can stand for much memory: an empty object is two bytes of JSON or one of msgpack, and 64 when it is decoded. What surely
holds few enough costs a pass or two in C; only the rest is looked at more closely.
"""

from __future__ import annotations

import re
from typing import Final

_SIGNS: Final = (b",", b":", b"[", b"{")
_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_OPENERS: Final = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
"""First bytes of lists and maps in msgpack."""
_HEAVY_BYTES: Final = 64 << 20
"""Size of msgpack from which on texts of two letters alone may take a gibibyte."""
_EXTENDED: Final = frozenset((0xC7, 0xC8, 0xC9))
"""Extensions whose type stands behind their length."""
_LENGTH_BYTES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""How many bytes tell the length of what follows."""


def json_holds_more_than(data: bytes, values: int) -> int:
    """Return how many values and keys a JSON text holds where that is more than so many; else 0.

    Args:
        data: any bytes; what is no JSON is counted by the signs that would separate its values.
        values: the most that is allowed.
    """
    if len(data) <= values or 1 + sum(map(data.count, _SIGNS)) <= values:
        return 0
    # Only now is it worth the time to leave out the signs inside of texts.
    bare = _TEXT.sub(b"", data)
    found = 1 + sum(map(bare.count, _SIGNS))
    return found if found > values else 0


def msgpack_holds_more_than(data: bytes, values: int) -> bool:
    """Say whether msgpack bytes hold more values and keys than so many.

    Args:
        data: any bytes; what is no msgpack is counted as far as it goes.
        values: the most that is allowed.
    """
    if len(data) <= values:
        return False
    openers = len(data) - len(data.translate(None, _OPENERS))
    if openers <= values and len(data) <= _HEAVY_BYTES:
        return False
    at = count = 0
    size = len(data)
    while at < size and count <= values:
        first = data[at]
        at += _TOKEN_BYTES[first]
        width = _LENGTH_BYTES.get(first)
        if width is not None:
            end = at - (first in _EXTENDED)
            at += int.from_bytes(data[end - width : end])
        count += 1
    return count > values


def _token_table() -> tuple[int, ...]:
    """Return the bytes that a value takes by its first byte: its length included, its members and long content not."""
    table = [1] * 256
    for first in range(0xA0, 0xC0):
        table[first] = 1 + (first & 0x1F)
    for first, width in _LENGTH_BYTES.items():
        table[first] = 1 + width + (first in _EXTENDED)
    table[0xCA:0xD4] = [5, 9, 2, 3, 5, 9, 2, 3, 5, 9]
    table[0xD4:0xD9] = [3, 4, 6, 10, 18]
    table[0xDC:0xE0] = [3, 5, 3, 5]
    return tuple(table)


_TOKEN_BYTES: Final = _token_table()
