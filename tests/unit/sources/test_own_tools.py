"""What a format's own tool reads from a fixture is what we show of it."""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path
from typing import Any

import jsonpatch

from unspool import open_history
from unspool.model.tags import Tagged, Unrepresentable

FIXTURES = Path(__file__).parents[3] / "fixtures"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def spelled(value: Any) -> Any:
    """Spell a value as `make_web_answers.mjs` does."""
    if isinstance(value, Unrepresentable):
        return {"is": "circle"}
    if isinstance(value, Tagged):
        return _tagged(value)
    if isinstance(value, float) and not math.isfinite(value):
        text = {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
        return {"is": "number", "text": text}
    if isinstance(value, dt.datetime):
        return {"is": "Date", "ms": (value - _EPOCH) // dt.timedelta(milliseconds=1)}
    if isinstance(value, dict):
        return {key: spelled(item) for key, item in value.items()}
    return [spelled(item) for item in value] if isinstance(value, list) else value


def _tagged(value: Tagged) -> Any:
    if value.type_name in ("Map", "Set"):
        return {"is": value.type_name, "items": spelled(value.value)}
    if value.type_name == "RegExp":
        return {"is": "RegExp", **value.value}
    if value.type_name == "Error":
        return {"is": "Error", "text": value.value}
    return {"is": {"Symbol": "symbol", "Symbol.for": "symbol", "Function": "function"}[value.type_name]}


def without_undefined(value: Any) -> Any:
    """JSON-like states have no key whose value is undefined."""
    if isinstance(value, dict):
        return {key: without_undefined(item) for key, item in value.items() if item != {"is": "undefined"}}
    return [without_undefined(item) for item in value] if isinstance(value, list) else value


def test_a_redux_export_shows_what_jsan_reads_from_it() -> None:
    answers = json.loads((FIXTURES / "redux" / "instrument.expected.json").read_text())
    with open_history(FIXTURES / "redux" / "instrument.json", follow=False) as history:
        assert len(history) == len(answers)
        for seq, answer in enumerate(answers):
            entry = history[seq]
            assert spelled(history.state(seq)) == without_undefined(answer["state"])
            assert entry.action == answer["action"]
            assert entry.timestamp_ns == answer["time"] * 1_000_000
            assert entry.meta.get("skipped", False) is answer["skipped"]


def test_patches_lead_where_jsonpatch_leads() -> None:
    records = [json.loads(line) for line in (FIXTURES / "patches" / "cart.jsonl").read_text().splitlines()]
    document = records[0]
    with open_history(FIXTURES / "patches" / "cart.jsonl", follow=False) as history:
        assert history.state(0) == document
        for seq, record in enumerate(records[1:], start=1):
            operations = record if isinstance(record, list) else [record]
            document = jsonpatch.apply_patch(document, operations)
            assert history.state(seq) == document


def test_actors_show_the_snapshots_that_xstate_tells_of() -> None:
    answers = json.loads((FIXTURES / "xstate" / "door.expected.json").read_text())
    with open_history(FIXTURES / "xstate" / "door.jsonl", follow=False) as history:
        actions = [entry.action for entry in history]
        seq = 0
        for answer in answers:
            seq = actions.index(answer["event"], seq + 1)
            while actions[seq + 1 : seq + 2] == [answer["event"]]:
                seq += 1
            shown = history.state(seq)
            for actor in answer.keys() - {"event"}:
                assert {key: shown[actor][key] for key in ("status", "value", "context")} == answer[actor]
        assert seq == len(history) - 1
        assert history.verdict.status == "complete"


def test_snapshots_show_what_nexus_state_puts_back_into_its_store() -> None:
    answers = json.loads((FIXTURES / "nexus" / "history.expected.json").read_text())
    with open_history(FIXTURES / "nexus" / "history.json", follow=False) as history:
        assert len(history) == len(answers)
        for entry, answer in zip(history, answers, strict=True):
            assert history.state(entry.seq) == answer["values"]
            assert (entry.id, entry.action) == (answer["id"], answer["action"])
            assert entry.timestamp_ns == answer["timestamp"] * 1_000_000


def test_a_recorded_page_is_what_the_browser_had() -> None:
    answers = json.loads((FIXTURES / "rrweb" / "recorded.expected.json").read_text())
    with open_history(FIXTURES / "rrweb" / "recorded.json", follow=False) as history:
        assert history.verdict.status == "complete"
        for answer in answers:
            nodes = history.state(answer["after"])["nodes"]
            for identity, expected in answer["tree"].items():
                node = nodes[identity]
                # The script that made the recording is no part of what it tells.
                shown = [child for child in node.get("children", []) if nodes[child].get("tagName") != "script"]
                assert shown == expected["children"]
                assert node.get("attributes", {}) == expected.get("attributes", node.get("attributes", {}))
                assert node.get("textContent") == expected.get("text")


def test_some_properties_of_a_style_may_change_alone(tmp_path: Path) -> None:
    node = {"type": 2, "tagName": "p", "attributes": {"style": "color: red; margin: 3px"}, "childNodes": [], "id": 2}
    change = {"id": 2, "attributes": {"style": {"color": "blue", "margin": False, "padding": ["1px", "important"]}}}
    mutation = {"source": 0, "texts": [], "removes": [], "adds": [], "attributes": [change]}
    events = [
        {"type": 2, "data": {"node": {"type": 0, "childNodes": [node], "id": 1}}, "timestamp": 1_700_000_000_000},
        {"type": 3, "data": mutation, "timestamp": 1_700_000_000_001},
    ]
    (tmp_path / "page.json").write_text(json.dumps(events))
    with open_history(tmp_path / "page.json", follow=False) as history:
        assert history.state(1)["nodes"]["2"]["attributes"] == {"style": "color: blue; padding: 1px !important;"}
