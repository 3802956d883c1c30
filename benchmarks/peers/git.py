"""git: one commit a state, packed hard; states read through one `git cat-file --batch`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from benchmarks.loads import State
from benchmarks.peers import PeerAbsent

PACKING = ("repack", "-q", "-adf", "--depth=50", "--window=250")
_FILE = "state.json"


class GitRepository:
    """A bare repository with one commit a state, each state as compact JSON in one file."""

    def __init__(self, folder: Path) -> None:
        """Make an empty one.

        Raises:
            PeerAbsent: git is not installed.
        """
        if shutil.which("git") is None:
            raise PeerAbsent("git is not installed")
        self._folder = folder
        self._blobs: list[str] = []
        self._git("init", "-q", "--bare", str(folder), inside=False)

    def _git(self, *arguments: str, inside: bool = True) -> bytes:
        place = ("-C", str(self._folder)) if inside else ()
        return subprocess.run(("git", *place, *arguments), check=True, capture_output=True).stdout

    def fill(self, states: Iterable[State]) -> None:
        """Commit each state and pack everything."""
        command = ("git", "-C", str(self._folder), "fast-import", "--quiet", "--done")
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            for number, state in enumerate(states):
                text = orjson.dumps(state)
                self._blobs.append(hashlib.sha1(b"blob %d\0" % len(text) + text, usedforsecurity=False).hexdigest())
                process.stdin.write(_commit(number, text))
            process.stdin.write(b"done\n")
        if process.returncode:
            raise PeerAbsent(f"git fast-import failed with code {process.returncode}")
        self._git(*PACKING)

    def pack_bytes(self) -> tuple[int, int]:
        """Return the bytes of packs and of their indexes."""
        folder = self._folder / "objects" / "pack"
        packs = sum(file.stat().st_size for file in folder.glob("*.pack"))
        return packs, sum(file.stat().st_size for file in folder.glob("*.idx"))

    def reader(self) -> GitReader:
        """Return a process that reads states."""
        return GitReader(self._folder, self._blobs)


class GitReader:
    """Reads states through one long-lived `git cat-file --batch`."""

    def __init__(self, folder: Path, blobs: list[str]) -> None:
        """Start the process."""
        command = ("git", "-C", str(folder), "cat-file", "--batch")
        self._blobs = blobs
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def state(self, number: int) -> Any:
        """Return a state."""
        asking, answering = self._process.stdin, self._process.stdout
        assert asking is not None
        assert answering is not None
        asking.write(self._blobs[number].encode() + b"\n")
        asking.flush()
        size = int(answering.readline().split()[2])
        return orjson.loads(answering.read(size + 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _commit(number: int, text: bytes) -> bytes:
    head = f"commit refs/heads/main\nmark :{number + 1}\ncommitter a <a@b> {1_700_000_000 + number} +0000\n"
    return b"".join(
        (
            head.encode(),
            b"data 4\nstep\n",
            f"M 100644 inline {_FILE}\n".encode(),
            b"data %d\n" % len(text),
            text,
            b"\n",
        )
    )
