"""User data made inert: whatever a recorded string holds, printing it changes nothing but the text it shows."""

from __future__ import annotations

import re
from typing import Final

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e", "\x00": "\\0"}
_ACTIVE: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls, escape sequences and their eight-bit forms
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # invisible letters and joiners
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, line separators, bidi marks, embeddings and isolates
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"  # fillers, variation selectors, byte order mark, annotations
    "\ud800-\udfff"  # lone surrogates, which no terminal can be sent
    "\U000e0000-\U000e0fff"  # tags and more variation selectors
    "]"
)
_JOINERS: Final = frozenset("\u200d\ufe0e\ufe0f")
"""Part of ordinary emoji and scripts; they stay where they join something visible."""


def _spell(match: re.Match[str]) -> str:
    character = match[0]
    if character in _JOINERS and match.start() > 0:
        return character
    short = _SHORT.get(character)
    if short is not None:
        return short
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str) -> str:
    """Return a text in one line in which everything that acts instead of showing is spelled out.

    Control characters and escape sequences, line breaks, bidirectional overrides, characters of no width and lone
    surrogates become `\\n`, `\\e`, `\\x07`, `\\u202e` and the like. Text without any of them is returned as it is.
    """
    if _ACTIVE.search(text) is None:
        return text
    return _ACTIVE.sub(_spell, text)


def without_active(text: str) -> str:
    """Return a text without everything that acts instead of showing; for lines that a person types or pastes."""
    return _ACTIVE.sub("", text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] == "\n":
        return match[0]
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def visible_json(text: str) -> str:
    """Return a JSON text that means the same and in which nothing acts; line breaks between values stay."""
    if _ACTIVE.search(text) is None:
        return text
    return _ACTIVE.sub(_escape, text)
