"""A listener in a thread, and what tells it of stores: a WebSocket in plain sight, and an app with Redux DevTools in it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("h11", reason="h11 is not installed (extra `listen`)")
wsproto = pytest.importorskip("wsproto", reason="wsproto is not installed (extra `listen`)")

from wsproto import events  # noqa: E402

from unspool.errors import UnspoolError  # noqa: E402
from unspool.live.listen import Listener, Listening  # noqa: E402
from unspool.sources.opening import open_history  # noqa: E402

LIMIT_S = 20.0


@contextmanager
def listening(folder: Path, told: list[str] | None = None, **options: Any) -> Iterator[Listening]:
    """Listen at a free port until the block ends."""
    places: list[Listening] = []
    is_ready = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    failures: list[BaseException] = []

    async def serve() -> None:
        listener = Listener(folder, port=0, tell=(told if told is not None else []).append, **options)
        end = asyncio.Event()
        loops.append((asyncio.get_running_loop(), end))
        await listener.serve(lambda place: (places.append(place), is_ready.set()), end)

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            failures.append(error)
            is_ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert is_ready.wait(LIMIT_S)
        if failures:
            raise failures[0]
        yield places[0]
    finally:
        if loops:
            loop, end = loops[0]
            loop.call_soon_threadsafe(end.set)
        thread.join(LIMIT_S)
        assert not thread.is_alive()
        assert not failures, failures


class Refusal(Exception):
    """A handshake that was answered with something else than a WebSocket."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"status {status}")


class RawSocket:
    """A WebSocket that sends what it is told to, whether or not it should."""

    def __init__(self, port: int, path: str, headers: tuple[tuple[str, str], ...] = (), host: str = "") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        self._connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._events: list[events.Event] = []
        extra = [(name.encode(), value.encode()) for name, value in headers]
        asked = events.Request(host=host or f"localhost:{port}", target=path, extra_headers=extra)
        self.socket.sendall(self._connection.send(asked))
        event = self.next_event()
        if isinstance(event, events.RejectConnection):
            self.socket.close()
            raise Refusal(event.status_code)
        assert isinstance(event, events.AcceptConnection), event

    def next_event(self) -> events.Event:
        """Wait for what comes next."""
        while not self._events:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            self._connection.receive_data(data or None)
            self._events += self._connection.events()
        return self._events.pop(0)

    def text(self) -> str:
        """Wait for a message."""
        parts = []
        while True:
            event = self.next_event()
            assert isinstance(event, events.TextMessage), event
            parts.append(event.data)
            if event.message_finished:
                return "".join(parts)

    def closing(self) -> tuple[int, str]:
        """Wait until the other side closes; messages that come before it are passed over."""
        while True:
            event = self.next_event()
            if isinstance(event, events.CloseConnection):
                return int(event.code), event.reason or ""

    def send(self, text: str) -> None:
        """Send a message."""
        self.socket.sendall(self._connection.send(events.TextMessage(data=text)))

    def send_json(self, value: Any) -> None:
        """Send a message that is JSON."""
        self.send(json.dumps(value))

    def close(self) -> None:
        """Go away without a word."""
        self.socket.close()


class ReduxApp:
    """An app with the instrument of Redux DevTools, as far as the remote protocol shows it, over a reducer in Python."""

    def __init__(
        self,
        port: int,
        reduce: Callable[[Any, dict[str, Any]], Any],
        initial: Any,
        *,
        name: str = "cart",
        max_age: int = 30,
        instance: str = "i1",
    ) -> None:
        self._reduce = reduce
        self._name, self._max_age, self._instance = name, max_age, instance
        self._calls = 0
        self._clock = 1_790_000_000_000
        self.lifted: dict[str, Any] = {
            "monitorState": {},
            "actionsById": {"0": self._performed({"type": "@@INIT"})},
            "nextActionId": 1,
            "stagedActionIds": [0],
            "skippedActionIds": [],
            "committedState": initial,
            "currentStateIndex": 0,
            "computedStates": [{"state": initial}],
            "isLocked": False,
            "isPaused": False,
        }
        self.connect(port)

    def connect(self, port: int) -> None:
        """Introduce the app, and wait until it is asked to tell."""
        self.socket = RawSocket(port, "/socketcluster/")
        said = self._invoke("#handshake", {"authToken": None})
        assert said["isAuthenticated"] is False
        self.id = said["id"]
        self.channel = self._invoke("login", "master")
        self.relay({"type": "START"})
        assert self._invoke("#subscribe", {"channel": self.channel}) is None
        self.obey()

    def _performed(self, action: dict[str, Any]) -> dict[str, Any]:
        self._clock += 1
        return {"type": "PERFORM_ACTION", "action": action, "timestamp": self._clock}

    def _invoke(self, event: str, data: Any) -> Any:
        self._calls += 1
        self.socket.send_json({"event": event, "data": data, "cid": self._calls})
        answer = json.loads(self.socket.text())
        assert answer["rid"] == self._calls
        assert "error" not in answer, answer
        return answer.get("data")

    def relay(self, message: dict[str, Any]) -> None:
        """Send a message of the remote protocol."""
        facts = {"id": self.id, "name": self._name, "instanceId": self._instance}
        self.socket.send_json({"event": "log", "data": {**message, **facts}})

    @property
    def state(self) -> Any:
        """What the app shows."""
        return self.lifted["computedStates"][self.lifted["currentStateIndex"]]["state"]

    def dispatch(self, action: dict[str, Any]) -> None:
        """Have the app do something, and tell of it."""
        self._perform(self._performed(action))

    def _perform(self, performed: dict[str, Any]) -> None:
        lifted = self.lifted
        if lifted["isPaused"]:
            # The app tells of no action then.
            [*_, last] = lifted["computedStates"]
            last["state"] = self._reduce(last["state"], performed["action"])
            return
        if len(lifted["stagedActionIds"]) >= self._max_age:
            gone = lifted["stagedActionIds"].pop(1)
            del lifted["actionsById"][str(gone)]
            lifted["computedStates"].pop(0)
            lifted["committedState"] = lifted["computedStates"][0]["state"]
            lifted["currentStateIndex"] = max(0, lifted["currentStateIndex"] - 1)
        if lifted["currentStateIndex"] == len(lifted["stagedActionIds"]) - 1:
            lifted["currentStateIndex"] += 1
        number = lifted["nextActionId"]
        lifted["nextActionId"] += 1
        lifted["actionsById"][str(number)] = performed
        lifted["stagedActionIds"].append(number)
        last = lifted["computedStates"][-1]["state"]
        lifted["computedStates"].append({"state": self._reduce(last, performed["action"])})
        self.relay(
            {
                "type": "ACTION",
                "payload": json.dumps(self.state),
                "action": json.dumps(performed),
                "nextActionId": lifted["nextActionId"],
            }
        )

    def tell_all(self) -> None:
        """Send the lifted state."""
        self.relay({"type": "STATE", "payload": json.dumps(self.lifted)})

    def _recompute(self) -> None:
        lifted = self.lifted
        states: list[Any] = []
        for place, number in enumerate(lifted["stagedActionIds"]):
            before = states[-1]["state"] if states else lifted["committedState"]
            is_kept = number in lifted["skippedActionIds"] or place == 0
            action = lifted["actionsById"][str(number)]["action"]
            states.append({"state": before if is_kept else self._reduce(before, action)})
        lifted["computedStates"] = states

    def obey(self) -> dict[str, Any]:
        """Wait for what is asked of the app, do it, and tell of it."""
        packet = json.loads(self.socket.text())
        assert packet["event"] == "#publish"
        assert packet["data"]["channel"] == self.channel
        message: dict[str, Any] = packet["data"]["data"]
        if message["type"] == "IMPORT":
            kept = {key: self.lifted[key] for key in ("isLocked", "isPaused")}
            self.lifted = {**json.loads(message["state"]), **kept}
            self._recompute()
        elif message["type"] == "DISPATCH":
            if self._obey_lifted(message["action"]):
                return message
        else:
            assert message["type"] in ("START", "UPDATE"), message
        self.tell_all()
        return message

    def _obey_lifted(self, action: dict[str, Any]) -> bool:
        lifted = self.lifted
        match action["type"]:
            case "JUMP_TO_ACTION":
                if action["actionId"] in lifted["stagedActionIds"]:
                    lifted["currentStateIndex"] = lifted["stagedActionIds"].index(action["actionId"])
            case "TOGGLE_ACTION":
                lifted["skippedActionIds"] = sorted({*lifted["skippedActionIds"]} ^ {action["id"]})
                self._recompute()
            case "PAUSE_RECORDING":
                lifted["isPaused"] = action["status"]
                lifted["computedStates"][-1] = dict(lifted["computedStates"][-1])
                if not action["status"]:
                    self._begin_anew(self.state)
            case "PERFORM_ACTION":
                self._perform(action)
                return True
            case kind:
                raise AssertionError(kind)
        return False

    def reset(self, initial: Any) -> None:
        """Have the app go back to where it began, as its own button does."""
        self._begin_anew(initial)
        self.tell_all()

    def _begin_anew(self, initial: Any) -> None:
        self.lifted.update(
            actionsById={"0": self._performed({"type": "@@INIT"})},
            stagedActionIds=[0],
            skippedActionIds=[],
            committedState=initial,
            currentStateIndex=0,
            computedStates=[{"state": initial}],
            nextActionId=1,
        )


def entries_of(path: Path) -> list[tuple[str, Any, int | None, dict[str, Any]]]:
    """Return action, state, parent and meta of each entry of a recording."""
    with open_history(path, follow=False) as history:
        return [
            (entry.action, history.state(entry.seq), entry.parent_seq, dict(entry.meta)) for entry in list(history)
        ]


def length_of(path: Path) -> int:
    """Return how many entries a recording has; 0 while it has none."""
    if not path.exists():
        return 0
    try:
        with open_history(path, follow=False) as history:
            return len(history)
    except UnspoolError:
        # It is being made.
        return 0
