"""`calculate_delta` and `apply_delta` by every strategy."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

import pytest
from codec_values import STRATEGIES, same, states
from hypothesis import given, settings

from support.examples import examples
from unspool.codec.state_codec import ContradictoryRecord, PatchBaseMismatch, UnsupportedRecordValue
from unspool.compression import DeltaCompressionError, DeltaCompressor, DeltaRecord, DeltaStrategy
from unspool.errors import BaseMismatch, ConfigError, MissingExtra

TEXT = "".join(f"line {number * 7919 % 1000}\n" for number in range(400))


def test_f07_the_defaults_of_the_seed() -> None:
    compressor = DeltaCompressor()
    assert compressor.strategy is DeltaStrategy.AUTO
    assert (compressor.enable_compression, compressor.compression_level) == (True, 6)


@pytest.mark.parametrize(("given_level", "used"), [(-3, 1), (1, 1), (9, 9), (12, 9)])
def test_f08_levels_are_brought_into_range(given_level: int, used: int) -> None:
    assert DeltaCompressor(compression_level=given_level).compression_level == used


def test_f08_a_level_that_is_no_number_is_refused() -> None:
    with pytest.raises(DeltaCompressionError, match="whole number"):
        DeltaCompressor(compression_level="6")  # type: ignore[arg-type]


def test_f11_an_unknown_strategy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DeltaCompressionError, match="binary, dict, compress, auto, none") as raised:
        DeltaCompressor("zip")
    assert isinstance(raised.value, ConfigError)


@settings(max_examples=examples(60))
@given(old=states, new=states)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_f15_every_strategy_gives_the_new_state_with_its_types(
    strategy: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    compressor = DeltaCompressor(strategy)
    info = compressor.calculate_delta(old, new, include_unchanged=True)
    assert same(compressor.apply_delta(old, info), new)
    assert set(info["removed_keys"]) == old.keys() - new.keys()
    assert info["unchanged"].keys() == set(info["unchanged_keys"]) <= new.keys()
    if not info["is_full_snapshot"]:
        assert info["changes"].keys() == new.keys() - set(info["unchanged_keys"])


def test_f13_the_keys_of_a_delta_are_those_of_the_seed() -> None:
    info = DeltaCompressor("dict").calculate_delta({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5, "d": 6})
    assert info["changes"] == {"b": 5, "d": 6}
    assert info["removed_keys"] == ["c"]
    assert (info["unchanged_keys"], info["unchanged"]) == ([], {})
    assert info["is_full_snapshot"] is False
    assert info["strategy"] is DeltaStrategy.DICT
    assert str(info["strategy"]) == "dict"
    assert info["compression_ratio"] == info["original_size"] / info["compressed_size"]
    assert info["computation_time"] >= 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1, True),
        (0, False),
        (1, 1.0),
        (0.0, -0.0),
        ([1], (1,)),
        ({"n": [{"m": 1}]}, {"n": [{"m": True}]}),
        ({1: "x"}, {True: "x"}),
        ({1, 2}, {True, 2}),
        ("1", b"1"),
        (None, False),
    ],
)
@pytest.mark.parametrize("strategy", ["dict", "auto"])
def test_f13_a_change_of_type_is_a_change(strategy: str, before: Any, after: Any) -> None:
    compressor = DeltaCompressor(strategy)
    info = compressor.calculate_delta({"a": before}, {"a": after})
    assert list(info["changes"]) == ["a"]
    assert same(compressor.apply_delta({"a": before}, info), {"a": after})


def test_f13_another_order_of_keys_and_nan_are_no_change() -> None:
    before = {"a": {"x": 1, "y": [{"p": 1, "q": 2}]}, "n": float("nan"), "s": {float("nan")}}
    after = {"n": float("nan"), "a": {"y": [{"q": 2, "p": 1}], "x": 1}, "s": {float("nan")}}
    assert DeltaCompressor("dict").calculate_delta(before, after)["changes"] == {}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_f14_unchanged_values_are_given_by_every_strategy(strategy: str) -> None:
    old, new = {"a": [1], "b": TEXT}, {"a": [1], "b": TEXT + "!"}
    info = DeltaCompressor(strategy).calculate_delta(old, new, include_unchanged=True)
    assert (info["unchanged_keys"], info["unchanged"]) == (["a"], {"a": [1]})
    plain = DeltaCompressor(strategy).calculate_delta(old, new)
    assert (plain["unchanged_keys"], plain["unchanged"]) == ([], {})


@pytest.mark.parametrize("strategy", ["compress", "none"])
def test_f11_whole_states_are_flagged_and_apply_to_any_base(strategy: str) -> None:
    compressor = DeltaCompressor(strategy)
    new = {"a": TEXT, "b": (1, 2)}
    info = compressor.calculate_delta({"a": TEXT, "gone": 1}, new)
    assert (info["is_full_snapshot"], info["strategy"], info["changes"]) == (True, strategy, new)
    assert info["removed_keys"] == ["gone"]
    assert compressor.apply_delta({"anything": 1}, info) == new
    assert (info["compressed_size"] < info["original_size"]) is (strategy == "compress")


def test_f11_compress_stores_raw_what_compression_would_grow() -> None:
    info = DeltaCompressor("compress").calculate_delta({}, {"a": 1})
    assert info["compressed_size"] == info["original_size"]
    assert "would not make it smaller" in info["reason"]


def test_f11_compress_with_compression_off_stores_raw_and_says_so() -> None:
    compressor = DeltaCompressor("compress", enable_compression=False)
    info = compressor.calculate_delta({}, {"a": TEXT})
    assert info["compressed_size"] == info["original_size"]
    assert "compression is off" in info["reason"]
    assert compressor.apply_delta({}, info) == {"a": TEXT}


def test_f09_a_binary_delta_says_what_changed_and_how_little_it_takes() -> None:
    compressor = DeltaCompressor("binary")
    old, new = {"a": TEXT, "b": 1}, {"a": TEXT[:900] + "!" + TEXT[900:], "b": 1}
    info = compressor.calculate_delta(old, new)
    assert (info["is_binary_delta"], info["strategy"], info["is_full_snapshot"]) == (True, "binary", False)
    assert info["changes"] == {"a": new["a"]}
    assert info["compressed_size"] == len(info["binary_patch"]) < 250


def test_f09_a_binary_delta_on_another_base_is_refused() -> None:
    compressor = DeltaCompressor("binary")
    info = compressor.calculate_delta({"a": TEXT}, {"a": TEXT + "!"})
    with pytest.raises(PatchBaseMismatch) as raised:
        compressor.apply_delta({"a": TEXT.replace("1", "2")}, info)
    assert isinstance(raised.value, DeltaCompressionError)
    assert isinstance(raised.value, BaseMismatch)


def test_f09_a_binary_delta_does_not_mind_the_order_of_atoms() -> None:
    compressor = DeltaCompressor("binary")
    info = compressor.calculate_delta({"a": 1, "b": 2}, {"b": 2, "c": TEXT})
    assert compressor.apply_delta({"b": 2, "a": 1}, info) == {"b": 2, "c": TEXT}


def test_f09_binary_without_bsdiff4_is_an_error_and_no_other_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    compressor = DeltaCompressor("binary")
    monkeypatch.setitem(sys.modules, "bsdiff4", None)
    with pytest.raises(MissingExtra, match=r"unspool\[binary\]") as raised:
        compressor.calculate_delta({"a": 1}, {"a": 2})
    assert isinstance(raised.value, DeltaCompressionError)


def test_f12_auto_takes_the_patch_for_a_small_edit_of_a_large_value() -> None:
    old, new = {"a": TEXT, "b": 1}, {"a": TEXT[:900] + "!" + TEXT[900:], "b": 1}
    info = DeltaCompressor().calculate_delta(old, new)
    assert info["strategy"] == "binary"
    assert "binary is smallest (bytes: binary" in info["reason"]


def test_f12_auto_takes_keys_for_a_small_change_of_many_keys() -> None:
    old = {f"key{number}": number for number in range(1001)}
    info = DeltaCompressor().calculate_delta(old, old | {"key7": -1})
    assert (info["strategy"], info["changes"]) == ("dict", {"key7": -1})
    assert "nothing else is tried" in info["reason"]


def test_f12_auto_is_never_larger_than_any_other_strategy_on_a_large_change() -> None:
    old = {f"key{number}": TEXT[number : number + 90] for number in range(40)}
    new = {f"key{number}": TEXT[number * 3 : number * 3 + 90] for number in range(60)}
    sizes = {
        strategy: DeltaCompressor(strategy).calculate_delta(old, new)["compressed_size"] for strategy in STRATEGIES
    }
    assert sizes["auto"] == min(sizes.values())


def test_f12_auto_without_bsdiff4_chooses_among_the_rest_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bsdiff4", None)
    info = DeltaCompressor().calculate_delta({"a": TEXT}, {"a": TEXT + "!"})
    assert info["strategy"] in ("dict", "compress")
    assert "bsdiff4 is not installed" in info["reason"]


def test_f15_the_result_shares_nothing_with_base_or_delta() -> None:
    compressor = DeltaCompressor("dict")
    base: dict[str, Any] = {"kept": {"n": [1]}, "set": {"n": [1]}}
    target: dict[str, Any] = {"kept": {"n": [1]}, "set": {"n": [2]}}
    info = compressor.calculate_delta(base, target)
    target["set"]["n"].append("late")
    result = compressor.apply_delta(base, info)
    result["kept"]["n"].append("x")
    result["set"]["n"].append("y")
    assert base == {"kept": {"n": [1]}, "set": {"n": [1]}}
    assert compressor.apply_delta(base, info) == {"kept": {"n": [1]}, "set": {"n": [2]}}


def test_f15_a_contradictory_delta_is_refused() -> None:
    with pytest.raises(ContradictoryRecord, match="both changes and removes 'a'"):
        DeltaCompressor().apply_delta({}, {"changes": {"a": 1}, "removed_keys": ["a"]})


def test_f15_a_record_applies_like_its_delta() -> None:
    record = DeltaRecord(1.0, {"a": 2}, ["b", "never there"])
    assert DeltaCompressor().apply_delta({"a": 1, "b": 1, "c": 1}, record) == {"a": 2, "c": 1}


@pytest.mark.parametrize(
    "delta",
    [
        None,
        [],
        "changes",
        {"chnages": {}},
        {"changes": [1]},
        {"changes": {1: 2}},
        {"removed_keys": "ab"},
        {"is_binary_delta": True},
        {"is_binary_delta": True, "binary_patch": "text"},
        {"is_binary_delta": True, "binary_patch": b"BSDIFF40" + bytes(200)},
        {"is_full_snapshot": True, "compressed_state": b"\x28\xb5\x2f\xfd"},
        {"is_full_snapshot": True, "compressed_state": None},
    ],
)
def test_f16_a_delta_that_is_none_is_one_type_of_error(delta: Any) -> None:
    with pytest.raises(DeltaCompressionError):
        DeltaCompressor().apply_delta({"a": 1}, delta)


@pytest.mark.parametrize("bad", [None, [], {1: 2}, {"a": object()}, {"a": [print]}])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_f16_a_state_that_is_none_is_one_type_of_error(strategy: str, bad: Any) -> None:
    compressor = DeltaCompressor(strategy)
    for old, new in ((bad, {}), ({}, bad)):
        with pytest.raises(DeltaCompressionError):
            compressor.calculate_delta(old, new)


def test_f16_a_base_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append({"again": loop})
    with pytest.raises(DeltaCompressionError, match="key 'a': the value contains itself"):
        DeltaCompressor().apply_delta({"a": loop}, {"changes": {"b": 1}})


def test_f15_a_list_that_appears_twice_is_no_cycle() -> None:
    shared = [1]
    result = DeltaCompressor().apply_delta({"a": [shared, shared], "b": shared}, {})
    assert result == {"a": [[1], [1]], "b": [1]}


def test_a_value_kept_by_name_only_stays_itself_under_keys_and_is_refused_as_bytes() -> None:
    new = {"a": OrderedDict(n=1), "text": TEXT}
    info = DeltaCompressor("auto").calculate_delta({}, new)
    assert type(info["changes"]["a"]) is OrderedDict
    assert info["strategy"] == "dict"
    assert "by name only" in info["reason"]
    for strategy in ("binary", "compress"):
        with pytest.raises(UnsupportedRecordValue, match=r"\$\.a"):
            DeltaCompressor(strategy).calculate_delta({}, new)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_values_ten_thousand_deep_pass_through(strategy: str) -> None:
    deep: Any = 1
    for level in range(10_000):
        deep = [deep] if level % 2 else {"n": deep}
    compressor = DeltaCompressor(strategy)
    info = compressor.calculate_delta({"a": 0, "deep": deep}, {"a": 1, "deep": deep, "other": [deep]})
    result = compressor.apply_delta({"a": 0, "deep": deep}, info)
    assert same(result, {"a": 1, "deep": deep, "other": [deep]})
    assert "deep" in result
