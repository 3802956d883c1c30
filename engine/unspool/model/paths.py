"""What a value is made of, one level at a time, and reading paths and patterns of paths.

Objects with keys of any type, lists, and the fields of tagged values (dataclasses, records, what adapters give) are looked
into alike; how an object's type wraps its fields is no step of a path. A member of an enumeration has the fields `name`
and `value`, and a tuple has items by number, but both are shown in one piece, unless the tuple holds what has parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final, NamedTuple, TypeVar, cast

from unspool.errors import CorruptHistory, PathSyntaxError, UnsupportedValue
from unspool.model.encoding import PAIRS, encode
from unspool.model.keys import Key, Path, Step, format_path, spell_key, spelled_form, spelled_value, step_of_form
from unspool.model.recipes import TAGGED, TUPLE
from unspool.model.tags import Tagged
from unspool.model.values import Value
from unspool.model.wire import (
    FormShape,
    NotSplittable,
    decode,
    extension_of,
    list_views,
    shape_of,
    split_list,
    split_map,
)

Parts = dict[Step, bytes] | list[bytes]
"""The wire forms of an object's values by key, or of a list's items."""

_WITH_PARTS: Final = frozenset((TAGGED, PAIRS, TUPLE))
MEMBER_FIELDS: Final = ("name", "value")
"""Fields of a member of an enumeration."""


class OpenedForm(NamedTuple):
    """A wire form taken apart.

    Attributes:
        kind: what wraps the parts: names of types, `()` for a tuple; "" for a plain object or list.
        parts: the parts.
        is_whole: whether it is shown in one piece although it has parts.
    """

    kind: str
    parts: Parts
    is_whole: bool = False

    def pairs_with(self, other: OpenedForm) -> bool:
        """Whether the parts of two values are to be compared one by one."""
        if self.kind != other.kind or type(self.parts) is not type(other.parts):
            return False
        if self.is_whole and other.is_whole:
            return False
        # Items of a tuple are identified by their place, so one of another length is another value.
        return not self.kind.endswith(_IN_TUPLE) or len(self.parts) == len(other.parts)


_IN_TUPLE: Final = "()"
_SCALARS: Final = frozenset(
    first
    for first in range(256)
    if shape_of(bytes((first,))) in (FormShape.TEXT, FormShape.LEAF)
    and first not in range(0xC7, 0xCA)
    and first not in range(0xD4, 0xD9)
)
"""First bytes of what has no parts: all but lists, objects and tagged values."""


def open_form(form: bytes) -> OpenedForm | None:
    """Take a wire form apart; None for a leaf, and for what is nested too deeply to be taken apart."""
    if form[0] in _SCALARS:
        return None
    try:
        return _opened(form)
    except (NotSplittable, CorruptHistory, IndexError, TypeError, ValueError):
        # What does not decode is reported by whoever decodes it.
        return None


def _opened(form: bytes) -> OpenedForm | None:
    kind = ""
    for _ in range(_MOST_WRAPPERS):
        shape = shape_of(form)
        if shape is FormShape.MAP:
            return OpenedForm(kind, cast(Parts, split_map(form)))
        if shape is FormShape.LIST:
            return OpenedForm(kind, split_list(form))
        found = extension_of(form) if shape is FormShape.LEAF else None
        if found is None or found[0] not in _WITH_PARTS:
            return None
        code, payload = found
        parts = split_list(payload)
        if code == TAGGED:
            kind += f"{decode(parts[0])} "
            form = parts[1]
            if len(parts) > len(MEMBER_FIELDS):
                return OpenedForm(kind, dict(zip(MEMBER_FIELDS, split_list(form), strict=True)), True)
        elif code == PAIRS:
            keyed: dict[Step, bytes] = dict(zip(map(step_of_form, parts[::2]), parts[1::2], strict=True))
            # Keys that cannot be distinguished, such as two NaN, are no steps.
            return OpenedForm(kind, keyed) if 2 * len(keyed) == len(parts) else None
        else:
            return OpenedForm(kind + _IN_TUPLE, dict(enumerate(parts)), _are_leaves(parts, 0))
    return None


def unwrapped(form: bytes) -> bytes | None:
    """Return the wire form inside the types that wrap a value; None for a member of an enumeration.

    Raises:
        NotSplittable: nested too deeply, or no wire form.
    """
    for _ in range(_MOST_WRAPPERS):
        found = extension_of(form)
        if found is None or found[0] != TAGGED:
            return form
        wrapped = list_views(found[1])
        if len(wrapped) != len(MEMBER_FIELDS):
            return None
        form = bytes(wrapped[1])
    return None


def _are_leaves(items: list[bytes], depth: int) -> bool:
    """Whether nothing that has parts is among the items of a tuple; what is nested deeply counts as such."""
    for form in items:
        item = unwrapped(form)
        if item is None:
            continue
        if shape_of(item) in CONTAINERS:
            return False
        found = extension_of(item)
        if found is None or found[0] not in _WITH_PARTS:
            continue
        if found[0] == PAIRS or depth == _DEEPEST_TUPLE or not _are_leaves(split_list(found[1]), depth + 1):
            return False
    return True


_MOST_WRAPPERS: Final = 16
"""Types round one value; more make it a leaf."""
_DEEPEST_TUPLE: Final = 8
CONTAINERS: Final = frozenset((FormShape.MAP, FormShape.LIST))
DEEPEST: Final = 1_000
"""Steps of a path beyond which a value is one piece: each level is copied once, which chains of objects would multiply."""


def parts_alike(old: bytes, new: bytes, *, only_plain: bool = False) -> tuple[Parts, Parts] | None:
    """Return the parts of two values that are to be compared part by part; None where the values are leaves.

    Args:
        old: a wire form.
        new: another.
        only_plain: take apart nothing but lists and objects whose keys are all text.
    """
    shape = shape_of(old)
    if shape is shape_of(new) and shape is not FormShape.LEAF:
        try:
            if shape is FormShape.MAP:
                return cast(Parts, split_map(old)), cast(Parts, split_map(new))
            return (split_list(old), split_list(new)) if shape is FormShape.LIST else None
        except NotSplittable:
            return None
    if only_plain:
        return None
    before = open_form(old)
    after = None if before is None else open_form(new)
    if before is None or after is None or not before.pairs_with(after):
        return None
    return before.parts, after.parts


def parts_of(form: bytes) -> Parts | None:
    """Return the parts of a value; None for a leaf."""
    opened = open_form(form)
    return None if opened is None else opened.parts


def parts_inside(form: bytes) -> Parts | None:
    """Return the parts of a value that is not shown in one piece; None for one that is."""
    if form[0] in _SCALARS:
        return None
    shape = shape_of(form)
    if shape is not FormShape.LEAF:
        try:
            return cast(Parts, split_map(form)) if shape is FormShape.MAP else split_list(form)
        except NotSplittable:
            return None
    opened = open_form(form)
    return None if opened is None or opened.is_whole else opened.parts


def own_step(parts: Parts, step: Step, *, is_tuple: bool = False) -> Step | None:
    """Return a step as the parts of a value spell it; None where nothing is there.

    A number also stands for the text key of that name where no key is that number; negative numbers count lists and
    tuples from their end.

    Args:
        parts: of the value.
        step: as a person gives it.
        is_tuple: whether they are the items of a tuple.
    """
    if isinstance(parts, list) or is_tuple:
        if isinstance(step, int):
            return step % len(parts) if -len(parts) <= step < len(parts) else None
        return None
    if step in parts:
        return step
    name = str(step)
    return name if isinstance(step, int) and name in parts else None


def child_of(form: bytes, step: Step) -> tuple[Step, bytes] | None:
    """Return the part of a value that a step leads to, and the step as the value spells it; None where nothing is."""
    opened = open_form(form)
    if opened is None:
        return None
    own = own_step(opened.parts, step, is_tuple=opened.kind.endswith(_IN_TUPLE))
    if own is None:
        return None
    return own, opened.parts[own]  # type: ignore[index]


def content_of(value: Value) -> Value:
    """Return what is inside the types that wrap a decoded value: a member of an enumeration as its two fields."""
    while type(value) is Tagged:
        if value.is_member:
            return dict(zip(MEMBER_FIELDS, value.value, strict=True))
        value = value.value
    return value


def step_of(key: Value) -> Step:
    """Return a key of an object as a step of a path.

    Raises:
        UnsupportedValue: the key has no wire form.
    """
    if type(key) is str or type(key) is int:
        return key
    return Key(encode(key))


def value_parts(value: Value) -> dict[Step, Value] | list[Value] | None:
    """Return the parts of a decoded value as `parts_of` names them, those of a tuple as a list; None for a leaf."""
    content = content_of(value)
    if isinstance(content, Mapping):
        return {step_of(key): part for key, part in content.items()}
    return list(content) if isinstance(content, list | tuple) else None


def with_content(value: Value, content: Value) -> Value:
    """Return a decoded value with other content inside the types that wrap it."""
    wrappers: list[Tagged] = []
    while type(value) is Tagged and not value.is_member:
        wrappers.append(value)
        value = value.value
    if type(value) is Tagged:
        content = replace(value, value=[content[name] for name in MEMBER_FIELDS])
    for wrapper in reversed(wrappers):
        content = replace(wrapper, value=content)
    return content


class Glob(str):
    """A name in a pattern of paths, in which `*` and `?` match within one step."""

    __slots__ = ()


PathPattern = tuple[Step | None, ...]
"""A path that may stand for several: None is every item of a list, and a `Glob` every key that fits it."""
Form = TypeVar("Form")
"""How the parts of a state are at hand: decoded, or as wire forms."""

_INDEX: Final = r"\[(?P<index>-?\d+)\]"
_QUOTED: Final = r'\["(?P<quoted>(?:[^"\\]|\\.)*)"\]'
_EVERY: Final = r"\[(?P<every>\*?)\]"
_STEP: Final = rf"\.?(?P<key>[^\W\d][\w-]*) | {_INDEX} | {_QUOTED} | \.(?P<digits>\d+)"
_OF_PATHS: Final = re.compile(_STEP, re.VERBOSE)
_OF_PATTERNS: Final = re.compile(rf"{_EVERY} | {_STEP}", re.VERBOSE)
_OF_GLOBS: Final = re.compile(rf'\.?(?P<name>[^\s.\[\]"]+) | {_EVERY} | {_INDEX} | {_QUOTED}', re.VERBOSE)
_WILD: Final = re.compile(r"[*?]")


def parse_path(text: str) -> Path:
    """Read a path as `format_path` spells it, with or without the leading `$`, or an RFC 6901 pointer.

    In brackets a number is the index of a list or the integer key of an object, whichever is there; a key that is a
    text and looks like a number is quoted: `["2"]`.

    Raises:
        PathSyntaxError: the text is no path; the message names the column.
    """
    if text.startswith("/"):
        return parse_pointer(text)
    return cast(Path, _read(text, _OF_PATHS))


def parse_pattern(text: str, *, globs: bool = False) -> PathPattern:
    """Read a pattern of paths: a path, or a pointer, in which `[*]` stands for every item of a list.

    Args:
        text: such as `orders[*].lines` or `/orders/*/lines`.
        globs: whether `*` and `?` match within names too, which may then hold any letter but blanks, dots and brackets:
            `cart*.items[*].sku`. Quoted keys are meant as they stand.

    Raises:
        PathSyntaxError: the text is no pattern; the message names the column.
    """
    if text.startswith("/"):
        return tuple(_pointed(step, globs=globs) for step in parse_pointer(text))
    return _read(text, _OF_GLOBS if globs else _OF_PATTERNS)


def _pointed(step: Step, *, globs: bool) -> Step | None:
    if step == "*":
        return None
    return Glob(step) if globs and isinstance(step, str) and _WILD.search(step) else step


def _read(text: str, grammar: re.Pattern[str]) -> PathPattern:
    body = text[1:] if text.startswith("$") else text
    offset = len(text) - len(body)
    steps: list[Step | None] = []
    position = 0
    while position < len(body):
        match = grammar.match(body, position)
        if match is None:
            try:
                key, end = key_at(text, position + offset)
            except PathSyntaxError:
                if grammar is _OF_PATHS:
                    raise
                column = position + offset + 1
                raise PathSyntaxError(f"{text!r} is no pattern: stuck at column {column}; {_PATTERNS}") from None
            steps.append(key)
            position = end - offset
            continue
        steps.append(_step_in(match))
        position = match.end()
    return tuple(steps)


def _step_in(match: re.Match[str]) -> Step | None:
    kind = match.lastgroup or ""
    found = match[kind]
    if kind == "every":
        return None
    if kind == "quoted":
        return re.sub(r"\\(.)", r"\1", found)
    if kind == "name":
        return Glob(found) if _WILD.search(found) else str(found)
    return found if kind == "key" else _number(found)


_PATTERNS: Final = 'write orders[*].lines, or $["odd key"]; where keys may be left open, cart*.items[*].sku'


def spell_pattern(pattern: PathPattern, *, root: str = "") -> str:
    """Spell a pattern without globs as `parse_pattern` reads it: `orders[*].lines`.

    Args:
        pattern: the steps.
        root: what stands for the value that it starts at.
    """
    spelled = root
    for step in pattern:
        part = "[*]" if step is None else format_path((step,), root="")
        spelled += part if not spelled or part.startswith("[") else f".{part}"
    return spelled


def step_fits(step: Step, wanted: Step | None) -> bool:
    """Whether a step of a path is one that a step of a pattern stands for."""
    if wanted is None:
        return True
    if isinstance(wanted, Glob):
        return fnmatchcase(spell_key(step), wanted)
    return step == wanted or spell_key(step) == spell_key(wanted)


def covers(pattern: PathPattern, path: Path) -> bool:
    """Whether a path is one that a pattern stands for, or inside it."""
    return len(pattern) <= len(path) and all(map(step_fits, path, pattern))


def places(
    pattern: PathPattern,
    state: Mapping[str, Form],
    parts_in: Callable[[Form], Mapping[Step, Form] | list[Form] | None],
    *,
    of_lists: bool = False,
) -> Iterator[tuple[Path, Form]]:
    """Yield the places in a state that a pattern stands for, with what is there, in the order of the state.

    Args:
        pattern: the steps, the first one for atoms; none stands for nothing.
        state: decoded values, or wire forms.
        parts_in: returns the parts of one of them; None for a leaf.
        of_lists: read the pattern as that of lists of records: it stands for all items where it names one or none, and
            a star is no key that is a text.
    """
    if not pattern:
        return
    atoms = _inside(cast(Mapping[Step, Form], state), pattern[0], of_lists)
    pending: list[tuple[Path, int, Form]] = [((atom,), 1, value) for atom, value, _ in atoms]
    pending.reverse()
    while pending:
        path, depth, value = pending.pop()
        if depth == len(pattern):
            yield path, value
            continue
        wanted = pattern[depth]
        # Of an object, one key is looked up before all parts are named.
        named: Mapping[Step, Form] | list[Form] | None
        named = value if type(wanted) is str and isinstance(value, dict) and wanted in value else parts_in(value)
        if not named:
            continue
        if type(named) is dict and type(wanted) is str and wanted in named:
            pending.append(((*path, wanted), depth + 1, named[wanted]))
        elif wanted is None and not of_lists:
            parts = named.items() if isinstance(named, Mapping) else enumerate(named)
            pending.extend([((*path, step), depth + 1, part) for step, part in parts][::-1])
        else:
            inside = _inside(named, wanted, of_lists)
            pending.extend([((*path, step), depth + taken, part) for step, part, taken in inside][::-1])


def _inside(
    parts: Mapping[Step, Form] | list[Form], wanted: Step | None, of_lists: bool
) -> Iterator[tuple[Step, Form, int]]:
    """Yield the parts that a step stands for, each with how many steps of the pattern it takes: none where an item is implied."""
    if isinstance(parts, Mapping):
        if type(wanted) is str and wanted in parts:
            yield wanted, parts[wanted], 1
        elif wanted is None and of_lists:
            yield from ((step, parts[step], 1) for step in parts if isinstance(step, int))
        else:
            yield from ((step, parts[step], 1) for step in parts if step_fits(step, wanted))
    elif of_lists:
        taken = 1 if wanted is None or isinstance(wanted, int) else 0
        yield from ((index, part, taken) for index, part in enumerate(parts))
    elif isinstance(wanted, int):
        if 0 <= wanted < len(parts):
            yield wanted, parts[wanted], 1
    else:
        yield from ((index, part, 1) for index, part in enumerate(parts) if step_fits(index, wanted))


def read_key(text: str) -> Step:
    """Read a key as `spell_key` spells one that is no text.

    Raises:
        PathSyntaxError: it is none.
    """
    form = spelled_form(text)
    if form is not None:
        return Key(form)
    try:
        return step_of(spelled_value(text))
    except (CorruptHistory, UnsupportedValue) as error:
        raise PathSyntaxError(f"{text[:80]!r} is no key ({error})") from None


def key_at(text: str, start: int) -> tuple[Step, int]:
    """Read a key in brackets, and return where they end.

    Raises:
        PathSyntaxError: there is none; the message names the column.
    """
    end = _bracket_end(text, start)
    reason = ""
    if end is not None:
        try:
            return read_key(text[start + 1 : end - 1]), end
        except PathSyntaxError as error:
            reason = f": {error}"
    raise PathSyntaxError(f"{text!r} is no path: stuck at column {start + 1}{reason}; {_remedy(text, start)}")


_REMEDIES: Final = (
    (r"->", "write one dot between names"),
    (
        r"\s*(?:[<>=!]=?|&&|\|\||and\b|or\b)",
        "a path names a value; a comparison goes with `bisect` or `search --expr`",
    ),
    (r"\(", "a path names a value; a function goes with `bisect` or `search --expr`"),
    (r"\[(?:\*|\]|-?\d*:)", "a path names one value: write the index of an item, items[0]"),
    (r"/", "write dots between names, or a JSON Pointer that begins with a slash"),
    (r"\.?\s", 'leave out the blank, or quote the name: $["odd key"]'),
    (r"::|\.\.|\?", "write one dot between names"),
    (r"@", "write a path from the state on: cart.total, or $.cart.total"),
)
"""What is written where a path ends, and what to write instead."""


def _remedy(text: str, start: int) -> str:
    rest = text[start - 1 :] if text[start - 1 : start + 1] == "->" else text[start:]
    found = (remedy for pattern, remedy in _REMEDIES if re.match(pattern, rest))
    return next(found, 'write $.cart.items[2].qty, $["odd key"] or $.grid[(1, 2)]')


_PIECES: Final = re.compile(r"""[bB]?(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|[\[({]|[])}]|[^][(){}"']+""", re.DOTALL)


def _bracket_end(text: str, start: int) -> int | None:
    """Return where a key in brackets ends, behind its bracket; None where none begins or it does not end."""
    if not text.startswith("[", start):
        return None
    depth = 0
    for match in _PIECES.finditer(text, start):
        if match.start() != start:
            return None
        start = match.end()
        depth += (match[0] in _OPENING) - (match[0] in _CLOSING)
        if depth == 0:
            return start if match[0] == "]" else None
    return None


_OPENING: Final = ("[", "(", "{")
_CLOSING: Final = ("]", ")", "}")


def _number(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise PathSyntaxError(f"a path with a number of {len(digits):,} digits; write such a key as [0x…]") from None


def parse_pointer(pointer: str) -> Path:
    """Read an RFC 6901 JSON Pointer; steps that look like list indices come back as integers.

    Raises:
        PathSyntaxError: the text does not start with a slash.
    """
    return tuple(_number(part) if re.fullmatch(r"0|[1-9]\d*", part) else part for part in pointer_steps(pointer))


def pointer_steps(pointer: str) -> list[str]:
    """Return the steps of an RFC 6901 JSON Pointer as texts: which of them are indexes depends on the value it points into.

    Raises:
        PathSyntaxError: the text does not start with a slash.
    """
    if pointer and not pointer.startswith("/"):
        raise PathSyntaxError(f"{pointer!r} is no JSON Pointer: it must start with a slash")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


__all__ = ["Key", "Path", "Step", "key_at", "parse_path", "parse_pointer", "pointer_steps", "read_key", "step_of"]
