"""Writing values in another notation: the walk that all notations with markers share. Nothing recurses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from unspool.model.values import MISSING, Value


@dataclass(slots=True)
class Part:
    """A container to be written in another way.

    Attributes:
        members: the values in it, which are rewritten first.
        build: makes the result of them.
        done: members rewritten so far.
    """

    members: Iterator[Value]
    build: Callable[[list[Value]], Value]
    done: list[Value] = field(default_factory=list)


def object_part(keys: list[str], values: Iterator[Value]) -> Part:
    """Return the part that makes an object of these keys."""
    return Part(values, lambda done: dict(zip(keys, done, strict=True)))


def list_part(items: list[Value]) -> Part:
    """Return the part that makes a list."""
    return Part(iter(items), list)


def rewritten(value: Value, part_of: Callable[[Value], Part | Value]) -> Value:
    """Return a value in another notation.

    Args:
        value: any value; not changed.
        part_of: returns what a leaf is written as, or the part that a container is made of.
    """
    stack = [Part(iter((value,)), lambda done: done[0])]
    while True:
        part = stack[-1]
        member = next(part.members, MISSING)
        if member is not MISSING:
            opened = part_of(member)
            if isinstance(opened, Part):
                stack.append(opened)
            else:
                part.done.append(opened)
            continue
        stack.pop()
        built = part.build(part.done)
        if not stack:
            return built
        stack[-1].done.append(built)
