"""Large JSON documents are read in parts: what comes out is the same as where they are read at once."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool import Recorder
from unspool.model import json_exact
from unspool.model.encoding import encode
from unspool.model.json_exact import BrokenText, Parsed, parse
from unspool.model.limits import DEFAULT_LIMITS
from unspool.model.values import strict_equal
from unspool.recorder.encoding import EncodedState
from unspool.sources.formats.rewritten import EncodedStates, SavesReader
from unspool.store.memory import MemoryStore

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12)
    | st.sampled_from([":", "a:b", "::", '"', "\\", "\u003a", "x" * 70])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=6), inner, max_size=6), max_leaves=40
)  # fmt: skip
STATES = st.dictionaries(st.text(max_size=6).filter(lambda name: name != "state"), VALUES, min_size=2, max_size=8)
ODD_TEXTS = (
    '{"a": 1, "b": [1, 2, 3, 4], "a": 2}', '{"a": {"b": 1, "c": [1, 2], "b": 2}}', '{"a": [0.12345678901234567890, 1e400, 1]}',
    '{"a\\u003ab": [{"c": 1, "c": 2}, "x\\u003A"]}', '{"a": "\\ud800", "b": [1, 2, 3]}', '{"a": NaN, "b": [1, 2, 3, 4]}',
    '{"a": [1, 2, 3, 4], "b": }', '{"a": [1, 2, 3, 4]', '{"a": [1, 2, 3, 4]} x', "[[1, 2, 3], [4, 5, 6]]", '[{"a": 1, "a": 1}, [1, 2]]',
    '{"a": ' + "[" * 500 + "]" * 500 + "}", '{"n": 123456789012345678901234567890, "list": [1.0, 1, -0.0, 62.0]}',
    ' \n{"a": [1, 2], "b": {"c": 0}}\n', "", "   ",
)  # fmt: skip


@contextmanager
def parts_of_bytes(large: int, small: int = 4) -> Iterator[None]:
    """Read in parts what is larger than some bytes; lists of values that are smaller than others at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_exact, "LARGE", large)
        patch.setattr(json_exact, "_USUAL_RUN", max(large // 2, 1))
        patch.setattr(json_exact, "_MOST_OF_RUN", large)
        patch.setattr(json_exact, "_SMALL", small)
        yield


def outcome(data: bytes) -> Parsed | tuple[str, int, bool]:
    try:
        return parse(data)
    except BrokenText as error:
        return str(error), error.offset, error.is_cut_short


def is_same(one: Parsed | tuple[str, int, bool], other: Parsed | tuple[str, int, bool]) -> bool:
    if isinstance(one, Parsed) and isinstance(other, Parsed):
        return strict_equal(one.value, other.value) and one.repeated_key == other.repeated_key
    return one == other


@given(VALUES, st.sampled_from([None, 2]), st.sampled_from([1, 8, 40]))
def test_a_text_read_in_parts_gives_the_same_value(value: Any, indent: int | None, large: int) -> None:
    data = json.dumps(value, indent=indent).encode()
    whole = outcome(data)
    with parts_of_bytes(large):
        assert is_same(outcome(data), whole)


@pytest.mark.parametrize("text", ODD_TEXTS)
@pytest.mark.parametrize("large", [1, 16])
def test_a_text_that_needs_care_is_read_with_care(text: str, large: int) -> None:
    whole = outcome(text.encode())
    with parts_of_bytes(large):
        assert is_same(outcome(text.encode()), whole)


@settings(max_examples=examples(20))
@given(st.lists(STATES, min_size=1, max_size=3), STATES, st.sampled_from([1, 8, 12]))
def test_a_document_becomes_the_wire_form_of_its_state(
    states: list[dict[str, Any]], other: dict[str, Any], large: int
) -> None:
    # One that shares most with the one before it, in other places.
    following = {**dict(reversed(states[0].items())), **dict(list(other.items())[:1])}
    reader = EncodedStates()
    with parts_of_bytes(large):
        for state in [*states, states[0], following, states[0]]:
            text = json.dumps(state).encode()
            encoded = reader.read(text, DEFAULT_LIMITS)
            value = parse(text).value
            assert encoded is not None
            assert encoded.base.blob == encode(value)
            assert encoded.base.to_dict() == {name: encode(item) for name, item in value.items()}
            assert strict_equal(dict(encoded), value)


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_what_is_no_plain_state_is_left_to_the_careful_way(text: str) -> None:
    reader = EncodedStates()
    with parts_of_bytes(1):
        encoded = reader.read(text.encode(), DEFAULT_LIMITS)
        if encoded is not None:
            careful = parse(text.encode())
            assert careful.repeated_key is None
            assert encoded.base.blob == encode(careful.value)
        # What failed before does no harm to what follows.
        after = reader.read(b'{"a": [1, 2, 3], "b": {"c": 4}}', DEFAULT_LIMITS)
        assert after is not None
        assert after.base.blob == encode({"a": [1, 2, 3], "b": {"c": 4}})


def test_an_envelope_is_no_state() -> None:
    with parts_of_bytes(1):
        assert EncodedStates().read(b'{"timestamp": 1, "state": {"a": 1}}', DEFAULT_LIMITS) is None


def records_of(store: MemoryStore) -> list[tuple[Any, ...]]:
    return [
        (entry.kind, entry.added, entry.modified, entry.deleted, entry.full_bytes)
        for entry in store.entries(0, len(store))
    ]


@settings(max_examples=examples(20))
@given(st.lists(STATES, min_size=1, max_size=4))
def test_recording_what_was_encoded_before_is_recording_the_state(states: list[dict[str, Any]]) -> None:
    plain, encoded = MemoryStore(), MemoryStore()
    one = Recorder(plain, on_error="raise", max_bytes=None)
    other = Recorder(encoded, on_error="raise", max_bytes=None)
    reader = EncodedStates()
    for state in [*states, {**states[-1], **states[0]}, dict(reversed(states[0].items()))]:
        text = json.dumps(state).encode()
        with parts_of_bytes(1):
            read = reader.read(text, DEFAULT_LIMITS)
        assert read is not None
        one.record(parse(text).value, timestamp_ns=1)
        other.record(read, timestamp_ns=1)
        seq = len(plain) - 1
        assert records_of(plain) == records_of(encoded)
        assert one._capture.base.blob == other._capture.base.blob, seq


def test_what_is_to_be_left_out_is_left_out_of_encoded_states_too() -> None:
    with parts_of_bytes(1):
        state = EncodedStates().read(b'{"user": {"password": "hunter2"}, "n": 1}', DEFAULT_LIMITS)
    assert isinstance(state, EncodedState)
    store = MemoryStore()
    Recorder(store, on_error="raise", max_bytes=None, redact=["**.password"]).record(state)
    assert b"hunter2" not in b"".join(bytes(record.payload) for record in store.run(0).records)


@pytest.mark.slow
def test_a_large_file_that_is_rewritten_takes_a_few_times_its_size(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    rows = [{"id": number, "text": f"{number:x}" * 50, "tags": ["a", "b"]} for number in range(24_000)]
    recorder = Recorder(tmp_path / "x.unspool", on_error="raise", max_bytes=None, durability="fast")
    # Reading asks for a buffer of what a document may have at most.
    reader = SavesReader(path, "json", replace(DEFAULT_LIMITS, document_bytes=8 << 20))
    size = 0
    peaks = []
    for turn in range(3):
        rows[turn * 1_000]["text"] = "changed"
        path.with_suffix(".new").write_text(json.dumps({"turn": turn, "rows": rows}))
        path.with_suffix(".new").replace(path)
        size = path.stat().st_size
        tracemalloc.start()
        try:
            for entry in reader.read():
                recorder.record(entry.state, timestamp_ns=entry.timestamp_ns)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    recorder.close()
    assert size > json_exact.LARGE
    assert max(peaks) < 6 * size


def test_a_large_file_written_in_place_with_the_same_content_is_one_save(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    reader = SavesReader(path, "json")
    counts = []
    with parts_of_bytes(1):
        for text in (
            '{"a": [1, 2], "b": 3}',
            '{"a": [1, 2], "b": 3}',
            '{"a":[1,2],"b":3}',
            '{"a":[1,2],"b":4}',
            "[4]",
            "[4]",
        ):
            with path.open("a+") as stream:
                stream.truncate(0)
                stream.write(text)
            counts.append(len(list(reader.read())))
    assert counts == [1, 0, 0, 1, 1, 0]
