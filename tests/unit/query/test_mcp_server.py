"""The MCP server answers questions about a history, tells what is wrong with a question, and never writes."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from question_histories import damaged_shop, tell

from support.recording import record_shop
from unspool import Recorder
from unspool.errors import MissingExtra, QuestionError
from unspool.history import History
from unspool.model import limits
from unspool.model.limits import Limits
from unspool.store import FileStore
from unspool_tui import mcp_server
from unspool_tui.mcp_server import Desk, HistoryTools

TOOLS = {
    "sources", "list", "show", "diff", "blame", "writes", "why", "shape", "bisect", "search", "compare", "check", "doctor",
    "bytes", "notes", "stats",
}  # fmt: skip


class Refusal(Exception):
    """What the server would mark as an error."""


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    path = tmp_path / "shop.unspool"
    return path, record_shop(path, 60)


@pytest.fixture
def tools(shop: tuple[Path, list[dict[str, Any]]]) -> Any:
    with History(FileStore.open(shop[0])) as history:
        yield {
            name: lambda tool=tool, **given: json.loads(tool(**given, as_json=True))
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
    assert all({"op", "path"} <= set(step) for step in tools["diff"](a=7, b=8, patch=True)["patch"])


def test_blame_bisect_search_and_stats_are_told(tools: Any, shop: tuple[Path, list[dict[str, Any]]]) -> None:
    states = shop[1]
    (blamed,) = tools["blame"](path="stock[0].qty")["values"]
    assert states[blamed["seq"]]["stock"][0]["qty"] == states[-1]["stock"][0]["qty"] == blamed["value"]
    flips = tools["bisect"](expression="stock[0].qty < 50")["flips"]
    assert flips[0]["seq"] == next(seq for seq, state in enumerate(states) if state["stock"][0]["qty"] < 50)
    assert tools["search"](text="A-3", limit=2)["hits"][0]["seq"] == 0
    assert tools["stats"]()["entries"] == 60


def test_causes_shapes_and_changes_are_told(tools: Any, shop: tuple[Path, list[dict[str, Any]]]) -> None:
    states = shop[1]
    told = tools["why"](path="stock[0].qty", entry=20)
    first = told["links"][0]
    assert (first["value"], first["fact"]["seq"]) == (
        states[20]["stock"][0]["qty"],
        tools["blame"](path="stock[0].qty", entry=20)["values"][0]["seq"],
    )
    assert all(0 < guess["sureness"] < 1 for link in told["links"] for guess in link["guesses"])
    shape = tools["shape"](path="stock")
    assert shape["shape"].startswith("[20] {sku text, qty int ")
    assert (shape["looked_at"], shape["complete"]) == (60, True)
    assert tools["shape"](path="stock[0].qty", entry=0)["shape"] == f"int {states[0]['stock'][0]['qty']}"
    flips = tools["bisect"](expression="length(keys(after)) < length(keys(before))", change=True)["flips"]
    assert [flip["seq"] for flip in flips] == [seq for seq in range(1, 60) if len(states[seq]) < len(states[seq - 1])]


def test_a_search_tells_the_line_of_code_that_recorded_an_entry() -> None:
    told = tell([{"n": number} for number in range(3)])
    search = HistoryTools(told.history).tools()["search"]
    (hit,) = json.loads(search(text="shop.py:42", as_json=True))["hits"]
    assert (hit["seq"], hit["kind"], hit["text"]) == (1, "caller", told.callers[1])
    assert told.callers[1] in search(text="shop.py:42")


def test_nothing_that_is_executed_is_asked_over_mcp(shop: tuple[Path, list[dict[str, Any]]]) -> None:
    with History(FileStore.open(shop[0])) as history:
        for name, tool in HistoryTools(history).tools().items():
            assert "python" not in inspect.signature(tool).parameters, name


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("why", {"path": "no.such"}),
        ("shape", {"path": "no.such"}),
        ("bisect", {"expression": "stock", "change": True}),
        ("show", {"entry": 99}),
        ("show", {"path": "no.such"}),
        ("show", {"path": "a[["}),
        ("diff", {"a": 0, "b": 99}),
        ("blame", {"path": "nothing"}),
        ("bisect", {"expression": "(("}),
    ],
)
async def test_a_wrong_question_is_refused_with_what_is_wrong(
    shop: tuple[Path, list[dict[str, Any]]], name: str, given: dict[str, Any]
) -> None:
    with History(FileStore.open(shop[0])) as history:
        tool = Desk(Refusal).asked(HistoryTools(history).tools()[name])
        with pytest.raises(Refusal):
            await tool(**given)


async def test_an_answer_comes_in_its_time_whatever_the_question_does() -> None:
    release = threading.Event()

    def deaf() -> str:
        release.wait(60)
        return "late"

    limits.use(Limits(answer_seconds=0.3))
    desk = Desk(Refusal)
    try:
        started = time.monotonic()
        with pytest.raises(Refusal, match=r"no answer within 0\.3 seconds"):
            await desk.asked(deaf)()
        with pytest.raises(Refusal, match="still being worked on"):
            await desk.asked(lambda: "next")()
        assert time.monotonic() - started < 10
        release.set()
        limits.use(None)
        assert await desk.asked(lambda: "next")() == "next"
    finally:
        release.set()
        limits.use(None)


async def test_a_question_that_is_given_up_is_told_so() -> None:
    begun, told = threading.Event(), threading.Event()

    def counting() -> str:
        begun.set()
        patience = mcp_server.patience_now()
        while not patience():
            pass
        told.set()
        return "nothing"

    asked = asyncio.create_task(Desk(Refusal).asked(counting)())
    await asyncio.to_thread(begun.wait, 30)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert await asyncio.to_thread(told.wait, 10)


@pytest.mark.parametrize(
    ("name", "given", "part"),
    [
        ("list", {"count": 50}, "entries"),
        ("show", {"entry": 5}, "state"),
        ("show", {"entry": 5, "path": "stock"}, "value"),
        ("diff", {"a": 0, "b": 50}, "changes"),
        ("blame", {}, "values"),
        ("bisect", {"expression": "stock[0].qty"}, "flips"),
        ("search", {"text": "qty", "limit": 200}, "hits"),
        ("stats", {}, "atoms"),
    ],
)
def test_an_answer_that_is_too_long_is_cut_and_says_so(
    shop: tuple[Path, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    given: dict[str, Any],
    part: str,
) -> None:
    with History(FileStore.open(shop[0])) as history:
        tool, given = HistoryTools(history).tools()[name], {**given, "as_json": True}
        longest = len(tool(**given))
        floor = 450
        # Measured times differ in length from call to call.
        for most in (longest + 500, longest * 2 // 3, longest // 2, floor):
            monkeypatch.setenv(limits.VARIABLE, f"answer_characters={most}")
            text = tool(**given)
            told = json.loads(text)
            assert len(text) <= max(most, floor)
            assert told.keys() == {"cut"} or "untrusted" in told["recorded"]
            assert ("cut" in told) is (most < longest)
            assert "ask for" in told.get("cut", "ask for")
            whole = json.loads(_at_length(monkeypatch, tool, given))
            if isinstance(told.get(part), list):
                assert told[part] == whole[part][: len(told[part])]
            elif isinstance(told.get(part), dict):
                assert told[part].keys() == whole[part].keys()
                assert all(value in (None, whole[part][key]) for key, value in told[part].items())


def _at_length(monkeypatch: pytest.MonkeyPatch, tool: Any, given: dict[str, Any]) -> str:
    with monkeypatch.context() as patch:
        patch.setenv(limits.VARIABLE, "answer_characters=1G")
        text: str = tool(**given)
        return text


def test_a_patch_is_told_whole_or_not_at_all(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limits.VARIABLE, "answer_characters=100")
    assert tools["diff"](a=0, b=50, patch=True).keys() == {"cut"}


def test_a_long_text_is_told_from_its_beginning(tmp_path: Path) -> None:
    from unspool.recorder import Recorder

    with Recorder(tmp_path / "long.unspool") as recorder:
        recorder.record({"text": "\x00é" * 100_000})
    with History(FileStore.open(tmp_path / "long.unspool")) as history:
        text = HistoryTools(history).show(path="text", as_json=True)
        assert len(text) <= limits.DEFAULT_LIMITS.answer_characters
        told = json.loads(text)
        assert told["value"]
        assert ("\x00é" * 100_000).startswith(told["value"])
        assert "of 200,000 characters" in told["cut"]


def test_a_question_that_takes_too_long_is_ended_and_says_so(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits.use(Limits(answer_seconds=-1.0))
    for name, given in (("blame", {}), ("bisect", {"expression": "stock"}), ("search", {"text": "nowhere"})):
        told = tools[name](**given)
        assert "this is what was found by then" in told["stopped"]
        assert told["complete"] is False
    limits.use(None)


def test_what_cannot_be_read_is_named_in_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "hurt.unspool"
    _, hole = damaged_shop(path)
    with History(FileStore.open(path)) as history:
        given = {"blame": {"entry": hole.stop + 2}, "bisect": {"expression": "stock"}, "search": {"text": "nowhere"}}
        for name, words in given.items():
            told = json.loads(HistoryTools(history).tools()[name](**words, as_json=True))
            assert told["unread"]["entries"] > 0
            assert told["unread"]["first"][0].startswith("entry ")
            assert told["complete"] is False


def test_without_the_package_the_extra_is_named(
    shop: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_server, "_HOMES", (("no_such_package", "Server"),))
    with History(FileStore.open(shop[0])) as history, pytest.raises(MissingExtra, match=r"unspool\[mcp\]"):
        mcp_server.make_server(history)


async def test_the_official_client_lists_and_calls_tools_over_standard_input(
    shop: tuple[Path, list[dict[str, Any]]],
) -> None:
    mcp = pytest.importorskip("mcp", reason="the package mcp (extra `mcp`) is not installed")
    path, states = shop
    before = path.read_bytes()
    started = mcp.StdioServerParameters(command=sys.executable, args=["-m", "unspool_tui.cli", "mcp", str(path)])
    heard = path.parent.with_name(f"{path.parent.name}-heard").open("w+")
    async with (
        mcp.stdio_client(started, errlog=heard) as (reading, writing),
        mcp.ClientSession(reading, writing) as session,
    ):
        hello = await session.initialize()
        assert _named(hello, "server_info", "serverInfo").name == "unspool"
        listed = (await session.list_tools()).tools
        assert {tool.name for tool in listed} == TOOLS
        assert all(tool.annotations.readOnlyHint for tool in listed)
        assert all(tool.description for tool in listed)

        async def call(name: str, **given: Any) -> Any:
            result = await session.call_tool(name, {**given, "as_json": True})
            assert len(result.content) == 1
            assert _named(result, "structured_content", "structuredContent") is None
            return json.loads(result.content[0].text)

        assert (await call("list", count=2))["total"] == len(states)
        assert (await call("show", entry=4, path="stock[1].sku"))["value"] == states[4]["stock"][1]["sku"]
        changed = {change["atom"] for change in (await call("diff", a=7, b=8))["changes"]}
        assert changed == {atom for atom in states[8] if states[7].get(atom) != states[8].get(atom)}
        (blamed,) = (await call("blame", path="stock[0].qty"))["values"]
        assert blamed["value"] == states[-1]["stock"][0]["qty"]
        flips = (await call("bisect", expression="stock[0].qty < 50"))["flips"]
        assert flips[0]["seq"] == next(seq for seq, state in enumerate(states) if state["stock"][0]["qty"] < 50)
        assert (await call("search", text="A-3", limit=1))["hits"][0]["seq"] == 0
        assert (await call("search", text="= stock[0].qty < 50", limit=1))["hits"][0]["seq"] == flips[0]["seq"]
        assert (await call("stats"))["entries"] == len(states)
        for name, given, says in (
            ("show", {"entry": 999}, "has no entry 999"), ("bisect", {"expression": "stock ="}, "column"),
        ):  # fmt: skip
            result = await session.call_tool(name, given)
            assert _named(result, "is_error", "isError") is True
            assert says in result.content[0].text
        assert "untrusted" in (await call("list", count=1))["recorded"]
    assert path.read_bytes() == before
    assert {other.name for other in path.parent.iterdir()} == {path.name}
    with heard:
        heard.seek(0)
        assert "closed file" not in heard.read()


def _named(value: Any, *names: str) -> Any:
    """Return an attribute that releases 1 and 2 of the client spell differently."""
    return next(getattr(value, name) for name in names if hasattr(value, name))


def test_notes_are_listed_as_what_they_are_and_never_blamed(tmp_path: Path) -> None:
    path = tmp_path / "notes.unspool"
    with Recorder(path) as recorder:
        recorder.record({"a": 1}, "one")
        recorder.note("look here", level="warning")
        recorder.record({"a": 1, "b": 2}, "two")
    with History(FileStore.open(path)) as history:
        tools = HistoryTools(history).tools()
        listed = json.loads(tools["list"](as_json=True))["entries"]
        assert [(entry["kind"], entry["action"]) for entry in listed][1] == ("note", "look here")
        assert (listed[1]["added"], listed[1]["modified"], listed[1]["deleted"]) == (0, 0, 0)
        assert json.loads(tools["stats"](as_json=True))["notes"] == 1
        assert json.loads(tools["show"](entry=1, as_json=True))["state"] == {"a": 1}
        assert json.loads(tools["blame"](path="a", entry=1, as_json=True))["values"][0]["seq"] == 0
        assert json.loads(tools["diff"](a=0, b=1, as_json=True))["changes"] == []


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("list", {"count": -5}),
        ("list", {"count": 0}),
        ("blame", {"path": "stock", "limit": 0}),
        ("search", {"text": "tea", "limit": -1}),
        ("search", {"text": "tea", "start": -1}),
        ("bytes", {"top": 0}),
    ],
)
def test_numbers_that_mean_nothing_are_refused(tools: Any, name: str, given: dict[str, Any]) -> None:
    with pytest.raises(QuestionError, match=r"is -?\d; give \d or more"):
        tools[name](**given)
