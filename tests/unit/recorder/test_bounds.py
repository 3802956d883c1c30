"""One call costs no more than it may, and what is left out says so at its place; everything beside it stays."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from unspool.errors import UnsupportedValue
from unspool.history import History
from unspool.model.values import Tagged, Unrepresentable
from unspool.model.wire import is_modest
from unspool.recorder import Recorder, ValueMarked
from unspool.store import MemoryStore


def kept(value: Any, **options: Any) -> Any:
    store = MemoryStore()
    recorder = Recorder(store, **{"on_error": "ignore", **options})
    assert recorder.record({"a": value, "b": 1}) == 0
    state = History(store).state(0)
    assert state["b"] == 1
    return state["a"]


@dataclass
class Node:
    name: str
    links: list[Any] = field(default_factory=list)


def doubled(levels: int) -> Any:
    value: Any = ["leaf"]
    for _ in range(levels):
        value = [value, value]
    return value


def doubled_objects(levels: int) -> Any:
    value = Node("leaf")
    for number in range(levels):
        value = Node(str(number), [value, value])
    return value


def doubled_keys(levels: int) -> Any:
    value: Any = {1: "leaf"}
    for _ in range(levels):
        value = {1: value, "x": value}
    return value


def wide(levels: int) -> Any:
    value: Any = ["leaf"] * 1000
    for _ in range(levels // 10):
        value = [value] * 1000
    return value


@pytest.mark.parametrize("make", [doubled, doubled_objects, doubled_keys, wide])
@pytest.mark.parametrize("on_error", ["ignore", "raise"])
def test_shared_parts_are_not_written_over_and_over(make: Any, on_error: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.thread_time()
    value = kept(make(40), on_error=on_error)
    assert time.thread_time() - start < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    # Its shape is kept: something is written, and what stands for the rest says where.
    references = [item for item in parts(value) if isinstance(item, Tagged) and item.type_name == "$ref"]
    assert references
    assert all(item.value.startswith("$.a") for item in references)


def parts(value: Any) -> Iterator[Any]:
    todo = [value]
    while todo:
        item = todo.pop()
        yield item
        if isinstance(item, Tagged):
            todo.append(item.value)
        elif isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list | tuple):
            todo.extend(item)


def test_a_little_sharing_is_written_out() -> None:
    shared = {"x": [1, 2]}
    assert kept([shared, (shared, {3: shared})]) == [shared, (shared, {3: shared})]


def test_large_states_of_different_parts_are_modest() -> None:
    assert is_modest({str(number): [[number], {"n": [number]}] for number in range(60_000)})
    assert not is_modest(doubled(30))


@pytest.mark.parametrize(
    "hide",
    [
        lambda value: {**{f"atom{at}": {"k": [1, 2]} for at in range(20)}, "late": value},
        lambda value: {"items": [*({"k": at} for at in range(100)), value]},
        lambda value: {"items": [{"rows": [[at] * 40, {"deep": [value]}]} for at in range(50)]},
    ],
)
def test_shared_parts_are_found_wherever_they_are(hide: Any, tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.unspool", on_error="raise") as recorder:
        for at in range(3):
            recorder.record(hide([at]))
        start = time.thread_time()
        recorder.record(hide(doubled(28)))
        assert time.thread_time() - start < 2


def test_cycles_keep_their_shape() -> None:
    ring: dict[str, Any] = {"name": "ring", "items": [1]}
    ring["items"].append(ring)
    ring["pair"] = (ring["items"], 2)
    for on_error in ("ignore", "raise"):
        found = kept(ring, on_error=on_error)
        assert found["name"] == "ring"
        assert found["items"] == [1, Tagged("$ref", "$.a")]
        assert found["pair"][1] == 2
    node = Node("n")
    node.links.append({"back": node})
    assert kept({1: node})[1].value == {"name": "n", "links": [{"back": Tagged("$ref", "$.a[1]")}]}


def test_a_marker_stands_at_the_leaf_and_its_siblings_stay() -> None:
    lock = threading.Lock()
    with pytest.warns(ValueMarked, match=r"\$\.a\.list\[1\]: a value of type lock cannot be kept"):
        found = kept({"ok": 1, "list": [1, lock, (2, {3: lock})]}, on_error="warn")
    assert found["ok"] == 1
    marker = found["list"][1]
    assert marker == Unrepresentable("_thread.lock", "cannot be recorded: <unlocked _thread.lock object>")
    assert found["list"] == [1, marker, (2, {3: marker})]


def test_depth_is_bounded_by_option() -> None:
    value: Any = "deepest"
    for _ in range(50):
        value = [value]
    found = kept({1: value}, max_depth=20)
    levels = 0
    while isinstance(found, list | dict):
        found = found[0] if isinstance(found, list) else found[1]
        levels += 1
    assert isinstance(found, Unrepresentable)
    assert "more than 20 levels deep" in found.reason
    assert levels <= 20
    assert kept({1: value}) == {1: value}


def test_bytes_are_bounded_by_option() -> None:
    rows = [{"id": number, "text": "x" * 100} for number in range(10_000)]
    found = kept(rows, max_bytes=50_000)
    assert found[:100] == rows[:100]
    assert len(found) < 600
    left = 10_000 - (len(found) - 1)
    assert found[-1] == Unrepresentable("list", f"{left:,} more left out: more than 50,000 bytes in all")
    by_key = kept({str(number): "y" * 100 for number in range(10_000)}, max_bytes=50_000)
    assert "more left out" in by_key["…"].reason
    assert by_key["0"] == "y" * 100
    by_number = kept(dict.fromkeys(range(10000), "y" * 100), max_bytes=50_000)
    assert "more left out" in by_number["…"].reason
    assert by_number[0] == "y" * 100
    text = kept(["short", "z" * 100_000, "end"], max_bytes=50_000)
    assert (text[0], text[2]) == ("short", "end")
    assert "100,000 bytes or letters" in text[1].reason
    with pytest.raises(UnsupportedValue, match="more than 50,000 bytes"):
        kept(rows, max_bytes=50_000, on_error="raise")


class Endless(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return int(key)

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield str(number)

    def __len__(self) -> int:
        return 3


def test_a_mapping_that_never_ends_ends() -> None:
    found = kept([Endless(), 2])
    assert isinstance(found[0], Unrepresentable)
    assert found[1] == 2


def test_time_is_bounded_by_option() -> None:
    value = [{number: [number]} for number in range(100_000)]
    start = time.monotonic()
    found = kept(value, max_seconds=0.02)
    assert time.monotonic() - start < 30
    assert found[0] == {0: [0]}
    assert "more than 0.02 s in all" in found[-1].reason


def test_an_object_of_very_many_fields() -> None:
    class Wide:
        pass

    wide_object = Wide()
    vars(wide_object).update((f"field{number}", number) for number in range(300_000))
    start = time.thread_time()
    kept({"ok": 1, "wide": wide_object}, max_bytes=1_000_000)
    assert time.thread_time() - start < 10


def test_values_that_have_bounds_already_are_written_out() -> None:
    shared = ["x" * 1000] * 200
    value: Any = {1: [shared, shared, (shared,)]}
    deep: Any = 1
    for _ in range(30_000):
        deep = [deep]
    found = kept({"shared": value, "deep": deep}, max_bytes=None, on_error="raise")
    assert found["shared"] == value
    assert not any(isinstance(item, Tagged | Unrepresentable) for item in parts(found))


def test_what_is_told_of_markers_is_short_however_deep_and_many_they_are() -> None:
    deep: Any = threading.Lock()
    for _ in range(20_000):
        deep = [deep]
    with pytest.warns(ValueMarked) as told:
        Recorder(MemoryStore()).record({"a": deep})
    assert len(str(told[0].message)) < 1000
    assert "20,001 levels" in str(told[0].message)
    many = {"k" * 5000: [threading.Lock() for _ in range(20_000)]}
    recorder = Recorder(MemoryStore())
    began = time.process_time()
    with pytest.warns(ValueMarked) as told:
        recorder.record({"a": many})
    assert time.process_time() - began < 2
    assert len(str(told[0].message)) < 1000
    assert all(isinstance(item, Unrepresentable) for item in recorder.last()["a"]["k" * 5000])
    with pytest.raises(UnsupportedValue) as raised:
        Recorder(MemoryStore(), on_error="raise").record({"a": many})
    assert len(str(raised.value)) < 1000
