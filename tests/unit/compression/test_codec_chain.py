"""`DeltaChain`: every state reads back at its index, whatever was done to the chain."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from codec_values import STRATEGIES, same, states
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool.codec.state_codec import ContradictoryRecord, CorruptRecord, StateNotFound
from unspool.compression import DeltaChain, DeltaCompressionError, DeltaCompressor, DeltaRecord


def filled(count: int, **options: Any) -> DeltaChain:
    chain = DeltaChain(clock=itertools.count(1000.0).__next__, **options)
    for number in range(count):
        chain.add_state({"version": number, "text": "x" * number, "same": [1, {"n": None}]})
    return chain


def version(state: dict[str, Any]) -> int:
    return int(state["version"])


def test_f30_the_defaults_of_the_seed() -> None:
    chain = DeltaChain()
    assert chain.delta_compressor.strategy == "auto"
    assert (chain.max_chain_length, chain.enable_rebase) == (20, True)
    assert chain.get_current_state() == {}
    assert chain.get_state_at_index(0) == {}
    assert len(chain) == 0


@pytest.mark.parametrize("length", [0, -1, True, 2.5, None])
def test_f30_a_length_that_makes_no_sense_is_refused(length: Any) -> None:
    with pytest.raises(DeltaCompressionError, match="max_chain_length"):
        DeltaChain(max_chain_length=length)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("keys", [1000, 1001])
def test_f31_no_state_is_lost_by_any_strategy_around_a_thousand_keys(strategy: str, keys: int) -> None:
    chain = DeltaChain(strategy, max_chain_length=100)
    state = {f"key{number}": number for number in range(keys)}
    for step in range(6):
        state[f"key{step * 17}"] = -step - 1
        record = chain.add_state(state)
        assert (set(record.changes) == {f"key{step * 17}"}) is (step > 0)
    for step in range(6):
        assert version_of(chain.state_number(step), keys) == step + 1
    assert chain.get_current_state() == state


def version_of(state: dict[str, int], keys: int) -> int:
    assert len(state) == keys
    return sum(value < 0 for value in state.values())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_f31_a_large_value_with_a_small_edit_reads_back(strategy: str) -> None:
    chain = DeltaChain(strategy)
    text = "".join(f"line {number * 7919 % 1000}\n" for number in range(400))
    texts = [text[: 40 * step] + "!" + text[40 * step :] for step in range(8)]
    for each in texts:
        chain.add_state({"text": each, "n": (1, 2)})
    assert [state["text"] for state in chain] == texts
    records = [chain.get_delta_at_index(index) for index in range(8)]
    assert [record.changes["text"] for record in records[1:] if record] == texts[1:]
    if strategy in ("binary", "auto"):
        assert all(record.size_bytes < 300 for record in records[1:] if record)
        assert all(record.metadata["strategy"] == "binary" for record in records[1:] if record)


def test_f31_the_chain_does_not_follow_later_changes_of_what_was_added() -> None:
    state: dict[str, Any] = {"items": [1]}
    chain = DeltaChain()
    chain.add_state(state)
    state["items"].append(2)
    record = chain.add_state(state)
    state["items"].append(3)
    record.changes["items"].append(4)
    chain.get_current_state()["items"].append(5)
    assert [chain[0], chain[1]] == [{"items": [1]}, {"items": [1, 2]}]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_f31_records_of_a_chain_make_the_same_states_elsewhere(strategy: str) -> None:
    chain = filled(12, delta_strategy=strategy)
    compressor = DeltaCompressor("dict")
    state = chain.get_state_at_index(0)
    other = DeltaChain("dict", clock=lambda: 0.0)
    other.add_state(state)
    for index in range(1, 12):
        record = chain.get_delta_at_index(index)
        assert record is not None
        back = compressor.deserialize_delta(compressor.serialize_delta(record))
        assert back == record
        state = compressor.apply_delta(state, back)
        assert state == chain.get_state_at_index(index + 1)
        other.add_delta(back)
    assert list(other) == list(chain)


def test_f32_index_zero_is_the_base_and_index_k_the_kth_state() -> None:
    chain = filled(4)
    assert [version(chain.get_state_at_index(index)) for index in range(5)] == [0, 0, 1, 2, 3]


def test_f32_a_number_names_one_state_only() -> None:
    chain = filled(4)
    assert len(chain) == 4
    assert [version(chain[number]) for number in range(4)] == [0, 1, 2, 3]
    assert [version(chain.state_number(number)) for number in range(-4, 0)] == [0, 1, 2, 3]
    assert [version(state) for state in chain] == [0, 1, 2, 3]


@pytest.mark.parametrize("index", [-1, 5, 99, "1", True, None, 1.0])
def test_f32_an_index_outside_is_an_index_error(index: Any) -> None:
    with pytest.raises(IndexError, match="it goes from 0 to 4") as raised:
        filled(4).get_state_at_index(index)
    assert isinstance(raised.value, DeltaCompressionError)


@pytest.mark.parametrize("number", [-5, 4, "1", True, slice(0, 1)])
def test_f32_a_number_outside_is_an_index_error(number: Any) -> None:
    with pytest.raises(StateNotFound, match="holds 4 states"):
        filled(4)[number]


def test_f33_the_current_state_is_the_latest() -> None:
    assert version(filled(7).get_current_state()) == 6


def test_f34_records_are_found_by_index_and_nothing_outside() -> None:
    chain = filled(3)
    first, second = chain.get_delta_at_index(0), chain.get_delta_at_index(1)
    assert first is not None
    assert second is not None
    assert first.metadata == {"empty_delta": True}
    assert (first.timestamp, second.timestamp) == (1000.0, 1001.0)
    assert second.changes == {"version": 1, "text": "x"}
    assert chain.get_delta_at_index(3) is None
    assert chain.get_delta_at_index(-1) is None


def test_f35_clearing_forgets_states_and_metrics_but_not_statistics() -> None:
    chain = filled(30)
    operations = chain.delta_compressor.get_compression_stats()["total_operations"]
    chain.clear_chain()
    assert (len(chain), chain.get_current_state(), chain.get_delta_at_index(0)) == (0, {}, None)
    assert set(chain.get_chain_metrics().values()) == {0}
    assert chain.delta_compressor.get_compression_stats()["total_operations"] == operations == 29
    chain.add_state({"a": 1})
    assert chain.get_state_at_index(0) == {"a": 1}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_f36_rebaseline_keeps_every_earlier_state_at_its_index(strategy: str) -> None:
    chain = filled(5, delta_strategy=strategy)
    before = [chain.get_state_at_index(index) for index in range(6)]
    chain.rebaseline()
    assert chain.active_base() == chain.get_current_state() == before[5]
    chain.add_state({"version": 5})
    assert [chain.get_state_at_index(index) for index in range(6)] == before
    assert chain.get_state_at_index(6) == {"version": 5}
    metrics = chain.get_chain_metrics()
    assert (metrics["chain_length"], metrics["rebaseline_count"], chain.archived_count) == (2, 1, 5)


def test_f36_rebaseline_of_an_empty_or_fresh_chain_changes_nothing_readable() -> None:
    chain = DeltaChain()
    chain.rebaseline()
    assert chain.get_chain_metrics()["rebaseline_count"] == 0
    chain = filled(3)
    chain.rebaseline()
    chain.rebaseline()
    assert [version(state) for state in chain] == [0, 1, 2]
    assert chain.get_chain_metrics()["chain_length"] == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_f37_the_automatic_rebaseline_loses_no_history(strategy: str) -> None:
    chain = filled(65, delta_strategy=strategy)
    assert [version(chain.get_state_at_index(index)) for index in range(1, 66)] == list(range(65))
    metrics = chain.get_chain_metrics()
    assert metrics["rebaseline_count"] == metrics["optimization_count"] == 3
    assert metrics["chain_length"] <= 20
    assert [version(state) for state in chain] == list(range(65))


def test_f37_the_twenty_first_state_starts_a_new_base() -> None:
    chain = filled(20)
    assert chain.get_chain_metrics()["chain_length"] == 20
    chain.add_state({"version": 20})
    assert chain.get_chain_metrics()["chain_length"] == 1
    assert [version(state) for state in chain] == list(range(21))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_f38_merging_the_oldest_keeps_originals_and_indices(strategy: str) -> None:
    chain = filled(50, delta_strategy=strategy, max_chain_length=8, enable_rebase=False)
    assert [version(chain.get_state_at_index(index)) for index in range(1, 51)] == list(range(50))
    metrics = chain.get_chain_metrics()
    assert metrics["rebaseline_count"] == 0
    assert metrics["optimization_count"] > 0
    assert metrics["chain_length"] == len(chain.active_deltas()) <= 8
    record = chain.get_delta_at_index(3)
    assert record is not None
    assert record.changes == {"version": 3, "text": "xxx"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_f38_the_shortened_chain_leads_to_the_current_state(strategy: str) -> None:
    chain = filled(30, delta_strategy=strategy, max_chain_length=8, enable_rebase=False)
    state = chain.active_base()
    for record in chain.active_deltas():
        state = chain.delta_compressor.apply_delta(state, record)
    assert state == chain.get_current_state()


def test_f38_merging_follows_the_chain_and_not_the_clock() -> None:
    chain = DeltaChain("dict", max_chain_length=4, enable_rebase=False)
    for step in range(12):
        chain.add_state({"a": step} if step % 2 else {"b": step}, timestamp=float(-step))
    expected = [{"a": step} if step % 2 else {"b": step} for step in range(12)]
    assert list(chain) == expected
    assert [chain.get_state_at_index(step + 1) for step in range(12)] == expected


def test_f39_metrics_count_changes_and_removals_over_the_whole_chain() -> None:
    chain = DeltaChain(max_chain_length=2)
    for state in ({"a": 1}, {"a": 2, "b": 1}, {"b": 1}, {"c": 1}):
        chain.add_state(state)
    assert chain.get_chain_metrics() == {
        "chain_length": 2,
        "rebaseline_count": 1,
        "optimization_count": 1,
        "total_changes": 3,
        "total_removals": 2,
    }


def test_f30_records_can_be_added_without_states() -> None:
    chain = DeltaChain()
    chain.add_delta(DeltaRecord(1.0, {"a": 1}))
    chain.add_delta(DeltaRecord(2.0, {"b": [1]}, ["a"]))
    assert [chain.get_state_at_index(index) for index in range(3)] == [{}, {"a": 1}, {"b": [1]}]
    assert list(chain) == [{"a": 1}, {"b": [1]}]
    chain.add_state({"b": [1], "c": 1})
    assert chain[-1] == {"b": [1], "c": 1}


def test_an_added_record_is_copied_and_checked() -> None:
    chain = DeltaChain()
    record = DeltaCompressor().create_delta_record({"a": [1]}, [])
    chain.add_delta(record)
    record.changes["a"].append(2)
    assert chain.get_current_state() == {"a": [1]}
    with pytest.raises(CorruptRecord):
        chain.add_delta(record)
    with pytest.raises(ContradictoryRecord):
        chain.add_delta(DeltaRecord(1.0, {"a": 1}, ["a"]))
    with pytest.raises(DeltaCompressionError, match="not a dict"):
        chain.add_delta({"changes": {}})  # type: ignore[arg-type]
    assert len(chain) == 1


@pytest.mark.parametrize(
    "strategy", [pytest.param(name, marks=() if name == "dict" else pytest.mark.slow) for name in STRATEGIES]
)
def test_values_ten_thousand_deep_pass_through_a_chain(strategy: str) -> None:
    deep: Any = []
    for _ in range(10_000):
        deep = [deep]
    chain = DeltaChain(strategy, max_chain_length=2, enable_rebase=False)
    for step in range(4):
        chain.add_state({"step": step, "deep": [deep] if step % 2 else deep})
    assert [same(chain[step]["deep"], [deep] if step % 2 else deep) for step in range(4)] == [True] * 4


@pytest.mark.parametrize("bad", [None, [1], {1: 1}, {"a": object()}])
def test_a_refused_state_leaves_the_chain_as_it_was(bad: Any) -> None:
    chain = DeltaChain()
    with pytest.raises(DeltaCompressionError):
        chain.add_state(bad)
    assert len(chain) == 0
    chain.add_state({"a": 1})
    with pytest.raises(DeltaCompressionError):
        chain.add_state(bad)
    assert list(chain) == [{"a": 1}]


def test_a_state_equal_to_the_one_before_adds_an_empty_delta() -> None:
    chain = DeltaChain("binary")
    chain.add_state({"a": 1})
    record = chain.add_state({"a": 1})
    assert record.metadata == {"empty_delta": True}
    assert list(chain) == [{"a": 1}, {"a": 1}]


operations: st.SearchStrategy[list[tuple[str, dict[str, Any]]]] = st.lists(
    st.tuples(st.just("state"), states)
    | st.tuples(st.just("rebaseline"), st.just({}))
    | st.tuples(st.just("delta"), states),
    max_size=14,
)


@settings(max_examples=examples(40), deadline=None)
@given(operations=operations, enable_rebase=st.booleans(), length=st.integers(1, 6))
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_chain_is_a_list_of_states(
    strategy: str, operations: list[tuple[str, dict[str, Any]]], enable_rebase: bool, length: int
) -> None:
    chain = DeltaChain(strategy, length, enable_rebase)
    model: list[dict[str, Any]] = []
    base: dict[str, Any] = {}
    for kind, content in operations:
        if kind == "rebaseline":
            chain.rebaseline()
        elif kind == "state":
            base = base if model else content
            chain.add_state(content)
            model.append(content)
        else:
            gone = [key for key in "abc" if key not in content]
            chain.add_delta(DeltaRecord(0.0, content, gone))
            before = model[-1] if model else {}
            model.append({key: value for key, value in (before | content).items() if key not in gone})
    assert same(list(chain), model)
    assert same([chain[number] for number in range(len(chain))], model)
    assert same([chain.get_state_at_index(index) for index in range(len(model) + 1)], [base, *model])
    assert same(chain.get_current_state(), model[-1] if model else {})
    assert chain.get_chain_metrics()["chain_length"] <= max(length, 2)
