"""What is exported opens again with equal states, and other tools find in it what they expect."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.recording import record_shop
from support.values import json_values, values
from unspool import History, Recorder, open_history
from unspool.errors import ConfigError, PathSyntaxError
from unspool.model.tags import Tagged
from unspool.model.values import json_equal, strict_equal
from unspool.sources.exports import EXPORTS, ExportOptions, export_for, export_lines
from unspool_tui.cli import run

START_NS = 1_700_000_000_000_000_000
ODD_KEYS = st.sampled_from(
    [
        "$jsan",
        "__id",
        "__type",
        "__ref",
        "__esc_",
        "__esc___id",
        "state",
        "value",
        "type",
        "entries",
        "id",
        "a",
        "",
        "~/",
    ]
)
finite = json_values.filter(lambda value: "inf" not in repr(value))
odd_values = st.recursive(
    st.none() | st.integers(0, 2) | st.sampled_from(["Map", "Date", "obj_1", "$", "n", "d0", "$.x"]) | finite,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_KEYS, inner, max_size=4),
    max_leaves=12,
)
all_states = st.dictionaries(ODD_KEYS | st.sampled_from(["$tuple", "$float", "$type"]), values, max_size=4)
odd_states = st.dictionaries(ODD_KEYS | st.text(max_size=4), odd_values, max_size=4)


def recorded(path: Path, states: list[dict[str, Any]]) -> History:
    with Recorder(path, on_error="raise") as recorder:
        for step, state in enumerate(states):
            recorder.record(state, f"step {step}", timestamp_ns=START_NS + step * 1_000_001)
    return open_history(path)


def written(history: History, name: str, path: Path, **options: Any) -> Path:
    path.write_text("".join(f"{line}\n" for line in export_lines(history, name, ExportOptions(**options))))
    return path


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", [item.name for item in EXPORTS if item.opens_again])
@settings(max_examples=examples(60))
@given(states=st.lists(odd_states, min_size=1, max_size=4))
def test_every_json_state_comes_back_equal(
    name: str, states: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("export")
    with recorded(folder / "history.unspool", states) as history:
        path = written(history, name, folder / "export")
    with open_history(path, follow=False) as again:
        assert len(again) == len(states)
        for seq, state in enumerate(states):
            assert strict_equal(again.state(seq), state)
        assert again.verdict.status == "complete"


@pytest.mark.parametrize("name", ["jsonl", "json-patch"])
@settings(max_examples=examples(60))
@given(states=st.lists(all_states, min_size=1, max_size=4))
def test_lines_bring_every_value_back_that_a_history_can_hold(
    name: str, states: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("export")
    with recorded(folder / "history.unspool", states) as history:
        path = written(history, name, folder / "export")
    with open_history(path, follow=False) as again:
        assert len(again) == len(states)
        for seq, state in enumerate(states):
            assert strict_equal(again.state(seq), state)


def test_plain_lines_carry_no_mark(tmp_path: Path) -> None:
    with recorded(tmp_path / "history.unspool", [{"a": 1}, {"a": (1,)}]) as history:
        records = [json.loads(line) for line in export_lines(history, "jsonl")]
    assert "tagged" not in records[0]
    assert records[1]["state"] == {"a": {"$tuple": [1]}}


@pytest.mark.parametrize("name", ["jsonl", "json-patch"])
def test_a_tag_that_does_not_read_costs_its_line(name: str, tmp_path: Path) -> None:
    with recorded(tmp_path / "history.unspool", [{"a": 1}, {"a": b"x"}, {"a": 2}]) as history:
        path = written(history, name, tmp_path / "export")
    path.write_text(path.read_text().replace("eA==", "?"))
    with open_history(path, follow=False) as again:
        assert len(again) == 2
        assert "tagged value" in again.verdict.problems[0].message


@pytest.mark.parametrize("name", [item.name for item in EXPORTS if item.opens_again])
def test_actions_and_times_come_back(name: str, tmp_path: Path) -> None:
    record_shop(tmp_path / "shop.unspool", 30)
    with open_history(tmp_path / "shop.unspool") as history:
        path = written(history, name, tmp_path / "export")
        with open_history(path, follow=False) as again:
            assert [entry.action for entry in again] == [entry.action for entry in history]
            assert [entry.timestamp_ns for entry in again] == [entry.timestamp_ns for entry in history]


def test_lines_keep_nanoseconds_ids_and_meta(tmp_path: Path) -> None:
    with Recorder(tmp_path / "history.unspool", on_error="raise") as recorder:
        recorder.record({"n": 1}, "a", timestamp_ns=START_NS + 7, meta={"who": "me"}, entry_id="first")
        recorder.record({"n": 2}, "b", timestamp_ns=START_NS + 8, entry_id="second")
    with open_history(tmp_path / "history.unspool") as history:
        for name in ("jsonl", "json-patch"):
            with open_history(written(history, name, tmp_path / name), follow=False) as again:
                assert [entry.id for entry in again] == ["first", "second"]
                assert [entry.timestamp_ns for entry in again] == [START_NS + 7, START_NS + 8]
                assert again[0].meta == {"who": "me"}


def test_patches_apply_with_another_tool(tmp_path: Path) -> None:
    states = record_shop(tmp_path / "shop.unspool", 40)
    with open_history(tmp_path / "shop.unspool") as history:
        lines = [json.loads(line) for line in export_lines(history, "json-patch")]
    document = lines[0]["state"]
    for line, state in zip(lines[1:], states[1:], strict=True):
        document = jsonpatch.apply_patch(document, line["patch"])
        assert json_equal(document, state)


def test_redux_keeps_what_jsan_can_say(tmp_path: Path) -> None:
    state = {
        "nan": math.nan,
        "infinite": [math.inf, -math.inf],
        "when": dt.datetime(2024, 5, 4, 6, 32, 43, 235_000, tzinfo=dt.UTC),
        "map": Tagged("Map", [["a", 1], ["b", {"$jsan": "n"}]]),
        "set": Tagged("Set", [1, 2]),
        "pattern": Tagged("RegExp", {"source": "a,b", "flags": "gi"}),
        "function": Tagged("Function", "() => 1"),
        "record": Tagged("ImmutableRecord", {"data": {"x": 1}}),
    }
    with recorded(tmp_path / "history.unspool", [state]) as history:
        path = written(history, "redux", tmp_path / "export.json")
    with open_history(path, follow=False) as again:
        assert strict_equal(again.state(0), state)


def test_redux_is_what_the_tools_import(tmp_path: Path) -> None:
    with recorded(tmp_path / "history.unspool", [{"n": 1}, {"n": 2}, {"n": 2, "m": []}]) as history:
        lifted = json.loads(written(history, "redux", tmp_path / "export.json").read_text())
    assert lifted["stagedActionIds"] == [0, 1, 2]
    assert (lifted["currentStateIndex"], lifted["nextActionId"], lifted["skippedActionIds"]) == (2, 3, [])
    assert [one["state"] for one in lifted["computedStates"]] == [{"n": 1}, {"n": 2}, {"n": 2, "m": []}]
    assert lifted["committedState"] == {"n": 1}
    action = lifted["actionsById"]["1"]
    assert (action["type"], action["action"]) == ("PERFORM_ACTION", {"type": "step 1"})
    assert action["timestamp"] == (START_NS + 1_000_001) / 1_000_000


def test_redux_actions_go_back_to_where_they_came_from(tmp_path: Path) -> None:
    lifted = Path(__file__).parents[3] / "fixtures" / "redux" / "lifted.json"
    with open_history(lifted, follow=False) as history:
        path = written(history, "redux", tmp_path / "export.json")
        with open_history(path, follow=False) as again:
            assert [entry.action for entry in again] == [entry.action for entry in history]
            assert [entry.meta.get("action") for entry in again] == [entry.meta.get("action") for entry in history]


def test_an_entry_without_an_action_gets_a_type_that_redux_takes(tmp_path: Path) -> None:
    with Recorder(tmp_path / "history.unspool") as recorder:
        recorder.record({"n": 1})
        recorder.record({"n": 2})
    with open_history(tmp_path / "history.unspool") as history:
        lifted = json.loads("".join(export_lines(history, "redux")))
    assert [lifted["actionsById"][key]["action"]["type"] for key in "01"] == ["@@INIT", "(no action)"]


def test_n70_nexus_is_an_export_list_whose_types_survive(tmp_path: Path) -> None:
    state = {
        "big": 2**70,
        "when": dt.datetime(2024, 5, 4, 6, 32, 43, 235_123),
        "map": Tagged("Map", [["a", 1]]),
        "set": Tagged("Set", [{"x": 2**60}]),
        "pattern": Tagged("RegExp", {"source": "a", "flags": ""}),
    }
    with recorded(tmp_path / "history.unspool", [state, {}]) as history:
        path = written(history, "nexus", tmp_path / "export.json")
    document = json.loads(path.read_text())
    assert document["version"] == "1.0"
    assert document["metadata"]["snapshotCount"] == 2
    assert document["metadata"]["atomNames"] == ["big", "when", "map", "set", "pattern"]
    assert document["snapshots"][1]["metadata"]["atomCount"] == 0
    with open_history(path, follow=False) as again:
        assert strict_equal(again.state(0), state)
        assert again.state(1) == {}


def table(history: History, *paths: str) -> list[list[str]]:
    text = "\n".join(export_lines(history, "csv", ExportOptions(paths)))
    return list(csv.reader(io.StringIO(text, newline="")))


def test_a_table_has_a_column_for_each_path(tmp_path: Path) -> None:
    states = [
        {"cart": {"items": [{"qty": 2}], "total": 1.5}, "on": True},
        {"cart": {"items": [], "total": 2**70}, "note": "a,b\nc"},
    ]
    with recorded(tmp_path / "history.unspool", states) as history:
        rows = table(history, "cart.total", "/cart/items/0/qty", "$.on", "note", "cart")
    assert rows[0] == ["seq", "timestamp", "action", "cart.total", "cart.items[0].qty", "on", "note", "cart"]
    assert rows[1] == [
        "0",
        "2023-11-14T22:13:20.000000Z",
        "step 0",
        "1.5",
        "2",
        "true",
        "",
        '{"items":[{"qty":2}],"total":1.5}',
    ]
    assert rows[2][1] == "2023-11-14T22:13:20.001000001Z"
    assert rows[2][3:7] == [str(2**70), "", "", "a,b\nc"]


@pytest.mark.parametrize("text", [
    "=cmd()", "+1", "-1", "@x", "\tx", " =1", "\u3000=1", "＝1", "＋1", "－1", "＠x", "\u00a0 @x", "\u200b=1", "\ufeff=1", "\n=1",
    "\x00=1", "﹦1", "\u22121",
])  # fmt: skip
def test_text_that_a_spreadsheet_would_run_is_made_inert(text: str, tmp_path: Path) -> None:
    with Recorder(tmp_path / "history.unspool") as recorder:
        recorder.record({"a": text, "n": -1}, text)
    with open_history(tmp_path / "history.unspool") as history:
        assert table(history, "a", "n")[1][2:] == [f"'{text}", f"'{text}", "-1"]


def test_a_table_without_paths_names_some_that_hold_numbers(tmp_path: Path) -> None:
    with recorded(tmp_path / "history.unspool", [{"a": {"b": [1]}, "c": True, "d": 2}]) as history:
        with pytest.raises(ConfigError, match=r"--path d or --path a\.b\[0\]"):
            list(export_lines(history, "csv"))
        with pytest.raises(PathSyntaxError):
            list(export_lines(history, "csv", ExportOptions(("a..",))))


def test_a_format_that_does_not_exist_names_those_that_do(tmp_path: Path) -> None:
    with (
        recorded(tmp_path / "history.unspool", [{}]) as history,
        pytest.raises(ConfigError, match="jsonl, json-patch, nexus, redux, csv, html"),
    ):
        export_lines(history, "xml")


def test_a_files_ending_tells_its_format() -> None:
    assert [export_for(name).name for name in ("a.html", "A.CSV", "b.jsonl", "c.json", "d")] == [
        "html",
        "csv",
        "jsonl",
        "jsonl",
        "jsonl",
    ]


@pytest.mark.parametrize("name", ["jsonl", "json-patch", "nexus", "redux", "html"])
def test_a_history_without_entries_is_exported(name: str, tmp_path: Path) -> None:
    with recorded(tmp_path / "history.unspool", []) as history:
        text = "".join(export_lines(history, name))
    assert name in ("jsonl", "json-patch", "html") or json.loads(text)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", ["jsonl", "json-patch", "nexus", "redux"])
def test_a_state_of_any_depth_is_exported_and_read_back(name: str, tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    with recorded(tmp_path / "history.unspool", [{"deep": deep}, {"deep": [deep]}]) as history:
        path = written(history, name, tmp_path / "export")
    with open_history(path, follow=False) as again:
        assert strict_equal(again.state(1), {"deep": [deep]})


def forked(path: Path) -> Path:
    with Recorder(path, on_error="raise") as recorder:
        for n in range(4):
            recorder.record({"n": n})
        recorder.record({"n": 10}, "back", parent_seq=1)
        recorder.record({"n": 11})
        recorder.record({"n": 30}, "again", parent_seq=3)
    return path


def test_lines_keep_forks(tmp_path: Path) -> None:
    path, out = forked(tmp_path / "f.unspool"), tmp_path / "f.jsonl"
    assert run(["export", str(path), str(out), "-q"]) == 0
    with open_history(path) as history, open_history(out, follow=False) as again:
        assert [entry.parent_seq for entry in again] == [entry.parent_seq for entry in history]
        assert [again.state(seq) for seq in range(7)] == [history.state(seq) for seq in range(7)]
        assert [entry.meta for entry in again] == [{}] * 7


@pytest.mark.parametrize("name", ["json-patch", "nexus", "redux", "csv"])
def test_a_format_without_forks_says_what_it_loses(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = forked(tmp_path / "f.unspool")
    chosen = ["--path", "n"] if name == "csv" else []
    assert run(["export", str(path), str(tmp_path / "out"), "--format", name, *chosen]) == 0
    assert f"2 entries follow an earlier one than the one before, which {name} cannot say" in capsys.readouterr().err
    assert run(["export", str(path), str(tmp_path / "out.html"), "--format", "html"]) == 0
    assert "cannot say" not in capsys.readouterr().err
