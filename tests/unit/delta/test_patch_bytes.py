"""Byte patches of values without structure of their own, and of large ones."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.delta.patch import apply_patch, make_patch
from unspool.model.wire import encode


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
