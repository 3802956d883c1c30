"""How objects of an app are kept: built-in adapters, and `adapter` for one's own.

None imports a library: what belongs to one is only looked for where the program has it loaded. None asks a property,
a descriptor or a lazy attribute of the app's: fields are read where they are stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeVar

from unspool.errors import ConfigError
from unspool.model.recipes import Recipe, Recipes, find_plain, tagged
from unspool.model.values import Value
from unspool.recorder.adapters.libraries import find_library
from unspool.recorder.adapters.standard import find_object, find_standard

Objects = Literal["fields", "marker"]
"""How objects of classes that no adapter is for are kept: by their fields, or as a marker with type and short text."""

Kept = TypeVar("Kept")

_own: Final[dict[type, Callable[[Value], Value]]] = {}


def adapter(kind: type[Kept]) -> Callable[[Callable[[Kept], Value]], Callable[[Kept], Value]]:
    """Say how objects of a class, and of its subclasses, are recorded.

    The decorated function is given an object and returns what is kept of it: plain values, or other objects. It is kept
    as `Tagged` under the object's own type, and goes before built-in adapters. What it raises costs that object only.

    Args:
        kind: the class.
    """

    def register(content: Callable[[Kept], Value]) -> Callable[[Kept], Value]:
        _own[kind] = content
        for recipes in _RECIPES.values():
            recipes.forget()
        return content

    return register


def _find_own(kind: type) -> Recipe | None:
    for base in kind.__mro__:
        content = _own.get(base)
        if content is not None:
            return tagged(kind, content)
    return None


_FINDERS: Final = (_find_own, find_library, find_standard, find_plain)


def _find_marked(kind: type) -> Recipe | None:
    for find in _FINDERS:
        recipe = find(kind)
        if recipe is not None:
            return recipe
    return None


def _find(kind: type) -> Recipe | None:
    return _find_marked(kind) or find_object(kind)


_RECIPES: Final[dict[str, Recipes]] = {"fields": Recipes(_find), "marker": Recipes(_find_marked)}


def recipes_for(objects: Objects) -> Recipes:
    """Return the recipes of all classes.

    Raises:
        ConfigError: an unknown choice.
    """
    try:
        return _RECIPES[objects]
    except (KeyError, TypeError):
        raise ConfigError(f"objects is {objects!r}; write fields or marker") from None


__all__ = ["Objects", "adapter", "recipes_for"]
