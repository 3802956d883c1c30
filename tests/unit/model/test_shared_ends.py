"""How much two byte strings share at their ends, found in strides, is what looking at each byte finds."""

from __future__ import annotations

from itertools import takewhile

from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool.model.wire import shared_end, shared_ends, shared_from

pieces = st.binary(max_size=5) | st.sampled_from([b"a" * 100, b"ab" * 600, b"x" * 5000])


def alike(one: bytes, other: bytes) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


@given(st.data())
@settings(max_examples=examples(300))
def test_shared_ends_agree_with_looking_at_each_byte(data: st.DataObject) -> None:
    lead, trail = b"".join(data.draw(st.lists(pieces, max_size=4))), b"".join(data.draw(st.lists(pieces, max_size=4)))
    left = lead + data.draw(pieces) + trail
    right = lead + data.draw(pieces) + trail
    left_at, right_at = data.draw(st.integers(0, min(9, len(left)))), data.draw(st.integers(0, min(9, len(right))))
    start = alike(left[left_at:], right[right_at:])
    assert shared_from(left, left_at, right, right_at) == start
    limit = data.draw(st.integers(0, min(len(left), len(right))))
    end = min(limit, alike(left[::-1], right[::-1]))
    assert shared_end(left, right, limit) == end
    both = shared_ends(left, left_at, right, right_at)
    assert both[0] == start
    assert sum(both) <= min(len(left) - left_at, len(right) - right_at)
