"""The contents of a file at its commits, all from one `git cat-file --batch` that stays while the history is open."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from typing import IO, Final

from unspool.errors import UnreadableSource
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.sources.git_commands import Commit, Repository, environment

_AHEAD_BYTES: Final = 32_768
"""Bytes of requests sent before the first answer is read; they fit any pipe, so neither side can block the other."""
_SKIP_BYTES: Final = 1 << 20
_HEADER_FIELDS: Final = 3
"""Object name, type and size; anything else is git's way to say that there is no such object."""


class Blobs:
    """One `git cat-file --batch` that hands out versions of one file; begun when first needed, and again if it ends.

    Attributes:
        problem: why the last version had no content although the file was there; None where it simply was not.
    """

    def __init__(self, repository: Repository, limits: Limits = DEFAULT_LIMITS) -> None:
        self.problem: str | None = None
        self._repository = repository
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._end = b"\n"

    def contents(self, commits: Sequence[Commit]) -> Iterator[tuple[Commit, bytes | None]]:
        """Yield each commit with the file's content there, or None.

        Raises:
            UnreadableSource: git ended too early.
        """
        process = self._started(any("\n" in commit.path for commit in commits))
        waiting = asked = 0
        try:
            for number, commit in enumerate(commits):
                while asked < len(commits) and (asked <= number or waiting < _AHEAD_BYTES):
                    waiting += self._send(process, commits[asked])
                    asked += 1
                waiting -= len(self._request(commit))
                yield commit, self._receive(process, commit)
                if number + 1 == len(commits):
                    asked = 0
        finally:
            # Whoever stops half-way leaves answers in the pipe that nobody asked for next time.
            if asked:
                self.close()

    def _started(self, has_line_breaks: bool) -> subprocess.Popen[bytes]:
        end = b"\0" if has_line_breaks else b"\n"
        if self._process is not None and (self._process.poll() is not None or self._end != end):
            self.close()
        if self._process is None:
            self._end = end
            self._process = subprocess.Popen(
                # Only git 2.38 and newer know -z, and only names with line breaks need it.
                self._repository.command("cat-file", "--batch", *(["-z"] if has_line_breaks else [])),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(),
            )
        return self._process

    def _send(self, process: subprocess.Popen[bytes], commit: Commit) -> int:
        stdin = _pipe(process.stdin)
        request = self._request(commit)
        try:
            stdin.write(request)
            stdin.flush()
        except OSError:
            raise _ended(commit) from None
        return len(request)

    def _receive(self, process: subprocess.Popen[bytes], commit: Commit) -> bytes | None:
        stdout = _pipe(process.stdout)
        header = stdout.readline()
        if not header:
            raise _ended(commit)
        self.problem = None
        fields = header.split()
        if len(fields) != _HEADER_FIELDS or b":" in fields[0] or not fields[2].isdigit():
            # git repeats the request, line breaks and all.
            for _ in range(commit.path.count("\n")):
                stdout.readline()
            # git says the same of a file that is not there and of content that is lost or was never fetched.
            if self._repository.names_content(commit.hash, commit.path):
                self.problem = (
                    "its content is not in the repository; `git fsck` names it, `git fetch --refetch` may bring it"
                )
            return None
        kind, size = fields[1].decode(), int(fields[2])
        if kind != "blob" or size > self._limits.document_bytes:
            _skip(stdout, size + 1)
            self.problem = f"it is a {kind} there, no file" if kind != "blob" else f"{size} bytes are too many"
            return None
        data = stdout.read(size)
        stdout.read(1)
        return data

    def _request(self, commit: Commit) -> bytes:
        return f"{commit.hash}:{commit.path}".encode(errors="surrogateescape") + self._end

    def close(self) -> None:
        """End the process; closing twice is fine."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def _ended(commit: Commit) -> UnreadableSource:
    remedy = "names with line breaks need git 2.38" if "\n" in commit.path else "run `git fsck` on the repository"
    return UnreadableSource(f"git ended while reading {commit.hash[:12]}; {remedy}")


def _skip(stream: IO[bytes], count: int) -> None:
    while count > 0:
        count -= len(stream.read(min(count, _SKIP_BYTES))) or count


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise UnreadableSource("git: its output cannot be read")
    return stream
