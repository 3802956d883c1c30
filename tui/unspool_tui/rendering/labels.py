"""Short names and figures of things that are told in a few words: records, paths, lines of code, differences, numbers over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from unspool.model.entries import ChangeKind, OpKind, SourceLine
from unspool.model.keys import Path, format_path
from unspool.model.tags import Tagged
from unspool.model.values import MISSING, Value
from unspool.model.wire import decode
from unspool_tui.rendering.line import on_grid, width_of
from unspool_tui.view.outline import value_at, whole_number

if TYPE_CHECKING:
    from unspool.history.diff import Change

_NAMES: Final = ("name", "title", "label", "displayname", "fullname", "username", "subject")
"""Fields that people know a record by, the best first; spelled in any case, with or without what joins words."""
_MOST_FIELDS: Final = 64
"""Fields of a record that are looked through for its name."""
_LONGEST_NAME: Final = 40


def record_name(value: Value) -> str:
    """Return the name that people know a record by; empty where it has none."""
    if isinstance(value, Tagged):
        value = value.value
    if not isinstance(value, Mapping):
        return ""
    best, found = len(_NAMES), ""
    for field, _ in zip(value, range(_MOST_FIELDS), strict=False):
        if not isinstance(field, str) or len(field) > 20:
            continue
        plain = field.replace("_", "").replace("-", "").lower()
        if plain in _NAMES[:best] and isinstance(text := value[field], str) and text.strip():
            best, found = _NAMES.index(plain), text
    return on_grid(" ".join(found[: 4 * _LONGEST_NAME].split()))[:_LONGEST_NAME]


def record_names(address: Path, state: Mapping[str, Value], most: int = 12) -> dict[int, str]:
    """Return the names of the records that an address leads through, by the place of their step in it.

    Only items of lists are named: a key of an object is a name already.

    Args:
        address: the atom, and steps inside it.
        state: where the value stands.
        most: steps looked at; deeper ones are not named.
    """
    names: dict[int, str] = {}
    for place in range(1, min(len(address), most)):
        if isinstance(address[place], int) and (name := record_name(value_at(state, address[: place + 1]))):
            names[place] = name
    return names


def told_path(address: Path, names: Mapping[int, str]) -> str:
    """Return an address as it is told, each record by its name beside the index: `Incidents[0 Dixie Fire].AcresBurned`."""
    text = ""
    start = 0
    for place, name in sorted(names.items()):
        if place < len(address):
            step = (
                format_path(address[start : place + 1], root="") if not start else _inside(address[start : place + 1])
            )
            text += f"{step[:-1]} {name}]" if step.endswith("]") else f"{step} {name}"
            start = place + 1
    rest = address[start:]
    return on_grid((text + (format_path(rest, root="") if not start else _inside(rest)))[-400:])


def _inside(steps: Path) -> str:
    return format_path(steps, root="$")[1:] if steps else ""


def cut_front(text: str, room: int, ellipsis: str = "…") -> str:
    """Cut a text to a width in cells at its beginning: of a path the end tells more."""
    if width_of(text) <= room:
        return text
    if room <= 1:
        return ellipsis[:room]
    start, used = len(text), 0
    while start and (used := used + width_of(text[start - 1])) < room:
        start -= 1
    # A mark without the character that it stands on would stand on the sign of the cut.
    while start < len(text) and not width_of(text[start]):
        start += 1
    return ellipsis + text[start:]


def file_and_line(place: SourceLine) -> str:
    """Return the file without its folders, the line, and whether it is in doubt: `shop.py:19`."""
    doubt = " (line in doubt)" if place.doubt else ""
    return f"{on_grid(PurePath(place.file[-300:]).name[-80:])}:{place.line}{doubt}"


def function_of(place: SourceLine) -> str:
    """Return the function's own name, without what it stands in; empty where it is not known."""
    return on_grid(place.function.rsplit(".", 1)[-1][:60])


def is_number(value: Value) -> bool:
    """Whether a value is a number that can be set beside others."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(as_float(value))


def as_float(value: int | float) -> float:
    """Return a number as a float; infinity for those that none can hold."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def difference(old: Value, new: Value) -> str:
    """Return by how much a number changed, such as `+12.50` or `-3`; empty where it is none.

    Decimal fractions are told exactly: 49.55 is 12.50 more than 37.05, whatever floats make of it.
    """
    if not is_number(old) or not is_number(new):
        return ""
    assert isinstance(old, int | float)
    assert isinstance(new, int | float)
    if isinstance(old, int) and isinstance(new, int):
        return f"{'+' if new >= old else ''}{whole_number(new - old)}"
    try:
        step = Decimal(repr(new)) - Decimal(repr(old))
    except InvalidOperation:
        return ""
    text = f"{step:+f}"
    return text if len(text) <= 24 else f"{as_float(new) - as_float(old):+.6g}"


def sparkline(numbers: Sequence[float], bars: str) -> str:
    """Return numbers as a row of bars, the lowest and the highest of them as the lowest and highest bar."""
    known = [number for number in numbers if math.isfinite(number)]
    if not known:
        return ""
    low, high = min(known), max(known)
    # The span of the largest numbers is none that a float can hold; half of it is.
    span = high / 2 - low / 2
    steps = len(bars) - 1
    return "".join(
        bars[round((number / 2 - low / 2) / span * steps) if span else steps // 3] if math.isfinite(number) else " "
        for number in numbers
    )


def thinned(numbers: Sequence[float], most: int) -> Sequence[float]:
    """Return at most so many of some numbers, evenly chosen, the last one among them."""
    count = len(numbers)
    if count <= most:
        return numbers
    return [numbers[(place + 1) * count // most - 1] for place in range(most)]


class ValueChange(Struct, frozen=True):
    """One value that an entry changed.

    Attributes:
        address: where it stands.
        kind: what happened to it.
        old: what it was; `MISSING` where it was added, or is too large to be told in a few words.
        new: what it is; `MISSING` where it was deleted, or likewise.
        key: how the record around it is identified; may be empty.
    """

    address: Path
    kind: ChangeKind
    old: Value = MISSING
    new: Value = MISSING
    key: str = ""


MOST_WEIGHED: Final = 300
"""Changed values of an entry that are weighed against each other."""
_LARGEST_SHOWN: Final = 4096
"""Wire bytes of an added or deleted atom that is decoded for this."""
_KINDS: Final = {OpKind.ADD: ChangeKind.ADDED, OpKind.REMOVE: ChangeKind.DELETED}


def largest_change(changes: Iterable[Change]) -> ValueChange | None:
    """Return the change of an entry that tells most: the number that moved furthest, else a value that was replaced,
    else one that was added or deleted. Moments in time are no such numbers: they move with every entry.
    """
    best: ValueChange | None = None
    weight = (-1, 0.0)
    for change, _ in zip(_values(changes), range(MOST_WEIGHED), strict=False):
        heavier = _weight(change)
        if heavier > weight:
            best, weight = change, heavier
    return best


def _values(changes: Iterable[Change]) -> Iterable[ValueChange]:
    for change in changes:
        if change.kind is not ChangeKind.MODIFIED:
            known = change.new_bytes if change.kind is ChangeKind.ADDED else change.old_bytes
            # A large one is not decoded for a few words.
            value = decode(known) if known is not None and len(known) <= _LARGEST_SHOWN else MISSING
            sides = (MISSING, value) if change.kind is ChangeKind.ADDED else (value, MISSING)
            yield ValueChange((change.atom,), change.kind, *sides)
            continue
        for op in change.ops:
            if op.kind is OpKind.MOVE:
                continue
            yield ValueChange(
                (change.atom, *op.path), _KINDS.get(op.kind, ChangeKind.MODIFIED), op.old, op.new, op.key
            )


def _weight(change: ValueChange) -> tuple[int, float]:
    old, new = change.old, change.new
    if is_number(old) and is_number(new) and not (_is_moment(old) and _is_moment(new)):
        assert isinstance(old, int | float)
        assert isinstance(new, int | float)
        return 3, abs(as_float(new) / 2 - as_float(old) / 2)
    if change.kind is not ChangeKind.MODIFIED:
        return 1, 0.0
    # A short text that became another is a status or a name; a long one is prose, or a number of an id.
    return (2, 0.0) if not isinstance(new, str) or len(new) <= _LONGEST_NAME else (0, 0.0)


def _is_moment(value: Value) -> bool:
    """Whether a number is in the range of seconds, milliseconds, microseconds or nanoseconds since 1970."""
    if not isinstance(value, int | float):
        return False
    return any(1.0e9 * unit <= as_float(value) <= 4.0e9 * unit for unit in (1, 1e3, 1e6, 1e9))
