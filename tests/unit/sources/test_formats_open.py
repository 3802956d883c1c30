"""Every format opens: what its entries, states and verdict are."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import pytest

from unspool import History, open_history
from unspool.errors import UnreadableSource
from unspool.model.json_exact import parse
from unspool.model.tags import Tagged, Unrepresentable
from unspool.sources.detection import FORMATS, Probe, detect

FIXTURES = Path(__file__).parents[3] / "fixtures"
START_NS = 1_700_000_000_000_000_000
DETECTED = {
    "states/bare.jsonl": "jsonl",
    "states/envelope.jsonl": "jsonl",
    "patches/cart.jsonl": "json-patch",
    "events/audit.jsonl": "events",
    "redux/lifted.json": "redux",
    "redux/custom.json": "redux",
    "redux/actions.jsonl": "redux",
    "seeds/nexus-full-snapshot.json": "nexus",
    "seeds/nexus-delta-typed.json": "nexus",
    "seeds/nexus-delta-plain-stringify.json": "nexus",
    "seeds/nexus-history-export.json": "nexus",
    "seeds/framework0-record.json": "delta-records",
    "seeds/framework0-record.json.gz": "delta-records",
    "seeds/ri-source-space.rblogs": "event-log",
    "langgraph/agent.sqlite": "langgraph",
    "home_assistant/home.db": "home-assistant",
    "temporal/order.json": "temporal",
    "xstate/toggle.jsonl": "xstate",
    "rrweb/page.json": "rrweb",
}


def opened(name: str) -> History:
    return open_history(FIXTURES / name, follow=False)


def actions(history: History) -> list[str]:
    return [entry.action for entry in history]


@pytest.mark.parametrize(("name", "expected"), DETECTED.items())
def test_a_format_is_told_by_its_content(name: str, expected: str, tmp_path: Path) -> None:
    disguised = tmp_path / "history"
    disguised.write_bytes((FIXTURES / name).read_bytes())
    assert detect(Probe(disguised)).name == expected
    assert detect(Probe(FIXTURES / name)).name == expected


def test_every_format_has_a_name_of_its_own() -> None:
    names = [name for item in FORMATS for name in (item.name, *item.aliases)]
    assert len(names) == len(set(names))


def test_enveloped_states_keep_their_time_and_action() -> None:
    with opened("states/envelope.jsonl") as history:
        assert actions(history) == ["add tea", "add mug", "add tea", "add kettle"]
        assert [entry.timestamp_ns for entry in history] == [START_NS + step * 250_000_000 for step in range(4)]
        assert history.state(1)["stock"] == {"tea": 11, "mug": 4, "kettle": 3}
        assert history.state(1)["total"] == 9.0
        assert history.verdict.status == "complete"


def test_bare_states_carry_the_time_of_the_file_and_say_so() -> None:
    path = FIXTURES / "states/bare.jsonl"
    with opened("states/bare.jsonl") as history:
        assert {entry.timestamp_ns for entry in history} == {path.stat().st_mtime_ns}
        assert all(entry.meta == {"time_from": "file"} for entry in history)
        assert len(history.state(3)["cart"]) == 4


def test_patches_apply_to_the_state_they_start_from() -> None:
    with opened("patches/cart.jsonl") as history:
        assert history.state(0) == {"cart": [], "total": 0}
        assert history.state(2) == {"cart": [{"sku": "tea", "qty": 2}], "total": 9.0}
        assert history.state(4) == {"cart": [{"sku": "tea", "qty": 2}], "total": 9.0}
        assert history[1].timestamp_ns == START_NS
        assert history[2].action == "replace /cart/0/qty +1"


def test_events_show_what_happened_and_when() -> None:
    with opened("events/audit.jsonl") as history:
        assert actions(history) == ["login", "order", "logout"]
        assert history.state(1) == {"event": {"event": "order", "payload": {"sku": "tea", "qty": 2}}}
        assert history[1].timestamp_ns - history[0].timestamp_ns == 5_250_000_000


def test_a_lifted_redux_state_gives_every_computed_state() -> None:
    with opened("redux/lifted.json") as history:
        assert actions(history) == ["@@INIT", "inc", "inc", "reset"]
        assert [history.state(seq)["count"] for seq in range(4)] == [0, 2, 5, 0]
        first = history.state(0)
        assert first["since"] == dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)
        assert history.state(1)["user"] == {"name": "Ada", "tags": ["x"]}
        assert math.isnan(history.state(2)["ratio"])
        assert history[2].meta["skipped"] is True
        assert history.state(3) == {"count": 0, "items": Tagged("ImmutableMap", {"data": {"a": 1}})}
        assert history.verdict.status == "complete"


def test_a_custom_redux_export_shows_actions_over_one_state() -> None:
    with opened("redux/custom.json") as history:
        assert actions(history) == ["@@INIT", "inc", "inc", "reset"]
        assert {history.state(seq)["count"] for seq in range(4)} == {0}
        assert history[1].meta["action"] == {"by": 2}
        assert history.verdict.status == "partial"
        assert "reducer" in history.verdict.problems[0].message


def test_nexus_export_list_applies_deltas_to_their_base() -> None:
    with opened("seeds/nexus-history-export.json") as history:
        assert history.state(0) == {"counter": 0, "user": {"name": "Alice", "tags": ["x"]}, "gone": None}
        assert history.state(1) == {
            "counter": 5,
            "user": {"name": "Alice", "tags": ["x"]},
            "added": [1, {"k": True}],
        }
        assert [entry.id for entry in history] == ["snap-1", "delta-1767225600000-i"]
        assert history[0].timestamp_ns == 1_767_225_598_000_000_000
        assert history.verdict.status == "complete"


def test_a_nexus_delta_alone_shows_what_it_changed() -> None:
    with opened("seeds/nexus-delta-typed.json") as history:
        assert history.state(0) == {"counter": 0, "gone": None}
        assert history.state(1) == {"counter": 5, "added": [1, {"k": True}]}
        assert history.verdict.status == "partial"


def test_a_nexus_delta_that_lost_its_changes_is_unreadable_not_empty() -> None:
    with pytest.raises(UnreadableSource, match="lost its 3 changes"):
        opened("seeds/nexus-delta-plain-stringify.json")


@pytest.mark.parametrize("name", ["seeds/framework0-record.json", "seeds/framework0-record.json.gz"])
def test_a_delta_record_alone_shows_its_changes_and_says_the_base_is_missing(name: str) -> None:
    with opened(name) as history:
        assert history.state(0) == {"key1": "new_value", "key2": 42, "ключ": {"n": [1, None, True]}}
        assert history[0].timestamp_ns == 1_234_567_890_000_000_000
        assert "base state" in history.verdict.problems[0].message


def test_langgraph_checkpoints_show_channels_and_forks() -> None:
    with opened("langgraph/agent.sqlite") as history:
        assert actions(history) == ["input step -1", "loop step 0", "loop step 1", "fork step 1"]
        assert history.state(2)["steps"] == 2
        hello = history.state(1)["messages"][0]
        assert hello == Tagged(
            "langchain_core.messages.human.HumanMessage", {"content": "hello", "type": "human", "id": "m1"}
        )
        assert history[3].parent_seq == 1
        assert history[0].meta["thread"] == "t1"


def test_a_pickle_in_a_checkpoint_is_refused_and_told() -> None:
    with opened("langgraph/agent.sqlite") as history:
        assert history.verdict.status == "partial"
        assert "pickle" in history.verdict.problems[0].message


def test_a_channel_stored_as_writes_is_shown_raw_unless_the_user_names_a_fold() -> None:
    with opened("langgraph/written.sqlite") as history:
        assert history.state(2)["log"] == {"seed": ["a"], "writes": [["b"], ["c"]]}
        assert "--fold log=" in history.verdict.notes[0]
    with open_history(FIXTURES / "langgraph/written.sqlite", follow=False, folds={"log": "append"}) as history:
        assert [history.state(seq)["log"] for seq in range(3)] == [["a"], ["a", "b"], ["a", "b", "c"]]


def test_several_langgraph_threads_share_one_timeline() -> None:
    with opened("langgraph/threads.sqlite") as history:
        assert history.state(0) == {"a n": 1}
        assert history.state(2) == {"b n": 10, "a n": 2}


def test_home_assistant_entities_are_atoms() -> None:
    with opened("home_assistant/home.db") as history:
        assert history.state(1) == {
            "light.kitchen": {"state": "on", "attributes": {"brightness": 180}},
            "sensor.power": {"state": "120.5", "attributes": {"unit_of_measurement": "W"}},
        }
        assert list(history.state(3)) == ["light.kitchen"]
        assert history[0].timestamp_ns == 1_700_000_000_250_000_000
        assert actions(history)[2:] == ["light.kitchen → off", "sensor.power removed"]


def test_temporal_events_are_actions_with_decoded_payloads() -> None:
    with opened("temporal/order.json") as history:
        assert actions(history)[0] == "WorkflowExecutionStarted"
        assert history.state(0)["event"]["attributes"]["input"]["payloads"] == [{"order": 17}]
        assert history[0].timestamp_ns % 1_000_000_000 == 123_456_789
        assert [entry.id for entry in history] == ["1", "2", "3", "4"]


def test_xstate_events_and_snapshots_make_one_entry_each_change() -> None:
    with opened("xstate/toggle.jsonl") as history:
        assert actions(history) == ["actor toggle", "TOGGLE", "PING", "TOGGLE"]
        assert [history.state(seq)["toggle"]["value"] for seq in range(4)] == ["off", "on", "on", "off"]


def test_rrweb_pages_are_rebuilt_from_mutations() -> None:
    with opened("rrweb/page.json") as history:
        assert history.state(0)["page"] == {"href": "http://localhost/", "width": 800, "height": 600}
        assert history.state(2)["nodes"]["5"]["textContent"] == "bye"
        assert history.state(2)["nodes"]["4"]["attributes"] == {"class": "b"}
        assert history.state(3)["nodes"]["3"]["children"] == ["4", "9"]
        assert "5" not in history.state(4)["nodes"]
        assert history.state(5)["inputs"] == {"9": {"text": "typed", "isChecked": False}}
        assert actions(history)[-1] == "Input"


def test_values_beyond_json_survive_typed_nexus_files(tmp_path: Path) -> None:
    text = """{"__id":"obj_0","__type":"Object","id":"s","type":"full","state":{"__id":"obj_1","__type":"Object",
     "a":{"__id":"obj_2","__type":"Object","type":"primitive","value":{"__type":"Set","values":[1,2]}},
     "b":{"__id":"obj_3","__type":"Object","type":"primitive","value":{"__type":"BigInt","value":"12345678901234567890123"}},
     "c":{"__id":"obj_4","__type":"Object","type":"primitive","value":{"__type":"Date","value":"Invalid Date"}},
     "d":{"__id":"obj_5","__type":"Object","type":"primitive","value":{"__type":"Function","name":"f","source":"boom()"}},
     "e":{"__id":"obj_6","__type":"Object","type":"primitive","value":{"__ref":"arr_9"}},
     "f":{"__id":"obj_7","__type":"Object","type":"primitive","value":{"__id":"obj_8","__type":"Object","__esc___x":1}}},
     "metadata":{"__id":"obj_9","__type":"Object","timestamp":1700000000000}}"""
    path = tmp_path / "typed.json"
    path.write_text(text)
    with open_history(path, follow=False) as history:
        state = history.state(0)
        assert state["a"] == Tagged("Set", [1, 2])
        assert state["b"] == 12345678901234567890123
        assert state["c"] == Tagged("Date", "Invalid Date")
        assert state["d"] == Tagged("Function", {"name": "f", "source": "boom()"})
        assert isinstance(state["e"], Unrepresentable)
        assert state["f"] == {"__x": 1}
        assert history.verdict.status == "partial"


def test_numbers_are_read_as_they_are_written() -> None:
    values = parse(b"[62, 62.0, -0.0, 18446744073709551616, 1e400, NaN, 0.1]").value
    assert [type(value).__name__ for value in values] == ["int", "float", "float", "int", "Decimal", "float", "float"]
    assert values[3] == 2**64
    assert math.copysign(1, values[2]) == -1


def test_an_event_archive_shows_the_source_after_each_event() -> None:
    with opened("seeds/ri-source-space.rblogs") as history:
        assert len(history) == 4
        assert history.state(3)["functions"]["main"] == {"body": "return 42"}
        assert history[0].timestamp_ns == 1_771_027_200_000_000_000
        assert history.verdict.status == "complete"


def test_an_archive_without_events_is_an_empty_history() -> None:
    with opened("seeds/ri-empty.rblogs") as history:
        assert len(history) == 0
        assert history.verdict.status == "complete"


def test_an_event_log_is_followed(tmp_path: Path) -> None:
    from unspool.events import EventLog, write_source

    path = tmp_path / "log.db"
    with EventLog(path) as log:
        write_source(log, "main.py", "2024-01-01T00:00:00.000Z", "a = 1\n", "python")
        with open_history(path) as history:
            assert history.state(0) == {"source": "a = 1\n"}
            write_source(log, "main.py", "2024-01-01T00:00:01.000Z", "a = 2\n", "python")
            assert history.refresh() == 1
            assert history.state(1) == {"source": "a = 2\n"}
            write_source(log, "other.py", "2024-01-01T00:00:02.000Z", "b = 1\n", "python")
            history.refresh()
            assert history.state(2) == {"main.py source": "a = 2\n", "other.py source": "b = 1\n"}


def test_one_space_of_a_log_can_be_selected(tmp_path: Path) -> None:
    from unspool.events import EventLog, write_source

    path = tmp_path / "log.db"
    with EventLog(path) as log:
        for name in ("a.py", "b.py"):
            write_source(log, name, "2024-01-01T00:00:00.000Z", f"x = {name!r}\n", "python")
    with open_history(path, follow=False, select={"space": "b.py"}) as history:
        assert history.state(-1) == {"source": "x = 'b.py'\n"}
    with pytest.raises(UnreadableSource, match="no space 'c.py'"):
        open_history(path, select={"space": "c.py"})
