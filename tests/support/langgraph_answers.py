"""What LangGraph said of the checkpoints in `fixtures/langgraph/graph.sqlite`, and whether a history agrees."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from unspool import History
from unspool.model.tags import Tagged
from unspool.model.values import State
from unspool.sources.entries import to_ns

FIXTURES = Path(__file__).parents[2] / "fixtures"
GRAPH = FIXTURES / "langgraph" / "graph.sqlite"


def is_installed(module: str) -> bool:
    """Whether a module can be imported; the folder of fixtures may itself look like its package."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def expected() -> dict[str, Any]:
    """Return what LangGraph said, by checkpoint."""
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
    """Compare every entry with what LangGraph said of its checkpoint."""
    seqs = {entry.id: entry.seq for entry in history}
    assert seqs.keys() == answers.keys()
    for identity, told in answers.items():
        entry = history[seqs[identity]]
        shown = part(history.state(entry.seq), told, is_single=is_single)
        # A channel that nothing was written to is empty for the graph, and not in its file at all.
        assert shown == {name: value for name, value in told["values"].items() if name in shown or value}
        assert entry.timestamp_ns == to_ns(told["created"])
        assert entry.action.partition(":")[0] == f"{told['source']} step {told['step']}"
        assert entry.meta.get("parent") == told["parent"]
        assert entry.meta.get("namespace", "") == told.get("namespace", "")
        turn = (told["thread"], told.get("namespace", ""))
        before = [one for one in history[: entry.seq] if (one.meta["thread"], one.meta.get("namespace", "")) == turn]
        if told["parent"] is not None and told["parent"] != before[-1].id:
            assert entry.parent_seq == seqs[told["parent"]]
        else:
            assert entry.parent_seq == (entry.seq - 1 if entry.seq else None)
