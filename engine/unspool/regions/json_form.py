"""Region documents as JSON text (row R-43): strict on reading, one delta a line on writing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Final, NoReturn

from unspool.model.counting import json_holds_more_than
from unspool.model.limits import in_force
from unspool.model.values import Value
from unspool.regions.errors import RegionFileError

_BOM: Final = b"\xef\xbb\xbf"
_LISTS: Final = frozenset({"deltas", "sharedDeltas", "folded"})
_OBJECTS: Final = frozenset({"data", "layers"})


class _Refused(ValueError):
    """Something JSON readers let pass and we do not."""


def load_json(data: bytes, source: str) -> Value:
    """Read JSON text, refusing what would be lost or guessed.

    Args:
        data: UTF-8, with or without a byte order mark.
        source: what the text is called in messages.

    Raises:
        RegionFileError: it is no JSON, says a key twice, holds NaN, or is nested too deeply.
    """
    limits = in_force()
    if found := json_holds_more_than(data, limits.nodes):
        raise RegionFileError(f"{source}: it holds about {found:,} values and keys; {limits.told('nodes')}")
    try:
        text = data.removeprefix(_BOM).decode("utf-8")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise RegionFileError(f"{source}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise RegionFileError(f"{source}: {place}: {error.msg}; correct it or take a backup") from None
    except RecursionError:
        raise RegionFileError(f"{source}: nested too deeply for a region file; flatten it") from None
    except ValueError as error:
        raise RegionFileError(f"{source}: {error}; correct it or take a backup") from None


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key in counts if counts[key] > 1)
        raise _Refused(f"the key {twice!r} occurs twice in one object")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not JSON")


def compact(value: Value) -> str:
    """Return a value as JSON on one line, readable text kept readable."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A lone surrogate has no UTF-8; escaped it survives.
    return text if text.isascii() or _encodes(text) else json.dumps(value, separators=(",", ":"))


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def dump_json(document: Mapping[str, Value]) -> bytes:
    """Write a region document: each field on a line, each delta on a line of its own."""
    return (_block(document, "") + "\n").encode()


def _block(fields: Mapping[str, Value], indent: str) -> str:
    inner = indent + "  "
    lines = []
    for name, value in fields.items():
        if name in _LISTS and isinstance(value, list) and value:
            body = _rows(value, inner)
        elif name in _OBJECTS and isinstance(value, dict) and value:
            body = _block(value, inner)
        elif name == "personalDeltas" and isinstance(value, dict):
            body = _block_of_lists(value, inner)
        else:
            body = compact(value)
        lines.append(f"{inner}{compact(name)}: {body}")
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _block_of_lists(lists: Mapping[str, Value], indent: str) -> str:
    inner = indent + "  "
    rows = (
        f"{inner}{compact(name)}: {_rows(value, inner) if isinstance(value, list) and value else compact(value)}"
        for name, value in lists.items()
    )
    return "{\n" + ",\n".join(rows) + f"\n{indent}}}" if lists else "{}"


def _rows(deltas: list[Value], indent: str) -> str:
    inner = indent + "  "
    return "[\n" + ",\n".join(inner + compact(delta) for delta in deltas) + f"\n{indent}]"
