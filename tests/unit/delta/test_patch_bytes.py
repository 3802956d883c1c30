"""Byte patches of values without structure of their own, and of large ones."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.delta.patch import apply_patch, make_patch
from unspool.model.encoding import encode
from unspool.model.tags import Tagged


@pytest.mark.parametrize("size", [3_000, 200_000])
def test_an_edit_inside_binary_data_is_written_alone(size: int) -> None:
    rng = random.Random(size)
    image = rng.randbytes(size)
    edit = rng.randbytes(200)
    old, new = encode(image), encode(image[: size // 3] + edit + image[size // 2 :])
    patch = make_patch(old, new)
    assert patch is not None
    assert len(patch) < len(edit) + 40
    assert apply_patch(old, patch) == new


@given(st.binary(max_size=300), st.binary(max_size=80), st.binary(max_size=300), st.binary(max_size=80))
def test_binary_data_comes_back_exactly(start: bytes, middle: bytes, end: bytes, other: bytes) -> None:
    for before, after in ((start + middle + end, start + other + end), ([start, middle], [start, end, other])):
        old, new = encode(before), encode(after)
        patch = make_patch(old, new)
        assert patch is None or (apply_patch(old, patch) == new and len(patch) < len(new))


@given(
    st.lists(st.text("ab", min_size=3, max_size=9), min_size=40, max_size=60),
    st.dictionaries(st.integers(0, 39), st.text("xyz", max_size=90), min_size=1, max_size=4),
)
def test_items_that_changed_where_they_stand_are_written_alone(items: list[str], edits: dict[int, str]) -> None:
    before = [{"id": number, "text": text * 9} for number, text in enumerate(items)]
    after = [{**item, "text": edits.get(number, item["text"])} for number, item in enumerate(before)]
    for old, new in (
        (encode(before), encode(after)),
        (encode({"rows": before, "n": 1}), encode({"rows": after, "n": 2})),
    ):
        patch = make_patch(old, new)
        assert patch is not None
        assert apply_patch(old, patch) == new
        assert len(patch) < sum(map(len, edits.values())) + 40 * len(edits) + 60


def test_objects_far_down_whose_keys_changed_are_followed_to_the_value_that_stayed() -> None:
    def nested(sign: str) -> bytes:
        value: object = "what stays " * 100
        for level in range(20):
            value = {f"{sign}{level}": sign * 30, "deep": value, "tail": sign * 30}
        return encode(value)

    patch = make_patch(nested("a"), nested("b"))
    assert patch is not None
    assert apply_patch(nested("a"), patch) == nested("b")
    assert len(patch) < len(nested("b")) - 1000


HELD = {
    "object": lambda items: Tagged("app.Shop", {"name": "ada", "items": items}),
    "list of a class": lambda items: Tagged("app.Items", items),
    "tuple": tuple,
    "object in an object": lambda items: Tagged("app.Shop", {"cart": Tagged("app.Cart", {"items": tuple(items)})}),
    "keys that are no text": lambda items: {1: items, 2: 0},
}
"""Values of tags that hold a list, or make it of one."""


@pytest.mark.parametrize("kind", HELD)
def test_what_is_added_to_a_list_within_an_object_is_written_alone(kind: str) -> None:
    items = [Tagged("app.Item", {"n": number, "name": f"item {number}"}) for number in range(1_000)]
    more = Tagged("app.Item", {"n": -1, "name": "one more"})
    for changed in ([*items, more], [more, *items], items[1:], items[:-1], [*items[:500], more, *items[501:], more]):
        old, new = encode(HELD[kind](items)), encode(HELD[kind](changed))
        patch = make_patch(old, new)
        assert patch is not None
        assert apply_patch(old, patch) == new
        assert len(patch) < 250


_TAGGED = st.recursive(
    st.one_of(st.integers(-3, 300), st.text("ab", max_size=40), st.binary(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=12),
        st.lists(inner, max_size=12).map(tuple),
        st.dictionaries(st.text("abc", max_size=3), inner, max_size=6),
        st.dictionaries(st.integers(0, 9), inner, max_size=6),
        st.builds(Tagged, st.sampled_from(("app.A", "app.LongerName")), inner),
        st.frozensets(st.integers(0, 99), max_size=30),
    ),
    max_leaves=30,
)


@given(_TAGGED, _TAGGED, st.integers(0, 400))
def test_tagged_values_come_back_exactly(before: object, after: object, padding: int) -> None:
    rest = ["p" * padding, list(range(padding))]
    for old_value, new_value in (
        ([before, rest], [after, rest]),
        (Tagged("app.S", {"x": before, "r": rest}), Tagged("app.S", {"x": after, "r": rest})),
    ):
        old, new = encode(old_value), encode(new_value)
        patch = make_patch(old, new)
        assert patch is None or (apply_patch(old, patch) == new and len(patch) < len(new))
