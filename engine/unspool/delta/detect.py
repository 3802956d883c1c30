"""Whether an atom changed, by structure, by its items, or by reference (rows N-14 and N-59)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unspool.delta.equality import encoded_equal
from unspool.delta.options import DeltaOptions
from unspool.model.atoms import AtomEntry
from unspool.model.values import MISSING, Value, strict_equal

_SCALARS: Final = (str, int, float, bool, bytes, type(None))


def value_changed(old: AtomEntry, new: AtomEntry, options: DeltaOptions) -> bool:
    """Say whether the value of an atom changed; kind, name and id are not looked at."""
    if options.change_detector is not None:
        return bool(options.change_detector(old.value, new.value))
    if options.detection != "deep" and old.origin is not MISSING and new.origin is not MISSING:
        same = _same_reference if options.detection == "reference" else _same_items
        return not same(old.origin, new.origin)
    return not same_value(old, new, strict=options.strict)


def same_value(old: AtomEntry, new: AtomEntry, *, strict: bool = False) -> bool:
    """Say whether two entries hold the same value, by structure at any depth."""
    if old.encoded == new.encoded:
        return True
    if not old.encoded or not new.encoded:
        return False
    return encoded_equal(old.encoded, new.encoded, strict=strict)


def same_entry(old: AtomEntry, new: AtomEntry, *, strict: bool = False) -> bool:
    """Say whether two entries are the same: value, kind, display name and id."""
    return old.has_facts_of(new) and same_value(old, new, strict=strict)


def _same_reference(old: Value, new: Value) -> bool:
    if old is new:
        return True
    return type(old) is type(new) and type(old) in _SCALARS and strict_equal(old, new)


def _same_items(old: Value, new: Value) -> bool:
    if _same_reference(old, new):
        return True
    if type(old) is not type(new):
        return False
    if isinstance(old, Mapping):
        return old.keys() == new.keys() and all(_same_reference(value, new[key]) for key, value in old.items())
    if isinstance(old, list | tuple):
        return len(old) == len(new) and all(map(_same_reference, old, new))
    return False
