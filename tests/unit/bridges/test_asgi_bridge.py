"""Requests to a real FastAPI app: each a span with its id, path, user and status."""

from __future__ import annotations

from typing import Any

import pytest

from unspool.bridges.asgi import CONTEXT, RecordingMiddleware
from unspool.history import History
from unspool.history.history import Contexts
from unspool.model.entries import caller_of
from unspool.recorder import Recorder
from unspool.store import MemoryStore

fastapi = pytest.importorskip("fastapi")
testclient = pytest.importorskip("fastapi.testclient")


def user_of(scope: Any) -> str:
    return str(dict(scope["headers"])[b"x-user"].decode())


@pytest.fixture
def shop() -> tuple[Any, MemoryStore]:
    store = MemoryStore()
    cart: dict[str, int] = {}
    recorder = Recorder(store, on_error="raise", state=lambda: {"cart": cart})
    app = fastapi.FastAPI()
    app.add_middleware(RecordingMiddleware, recorder=recorder, user=user_of, skip=["/health"])

    @app.post("/cart/{item}")
    def add(item: str) -> dict[str, int]:
        cart[item] = cart.get(item, 0) + 1
        return cart

    @app.get("/broken")
    def broken() -> None:
        raise LookupError("no such shelf")

    @app.get("/health")
    def health() -> str:
        return "ok"

    @app.websocket("/chat")
    async def chat(socket: fastapi.WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    return testclient.TestClient(app, raise_server_exceptions=False), store


def test_a_request_is_a_span_that_names_who_what_and_where(shop: tuple[Any, MemoryStore]) -> None:
    client, store = shop
    headers = {"x-request-id": "r-1", "x-user": "ada", "authorization": "Bearer hunter2"}
    assert client.post("/cart/tea?key=hunter2", headers=headers, json={"card": "hunter2"}).json() == {"tea": 1}
    history = History(store)
    assert [entry.action for entry in history] == ["POST /cart/tea"]
    span = history[0].meta["span"]
    assert span["facts"] == {"request": "r-1", "method": "POST", "path": "/cart/tea", "status": 200, "user": "ada"}
    assert history.state(0) == {"cart": {"tea": 1}}
    place = caller_of(history[0].meta)
    assert place is not None
    assert place.file.endswith("test_asgi_bridge.py")
    assert place.function.endswith("add")
    assert "hunter2" not in repr(dict(history[0].meta))


def test_errors_unknown_users_and_paths_that_lead_nowhere_are_told(shop: tuple[Any, MemoryStore]) -> None:
    client, store = shop
    assert client.get("/broken", headers={"x-request-id": "bad\x01id"}).status_code == 500
    assert client.get("/nowhere", headers={"x-user": "eve"}).status_code == 404
    history = History(store)
    assert history[0].meta["exception"].type_name == "builtins.LookupError"
    facts = history[0].meta["span"]["facts"]
    assert facts["user"] == "not known: KeyError"
    assert len(facts["request"]) == 32
    assert history[1].meta["span"]["facts"]["status"] == 404
    assert caller_of(history[1].meta) is None


def test_everything_recorded_during_a_request_says_which_one_it_was() -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise", state=lambda: {"n": len(store)}, context=CONTEXT)
    app = fastapi.FastAPI()
    app.add_middleware(RecordingMiddleware, recorder=recorder)

    @app.get("/in-a-thread")
    def in_a_thread() -> None:
        recorder.record(action="in a thread")

    @app.get("/in-the-loop")
    async def in_the_loop() -> None:
        recorder.record(action="in the loop")

    client = testclient.TestClient(app)
    client.get("/in-a-thread", headers={"x-request-id": "r-1"})
    client.get("/in-the-loop", headers={"x-request-id": "r-2"})
    recorder.record(action="outside")
    history = History(store)
    contexts = Contexts(history)
    told = [(entry.action, contexts.of(entry) or {}) for entry in history]
    assert [(action, context.get("request"), context.get("path")) for action, context in told] == [
        ("in a thread", "r-1", "/in-a-thread"),
        ("GET /in-a-thread", "r-1", "/in-a-thread"),
        ("in the loop", "r-2", "/in-the-loop"),
        ("GET /in-the-loop", "r-2", "/in-the-loop"),
        ("outside", None, None),
    ]


def test_what_is_skipped_is_not_recorded_and_sockets_are(shop: tuple[Any, MemoryStore]) -> None:
    client, store = shop
    assert client.get("/health").text == '"ok"'
    with client.websocket_connect("/chat", headers={"x-user": "ada"}) as socket:
        assert socket.receive_text() == "hello"
    assert [entry.action for entry in History(store)] == ["WEBSOCKET /chat"]
