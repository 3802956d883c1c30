"""Hostile clients of `unspool serve`: handshakes of strangers, frames that no browser sends, keys that nobody pressed."""

from __future__ import annotations

import base64
import json
import os
import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from support.recording import record_shop
from support.serving import Served, children_of, is_running, served
from torture.campaign import Campaign, Outcome, Result, Skipped

_WAIT_S = 20.0
_MOST_KILOBYTES = 1 << 20
"""Memory that the server and its children may come to hold together."""
KEYS = (
    "\x1b", "\x1b[A", "\x1b[B", "\x1b[<0;10;5M", "\x1b[200~paste\x1b[201~", "\r", "\t", "\x03", "\x04", "\x1a", "\x00", "j", "k", "q", "E", "c",
    "R", "/", "?", "W", "U", "I", "O", ":", "=", "\x7f", "\x1b]52;c;aGk=\x07", "é", "\ud83d\ude00", "x" * 500,
)  # fmt: skip


class Web(Campaign):
    """One client after another; the server answers an honest one afterwards, and nothing was written."""

    name = "web"
    about = "strangers' handshakes, broken frames, floods and random keys against a real server"
    limit_s = 90.0
    memory = 0
    workers = 1

    def prepare(self, folder: Path, seed: int) -> int:
        try:
            import aiohttp  # noqa: F401
            import textual_serve  # noqa: F401
        except ImportError:
            raise Skipped("the extra `serve` is not installed") from None
        self.seed = seed
        self._home = folder / "home"
        self._home.mkdir()
        shop = self._home / "shop.unspool"
        record_shop(shop, 40)
        self._before = _contents(self._home)
        self._resources = ExitStack()
        environment = {**os.environ, "HOME": str(self._home), "XDG_STATE_HOME": str(self._home / "s")}
        self._server = self._resources.enter_context(served(shop, env=environment))
        return 10_000

    def run(self, case: int, folder: Path) -> Result:
        rng = random.Random(self.seed * 1_000_003 + case)
        kind, told = _attack(self._server, rng)
        result = self._still_well()
        if told:
            result = Result(Outcome.WRONG, told)
        return Result(result.outcome, f"{result.told} [{kind}]")

    def _still_well(self) -> Result:
        server = self._server
        # Only its own parent may ask a process how it ended.
        if not is_running(server.process.pid):
            return Result(Outcome.LOST, f"the server ended: {server.said[-300:]}")
        if "Traceback" in server.said:
            return Result(Outcome.UNTYPED, f"the server says: {server.said[-300:]}")
        begun = time.monotonic()
        if not _page_is_there(server):
            return Result(Outcome.HANG, "no page for an honest visitor")
        while server.children():
            if time.monotonic() - begun > _WAIT_S:
                return Result(Outcome.LOST, f"{len(server.children())} processes stay after their visitors left")
            time.sleep(0.05)
        memory = _kilobytes(server.process.pid)
        if memory > _MOST_KILOBYTES:
            return Result(Outcome.LOST, f"the server holds {memory >> 10} MiB")
        if _contents(self._home) != self._before:
            return Result(
                Outcome.WRONG, f"something was written: {sorted(set(_contents(self._home)) ^ set(self._before))}"
            )
        return Result(Outcome.RIGHT)

    def finish(self) -> Iterator[Result]:
        children = children_of(self._server.process.pid)
        self._resources.close()
        left = [pid for pid in children if is_running(pid)]
        yield Result(Outcome.LOST, f"{left} outlive the server") if left else Result(Outcome.RIGHT)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _kilobytes(pid: int) -> int:
    total = 0
    for one in (pid, *children_of(pid)):
        with suppress(OSError, IndexError):
            status = Path(f"/proc/{one}/status").read_text()
            total += int(status.partition("VmRSS:")[2].split()[0])
    return total


def _connect(server: Served) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", server.port), timeout=_WAIT_S)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def _page_is_there(server: Served) -> bool:
    with suppress(OSError), _connect(server) as link:
        link.sendall(
            f"GET /{server.token}/ HTTP/1.1\r\nHost: localhost:{server.port}\r\nConnection: close\r\n\r\n".encode()
        )
        return link.recv(64).startswith(b"HTTP/1.1 200")
    return False


def _attack(server: Served, rng: random.Random) -> tuple[str, str]:
    """Do something hostile; return what it was, and what was wrong with the answer, if anything was."""
    kind = rng.choice(
        ("stranger", "garbage", "half", "frames", "frames", "keys", "keys", "messages", "flood", "hang up")
    )
    with suppress(OSError):
        if kind == "stranger":
            return kind, _stranger(server, rng)
        if kind == "garbage":
            with _connect(server) as link:
                link.sendall(rng.randbytes(rng.choice((1, 100, 70_000))))
        elif kind == "half":
            with _connect(server) as link:
                link.sendall(_handshake(server, rng)[: rng.randrange(200)])
        else:
            with _connect(server) as link:
                link.sendall(_handshake(server, rng))
                answer = link.recv(4096)
                if not answer.startswith(b"HTTP/1.1 101"):
                    return kind, f"an honest handshake was refused: {answer[:60]!r}"
                for data in _sent(kind, rng):
                    link.sendall(data)
                link.settimeout(rng.choice((0.01, 0.2)))
                with suppress(TimeoutError):
                    while link.recv(65536):
                        pass
    return kind, ""


def _handshake(server: Served, rng: random.Random, **changed: str) -> bytes:
    key = base64.b64encode(rng.randbytes(16)).decode()
    path = changed.pop("path", f"/{server.token}/ws?width=100&height=30")
    headers = {
        "Host": f"localhost:{server.port}", "Origin": server.origin, "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key, **changed,
    }  # fmt: skip
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "replace")


def _stranger(server: Served, rng: random.Random) -> str:
    """Ask as a page of somebody else does; whoever lets it in says so here."""
    changed = rng.choice((
        {"Origin": rng.choice(("http://evil.example", "null", "", "https://localhost", f"http://localhost:{server.port}.evil.example"))},
        {"Host": rng.choice(("evil.example", "10.0.0.1:80", f"localhost.evil.example:{server.port}", ""))},
        {"path": rng.choice((f"/{server.token[:-1]}/ws", "/ws", f"/{server.token.swapcase()}/ws", f"/{rng.randbytes(16).hex()}/ws", "//ws"))},
    ))  # fmt: skip
    with _connect(server) as link:
        link.sendall(_handshake(server, rng, **changed))
        answer = link.recv(200)
    return f"a stranger was let in: {changed}" if answer.startswith(b"HTTP/1.1 101") else ""


def _sent(kind: str, rng: random.Random) -> Iterator[bytes]:
    for _ in range({"flood": 3000, "hang up": 1}.get(kind, 40)):
        if kind in ("keys", "flood", "hang up"):
            yield _frame(
                1, json.dumps(["stdin", "".join(rng.choice(KEYS) for _ in range(rng.choice((1, 5))))]).encode(), rng
            )
        elif kind == "messages":
            yield _frame(1, _message(rng), rng)
        else:
            yield _broken_frame(rng)


def _message(rng: random.Random) -> bytes:
    word = rng.choice(
        (
            "stdin",
            "resize",
            "ping",
            "pong",
            "focus",
            "blur",
            "quit",
            "deliver_chunk_request",
            "open_url",
            "",
            "x" * 1000,
        )
    )
    rest = rng.choice((
        [], [None], [{}], [{"width": 10**9, "height": -1}], [{"width": "a", "height": []}], [1e308], ["../../etc/passwd", 1], [["a"] * 500], [True] * 9,
    ))  # fmt: skip
    return rng.choice(
        (json.dumps([word, *rest]).encode(), b"[" * 5000, b"null", b"{}", b"\xff\xfe", b'["stdin"', b"1" * 6000, b"")
    )


def _frame(opcode: int, payload: bytes, rng: random.Random, *, final: bool = True, masked: bool = True) -> bytes:
    head = bytes(((0x80 if final else 0) | opcode,))
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes((bit | len(payload),))
    elif len(payload) < 65536:
        head += bytes((bit | 126,)) + struct.pack(">H", len(payload))
    else:
        head += bytes((bit | 127,)) + struct.pack(">Q", len(payload))
    if not masked:
        return head + payload
    mask = rng.randbytes(4)
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def _broken_frame(rng: random.Random) -> bytes:
    match rng.randrange(8):
        case 0:
            return _frame(rng.randrange(16), rng.randbytes(rng.choice((0, 3, 200))), rng)
        case 1:
            return _frame(1, b"x" * 20, rng, masked=False)
        case 2:
            # More is announced than anybody may send.
            return b"\x81\xff" + struct.pack(">Q", rng.choice((2**40, 2**63, 2**64 - 1))) + b"\0\0\0\0"
        case 3:
            return _frame(9, b"p" * rng.choice((125, 126, 500)), rng)
        case 4:
            return _frame(1, b"a", rng, final=False)
        case 5:
            return _frame(1, b"x" * 70_000, rng)
        case 6:
            return _frame(8, struct.pack(">H", rng.randrange(65536)) + rng.randbytes(10), rng)
        case _:
            return rng.randbytes(30)
