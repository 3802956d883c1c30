"""Text made safe to stand in a page: escaped for HTML or for a script block, and with nothing in it that acts."""

from __future__ import annotations

import html
import unicodedata
from typing import Final

_ACTIVE: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Categories of characters that act instead of showing: controls, bidi marks, lone surrogates, separators."""
_IN_SCRIPT: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def shown(text: str) -> str:
    """Return text as HTML that shows it and does nothing else."""
    return html.escape("".join(_spelled(character) for character in text), quote=True)


def _spelled(character: str) -> str:
    if unicodedata.category(character) not in _ACTIVE:
        return character
    return f"\\u{ord(character):04x}"


def script_json(text: str) -> str:
    """Return JSON text that means the same and can stand in a script block: it cannot end or comment it out."""
    return text.translate(_IN_SCRIPT)
