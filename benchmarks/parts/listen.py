"""Actions of a Redux store that arrive at `unspool listen`, against the same states recorded by a hand-written `record()`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.context import ROOT, Context
from benchmarks.report import Row, against, alone
from unspool import Recorder
from unspool.sources.opening import open_history

TITLE = "unspool listen: actions of a Redux store, all at once, until all are recorded"

_ACTIONS: Final = 10_000
_KEYS: Final = (20, 200)
_GOAL: Final = 5_000
_SECONDS: Final = 60.0


def run(context: Context) -> list[Row]:
    """Measure stores of few and of many keys."""
    count = _ACTIONS // 20 if context.quick else _ACTIONS
    rows: list[Row] = []
    for keys in _KEYS:
        rows.extend(_one_store(context.folder / f"listen-{keys}", keys, count))
    return rows


def _states(keys: int, count: int) -> Iterator[dict[str, Any]]:
    state: dict[str, Any] = {f"key{n}": {"n": n, "text": f"text {n}"} if n % 4 == 0 else n for n in range(keys)}
    for number in range(count):
        state = {**state, f"key{number % keys}": number}
        yield state


def _one_store(folder: Path, keys: int, count: int) -> list[Row]:
    folder.mkdir()
    messages = [_message(number, state) for number, state in enumerate(_states(keys, count))]
    command = (sys.executable, "-m", "unspool_tui.cli", "listen", "--quiet", "--port", "0", str(folder))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stderr is not None
            port = int(process.stderr.readline().split(":")[2].split("/")[0])
            with socket.create_connection(("localhost", port), _SECONDS) as connection:
                seconds, processor_s = _sent(connection, port, messages, process.pid)
        finally:
            process.terminate()
    with open_history(folder / "cart.unspool", follow=False) as history:
        recorded = len(history)
    began = time.process_time()
    with Recorder(folder / "by-hand.unspool", on_error="raise") as recorder:
        for state in _states(keys, count):
            recorder.record(state, "set")
    by_hand_s = time.process_time() - began
    what = f"{keys} keys, {len(messages[0]):,} bytes"
    return [
        alone(f"{what}: entries a second", count / seconds, "/s", least=_GOAL),
        alone(f"{what}: recorded", 100 * recorded / count, "%", least=100),
        against(
            f"{what}: processor time an entry", processor_s / count * 1e6, by_hand_s / count * 1e6, "us", "record()"
        ),
    ]


def _message(number: int, state: dict[str, Any]) -> bytes:
    action = {
        "type": "PERFORM_ACTION",
        "action": {"type": "set", "by": number},
        "timestamp": 1_790_000_000_000 + number,
    }
    data = {
        "type": "ACTION",
        "id": "app",
        "name": "cart",
        "instanceId": "store",
        "payload": json.dumps(state, separators=(",", ":")),
        "action": json.dumps(action, separators=(",", ":")),
        "nextActionId": number + 1,
    }
    return json.dumps({"event": "log", "data": data}, separators=(",", ":")).encode()


def _frame(text: bytes) -> bytes:
    """Return a masked frame of a WebSocket; the mask changes nothing."""
    size = len(text)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2)
    return head + bytes(4) + text


def _sent(connection: socket.socket, port: int, messages: list[bytes], process: int) -> tuple[float, float]:
    """Send all messages, and return the seconds until all were taken, and those of the processor that it took."""
    upgrade = (
        f"GET /socketcluster/ HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    connection.sendall(upgrade.encode())
    assert b" 101 " in connection.recv(4096)
    # What is asked last is answered once all before it was taken.
    frames = b"".join(map(_frame, messages)) + _frame(b'{"event":"login","cid":1}')
    before, began = _processor_seconds(process), time.perf_counter()
    connection.sendall(frames)
    answer = b""
    while b'"rid":1' not in answer:
        data = connection.recv(4096)
        assert data, answer
        answer += data
    return time.perf_counter() - began, _processor_seconds(process) - before


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
