"""The few questions asked of git, each one a plain process that runs nothing the repository names."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from unspool.errors import UnreadableSource
from unspool.sources.limits import DEFAULT_LIMITS, Limits

_SAFE: Final = ("-c", "core.fsmonitor=false", "-c", "log.showSignature=false", "-c", "core.quotePath=false")
"""A repository's own settings may name programs to run; these are the ones reading could reach."""
_ELSEWHERE: Final = frozenset(("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
                               "GIT_NAMESPACE", "GIT_PREFIX"))  # fmt: skip
"""Set inside hooks; they would make git look into another repository than the one that was named."""
_FORMAT: Final = "--format=%H%x00%ct%x00%an%x00%s%x00"
_AHEAD_BYTES: Final = 32_768
"""Bytes of requests sent before the first answer is read; they fit any pipe, so neither side can block the other."""
_SKIP_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that touched the file.

    Attributes:
        hash: its full hash.
        time_s: committer time, seconds since the epoch.
        author: author's name.
        subject: first line of its message.
    """

    hash: str
    time_s: int
    author: str
    subject: str


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return {
        **kept,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C.UTF-8",
    }


def _text(field: str) -> str:
    return field.encode("utf-8", "replace").decode()


class Repository:
    """A git repository, for reading."""

    def __init__(self, folder: Path) -> None:
        """Find the repository a folder belongs to.

        Raises:
            UnreadableSource: git is not installed, or the folder is in no repository.
        """
        self._folder = folder
        listed = self._ask("rev-parse", "--absolute-git-dir", "--git-common-dir").splitlines()
        self.git_dirs = tuple(dict.fromkeys(Path(os.path.abspath(folder / name)) for name in listed))  # noqa: PTH100

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a git call in this repository."""
        return ["git", *_SAFE, "-C", str(self._folder), *arguments]

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                self.command(*arguments),
                capture_output=True,
                check=False,
                env=_environment(),
                stdin=subprocess.DEVNULL,
            )
        except FileNotFoundError:
            raise UnreadableSource("git: the program is not installed; install git to read its histories") from None
        except (OSError, ValueError) as error:
            raise UnreadableSource(f"{self._folder}: git cannot be run ({error}); check the path") from None

    def _ask(self, *arguments: str) -> str:
        result = self._run(*arguments)
        if result.returncode != 0:
            reason = result.stderr.decode(errors="replace").strip().splitlines()
            said = reason[-1].removeprefix("fatal: ") if reason else f"exit code {result.returncode}"
            raise UnreadableSource(f"{self._folder}: git says: {said}; check that it is a git repository")
        return result.stdout.decode(errors="surrogateescape")

    def path_inside(self, path: str) -> str:
        """Return a path as git names it, from the root; absolute paths into the working tree are made relative."""
        if not os.path.isabs(path):  # noqa: PTH117
            return os.path.normpath(path)
        root = self._ask("rev-parse", "--show-toplevel").strip()
        return os.path.relpath(os.path.realpath(path), os.path.realpath(root))

    def is_revision(self, revision: str) -> bool:
        """Say whether a text names a commit."""
        return (
            self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").returncode
            == 0
        )

    def resolve(self, revision: str) -> str:
        """Return the hash of the commit a revision names.

        Raises:
            UnreadableSource: it names none.
        """
        return self._ask("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").strip()

    def has_history(self, path: str, revision: str) -> bool:
        """Say whether any commit up to a revision touched a path."""
        if not self.is_revision(revision):
            return False
        arguments = ("log", "-1", "--format=%H", "--end-of-options", revision, "--", f":(top,literal){path}")
        result = self._run(*arguments)
        return result.returncode == 0 and bool(result.stdout.strip())

    def branch(self) -> str | None:
        """Return the full name of the branch that is checked out, if one is."""
        result = self._run("symbolic-ref", "--quiet", "HEAD")
        return result.stdout.decode(errors="surrogateescape").strip() or None

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Say whether one commit is part of another's history."""
        return self._run("merge-base", "--is-ancestor", older, newer).returncode == 0

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the commit where two lines of history part, if they have one in common."""
        result = self._run("merge-base", one, other)
        return result.stdout.decode().strip() or None

    def commits(self, path: str, tip: str, since: str | None = None) -> list[Commit]:
        """Return the commits that touched a path, oldest first, those up to `since` left out."""
        span = tip if since is None else f"{since}..{tip}"
        listed = self._ask("log", "--reverse", "-z", _FORMAT, span, "--", f":(top,literal){path}")
        fields = listed.split("\0")
        # Each record is four fields and the terminator of its own that -z adds.
        return [
            Commit(fields[at], int(fields[at + 1] or 0), _text(fields[at + 2]), _text(fields[at + 3]))
            for at in range(0, len(fields) - 4, 5)
        ]

    def blobs(self, path: str, limits: Limits = DEFAULT_LIMITS) -> Blobs:
        """Return a reader of a path's versions."""
        return Blobs(self.command("cat-file", "--batch"), path, limits)


class Blobs:
    """One `git cat-file --batch` that hands out versions of one file.

    Attributes:
        problem: why the last version had no content although the file was there; None where it simply was not.
    """

    def __init__(self, command: list[str], path: str, limits: Limits) -> None:
        self.problem: str | None = None
        self._path = path
        self._limits = limits
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
        )

    def contents(self, commits: Sequence[Commit]) -> Iterator[tuple[Commit, bytes | None]]:
        """Yield each commit with the file's content there, or None.

        Raises:
            UnreadableSource: git ended too early, or the path cannot be asked for.
        """
        if "\n" in self._path:
            raise UnreadableSource(
                f"{self._path!r}: git cannot be asked for a name with a line break; rename the file"
            )
        asked = 0
        ahead = max(1, _AHEAD_BYTES // (len(self._path.encode(errors="surrogateescape")) + 42))
        for number, commit in enumerate(commits):
            while asked < min(number + ahead, len(commits)):
                self._send(commits[asked])
                asked += 1
            yield commit, self._receive(commit)

    def _send(self, commit: Commit) -> None:
        stdin = self._pipe(self._process.stdin)
        stdin.write(f"{commit.hash}:{self._path}\n".encode(errors="surrogateescape"))
        stdin.flush()

    def _receive(self, commit: Commit) -> bytes | None:
        stdout = self._pipe(self._process.stdout)
        header = stdout.readline()
        if not header:
            raise UnreadableSource(f"git ended while reading {commit.hash[:12]}; run `git fsck` on the repository")
        self.problem = None
        fields = header.split()
        if len(fields) != 3 or not fields[2].isdigit():
            return None
        kind, size = fields[1].decode(), int(fields[2])
        if kind != "blob" or size > self._limits.document_bytes:
            self._skip(stdout, size + 1)
            self.problem = f"it is a {kind} there, no file" if kind != "blob" else f"{size} bytes are too many"
            return None
        data = stdout.read(size)
        stdout.read(1)
        return data

    @staticmethod
    def _skip(stream: IO[bytes], count: int) -> None:
        while count > 0:
            count -= len(stream.read(min(count, _SKIP_BYTES))) or count

    @staticmethod
    def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
        if stream is None:
            raise UnreadableSource("git: its output cannot be read")
        return stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
