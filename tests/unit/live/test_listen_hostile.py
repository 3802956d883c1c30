"""Whoever is not meant to is not let in, and what breaks a protocol or a bound ends one connection and nothing else."""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.listening import RawSocket, ReduxApp, Refusal, entries_of, length_of, listening
from support.waiting import wait_until
from unspool.errors import ConfigError
from unspool.live.listen import Kept, Listener, Listening, connections, histories


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path) as listening_at:
        yield listening_at


def asked(place: Listening, text: str | bytes) -> str:
    """Send bytes as they are, and return the first line of what comes back."""
    with socket.create_connection(("127.0.0.1", place.port), 20) as connection:
        connection.sendall(text.encode() if isinstance(text, str) else text)
        answer = b""
        while b"\r\n" not in answer:
            try:
                data = connection.recv(4096)
            except ConnectionResetError:
                break
            if not data:
                break
            answer += data
        return answer.split(b"\r\n")[0].decode()


def status(place: Listening, path: str, *headers: str, method: str = "GET", host: str = "localhost") -> str:
    rest = "".join(f"{header}\r\n" for header in headers)
    return asked(place, f"{method} {path} HTTP/1.1\r\nHost: {host}:{place.port}\r\n{rest}\r\n").split(" ")[1]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "0.0.0.0", "192.168.1.5", ""])
def test_a_foreign_name_is_refused(place: Listening, host: str) -> None:
    assert status(place, f"/{place.token}/shim.js", host=host) == "421"
    with pytest.raises(Refusal, match="421"):
        RawSocket(place.port, "/socketcluster/", host=f"{host}:{place.port}")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_names_of_this_machine_are_known(place: Listening, host: str) -> None:
    assert status(place, f"/{place.token}/shim.js", host=host) == "200"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "file://", "http://192.168.0.1", "x"]
)
def test_a_foreign_page_is_refused(place: Listening, origin: str) -> None:
    assert status(place, f"/{place.token}/v1/x", f"Origin: {origin}", method="POST") == "403"
    for path in ("/socketcluster/", f"/{place.token}/shim"):
        with pytest.raises(Refusal, match="403"):
            RawSocket(place.port, path, (("Origin", origin),))


def test_pages_of_this_machine_and_those_that_are_named_may_ask(tmp_path: Path) -> None:
    with listening(tmp_path, origins=["https://shop.test"], names=["shop.test"]) as place:
        for origin in ("http://localhost:3000", "http://127.0.0.1:5173", "https://shop.test"):
            RawSocket(place.port, "/socketcluster/", (("Origin", origin),)).close()
        assert status(place, f"/{place.token}/shim.js", host="shop.test") == "200"


def test_without_the_token_there_is_no_script_and_no_post(place: Listening) -> None:
    for path in (
        "/shim.js",
        "/x/shim.js",
        "/v1/shop",
        f"/{place.token[:-1]}/v1/shop",
        f"/{place.token}x/shim.js",
        "/",
    ):
        assert status(place, path, method="GET" if path.endswith("js") else "POST") == "403"
    assert status(place, "/v1/shop", "Authorization: Bearer nonsense", "Content-Length: 0", method="POST") == "403"
    with pytest.raises(Refusal, match="404"):
        RawSocket(place.port, "/shim")
    assert not list(place.folder.glob("*.unspool"))


UNKNOWN_VERSION = (
    b"GET /socketcluster/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 99\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\nzz\r\n",
        b"GET /socketcluster/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n",
        UNKNOWN_VERSION,
        b"\0" * 20_000,
    ],
    ids=range(10),
)
def test_what_is_no_http_is_answered_as_such(place: Listening, text: bytes) -> None:
    line = asked(place, text)
    assert line == "" or line.split(" ")[1].startswith("4")
    assert status(place, f"/{place.token}/shim.js") == "200"


def frame(first: int, payload: bytes, *, length: int | None = None, masked: bool = True) -> bytes:
    """Return a frame of a WebSocket as it is told to be; its mask changes nothing."""
    size = len(payload) if length is None else length
    mask = 0x80 if masked else 0
    short = min(size, 126 if size < 1 << 16 else 127) if size > 125 else size
    head = bytes((first, mask | short)) + {126: struct.pack("!H", size & 0xFFFF), 127: struct.pack("!Q", size)}.get(
        short, b""
    )
    return head + (bytes(4) if masked else b"") + payload


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (frame(0x81, b"hello", masked=False), 1002),
        (frame(0xF1, b"hello"), 1002),
        (frame(0x83, b"hello"), 1002),
        (frame(0x80, b"hello"), 1002),
        (frame(0x81, b"\xff\xfe"), 1007),
        (frame(0x82, b"hello"), 1003),
        (frame(0x81, b"hello", length=1 << 63), 1002),
        (frame(0x89, b"x" * 200), 1002),
        (frame(0x81, b"hello"), 1008),
        (frame(0x81, b"[[[1]]]"), 1008),
        (frame(0x81, b"[" * 110_000), 1008),
        (frame(0x81, b'{"event":"log","data":{}}'), 0),
    ],
    ids=range(12),
)
def test_broken_frames_and_messages_end_their_connection_only(place: Listening, raw: bytes, code: int) -> None:
    other = RawSocket(place.port, "/socketcluster/")
    broken = RawSocket(place.port, "/socketcluster/")
    broken.socket.sendall(raw)
    if code:
        assert broken.closing()[0] == code
    else:
        broken.send_json({"event": "#handshake", "cid": 1, "data": {}})
        assert json.loads(broken.text())["rid"] == 1
    other.send_json({"event": "#handshake", "cid": 1, "data": {}})
    assert json.loads(other.text())["rid"] == 1


def test_a_message_beyond_the_bound_is_refused(place: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_MESSAGE_BYTES", 100_000)
    raw = RawSocket(place.port, "/socketcluster/")
    raw.socket.sendall(frame(0x81, b" " * 150_000, length=1 << 40))
    assert raw.closing()[0] == 1009
    pieces = RawSocket(place.port, "/socketcluster/")
    pieces.socket.sendall(frame(0x01, b" " * 60_000) + frame(0x00, b" " * 60_000))
    assert pieces.closing()[0] == 1009


def test_what_is_held_of_all_messages_is_bounded(place: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_MOST_HELD_BYTES", 100_000)
    first, second = (RawSocket(place.port, "/socketcluster/") for _ in range(2))
    first.socket.sendall(frame(0x01, b" " * 80_000))
    first.socket.sendall(frame(0x89, b"ping"))
    first.next_event()
    second.socket.sendall(frame(0x01, b" " * 80_000))
    assert second.closing()[0] == 1013
    # What is given up is free again.
    first.close()
    third = RawSocket(place.port, "/socketcluster/")
    third.socket.sendall(frame(0x01, b'{"event":') + frame(0x80, b'"#handshake","cid":3}'))
    assert json.loads(third.text())["rid"] == 3


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what takes long be told from what does not within moments."""
    for name in ("_REQUEST_S", "_MESSAGE_S", "_GOODBYE_S"):
        monkeypatch.setattr(connections, name, 0.2)
    monkeypatch.setattr(connections, "_LOOK_S", 0.05)


@pytest.mark.usefixtures("impatient")
def test_whoever_says_nothing_or_dawdles_is_cut(tmp_path: Path) -> None:
    with listening(tmp_path) as place:
        dawdle(place)


def dawdle(place: Listening) -> None:
    silent = socket.create_connection(("127.0.0.1", place.port), 20)
    assert silent.recv(100) == b""
    half = RawSocket(place.port, "/socketcluster/")
    half.send_json({"event": "login", "cid": 1})
    assert "rid" in half.text()
    half.socket.sendall(frame(0x01, b"{"))
    assert half.closing()[0] in (1001, 1006)
    unnamed = RawSocket(place.port, "/socketcluster/")
    assert unnamed.closing()[0] in (1001, 1006)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(b"[" + b'{"event":"login","cid":1},' * 2_000 + b"{}]", id="asks", marks=pytest.mark.slow),
        pytest.param(b"", id="pings"),
    ],
)
def test_whoever_does_not_read_answers_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: bytes) -> None:
    monkeypatch.setattr(connections, "_MOST_UNREAD_BYTES", 10_000)
    with listening(tmp_path) as place:
        deaf = RawSocket(place.port, "/socketcluster/")
        asks = frame(0x81, ask) if ask else frame(0x89, b"x" * 125) * 5_000
        with pytest.raises(ConnectionError):
            for _ in range(1_000):
                deaf.socket.sendall(asks)
        assert status(place, f"/{place.token}/shim.js") == "200"


def test_connections_and_stores_are_bounded(place: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_MOST_CONNECTIONS", 3)
    held = [RawSocket(place.port, "/socketcluster/") for _ in range(3)]
    with socket.create_connection(("127.0.0.1", place.port), 20) as one_too_many:
        assert one_too_many.recv(100) == b""
    state: dict[str, Any] = {"stagedActionIds": [0], "actionsById": {}, "computedStates": [{"state": {}}]}
    for number in range(20):
        data = {"type": "STATE", "instanceId": f"i{number}", "name": "many", "payload": json.dumps(state)}
        held[0].send_json({"event": "log", "data": data})
    assert held[0].closing() == (1008, "an app may have 16 stores here")
    wait_until(lambda: not list(place.folder.glob("*-ctl")), "the end of its stores")
    assert len(list(place.folder.glob("*.unspool"))) == 16


def test_names_that_never_end_fill_no_folder(place: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "_MOST_FILES", 3)
    state: dict[str, Any] = {"stagedActionIds": [0], "actionsById": {}, "computedStates": [{"state": {}}]}
    for number in range(6):
        raw = RawSocket(place.port, "/socketcluster/")
        data = {"type": "STATE", "instanceId": "i", "name": f"name{number}", "payload": json.dumps(state)}
        raw.send_json({"event": "log", "data": data})
        raw.send_json({"event": "login", "cid": 1})
        raw.text()
        raw.close()
    wait_until(lambda: not list(place.folder.glob("*-ctl")), "the end of the stores")
    assert len(list(place.folder.glob("*.unspool"))) == 3


def test_what_means_nothing_is_left_out_counted_and_told(tmp_path: Path) -> None:
    said: list[str] = []
    with listening(tmp_path, said) as place:
        app = ReduxApp(place.port, lambda state, action: {**state, **action}, {"n": 1})
        path = tmp_path / "cart.unspool"
        wait_until(lambda: length_of(path) == 1, "the first entry")
        lifted = app.lifted
        for payload in (
            "nonsense",
            5,
            "[]",
            "{}",
            "[" * 110_000,
            json.dumps({**lifted, "stagedActionIds": ["x"]}),
            json.dumps({**lifted, "actionsById": 3}),
            json.dumps({**lifted, "computedStates": 3, "currentStateIndex": {}, "nextActionId": []}),
        ):
            app.relay({"type": "STATE", "payload": payload})
        for action in ("nonsense", None, {"type": 3}, "{}", json.dumps({"action": 3})):
            app.relay({"type": "ACTION", "payload": "{}", "action": action, "nextActionId": "x"})
        app.relay({"type": ["STATE"], "payload": {}})
        app.dispatch({"type": "sane", "m": 2})
        wait_until(lambda: entries_of(path)[-1][0] == "sane", "what comes after it")
        *_, (_, state, _, meta) = entries_of(path)
        assert state["m"] == 2
        assert meta["missing_before"]["unreadable"] >= 10
    assert any("was left out" in words for words in said)


def test_a_host_that_is_more_than_a_name_gets_into_no_script(place: Listening) -> None:
    text = f'GET /{place.token}/shim.js HTTP/1.1\r\nHost: localhost:1"+alert(1)+"\r\nConnection: close\r\n\r\n'
    with socket.create_connection(("127.0.0.1", place.port), 20) as connection:
        connection.sendall(text.encode())
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 4") or (
        b"alert" not in answer and f"localhost:{place.port}/".encode() in answer
    )


def test_a_page_asks_first_and_reads_the_answer(place: Listening) -> None:
    connection = http.client.HTTPConnection("localhost", place.port, timeout=20)
    page = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    connection.request("OPTIONS", "/v1/shop", headers=page)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"]
    connection.request("HEAD", f"/{place.token}/shim.js", headers=page)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    # On the same connection still.
    connection.request("POST", "/v1/shop", b'{"state": 1}', {**page, "Authorization": f"Bearer {place.token}"})
    answer = connection.getresponse()
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert json.loads(answer.read())["recorded"] == 1
    connection.close()


def test_a_full_disk_is_told_and_ends_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "unspool_tui.cli", "listen", "--port", "0", str(tmp_path)]
    # No file may grow beyond that.
    script = f"import os, resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); os.execv({words[0]!r}, {words!r})"
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        *_, post = (process.stderr.readline() for _ in range(4))
        address = post.split(" to ")[1].strip().replace("NAME", "big")
        recorded = 0
        for number in range(400):
            line = json.dumps({"state": {"n": number, "text": random_text(number)}}).encode()
            try:
                with urllib.request.urlopen(address, line, timeout=20) as answer:
                    recorded = json.loads(answer.read())["entries"]
            except urllib.error.HTTPError as error:
                told = json.loads(error.read())
                assert (error.code, told["recorded"]) == (507, 0)
                assert "big.unspool" in told["message"]
                break
        else:
            process.kill()
            raise AssertionError("the disk never was full")
        with urllib.request.urlopen(address.replace("/v1/big", "/shim.js"), timeout=20) as answer:
            assert answer.status == 200
        process.terminate()
        assert process.wait(20) == 0
    assert recorded > 3
    assert length_of(tmp_path / "big.unspool") == recorded


def random_text(seed: int) -> str:
    """Return a text that does not pack."""
    return random.Random(seed).randbytes(5_000).hex()


def test_options_that_mean_nothing_are_refused_at_once(tmp_path: Path) -> None:
    for options in ({"origins": ["shop.test"]}, {"origins": ["https://a/b"]}, {"kept": Kept(keep="much")}):
        with pytest.raises(ConfigError):
            Listener(tmp_path, **options)  # type: ignore[arg-type]


def test_a_port_that_is_taken_is_named(place: Listening) -> None:
    import asyncio

    async def again() -> None:
        await Listener(place.folder, port=place.port).serve(lambda _: None, asyncio.Event())

    with pytest.raises(ConfigError, match=f"{place.port}.*--port"):
        asyncio.run(again())
