"""How large a value is once its shared parts are counted in full: what a state takes that aliases, references or copies make.

Parsers and copies share parts, so a few bytes can stand for a value of any size; it is recorded whole, though.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from unspool.model.limits import Limits
from unspool.model.tags import Tagged
from unspool.model.values import Value
from unspool.sources.json_exact import BrokenText, TooMuch

_SPECIAL: Final = (set, frozenset, tuple)


class Size(NamedTuple):
    """What a value comes to.

    Attributes:
        nodes: values and keys.
        characters: length of all texts and byte strings.
    """

    nodes: int
    characters: int

    def plus(self, other: Size) -> Size:
        """Return both together."""
        return Size(self.nodes + other.nodes, self.characters + other.characters)

    def check(self, limits: Limits, what: str) -> None:
        """Refuse what is larger than a state may be.

        Args:
            limits: bounds.
            what: what made it so large, as the start of a sentence: "its aliases".

        Raises:
            TooMuch: it is.
        """
        if self.nodes > limits.nodes:
            raise TooMuch(f"{what} unfold to more than {limits.nodes:,} values; {limits.told('nodes')}")
        if self.characters > limits.document_bytes:
            raise TooMuch(f"{what} unfold to {self.characters:,} characters; {limits.told('document_bytes')}")


NOTHING: Final = Size(0, 0)


def leaf_size(value: Value) -> Size:
    """Return the size of a value that holds no others."""
    return Size(1, len(value) if isinstance(value, str | bytes) else 0)


def unfolded_size(value: Value) -> Size:
    """Return the size of a value with shared parts counted as often as they stand in it; each is looked at once.

    Raises:
        BrokenText: it contains itself.
    """
    sizes: dict[int, Size] = {}
    on_path: set[int] = set()
    pending: list[tuple[Value, bool]] = [(value, False)]
    while pending:
        current, is_done = pending.pop()
        identity = id(current)
        if is_done:
            on_path.discard(identity)
            nodes, characters = 1, 0
            for child in _children(current):
                size = sizes.get(id(child)) or leaf_size(child)
                nodes += size.nodes
                characters += size.characters
            sizes[identity] = Size(nodes, characters)
        elif identity in on_path:
            raise BrokenText("it contains itself, which no history can keep")
        elif identity not in sizes and (children := _children(current)):
            on_path.add(identity)
            pending.append((current, True))
            pending.extend((child, False) for child in children)
    return sizes.get(id(value)) or leaf_size(value)


def _children(value: Value) -> list[Value]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list):
        return value
    if isinstance(value, Tagged):
        return [value.value]
    return list(value) if isinstance(value, _SPECIAL) else []
