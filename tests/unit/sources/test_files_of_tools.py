"""Small files as real tools write them, and what a person would say happened in them."""

from __future__ import annotations

import base64
import copy
import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonpatch
import msgpack
import pytest

from unspool import open_history
from unspool.history.verdict import VerdictStatus
from unspool.model.entries import OpKind
from unspool.model.tags import Tagged
from unspool.model.values import strict_equal
from unspool.query.disk_usage import footprint
from unspool.query.path_writes import all_writes
from unspool_tui.cli import run


def lines(folder: Path, records: list[Any], name: str = "states.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def ops_of(path: Path, seq: int) -> list[tuple[str, tuple[Any, ...], Any]]:
    """Ops of an entry in the words of the model: what is done, where, and the new value of a replacement."""
    with open_history(path, follow=False) as history:
        return [
            (op.kind.value, (change.atom, *op.path), op.new if op.kind is OpKind.REPLACE else None)
            for change in history.changes(seq).changes
            for op in change.ops
        ]


def lake(number: int, depth: float) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [number, 47.5]},
        "properties": {"LAKE_ID": number, "depth": depth},
    }


def test_map_features_are_told_apart_by_the_id_in_their_properties(tmp_path: Path) -> None:
    collections = [[lake(1, 5), lake(2, 7), lake(3, 9)], [lake(2, 8), lake(3, 9), lake(4, 1)]]
    records = [{"type": "FeatureCollection", "features": features} for features in collections]
    path = lines(tmp_path, records)
    kinds = [(kind, place) for kind, place, _ in ops_of(path, 1)]
    assert sorted(kinds) == [
        ("add", ("features", 2)),
        ("remove", ("features", 0)),
        ("replace", ("features", 0, "properties", "depth")),
    ]
    with open_history(path, follow=False) as history:
        found = all_writes(history, ("features", 0, "properties", "depth")).writes
        assert [(write.seq, write.new) for write in found] == [(1, 8), (0, 7)]


def resource(kind: str, name: str, **attributes: Any) -> dict[str, Any]:
    return {"mode": "managed", "type": kind, "name": name, "instances": [{"attributes": attributes}]}


def test_resources_of_infrastructure_are_told_apart_by_mode_type_and_name(tmp_path: Path) -> None:
    states = [
        [resource("ip", "shop", id="ip-1"), resource("vm", "db", id="vm-1", size="small")],
        [resource("vm", "db", id="vm-1", size="big"), resource("dns", "shop", id="dns-1")],
    ]
    path = lines(tmp_path, [{"version": 4, "resources": resources} for resources in states])
    found = ops_of(path, 1)
    assert ("replace", ("resources", 0, "instances", 0, "attributes", "size"), "big") in found
    assert not any(place[-1] in ("type", "name", "id") for _, place, _ in found)
    with open_history(path, follow=False, identity={"resources[*]": "mode,type,name"}) as history:
        at = ("resources", 0, "instances", 0, "attributes", "size")
        assert [(write.seq, write.new) for write in all_writes(history, at).writes] == [(1, "big"), (0, "small")]


@pytest.mark.parametrize("key", ["LAKE_ID", "properties.NAME", "properties.LAKE_ID,nothing"])
def test_a_key_that_no_record_has_is_refused_and_not_remembered(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lines(tmp_path, [{"features": [lake(1, 5), lake(2, 7)]}, {"features": [lake(2, 8), lake(1, 5)]}])
    assert run(["diff", str(path), "0", "1", "--identity", f"features[*]={key}"]) != 0
    assert "no record of features[*]" in capsys.readouterr().err
    kept = tmp_path / "kept.unspool"
    assert run(["convert", str(path), str(kept), "--identity", "features[*]=properties.LAKE_ID"]) == 0
    assert run(["diff", str(kept), "0", "1", "--identity", f"features[*]={key}"]) != 0
    with open_history(kept) as history:
        change = history.changes(1).changes[0]
        assert change.ops
        assert list(change.list_keys.values()) == ["properties.LAKE_ID"]


BATTERY: list[tuple[Any, Any]] = [
    ({"": {"": 1}, "x/y": {"~1": 1, "m~n": 2}, "0": [1]}, {"": {"": 2}, "x/y": {"~1": 3, "m~n": 2, "~0": 4}, "0": [1, 2]}),
    ({"o": {"0": "p", "-": 1, "01": 2}}, {"o": {"0": "q", "-": 2, "01": 3, "1": 9}}),
    ({"l": [True, 1, 1.0, 0, False, None, 0.0, -0.0]}, {"l": [1, True, 1, False, 0, None, -0.0, 0.0]}),
    ({"p": {"x": [1, 2]}, "q": [1]}, {"p": [{"x": 1}], "q": {"0": 1}}),
    ({"n": 2**53 + 1, "m": 10**22 + 3}, {"n": 2**53, "m": 10**22 + 4}),
    ({"n\u0303": 1, "\u00f1": 2, "\U0001f680": [{"id": "\u0000"}]}, {"n\u0303": 2, "\u00f1": 1, "\U0001f680": [{"id": "\u0000", "v": 1}]}),
    ({"l": [{"id": 7, "v": "p"}, {"id": 7, "v": "q"}, {"id": 8, "v": "r"}]}, {"l": [{"id": 8, "v": "r"}, {"id": 7, "v": "q"}, {"id": 7, "v": "z"}]}),
    ({"l": [{"id": 7, "v": "p"}, {"id": "7", "v": "q"}]}, {"l": [{"id": "7", "v": "Q"}, {"id": 7, "v": "P"}]}),
    ({"l": [{"id": 1, "v": "p"}, {"id": True, "v": "q"}]}, {"l": [{"id": True, "v": "Q"}, {"id": 1.0, "v": "P"}]}),
    ({"l": ["a", "b", "c", "d", "e"]}, {"l": ["e", "d", "c", "b", "a"]}),
    ({"l": [["p", "q"], ["r", "s"]]}, {"l": [["s", "r"], ["q", "p"]]}),
    ({"l": [1, 3]}, {"l": [0, 3, 3, 2]}),
    ({"l": ["x", "y", "x"]}, {"l": ["x", "y"]}),
    ({"l": [{"uid": 52}, {"uid": 91}]}, {"l": [{"uid": 52}, {"uid": 77}, {"uid": 91}]}),
    ({"l": [{"id": [1]}, {"id": [2]}]}, {"l": [{"id": []}, {"id": [1]}]}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BATTERY)))
def test_patches_either_way_lead_to_the_other_state_in_another_library(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = BATTERY[number]
    path = str(lines(tmp_path, [{"timestamp": 1714557600 + seq, "state": state} for seq, state in enumerate(states)]))
    for first, second in ((0, 1), (1, 0)):
        assert run(["diff", path, str(first), str(second), "--patch"]) == 0
        patch = json.loads(capsys.readouterr().out)
        led_to = jsonpatch.apply_patch(copy.deepcopy(states[first]), patch)
        assert strict_equal(led_to, states[second])


def checkpoints(path: Path, rows: list[tuple[str, bytes]]) -> None:
    """Write LangGraph's tables with one thread of checkpoints, each of a kind and its bytes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE checkpoints (thread_id TEXT, checkpoint_ns TEXT, checkpoint_id TEXT, "
            "parent_checkpoint_id TEXT, type TEXT, checkpoint BLOB, metadata BLOB)"
        )
        for number, (kind, data) in enumerate(rows):
            parent = f"c{number - 1:03}" if number else None
            row = ("t", "", f"c{number:03}", parent, kind, data, b'{"source":"loop","step":%d}' % number)
            connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        connection.commit()


def test_checkpoints_in_plain_json_are_read_and_the_heavy_channel_is_named(tmp_path: Path) -> None:
    notes = {f"/notes/{number}.txt": {"text": "word " * 40, "at": number} for number in range(9)}
    states = [{"notes": notes, "said": ["hi"] * number} for number in range(3)]
    documents = [
        {"v": 4, "id": str(number), "ts": f"2024-05-01T10:00:0{number}Z", "channel_values": state}
        for number, state in enumerate(states)
    ]
    path = tmp_path / "saver.sqlite"
    checkpoints(path, [("json", json.dumps(document).encode()) for document in documents])
    with open_history(path, follow=False) as history:
        assert [history.state(seq) for seq in range(3)] == states
        assert history.verdict.status is VerdictStatus.COMPLETE
        assert footprint(history).atoms[0].name == "notes"


def extension(code: int, module: str, name: str, content: Any) -> msgpack.ExtType:
    return msgpack.ExtType(code, msgpack.packb([module, name, content]))


def array(dtype: str, shape: list[int], data: bytes) -> msgpack.ExtType:
    return msgpack.ExtType(6, msgpack.packb([dtype, shape, "C", data]))


TYPES: list[tuple[Any, Any]] = [
    (extension(5, "app", "Cart", {"owner": extension(5, "app", "User", {"n": 1})}), Tagged("app.Cart", {"owner": Tagged("app.User", {"n": 1})})),
    (extension(2, "app", "Point", {"x": 3, "later": 7}), Tagged("app.Point", {"x": 3, "later": 7})),
    (extension(0, "collections", "deque", [1, 2]), Tagged("collections.deque", [1, 2])),
    (extension(0, "decimal", "Decimal", "1.50"), Tagged("decimal.Decimal", "1.50")),
    (array("<i8", [2, 3], struct.pack("<6q", *range(6))), Tagged("numpy.ndarray", {"dtype": "<i8", "shape": [2, 3], "values": [[0, 1, 2], [3, 4, 5]]})),
    (array(">f4", [2], struct.pack(">2f", 0.5, -2)), Tagged("numpy.ndarray", {"dtype": ">f4", "shape": [2], "values": [0.5, -2.0]})),
    (array("|b1", [1], b"\x01"), Tagged("numpy.ndarray", {"dtype": "|b1", "shape": [1], "values": [True]})),
    (array("<i8", [2, 3], b"short"), Tagged("numpy.ndarray", {"dtype": "<i8", "shape": [2, 3], "order": "C", "data": b"short"})),
    (array("|O", [1], b"\x80"), Tagged("numpy.ndarray", {"dtype": "|O", "shape": [1], "order": "C", "data": b"\x80"})),
]  # fmt: skip


def test_objects_in_checkpoints_keep_their_type_and_content(tmp_path: Path) -> None:
    path = tmp_path / "types.sqlite"
    documents = [{"id": str(number), "channel_values": {"x": packed}} for number, (packed, _) in enumerate(TYPES)]
    checkpoints(path, [("msgpack", msgpack.packb(document)) for document in documents])
    with open_history(path, follow=False) as history:
        for seq, (_, expected) in enumerate(TYPES):
            assert strict_equal(history.state(seq)["x"], expected)


@pytest.mark.parametrize(
    "spelled", ["EVENT_TYPE_WORKFLOW_EXECUTION_STARTED", "WORKFLOW_EXECUTION_STARTED", "WorkflowExecutionStarted"]
)
@pytest.mark.parametrize("bare", [True, False])
def test_workflow_events_open_in_every_spelling(spelled: str, bare: bool, tmp_path: Path) -> None:
    def payload(encoding: bytes, **more: Any) -> dict[str, Any]:
        return {"metadata": {"encoding": base64.b64encode(encoding).decode()}, **more}

    plain = payload(b"json/plain", data=base64.b64encode(b'{"n":1}').decode())
    inputs = [plain, payload(b"binary/null"), payload(b"binary/plain", data="AAE="), {**plain, "note": "x"}]
    events = [
        {"eventId": 1, "eventTime": "2021-06-22T10:00:00.5Z", "eventType": spelled,
         "workflowExecutionStartedEventAttributes": {"input": {"payloads": inputs}}},
        {"eventId": "2", "eventTime": "2021-06-22T10:00:01Z", "eventType": "EVENT_TYPE_WORKFLOW_TASK_SCHEDULED"},
    ]  # fmt: skip
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(events if bare else {"events": events}))
    with open_history(path, follow=False) as history:
        assert [entry.action for entry in history] == ["WorkflowExecutionStarted", "WorkflowTaskScheduled"]
        read = history.state(0)["event"]["attributes"]["input"]["payloads"]
        assert read[:2] == [{"n": 1}, None]
        assert read[2] == inputs[2]
        assert (read[3]["data"], read[3]["note"]) == ({"n": 1}, "x")
