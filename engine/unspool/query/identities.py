"""Whether identity keys set by hand have anything to tell apart: a misspelt path would be obeyed in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Final

from unspool.delta.identity import Steps, canonical_identity, key_paths, pattern_steps, spell_pattern
from unspool.errors import CorruptHistory
from unspool.history.history import History
from unspool.model.keys import format_path
from unspool.model.paths import content_of, value_parts
from unspool.model.values import Value

_LOOKED_AT: Final = 12
"""Entries in which a list is looked for: the newest, the first, and some between."""
_MOST_VALUES: Final = 20_000
"""Values of one state that are gone through to name the lists there are."""
_NAMED: Final = 4


def unmatched(history: History, identity: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return a sentence for each identity key that tells nothing apart: no such list, or no record with such a key.

    Args:
        history: where to look; an empty history has nothing to say yet.
        identity: keys by pattern of a list's path.

    Raises:
        PathSyntaxError: a pattern is no path.
    """
    wanted = {pattern: key for pattern, key in canonical_identity(identity).items() if key}
    if not wanted or not len(history):
        return ()
    return tuple(filter(None, (_told(history, pattern, key) for pattern, key in wanted.items())))


def _told(history: History, pattern: str, key: str) -> str:
    steps = pattern_steps(pattern)
    met_list = False
    missing = list(key_paths(key))
    fields: dict[str, None] = {}
    seqs = _spread(history.first, len(history))
    for seq in seqs:
        for items in _lists(history, seq, steps):
            met_list = True
            records = [item for item in items if isinstance(item, Mapping)]
            if any(key in record for record in records):
                return ""
            missing = [path for path in missing if not any(_has(record, path) for record in records)]
            if not missing:
                return ""
            fields.update(dict.fromkeys(str(name) for record in records[:_NAMED] for name in record))
    if met_list:
        known = f"they have {', '.join(list(fields)[:_NAMED])}" if fields else "it holds no records"
        # Of a key of several fields, one that is misspelt would leave records apart by the others alone.
        wanted = key if len(missing) == len(key_paths(key)) else format_path(missing[0], root="")
        return f"no record of {pattern}[*] has a key {wanted!r}; {known}"
    return f"there is no list at {pattern} in {_entries(len(seqs))}{_hint(history, pattern)}"


def _has(record: Mapping[str, Value], path: tuple[str, ...]) -> bool:
    """Whether a record has a field at a path inside it."""
    value: Value = record
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value is not None


def _entries(count: int) -> str:
    return "the one entry looked at" if count == 1 else f"the {count} entries looked at"


def _spread(first: int, stop: int) -> list[int]:
    """Return the newest entry, the first, and some between."""
    places = {first + round(place * (stop - first - 1) / (_LOOKED_AT - 1)) for place in range(_LOOKED_AT)}
    return sorted(places, reverse=True)


def _lists(history: History, seq: int, steps: Steps) -> Iterator[list[Value]]:
    """Yield the lists that a pattern names in a state; one that cannot be read has none."""
    try:
        state = history.view(seq)
        atom = steps[0]
        pending = [(state[str(atom)], 1)] if atom is not None and str(atom) in state else []
    except CorruptHistory:
        return
    while pending:
        value, depth = pending.pop()
        if depth == len(steps):
            items = content_of(value)
            if isinstance(items, list):
                yield items
            continue
        step = steps[depth]
        parts = value_parts(value)
        if isinstance(parts, list):
            # Numbers may be left out of a pattern: `orders.lines` is the lines of every order.
            deeper = depth + 1 if step is None or isinstance(step, int) else depth
            pending.extend((item, deeper) for item in parts if value_parts(item) is not None)
        elif parts is not None and step is None:
            pending.extend((item, depth + 1) for key, item in parts.items() if isinstance(key, int))
        elif parts is not None and step in parts:
            pending.append((parts[step], depth + 1))


def _hint(history: History, pattern: str) -> str:
    names = list(dict.fromkeys(islice(_all_lists(history), 200)))
    if not names:
        return "; the newest has no list of records at all"
    near = get_close_matches(pattern, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; lists of records are at {', '.join(names[:_NAMED])}"


def _all_lists(history: History) -> Iterator[str]:
    """Yield the patterns of the lists of records in the newest state, outer ones first."""
    try:
        state = history.view(-1)
        pending: list[tuple[Steps, Value]] = [((name,), state[name]) for name in state]
    except CorruptHistory:
        return
    for place, (steps, value) in enumerate(pending):
        if place == _MOST_VALUES:
            return
        parts = value_parts(value)
        if isinstance(parts, list):
            records = [item for item in parts if isinstance(value_parts(item), dict)]
            if records:
                yield spell_pattern(steps)
            pending.extend(((*steps, None), item) for item in records[:_NAMED])
        elif parts is not None:
            inner = [(step, item) for step, item in parts.items() if value_parts(item) is not None]
            pending.extend(((*steps, None if isinstance(step, int) else step), item) for step, item in inner)
