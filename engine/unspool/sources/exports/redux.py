"""The lifted state of Redux DevTools (form B), which their Import button takes and unspool opens again.

Entries become actions in order, the first in the place of `@@INIT`. What JSON lacks is written as the tools' own
serialiser, jsan, writes it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from typing import Final

from unspool.history.history import History
from unspool.model.entries import Entry
from unspool.model.json_text import to_json
from unspool.model.tags import Tagged
from unspool.model.values import Value
from unspool.sources.exports.options import ExportOptions, StateTexts, entries_of, milliseconds
from unspool.sources.formats.redux import JSAN
from unspool.sources.tagged_values import Part, list_part, object_part, rewritten

_TYPE: Final = "__serializedType__"
_INIT: Final = "@@INIT"
_UNNAMED: Final = "(no action)"
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS: Final = dt.timedelta(milliseconds=1)
_TEXTS: Final = {"Function": "f", "Error": "e", "Symbol": "s", "Symbol.for": "g"}
_NESTED: Final = {"Map": "m", "Set": "l"}


def lines(history: History, options: ExportOptions) -> Iterator[str]:
    """Yield the lines of a lifted state."""
    total, origin = len(history), history.first
    skipped: list[int] = []
    yield '{"actionsById":{'
    for entry in entries_of(history, total):
        if entry.meta.get("skipped") is True:
            skipped.append(entry.seq)
        yield f'"{entry.seq}":{to_json(_lifted_action(entry))}{_comma(entry.seq, total)}'
    yield '},"computedStates":['
    texts = StateTexts(_member)
    first = "{}"
    for entry in entries_of(history, total):
        state, _ = texts.text(options.holes.view(history, entry.seq))
        first = first if entry.seq > origin else state
        error = entry.meta.get("error")
        said = f',"error":{to_json(error)}' if isinstance(error, str) else ""
        yield f'{{"state":{state}{said}}}{_comma(entry.seq, total)}'
    rest = {
        "currentStateIndex": max(0, total - 1 - origin),
        "nextActionId": total,
        "skippedActionIds": skipped,
        "stagedActionIds": list(range(origin, total)),
        "isLocked": False,
        "isPaused": False,
        "monitorState": {},
    }
    yield f'],"committedState":{first},{to_json(rest)[1:]}'


def _member(atom: str, value: Value) -> tuple[str, bool]:
    content = to_json(to_jsan(value))
    # A key of jsan's own name that is no marker is a list of one.
    return f"{to_json(atom)}:{f'[{content}]' if atom == JSAN else content}", False


def _comma(seq: int, total: int) -> str:
    return "," if seq < total - 1 else ""


def _lifted_action(entry: Entry) -> dict[str, Value]:
    """Return an entry as a lifted action; what a Redux export said besides comes back to its place."""
    meta = {key: value for key, value in entry.meta.items() if not _is_told_elsewhere(key, value)}
    own = meta.pop("action", None)
    action: dict[str, Value] = {"type": entry.action or (_UNNAMED if entry.seq else _INIT)}
    if isinstance(own, dict) and all(isinstance(key, str) for key in own):
        action.update({key: value for key, value in own.items() if key != "type"})
    elif own is not None:
        meta["action"] = own
    lifted: dict[str, Value] = {"type": "PERFORM_ACTION", "timestamp": milliseconds(entry.timestamp_ns)}
    if isinstance(meta.get("stack"), str):
        lifted["stack"] = meta.pop("stack")
    if meta and "meta" not in action:
        action["meta"] = meta
    return {**lifted, "action": to_jsan(action)}


def _is_told_elsewhere(key: str, value: Value) -> bool:
    """Whether a lifted state has a place of its own for a fact."""
    return (key == "skipped" and value is True) or (key == "error" and isinstance(value, str))


def to_jsan(value: Value) -> Value:
    """Return a value as JSON in which jsan's markers stand for what JSON lacks."""
    return rewritten(value, _part)


def _part(value: Value) -> Part | Value:
    match value:
        case dict() if all(type(key) is str for key in value):
            return _object(value)
        case list():
            return list_part(value)
        case float() if not math.isfinite(value):
            return _marker("n" if value != value else "i" if value > 0 else "y")
        case dt.datetime() if value.tzinfo is not None and not (value - _EPOCH) % _MS:
            return _marker(f"d{(value - _EPOCH) // _MS}")
        case Tagged():
            return _tagged(value)
    return value


def _marker(text: str) -> dict[str, Value]:
    return {JSAN: text}


def _object(value: dict[str, Value]) -> Part:
    keys = list(value)
    if JSAN not in value:
        return object_part(keys, iter(value.values()))

    def build(done: list[Value]) -> dict[str, Value]:
        built = dict(zip(keys, done, strict=True))
        # A key of that name that is no marker is a list of one; so jsan tells them apart.
        return {**built, JSAN: [built[JSAN]]}

    return Part(iter(value.values()), build)


def _tagged(value: Tagged) -> Part | Value:
    type_name, content = value.type_name, value.value
    if isinstance(content, str) and type_name in _TEXTS:
        return _marker(_TEXTS[type_name] + content)
    if type_name == "RegExp" and isinstance(content, dict) and content.keys() == {"source", "flags"}:
        return _marker(f"r{content['flags']},{content['source']}")
    if type_name in _NESTED:
        return Part(iter((content,)), lambda done: _marker(_NESTED[type_name] + to_json(done[0])))
    if isinstance(content, dict) and all(type(key) is str for key in content):
        keys = list(content)
        return Part(iter(content.values()), lambda done: {**dict(zip(keys, done, strict=True)), _TYPE: type_name})
    return value
