"""An agent that says whatever a test wants, for the host's side of the socket."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

from unspool.live.link import AgentSocket


class FakeAgent:
    """A connection to a host."""

    def __init__(self, place: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(place))
        self.socket.settimeout(20)
        self._rest = b""

    def say(self, *messages: dict[str, Any]) -> None:
        self.socket.sendall(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def hello(self, door: AgentSocket, **more: Any) -> None:
        self.say(
            {
                "m": "hello",
                "v": 1,
                "pid": 71,
                "python": "3.12.1",
                "main": "/x/app.py",
                "cwd": "/x",
                "how": "monitoring",
                "can": ["jump", "pause", "resume", "detach"],
                "token": door.token,
                **more,
            }
        )

    def hear(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def answer_all(self, *before: dict[str, Any], **answer: Any) -> threading.Thread:
        """Answer each question, in a thread; `before` is said ahead of the first answer."""

        def work() -> None:
            said = list(before)
            try:
                while True:
                    question = self.hear()
                    self.say(*said, {"m": "done", "id": question["id"], "ok": True, **answer})
                    said = []
                    if question["m"] == "detach":
                        self.say({"m": "bye", "why": "detach", "entries": 1})
                        self.socket.close()
                        return
            except (EOFError, OSError):
                return

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        self.socket.close()


START = {"m": "r", "n": 0, "t": 10**18, "action": "start", "rows": [[0, "state", None, ["total"], [0]]]}
SITE = {"m": "site", "id": 5, "file": "/x/app.py", "line": 12, "name": "add", "text": "total += 1"}


def step(total: Any, **more: Any) -> dict[str, Any]:
    """An entry in which the only atom has another value."""
    return {"m": "r", "t": 10**18 + 1, "site": 5, "splices": [[0, 0, 1, [total], ["total"]]], **more}
