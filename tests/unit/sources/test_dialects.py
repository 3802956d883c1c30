"""Other dialects of known formats: packed rrweb events, Immer's patches, change streams. None is taken for a state."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from unspool import open_history
from unspool.history.verdict import VerdictStatus
from unspool.model.entries import iso_time

AT = 1714557600000
NODE = {"type": 0, "id": 1, "childNodes": [{"type": 2, "id": 2, "tagName": "p", "attributes": {}, "childNodes": [
    {"type": 3, "id": 3, "textContent": "hi"}]}]}  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {"type": 4, "timestamp": AT, "data": {"href": "https://example.com/", "width": 800, "height": 600}},
    {"type": 2, "timestamp": AT + 100, "data": {"node": NODE, "initialOffset": {"top": 0, "left": 0}}},
    {"type": 3, "timestamp": AT + 200, "data": {"source": 0, "texts": [{"id": 3, "value": "bye"}], "attributes": [],
                                                "removes": [], "adds": []}},
]  # fmt: skip


def packed(value: Any, pack: Any = gzip.compress) -> str:
    text: str = pack(json.dumps(value).encode()).decode("latin-1")
    return text


def posthog(event: dict[str, Any]) -> dict[str, Any]:
    if event["type"] == 2:
        return {**event, "cv": "2024-10", "data": packed(event["data"])}
    if event["type"] == 3:
        parts = {key: packed(event["data"][key]) for key in ("texts", "attributes", "removes", "adds")}
        return {**event, "cv": "2024-10", "data": {**event["data"], **parts}}
    return event


def write(folder: Path, document: Any, name: str = "recording.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document))
    return path


def lines(folder: Path, records: list[Any]) -> Path:
    path = folder / "records.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("document", [
    EVENTS, {"events": EVENTS}, {"version": "1", "data": {"id": "r", "snapshots": EVENTS}}, [posthog(event) for event in EVENTS],
    [packed(event, zlib.compress) for event in EVENTS],
], ids=["list", "events", "posthog export", "posthog packed", "packer"])  # fmt: skip
def test_a_recording_is_read_in_any_container(document: Any, tmp_path: Path) -> None:
    with open_history(write(tmp_path, document), follow=False) as history:
        assert [len(history.state(seq)["nodes"]) for seq in range(3)] == [0, 3, 3]
        assert history.state(2)["nodes"]["3"]["textContent"] == "bye"
        assert history.verdict.status is VerdictStatus.COMPLETE


@pytest.mark.parametrize("spoilt", [
    {"type": 2, "timestamp": AT, "cv": "2030-01", "data": "\x00strange"}, {"type": 2, "timestamp": AT, "data": {"node": 5}},
    {"type": 3, "timestamp": AT, "cv": "2030-01", "data": {"source": 0, "texts": "\x1f\x8b\x08broken"}},
])  # fmt: skip
def test_events_that_do_not_unpack_make_the_verdict_partial(spoilt: Any, tmp_path: Path) -> None:
    with open_history(write(tmp_path, [*EVENTS, spoilt]), follow=False) as history:
        assert history.verdict.status is VerdictStatus.PARTIAL
        assert "they change nothing" in history.verdict.problems[0].message


def test_events_that_change_no_page_keep_their_data(tmp_path: Path) -> None:
    custom = {"type": 5, "timestamp": AT + 300, "data": {"tag": "click", "payload": {"x": 1}}}
    with open_history(write(tmp_path, [*EVENTS, custom]), follow=False) as history:
        assert history[3].meta["data"] == custom["data"]


IMMER = [
    {"op": "add", "path": ["todos"], "value": []},
    {"op": "add", "path": ["todos", 0], "value": {"id": "a", "done": False}},
    {"op": "replace", "path": ["todos", 0, "done"], "value": True},
    {"op": "add", "path": ["a/b", ], "value": 1},
    {"op": "replace", "path": ["todos", "length"], "value": 0},
]  # fmt: skip


def test_patches_of_immer_are_patches(tmp_path: Path) -> None:
    for format_name in (None, "json-patch"):
        with open_history(lines(tmp_path, IMMER), follow=False, format=format_name) as history:
            assert len(history) == len(IMMER)
            assert history.state(0) == {"todos": []}
            assert history.state(2) == {"todos": [{"id": "a", "done": True}]}
            assert history.state(-1) == {"todos": [], "a/b": 1}
            assert history.verdict.status is VerdictStatus.COMPLETE
            assert history[2].action == "replace todos[0].done"


def test_patches_of_immer_in_envelopes_have_their_times(tmp_path: Path) -> None:
    records = [
        {"timestamp": AT + number, "action": f"step {number}", "patch": [step]} for number, step in enumerate(IMMER)
    ]
    with open_history(lines(tmp_path, records), follow=False) as history:
        assert [entry.action for entry in history][:2] == ["step 0", "step 1"]
        assert iso_time(history[0].timestamp_ns).startswith("2024-05-01T10:00")
        assert history.state(2) == {"todos": [{"id": "a", "done": True}]}


def test_inverse_patches_tell_the_state_before(tmp_path: Path) -> None:
    records = [{"patches": [{"op": "replace", "path": ["count"], "value": number + 1}],
                "inversePatches": [{"op": "replace", "path": ["count"], "value": number}]} for number in range(2)]  # fmt: skip
    with open_history(lines(tmp_path, records), follow=False) as history:
        assert [history.state(seq) for seq in range(len(history))] == [{"count": 0}, {"count": 1}, {"count": 2}]
        assert history[0].meta["known"] == "what the inverse patches tell"
        assert history.verdict.status is VerdictStatus.COMPLETE


@pytest.mark.parametrize("record", [
    {"op": "replace", "path": ["a", "b"], "value": 1}, {"op": "frobnicate", "path": "/a", "value": 1}, {"op": "replace", "path": 5},
])  # fmt: skip
def test_what_looks_like_an_operation_is_never_the_state_that_patches_start_from(record: Any, tmp_path: Path) -> None:
    path = lines(tmp_path, [record, {"op": "add", "path": "/b", "value": 2}])
    with open_history(path, follow=False, format="json-patch") as history:
        assert history.verdict.status is VerdictStatus.PARTIAL
        assert all("op" not in history.state(entry.seq) for entry in history)


def debezium(op: str, before: Any, after: Any, number: int, table: str = "items") -> dict[str, Any]:
    source = {"db": "shop", "table": table, "ts_ms": AT}
    return {"payload": {"before": before, "after": after, "source": source, "op": op, "ts_ms": AT + number}}


def test_debezium_folds_into_tables(tmp_path: Path) -> None:
    pen, cup = {"id": 1, "name": "pen", "qty": 2}, {"id": 2, "name": "cup", "qty": 1}
    records = [
        debezium("r", None, pen, 0), debezium("c", None, cup, 1), debezium("u", pen, {**pen, "qty": 1}, 2),
        debezium("d", cup, None, 3), debezium("c", None, {"uid": "x"}, 4, "users")["payload"],
    ]  # fmt: skip
    with open_history(lines(tmp_path, records), follow=False) as history:
        assert history.state(1) == {"shop.items": [pen, cup]}
        assert history.state(3) == {"shop.items": [{**pen, "qty": 1}]}
        assert history.state(4)["shop.users"] == [{"uid": "x"}]
        assert [entry.action for entry in history] == [
            "read shop.items", "create shop.items", "update shop.items", "delete shop.items", "create shop.users"]  # fmt: skip
        assert iso_time(history[2].timestamp_ns) == "2024-05-01T10:00:00.002000Z"
        assert history.verdict.status is VerdictStatus.COMPLETE


def test_change_streams_of_mongodb_fold_into_collections(tmp_path: Path) -> None:
    def change(kind: str, number: int, **more: Any) -> dict[str, Any]:
        at = {"$timestamp": {"t": AT // 1000 + number, "i": 1}}
        return {"_id": {"_data": str(number)}, "operationType": kind, "clusterTime": at, "ns": {"db": "d", "coll": "c"},
                "documentKey": {"_id": "a"}, **more}  # fmt: skip

    update = {
        "updatedFields": {"n": 2, "inner.x": 5},
        "removedFields": ["old"],
        "truncatedArrays": [{"field": "list", "newSize": 1}],
    }
    records = [
        change("insert", 0, fullDocument={"_id": "a", "n": 1, "old": 1, "inner": {"y": 1}, "list": [1, 2]}),
        change("update", 1, updateDescription=update), change("replace", 2, fullDocument={"_id": "a", "n": 3}),
        change("delete", 3), change("drop", 4),
    ]  # fmt: skip
    with open_history(lines(tmp_path, records), follow=False) as history:
        assert history.state(1) == {"d.c": [{"_id": "a", "n": 2, "inner": {"y": 1, "x": 5}, "list": [1]}]}
        assert history.state(2) == {"d.c": [{"_id": "a", "n": 3}]}
        assert history.state(3) == {"d.c": []}
        assert history.state(4) == {}
        assert iso_time(history[1].timestamp_ns) == "2024-05-01T10:00:01.000000Z"


def test_changes_that_do_not_fit_are_told(tmp_path: Path) -> None:
    records = [
        debezium("c", None, {"id": 1}, 0),
        debezium("x", None, None, 1),
        debezium("u", {"id": 9}, {"id": 9, "q": 1}, 2),
    ]
    with open_history(lines(tmp_path, records), follow=False) as history:
        assert history.verdict.status is VerdictStatus.PARTIAL
        assert len(history) == 2
