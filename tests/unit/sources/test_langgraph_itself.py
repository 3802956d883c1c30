"""What LangGraph says of its own checkpoints is what we show of them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from unspool import History, open_history
from unspool.model.tags import Tagged
from unspool.model.values import State
from unspool.sources.timestamps import to_ns

FIXTURES = Path(__file__).parents[3] / "fixtures"
GRAPH = FIXTURES / "langgraph" / "graph.sqlite"


def expected() -> dict[str, Any]:
    answers: dict[str, Any] = json.loads((FIXTURES / "langgraph" / "graph.expected.json").read_text())
    return answers


def plain(value: Any) -> Any:
    """Return a value as the fixture's script writes it."""
    if isinstance(value, Tagged):
        content = value.value
        return {"class": value.type_name.rpartition(".")[2], "content": content["content"], "id": content["id"]}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def part(state: State, told: dict[str, Any], *, is_single: bool = False) -> dict[str, Any]:
    """Return the channels of one thread and namespace that LangGraph tells of, by their names."""
    namespace = told.get("namespace", "")
    prefix = "" if is_single else f"{told['thread']}|{namespace} " if namespace else f"{told['thread']} "
    return {name: plain(state[prefix + name]) for name in told["values"] if prefix + name in state}


def agrees(history: History, answers: dict[str, Any], *, is_single: bool = False) -> None:
    seqs = {entry.id: entry.seq for entry in history}
    assert seqs.keys() == answers.keys()
    for identity, told in answers.items():
        entry = history[seqs[identity]]
        shown = part(history.state(entry.seq), told, is_single=is_single)
        # A channel that nothing was written to is empty for the graph, and not in its file at all.
        assert shown == {name: value for name, value in told["values"].items() if name in shown or value}
        assert entry.timestamp_ns == to_ns(told["created"])
        assert entry.action == f"{told['source']} step {told['step']}"
        assert entry.meta.get("parent") == told["parent"]
        assert entry.meta.get("namespace", "") == told.get("namespace", "")
        if told["parent"] is not None:
            assert entry.parent_seq == seqs[told["parent"]]


def test_every_checkpoint_shows_what_langgraph_shows() -> None:
    with open_history(GRAPH, follow=False, folds={"log": "append"}) as history:
        agrees(history, expected())
        assert history.verdict.status == "complete"


def test_the_fixture_has_forks_subgraphs_updates_and_channels_stored_as_writes() -> None:
    answers = expected()
    parents = [told["parent"] for told in answers.values() if told["parent"]]
    assert len(parents) > len(set(parents))
    assert {"input", "loop", "update"} <= {told["source"] for told in answers.values()}
    assert any(told.get("namespace") for told in answers.values())
    with open_history(GRAPH, follow=False) as history:
        assert any("writes" in (history.state(entry.seq).get("main log") or {}) for entry in history)


@pytest.mark.skipif(
    importlib.util.find_spec("langgraph") is None or importlib.util.find_spec("langgraph.checkpoint.sqlite") is None,
    reason="langgraph and langgraph-checkpoint-sqlite are not installed",
)
def test_a_graph_that_was_just_run_shows_what_langgraph_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FIXTURES))
    script = __import__("make_langgraph")
    try:
        answers = script.make(tmp_path / "fresh.sqlite")
    finally:
        sys.modules.pop("make_langgraph", None)
    with open_history(tmp_path / "fresh.sqlite", follow=False, folds={"log": "append"}) as history:
        agrees(history, answers)
