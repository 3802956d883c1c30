"""Arithmetic of item stacks: put down, take up. A tile's stacks are kept in the order of their keys."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import msgspec

from unspool.regions.payloads import ItemDelta
from unspool.regions.things import ItemStack

Stacks = tuple[ItemStack, ...]


def _key(stack: ItemStack) -> tuple[str, str]:
    return stack.key


def put(stacks: Stacks, new: ItemStack) -> Stacks:
    """Return stacks with more items: onto an equal stack, or as one of their own."""
    if new.quantity == 0:
        return stacks
    index = bisect_left(stacks, new.key, key=_key)
    if index < len(stacks) and stacks[index].key == new.key:
        grown = msgspec.structs.replace(new, quantity=stacks[index].quantity + new.quantity)
        return (*stacks[:index], grown, *stacks[index + 1 :])
    return (*stacks[:index], new, *stacks[index:])


@dataclass(frozen=True, slots=True)
class Taking:
    """What taking items up left and gave; `short` is how many were not there."""

    left: Stacks
    taken: Stacks
    short: int


def take(stacks: Stacks, item: ItemDelta) -> Taking:
    """Take items up: from the stack with the same metadata first, then plain ones, then the others in order.

    Metadata that the item names need not match: a delta may know more of an item than its generator did.
    """
    wanted = ItemStack.of(item)
    start = bisect_left(stacks, (wanted.item_id, ""), key=_key)
    candidates = []
    for index in range(start, len(stacks)):
        if stacks[index].item_id != wanted.item_id:
            break
        candidates.append(index)
    candidates.sort(key=lambda index: stacks[index].key != wanted.key)
    missing = wanted.quantity
    left: dict[int, ItemStack | None] = {}
    taken: Stacks = ()
    for index in candidates:
        if missing == 0:
            break
        stack = stacks[index]
        portion = min(stack.quantity, missing)
        missing -= portion
        remainder = stack.quantity - portion
        left[index] = msgspec.structs.replace(stack, quantity=remainder) if remainder else None
        taken = (*taken, msgspec.structs.replace(stack, quantity=portion))
    kept = (left.get(index, stack) for index, stack in enumerate(stacks))
    return Taking(tuple(stack for stack in kept if stack is not None), taken, missing)
