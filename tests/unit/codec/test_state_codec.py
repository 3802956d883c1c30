"""States in wire form as bytes: what the file store and `convert --codec` stand on."""

from __future__ import annotations

import contextlib
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool.codec.state_codec import (
    CorruptRecord,
    MissingBinaryCodec,
    PatchBaseMismatch,
    apply_binary_delta,
    apply_bound_patch,
    binary_delta,
    compress_full,
    decode_full,
    encode_full,
    is_compressed,
    make_bound_patch,
)
from unspool.errors import BaseMismatch, CorruptHistory, DeltaCompressionError, MissingExtra

wire_states = st.dictionaries(st.text(max_size=8) | st.just("\ud800"), st.binary(max_size=60), max_size=12)


@settings(max_examples=examples(100))
@given(wire_states)
def test_a_state_comes_back_from_its_canonical_bytes(state: dict[str, bytes]) -> None:
    assert decode_full(encode_full(state)) == state
    assert encode_full(dict(reversed(state.items()))) == encode_full(state)


@settings(max_examples=examples(100))
@given(wire_states, st.integers(1, 9))
def test_a_compressed_state_comes_back_and_is_never_larger(state: dict[str, bytes], level: int) -> None:
    packed = compress_full(state, level)
    assert decode_full(packed) == state
    assert len(packed) <= len(encode_full(state))


@settings(max_examples=examples(60))
@given(wire_states, wire_states)
def test_a_binary_delta_gives_the_new_state(old: dict[str, bytes], new: dict[str, bytes]) -> None:
    assert apply_binary_delta(old, binary_delta(old, new)) == new


def test_f09_a_patch_on_another_base_of_the_same_length_is_refused() -> None:
    patch = binary_delta({"a": b"x" * 100}, {"a": b"x" * 99 + b"z"})
    with pytest.raises(PatchBaseMismatch, match="another state") as raised:
        apply_binary_delta({"a": b"y" * 100}, patch)
    assert isinstance(raised.value, DeltaCompressionError)
    assert isinstance(raised.value, BaseMismatch)


def test_f09_binary_without_bsdiff4_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    patch = binary_delta({}, {"a": b"1"})
    monkeypatch.setitem(sys.modules, "bsdiff4", None)
    with pytest.raises(MissingBinaryCodec, match=r"unspool\[binary\]") as raised:
        binary_delta({}, {"a": b"1"})
    assert isinstance(raised.value, MissingExtra)
    with pytest.raises(MissingExtra):
        apply_binary_delta({}, patch)


def test_any_flipped_byte_of_a_patch_is_noticed() -> None:
    old, new = {"a": bytes(range(200))}, {"a": bytes(range(1, 201))}
    patch = binary_delta(old, new)
    for position in range(len(patch)):
        damaged = bytearray(patch)
        damaged[position] ^= 0x41
        try:
            result = apply_binary_delta(old, bytes(damaged))
        except DeltaCompressionError:
            continue
        assert result == new


@settings(max_examples=examples(100))
@given(st.binary(max_size=80))
def test_bytes_that_are_no_state_raise_one_type_of_error(data: bytes) -> None:
    assert issubclass(CorruptRecord, CorruptHistory)
    with contextlib.suppress(CorruptRecord):
        decode_full(data)


def test_cut_patches_and_states_are_noticed() -> None:
    state = {"a": b"abc" * 50, "b": b"\x00" * 400}
    for whole in (encode_full(state), compress_full(state)):
        for length in range(len(whole)):
            with pytest.raises(DeltaCompressionError):
                decode_full(whole[:length])
    patch = binary_delta({}, state)
    for length in range(len(patch)):
        with pytest.raises(DeltaCompressionError):
            apply_binary_delta({}, patch[:length])


def test_a_state_beyond_the_cap_is_refused_on_writing_and_on_reading() -> None:
    state = {"a": bytes(100_000)}
    with pytest.raises(DeltaCompressionError, match="limit of 1000"):
        encode_full(state, limit=1000)
    packed = compress_full(state)
    assert is_compressed(packed)
    assert len(packed) < 1000
    with pytest.raises(DeltaCompressionError, match="limit of 1000"):
        decode_full(packed, limit=1000)


def test_a_patch_whose_blocks_expand_beyond_the_result_is_refused() -> None:
    bomb = make_bound_patch(bytes(10), bytes(3_000_000))
    honest = make_bound_patch(bytes(10), bytes(10))
    header = len(honest) - len(honest[honest.index(b"BSDIFF40") :])
    size_at = header + 24
    forged = honest[:header] + bomb[header:size_at] + honest[size_at : size_at + 8] + bomb[size_at + 8 :]
    with pytest.raises(CorruptRecord, match="larger than the state it makes"):
        apply_bound_patch(bytes(10), forged)


def test_a_patch_that_gives_another_state_of_the_same_size_is_noticed() -> None:
    old = bytes(300)
    honest, other = make_bound_patch(old, b"a" * 300), make_bound_patch(old, b"b" * 300)
    body = honest.index(b"BSDIFF40")
    with pytest.raises(CorruptRecord, match="not the state it was made for"):
        apply_bound_patch(old, honest[:body] + other[body:])
