"""Checkpoints of real LangGraph agents, recorded as they are stored."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest

from unspool import open_history
from unspool.bridges.langgraph import record_checkpoints
from unspool.errors import ConfigError
from unspool.history import History
from unspool.model.entries import caller_of
from unspool.query.blame import blame
from unspool.recorder import EntrySkipped, Recorder
from unspool.store import MemoryStore

langgraph = pytest.importorskip("langgraph.graph")
memory = pytest.importorskip("langgraph.checkpoint.memory")


class Trip(TypedDict):
    total: int
    log: Annotated[list[str], operator.add]


def plan(_: Trip) -> dict[str, Any]:
    return {"log": ["plan"]}


def price(trip: Trip) -> dict[str, Any]:
    return {"total": trip["total"] + 3, "log": ["price"]}


async def later(trip: Trip) -> dict[str, Any]:
    return {"total": trip["total"] + 1}


def agent(store: MemoryStore, *nodes: Any, saver: Any = None) -> Any:
    builder = langgraph.StateGraph(Trip)
    before = langgraph.START
    for node in nodes:
        builder.add_node(node)
        builder.add_edge(before, node.__name__)
        before = node.__name__
    recorder = Recorder(store, on_error="raise", caller=True)
    return builder.compile(checkpointer=record_checkpoints(recorder, saver or memory.InMemorySaver(), builder))


def thread(name: str, **more: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": name, **more}}


def test_each_checkpoint_is_an_entry_that_names_its_node_and_line() -> None:
    store = MemoryStore()
    graph = agent(store, plan, price)
    assert graph.invoke({"total": 0, "log": []}, thread("a")) == {"total": 3, "log": ["plan", "price"]}
    history = History(store)
    assert [entry.action for entry in history] == [
        *("input step -1", "loop step 0", "loop step 1: plan", "loop step 2: price"),
    ]
    assert history.state(-1) == {"total": 3, "log": ["plan", "price"]}
    assert [entry.id for entry in history][::-1] == [
        told.config["configurable"]["checkpoint_id"] for told in graph.get_state_history(thread("a"))
    ]
    place = blame(history, -1, ("total",)).values[0].caller
    assert place is not None
    assert (Path(place.file).name, place.function) == (Path(__file__).name, "price")
    assert place.line == price.__code__.co_firstlineno
    assert caller_of(history[0].meta) is None


async def test_asynchronous_graphs_are_recorded_once() -> None:
    store = MemoryStore()
    graph = agent(store, plan, later)
    await graph.ainvoke({"total": 0, "log": []}, thread("a"))
    history = History(store)
    assert [entry.action for entry in history] == [
        *("input step -1", "loop step 0", "loop step 1: plan", "loop step 2: later"),
    ]
    place = caller_of(history[-1].meta)
    assert place is not None
    assert place.function == "later"


def test_threads_are_parts_and_going_back_is_a_fork_of_one() -> None:
    store = MemoryStore()
    graph = agent(store, plan, price)
    graph.invoke({"total": 0, "log": []}, thread("a"))
    graph.invoke({"total": 10, "log": []}, thread("b"))
    before = next(told for told in graph.get_state_history(thread("a")) if told.next == ("price",))
    graph.invoke(None, thread("a", checkpoint_id=before.config["configurable"]["checkpoint_id"]))
    history = History(store)
    assert history.state(-1)["a total"] == 3
    assert history.state(-1)["b total"] == 13
    forks = [entry for entry in history if entry.seq and entry.parent_seq != entry.seq - 1]
    assert forks
    assert history[forks[0].parent_seq or 0].id == before.config["configurable"]["checkpoint_id"]
    assert all(entry.meta["thread"] in ("a", "b") for entry in history)


def test_a_recording_that_goes_on_keeps_other_threads_and_other_atoms(tmp_path: Path) -> None:
    saver = memory.InMemorySaver()
    for number, names in enumerate((["a", "b"], ["b"], ["c"])):
        with Recorder(tmp_path / "x.unspool", on_error="raise") as recorder:
            recorder.update({"mine": number})
            builder = langgraph.StateGraph(Trip)
            builder.add_node(price)
            builder.add_edge(langgraph.START, "price")
            graph = builder.compile(checkpointer=record_checkpoints(recorder, saver, builder))
            for name in names:
                graph.invoke({"total": number * 10, "log": []}, thread(name))
    with open_history(tmp_path / "x.unspool") as history:
        state = history.state(-1)
        assert {name: value for name, value in state.items() if "total" in name or name == "mine"} == {
            "mine": 2,
            "a total": 3,
            "b total": 13,
            "c total": 23,
        }
        assert not [name for name in state if "branch" in name]
        assert next(value.seq for value in blame(history, -1, ("a total",)).values) < 10


def test_calls_of_subgraphs_leave_nothing_behind() -> None:
    store = MemoryStore()
    inner = langgraph.StateGraph(Trip)
    inner.add_node(price)
    inner.add_edge(langgraph.START, "price")
    builder = langgraph.StateGraph(Trip)
    builder.add_node(plan)
    builder.add_node("inner", inner.compile())
    builder.add_edge(langgraph.START, "plan")
    builder.add_edge("plan", "inner")
    recorder = Recorder(store, on_error="raise")
    graph = builder.compile(checkpointer=record_checkpoints(recorder, memory.InMemorySaver(), builder))
    sizes = []
    for number in range(3):
        graph.invoke({"total": number, "log": []}, thread("a"))
        sizes.append(len(recorder.last()))
        assert recorder.last()["a total"] == number + 3
    assert sizes[0] == sizes[1] == sizes[2]
    history = History(store)
    within = [entry for entry in history if entry.meta.get("namespace")]
    assert {entry.action for entry in within} >= {"loop step 1: price"}
    assert any(name.startswith("a|inner:") for name in history.state(within[-1].seq))
    assert not any(name.startswith("a|") for name in history.state(-1))


def test_the_saver_itself_stays_as_it_is() -> None:
    store, saver = MemoryStore(), memory.InMemorySaver()
    graph = agent(store, plan, price, saver=saver)
    graph.invoke({"total": 0, "log": []}, thread("a"))
    count = len(store)
    builder = langgraph.StateGraph(Trip)
    builder.add_node(plan)
    builder.add_edge(langgraph.START, "plan")
    plain = builder.compile(checkpointer=saver)
    plain.invoke({"total": 0, "log": []}, thread("c"))
    assert len(store) == count
    assert saver.get_tuple(thread("a")).checkpoint["channel_values"]["total"] == 3


def test_parallel_nodes_have_no_one_line_and_what_fails_is_not_recorded() -> None:
    store = MemoryStore()

    def one(_: Trip) -> dict[str, Any]:
        return {"log": ["one"]}

    def other(_: Trip) -> dict[str, Any]:
        return {"log": ["other"]}

    class Full(memory.InMemorySaver):  # type: ignore[misc,name-defined]
        def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
            if metadata["step"] == 1:
                raise OSError("no space left")
            return super().put(config, checkpoint, metadata, new_versions)

    for saver, actions in ((None, ["input step -1", "loop step 0", "loop step 1: one, other"]), (Full(), None)):
        store = MemoryStore()
        builder = langgraph.StateGraph(Trip)
        for node in (one, other):
            builder.add_node(node)
            builder.add_edge(langgraph.START, node.__name__)
        recorder = Recorder(store, on_error="raise")
        graph = builder.compile(checkpointer=record_checkpoints(recorder, saver or memory.InMemorySaver(), builder))
        if actions is None:
            with pytest.raises(OSError, match="no space"):
                graph.invoke({"total": 0, "log": []}, thread("a"))
            assert [entry.action for entry in History(store)] == ["input step -1", "loop step 0"]
        else:
            graph.invoke({"total": 0, "log": []}, thread("a"))
            assert [entry.action for entry in History(store)] == actions
            assert caller_of(History(store)[-1].meta) is None


def test_what_the_bridge_cannot_take_never_reaches_the_graph() -> None:
    class Odd:
        @property
        def nodes(self) -> Any:
            raise LookupError("not for you")

    builder = langgraph.StateGraph(Trip)
    builder.add_node(price)
    builder.add_edge(langgraph.START, "price")
    recorder = Recorder(MemoryStore())
    graph = builder.compile(checkpointer=record_checkpoints(recorder, memory.InMemorySaver(), Odd()))
    with pytest.warns(EntrySkipped, match="could not record what happened .LookupError"):
        assert graph.invoke({"total": 1, "log": []}, thread("a"))["total"] == 4
    assert recorder.skipped == 3


def test_what_is_no_saver_is_refused() -> None:
    with pytest.raises(ConfigError, match="dict is no checkpoint saver"):
        record_checkpoints(Recorder(MemoryStore()), {})
