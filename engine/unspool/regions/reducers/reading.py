"""Reading the free objects of actions the seed gives no shape; what is not read stays in `details`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from unspool.model.values import Value
from unspool.regions.deltas import RegionDelta
from unspool.regions.frozen import EMPTY, FrozenObject
from unspool.regions.payloads import CustomDelta


def fields_of(delta: RegionDelta) -> Mapping[str, Value]:
    """Return the free object of a delta."""
    return delta.data.fields if isinstance(delta.data, CustomDelta) else delta.data.to_json()


def first_text(fields: Mapping[str, Value], *names: str) -> str | None:
    """Return the first of some fields that is text."""
    return next((fields[name] for name in names if isinstance(fields.get(name), str)), None)


def without(fields: Mapping[str, Value], names: Collection[str]) -> FrozenObject:
    """Return the fields that were not read."""
    kept = {name: value for name, value in fields.items() if name not in names}
    return FrozenObject(kept) if kept else EMPTY


def merged(old: Mapping[str, Value], new: Mapping[str, Value]) -> FrozenObject:
    """Return details with newer ones over them."""
    return FrozenObject({**old, **new}) if old or new else EMPTY
