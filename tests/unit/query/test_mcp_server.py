"""The MCP server answers questions about a history, tells what is wrong with a question, and never writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.recording import record_shop
from unspool.errors import MissingExtra
from unspool.history import History
from unspool.store import FileStore
from unspool_tui import mcp_server
from unspool_tui.mcp_server import HistoryTools


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    path = tmp_path / "shop.unspool"
    return path, record_shop(path, 60)


@pytest.fixture
def tools(shop: tuple[Path, list[dict[str, Any]]]) -> Any:
    with History(FileStore.open(shop[0])) as history:
        yield {
            name: lambda tool=tool, **given: json.loads(tool(**given))
            for name, tool in HistoryTools(history).tools().items()
        }


def test_entries_are_listed_from_the_start_the_end_or_by_atom(tools: Any) -> None:
    told = tools["list"](count=3)
    assert (told["total"], [entry["seq"] for entry in told["entries"]]) == (60, [0, 1, 2])
    assert [entry["seq"] for entry in tools["list"](start=-2)["entries"]] == [58, 59]
    assert [entry["seq"] for entry in tools["list"](atom="stock", start=5, count=2)["entries"]] == [5, 6]
    assert tools["list"](start=99)["entries"] == []


def test_states_values_and_differences_are_told(tools: Any, shop: tuple[Path, list[dict[str, Any]]]) -> None:
    states = shop[1]
    assert tools["show"](entry=7)["state"] == states[7]
    assert tools["show"](entry=7, path="stock[0].qty")["value"] == states[7]["stock"][0]["qty"]
    told = tools["diff"](a=7, b=8)
    assert {change["atom"] for change in told["changes"]} == {
        atom for atom in states[8] if states[7].get(atom) != states[8].get(atom)
    }
    assert all({"op", "path"} <= set(step) for step in tools["diff"](a=7, b=8, patch=True))


def test_blame_bisect_search_and_stats_are_told(tools: Any, shop: tuple[Path, list[dict[str, Any]]]) -> None:
    states = shop[1]
    (blamed,) = tools["blame"](path="stock[0].qty")["values"]
    assert states[blamed["seq"]]["stock"][0]["qty"] == states[-1]["stock"][0]["qty"] == blamed["value"]
    flips = tools["bisect"](expression="stock[0].qty < 50")["flips"]
    assert flips[0]["seq"] == next(seq for seq, state in enumerate(states) if state["stock"][0]["qty"] < 50)
    assert tools["search"](text="A-3", limit=2)["hits"][0]["seq"] == 0
    assert tools["stats"]()["entries"] == 60


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("show", {"entry": 99}),
        ("show", {"path": "no.such"}),
        ("show", {"path": "a[["}),
        ("diff", {"a": 0, "b": 99}),
        ("blame", {"path": "nothing"}),
        ("bisect", {"expression": "(("}),
    ],
)
def test_a_wrong_question_is_answered_with_what_is_wrong(
    shop: tuple[Path, list[dict[str, Any]]], name: str, given: dict[str, Any]
) -> None:
    with History(FileStore.open(shop[0])) as history:
        tool = mcp_server._telling(HistoryTools(history).tools()[name])
        assert json.loads(tool(**given)).keys() == {"error"}


def test_an_answer_that_nobody_could_read_is_refused_with_another_way(
    tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_server, "MOST_CHARACTERS", 100)
    assert "ask for a path" in tools["show"](entry=5)["error"]


def test_without_the_package_the_extra_is_named(
    shop: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_server, "_HOMES", (("no_such_package", "Server"),))
    with History(FileStore.open(shop[0])) as history, pytest.raises(MissingExtra, match=r"unspool\[mcp\]"):
        mcp_server.make_server(history)


def test_a_real_client_lists_and_calls_tools_over_standard_input(shop: tuple[Path, list[dict[str, Any]]]) -> None:
    pytest.importorskip("mcp", reason="the package mcp (extra `mcp`) is not installed")
    path = shop[0]
    before = path.read_bytes()
    command = [sys.executable, "-m", "unspool_tui.cli", "mcp", str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def send(message: dict[str, Any]) -> None:
            stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            stdin.flush()

        def ask(number: int, method: str, params: dict[str, Any]) -> Any:
            send({"id": number, "method": method, "params": params})
            while True:
                answer = json.loads(stdout.readline())
                if answer.get("id") == number:
                    return answer["result"]

        client = {"name": "test", "version": "1"}
        hello = ask(1, "initialize", {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": client})
        assert hello["serverInfo"]["name"] == "unspool"
        send({"method": "notifications/initialized"})
        listed = ask(2, "tools/list", {})["tools"]
        assert {tool["name"] for tool in listed} == {"list", "show", "diff", "blame", "bisect", "search", "stats"}
        assert all(tool["description"] for tool in listed)
        called = ask(3, "tools/call", {"name": "show", "arguments": {"entry": 4, "path": "stock[1].sku"}})
        assert json.loads(called["content"][0]["text"])["value"] == shop[1][4]["stock"][1]["sku"]
        wrong = ask(4, "tools/call", {"name": "show", "arguments": {"entry": 999}})
        assert "has no entry 999" in wrong["content"][0]["text"]
        stdin.close()
        assert process.wait(timeout=30) == 0
    assert path.read_bytes() == before
