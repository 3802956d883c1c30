"""Mercurial: one revision a state in a filelog (its delta chain) with zstd; changelog and manifest are not counted.

States are written as indented JSON, since Mercurial's deltas go by lines.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from benchmarks.loads import State
from benchmarks.peers import PeerAbsent


class MercurialFile:
    """One file's revisions in a repository of its own."""

    def __init__(self, folder: Path) -> None:
        """Make an empty one.

        Raises:
            PeerAbsent: the `mercurial` package is not installed.
        """
        if importlib.util.find_spec("mercurial") is None:
            raise PeerAbsent("the mercurial package is not installed")
        # The package has no types, and its modules want to be imported late, one by one.
        interface = importlib.import_module("mercurial.ui").ui.load()
        interface.setconfig(b"format", b"revlog-compression", b"zstd", b"benchmarks")
        repositories = importlib.import_module("mercurial.hg")
        self._repository: Any = repositories.repository(interface, bytes(folder), create=True)
        self._folder = folder
        self._nodes: list[bytes] = []

    def fill(self, states: Iterable[State]) -> None:
        """Add a revision for each state."""
        null = b"\0" * 20
        with self._repository.lock(), self._repository.transaction(b"fill") as transaction:
            file = self._repository.file(b"state.json", writable=True)
            for number, state in enumerate(states):
                text = orjson.dumps(state, option=orjson.OPT_INDENT_2)
                parent = self._nodes[-1] if self._nodes else null
                self._nodes.append(file.add(text, {}, transaction, number, parent, null))

    def stored_bytes(self) -> int:
        """Return the bytes of the file's revisions and their index."""
        data = self._folder / ".hg" / "store" / "data"
        return sum(file.stat().st_size for file in data.rglob("state.json.*"))

    def state(self, number: int) -> Any:
        """Return a state."""
        return orjson.loads(self._repository.file(b"state.json").read(self._nodes[number]))
