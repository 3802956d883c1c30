"""Addresses of PostgreSQL databases: telling one, and showing one without its password."""

from __future__ import annotations

import re
from typing import Final

_SCHEMES: Final = ("postgresql://", "postgres://")
# A path made of an address has lost a slash; whatever stands before the last at-sign may be part of a password.
_PASSWORD: Final = re.compile(r"(postgres(?:ql)?:/+[^:/@\s]*):\S*@")
_OPTION: Final = re.compile(r"((?:ssl)?password=)[^&\s]*")


def is_postgres(source: str) -> bool:
    """Whether a source or a recorder's target is a PostgreSQL address."""
    return source.startswith(_SCHEMES)


def without_password(text: str) -> str:
    """Return a text with every password taken out of the addresses in it."""
    if "postgres" not in text:
        return text
    return _OPTION.sub(r"\1***", _PASSWORD.sub(r"\1@", text))
