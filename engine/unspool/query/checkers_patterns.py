"""Patterns of paths, as rules write them: `cart*.items[*].sku`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from glob import escape
from typing import Final, NamedTuple

from unspool.delta.identity import names_identity
from unspool.errors import PathSyntaxError
from unspool.model.keys import spell_key
from unspool.model.parts import content_of, value_parts
from unspool.model.paths import Path, Step, format_path, key_at
from unspool.model.values import Value
from unspool.query.checkers_words import brief
from unspool.query.errors import ExpressionError, nearest

Pattern = tuple[str, ...]
"""Steps; `*` and `?` match within one step, and an item of a list is matched by its number or by `*`."""

_MOST_NAMES: Final = 64
"""Names remembered of one place, to suggest from."""
_TOKEN: Final = re.compile(r"""\.?([^\s.\[\]"]+)|\[(\*|\d+)\]|\["((?:[^"\\]|\\.)*)"\]""")


def parse_pattern(text: str) -> Pattern:
    """Read a pattern.

    Raises:
        ExpressionError: the text is no pattern; the message names the column.
    """
    body = text[1:] if text.startswith("$") else text
    steps: list[str] = []
    place = 0
    while place < len(body):
        match = _TOKEN.match(body, place)
        if match is None:
            try:
                key, place = key_at(body, place)
            except PathSyntaxError:
                column = len(text) - len(body) + place + 1
                raise ExpressionError(
                    f"{text!r} is no pattern: stuck at column {column}; write cart*.items[*].sku"
                ) from None
            steps.append(escape(spell_key(key)))
            continue
        steps.append(next(group for group in match.groups() if group is not None))
        place = match.end()
    return tuple(steps)


def covers(pattern: Pattern, path: Path) -> bool:
    """Say whether a path is what a pattern names, or inside it."""
    return len(pattern) <= len(path) and all(map(_fits, path, pattern))


def _fits(step: Step, pattern: str) -> bool:
    return fnmatchcase(spell_key(step), pattern)


def found(pattern: Pattern, state: Mapping[str, Value]) -> Iterator[tuple[Path, Value]]:
    """Yield every place in a state that a pattern names, with its value, in the order of the state."""
    pending: list[tuple[Path, Value]] = [((), state)]
    while pending:
        path, value = pending.pop()
        if len(path) == len(pattern):
            yield path, value
            continue
        wanted = pattern[len(path)]
        if isinstance(value, Mapping) and not _is_wild(wanted) and wanted in value:
            pending.append(((*path, wanted), value[wanted]))
            continue
        parts = value_parts(value) or {}
        items = parts.items() if isinstance(parts, dict) else enumerate(parts)
        inside = [((*path, step), part) for step, part in items if _fits(step, wanted)]
        pending.extend(reversed(inside))


class PatternWatch:
    """Watches whether what a pattern names is ever there: a mistyped one finds nothing, which reads as no fault."""

    def __init__(self, pattern: Pattern) -> None:
        """Watch a pattern."""
        self._pattern = pattern
        self._reached = -1
        self._lacking: set[str] = set()
        self._names: set[str] = set()

    def see(self, state: Mapping[str, Value], changed: Collection[str]) -> None:
        """Look at a state, of which some atoms are new."""
        is_first = self._reached < 0
        if self._reached < len(self._pattern) and (
            is_first or any(_fits(atom, self._pattern[0]) for atom in changed)
        ):
            self._look(state)

    def _look(self, state: Mapping[str, Value]) -> None:
        pending: list[tuple[int, Value | Mapping[str, Value]]] = [(0, state)]
        while pending:
            depth, value = pending.pop()
            if depth > self._reached:
                self._reached, self._lacking, self._names = depth, set(), set()
            if depth == len(self._pattern):
                return
            parts = value if isinstance(value, Mapping) else value_parts(value)
            items: Iterable[tuple[Step, Value]] = (
                parts.items() if isinstance(parts, Mapping) else enumerate(parts or ())
            )
            inside = [(depth + 1, part) for step, part in items if _fits(step, self._pattern[depth])]
            pending += inside
            if inside or depth < self._reached:
                continue
            if parts:
                self._lacking.add("parts")
            else:
                # An empty list or object, or null, may have had it another time.
                self._lacking.add("nothing" if value is None or parts is not None else "value")
            if isinstance(parts, Mapping) and len(self._names) < _MOST_NAMES:
                self._names.update(map(spell_key, parts))

    def doubt(self) -> str:
        """Return why the pattern can hardly be meant; "" where something was there, or could have been."""
        may_have_been = "parts" not in self._lacking and ("nothing" in self._lacking or not self._lacking)
        if may_have_been or self._reached == len(self._pattern):
            return ""
        wanted = self._pattern[self._reached]
        suggested = "" if _is_wild(wanted) else nearest(wanted, self._names)
        return f"no entry has {spell_pattern(self._pattern[: self._reached + 1])}{suggested}"


def spell_pattern(pattern: Pattern) -> str:
    """Spell a pattern for people."""
    return ".".join(pattern)


def _is_wild(step: str) -> bool:
    return any(mark in step for mark in "*?[")


def spell(path: Path) -> str:
    """Spell a path for people."""
    return format_path(path, root="")


class RecordKeys:
    """What tells the records of the lists of one value apart; worked out once for each list."""

    def __init__(self) -> None:
        """Know no list."""
        self._counts: dict[tuple[Path, str], Counter[Value]] = {}

    def of(self, path: Path, records: list[Value], index: int) -> str:
        """Return what tells a record from all others of its list, or "" where nothing does.

        Args:
            path: where the list stands.
            records: its items.
            index: the record's place in it.
        """
        field, value = _identity_of(records[index])
        if not field:
            return ""
        counts = self._counts.get((path, field))
        if counts is None:
            contents = (record if type(record) is dict else content_of(record) for record in records)
            ids = (content.get(field) for content in contents if isinstance(content, dict))
            counts = self._counts[path, field] = Counter(item for item in ids if isinstance(item, str | int))
        return f"{field}={brief(value)}" if counts[value] == 1 else ""


class Spelled(NamedTuple):
    """A path of a state, spelled for people.

    Attributes:
        place: the text.
        is_certain: whether it names the same value at another entry; a record that nothing tells from the others of its
            list may be another one there.
        holder: the object or list that the value stands in; None for a whole atom.
    """

    place: str
    is_certain: bool = True
    holder: Value = None


def spell_in(path: Path, atom: Value, keys: RecordKeys) -> Spelled:
    """Spell a path of a state; records of lists by what tells them apart, so that it stays when they move.

    Args:
        path: the path, which starts with the atom's name.
        atom: the atom's value, in which the records are looked up.
        keys: what tells the records of this value's lists apart, kept from path to path.
    """
    spelled = [format_path(path[:1], root="")]
    is_certain = True
    value, holder = atom, None
    for depth, step in enumerate(path[1:], start=1):
        holder = value
        parts = value_parts(value)
        key = ""
        if isinstance(parts, list):
            value = parts[step] if isinstance(step, int) and step < len(parts) else None
            if isinstance(step, int) and isinstance(value_parts(value), dict):
                key = keys.of(path[:depth], parts, step)
                is_certain = is_certain and bool(key)
        else:
            value = (parts or {}).get(step)
        spelled.append(f"[{key}]" if key else format_path((step,), root="$")[1:])
    return Spelled("".join(spelled), is_certain, holder)


def _identity_of(record: Value) -> tuple[str, Value]:
    """Return the field by which a record says which it is, and what stands there; "" where it has none."""
    fields = content_of(record)
    for field, value in fields.items() if isinstance(fields, Mapping) else ():
        if isinstance(field, str) and isinstance(value, str | int) and names_identity(field):
            return field, value
    return "", None


def shape_of_path(path: Path) -> str:
    """Spell a path with every list index as `[*]`: what all records of a list have in common."""
    parts = ["[*]" if isinstance(step, int) else format_path((step,), root="") for step in path]
    return ".".join(parts).replace(".[", "[")
