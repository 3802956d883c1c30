"""`DeltaRecord`, and how `DeltaCompressor` makes and merges records."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool.codec.state_codec import ContradictoryRecord, CorruptRecord
from unspool.compression import (
    DeltaCompressionError,
    DeltaCompressor,
    DeltaRecord,
    Integrity,
    extract_keys_from_delta,
)
from unspool.errors import PersistenceError, UnspoolError


def test_f01_a_record_has_the_defaults_of_the_seed() -> None:
    record = DeltaRecord(1.0, {"a": 1})
    assert (record.removed_keys, record.metadata) == ([], {})
    assert (record.compression_ratio, record.size_bytes, record.checksum) == (1.0, 0, "")
    assert DeltaRecord(1.0, {}, None, None).removed_keys == []


def test_f01_all_seven_fields_can_be_given_by_position() -> None:
    record = DeltaRecord(2.5, {"a": 1}, ["b"], {"author": "system"}, 1.5, 150, "abcd")
    assert record.to_dict() == {
        "timestamp": 2.5,
        "changes": {"a": 1},
        "removed_keys": ["b"],
        "metadata": {"author": "system"},
        "compression_ratio": 1.5,
        "size_bytes": 150,
        "checksum": "abcd",
    }


def test_f02_a_record_shows_counts_and_bytes() -> None:
    assert repr(DeltaRecord(1.0, {"a": 1, "b": 2}, ["c"], size_bytes=150)) == (
        "DeltaRecord(2 changes, 1 removals, 150 bytes)"
    )


def test_f03_to_dict_gives_the_seven_fields_in_the_order_of_the_seed() -> None:
    assert list(DeltaRecord(1.0, {}).to_dict()) == [
        "timestamp",
        "changes",
        "removed_keys",
        "metadata",
        "compression_ratio",
        "size_bytes",
        "checksum",
    ]


def test_f04_from_dict_needs_only_time_and_changes() -> None:
    assert DeltaRecord.from_dict({"timestamp": 1, "changes": {"a": 1}}) == DeltaRecord(1, {"a": 1})


@pytest.mark.parametrize(
    "data",
    [
        {"changes": {}},
        {"timestamp": 1.0},
        {"timestamp": "now", "changes": {}},
        {"timestamp": True, "changes": {}},
        {"timestamp": 1.0, "changes": []},
        {"timestamp": 1.0, "changes": {1: 2}},
        {"timestamp": 1.0, "changes": {}, "removed_keys": "abc"},
        {"timestamp": 1.0, "changes": {}, "removed_keys": [1]},
        {"timestamp": 1.0, "changes": {}, "metadata": 3},
        {"timestamp": 1.0, "changes": {}, "size_bytes": "1"},
        {"timestamp": 1.0, "changes": {}, "checksum": None},
        {"timestamp": 1.0, "changes": {}, "compression_ratio": "1"},
        ["timestamp"],
        None,
    ],
)
def test_f04_a_malformed_dict_is_a_typed_error(data: Any) -> None:
    with pytest.raises(CorruptRecord, match="delta record"):
        DeltaRecord.from_dict(data)


def test_f05_keys_are_the_union_of_changes_and_removals() -> None:
    assert extract_keys_from_delta(DeltaRecord(1.0, {"a": 1, "b": 2}, ["b", "c"])) == {"a", "b", "c"}
    assert extract_keys_from_delta(DeltaRecord(1.0, {})) == set()


def test_f06_the_error_derives_from_the_framework_name() -> None:
    assert issubclass(DeltaCompressionError, PersistenceError)
    assert issubclass(DeltaCompressionError, UnspoolError)


def test_f17_compression_that_grows_a_tiny_delta_is_not_used() -> None:
    record = DeltaCompressor().create_delta_record({"a": 1}, [])
    assert record.size_bytes == record.metadata["original_size"] == len('{"changes": {"a": 1}, "removed": []}')
    assert record.compression_ratio == 1.0
    assert record.metadata["compression_level"] == 0
    assert "compression" in record.metadata["stored_raw"]


def test_f17_the_ratio_is_original_by_stored() -> None:
    record = DeltaCompressor(compression_level=9).create_delta_record({"a": "x" * 5000}, [])
    assert record.metadata["compression_level"] == 9
    assert record.metadata["compressed_size"] == record.size_bytes < 100
    assert record.compression_ratio == record.metadata["original_size"] / record.size_bytes


@pytest.mark.parametrize("enable_compression", [True, False])
def test_f18_the_checksum_covers_the_uncompressed_payload(enable_compression: bool) -> None:
    changes = {"b": "x" * 500, "a": [1, None, True]}
    record = DeltaCompressor(enable_compression=enable_compression).create_delta_record(changes, ["gone"])
    payload = json.dumps({"changes": changes, "removed": ["gone"]}, sort_keys=True).encode()
    assert record.checksum == hashlib.sha256(payload).hexdigest()[:16]


def test_f18_the_checksum_does_not_depend_on_the_second_of_writing() -> None:
    clock = iter([1.0, 100.0])
    compressor = DeltaCompressor(clock=lambda: next(clock))
    first, second = (compressor.create_delta_record({"a": "x" * 500}, []) for _ in range(2))
    assert (first.timestamp, second.timestamp) == (1.0, 100.0)
    assert first.checksum == second.checksum


def test_f18_a_record_does_not_follow_later_changes_of_its_source() -> None:
    source: dict[str, Any] = {"a": {"n": [1]}}
    gone = ["b"]
    record = DeltaCompressor().create_delta_record(source, gone, 0)
    source["a"]["n"].append(2)
    gone.append("c")
    assert (record.timestamp, record.changes, record.removed_keys) == (0, {"a": {"n": [1]}}, ["b"])


def test_f19_an_empty_delta_says_so_and_has_no_checksum() -> None:
    record = DeltaCompressor().create_delta_record({}, [], 5.0)
    assert record == DeltaRecord(5.0, {}, [], {"empty_delta": True})


@pytest.mark.parametrize(
    ("changes", "removed"),
    [
        ({"a": object()}, []),
        ({"a": {"deep": [lambda: None]}}, []),
        ([("a", 1)], []),
        ({1: "a"}, []),
        ({}, "ab"),
        ({}, [1]),
        ({"a": 1}, ["a"]),
        (None, []),
        ({}, None),
    ],
)
def test_f16_what_cannot_be_recorded_is_one_type_of_error(changes: Any, removed: Any) -> None:
    with pytest.raises(DeltaCompressionError):
        DeltaCompressor().create_delta_record(changes, removed)


def test_f16_a_value_that_contains_itself_is_refused_with_its_place() -> None:
    loop: dict[str, Any] = {"items": []}
    loop["items"].append(loop)
    with pytest.raises(DeltaCompressionError, match="contains itself"):
        DeltaCompressor().create_delta_record({"a": loop}, [])


def test_f16_a_timestamp_that_is_no_number_is_refused() -> None:
    with pytest.raises(DeltaCompressionError, match="'noon' is no number"):
        DeltaCompressor().create_delta_record({"a": 1}, [], "noon")  # type: ignore[arg-type]


def test_f20_a_changed_record_is_noticed_when_read() -> None:
    fields = DeltaCompressor().create_delta_record({"a": 1}, ["b"]).to_dict()
    assert DeltaRecord.from_dict(fields).integrity is Integrity.VERIFIED
    with pytest.raises(CorruptRecord, match="its content gives"):
        DeltaRecord.from_dict(fields | {"changes": {"a": 2}})
    with pytest.raises(CorruptRecord):
        DeltaRecord.from_dict(fields | {"removed_keys": []})


def test_f20_a_checksum_of_unknown_making_is_accepted_and_marked() -> None:
    record = DeltaRecord.from_dict({"timestamp": 1.0, "changes": {"a": 1}, "checksum": "abcd"})
    assert record.integrity is Integrity.UNVERIFIABLE
    assert DeltaRecord.from_dict({"timestamp": 1.0, "changes": {"a": 1}}).integrity is Integrity.ABSENT


def test_f22_merging_nothing_gives_nothing() -> None:
    assert DeltaCompressor().merge_deltas([]) is None


def test_f22_deltas_merge_in_order_of_time_and_keep_the_latest_time() -> None:
    late, early = DeltaRecord(20.0, {"a": "late"}), DeltaRecord(10.0, {"a": "early", "b": 1})
    merged = DeltaCompressor().merge_deltas([late, early])
    assert merged is not None
    assert (merged.timestamp, merged.changes, merged.removed_keys) == (20.0, {"a": "late", "b": 1}, [])


def test_f22_deltas_of_one_moment_merge_as_given() -> None:
    merged = DeltaCompressor().merge_deltas([DeltaRecord(1.0, {"a": 1}), DeltaRecord(1.0, {"a": 2})])
    assert merged is not None
    assert merged.changes == {"a": 2}


def test_f23_a_key_removed_and_set_again_keeps_the_new_value() -> None:
    compressor = DeltaCompressor()
    merged = compressor.merge_deltas([DeltaRecord(1.0, {}, ["a"]), DeltaRecord(2.0, {"a": "new"})])
    assert merged is not None
    assert (merged.changes, merged.removed_keys) == ({"a": "new"}, [])
    assert compressor.apply_delta({"a": "old"}, merged) == {"a": "new"}


def test_f23_a_key_set_and_then_removed_is_removed() -> None:
    merged = DeltaCompressor().merge_deltas([DeltaRecord(1.0, {"a": 1, "b": 2}), DeltaRecord(2.0, {}, ["a"])])
    assert merged is not None
    assert (merged.changes, merged.removed_keys) == ({"b": 2}, ["a"])


def test_f23_chain_order_beats_the_clock_where_asked() -> None:
    deltas = [DeltaRecord(9.0, {}, ["a"]), DeltaRecord(1.0, {"a": 1})]
    merged = DeltaCompressor().merge_deltas(deltas, order="chain")
    assert merged is not None
    assert (merged.timestamp, merged.changes, merged.removed_keys) == (9.0, {"a": 1}, [])


def test_merging_a_contradiction_or_a_stranger_is_refused() -> None:
    with pytest.raises(ContradictoryRecord, match="'a'"):
        DeltaCompressor().merge_deltas([DeltaRecord(1.0, {"a": 1}, ["a"])])
    with pytest.raises(DeltaCompressionError, match="not a dict"):
        DeltaCompressor().merge_deltas([{"changes": {}}])  # type: ignore[list-item]
    with pytest.raises(DeltaCompressionError, match="not a NoneType"):
        DeltaCompressor().merge_deltas(None)  # type: ignore[arg-type]
    with pytest.raises(DeltaCompressionError, match="no order 'size'"):
        DeltaCompressor().merge_deltas([], order="size")  # type: ignore[arg-type]
    with pytest.raises(DeltaCompressionError, match="not from a dict"):
        extract_keys_from_delta({})  # type: ignore[arg-type]


def test_f21_statistics_add_up() -> None:
    compressor = DeltaCompressor("dict")
    assert compressor.get_compression_stats() == {
        "total_operations": 0,
        "total_original_size": 0,
        "total_compressed_size": 0,
        "avg_compression_ratio": 0.0,
    }
    infos = [compressor.calculate_delta({}, {"a": "x" * size}) for size in (10, 2000)]
    stats = compressor.get_compression_stats()
    assert stats["total_operations"] == 2
    assert stats["total_original_size"] == sum(info["original_size"] for info in infos)
    assert stats["total_compressed_size"] == sum(info["compressed_size"] for info in infos)
    assert stats["avg_compression_ratio"] == stats["total_original_size"] / stats["total_compressed_size"]


keys = st.sampled_from("abcde")
deltas = st.lists(st.tuples(st.dictionaries(keys, st.integers(0, 9)), st.sets(keys)), max_size=8)


@settings(max_examples=examples(100))
@given(st.dictionaries(keys, st.integers(0, 9)), deltas)
def test_f23_a_merge_has_the_effect_of_its_deltas(
    base: dict[str, int], steps: list[tuple[dict[str, int], set[str]]]
) -> None:
    compressor = DeltaCompressor("dict")
    records = [
        DeltaRecord(float(-at), {key: value for key, value in changes.items() if key not in gone}, sorted(gone))
        for at, (changes, gone) in enumerate(steps)
    ]
    expected = dict(base)
    for record in records:
        expected = compressor.apply_delta(expected, record)
    merged = compressor.merge_deltas(records, order="chain")
    assert (base if merged is None else compressor.apply_delta(base, merged)) == expected
