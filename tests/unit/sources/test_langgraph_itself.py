"""What LangGraph says of its own checkpoints is what we show of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.langgraph_answers import FIXTURES, GRAPH, agrees, expected, is_installed
from unspool import open_history


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
    not is_installed("langgraph.checkpoint.sqlite"),
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
