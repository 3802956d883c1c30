"""The stand-in for the browser extension: what it tells, and what it is asked."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from support.listening import LIMIT_S, RawSocket, entries_of, length_of, listening
from support.waiting import wait_until
from unspool.control import Answer, ControlClient, TravelRefused
from unspool.live.listen import Listening
from unspool.model.entries import PASSED_OVER

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="the stand-in is run by Node, which is not here")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path) as listening_at:
        yield listening_at


class Page:
    """A page with one store, in the words of the stand-in."""

    def __init__(
        self, place: Listening, kind: str, state: Any, *, name: str = "cart", sanitized: bool = False
    ) -> None:
        self.socket = RawSocket(place.port, f"/{place.token}/shim", (("Origin", "http://localhost:3000"),))
        self.path = place.folder / f"{name}.unspool"
        self.kind, self.state = kind, state
        self._facts = {
            "instanceId": "s1",
            "name": name,
            "kind": kind,
            "missed": 0,
            "passed": 0,
            "sanitized": sanitized,
        }
        self.tell("INIT")

    def tell(self, kind: str, **facts: Any) -> None:
        """Send a message."""
        message = {
            "type": kind,
            "state": {"value": self.state},
            "timestamp": 1_790_000_000_000,
            **self._facts,
            **facts,
        }
        self.socket.send_json(message)

    def add(self, by: int, **facts: Any) -> None:
        """Have the store do something, and tell of it."""
        self.state = {"n": self.state["n"] + (0 if facts.get("skipped") else by)}
        self.tell("ACTION", action={"type": "add", "by": by}, **facts)

    def obey(self) -> dict[str, Any]:
        """Wait for what is asked, and do it."""
        message: dict[str, Any] = json.loads(self.socket.text())
        assert message["instanceId"] == "s1"
        match message["type"]:
            case "DISPATCH":
                self.state = json.loads(message["state"])
            case "PERFORM":
                self.add(message["action"]["by"])
            case "REPLAY":
                self.state = json.loads(message["state"])
                for step in message["actions"]:
                    self.add(step["action"]["by"], skipped=step["skipped"])
        done = {"state": {"value": self.state}} if self.kind == "reducer" else {"heard": 1}
        self.socket.send_json({"type": "DONE", "request": message["request"], **self._facts, **done})
        return message

    def asked(self, ask: Callable[[ControlClient], Answer]) -> Answer:
        """Ask over the control channel while the page does what it is asked to."""
        answers: list[Answer] = []

        def run() -> None:
            with ControlClient(self.path) as client:
                answers.append(ask(client))

        thread = threading.Thread(target=run)
        thread.start()
        self.obey()
        thread.join(LIMIT_S)
        [answer] = answers
        return answer


def recorded(page: Page, count: int) -> list[tuple[str, Any, int | None, dict[str, Any]]]:
    wait_until(lambda: length_of(page.path) >= count, f"{count} entries")
    return entries_of(page.path)


@pytest.mark.parametrize("kind", ["connect", "reducer"])
def test_a_store_is_recorded_and_put_back_and_goes_on_from_there(place: Listening, kind: str) -> None:
    page = Page(place, kind, {"n": 0})
    for by in (1, 2, 3):
        page.add(by, stack="    at go (http://localhost:3000/src/shop.js?t=1:12:3)")
    found = recorded(page, 4)
    assert [(action, state["n"]) for action, state, _, _ in found] == [
        ("@@INIT", 0),
        ("add", 1),
        ("add", 3),
        ("add", 6),
    ]
    assert found[1][3]["action"] == {"by": 1}
    assert found[1][3]["caller"] == {"file": "http://localhost:3000/src/shop.js", "line": 12, "function": "go"}
    answer = page.asked(lambda client: client.jump(1))
    assert (answer.seq, answer.changed, answer.kept) == (1, ("n",), ())
    assert ("does not tell" in answer.message) == (kind == "connect")
    page.add(10)
    assert [(state["n"], parent) for _, state, parent, _ in recorded(page, 5)][-1] == (11, 1)
    page.asked(lambda client: client.look(0))
    with ControlClient(page.path) as client:
        assert client.instances[0].looking
    assert page.asked(lambda client: client.back()).seq == 4
    assert page.state == {"n": 11}


def test_a_reducer_that_makes_another_state_at_once_is_told_of(place: Listening) -> None:
    page = Page(place, "reducer", {"n": 0})
    page.add(4)
    recorded(page, 2)
    page.obey = lambda: page.socket.send_json(  # type: ignore[method-assign,return-value]
        {
            "type": "DONE",
            "request": json.loads(page.socket.text())["request"],
            "state": {"value": {"n": 7}},
            **page._facts,
        }
    )
    assert page.asked(lambda client: client.jump(0)).kept == ("n",)


def test_a_skipped_action_is_worked_out_anew_by_the_page(place: Listening) -> None:
    page = Page(place, "reducer", {"n": 0})
    for by in (1, 2, 3):
        page.add(by)
    recorded(page, 4)
    answer = page.asked(lambda client: client.skip([2]))
    assert (answer.seq, answer.changed) == (5, ("n",))
    fork = entries_of(page.path)[4:]
    assert [(state["n"], parent, meta.get("skipped")) for _, state, parent, meta in fork] == [
        (1, 1, True),
        (4, 4, None),
    ]
    # The entry that is skipped now, toggled again, is there again.
    page.asked(lambda client: client.skip([4]))
    assert [(state["n"], parent) for _, state, parent, _ in entries_of(page.path)[6:]] == [(3, 1), (6, 6)]
    with ControlClient(page.path) as client:
        for seq in (0, 2, 99):
            with pytest.raises(TravelRefused):
                client.skip([seq])
    answer = page.asked(lambda client: client.dispatch({"type": "add", "by": 100}))
    assert (answer.seq, page.state) == (8, {"n": 106})


def test_while_it_is_paused_the_page_tells_nothing_and_counts(place: Listening) -> None:
    page = Page(place, "connect", {"n": 0})
    recorded(page, 1)
    page.asked(lambda client: client.pause())
    with ControlClient(page.path) as client:
        assert client.instances[0].paused
    page.asked(lambda client: client.resume())
    page._facts["passed"] = 3
    page.add(1)
    assert recorded(page, 2)[1][3][PASSED_OVER] == 3


def test_a_store_that_hides_parts_of_its_state_cannot_be_put_back(place: Listening) -> None:
    page = Page(place, "reducer", {"n": 0}, sanitized=True)
    recorded(page, 1)
    with ControlClient(page.path) as client:
        assert set(client.instances[0].can) == {"pause", "resume", "dispatch"}
        with pytest.raises(TravelRefused):
            client.jump(0)


def test_what_a_page_could_not_send_is_said(place: Listening) -> None:
    page = Page(place, "connect", {"n": 0})
    page.tell("ACTION", action={"type": "odd"}, state=None, unsent="TypeError: circular")
    page.tell("ACTION", action={"type": "text"}, state={"text": '{"n": 5}'})
    page.tell("STATE", lifted={"computedStates": [{"state": {"n": 6}}], "currentStateIndex": 0})
    page._facts["missed"] = 4
    page.add(1)
    found = recorded(page, 5)
    assert "circular" in str(found[1][1]["value"])
    assert [state.get("n") for _, state, _, _ in found] == [0, None, 5, 6, 1]
    assert found[4][3]["missing_before"] == {"not sent": 4}
    with ControlClient(page.path) as client, pytest.raises(TravelRefused, match="not kept"):
        client.jump(1)


FAKE_BROWSER = """
const sent = [], fake = { readyState: 0, bufferedAmount: 0, send: (text) => sent.push(JSON.parse(text)) };
globalThis.WebSocket = function () { return fake; };
const open = () => { fake.readyState = 1; fake.onopen(); };
const createStore = (reducer, preloaded, enhancer) => {
  if (enhancer) return enhancer(createStore)(reducer, preloaded);
  let state = preloaded;
  const listeners = [];
  const dispatch = (action) => { state = reducer(state, action); listeners.forEach((each) => each()); return action; };
  dispatch({ type: "@@redux/INITx" });
  return { dispatch, getState: () => state, subscribe: (each) => listeners.push(each), replaceReducer: (other) => { reducer = other; } };
};
const say = (message) => fake.onmessage({ data: JSON.stringify({ instanceId: sent[0].instanceId, ...message }) });
"""


def run_node(tmp_path: Path, script: str) -> Any:
    """Run the stand-in in Node with a WebSocket that keeps what is sent; return what the script prints."""
    stand_in = (files("unspool.live.listen") / "shim.js").read_text("utf-8")
    program = tmp_path / "program.mjs"
    program.write_text(f"{FAKE_BROWSER}\n{stand_in}\nawait 0;\n{script}\n")
    done = subprocess.run(["node", str(program)], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_node
def test_a_reducer_tells_of_each_action_in_order_also_of_nested_ones(tmp_path: Path) -> None:
    sent = run_node(
        tmp_path,
        """
        const reducer = (state = { n: 0 }, action) => ({ n: state.n + (action.by ?? 0) });
        const store = createStore(reducer, undefined, __REDUX_DEVTOOLS_EXTENSION_COMPOSE__({ name: "cart" })());
        store.subscribe(() => { if (store.getState().n === 1) store.dispatch({ type: "nested", by: 10 }); });
        store.dispatch({ type: "outer", by: 1 });
        open();
        console.log(JSON.stringify(sent));
        """,
    )
    assert [(each["type"], each.get("action", {}).get("type"), each["state"]["value"]["n"]) for each in sent] == [
        ("INIT", "@@redux/INITx", 0),
        ("ACTION", "outer", 1),
        ("ACTION", "nested", 11),
    ]
    assert {each["name"] for each in sent} == {"cart"}
    assert "program.mjs" in sent[1]["stack"]
    assert "traced" not in sent[1]["stack"]


@needs_node
def test_a_reducer_is_put_back_replayed_and_paused(tmp_path: Path) -> None:
    said = run_node(
        tmp_path,
        """
        const reducer = (state = { n: 0 }, action) => ({ n: state.n + (action.by ?? 0) });
        const store = createStore(reducer, undefined, __REDUX_DEVTOOLS_EXTENSION__({ name: "cart" }));
        open();
        const shown = [];
        store.dispatch({ type: "add", by: 5 });
        say({ type: "DISPATCH", request: 1, payload: { type: "JUMP_TO_ACTION" }, state: '{"n":40}' });
        shown.push(store.getState().n);
        say({ type: "REPLAY", request: 2, state: '{"n":0}', actions: [
          { action: { type: "add", by: 1 }, skipped: true }, { action: { type: "add", by: 2 }, skipped: false }] });
        shown.push(store.getState().n);
        say({ type: "PERFORM", request: 3, action: { type: "add", by: 100 } });
        say({ type: "PAUSE", request: 4, status: true });
        store.dispatch({ type: "add", by: 1 });
        say({ type: "PAUSE", request: 5, status: false });
        store.dispatch({ type: "add", by: 1 });
        store.replaceReducer(() => ({ n: -1 }));
        store.dispatch({ type: "any" });
        say({ type: "DISPATCH", request: 6, state: "no JSON" });
        console.log(JSON.stringify({ shown, sent }));
        """,
    )
    assert said["shown"] == [40, 2]
    told = [(each["type"], each.get("state", {}).get("value", {}).get("n")) for each in said["sent"]]
    assert told == [
        ("INIT", 0),
        ("ACTION", 5),
        ("DONE", 40),
        ("ACTION", 0),
        ("ACTION", 2),
        ("DONE", 2),
        ("ACTION", 102),
        ("DONE", 102),
        ("DONE", 102),
        ("DONE", 103),
        ("ACTION", 104),
        ("ACTION", -1),
        ("DONE", None),
    ]
    assert said["sent"][9]["passed"] == 1
    assert "JSON" in said["sent"][-1]["error"]


@needs_node
def test_nothing_raises_into_the_app_and_what_is_not_sent_is_counted(tmp_path: Path) -> None:
    sent = run_node(
        tmp_path,
        """
        const tool = __REDUX_DEVTOOLS_EXTENSION__.connect({ name: "odd", actionsDenylist: ["^hidden"],
          stateSanitizer: (state) => ({ ...state, secret: undefined }), actionSanitizer: (action) => ({ ...action, secret: undefined }) });
        const circle = {}; circle.me = circle;
        tool.init({ n: 0, secret: 1 });
        tool.send({ type: "big", value: 10n }, { n: 1 });
        tool.send({ type: "circle" }, circle);
        tool.send({ type: "getter" }, { get it() { throw new Error("no"); } });
        tool.send("hidden/1", { n: 2 });
        tool.send("shown", { n: 3, secret: 2 });
        tool.send({ type: "large" }, { text: "x".repeat(17 << 20) });
        tool.send({ type: "after" }, { n: 4 });
        tool.error("oh");
        let heard = 0;
        const stop = tool.subscribe(() => { heard += 1; throw new Error("the app's own"); });
        await 0; await 0;
        open();
        say({ type: "DISPATCH", request: 1, state: "{}" });
        stop();
        tool.unsubscribe();
        __REDUX_DEVTOOLS_EXTENSION__.disconnect();
        console.log(JSON.stringify({ sent, heard }));
        """,
    )
    told = [
        (each["type"], (each.get("action") or {}).get("type"), "unsent" in each, each["missed"])
        for each in sent["sent"]
    ]
    assert told == [
        ("INIT", None, False, 0),
        ("ACTION", None, True, 0),
        ("ACTION", None, True, 0),
        ("ACTION", None, True, 0),
        ("ACTION", "shown", False, 0),
        ("ACTION", "after", False, 1),
        ("ERROR", None, False, 0),
        ("DONE", None, False, 0),
    ]
    assert sent["heard"] == 2
    assert "the app's own" in sent["sent"][-1]["error"]
    assert "secret" not in json.dumps(sent["sent"][4])
    assert all(each["sanitized"] for each in sent["sent"])


@needs_node
def test_a_page_without_any_way_to_tell_goes_on(tmp_path: Path) -> None:
    stand_in = (files("unspool.live.listen") / "shim.js").read_text("utf-8")
    program = tmp_path / "program.mjs"
    program.write_text(
        f"{stand_in}\nconst tool = __REDUX_DEVTOOLS_EXTENSION__.connect({{}}); tool.init({{}}); tool.send('a', {{}});\n"
        "process.stdout.write('went on');"
    )
    done = subprocess.run(["node", str(program)], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout) == (0, "went on"), done.stderr
