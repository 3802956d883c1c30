"""Records as bytes: the original's form and our own."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from codec_values import EVERY_TYPE, same, values
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool.codec.state_codec import CorruptRecord, UnsupportedRecordValue
from unspool.compression import DeltaCompressionError, DeltaCompressor, DeltaRecord, Integrity
from unspool.compression.records import MAGIC, read_record

SEEDS = Path(__file__).parents[3] / "fixtures" / "seeds"
GOLDEN_CHANGES = {"key1": "new_value", "key2": 42, "ключ": {"n": [1, None, True]}}
GOLDEN_REMOVED = ["key3", "key4"]


@pytest.mark.parametrize("name", ["framework0-record.json", "framework0-record.json.gz"])
def test_f25_records_of_the_original_are_read(name: str) -> None:
    record = DeltaCompressor().deserialize_delta((SEEDS / name).read_bytes())
    assert (record.timestamp, record.changes, record.removed_keys) == (1234567890.0, GOLDEN_CHANGES, GOLDEN_REMOVED)
    assert record.metadata["original_size"] == 127


def test_f18_an_uncompressed_record_of_the_original_is_verified() -> None:
    data = (SEEDS / "framework0-record.json").read_bytes()
    assert read_record(data).integrity is Integrity.VERIFIED
    with pytest.raises(CorruptRecord, match="a80cafcf44cdf1ac"):
        read_record(data.replace(b"42", b"43"))


def test_f18_a_compressed_record_of_the_original_is_accepted_as_unverifiable() -> None:
    record = read_record((SEEDS / "framework0-record.json.gz").read_bytes())
    assert record.integrity is Integrity.UNVERIFIABLE
    assert record.checksum == "65c85d69f72dd835"


def test_f24_the_original_form_is_written_byte_for_byte() -> None:
    compressor = DeltaCompressor(enable_compression=False)
    record = compressor.create_delta_record(GOLDEN_CHANGES, GOLDEN_REMOVED, 1234567890.0)
    golden = (SEEDS / "framework0-record.json").read_bytes()
    assert compressor.serialize_delta(record, form="framework0") == golden
    assert compressor.serialize_delta(record) == golden


def test_f24_a_record_of_the_original_is_written_back_as_it_was() -> None:
    packed = (SEEDS / "framework0-record.json.gz").read_bytes()
    record = read_record(packed)
    written = DeltaCompressor().serialize_delta(record, form="framework0")
    assert gzip.decompress(written) == gzip.decompress(packed)


def test_f24_the_original_form_is_gzip_when_compression_is_on() -> None:
    compressor = DeltaCompressor()
    record = compressor.create_delta_record({"a": "x" * 300}, ["b"], 1.5)
    fields = json.loads(gzip.decompress(compressor.serialize_delta(record, form="framework0")))
    assert fields == record.to_dict()
    assert compressor.serialize_delta(record, form="framework0") == compressor.serialize_delta(record)


def test_f18_no_clock_gets_into_the_bytes() -> None:
    record = DeltaRecord(1.0, {"a": "x" * 300})
    data = DeltaCompressor().serialize_delta(record)
    assert data[:4] == b"\x1f\x8b\x08\x00"
    assert data[4:8] == bytes(4)


@pytest.mark.parametrize("form", ["auto", "unspool"])
@pytest.mark.parametrize("enable_compression", [True, False])
def test_f25_values_beyond_json_come_back_exactly(form: str, enable_compression: bool) -> None:
    compressor = DeltaCompressor(enable_compression=enable_compression)
    record = compressor.create_delta_record(EVERY_TYPE, ["gone"], 7.0)
    data = compressor.serialize_delta(record, form=form)
    assert data.startswith(MAGIC)
    back = compressor.deserialize_delta(data)
    assert same(back.to_dict(), record.to_dict())
    assert back.integrity is Integrity.VERIFIED


@pytest.mark.parametrize("name", [name for name in EVERY_TYPE if name not in ("plain", "odd text")])
def test_f24_the_original_form_refuses_what_json_would_change(name: str) -> None:
    compressor = DeltaCompressor()
    record = compressor.create_delta_record({name: EVERY_TYPE[name]}, [])
    with pytest.raises(UnsupportedRecordValue, match=r"JSON cannot keep .* at \$\.changes.*form='unspool'"):
        compressor.serialize_delta(record, form="framework0")


def test_f24_a_value_too_deep_for_json_is_refused_there_and_kept_in_our_form() -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    compressor = DeltaCompressor()
    record = compressor.create_delta_record({"deep": deep}, [])
    with pytest.raises(UnsupportedRecordValue, match="nesting deeper than 200"):
        compressor.serialize_delta(record, form="framework0")
    back = compressor.deserialize_delta(compressor.serialize_delta(record))
    assert same(back.changes, {"deep": deep})


def test_our_form_refuses_a_type_it_would_keep_by_name_only() -> None:
    class Text(str):
        __slots__ = ()

    compressor = DeltaCompressor()
    record = compressor.create_delta_record({"a": [Text("x")]}, [])
    with pytest.raises(UnsupportedRecordValue, match=r"\$\.changes\.a\[0\]"):
        compressor.serialize_delta(record)


@settings(max_examples=examples(80))
@given(st.dictionaries(st.text(max_size=5), values, max_size=4), st.lists(st.text(max_size=5), max_size=3))
@pytest.mark.parametrize("form", ["auto", "unspool"])
@pytest.mark.parametrize("enable_compression", [True, False])
def test_f25_every_record_comes_back(
    form: str, enable_compression: bool, changes: dict[str, Any], removed: list[str]
) -> None:
    compressor = DeltaCompressor(enable_compression=enable_compression)
    record = compressor.create_delta_record(changes, [key for key in removed if key not in changes], 3.25)
    back = compressor.deserialize_delta(compressor.serialize_delta(record, form=form))
    assert same(back.to_dict(), record.to_dict())
    assert back.integrity in (Integrity.VERIFIED, Integrity.ABSENT)


def test_f25_bytes_of_one_setting_are_read_by_any_other() -> None:
    record = DeltaCompressor().create_delta_record({"a": ["x"] * 200}, ["b"], 1.0)
    for form in ("framework0", "unspool"):
        for enabled in (True, False):
            data = DeltaCompressor("none", enable_compression=enabled).serialize_delta(record, form=form)
            assert DeltaCompressor("binary", compression_level=1).deserialize_delta(data) == record


def test_compression_that_grows_a_record_is_not_used() -> None:
    record = DeltaRecord(1.0, {"a": hashlib.sha256(b"noise").hexdigest()})
    plain = DeltaCompressor(enable_compression=False).serialize_delta(record, form="unspool")
    packed = DeltaCompressor().serialize_delta(record, form="unspool")
    assert len(packed) <= len(plain)


def test_f20_a_record_changed_after_its_checksum_is_not_written() -> None:
    compressor = DeltaCompressor()
    record = compressor.create_delta_record({"a": 1}, [])
    record.changes["a"] = 2
    with pytest.raises(CorruptRecord, match="checksum"):
        compressor.serialize_delta(record)


@pytest.mark.parametrize("form", ["framework0", "unspool"])
@pytest.mark.parametrize("enable_compression", [True, False])
def test_f16_cut_bytes_are_one_type_of_error(form: str, enable_compression: bool) -> None:
    compressor = DeltaCompressor(enable_compression=enable_compression)
    whole = compressor.serialize_delta(compressor.create_delta_record({"a": "x" * 200}, ["b"], 1.0), form=form)
    for length in range(len(whole)):
        with pytest.raises(DeltaCompressionError):
            compressor.deserialize_delta(whole[:length])


@pytest.mark.parametrize("enable_compression", [True, False])
def test_f20_any_flipped_byte_of_our_form_is_noticed(enable_compression: bool) -> None:
    compressor = DeltaCompressor(enable_compression=enable_compression)
    record = compressor.create_delta_record({"a": "x" * 100}, ["b"], 1.0)
    whole = compressor.serialize_delta(record, form="unspool")
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x15
        try:
            back = compressor.deserialize_delta(bytes(damaged))
        except DeltaCompressionError:
            continue
        assert back == record


@settings(max_examples=examples(150))
@given(
    st.binary(max_size=60), st.sampled_from([b"", b"{", b"\x1f\x8b", MAGIC, MAGIC + bytes(17), b'{"timestamp": 1, '])
)
def test_f16_rubbish_is_one_type_of_error(tail: bytes, head: bytes) -> None:
    with pytest.raises(DeltaCompressionError):
        DeltaCompressor().deserialize_delta(head + tail)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no delta record"),
        (b"[1]", "no delta record"),
        (b'{"timestamp": 1', "line 1"),
        (b'{"timestamp": 1, "changes": {"a": "\xff"}}', "no UTF-8"),
        (b'{"changes": {}}', "no field 'timestamp'"),
        (b'{"timestamp": 1, "changes": {"a": 1, "a": 2}}', "names a key twice"),
        (b'{"timestamp": 1, "changes": {"a": ' + b"[" * 100_000, "cannot be read"),
        (b'{"timestamp": 1, "changes": {"a": ' + b"9" * 5000 + b"}}", "cannot be read"),
        (gzip.compress(b"{}") + b"more", "4 bytes follow"),
        (gzip.compress(b"\x00binary"), "no delta record"),
        (MAGIC + b"\x09" + bytes(40), "does not know"),
    ],
)
def test_f16_the_error_says_what_is_wrong(data: bytes, problem: str) -> None:
    with pytest.raises(CorruptRecord, match=problem):
        DeltaCompressor().deserialize_delta(data)


def test_f16_reading_something_that_is_no_bytes_is_refused() -> None:
    with pytest.raises(DeltaCompressionError, match="not from a str"):
        DeltaCompressor().deserialize_delta("{}")  # type: ignore[arg-type]
    with pytest.raises(DeltaCompressionError, match="not a dict"):
        DeltaCompressor().serialize_delta({})  # type: ignore[arg-type]
    with pytest.raises(DeltaCompressionError, match="no record form 'xml'"):
        DeltaCompressor().serialize_delta(DeltaRecord(1.0, {}), form="xml")


def test_nan_that_python_wrote_as_a_bare_word_is_read_as_it_was_meant() -> None:
    record = read_record(b'{"timestamp": 1.0, "changes": {"a": NaN, "b": -Infinity}}')
    assert same(record.changes, {"a": float("nan"), "b": float("-inf")})


def test_a_record_that_expands_beyond_the_cap_is_refused() -> None:
    record = DeltaRecord(1.0, {"a": "x" * 500_000})
    for form in ("framework0", "unspool"):
        data = DeltaCompressor().serialize_delta(record, form=form)
        assert len(data) < 5000
        with pytest.raises(DeltaCompressionError, match="limit of 100000"):
            read_record(data, limit=100_000)
