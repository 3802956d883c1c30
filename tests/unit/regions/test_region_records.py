"""Binary records without a header."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given, settings
from region_strategies import ADDRESS, FIXTURES, RAY_GUN, SEED_EXAMPLES, delta_lists

from support.examples import examples
from unspool.regions import (
    AmbiguousByteOrder,
    CustomDelta,
    DeltaAction,
    FileForm,
    HeaderlessRecords,
    InvalidRegionValue,
    ItemDelta,
    OutOfRange,
    Position,
    RegionDelta,
    RegionDeltaFile,
    RegionFileError,
    decode_region,
    encode_region,
    read_records,
    read_region_file,
    write_records,
)
from unspool.regions.records import RECORD_HEADS, pack_record

GOLDEN = FIXTURES / "ringworld-deltas.le.bin"


def test_r40_the_golden_records_read_and_write_back_byte_for_byte() -> None:
    records = read_region_file(GOLDEN)
    assert isinstance(records, HeaderlessRecords)
    assert records.byte_order == "little"
    expected = read_region_file(FIXTURES / "ringworld-7-23.json")
    assert isinstance(expected, RegionDeltaFile)
    assert records.deltas == expected.deltas
    assert write_records(records.deltas) == GOLDEN.read_bytes()


def test_r40_big_endian_records_are_recognised() -> None:
    deltas = read_records(GOLDEN.read_bytes()).deltas
    data = write_records(deltas, "big")
    assert decode_region(data) == HeaderlessRecords(deltas, "big")


@given(delta_lists)
@settings(max_examples=examples(50), deadline=None)
def test_r40_any_deltas_survive_records_of_both_byte_orders(deltas: list[RegionDelta]) -> None:
    for order in RECORD_HEADS:
        assert read_records(write_records(deltas, order), order).deltas == tuple(deltas)


def test_r40_a_record_without_data_reads_as_an_empty_object() -> None:
    record = struct.pack("<IBHHH", 7, DeltaAction.BUILDING_DESTROYED.code, 1, 2, 0)
    assert read_records(record, "little").deltas[0].data == CustomDelta()


def test_r40_records_that_decode_in_both_orders_are_not_guessed() -> None:
    # Every number of the head reads the same in both orders but for the tick.
    record = struct.pack("<IBHHH", 1, DeltaAction.BUILDING_DESTROYED.code, 0, 0, 0)
    with pytest.raises(AmbiguousByteOrder, match="byte_order="):
        read_records(record)
    assert read_records(record, "little").deltas[0].tick == 1
    assert read_records(record, "big").deltas[0].tick == 1 << 24


def test_r40_records_that_read_the_same_in_both_orders_are_fine() -> None:
    assert read_records(b"").deltas == ()
    assert len(read_records(struct.pack("<IBHHH", 0, 4, 0, 0, 0)).deltas) == 1


def test_r40_cut_off_records_are_refused_whole() -> None:
    data = GOLDEN.read_bytes()
    whole = {0, 48, 48 + 42, len(data)}
    for length in range(len(data)):
        if length not in whole:
            with pytest.raises(RegionFileError, match="neither|either byte order"):
                read_records(data[:length])


def test_r41_actions_are_numbered_in_list_order_from_0() -> None:
    assert [action.code for action in DeltaAction] == list(range(19))
    assert DeltaAction.CUSTOM_BUILDING.code == 18


def test_r41_an_action_number_above_18_is_refused() -> None:
    with pytest.raises(RegionFileError, match="action 19"):
        read_records(struct.pack("<IBHHH", 150_000, 19, 1, 2, 0), "little")


@pytest.mark.parametrize(
    ("field", "numbers"),
    [
        ("tick", (2**32, 0, 0, 0)),
        ("tick", (-1, 0, 0, 0)),
        ("action", (0, 256, 0, 0)),
        ("x", (0, 0, 65_536, 0)),
        ("y", (0, 0, 0, 65_536)),
    ],
)
def test_r42_numbers_out_of_range_are_refused_not_wrapped(field: str, numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(OutOfRange, match=f"{field} is"):
        pack_record(RECORD_HEADS["little"], *numbers, b"")


def test_r42_data_longer_than_its_length_field_is_refused() -> None:
    delta = RegionDelta(1, DeltaAction.SIGN_PLACED, Position(1, 1), CustomDelta({"text": "x" * 65_536}))
    with pytest.raises(OutOfRange, match="data length"):
        write_records([delta])


def test_r42_what_records_without_a_header_cannot_name_is_refused() -> None:
    with pytest.raises(InvalidRegionValue, match="spell_cast"):
        write_records([RegionDelta(1, "spell_cast", Position(1, 1), CustomDelta())])
    with pytest.raises(InvalidRegionValue, match="the fields id"):
        write_records([RegionDelta(1, RAY_GUN.action, RAY_GUN.position, RAY_GUN.data, {"id": 1})])


def test_r44_the_seeds_sample_has_the_documented_sizes() -> None:
    plain = RegionDelta(150_000, DeltaAction.ITEM_REMOVED, Position(10, 15), ItemDelta("ray_gun_mk2", 1))
    assert len(json.dumps(plain.to_json(), separators=(",", ":"))) == 111
    assert len(write_records([plain])) == 48
    assert len(write_records([RAY_GUN])) == 137
    assert len(write_records([SEED_EXAMPLES[3]])) == 172


def test_r44_r62_a_delta_of_the_fixed_load_takes_under_20_bytes_in_binary_and_150_in_json() -> None:
    items = ["ray_gun_mk2", "chair", "scrap_metal", "energy_cell"]
    deltas = tuple(
        RegionDelta(
            150_000 + number,
            DeltaAction.ITEM_REMOVED,
            Position(number % 100, number // 100),
            ItemDelta(items[number % 4], 1),
        )
        for number in range(1000)
    )
    file = RegionDeltaFile(ADDRESS, "ancient_landing_platform", 782934, deltas, 1, 2, 3, 4)
    assert len(encode_region(file, FileForm.BINARY)) / 1000 < 20
    assert len(encode_region(file, FileForm.JSON)) / 1000 < 150


def test_r63_a_hundred_regions_of_a_hundred_deltas_stay_under_the_seeds_totals() -> None:
    items = ["ray_gun_mk2", "chair", "scrap_metal", "energy_cell"]
    binary = text = 0
    for region in range(100):
        deltas = tuple(
            RegionDelta(
                number * 50, DeltaAction.ITEM_REMOVED, Position(number, region), ItemDelta(items[number % 4], 1)
            )
            for number in range(100)
        )
        file = RegionDeltaFile(ADDRESS, "ancient_landing_platform", 782934, deltas, 0, 5000, 5000, 2)
        binary += len(encode_region(file, FileForm.BINARY))
        text += len(encode_region(file, FileForm.JSON))
    assert binary <= 200_000
    assert text <= 1_500_000
    # The seed sets 5 MB a region against this, and promises 100 to 1000 times less.
    assert 100 * 5_000_000 / binary > 1000
