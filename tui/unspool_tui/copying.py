"""Copying: the texts that a view offers, Python that runs as it is among them, and how a text gets into the clipboard."""

from __future__ import annotations

import base64
import keyword
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from unspool.delta.apply import apply_ops, state_patch
from unspool.delta.structural import diff_values
from unspool.errors import ContradictoryDelta, ExpressionError, UnspoolError
from unspool.model.entries import Op, OpKind, caller_of, iso_time, usual_id
from unspool.model.json_text import to_json
from unspool.model.keys import Path, Step, format_path, spell_key
from unspool.model.paths import MEMBER_FIELDS, step_of, value_parts
from unspool.model.values import MISSING, Tagged, Value, strict_equal
from unspool.query.entry_names import NoSuchPlace
from unspool_tui.panes.detail import Detail
from unspool_tui.rendering.sanitize import visible
from unspool_tui.view.model import View
from unspool_tui.view.outline import value_at

if TYPE_CHECKING:
    from textual.app import App

    from unspool.history.history import History
    from unspool.query.expressions import Expression


MOST_CHARACTERS: Final = 40_000
"""Characters of a test; a terminal takes 56 KB to copy."""
_WHOLE: Final = 2_000
"""Wire bytes up to which an atom stands in a test as it is; of a larger one, what the test does not touch is left out."""
_LARGEST: Final = 8 << 20
"""Wire bytes of an atom that is looked at for a test."""
_DEEPEST: Final = 60
"""Levels of a value; Python's own parser takes 200 brackets at most."""
_LINE: Final = 100
_NAME: Final = 50
_ASKED: Final = "? "
"""What stands before the question in the text of a search that asked one."""
_MOST_BITS: Final = 14_000
"""Bits of a whole number that Python reads in decimal digits."""


_MOST_ASSERTED: Final = 12
"""Values that a test asserts after the change."""
_LONGEST_ASSERTED: Final = 120
"""Characters of an assertion on a value that nobody selected."""


class NoTest(UnspoolError):
    """No Python can be made of what is selected; the message says why."""


class NoCaller(UnspoolError):
    """An entry does not tell where in the code it was recorded."""


class NoId(UnspoolError):
    """A source gave an entry no id."""


class _Sides(Struct, frozen=True):
    """The atoms that a test needs, as JSON types.

    Attributes:
        old: before the change.
        new: after it.
        changed: those that it changes.
        large: those that do not stand in the test whole.
    """

    old: dict[str, Value]
    new: dict[str, Value]
    changed: tuple[str, ...]
    large: frozenset[str]


def change_test(history: History, view: View, detail: Detail) -> str:
    """Return a pytest of the change that is shown: the state before as a fixture, the change, and what it led to.

    It asserts the answers before and after to the question that was asked last (`B`) where the change may have to do with it, else to the first
    watch that the change makes hold or fail, else what the selected value was and is where the change set it, or the first value that it set;
    and what the others are that it set. Values are JSON types, as questions see them.

    Raises:
        NoTest: there is no change, or it is too large.
        UnspoolError: the entry cannot be rebuilt.
    """
    if detail.problem or not detail.changes:
        raise NoTest(detail.problem or detail.unknown or f"#{view.head} changed nothing: there is nothing to test")
    question, sides = _question(history, view, detail)
    ops = {atom: _ops(sides, atom) for atom in sides.changed}
    if question is None:
        target = _target(sides, view.selected, ops)
        imports, before, kept = [], [], [target]
        if target[0] not in sides.large or ops.get(str(target[0])):
            before = [_asserted(sides.old, _nearest(sides.old, target))]
        after = [_asserted(sides.new, path) for path in (target, *_others(sides, target, ops))]
    else:
        imports = ["from unspool import Expression", "", f"QUESTION = Expression({question.text!r})"]
        before, after, kept = [_answer(question, sides.old)], [_answer(question, sides.new)], []
    told = "before the first entry" if detail.from_seq < 0 else f"at #{detail.from_seq}"
    lines = [
        *_heading(history, view),
        "import pytest",
        *imports,
        "\n\n@pytest.fixture\ndef state():",
        f'    """The state {told}, as far as it is needed here."""',
        f"    return {literal(_fixture(sides, ops, kept), 4)}",
        "\n\ndef change(state):",
        f'    """Change the state as #{view.head} did; call your own code here instead."""',
        *(f"    {line}" for atom in sides.changed for line in _statements(sides, atom, ops[atom])),
        f"\n\ndef {_name(history.action(view.head), view.head)}(state):",
        *(f"    {line}" for line in (*before, "change(state)", *after)),
        "",
    ]
    text = "\n".join(lines)
    if len(text) > MOST_CHARACTERS:
        raise NoTest(
            f"a test of #{view.head} would take {len(text):,} characters, of {MOST_CHARACTERS:,} at most; "
            "E exports its JSON Patch and its state"
        )
    return text


def _heading(history: History, view: View) -> list[str]:
    entry = history[view.head]
    caller = caller_of(entry.meta)
    told = [f"#{entry.seq}", iso_time(entry.timestamp_ns), entry.action, "" if caller is None else str(caller)]
    source = f"# Made by unspool of {history.source_name}"
    return [_comment(source), _comment("# " + "  ".join(filter(None, told)))]


def _comment(text: str) -> str:
    """Return a comment that ends with its line, whatever its text is."""
    return visible(text[:300]).encode("utf-8", "replace").decode()


def _name(action: str, seq: int) -> str:
    words = re.sub(r"\W+", "_", action[:_NAME].lower(), flags=re.ASCII).strip("_")
    return f"test_{words}" if words and not keyword.iskeyword(words) else f"test_entry_{seq}"


def _question(history: History, view: View, detail: Detail) -> tuple[Expression | None, _Sides]:
    """Return the question whose answers are asserted, None for a value, and the atoms that the test needs."""
    changed = {change.atom for change in detail.changes}
    asked = view.search.text
    question = _expression(asked.removeprefix(_ASKED), changed) if asked.startswith(_ASKED) else None
    if question is None:
        for text in view.watches:
            watch = None if text.startswith("$") else _expression(text, changed)
            if watch is not None:
                sides = _sides(history, detail, watch)
                if _holds(watch, sides.old) is not _holds(watch, sides.new):
                    return watch, sides
    return question, _sides(history, detail, question)


def _expression(text: str, changed: set[str]) -> Expression | None:
    """Return a question about states that the change may have to do with; None where it is none."""
    from unspool.query.expressions import Expression  # loaded with the first test of a question

    try:
        question = Expression(text)
    except ExpressionError:
        return None
    return question if question.reads is None or question.reads & changed else None


def _holds(question: Expression, values: dict[str, Value]) -> bool:
    return question.fresh().ask_values(values).holds


def _answer(question: Expression, values: dict[str, Value]) -> str:
    return f"assert {'' if _holds(question, values) else 'not '}QUESTION.ask_values(state).holds"


def _sides(history: History, detail: Detail, question: Expression | None) -> _Sides:
    from unspool.query.expression_functions import plain  # loaded with the first test

    forms: dict[str, bytes] = {}
    if question is not None and detail.from_seq >= 0:
        wire = history.view(detail.from_seq).wire
        forms = {atom: wire[atom] for atom in (wire if question.reads is None else question.reads) if atom in wire}
    whole = frozenset(forms)
    after: dict[str, bytes] = {}
    for change in detail.changes:
        if change.old_bytes is not None:
            forms[change.atom] = change.old_bytes
        if change.new_bytes is not None:
            after[change.atom] = change.new_bytes
    for atom, form in (*forms.items(), *after.items()):
        if len(form) > _LARGEST:
            raise NoTest(f"{visible(atom[:60])} is too large for a test: {len(form):,} bytes; E exports its states")
    old = {atom: plain(form) for atom, form in forms.items()}
    changed = tuple(change.atom for change in detail.changes)
    new = {atom: value for atom, value in old.items() if atom not in changed}
    new |= {atom: plain(form) for atom, form in after.items()}
    large = frozenset(atom for atom, form in forms.items() if len(form) > _WHOLE and atom not in whole)
    return _Sides(old, new, changed, large)


def _ops(sides: _Sides, atom: str) -> tuple[Op, ...] | None:
    """Return the steps inside an atom; None where it is set or removed as a whole."""
    if atom not in sides.old or atom not in sides.new:
        return None
    old, new = sides.old[atom], sides.new[atom]
    ops = diff_values(old, new)
    if not ops or any(not op.path for op in ops):
        return None
    try:
        return ops if strict_equal(apply_ops(old, ops), new) else None
    except ContradictoryDelta:
        return None


def _statements(sides: _Sides, atom: str, ops: tuple[Op, ...] | None) -> list[str]:
    """Return the statements that change an atom."""
    if atom not in sides.new:
        return [f"del {_spelled((atom,))}"]
    if ops is None:
        return [f"{_spelled((atom,))} = {literal(sides.new[atom], 4)}"]
    return [line for op in ops for line in _statement(atom, op)]


def _statement(atom: str, op: Op) -> list[str]:
    *around, last = op.path
    place = _spelled((atom, *op.path))
    if op.kind is OpKind.REMOVE:
        return [f"del {place}"]
    lines, value = [], "moved"
    if op.kind is OpKind.MOVE:
        *source, step = op.source
        lines = [f"moved = {_spelled((atom, *source))}.pop({_step(step)})"]
    else:
        value = literal(op.new, 4)
    if op.kind is not OpKind.REPLACE and isinstance(last, int):
        return [*lines, f"{_spelled((atom, *around))}.insert({last}, {value})"]
    return [*lines, f"{place} = {value}"]


def _spelled(path: Iterable[Step]) -> str:
    return "state" + "".join(f"[{_step(step)}]" for step in path)


def _step(step: Step) -> str:
    return repr(step) if isinstance(step, str | int) else repr(spell_key(step))


def _target(sides: _Sides, selected: Path, ops: Mapping[str, tuple[Op, ...] | None]) -> Path:
    """Return the value that is asserted: the selected one where the change set or removed it, else the first of those."""
    chosen = _plain_path(sides.new, selected) or _plain_path(sides.old, selected)
    if chosen and _differs(sides, chosen):
        return _nearest(sides.new, chosen)
    return next((path for atom in sides.changed for path in _set_in(sides, atom, ops[atom])), (sides.changed[0],))


def _set_in(sides: _Sides, atom: str, ops: tuple[Op, ...] | None) -> Iterator[Path]:
    """Yield the values of an atom that the change set or removed; of a list in which places move, the list."""
    for op in ops or ():
        path = (atom, *(op.path[:-1] if _shifts(op) else op.path))
        if _differs(sides, path):
            yield _nearest(sides.new, path)


def _others(sides: _Sides, target: Path, ops: Mapping[str, tuple[Op, ...] | None]) -> Iterator[Path]:
    """Yield what the change set besides a value, as far as it stands in the test whole and in a few words."""
    told = [target]
    for atom in sides.changed:
        if atom in sides.large:
            continue
        for path in _set_in(sides, atom, ops[atom]) if ops[atom] else [(atom,)]:
            is_told = any(path[: len(one)] == one[: len(path)] for one in told)
            if len(told) < _MOST_ASSERTED and not is_told and len(_asserted(sides.new, path)) <= _LONGEST_ASSERTED:
                told.append(path)
                yield path


def _nearest(values: Mapping[str, Value], path: Path) -> Path:
    """Return the outermost of the values on a path that are not there; the path itself where all around it is."""
    return next((path[:depth] for depth in range(1, len(path)) if _at(values, path[:depth]) is MISSING), path)


def _differs(sides: _Sides, path: Path) -> bool:
    old, new = _at(sides.old, path), _at(sides.new, path)
    return (old is MISSING) is not (new is MISSING) or not (old is MISSING or strict_equal(old, new))


def _plain_path(values: Mapping[str, Value], path: Path) -> Path | None:
    """Return an address as it leads into JSON types; None where nothing stands there."""
    value: Value = values
    found: list[Step] = []
    for step in path:
        if isinstance(value, list):
            own: Step = step
        else:
            own = step if isinstance(step, str) else spell_key(step)
        value = _at_step(value, own)
        if value is MISSING:
            return None
        found.append(own)
    return tuple(found)


def _at_step(value: Value, step: Step) -> Value:
    if isinstance(value, Mapping):
        return value.get(step, MISSING)
    if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
        return value[step]
    return MISSING


def _at(values: Mapping[str, Value], path: Path) -> Value:
    value: Value = values
    for step in path:
        value = _at_step(value, step)
    return value


def _asserted(values: Mapping[str, Value], path: Path) -> str:
    value, place = _at(values, path), _spelled(path)
    if value is MISSING:
        *around, last = path
        holder = _at(values, tuple(around)) if around else values
        if isinstance(holder, Mapping):
            return f"assert {_step(last)} not in {_spelled(around)}"
        return (
            f"assert len({_spelled(around)}) == {len(holder)}"
            if isinstance(holder, list)
            else "assert state is not None"
        )
    if value is None or isinstance(value, bool):
        return f"assert {place} is {value!r}"
    text = literal(value, 4)
    # A number that is none equals nothing, not even itself.
    return f"assert repr({place}) == repr({text})" if "float(" in text else f"assert {place} == {text}"


def _fixture(sides: _Sides, ops: Mapping[str, tuple[Op, ...] | None], kept: Iterable[Path]) -> dict[str, Value]:
    """Return the state before, without what the test does not touch of large atoms."""
    found: dict[str, Value] = {}
    for atom, value in sides.old.items():
        steps = ops.get(atom) or ()
        if atom in sides.changed and ops.get(atom) is None:
            # It is set anew as a whole, whatever it was.
            found[atom] = value if atom not in sides.large else None
        elif atom in sides.large:
            wanted = [path for op in steps for path in (op.path, op.source) if path]
            wanted += [path[1:] for path in kept if path[0] == atom]
            shifted = {op.path[:-1] for op in steps if _shifts(op)} | {op.source[:-1] for op in steps if op.source}
            found[atom] = _touched(value, frozenset(wanted), frozenset(shifted), ())
        else:
            found[atom] = value
    return found


def _shifts(op: Op) -> bool:
    return op.kind in (OpKind.ADD, OpKind.REMOVE, OpKind.MOVE) and isinstance(op.path[-1], int)


def _touched(value: Value, wanted: frozenset[Path], shifted: frozenset[Path], at: Path) -> Value:
    """Return a value with only what lies along some paths; where items of a list move, all of it."""
    inside = frozenset(path for path in wanted if len(path) > len(at) and path[: len(at)] == at)
    if not inside or at in wanted or at in shifted:
        return value
    steps = {path[len(at)] for path in inside}
    if isinstance(value, Mapping):
        return {key: _touched(item, wanted, shifted, (*at, key)) for key, item in value.items() if key in steps}
    if isinstance(value, list):
        return [
            _touched(item, wanted, shifted, (*at, place)) if place in steps else None
            for place, item in enumerate(value)
        ]
    return value


def literal(value: Value, indent: int, depth: int = 0) -> str:
    """Spell a value of JSON types as Python does, over several lines where one is too short.

    Raises:
        NoTest: it is nested too deeply for Python to read.
    """
    if depth > _DEEPEST:
        raise NoTest(f"a value is nested too deeply for a test: more than {_DEEPEST} levels")
    if isinstance(value, Mapping):
        items = [f"{key!r}: {literal(item, indent + 4, depth + 1)}" for key, item in value.items()]
        return _bracketed("{", items, "}", indent)
    if isinstance(value, list | tuple):
        return _bracketed("[", _items(value, indent, depth), "]", indent)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if type(value) is int and value.bit_length() > _MOST_BITS:
        return hex(value)
    if value is not None and type(value) not in (str, int, bool, float, bytes):
        raise NoTest(f"a value is nested too deeply for a test, beside a {type(value).__name__}")
    return repr(value)


def _items(value: list[Value] | tuple[Value, ...], indent: int, depth: int) -> list[str]:
    """Spell the items of a list; many in a row that were left out are one."""
    items: list[str] = []
    place = 0
    while place < len(value):
        stop = place
        while stop < len(value) and value[stop] is None:
            stop += 1
        if stop - place > 3:
            items.append(f"*[None] * {stop - place}")
            place = stop
        else:
            items.append(literal(value[place], indent + 4, depth + 1))
            place += 1
    return items


def _bracketed(start: str, items: list[str], end: str, indent: int) -> str:
    line = f"{start}{', '.join(items)}{end}"
    if len(line) + indent <= _LINE and "\n" not in line:
        return line
    inner = "".join(f"\n{' ' * (indent + 4)}{item}," for item in items)
    return f"{start}{inner}\n{' ' * indent}{end}"


def opening_lines(source: str, head: int, address: Path, value: Value) -> str:
    """Return the lines that open a history and take the value at an address.

    Args:
        source: what to open.
        head: the entry.
        address: where the value stands; every step below the atom a text key or an index.
        value: what is there, for the reader.

    Raises:
        NoTest: the value stands inside of something that is no dict and no list.
    """
    atom, *steps = address
    if not all(isinstance(step, str | int) for step in steps):
        raise NoTest("a key on the way to this value is no text and no number; y p copies its path")
    below = "".join(f"[{step!r}]" for step in steps)
    told = visible(repr(value)[:60]) if not isinstance(value, Mapping | list) else ""
    comment = _comment(f"  # {told}") if told else ""
    return (
        "from unspool import open_history\n\n"
        f"with open_history({source!r}) as history:\n"
        f"    value = history.value({head}, {str(atom)!r}){below}{comment}\n"
    )


def _always(view: View) -> str:
    return ""


def _some_entries(view: View) -> str:
    return "" if view.total else "the history is still empty"


def _selected(view: View) -> str:
    return "" if view.selected else "select something in Changes or Inspect first"


class CopyKind(Struct, frozen=True):
    """One line of the menu of what to copy.

    Attributes:
        key: the key that chooses it.
        label: what it is called on the screen.
        text: returns what is copied; raises an UnspoolError where nothing stands at the selected address, or an entry
            cannot be rebuilt.
        why_not: why it does not apply now; empty when it does.
    """

    key: str
    label: str
    text: Callable[[History, View, Detail], str]
    why_not: Callable[[View], str]


def value_text(detail: Detail, address: Path) -> str:
    """Return the value at an address: text as it reads, anything else as JSON."""
    value = value_at(detail.state, address)
    if value is MISSING:
        raise NoSuchPlace(f"{format_path(address[:20])} is not there at #{detail.request.head}")
    return value if isinstance(value, str) else to_json(value, indent=2)


def jq_path(state: Mapping[str, Value], address: Path) -> str:
    """Spell an address for jq, as the JSON that is shown and exported holds it: plain keys with dots, others quoted."""
    steps: list[Step] = list(address[:1])
    value: Value = state[str(address[0])] if address and address[0] in state else None
    for step in address[1:]:
        while type(value) is Tagged and not value.is_member:
            steps.append("value")
            value = value.value
        if type(value) is Tagged:
            # A member of an enumeration is a list of name and value.
            steps.append("value")
            value, step = value.value, MEMBER_FIELDS.index(step) if step in MEMBER_FIELDS else step
        if isinstance(value, Mapping) and not all(type(key) is str for key in value):
            places = {step_of(key): place for place, key in enumerate(value)}
            steps += ["$pairs", places.get(step, -1), 1]
        else:
            steps += [*_JSON_TAGS.get(type(value), ()), step]
        parts = value_parts(value)
        if isinstance(parts, list):
            value = parts[step] if isinstance(step, int) and step < len(parts) else None
        else:
            value = None if parts is None else parts.get(step)
    text = format_path(tuple(steps), root="")
    return text if text.startswith("[") and not text.startswith('["') else "." + text.lstrip(".")


_JSON_TAGS: Final[dict[type, tuple[str]]] = {tuple: ("$tuple",), set: ("$set",), frozenset: ("$frozenset",)}


def python_text(history: History, view: View, detail: Detail) -> str:
    """Return the Python that opens the history and takes the selected value."""
    value: Value = detail.state
    for step in view.selected:
        if not isinstance(value, Mapping | list | tuple):
            raise NoTest("this value lies inside of an object; y p copies its path")
        value = value_at({"": value}, ("", step))
        if value is MISSING:
            raise NoSuchPlace(f"{format_path(view.selected[:20])} is not there at #{view.head}")
    return opening_lines(source_argument(history), view.head, view.selected, value)


def patch_text(history: History, detail: Detail) -> str:
    """Return the RFC 6902 JSON Patch that turns the compared state into that of the head."""
    old = {} if detail.from_seq < 0 else history.state(detail.from_seq)
    return to_json(state_patch(old, history.state(detail.request.head), history.identity), indent=2)


def link(history: History, view: View) -> str:
    """Return the command that opens the history at the head, with the selected value in Inspect."""
    chosen = f" --atom {shlex.quote(format_path(view.selected, root=''))}" if view.selected else ""
    return f"unspool open {shlex.quote(source_argument(history))} --at {view.head}{chosen}"


def entry_line(history: History, view: View) -> str:
    """Return the head in one line, as people name an entry to each other: number, time and action."""
    entry = history[view.head]
    return f"#{entry.seq} {iso_time(entry.timestamp_ns)} {visible(entry.action)}".rstrip()


def line_of_code(history: History, view: View) -> str:
    """Return the file and line that recorded the head, as editors go to it: `shop.py:41`.

    The function and a doubt about the line are left out, since an editor would take them for a part of the name.

    Raises:
        NoCaller: the entry does not tell it.
    """
    caller = caller_of(history[view.head].meta)
    if caller is None:
        raise NoCaller(f"#{view.head} does not tell its caller: Recorder(caller=True) and unspool run keep it")
    return f"{visible(caller.file)}:{caller.line}"


def id_text(history: History, view: View) -> str:
    """Return the id of the head, as other tools know the entry by it: of a version in git, the full hash of the commit.

    Raises:
        NoId: the source gave none.
    """
    entry = history[view.head]
    # A source that is no file of ours is numbered anew each time it is opened: nobody else knows the entry by that.
    is_made_up = history.is_foreign and entry.id == usual_id(history.history_id, entry.seq)
    if is_made_up or not entry.id:
        raise NoId(f"#{view.head} was given no id by its source; y e copies its number, time and action")
    return visible(entry.id)


def source_argument(history: History) -> str:
    """Return what to call the source on a command line: its file where it has one."""
    if history.is_foreign:
        return history.source_name
    files = [path for path in history.watch_paths if not path.name.endswith(("-wal", "-shm"))]
    return str(files[0]) if len(files) == 1 else history.source_name


COPY_VALUE: Final = CopyKind("v", "value", lambda history, view, detail: value_text(detail, view.selected), _selected)
COPY_ENTRY: Final = CopyKind(
    "e", "entry in one line", lambda history, view, detail: entry_line(history, view), _some_entries
)
COPY_KINDS: Final = (
    COPY_VALUE,
    CopyKind("k", "key", lambda history, view, detail: spell_key(view.selected[-1]), _selected),
    CopyKind("p", "path ($.a.b[0])", lambda history, view, detail: format_path(view.selected), _selected),
    CopyKind("q", "jq path (.a.b[0])", lambda history, view, detail: jq_path(detail.state, view.selected), _selected),
    CopyKind("d", "JSON Patch of this diff", lambda history, view, detail: patch_text(history, detail), _always),
    CopyKind(
        "s", "whole state as JSON", lambda history, view, detail: to_json(dict(detail.state), indent=2), _always
    ),
    COPY_ENTRY,
    CopyKind(
        "i", "id of this entry (git: hash)", lambda history, view, detail: id_text(history, view), _some_entries
    ),
    CopyKind(
        "f", "file and line (shop.py:41)", lambda history, view, detail: line_of_code(history, view), _some_entries
    ),
    CopyKind("t", "test of this change (pytest)", change_test, _some_entries),
    CopyKind(
        "c",
        "Python that opens it",
        lambda history, view, detail: python_text(history, view, detail),
        _selected,
    ),
    CopyKind("l", "command that opens this place", lambda history, view, detail: link(history, view), _always),
)


MOST_ENCODED: Final = 74_994
"""Base64 characters that terminals take in one OSC 52 sequence (the cap that k9s uses)."""
_TOOLS: Final = (
    (("WAYLAND_DISPLAY",), ("wl-copy",)),
    (("DISPLAY",), ("xclip", "-selection", "clipboard")),
    (("DISPLAY",), ("xsel", "--clipboard", "--input")),
)
_TOOL_SECONDS: Final = 2.0


class CopyOutcome(Struct, frozen=True):
    """What became of a copy.

    Attributes:
        arrived: it was handed over.
        said: where it went, or why it did not.
    """

    arrived: bool
    said: str


def copy_text(app: App[Any], text: str, env: Mapping[str, str] | None = None) -> CopyOutcome:
    """Copy a text, by a native tool or through the terminal."""
    env = os.environ if env is None else env
    # In a browser, this machine's clipboard is somebody else's.
    elsewhere = app.is_web or env.get("SSH_TTY") or env.get("SSH_CONNECTION")
    tool = None if elsewhere else native_tool(env)
    if tool is not None and _run(tool, text):
        return CopyOutcome(True, f"copied with {tool[0]}")
    encoded = len(base64.b64encode(text.encode("utf-8", "replace")))
    if encoded > MOST_ENCODED:
        return CopyOutcome(
            False, f"is too much for a terminal to copy ({encoded:,} of {MOST_ENCODED:,} characters); export it (E)"
        )
    app.copy_to_clipboard(text.encode("utf-8", "replace").decode())
    return CopyOutcome(True, "sent to the terminal's clipboard (OSC 52)")


def native_tool(env: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the command that fills the clipboard of this machine, if there is one."""
    if sys.platform == "darwin":
        return ("pbcopy",)
    for variables, command in _TOOLS:
        if all(env.get(name) for name in variables) and shutil.which(command[0]):
            return command
    return None


def _run(command: tuple[str, ...], text: str) -> bool:
    try:
        done = subprocess.run(
            command, input=text.encode("utf-8", "replace"), timeout=_TOOL_SECONDS, check=False, capture_output=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
