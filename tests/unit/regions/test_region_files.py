"""Region files as JSON and in the binary form: lossless, strict, and told apart by content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from region_strategies import ADDRESS, FIXTURES, RAY_GUN, SEED_EXAMPLES, TENT, delta_lists, removal

from support.examples import examples
from unspool.errors import RegionError
from unspool.regions import (
    STANDARD_ACTIONS,
    ActionRule,
    CustomDelta,
    DeltaAction,
    Effect,
    FileForm,
    InvalidRegionValue,
    MultiplayerRegionDelta,
    OutOfRange,
    Position,
    RegionDelta,
    RegionDeltaComponent,
    RegionDeltaFile,
    RegionFileError,
    RegionStorageError,
    UnknownAction,
    decode_region,
    encode_region,
    read_region_file,
    write_region_file,
)

GOLDEN = FIXTURES / "ringworld-7-23.json"
FORMS = [FileForm.JSON, FileForm.BINARY]

component_document = {
    "$schema": "https://aivillage.dev/schemas/component/region_delta/v1",
    "$version": 1,
    "type": "region_delta",
    "data": {"deltas": [RAY_GUN.to_json()], "baseTemplate": "ancient_landing_platform", "baseSeed": 782934},
}


def document(**fields: object) -> bytes:
    return json.dumps({**json.loads(GOLDEN.read_bytes()), **fields}).encode()


def test_r20_the_seeds_own_file_reads_and_writes_back_the_same() -> None:
    file = read_region_file(GOLDEN)
    assert isinstance(file, RegionDeltaFile)
    assert (file.address, file.base_template, file.base_seed) == (ADDRESS, "ancient_landing_platform", 782934)
    assert [delta.tick for delta in file.deltas] == [150000, 150005, 150500]
    assert file.to_json() == json.loads(GOLDEN.read_bytes())


@pytest.mark.parametrize("form", FORMS)
def test_r20_a_file_without_visit_fields_reads_and_stays_without(form: FileForm) -> None:
    raw = json.loads(GOLDEN.read_bytes())
    for name in ("firstVisitTick", "lastVisitTick", "totalTimeSpent", "playerVisitCount"):
        del raw[name]
    file = decode_region(json.dumps(raw).encode())
    assert isinstance(file, RegionDeltaFile)
    assert file.player_visit_count is None
    again = decode_region(encode_region(file, form))
    assert isinstance(again, RegionDeltaFile)
    assert again.to_json() == raw


@pytest.mark.parametrize("form", FORMS)
def test_r43_fields_nobody_here_knows_survive_both_forms(form: FileForm) -> None:
    raw = json.loads(GOLDEN.read_bytes())
    raw |= {"weather": {"rain": [1, 1.0, -0.0, None]}, "folded": 3, "data": {"a": 1}, "firstVisitTick": None}
    raw["deltas"][1] |= {"id": "d2", "by": {"player": "p1"}}
    raw["deltas"][2]["data"]["variant"] = None
    file = decode_region(json.dumps(raw).encode())
    assert isinstance(file, RegionDeltaFile)
    again = decode_region(encode_region(file, form))
    assert isinstance(again, RegionDeltaFile)
    assert repr(again.to_json()) == repr(file.to_json())
    assert again.to_json() == raw


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
free_deltas = st.builds(
    RegionDelta,
    st.integers(0, 2**32 - 1),
    st.sampled_from([DeltaAction.CUSTOM_BUILDING, DeltaAction.SIGN_PLACED]),
    st.builds(Position, st.integers(0, 65_535), st.integers(0, 65_535)),
    st.dictionaries(st.text(max_size=4), json_values, max_size=3).map(CustomDelta),
)


@given(st.lists(free_deltas, max_size=6), st.sampled_from(["little", "big"]))
@settings(max_examples=examples(60), deadline=None)
def test_r43_any_data_is_the_same_after_json_and_after_binary(deltas: list[RegionDelta], order: str) -> None:
    file = RegionDeltaFile(ADDRESS, "t", -3, tuple(deltas))
    binary = encode_region(file, FileForm.BINARY, "big" if order == "big" else "little")
    for data in (encode_region(file, FileForm.JSON), binary):
        again = decode_region(data)
        assert isinstance(again, RegionDeltaFile)
        # repr tells 1, 1.0 and True apart, and 0.0 from -0.0.
        assert repr(again.to_json()) == repr(file.to_json())


@given(delta_lists)
@settings(max_examples=examples(40), deadline=None)
def test_r43_json_and_binary_hold_the_same_deltas(deltas: list[RegionDelta]) -> None:
    file = RegionDeltaFile(ADDRESS, "t", 1.5, tuple(deltas), 1, 2, 3, 4)
    assert (
        decode_region(encode_region(file, FileForm.JSON))
        == decode_region(encode_region(file, FileForm.BINARY))
        == file
    )


def test_r43_lone_surrogates_and_very_long_texts_survive_both_forms() -> None:
    sign = RegionDelta(
        1, DeltaAction.SIGN_PLACED, Position(1, 1), CustomDelta({"text": "\ud800 ä", "more": "x" * 70_000})
    )
    file = RegionDeltaFile(ADDRESS, "t", 1, (sign,))
    for form in FORMS:
        assert decode_region(encode_region(file, form)) == file


def test_r43_the_json_form_has_one_delta_a_line() -> None:
    lines = encode_region(RegionDeltaFile(ADDRESS, "t", 1, SEED_EXAMPLES), FileForm.JSON).decode().splitlines()
    assert sum(line.startswith('    {"tick":') for line in lines) == len(SEED_EXAMPLES)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (document(baseTemplate=None), "baseTemplate must be text"),
        (document(baseSeed="x"), "baseSeed must be a finite number"),
        (document(playerVisitCount=-1), "playerVisitCount is -1"),
        (document(deltas={}), "deltas must be a list"),
        (document(address={}), r"address\.tile"),
        (
            document(deltas=[{**RAY_GUN.to_json(), "action": "item_deleted"}]),
            r"deltas\[0\]: unknown action 'item_deleted'",
        ),
        (document(deltas=[RAY_GUN.to_json(), {**TENT.to_json(), "tick": 2**32}]), r"deltas\[1\]: tick is 4294967296"),
    ],
)
def test_r20_a_malformed_file_is_refused_with_its_name_and_place(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(data)
    with pytest.raises(InvalidRegionValue, match=f"bad.json: {message}"):
        read_region_file(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"[1]", "no region records|not an object"),
        (b'{"a": 1}', "neither deltas nor sharedDeltas"),
        (b'{"deltas": [], "deltas": []}', "occurs twice"),
        (b'{"deltas": NaN}', "NaN is not JSON"),
        (b'{"deltas": [', "line 1, column"),
        (b'{"deltas": "\xff"}', "byte 12 is not UTF-8"),
        (b'{"deltas": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "nested too deeply|must be an object"),
        (b'{"deltas": ' + b"9" * 5_000 + b"}", "integer string conversion|must be a list"),
    ],
)
def test_r20_what_is_no_region_file_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(RegionError, match=message):
        decode_region(data, "odd")


def test_r20_a_byte_order_mark_and_blanks_before_the_text_are_no_harm() -> None:
    assert decode_region(b"\xef\xbb\xbf" + GOLDEN.read_bytes()) == read_region_file(GOLDEN)
    assert decode_region(b" \n" + GOLDEN.read_bytes()) == read_region_file(GOLDEN)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegionStorageError, match=r"none\.json"):
        read_region_file(tmp_path / "none.json")


def test_r40_every_damaged_byte_of_a_binary_file_is_noticed() -> None:
    data = encode_region(RegionDeltaFile(ADDRESS, "t", 1, SEED_EXAMPLES), FileForm.BINARY)
    for index in range(len(data)):
        damaged = bytearray(data)
        damaged[index] ^= 0x40
        with pytest.raises(RegionError):
            decode_region(bytes(damaged))


def test_r40_every_cut_off_binary_file_is_noticed() -> None:
    data = encode_region(RegionDeltaFile(ADDRESS, "t", 1, SEED_EXAMPLES), FileForm.BINARY)
    for length in range(len(data)):
        with pytest.raises(RegionError):
            decode_region(data[:length])


def test_r40_a_binary_file_of_a_newer_version_says_so() -> None:
    data = bytearray(encode_region(RegionDeltaFile(ADDRESS, "t", 1), FileForm.BINARY))
    data[8] = 2
    with pytest.raises(RegionFileError, match="version 2"):
        decode_region(bytes(data))


def test_r40_a_binary_file_starts_with_its_magic_version_and_byte_order() -> None:
    file = RegionDeltaFile(ADDRESS, "t", 1, (RAY_GUN,))
    assert encode_region(file, FileForm.BINARY)[:10] == b"\x93REGION\n\x01L"
    assert encode_region(file, FileForm.BINARY, "big")[:10] == b"\x93REGION\n\x01B"


def test_r41_a_games_own_action_is_named_in_the_binary_file() -> None:
    table = STANDARD_ACTIONS.with_action(ActionRule("spell_cast", lambda _view, _delta: Effect()))
    file = RegionDeltaFile(
        ADDRESS, "t", 1, (RegionDelta(1, "spell_cast", Position(1, 1), CustomDelta({"a": 1})), RAY_GUN)
    )
    for form in FORMS:
        data = encode_region(file, form)
        assert decode_region(data, actions=table) == file
        with pytest.raises(UnknownAction, match="spell_cast"):
            decode_region(data)


def test_r42_more_data_than_a_record_holds_is_refused_in_binary_only() -> None:
    big = CustomDelta({"cells": [3.5] * 10_000})
    file = RegionDeltaFile(ADDRESS, "t", 1, (RegionDelta(1, DeltaAction.CUSTOM_BUILDING, Position(1, 1), big),))
    with pytest.raises(OutOfRange, match="data length is 90"):
        encode_region(file, FileForm.BINARY)
    assert decode_region(encode_region(file, FileForm.JSON)) == file


def test_r55_personal_deltas_are_an_object_keyed_by_player() -> None:
    raw = {
        **json.loads(GOLDEN.read_bytes()),
        "sharedDeltas": [TENT.to_json()],
        "personalDeltas": {"a": [RAY_GUN.to_json()], "b": []},
    }
    del raw["deltas"]
    file = decode_region(json.dumps(raw).encode())
    assert isinstance(file, MultiplayerRegionDelta)
    assert file.players == ("a", "b")
    for form in FORMS:
        again = decode_region(encode_region(file, form))
        assert isinstance(again, MultiplayerRegionDelta)
        assert again.to_json() == raw


def test_r55_a_multiplayer_file_without_personal_deltas_is_refused() -> None:
    raw = {**json.loads(GOLDEN.read_bytes()), "sharedDeltas": []}
    with pytest.raises(InvalidRegionValue, match="personalDeltas is missing"):
        decode_region(json.dumps(raw).encode())


def test_the_save_game_component_reads() -> None:
    component = decode_region(json.dumps(component_document).encode())
    assert isinstance(component, RegionDeltaComponent)
    assert component.deltas == (RAY_GUN,)
    assert component.at(ADDRESS).original == ("ancient_landing_platform", 782934)
    for form in FORMS:
        assert decode_region(encode_region(component, form)) == component


def test_a_component_of_another_version_is_refused() -> None:
    with pytest.raises(InvalidRegionValue, match=r"\$version is 2"):
        decode_region(json.dumps({**component_document, "$version": 2}).encode())


def test_writing_replaces_a_file_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for tick in (1, 2):
        write_region_file(path, RegionDeltaFile(ADDRESS, "t", 1, (removal(tick),)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.json"]
    file = read_region_file(path)
    assert isinstance(file, RegionDeltaFile)
    assert file.deltas[0].tick == 2


def test_extra_fields_cannot_speak_over_known_ones() -> None:
    with pytest.raises(InvalidRegionValue, match="'baseSeed' twice"):
        RegionDeltaFile(ADDRESS, "t", 1, extra={"baseSeed": 2})
