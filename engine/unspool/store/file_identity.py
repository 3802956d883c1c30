"""Identity keys set by hand, kept in the file's meta: whoever opens it later compares its lists by them unasked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from unspool.store.layout import FactValue, FileConnection

KEY: Final = "identity"
"""Key in the table `meta`; a file without such a row has none set by hand."""


def identity_in(text: FactValue) -> dict[str, str]:
    """Return what the row says; one that makes no sense says nothing."""
    try:
        found = json.loads(str(text)) if text else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {pattern: key for pattern, key in found.items() if isinstance(key, str)}


def identity_row(identity: Mapping[str, str]) -> str | None:
    """Return the row that keeps identity keys; None where there are none to keep."""
    kept = {pattern: key for pattern, key in sorted(identity.items()) if key}
    return json.dumps(kept, ensure_ascii=True) if kept else None


def note_identity(connection: FileConnection, identity: Mapping[str, str]) -> None:
    """Keep identity keys in place of those that were kept before.

    Raises:
        sqlite3.Error: the file refused.
    """
    text = identity_row(identity)
    if text is None:
        connection.layout.drop_fact(connection, KEY)
    else:
        connection.layout.keep_fact(connection, KEY, text)
