"""Where regions are, and the seed rule of the companion document."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool.regions import InvalidRegionValue, OutOfRange, Position, RegionAddress, RingworldAddress, hash_seed


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((1000, 0), "megasegment is 1000"),
        ((-1, 0), "megasegment is -1"),
        ((0, 100), "region is 100"),
        ((0, 0, -1), "chunk is -1"),
    ],
)
def test_r23_an_address_out_of_range_is_refused(numbers: tuple[int, ...], message: str) -> None:
    with pytest.raises(OutOfRange, match=message):
        RegionAddress(*numbers)


def test_r23_the_limits_themselves_are_addresses() -> None:
    assert RegionAddress(999, 99).slug == "999-99-0-0-0"
    assert RegionAddress(0, 0).megasegment == 0
    assert RingworldAddress is RegionAddress


@pytest.mark.parametrize(("x", "y"), [(65_536, 0), (0, 65_536), (-1, 0), (1.0, 0), (True, 0), ("1", 0)])
def test_r23_a_position_that_does_not_fit_is_refused(x: object, y: object) -> None:
    with pytest.raises(InvalidRegionValue):
        Position(x, y)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "address must be an object"),
        ({"megasegment": 1, "region": 2, "chunk": 0}, r"address\.tile"),
        ({"megasegment": 1, "region": 2, "chunk": 0, "tile": {"x": 0, "y": -1}}, r"address\.tile\.y is -1"),
        ({"megasegment": 1, "region": 2, "chunk": 0, "tile": {"x": 0, "y": 0}, "ring": 1}, "unknown field 'ring'"),
        ({"megasegment": 1.0, "region": 2, "chunk": 0, "tile": {"x": 0, "y": 0}}, "must be a whole number"),
    ],
)
def test_r23_a_malformed_address_is_refused_by_name(raw: object, message: str) -> None:
    with pytest.raises(InvalidRegionValue, match=message):
        RegionAddress.from_json(raw)


@given(
    st.builds(
        RegionAddress,
        st.integers(0, 999),
        st.integers(0, 99),
        st.integers(0, 2**32 - 1),
        st.builds(Position, st.integers(0, 65_535), st.integers(0, 65_535)),
    )
)
@settings(max_examples=examples(50))
def test_r20_an_address_survives_json_and_file_names(address: RegionAddress) -> None:
    assert RegionAddress.from_json(address.to_json()) == address
    assert RegionAddress.from_slug(address.slug) == address


def test_r34_the_seed_rule_gives_the_documented_value() -> None:
    assert hash_seed(7, 23, "ancient_landing_platform") == 1_599_597_862


@pytest.mark.parametrize("template", ["a", "\U0001f600", "ä", "a template long enough to wrap around more than once"])
def test_r34_the_seed_rule_folds_utf16_units_in_signed_32_bits(template: str) -> None:
    units = f"{template}_0_1".encode("utf-16-be")
    folded = 0
    for index in range(0, len(units), 2):
        folded = folded * 31 + int.from_bytes(units[index : index + 2], "big")
    wrapped = (folded + 2**31) % 2**32 - 2**31
    assert hash_seed(0, 1, template) == abs(wrapped)
