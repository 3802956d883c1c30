"""What each format does at its edges."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from unspool import History, open_history
from unspool.errors import UnreadableSource
from unspool.sources.detection import Probe, detect

FIXTURES = Path(__file__).parents[3] / "fixtures"
sys.path.insert(0, str(FIXTURES))


def written(path: Path, *records: Any, lines: bool = True) -> Path:
    path.write_text(
        "".join(json.dumps(record) + "\n" for record in records) if lines else json.dumps(records, indent=1)
    )
    return path


def opened(path: Path, **options: Any) -> History:
    return open_history(path, follow=False, **options)


def actions(history: History) -> list[str]:
    return [entry.action for entry in history]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("one.jsonl", '{"a": 1}\n', "jsonl"),
        ("one.json", '{"a": 1}\n', "document"),
        ("one", '{"timestamp": 1700000000, "state": {"a": 1}}\n', "jsonl"),
        ("one.json", '{"state": "CA", "city": "x"}', "document"),
        ("two", '{"a": 1}\n{"a": 2}\n', "jsonl"),
        ("two", '{"a": 1, "b": 1}\n{"c": 2, "d": 1}\n', "events"),
        ("lists", "[1]\n[2]\n", "jsonl"),
        ("pretty.json", '{\n  "a": 1\n}\n', "document"),
        ("states.json", '[{"timestamp": 1, "state": {"a": 1}}, {"timestamp": 2, "state": {"a": 2}}]', "jsonl"),
        ("actions.json", '[{"type": "a/b"}, {"type": "c", "payload": 1}]', "redux"),
        ("records.json", '[{"type": "fire", "acres": 5}]', "document"),
        ("torn.jsonl", '{"a": 1}\n{"a": 2}\n{"a"', "jsonl"),
        ("first_broken.jsonl", 'x": 1}\n{"a": 2}\n{"a": 3}\n', "jsonl"),
        ("patch.json", '[{"op": "add", "path": "/a", "value": 1}]', "json-patch"),
        ("config.toml", "[server]\nport = 1\n", "document"),
    ],
)
def test_the_format_is_told_in_doubtful_cases_too(tmp_path: Path, name: str, text: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert detect(Probe(path)).name == expected


def test_an_action_may_be_an_object(tmp_path: Path) -> None:
    action = {"type": "cart/add", "payload": 3}
    path = written(tmp_path / "s.jsonl", {"timestamp": 1, "action": action, "state": {"a": 1}, "meta": {"k": 1}})
    with opened(path) as history:
        assert history[0].action == "cart/add"
        assert history[0].meta == {"k": 1, "action": action}


def test_the_id_and_meta_of_an_envelope_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "s.jsonl", {"timestamp": 1, "id": "e1", "state": {}, "author": "ada"})
    with opened(path) as history:
        assert history[0].id == "e1"
        assert history[0].meta == {"author": "ada"}


def test_a_game_clock_is_no_time_of_day(tmp_path: Path) -> None:
    path = written(tmp_path / "s.jsonl", {"time": 3, "a": 1}, {"time": 4, "a": 2})
    with opened(path) as history:
        assert history[0].timestamp_ns == path.stat().st_mtime_ns
        assert history.state(0) == {"time": 3, "a": 1}


def test_a_patch_that_does_not_fit_is_left_out_and_told(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.jsonl",
        {"op": "add", "path": "/a", "value": 1},
        [{"op": "add", "path": "/b", "value": 2}, {"op": "replace", "path": "/missing/x", "value": 3}],
        {"op": "replace", "path": "/a", "value": 9, "oldValue": 5},
    )
    with opened(path) as history:
        assert [history.state(seq) for seq in range(len(history))] == [{"a": 1}, {"a": 9}]
        messages = [problem.message for problem in history.verdict.problems]
        assert "does not exist" in messages[0]
        assert "old value" in messages[1]


def test_a_patch_may_replace_the_whole_document(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.jsonl", {"op": "add", "path": "/a", "value": 1}, {"op": "replace", "path": "", "value": [1]}
    )
    with opened(path) as history:
        assert history.state(1) == {"value": [1]}


def lifted(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FIXTURES / "redux" / "lifted.json").read_text())
    return {**document, **changes}


def test_redux_actions_committed_before_the_export_are_told(tmp_path: Path) -> None:
    document = lifted(stagedActionIds=[0, 41, 42, 43])
    document["actionsById"] = {str(number): document["actionsById"]["1"] for number in (0, 41, 42, 43)}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document))
    with opened(path) as history:
        assert len(history) == 4
        assert "actions 1 to 40" in history.verdict.problems[0].message


def test_redux_states_that_are_missing_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(lifted(computedStates=[{"state": {"n": 1}}], committedState={"n": 0})))
    with opened(path) as history:
        assert history.state(3) == {"n": 1}
        assert "3 of 4 actions" in history.verdict.problems[0].message


def test_a_lifted_state_inside_a_payload_string_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"payload": json.dumps(lifted())}))
    with opened(path) as history:
        assert [history.state(seq)["count"] for seq in range(4)] == [0, 2, 5, 0]


def test_a_redux_export_whose_embedded_json_is_broken_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"payload": "[{", "preloadedState": "{}"}))
    with pytest.raises(UnreadableSource, match="embedded JSON"):
        opened(path)


def nexus_full(identity: str, timestamp: int, **atoms: Any) -> dict[str, Any]:
    state = {name: {"value": value, "type": "primitive"} for name, value in atoms.items()}
    return {"id": identity, "state": state, "metadata": {"timestamp": timestamp, "atomCount": len(atoms)}}


def nexus_delta(identity: str, base: str, changes: Any) -> dict[str, Any]:
    return {"id": identity, "type": "delta", "baseSnapshotId": base, "changes": changes, "metadata": {"timestamp": 5}}


@pytest.mark.parametrize("lines", [True, False])
def test_nexus_deltas_stand_on_the_snapshot_they_name(tmp_path: Path, lines: bool) -> None:
    change = {"changeType": "modified", "oldValue": 1, "newValue": 2}
    path = written(
        tmp_path / "n",
        nexus_full("a", 1, x=1, y=1),
        nexus_delta("d1", "a", {"x": change}),
        nexus_delta("d2", "a", [["y", change]]),
        nexus_delta("d3", "d1", {"__type": "Map", "entries": [["y", change]]}),
        nexus_delta("d4", "gone", {"y": change}),
        lines=lines,
    )
    with opened(path) as history:
        assert [history.state(seq) for seq in range(4)] == [
            {"x": 1, "y": 1}, {"x": 2, "y": 1}, {"x": 1, "y": 2}, {"x": 2, "y": 2},
        ]  # fmt: skip
        assert "'gone', which is not in the file" in history.verdict.problems[0].message


def test_an_unknown_kind_of_nexus_change_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "n", nexus_full("a", 1, x=1), nexus_delta("d", "a", {"x": {"changeType": "renamed"}}))
    with opened(path) as history:
        assert len(history) == 1
        assert "'renamed'" in history.verdict.problems[0].message


def delta_record(changes: dict[str, Any], removed: list[str], **more: Any) -> dict[str, Any]:
    payload = json.dumps({"changes": changes, "removed": removed}, sort_keys=True)
    return {
        "changes": changes, "removed_keys": removed, "timestamp": 1_700_000_000.5, "compression_ratio": 1.0,
        "checksum": hashlib.sha256(payload.encode()).hexdigest()[:16], "size_bytes": len(payload),
        "metadata": {"compression_level": 0, "original_size": 1, "compressed_size": 1}, **more,
    }  # fmt: skip


def test_a_chain_of_delta_records_over_its_base(tmp_path: Path) -> None:
    records = [delta_record({"a": 2}, []), delta_record({"c": 1}, ["b"])]
    document = tmp_path / "chain.json"
    document.write_text(json.dumps({"base_state": {"a": 1, "b": 1}, "records": records}))
    for path in (document, written(tmp_path / "chain.jsonl", {"a": 1, "b": 1}, *records)):
        with opened(path) as history:
            assert [history.state(seq) for seq in range(3)] == [{"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "c": 1}]
            assert history[1].timestamp_ns == 1_700_000_000_500_000_000
            assert history.verdict.status == "complete"


def test_f18_a_delta_record_that_does_not_fit_its_checksum_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", {"a": 1}, delta_record({"a": 2}, [], checksum="0" * 16))
    with opened(path) as history:
        assert history.state(1) == {"a": 2}
        assert "checksum" in history.verdict.problems[0].message


def test_f15_a_delta_record_that_contradicts_itself_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", {"a": 1}, delta_record({"a": 2}, ["a"]))
    with opened(path) as history:
        assert len(history) == 1
        assert "both changes and removes 'a'" in history.verdict.problems[0].message


def test_langgraph_checkpoints_that_come_later_become_entries(tmp_path: Path) -> None:
    import make_databases as make

    path = tmp_path / "agent.sqlite"
    shutil.copy(FIXTURES / "langgraph" / "threads.sqlite", path)
    with open_history(path) as history:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = WAL")
        make.put(connection, "a", 5, 2, {"n": 3}, source="loop", step=1)
        make.put(connection, "c", 6, None, {"n": 0}, source="input", step=-1)
        connection.commit()
        assert history.refresh() == 2
        assert history.state(-1) == {"b n": 10, "a n": 3, "c n": 0}
        assert path.with_name("agent.sqlite-wal") in history.watch_paths
        connection.close()


def test_a_second_langgraph_thread_renames_the_atoms_of_the_first(tmp_path: Path) -> None:
    import make_databases as make

    path = tmp_path / "agent.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(make.LANGGRAPH)
    make.put(connection, "a", 0, None, {"n": 1}, source="input", step=-1)
    connection.commit()
    with open_history(path) as history:
        assert history.state(0) == {"n": 1}
        make.put(connection, "b", 1, None, {"n": 2}, source="input", step=-1)
        connection.commit()
        history.refresh()
        assert history.state(1) == {"a n": 1, "b n": 2}
    connection.close()


def test_a_checkpoint_database_may_be_opened_before_its_first_checkpoint(tmp_path: Path) -> None:
    import make_databases as make

    path = tmp_path / "agent.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(make.LANGGRAPH)
    with open_history(path) as history:
        assert len(history) == 0
        make.put(connection, "a", 0, None, {"n": 1}, source="input", step=-1)
        connection.commit()
        assert history.refresh() == 1
        assert history.state(0) == {"n": 1}
    connection.close()


def test_a_database_that_holds_odd_types_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    agent, home = tmp_path / "agent.sqlite", tmp_path / "home.db"
    shutil.copy(FIXTURES / "langgraph" / "threads.sqlite", agent)
    shutil.copy(FIXTURES / "home_assistant" / "home.db", home)
    with sqlite3.connect(agent) as connection:
        connection.execute(
            "UPDATE checkpoints SET thread_id = x'ff', metadata = 7, type = 3 WHERE checkpoint_id LIKE '%8002%'"
        )
        connection.execute("UPDATE checkpoints SET checkpoint = 5 WHERE checkpoint_id LIKE '%8001%'")
    with sqlite3.connect(home) as connection:
        connection.execute("UPDATE states_meta SET entity_id = 5 WHERE metadata_id = 1")
        connection.execute("UPDATE state_attributes SET shared_attrs = x'ff00'")
        connection.execute("UPDATE states SET last_updated_ts = 'soon', state = x'00'")
    for path, entries in ((agent, 1), (home, 4)):
        with opened(path) as history:
            assert len(history) == entries
            assert history.verdict.status == "partial"


@pytest.mark.parametrize(("fold", "expected"), [("append", ["a", "b"]), ("messages", ["a", "b"]), ("merge", {})])
def test_langgraph_folds(tmp_path: Path, fold: str, expected: Any) -> None:
    with opened(FIXTURES / "langgraph" / "written.sqlite", folds={"log": fold}) as history:
        assert history.state(1)["log"] == expected


def test_messages_with_the_same_id_replace_each_other() -> None:
    from unspool.sources.formats.langgraph_timeline import FOLDS

    seed = [{"id": "1", "t": "a"}, {"id": "2", "t": "b"}]
    assert FOLDS["messages"](seed, [[{"id": "1", "t": "A"}], {"t": "c"}]) == [
        {"id": "1", "t": "A"},
        {"id": "2", "t": "b"},
        {"t": "c"},
    ]
    assert FOLDS["merge"]({"a": 1}, [{"b": 2}, {"a": 3}]) == {"a": 3, "b": 2}


def test_home_assistant_states_that_come_later_become_entries(tmp_path: Path) -> None:
    path = tmp_path / "home.db"
    shutil.copy(FIXTURES / "home_assistant" / "home.db", path)
    with open_history(path) as history:
        connection = sqlite3.connect(path)
        connection.execute("INSERT INTO states VALUES (5, 1, 'on', NULL, NULL, 1700000009.0, 3, NULL)")
        connection.commit()
        connection.close()
        assert history.refresh() == 1
        assert history[-1].action == "light.kitchen → on"


def test_home_assistant_events_are_actions_between_the_states() -> None:
    with open_history(FIXTURES / "home_assistant" / "events.db", follow=False) as history:
        assert [entry.action for entry in history] == [
            "call_service", "light.kitchen → on", "sensor.power → 120.5", "call_service", "light.kitchen → off",
            "sensor.power removed",
        ]  # fmt: skip
        assert [entry.timestamp_ns for entry in history] == sorted(entry.timestamp_ns for entry in history)
        assert history[3].meta["data"]["service"] == "turn_off"
        assert history.changes(3).changes == ()
        assert history.verdict.status == "complete"


def test_events_kept_as_older_recorders_kept_them_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE schema_changes (schema_version INTEGER);"
            "CREATE TABLE states (state_id INTEGER PRIMARY KEY, entity_id TEXT, state TEXT, attributes TEXT, last_updated TEXT);"
            "CREATE TABLE events (event_id INTEGER PRIMARY KEY, event_type TEXT, event_data TEXT, time_fired TEXT);"
            "INSERT INTO states VALUES (1, 'a.b', 'on', '{}', '2022-01-01 10:00:01');"
            "INSERT INTO events VALUES (1, 'state_changed', '{}', '2022-01-01 10:00:01');"
            "INSERT INTO events VALUES (2, 'ring', '{\"n\": 1}', '2022-01-01 10:00:00');"
            "INSERT INTO events VALUES (3, 'odd', 'no json', NULL);"
        )
    with open_history(path) as history:
        assert [entry.action for entry in history] == ["ring", "odd", "a.b → on"]
        assert "its data are no JSON" in history.verdict.problems[0].message
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("INSERT INTO events VALUES (4, 'later', NULL, '2022-01-01 10:00:02')")
        assert history.refresh() == 1
        assert history[-1].action == "later"


def test_a_text_that_is_no_text_costs_no_other_row(tmp_path: Path) -> None:
    path = tmp_path / "home.db"
    shutil.copy(FIXTURES / "home_assistant" / "home.db", path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE states SET state = CAST(x'6fff' AS TEXT) WHERE state_id = 2")
    with open_history(path, follow=False) as history:
        assert len(history) == 4
        assert history.state(1)["sensor.power"]["state"] == "o\udcff"


def test_an_older_recorder_layout_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE schema_changes (change_id INTEGER, schema_version INTEGER);"
            "CREATE TABLE states (state_id INTEGER PRIMARY KEY, entity_id TEXT, state TEXT, attributes TEXT,"
            " last_updated TEXT);"
            "INSERT INTO states VALUES (1, 'sun.sun', 'above', '{\"elevation\": 5.5}', '2022-01-01 10:00:00.5');"
        )
    with opened(path) as history:
        assert history.state(0) == {"sun.sun": {"state": "above", "attributes": {"elevation": 5.5}}}
        assert history[0].timestamp_ns == 1_641_031_200_500_000_000


def test_a_bare_list_of_temporal_events_is_read(tmp_path: Path) -> None:
    events = json.loads((FIXTURES / "temporal" / "order.json").read_text())["events"]
    with opened(written(tmp_path / "t.json", *events, lines=False)) as history:
        assert len(history) == 4
    with opened(written(tmp_path / "t.jsonl", *events)) as history:
        assert actions(history)[-1] == "WorkflowExecutionCompleted"


def test_an_xstate_event_that_comes_alone_is_not_lost(tmp_path: Path) -> None:
    event = {"type": "@xstate.event", "sessionId": "x:0", "event": {"type": "GO"}, "createdAt": "1700000000000"}
    path = written(tmp_path / "x.jsonl", event)
    with open_history(path) as history:
        assert actions(history) == ["GO"]


def test_changes_to_nodes_that_were_never_shown_are_told(tmp_path: Path) -> None:
    document = json.loads((FIXTURES / "rrweb" / "page.json").read_text())
    del document[1]
    with opened(written(tmp_path / "r.json", *document, lines=False)) as history:
        assert len(history) == 5
        assert "never showed" in history.verdict.problems[0].message


def test_identity_set_by_hand_is_used_when_comparing(tmp_path: Path) -> None:
    def fire(key: str, acres: int) -> dict[str, Any]:
        return {"k": key, "acres": acres}

    path = written(
        tmp_path / "s.jsonl", {"Fires": [fire("a", 1), fire("b", 1)]}, {"Fires": [fire("b", 1), fire("a", 1)]}
    )
    with opened(path, identity={"Fires[*]": "k"}) as history:
        (change,) = history.diff(0, 1).changes
        assert {op.kind.value for op in change.ops} == {"move"}


def test_values_that_no_history_can_keep_cost_one_entry_only(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    deep = "[" * 50 + "]" * 50
    path.write_text('{"a": 1}\n{"a": "\\ud800", "\\ud800": 2}\n' + f'{{"a": {deep}}}\n')
    with opened(path) as history:
        assert len(history) == 3
        # A name that is no text is spelled out: every name can be typed.
        assert history.state(1) == {"a": "\ud800", "\\ud800": 2}
