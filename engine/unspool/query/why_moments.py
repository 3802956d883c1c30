"""What an entry could have used: the values it left, those it took away, the columns of lists, and their numbers.

`unspool.query.why` looks here for what explains a value. Everything is taken from wire forms, once an entry, and bounded:
atoms that the entry changed come first, then the small ones.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Final

from unspool.delta.structural import Identity
from unspool.model.encoded import Shape, shape_of
from unspool.model.parts import DEEPEST, content_of, parts_inside
from unspool.model.paths import Path, Step, format_path
from unspool.model.values import Value
from unspool.model.wire import decode
from unspool.query.parts import children, differences
from unspool.query.reading import Wire

STAR: Final = "\0*"
"""Stands in a pattern for every item of a list or value of an object; no path that a person writes holds it."""
MOST_VALUES: Final = 20_000
"""Values of one entry that are looked at."""
_MOST_MEMBERS: Final = 2_000
"""Members of a column that is added up."""
_LARGEST: Final = 1e15
"""Numbers beyond which doubles no longer tell whole numbers apart."""
_DECIMAL_TEXT: Final = re.compile(r"-?\d{1,13}\.\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Known:
    """A value that an entry could have used.

    Attributes:
        path: where it stands; stars in it for the column of a list.
        encoded: its wire form; empty for a column.
        number: as a number; None where it is none. The sum, for a column.
        before: whether it is what stood there before the entry, and the entry changed it or took it away.
        written: whether the entry wrote it.
        members: how many values a column has; 0 for a single value.
        length: how many parts it has; -1 for a leaf.
    """

    path: Path
    encoded: bytes
    number: float | None
    before: bool
    written: bool
    members: int = 0
    length: int = -1


class Moment:
    """What was there when an entry was made."""

    def __init__(
        self,
        seq: int,
        before: Wire,
        after: Wire,
        identity: Identity | None = None,
        lately: Mapping[Path, int] | None = None,
    ) -> None:
        """Take the states before and after an entry apart.

        Args:
            seq: the entry.
            before: the state that it followed.
            after: the state that it left.
            identity: identity keys of lists set by hand.
            lately: what the entries shortly before it wrote, and how many of them did.
        """
        self.lately: Mapping[Path, int] = lately or {}
        self.seq = seq
        self.before = before
        self.after = after
        self.looked_at = 0
        self.is_whole = True
        """Whether all values were looked at; False where there are too many."""
        self.values: list[Known] = []
        self.containers: list[Known] = []
        changed = [atom for atom, value in after.items() if before.get(atom) != value]
        changed += [atom for atom in before if atom not in after]
        gone: list[tuple[Path, bytes]] = []
        for atom in changed:
            roots = set()
            parts = differences(before.get(atom), after.get(atom), (atom,), identity)
            for part in islice(parts, MOST_VALUES - len(gone)):
                if part.new_path is not None:
                    roots.add(part.new_path)
                if part.old_path is not None and part.old_bytes is not None:
                    gone.append((part.old_path, part.old_bytes))
            if atom in after:
                self._take((atom,), after[atom], roots, before=False)
        for path, value in gone:
            self._take(path, value, {path}, before=True)
        written = set(changed)
        for atom in sorted(after, key=lambda name: len(after[name])):
            if atom not in written:
                self._take((atom,), after[atom], frozenset(), before=False)
        order = {atom: place for place, atom in enumerate(dict.fromkeys((*after, *before)))}
        self.values.sort(key=lambda known: order[str(known.path[0])])
        self.columns = list(_columns(self.values))

    def _take(self, path: Path, value: bytes, roots: set[Path] | frozenset[Path], *, before: bool) -> None:
        pending = [(path, value, False)]
        while pending:
            place, form, written = pending.pop()
            if self.looked_at >= MOST_VALUES:
                self.is_whole = False
                return
            self.looked_at += 1
            written = written or place in roots
            parts = parts_inside(form) if len(place) < DEEPEST else None
            if parts:
                self.containers.append(Known(place, form, None, before, written, length=len(parts)))
                pending.extend(reversed([((*place, step), part, written) for step, part in children(parts)]))
            else:
                self.values.append(Known(place, form, number_of(form), before, written))

    def state(self, *, before: bool) -> Wire:
        """Return the state before or after the entry."""
        return self.before if before else self.after


def written_by(before: Wire, after: Wire, identity: Identity | None = None) -> Iterator[Path]:
    """Yield the places that an entry wrote: what stands below them is new or another value."""
    for atom, value in after.items():
        if before.get(atom) != value:
            for part in differences(before.get(atom), value, (atom,), identity):
                if part.new_path is not None:
                    yield part.new_path


def number_of(form: bytes) -> float | None:
    """Return a leaf as a number: integers, floats, decimals, and texts such as `12.50`; None for everything else."""
    if shape_of(form) not in (Shape.LEAF, Shape.TEXT) or len(form) > 64:
        return None
    return as_number(decode(form))


def as_number(value: Value) -> float | None:
    """Return a decoded value as a number; see `number_of`."""
    content: Value = content_of(value)
    if isinstance(content, str):
        content = Decimal(content) if _DECIMAL_TEXT.fullmatch(content) else None
    if isinstance(content, bool) or not isinstance(content, int | float | Decimal):
        return None
    if isinstance(content, Decimal) and not content.is_finite():
        return None
    if isinstance(content, int) and abs(content) > _LARGEST:
        return None
    number = float(content)
    return number if math.isfinite(number) and abs(number) <= _LARGEST else None


def decimals_of(value: Value) -> int:
    """Return how many digits a number has behind its point."""
    content = content_of(value)
    text = format(content, "f") if isinstance(content, Decimal) else str(content)
    _, point, digits = text.partition(".")
    if not point or "e" in text.lower():
        return 0
    return len(digits) if isinstance(content, str | Decimal) else len(digits.rstrip("0"))


def _columns(values: Iterable[Known]) -> Iterator[Known]:
    """Yield the columns of lists and objects whose values are numbers, with their sums."""
    members: defaultdict[tuple[Path, bool], list[Known]] = defaultdict(list)
    for known in values:
        if known.number is not None:
            for pattern in patterns_of(known.path):
                column = members[pattern, known.before]
                if len(column) < _MOST_MEMBERS:
                    column.append(known)
    for (pattern, before), column in members.items():
        if len(column) < _MOST_MEMBERS:
            total = math.fsum(known.number or 0.0 for known in column)
            written = any(known.written for known in column)
            yield Known(pattern, b"", total, before, written, members=len(column))


def patterns_of(path: Path) -> list[Path]:
    """Return the columns that a value is in: of its list, of all lists around it, of the object that holds its record."""
    indices = [at for at, step in enumerate(path) if isinstance(step, int)]
    found: list[Path] = []
    if indices:
        innermost = indices[-1]
        found.append((*path[:innermost], STAR, *path[innermost + 1 :]))
    if len(indices) > 1:
        found.append(tuple(STAR if isinstance(step, int) else step for step in path))
    if len(path) > 2 and isinstance(path[-2], str):
        found.append((*path[:-2], STAR, path[-1]))
    if len(path) > 1 and isinstance(path[-1], str):
        found.append((*path[:-1], STAR))
    return found


def members_of(state: Mapping[str, bytes], pattern: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield what stands at a path in a state; where it has stars, everything that it fits."""
    first = pattern[0] if pattern else STAR
    atoms: Iterable[str] = state if first == STAR else (str(first),)
    pending = [((atom,), state[atom]) for atom in atoms if atom in state]
    places: list[tuple[Path, bytes]] = list(reversed(pending))
    while places:
        path, form = places.pop()
        if len(path) == len(pattern):
            yield path, form
            continue
        parts = parts_inside(form)
        if parts is None:
            continue
        wanted = pattern[len(path)]
        if wanted == STAR:
            places.extend(reversed([((*path, step), part) for step, part in children(parts)]))
        elif isinstance(parts, dict):
            if wanted in parts:
                places.append(((*path, wanted), parts[wanted]))
        elif isinstance(wanted, int) and 0 <= wanted < len(parts):
            places.append(((*path, wanted), parts[wanted]))


def spell_pattern(pattern: Path) -> str:
    """Spell a path that may hold stars: `$.lines[*].total`, `$.stock.*.qty`."""
    pieces: list[str] = []
    run: list[Step] = []
    for step in pattern:
        if step == STAR:
            pieces += [format_path(tuple(run), root="") if pieces else format_path(tuple(run)), "[*]"]
            run = []
        else:
            run.append(step)
    tail = format_path(tuple(run), root="") if pieces else format_path(tuple(run))
    joined = "".join(pieces)
    return f"{joined}.{tail}" if joined and tail and not tail.startswith("[") else joined + tail


__all__ = [
    "MOST_VALUES",
    "STAR",
    "Known",
    "Moment",
    "as_number",
    "decimals_of",
    "members_of",
    "number_of",
    "patterns_of",
    "spell_pattern",
    "written_by",
]
