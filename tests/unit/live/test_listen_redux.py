"""Stores with Redux DevTools in them: what they tell becomes a history, and they can be put back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.listening import LIMIT_S, ReduxApp, entries_of, length_of, listening
from support.waiting import wait_until
from unspool.control import Answer, ControlClient, TravelRefused
from unspool.model.entries import PASSED_OVER
from unspool.sources.formats.redux import place_in
from unspool_tui.cli import run


def reduce(state: dict[str, Any], action: dict[str, Any]) -> dict[str, Any]:
    match action["type"]:
        case "add":
            return {**state, "n": state["n"] + action["by"], "log": [*state["log"], action["by"]]}
        case "double":
            return {**state, "n": state["n"] * 2}
    return state


START: dict[str, Any] = {"n": 1, "log": []}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    with listening(tmp_path) as listening_at:
        yield listening_at.port, tmp_path / "cart.unspool"


def recorded(path: Path, count: int) -> None:
    wait_until(lambda: length_of(path) >= count, f"{count} entries in {path.name}")


def asked(path: Path, app: ReduxApp, ask: Callable[[ControlClient], Answer], obeys: int = 1) -> Answer:
    """Ask over the control channel while the app does what it is asked to."""
    answers: list[Answer | BaseException] = []

    def run() -> None:
        try:
            with ControlClient(path) as client:
                answers.append(ask(client))
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            answers.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(obeys):
        app.obey()
    thread.join(LIMIT_S)
    [answer] = answers
    if isinstance(answer, BaseException):
        raise answer
    return answer


def test_each_action_is_an_entry_with_its_state_and_its_time(place: tuple[int, Path]) -> None:
    port, path = place
    app = ReduxApp(port, reduce, START)
    app.dispatch({"type": "add", "by": 4, "meta": {"from": "test"}})
    app.dispatch({"type": "double"})
    recorded(path, 3)
    [(init, first, _, _), (add, second, _, meta), (double, third, parent, _)] = entries_of(path)
    assert (init, add, double) == ("@@INIT", "add", "double")
    assert (first, second["n"], third["n"]) == (START, 5, 10)
    assert meta["action"] == {"by": 4, "meta": {"from": "test"}}
    assert parent == 1


def test_a_jump_puts_the_app_there_and_what_follows_has_the_entry_as_parent(place: tuple[int, Path]) -> None:
    port, path = place
    app = ReduxApp(port, reduce, START, max_age=3)
    for by in range(1, 9):
        app.dispatch({"type": "add", "by": by})
    recorded(path, 9)
    # The app keeps three actions; the entry is older.
    answer = asked(path, app, lambda client: client.jump(2))
    assert (answer.ok, answer.seq, sorted(answer.changed), answer.kept) == (True, 2, ["log", "n"], ())
    assert app.state == {"n": 4, "log": [1, 2]}
    assert length_of(path) == 9
    app.dispatch({"type": "double"})
    # The gap in its numbers has the listener ask for the whole.
    recorded(path, 10)
    action, state, parent, _ = entries_of(path)[-1]
    assert (action, state, parent) == ("double", {"n": 8, "log": [1, 2]}, 2)
    answer = asked(path, app, lambda client: client.back())
    assert answer.seq == 8
    assert app.state["n"] == 37


def test_what_a_reducer_makes_of_the_state_at_once_is_told(place: tuple[int, Path]) -> None:
    port, path = place
    app = ReduxApp(port, reduce, START)
    app.dispatch({"type": "add", "by": 1})
    recorded(path, 2)
    app._recompute = lambda: app.lifted.update(computedStates=[{"state": {"n": 99, "log": []}}])  # type: ignore[method-assign]
    answer = asked(path, app, lambda client: client.jump(0))
    assert answer.kept == ("n",)
    assert "reducer" in answer.message
    action, state, parent, _ = entries_of(path)[-1]
    assert (action, state["n"], parent) == ("@@INIT", 99, 0)


def test_while_it_looks_its_own_actions_are_recorded_with_their_own_states(place: tuple[int, Path]) -> None:
    port, path = place
    app = ReduxApp(port, reduce, START)
    for by in (1, 2, 3):
        app.dispatch({"type": "add", "by": by})
    recorded(path, 4)
    # The app forgets actions and tells nobody, so it is asked first which it keeps.
    answer = asked(path, app, lambda client: client.look(1), obeys=2)
    assert answer.ok
    assert app.state["n"] == 2
    with ControlClient(path) as client:
        assert (client.instances[0].at, client.instances[0].looking) == (1, True)
    app.dispatch({"type": "add", "by": 10})
    app.dispatch({"type": "add", "by": 20})
    assert app.state["n"] == 2
    app.obey()
    recorded(path, 6)
    assert [state["n"] for _, state, _, _ in entries_of(path)] == [1, 2, 4, 7, 17, 37]
    assert [parent for _, _, parent, _ in entries_of(path)] == [None, 0, 1, 2, 3, 4]
    asked(path, app, lambda client: client.back())
    assert app.state["n"] == 37


def test_an_entry_that_the_app_keeps_no_more_can_be_looked_at_and_left_again(place: tuple[int, Path]) -> None:
    port, path = place
    app = ReduxApp(port, reduce, START, max_age=3)
    for by in range(1, 7):
        app.dispatch({"type": "add", "by": by})
    recorded(path, 7)
    answer = asked(path, app, lambda client: client.look(1), obeys=2)
    assert "no longer keeps" in answer.message
    assert app.state["n"] == 2
    for seq in (2, 1, 5):
        asked(path, app, lambda client, seq=seq: client.look(seq))  # type: ignore[misc]
    with ControlClient(path) as client:
        assert (client.instances[0].at, client.instances[0].looking) == (5, True)
    assert asked(path, app, lambda client: client.back()).seq == 6
    assert app.state["n"] == 22
    with ControlClient(path) as client:
        assert (client.instances[0].at, client.instances[0].looking) == (None, False)
        for seqs in ([], [0], [3], [6], [99]):
            with pytest.raises(TravelRefused, match="skipped"):
                client.skip(seqs)
    assert length_of(path) == 7


def test_a_skipped_action_makes_a_fork_of_what_follows_it(place: tuple[int, Path]) -> None:
    port, path = place
    app = ReduxApp(port, reduce, START)
    for action in ({"type": "add", "by": 5}, {"type": "double"}, {"type": "add", "by": 1}):
        app.dispatch(action)
    recorded(path, 4)
    answer = asked(path, app, lambda client: client.skip([2]), obeys=2)
    assert (answer.seq, answer.changed) == (5, ("n",))
    fork = entries_of(path)[4:]
    assert [(action, state["n"], parent) for action, state, parent, _ in fork] == [("double", 6, 1), ("add", 7, 4)]
    assert fork[0][3]["skipped"] is True
    # And back again: the line is recorded anew, as what it is now.
    asked(path, app, lambda client: client.skip([4]))
    assert [(state["n"], parent) for _, state, parent, _ in entries_of(path)[6:]] == [(12, 1), (13, 6)]


def test_while_it_is_paused_nothing_is_recorded_and_that_is_said(place: tuple[int, Path]) -> None:
    port, path = place
    app = ReduxApp(port, reduce, START)
    app.dispatch({"type": "add", "by": 1})
    recorded(path, 2)
    asked(path, app, lambda client: client.pause())
    for by in (5, 6):
        app.dispatch({"type": "add", "by": by})
    asked(path, app, lambda client: client.resume())
    assert length_of(path) == 3
    action, state, _, meta = entries_of(path)[-1]
    assert (action, state["n"], meta[PASSED_OVER], meta["missing_before"]) == ("@@INIT", 13, 1, {"paused": 1})


def test_an_action_can_be_sent_and_never_as_text(place: tuple[int, Path]) -> None:
    port, path = place
    app = ReduxApp(port, reduce, START)
    recorded(path, 1)
    answer = asked(path, app, lambda client: client.dispatch({"type": "add", "by": 7}))
    assert answer.seq == 1
    assert app.state["n"] == 8
    with ControlClient(path) as client, pytest.raises(TravelRefused, match="object with a type"):
        client.dispatch({"kind": "add"})


def test_a_reset_goes_back_to_the_entry_and_forks_there(place: tuple[int, Path]) -> None:
    port, path = place
    app = ReduxApp(port, reduce, START)
    app.dispatch({"type": "add", "by": 1})
    app.reset(START)
    app.dispatch({"type": "add", "by": 2})
    recorded(path, 3)
    assert [(state["n"], parent) for _, state, parent, _ in entries_of(path)] == [(1, None), (2, 0), (3, 0)]


def test_what_was_told_before_a_connection_broke_is_recorded_once(place: tuple[int, Path]) -> None:
    port, path = place
    app = ReduxApp(port, reduce, START)
    app.dispatch({"type": "add", "by": 1})
    recorded(path, 2)
    app.socket.close()
    wait_until(lambda: not path.with_name("cart.unspool-ctl").exists(), "the end of the first connection")
    app.connect(port)
    app.dispatch({"type": "add", "by": 2})
    wait_until(lambda: entries_of(path)[-1][1]["n"] == 4, "the entry after the break")
    assert [state["n"] for _, state, _, _ in entries_of(path)] == [1, 2, 4]


def test_a_state_that_is_no_object_comes_back_as_it_was(place: tuple[int, Path]) -> None:
    port, path = place
    app = ReduxApp(port, lambda state, action: [*state, action["type"]], ["a"])
    app.dispatch({"type": "b"})
    app.dispatch({"type": "c"})
    recorded(path, 3)
    asked(path, app, lambda client: client.jump(1))
    assert app.state == ["a", "b"]


def test_two_stores_of_one_name_have_a_history_each(place: tuple[int, Path]) -> None:
    port, path = place
    apps = [ReduxApp(port, reduce, {**START, "n": n}, instance=str(n)) for n in (1, 50)]
    beside = path.with_name("cart-2.unspool")
    recorded(path, 1)
    recorded(beside, 1)
    assert [entries_of(file)[0][1]["n"] for file in (path, beside)] == [app.state["n"] for app in apps]


@pytest.mark.parametrize(
    ("stack", "place"),
    [
        ("Error\n    at a (file:///x/node_modules/@r/x.js:1:2)\n    at async O.f [as g] (file:///x/My%20App/@s.js:12:3)", ("/x/My App/@s.js", 12, "O.f [as g]")),
        ("    at file:///a/b.mjs:13:3", ("/a/b.mjs", 13, "")),
        ("dispatch@http://h/node_modules/.vite/deps/r.js?v=1:2:3\nfoo@http://h:5173/src/App.jsx?t=1:12:3", ("http://h:5173/src/App.jsx", 12, "foo")),
        ("    at node:internal/timers:569:17\n    at new Promise (<anonymous>)\n    at go (C:\\x\\y.js:3:4)", ("C:\\x\\y.js", 3, "go")),
        ("nothing that is a stack", None),
        ("at " + "(" * 5_000, None),
    ],
)  # fmt: skip
def test_the_line_of_the_app_is_read_from_stacks_of_each_engine(
    stack: str, place: tuple[str, int, str] | None
) -> None:
    found = place_in(stack)
    assert (None if found is None else (found.file, found.line, found.function)) == place


def test_commands_reach_the_store(place: tuple[int, Path], capsys: pytest.CaptureFixture[str]) -> None:
    port, path = place
    app = ReduxApp(port, reduce, START)
    for by in (1, 2, 3):
        app.dispatch({"type": "add", "by": by})
    recorded(path, 4)
    threads = [threading.Thread(target=lambda: [app.obey() for _ in range(3)])]
    threads[0].start()
    assert run(["skip", str(path), "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seq"] == 5
    assert run(["jump", str(path), "0"]) == 0
    assert "goes on from entry 0" in capsys.readouterr().err
    threads[0].join(LIMIT_S)
    assert app.state == START
    assert run(["skip", str(path), "1"]) == 3
    assert "cannot be skipped" in capsys.readouterr().err
