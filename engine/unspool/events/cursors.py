"""Cursors: where the next page of a query starts, as opaque text (E-50, E-51)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import Final

from unspool.events.errors import InvalidQuery

Place = tuple[str, int]
"""The last event on a page: its sort key as hex (a sequence number or a moment; empty where the place is all), its place."""

_MAX_PLACE: Final = 2**63
_KEY: Final = re.compile(r"(?:[0-9a-f]{2}){0,40}\Z")


def encode_cursor(question: tuple[str, ...], place: Place) -> str:
    """Spell where a page ended, together with what was asked."""
    text = json.dumps([_digest(question), *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def decode_cursor(question: tuple[str, ...], cursor: str) -> Place:
    """Read a cursor back.

    Raises:
        InvalidQuery: it is no cursor, or belongs to another question.
    """
    try:
        digest, key, place = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
        is_whole = _KEY.match(key) is not None and type(place) is int and abs(place) < _MAX_PLACE
    except (binascii.Error, ValueError, TypeError, RecursionError):
        is_whole = False
    if not is_whole:
        raise InvalidQuery(f"{cursor[:80]!r} is no cursor; pass next_cursor of the page before", field="cursor")
    if digest != _digest(question):
        raise InvalidQuery("the cursor belongs to another query; start that query anew", field="cursor")
    return key, place


def _digest(question: tuple[str, ...]) -> str:
    """Tell questions apart; any text will do, half characters included."""
    return hashlib.sha256(json.dumps(question).encode()).hexdigest()[:12]
