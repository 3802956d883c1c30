"""A host for tests of the agent: reads what it sends, and keeps the state that each entry leaves, as plain values."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from unspool.live import agent_source, attach_text

_VERSIONS = Path.home() / ".pyenv/versions"


@lru_cache(maxsize=1)
def pythons() -> dict[str, str]:
    """Return the interpreters that the agent can run in, by version: this one, and those of pyenv from 3.11 on."""
    found = {".".join(map(str, sys.version_info[:2])): sys.executable}
    for place in sorted(_VERSIONS.glob("3.*/bin/python")) if _VERSIONS.is_dir() else ():
        version = tuple(map(int, place.parent.parent.name.split(".")[:2]))
        if version >= (3, 11):
            found.setdefault(".".join(map(str, version)), str(place))
    return found


def monitored() -> list[str]:
    """Return the versions that have `sys.monitoring`."""
    return [version for version in pythons() if tuple(map(int, version.split("."))) >= (3, 12)]


def each_python() -> list[Any]:
    """Return the versions as parameters: the oldest and the newest of those installed in every run, others in long ones."""
    found = list(pythons())
    ends = {found[0], max(found, key=lambda version: tuple(map(int, version.split("."))))}
    return [version if version in ends else pytest.param(version, marks=pytest.mark.slow) for version in found]


class Mirror:
    """The state as the messages describe it."""

    def __init__(self) -> None:
        self.nodes: dict[int, list[Any]] = {}

    def apply(self, message: dict[str, Any]) -> None:
        for row in message.get("rows", ()):
            number, kind, name, keys, cells, more, attrs = [*row, None, None][:7]
            self.nodes[number] = [kind, name, keys, list(cells), more or 0, attrs]
        for splice in message.get("splices", ()):
            number, at, drop, cells, keys, more = [*splice, None, None][:6]
            node = self.nodes[number]
            assert at + drop <= len(node[3]), (splice, node)
            node[3][at : at + drop] = cells
            if node[2] is not None:
                node[2][at : at + drop] = keys or []
                assert len(node[2]) == len(node[3]), (splice, node)
            if more is not None:
                node[4] = more
        for number in message.get("gone", ()):
            self.nodes.pop(number, None)

    def state(self) -> dict[str, Any]:
        if 0 not in self.nodes:
            return {}
        return {name: self._plain(cell, (0,)) for name, cell in zip(*self.nodes[0][2:4], strict=True)}

    def inline(self) -> list[Any]:
        """Return the state as one cell, as a jump takes it."""
        _, _, keys, cells, _, _ = self.nodes[0]
        return ["state", keys, [self._inline(cell, (0,)) for cell in cells]]

    def _inline(self, cell: Any, path: tuple[int, ...]) -> Any:
        if not (isinstance(cell, list) and len(cell) == 1 and isinstance(cell[0], int)):
            return cell
        if cell[0] in path:
            return ["ref", "a cycle"]
        kind, name, keys, cells, _, attrs = self.nodes[cell[0]]
        items = [self._inline(item, (*path, cell[0])) for item in cells]
        own = [] if attrs is None else [self._inline([attrs], path)]
        if kind == "dict":
            return ["dict", keys, items, name, *own]
        if kind == "object":
            return ["object", name, keys, items]
        if kind == "bytes":
            return ["bytes", *cells, name]
        return [kind, items, name, *own]

    def _plain(self, cell: Any, path: tuple[int, ...] = ()) -> Any:
        if not isinstance(cell, list):
            return cell
        if len(cell) == 1 and isinstance(cell[0], int):
            return self._node(cell[0], path)
        if cell[0] in ("tuple", "frozenset"):
            return (cell[0], [self._plain(item, path) for item in cell[1]])
        return tuple(map(str, cell))

    def _node(self, number: int, path: tuple[int, ...]) -> Any:
        if number in path:
            return ("$ref",)
        kind, name, keys, cells, more, attrs = self.nodes[number]
        items = [self._plain(item, (*path, number)) for item in cells]
        if more:
            items.append(("more", more))
        if kind == "list" and name is None:
            return items
        if kind == "dict" and name is None:
            shown = [key if isinstance(key, str | int | float | None) else str(key) for key in keys]
            return dict(zip([*shown, "…"], items, strict=False))
        if kind in ("set", "frozenset"):
            items = sorted(items, key=repr)
        if kind == "object":
            return (name, dict(zip(keys, items, strict=False)))
        own = () if attrs is None else (self._node(attrs, (*path, number)),)
        return (kind, name, *([list(map(str, keys))] if keys is not None and kind == "dict" else []), items, *own)


class Recorded:
    """What one program's agent sent.

    Attributes:
        messages: all of them.
        entries: the `r` messages, each with `state`, `place` and `action` as a host would record them.
        out, err, code: what the program itself wrote, and its exit code.
    """

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.entries: list[dict[str, Any]] = []
        self.sites: dict[int, dict[str, Any]] = {}
        self.mirror = Mirror()
        self.out = self.err = ""
        self.code: int | None = None

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["m"] == kind]

    def take(self, line: bytes) -> dict[str, Any]:
        message = json.loads(line)
        self.messages.append(message)
        if message["m"] == "site":
            self.sites[message["id"]] = message
        if message["m"] == "r":
            self.mirror.apply(message)
            site = self.sites.get(message.get("site", 0))
            entry = {**message, "state": self.mirror.state()}
            entry["line"] = site["line"] if site else 0
            entry["place"] = f"{Path(site['file']).name}:{site['line']}" if site else ""
            entry["action"] = message.get("action") or (f"{site['name']}: {site['text']}" if site else "")
            self.entries.append(entry)
        return message


class Host:
    """Listens for one agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        short = tempfile.mkdtemp(prefix="us-")
        self.place = str(Path(short) / "s")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.place)
        self._server.listen(1)
        self.agent_file = Path(short) / "agent.py"
        self.agent_file.write_text(agent_source())
        self.seen = Recorded()
        self._link: socket.socket | None = None
        self._rest = b""
        self._numbers = 0
        self.process: subprocess.Popen[str] | None = None

    def start(
        self,
        python: str,
        *arguments: str,
        config: dict[str, Any] | None = None,
        flags: tuple[str, ...] = (),
        talks: bool = False,
    ) -> subprocess.Popen[str]:
        """Start a program under the agent; one that talks reads lines of us."""
        whole = {"socket": self.place, **(config or {})}
        environment = {**os.environ, "UNSPOOL_AGENT": json.dumps(whole)}
        self.process = subprocess.Popen(
            [python, *flags, str(self.agent_file), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=self.folder,
            stdin=subprocess.PIPE if talks else None,
        )  # fmt: skip
        return self.process

    def attach_line(self, **config: Any) -> str:
        """Return the text that attaches the agent to whoever runs it."""
        return attach_text(str(self.agent_file), {"socket": self.place, **config})

    def accept(self, seconds: float = 20.0) -> None:
        self._server.settimeout(seconds)
        self._link, _ = self._server.accept()

    def read(self, until: Any = None, seconds: float = 30.0) -> Recorded:
        """Read messages until one fits, or until the agent is gone."""
        if self._link is None:
            self.accept(seconds)
        assert self._link is not None
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                message = self.seen.take(line)
                if until is not None and until(message):
                    return self.seen
            ready, _, _ = select.select([self._link], [], [], 0.5)
            if not ready:
                continue
            try:
                data = self._link.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                if until is not None:
                    raise AssertionError(f"the agent went before that: {self.seen.messages[-3:]}")
                return self.seen
            self._rest += data
        raise AssertionError(f"nothing for {seconds} s: {self.seen.messages[-3:]}")

    def hang_up(self) -> None:
        """Close the connection, as a host does that was killed."""
        assert self._link is not None
        self._link.close()

    def ask(self, kind: str, **more: Any) -> dict[str, Any]:
        """Ask the agent something, and return its answer."""
        if self._link is None:
            self.accept()
        assert self._link is not None
        self._numbers += 1
        number = self._numbers
        self._link.sendall(json.dumps({"m": kind, "id": number, **more}).encode() + b"\n")
        self.read(lambda message: message["m"] == "done" and message.get("id") == number)
        return self.seen.messages[-1]

    def finish(self, seconds: float = 30.0) -> Recorded:
        """Read on until the program has ended."""
        assert self.process is not None
        self.read(None, seconds)
        self.seen.out, self.seen.err = self.process.communicate(timeout=seconds)
        self.seen.code = self.process.returncode
        return self.seen

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
        self._server.close()
        shutil.rmtree(self.agent_file.parent, ignore_errors=True)
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def record(folder: Path, source: str, version: str = "", *, name: str = "app.py", **config: Any) -> Recorded:
    """Run a program under the agent, and return what was seen of it."""
    (folder / name).write_text(source)
    host = Host(folder)
    try:
        host.start(pythons()[version or monitored()[0]], name, config=config)
        return host.finish()
    finally:
        host.close()
