"""A nested change told in words, for people: DeepDiff finds the steps, this spells them."""

from __future__ import annotations

from typing import Any, Final

from unspool.model.json_text import to_json
from unspool.model.keys import step_of
from unspool.model.paths import Path, format_path
from unspool.model.values import Value

_LONGEST: Final = 60
"""Characters of a value that a sentence shows."""
_ADDED: Final = frozenset(("dictionary_item_added", "iterable_item_added", "set_item_added", "attribute_added"))
_REMOVED: Final = frozenset(
    ("dictionary_item_removed", "iterable_item_removed", "set_item_removed", "attribute_removed")
)
_TYPE_NAMES: Final = {
    "NoneType": "null",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a decimal number",
    "str": "text",
    "list": "a list",
    "dict": "an object",
}


def explain(old: Value, new: Value) -> list[str]:
    """Tell what changed from one value to another.

    Args:
        old: the value before.
        new: the value after.

    Returns:
        One sentence a step, in the order of the paths; empty when nothing changed.
    """
    # DeepDiff takes long to import, and only this view needs it.
    from deepdiff import DeepDiff

    try:
        tree = DeepDiff(old, new, view="tree", verbose_level=2, ignore_nan_inequality=True)
        steps = [(_path(level), _sentence(kind, level)) for kind, levels in tree.items() for level in _levels(levels)]
    except RecursionError:
        return ["it changed, too deep inside to be told in words"]
    return [sentence for _, sentence in sorted(steps, key=lambda step: _order(step[0]))]


def _levels(levels: Any) -> list[Any]:
    return list(levels) if hasattr(levels, "__iter__") and not isinstance(levels, str | dict) else []


def _path(level: Any) -> Path:
    steps = level.path(output_format="list") or []
    return tuple(map(step_of, steps))


def _order(path: Path) -> tuple[tuple[bool, int, str], ...]:
    return tuple((not isinstance(step, int), step if isinstance(step, int) else 0, str(step)) for step in path)


def _sentence(kind: str, level: Any) -> str:
    name = format_path(_path(level), root="") or "the value"
    old, new = level.t1, level.t2
    if kind in _ADDED:
        return f"{name} was added: {_spell(new)}"
    if kind in _REMOVED:
        return f"{name} was removed: {_spell(old)}"
    if kind == "type_changes":
        return f"{name} turned from {_type_name(old)} ({_spell(old)}) into {_type_name(new)} ({_spell(new)})"
    if _is_number(old) and _is_number(new):
        verb = "rose" if new > old else "fell" if new < old else "changed"
        return f"{name} {verb} from {_spell(old)} to {_spell(new)}"
    return f"{name} changed from {_spell(old)} to {_spell(new)}"


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _type_name(value: Value) -> str:
    name = type(value).__name__
    return _TYPE_NAMES.get(name, name)


def _spell(value: Value) -> str:
    text = to_json(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
