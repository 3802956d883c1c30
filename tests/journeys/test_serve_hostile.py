"""Whoever may not visit `unspool serve` gets nothing, and whoever may cannot harm the machine it runs on."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.git_repo import Repo
from support.recording import record_shop
from support.serving import Served, Visitor, is_running, served, visiting
from support.waiting import wait_until

pytest.importorskip("textual_serve", reason="textual-serve is not installed (extra `serve`)")
aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed (extra `serve`)")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes through /proc")

_HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("serve") / "shop.unspool"
    record_shop(path, 40)
    return path


@pytest.fixture(scope="module")
def server(shop: Path) -> Iterator[Served]:
    with served(shop) as running:
        yield running


@pytest.fixture
async def visitor(server: Served) -> AsyncIterator[Visitor]:
    async with visiting(server) as one:
        await one.wait_for("History")
        yield one
    await _until_empty(server)


async def _until_empty(server: Served) -> None:
    await asyncio.to_thread(wait_until, lambda: not server.children(), "the end of every visitor's process")


def _answer(
    server: Served, path: str, headers: dict[str, str], method: str = "GET"
) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = b"" if answer.status == 101 else answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body.decode()
    finally:
        connection.close()


def _own(server: Served) -> dict[str, str]:
    return {"Host": f"localhost:{server.port}", "Origin": server.origin}


def test_the_page_is_sealed_and_names_nothing_foreign(server: Served) -> None:
    status, headers, body = _answer(server, f"/{server.token}/", {"Host": f"localhost:{server.port}"})
    assert status == 200
    assert "<title>unspool · shop.unspool</title>" in body
    assert "//" not in body.replace("http://www.w3.org/2000/svg", "")
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self';" in policy
    assert "access-control-allow-origin" not in headers
    assert server.token not in json.dumps(headers)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://localhost"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Origin": "http://localhost:{port}.evil.example"}, 403),
        ({"Origin": "http://localhost:{port}@evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:{port}"}, 403),
        ({"Origin": "file://localhost:{port}"}, 403),
        ({"Origin": None}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "websocket"}, 403),
        ({"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"}, 421),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
        ({"Host": "localhost.evil.example:{port}", "Origin": "http://localhost.evil.example:{port}"}, 421),
        ({"Host": "192.168.1.1:{port}", "Origin": "http://192.168.1.1:{port}"}, 421),
        ({"Host": "", "Origin": "http://"}, 421),
    ],
)
def test_no_other_page_opens_the_socket(server: Served, changed: dict[str, str | None], status: int) -> None:
    headers = {**_HANDSHAKE, **_own(server)}
    for name, value in changed.items():
        if value is None:
            del headers[name]
        else:
            headers[name] = value.format(port=server.port)
    assert _answer(server, f"/{server.token}/ws", headers)[0] == status
    assert server.children() == []


@pytest.mark.parametrize(
    "path", ["/", "/ws", "//", "//ws", "/{half}/", "/{half}/ws", "/{token}x/", "/x/", "/%C3%A9/ws", "/%00/ws"]
)
@pytest.mark.parametrize("upgrade", [False, True])
def test_without_the_token_there_is_nothing(server: Served, path: str, upgrade: bool) -> None:
    named = path.format(half=server.token[:-1], token=server.token)
    headers = {**_own(server), **(_HANDSHAKE if upgrade else {})}
    status, answered, body = _answer(server, named, headers)
    assert status in (403, 404)
    assert server.token not in body
    assert answered["content-security-policy"].startswith("default-src 'none'")
    assert server.children() == []


@pytest.mark.parametrize(
    "name", ["../page.html", "page.html", "__init__.py", "..%2fserver.py", "textual.js%00", "nothing"]
)
def test_only_what_the_page_needs_is_handed_out(server: Served, name: str) -> None:
    assert _answer(server, f"/{server.token}/{name}", _own(server))[0] in (403, 404)
    assert _answer(server, f"/{server.token}/page.js", _own(server))[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_but_looking_is_answered(server: Served, method: str) -> None:
    assert _answer(server, f"/{server.token}/", _own(server), method)[0] in (403, 405)


def test_a_tunnel_under_another_port_is_the_same_machine(server: Served) -> None:
    own = {"Host": "localhost:9999", "Origin": "http://localhost:9999"}
    assert _answer(server, f"/{server.token}/", own)[0] == 200
    assert _answer(server, f"/{server.token}/", {**own, "Host": "127.0.0.1:9999"})[0] == 403


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("x" * 70_000, 1009),
        (json.dumps(["stdin", "x" * 70_000]), 1009),
        ("", 1003),
        ("null", 1003),
        ("{}", 1003),
        ("[]", 1003),
        ('["stdin"]', 1003),
        ('["stdin", 7]', 1003),
        ('["resize", {"width": "a", "height": 1}]', 1003),
        ('["resize", {"width": 1e999, "height": 1}]', 1003),
        ('["eval", "x"]', 1003),
        ('["ping", "' + "x" * 200 + '"]', 1003),
        ("[" * 60_000, 1003),
        (b"\x00\x01", 1003),
    ],
)
async def test_what_no_page_sends_ends_the_visit(server: Served, sent: str | bytes, code: int) -> None:
    async with visiting(server) as one:
        await (one.socket.send_bytes(sent) if isinstance(sent, bytes) else one.socket.send_str(sent))
        assert (await one.wait_for_close())[0] == code
    await _until_empty(server)


def _peak_kib(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


async def test_half_a_character_and_wild_sizes_leave_the_screen_in_order(visitor: Visitor, server: Served) -> None:
    await visitor.socket.send_str('["stdin", "\\ud800"]')
    await visitor.socket.send_str('["resize", {"width": 1000000000, "height": -5}]')
    await visitor.press("\x1b[48;100000;100000;0;0t")
    await visitor.socket.send_str('["resize", {"width": 90, "height": 28}]')
    await visitor.press("?")
    await visitor.wait_for("Help")
    (process,) = server.children()
    assert await asyncio.to_thread(_peak_kib, process) < 400_000


async def test_a_flood_ends_the_visit(server: Served) -> None:
    async with visiting(server) as one:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            for _ in range(5_000):
                await one.socket.send_str('["stdin", "j"]')
        code, reason = await one.wait_for_close()
        assert (code, reason) in ((1008, "too much was sent in too short a time"), (1006, ""))
    await _until_empty(server)


async def test_21_visitors_do_not_start_21_processes(shop: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        server = stack.enter_context(served(shop))
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def come() -> aiohttp.ClientWebSocketResponse | int:
            try:
                return await session.ws_connect(f"{server.address.replace('http', 'ws')}ws", origin=server.origin)
            except aiohttp.WSServerHandshakeError as error:
                return int(error.status)

        came = await asyncio.gather(*(come() for _ in range(21)))
        inside = [one for one in came if not isinstance(one, int)]
        assert len(inside) == 8
        assert [one for one in came if isinstance(one, int)] == [503] * 13
        assert len(server.children()) <= 8
        status, _, body = await asyncio.to_thread(_answer, server, f"/{server.token}/", _own(server))
        assert status == 503
        assert "All 8 places are taken" in body
        for one in inside:
            await one.close()
        await _until_empty(server)

        def is_let_in() -> bool:
            return _answer(server, f"/{server.token}/", _own(server))[0] == 200

        await asyncio.to_thread(wait_until, is_let_in, "a free place")


async def test_a_cut_connection_ends_its_process_and_frees_its_place(server: Served) -> None:
    async with visiting(server) as one:
        await one.wait_for("History")
        transport = one.socket.get_extra_info("socket")
        transport.shutdown(socket.SHUT_RDWR)
    await _until_empty(server)


async def test_a_page_that_takes_nothing_does_not_keep_its_place(shop: Path) -> None:
    with served(shop, patches="visit.VisitLimits = functools.partial(visit.VisitLimits, stall_s=0.5)") as server:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", server.port))
        with sock:
            words = "".join(f"{name}: {value}\r\n" for name, value in {**_HANDSHAKE, **_own(server)}.items())
            sock.sendall(f"GET /{server.token}/ws?width=500&height=200 HTTP/1.1\r\n{words}\r\n".encode())
            await asyncio.to_thread(wait_until, lambda: bool(server.children()), "the visitor's process")
            ended = asyncio.create_task(_until_empty(server))
            for number in range(2_000):
                if ended.done():
                    break
                with contextlib.suppress(OSError):
                    sock.sendall(_masked(json.dumps(["resize", {"width": 400 + number % 100, "height": 200}])))
                await asyncio.sleep(0.02)
            await ended


def _masked(text: str) -> bytes:
    payload = text.encode()
    assert len(payload) < 126
    return bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload


def _read_to_the_end(one: socket.socket) -> None:
    """Return when the other side has closed; raise TimeoutError when it never does."""
    one.settimeout(10)
    with contextlib.suppress(ConnectionError):
        while one.recv(4096):
            pass


async def test_a_connection_that_asks_for_nothing_is_closed(shop: Path) -> None:
    with served(shop, patches="server._FIRST_REQUEST_S = 0.3; server._MOST_CONNECTIONS = 12") as server:
        with contextlib.ExitStack() as stack:
            waiting = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(30)]
            for one in waiting[:5]:
                with contextlib.suppress(OSError):
                    one.sendall(b"GET / HTTP/1.1\r\nX-Half: ")
            for one in waiting:
                await asyncio.to_thread(_read_to_the_end, one)
        status = await asyncio.to_thread(_answer, server, f"/{server.token}/", _own(server))
        assert status[0] == 200


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_no_child_outlives_a_server_that_is_killed(shop: Path, tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with served(shop, env=env) as server:
        async with visiting(server) as one, visiting(server) as other:
            await one.wait_for("History")
            await other.wait_for("History")
            children = server.children()
            assert len(children) == 2
            assert len(_names(tmp_path)) == 2
            server.process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(wait_until, lambda: not any(map(is_running, children)), "the end of the children")
    await asyncio.to_thread(wait_until, lambda: not _names(tmp_path), "empty temporary folder")


@pytest.mark.one_in(2)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_server_that_is_told_to_end_takes_its_visitors_along(shop: Path, tmp_path: Path, number: int) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with served(shop, env=env) as server:
        async with visiting(server) as one:
            await one.wait_for("History")
            children = server.children()
            server.process.send_signal(number)
            assert await one.wait_for_close() == (1001, "the server was stopped")
        assert await asyncio.to_thread(server.process.wait, 10) == 0
        assert not any(map(is_running, children))
    assert _names(tmp_path) == []


@pytest.mark.slow
async def test_a_visitor_who_does_nothing_leaves_in_the_end(shop: Path) -> None:
    with served(shop, options=("--idle", "0.02")) as server:
        async with visiting(server) as one:
            code, reason = await one.wait_for_close()
        assert (code, reason) == (4000, "nobody touched a key for a long time")


def _below(*folders: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


async def test_a_visitor_writes_nothing_and_leaves_the_local_place_alone(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "data"
    home.mkdir()
    folder.mkdir()
    record_shop(folder / "shop.unspool", 20)
    env = {
        **os.environ,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
    }
    with served(folder / "shop.unspool", env=env) as server:
        before = _below(home, folder)
        async with visiting(server) as one:
            await one.wait_for("History")
            await one.press("E")
            await one.wait_for("a served screen writes no files")
            await one.press("c")
            await one.wait_for("Chains")
            await one.press("R")
            await one.wait_for("a served screen writes no files")
            await one.press("\x1b")
            await one.wait_for("History")
            await one.press("I")
            await one.wait_for("which key tells")
            await one.press("\x15")
            await one.press("stock[*]=qty")
            await one.wait_for("compares and remembers")
            await one.press("\r")
            await one.wait_for("is compared by qty")
            await one.press("{")
            await one.wait_for("0/19")
            await one.press("q")
            assert (await one.wait_for_close())[0] == 1000
        assert _below(home, folder) == before
        async with visiting(server) as other:
            await other.wait_for("19/19")


async def test_a_visitor_writes_only_below_the_permitted_folder(tmp_path: Path, shop: Path) -> None:
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    allowed.mkdir()
    outside.mkdir()
    (allowed / "way-out").symlink_to(outside)
    with served(shop, options=("--allow-write", str(allowed))) as server, contextlib.chdir(outside):
        async with visiting(server) as one:
            await one.wait_for("History")
            for name in ("../x.json", str(outside / "x.json"), "way-out/x.json", "a/../../x.json"):
                await one.press("E")
                await one.wait_for("Export")
                await one.press("s")
                await one.wait_for("where to?")
                await one.press("\x15")
                await one.press(name)
                await one.wait_for("only into the folder")
                await one.press("\r")
                await one.press("\x1b")
                await one.wait_for("quit")
            await one.press("E")
            await one.wait_for("Export")
            await one.press("s")
            await one.wait_for("where to?")
            await one.press("\x15")
            await one.press("state.json")
            await one.press("\r")
            await one.wait_for("wrote")
    assert [path.name for path in allowed.iterdir() if path.is_file()] == ["state.json"]
    assert "stock" in json.loads((allowed / "state.json").read_text())
    assert list(outside.iterdir()) == []


@pytest.mark.slow
async def test_foreign_sources_are_read_within_the_bounds_of_a_visitor(tmp_path: Path) -> None:
    lines, repository, scratch = tmp_path / "app.jsonl", tmp_path / "repo", tmp_path / "scratch"
    lines.write_text("".join(json.dumps({"count": number, "names": ["a"] * number}) + "\n" for number in range(12)))
    scratch.mkdir()
    commits = Repo(repository)
    for number in range(3):
        commits.commit("state.json", {"count": number}, f"set {number}")
    env = {**os.environ, "TMPDIR": str(scratch)}
    sources = (str(lines), f"git:{repository}:state.json")
    with served(*sources, env=env) as server:
        async with visiting(server) as one:
            await one.wait_for("11/11")
            await one.press("L")
            await one.wait_for("2/2")
        await _until_empty(server)
        await asyncio.to_thread(wait_until, lambda: not _names(scratch), "an empty temporary folder")


@pytest.mark.slow
async def test_a_visitor_is_under_the_limits_that_were_given(tmp_path: Path) -> None:
    lines = tmp_path / "app.jsonl"
    lines.write_text("".join(json.dumps({"count": number}) + "\n" for number in range(5)))
    with served(lines, options=("--raise-limit", "nodes=30M")) as server:
        async with visiting(server) as one:
            await one.wait_for("4/4")
            (process,) = server.children()
            words = await asyncio.to_thread(_words_of, process)
    assert words[words.index("--raise-limit") + 1] == "nodes=30M"


def _words_of(process: int) -> list[str]:
    return Path(f"/proc/{process}/cmdline").read_text().split("\0")
