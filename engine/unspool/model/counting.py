"""How many values bytes stand for, told before any of them is made.

Few bytes can stand for much memory: an empty object is two bytes of JSON or one of msgpack, and 64 when it is decoded. What surely
holds few enough costs a pass or two in C; only the rest is looked at more closely.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import Final

from unspool.errors import CorruptHistory
from unspool.model.limits import in_force

_SIGNS: Final = (b",", b":", b"[", b"{")
_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_OPENERS: Final = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
"""First bytes of lists and maps in msgpack."""
_HEAVY_BYTES: Final = 64 << 20
"""Size of msgpack from which on texts of two letters alone may take a gibibyte."""
_SHORT: Final = bytes((*range(0x80, 0xC0), *range(0xDC, 0xE0)))
"""First bytes of lists, maps and short texts: what takes many times its bytes when decoded."""
LARGE_BYTES: Final = 8 << 20
"""Bytes of a stored value from which on it is worth a look before it is decoded."""
_STORED_SHARE: Final = 2
_SAMPLE_BYTES: Final = 1 << 18
_REPETITIVE: Final = 20
"""How many times smaller such a sample becomes where a few values are repeated without end."""
_RUN_TOKENS: Final = 4096
"""Values that are counted in one step."""
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
    many = _run_pattern()
    at = count = 0
    size = len(data)
    while at < size and count <= values:
        run = many.match(data, at)
        if run is not None:
            at, count = run.end(), count + _RUN_TOKENS
            continue
        for _ in range(_RUN_TOKENS):
            if at >= size:
                break
            first = data[at]
            at += _TOKEN_BYTES[first]
            width = _LENGTH_BYTES.get(first)
            if width is not None:
                end = at - (first in _EXTENDED)
                at += int.from_bytes(data[end - width : end])
            count += 1
    return count > values


def refuse_heavy(data: bytes) -> None:
    """Refuse a stored value that would take far more memory than its bytes; called for large ones only.

    What a recorder stores may be large for good reasons, so more is allowed than of a foreign document, and only bytes that
    repeat themselves as no measured data does are walked.

    Raises:
        CorruptHistory: it holds more values than the limits allow.
    """
    values = _STORED_SHARE * in_force().nodes
    heavy = len(data) - len(data.translate(None, _SHORT))
    if heavy <= values:
        return
    middle = data[len(data) // 2 :][:_SAMPLE_BYTES]
    if len(zlib.compress(middle, 1)) * _REPETITIVE > len(middle) or not msgpack_holds_more_than(data, values):
        return
    told = in_force().told("nodes")
    raise CorruptHistory(f"a stored value of {len(data):,} bytes holds more than {values:,} values and keys; {told}")


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


@lru_cache(maxsize=1)
def _run_pattern() -> re.Pattern[bytes]:
    """Return what matches a run of values whose size their first byte tells: most values, and many times faster."""
    by_size: dict[int, bytearray] = {}
    for first, size in enumerate(_TOKEN_BYTES):
        if first not in _LENGTH_BYTES:
            by_size.setdefault(size, bytearray()).append(first)
    kinds = (b"[%b].{%d}" % (re.escape(bytes(firsts)), size - 1) for size, firsts in sorted(by_size.items()))
    return re.compile(b"(?:%b){%d}" % (b"|".join(kinds), _RUN_TOKENS), re.DOTALL)
