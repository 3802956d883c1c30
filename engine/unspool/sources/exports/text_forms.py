"""Histories as texts of other tools: JSON Lines, JSON Patch logs, nexus-state lists, Redux DevTools' lifted state, CSV.

- JSON Lines hold whole states; a log of RFC 6902 patches holds the changes from entry to entry, and nothing twice.
- The nexus-state export list 1.0 is in full snapshots, with typed JSON where plain JSON would lose a type.
- The lifted state of Redux DevTools (form B) is what their Import button takes, and unspool opens it again. Entries become
  actions in order, the first in the place of `@@INIT`. What JSON lacks is written as jsan, the tools' serialiser, does.
- A table (RFC 4180) has chosen values over time, for spreadsheets and plots.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Final

from unspool.delta.apply import encoded_patch
from unspool.errors import ConfigError, PathNotFound
from unspool.history.history import History, StateView
from unspool.model.entries import Entry
from unspool.model.json_text import to_json
from unspool.model.keys import Path, format_path
from unspool.model.paths import parse_path, value_parts
from unspool.model.tags import Tagged
from unspool.model.values import MISSING, Value
from unspool.model.wire import decode
from unspool.query.value_parts import find
from unspool.sources.entries import EPOCH
from unspool.sources.exports import (
    ExportOptions,
    StateTexts,
    entries_of,
    entry_facts,
    exact_time,
    milliseconds,
    tagged_member,
)
from unspool.sources.formats.redux import JSAN
from unspool.sources.tagged_values import Part, list_part, object_part, rewritten, to_tagged


def jsonl_lines(history: History, options: ExportOptions) -> Iterator[str]:
    """Yield one line an entry: `{"seq", "id", "parent_id"?, "part"?, "timestamp", "action", "meta"?, "tagged"?, "state"}`."""
    texts = StateTexts(tagged_member)
    for entry in entries_of(history, len(history)):
        state, is_tagged = texts.text(options.holes.view(history, entry.seq))
        told = {"seq": entry.seq, **entry_facts(entry, is_tagged=is_tagged)}
        if entry.parent_seq is not None and entry.parent_seq != entry.seq - 1:
            told["parent_id"] = history[entry.parent_seq].id
            if entry.part is not None:
                told["part"] = list(entry.part)
        facts = to_json(told)
        yield f'{facts[:-1]},"state":{state}}}'


def json_patch_lines(history: History, options: ExportOptions) -> Iterator[str]:
    """Yield the first state, then one patch an entry: `{"id", "timestamp", "action", "meta"?, "tagged"?, "patch"}`."""
    before: Mapping[str, bytes] | None = None
    for entry in entries_of(history, len(history)):
        view = options.holes.view(history, entry.seq)
        name = "state" if before is None else "patch"
        if before is None:
            content, is_tagged = StateTexts(tagged_member).text(view)
        else:
            patch, is_tagged = to_tagged(encoded_patch(before, view.wire, history.identity))
            content = to_json(patch)
        facts = to_json(entry_facts(entry, is_tagged=is_tagged))
        yield f'{facts[:-1]},"{name}":{content}}}'
        before = view.wire


EXACT_INTEGERS: Final = range(-(2**53) + 1, 2**53)
"""Integers that JavaScript keeps."""
_LONGEST_INTEGER: Final = 4000
"""Digits (in bits, roughly) up to which an integer is spelled out."""
_COLLECTIONS: Final = {"Map": "entries", "Set": "values"}
_RECORDS: Final = frozenset(("RegExp", "Error", "Function"))
_RESERVED: Final = "__"
_ESCAPE: Final = "__esc_"


def nexus_lines(history: History, options: ExportOptions) -> Iterator[str]:
    """Yield the lines of an export list."""
    total, origin = len(history), history.first
    names: dict[str, None] = {}
    yield '{"version":"1.0","snapshots":['
    typed = _Typed()
    texts = StateTexts(typed.member)
    for entry in entries_of(history, total):
        view = options.holes.view(history, entry.seq)
        names.update(dict.fromkeys(view))
        state, _ = texts.text(view)
        if any(name.startswith(_RESERVED) for name in view):
            state = f"{to_json(typed.head())[:-1]},{state[1:]}"
        facts = to_json(typed.written(_facts(entry, len(view))))
        yield f'{facts[:-1]},"state":{state}}}{"," if entry.seq < total - 1 else ""}'
    first, last = (milliseconds(history[seq].timestamp_ns) for seq in (origin, total - 1)) if total else (0, 0)
    summary = {"snapshotCount": total - origin, "timeRange": {"from": first, "to": last}, "atomNames": list(names)}
    yield f'],"exportedAt":{to_json(last)},"metadata":{to_json(summary)}}}'


def _facts(entry: Entry, atoms: int) -> dict[str, Value]:
    metadata = {"timestamp": milliseconds(entry.timestamp_ns), "action": entry.action, "atomCount": atoms}
    meta = {"meta": dict(entry.meta)} if entry.meta else {}
    return {"id": entry.id, "type": "full", "baseSnapshotId": None, "metadata": {**metadata, **meta}}


class _Typed:
    """Writes what plain JSON cannot keep as typed JSON does; ids are unique in the document."""

    def __init__(self) -> None:
        self._ids = count(1)

    def head(self) -> dict[str, Value]:
        """Return the marks of an object whose keys are escaped."""
        return {"__id": f"obj_{next(self._ids)}", "__type": "Object"}

    def member(self, atom: str, value: Value) -> tuple[str, bool]:
        """Write an atom as a member of a snapshot's state."""
        name = f"{_ESCAPE}{atom}" if atom.startswith(_RESERVED) else atom
        content = to_json(self.written({"value": value, "type": "primitive", "name": atom}))
        return f"{to_json(name)}:{content}", False

    def written(self, value: Value) -> Value:
        """Return a value as JSON with typed markers where they are needed."""
        return rewritten(value, self._part)

    def _part(self, value: Value) -> Part | Value:
        match value:
            case dict() if all(type(key) is str for key in value):
                return self._object(value)
            case list():
                return list_part(value)
            case bool():
                return value
            case int() if value not in EXACT_INTEGERS and value.bit_length() < _LONGEST_INTEGER:
                return {"__type": "BigInt", "value": str(value)}
            case dt.datetime() if not value.fold:
                return {"__type": "Date", "value": value.isoformat()}
            case Tagged():
                return self._tagged(value)
        return value

    def _object(self, value: dict[str, Value]) -> Part:
        keys = list(value)
        if not any(key.startswith(_RESERVED) for key in keys):
            return object_part(keys, iter(value.values()))
        escaped = [f"{_ESCAPE}{key}" if key.startswith(_RESERVED) else key for key in keys]
        head = self.head()
        return Part(iter(value.values()), lambda done: {**head, **dict(zip(escaped, done, strict=True))})

    def _tagged(self, value: Tagged) -> Part | Value:
        type_name, content = value.type_name, value.value
        collection = _COLLECTIONS.get(type_name)
        if collection is not None and isinstance(content, list):
            return Part(iter(content), lambda done: {"__type": type_name, collection: done})
        if type_name in _RECORDS and isinstance(content, dict) and all(type(key) is str for key in content):
            return {"__type": type_name, **content}
        return value


_TYPE: Final = "__serializedType__"
_INIT: Final = "@@INIT"
_UNNAMED: Final = "(no action)"
_MS: Final = dt.timedelta(milliseconds=1)
_TEXTS: Final = {"Function": "f", "Error": "e", "Symbol": "s", "Symbol.for": "g"}
_NESTED: Final = {"Map": "m", "Set": "l"}


def redux_lines(history: History, options: ExportOptions) -> Iterator[str]:
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
    return rewritten(value, _jsan_part)


def _jsan_part(value: Value) -> Part | Value:
    match value:
        case dict() if all(type(key) is str for key in value):
            return _jsan_object(value)
        case list():
            return list_part(value)
        case float() if not math.isfinite(value):
            return _jsan_marker("n" if value != value else "i" if value > 0 else "y")
        case dt.datetime() if value.tzinfo is not None and not (value - EPOCH) % _MS:
            return _jsan_marker(f"d{(value - EPOCH) // _MS}")
        case Tagged():
            return _jsan_tagged(value)
    return value


def _jsan_marker(text: str) -> dict[str, Value]:
    return {JSAN: text}


def _jsan_object(value: dict[str, Value]) -> Part:
    keys = list(value)
    if JSAN not in value:
        return object_part(keys, iter(value.values()))

    def build(done: list[Value]) -> dict[str, Value]:
        built = dict(zip(keys, done, strict=True))
        # A key of that name that is no marker is a list of one; so jsan tells them apart.
        return {**built, JSAN: [built[JSAN]]}

    return Part(iter(value.values()), build)


def _jsan_tagged(value: Tagged) -> Part | Value:
    type_name, content = value.type_name, value.value
    if isinstance(content, str) and type_name in _TEXTS:
        return _jsan_marker(_TEXTS[type_name] + content)
    if type_name == "RegExp" and isinstance(content, dict) and content.keys() == {"source", "flags"}:
        return _jsan_marker(f"r{content['flags']},{content['source']}")
    if type_name in _NESTED:
        return Part(iter((content,)), lambda done: _jsan_marker(_NESTED[type_name] + to_json(done[0])))
    if isinstance(content, dict) and all(type(key) is str for key in content):
        keys = list(content)
        return Part(iter(content.values()), lambda done: {**dict(zip(keys, done, strict=True)), _TYPE: type_name})
    return value


_FORMULA: Final = frozenset("=+-@|%\u2212")
"""Signs that begin a formula in a spreadsheet; some are taken for those of ASCII in their full width."""
_HINTS: Final = 4
_LOOKED_AT: Final = 10_000
"""Values looked at to find numbers worth naming."""


def csv_lines(history: History, options: ExportOptions) -> Iterator[str]:
    """Yield a header and a row an entry: `seq,timestamp,action`, then a column a path.

    Numbers are written as they are, text as it is (with an apostrophe before what a spreadsheet would take for a
    formula), true and false as such, containers as JSON; a cell is empty where the path leads nowhere. Where people
    wrote notes, the last column has those on the entry.

    Raises:
        ConfigError: no path was chosen; the message names some that hold numbers.
        PathSyntaxError: a path does not parse.
    """
    if not options.paths:
        raise ConfigError(f"a table needs paths: --path {_hint(history)}")
    paths = [parse_path(text) for text in options.paths]
    return _rows(history, paths, options)


def _rows(history: History, paths: list[Path], options: ExportOptions) -> Iterator[str]:
    notes: dict[int, list[str]] = {}
    for one in options.notes:
        if one.seq is not None and not one.note.is_bookmark:
            path = f"{format_path(one.note.steps, root='')}: " if one.note.path else ""
            notes.setdefault(one.seq, []).append(path + one.note.text)
    also = ["notes"] if notes else []
    yield _row(["seq", "timestamp", "action", *(_safe(format_path(path, root="")) for path in paths), *also])
    for entry in entries_of(history, len(history)):
        view = options.holes.view(history, entry.seq)
        cells = [_cell(_value_at(view, path)) for path in paths]
        said = [_safe("\n".join(notes.get(entry.seq, ())))] if also else []
        yield _row([str(entry.seq), exact_time(entry.timestamp_ns), _safe(entry.action), *cells, *said])


def _row(cells: list[str]) -> str:
    buffer = io.StringIO()
    # Before Python 3.13 a line break is put in quotes only where it is part of the terminator.
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n")


def _value_at(view: StateView, path: Path) -> Value:
    """Return the value a path leads to, or MISSING."""
    if not path:
        return view.to_dict()
    try:
        return decode(find(view.wire, path, "the state")[1])
    except PathNotFound:
        return MISSING


def _cell(value: Value) -> str:
    if value is MISSING or value is None:
        return ""
    return _safe(value) if isinstance(value, str) else to_json(value)


def _safe(text: str) -> str:
    """Return text as a cell that no spreadsheet runs: what stands before a sign may be trimmed, or be of no width."""
    first = next((letter for letter in text if not _is_skipped(letter)), "")
    is_formula = unicodedata.normalize("NFKC", first)[:1] in _FORMULA if first else False
    return f"'{text}" if is_formula or text.startswith(("\t", "\r", "\n")) else text


def _is_skipped(letter: str) -> bool:
    """Whether a spreadsheet may leave a letter out at the start: blanks, control characters, marks of no width."""
    return letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf", "Mn", "Zs")


def _hint(history: History) -> str:
    """Name some paths that hold numbers in the last state."""
    found: list[str] = []
    pending: deque[tuple[Path, Value]] = deque()
    if len(history):
        view = history.view(-1)
        pending.extend(((name,), view[name]) for name in view)
    for _ in range(_LOOKED_AT):
        if not pending or len(found) == _HINTS:
            break
        path, value = pending.popleft()
        parts = value_parts(value)
        if isinstance(parts, dict):
            pending.extend(((*path, step), item) for step, item in parts.items())
        elif parts is not None:
            pending.extend(((*path, index), item) for index, item in enumerate(parts[:_HINTS]))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append(format_path(path, root=""))
    return " or --path ".join(found) or "cart.total"
