"""The contents of a file at its commits, all from one `git cat-file --batch` that stays while the history is open."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from unspool.errors import UnreadableSource
from unspool.history.verdict import Progress
from unspool.model.json_exact import BrokenText, Parsed
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.values import Value
from unspool.sources.documents import kind_of, parse_document
from unspool.sources.entries import Findings, Reader, SourceEntry
from unspool.sources.formats.directory import guessed_document, is_document_by_name, is_text_by_name, text_state
from unspool.sources.formats.git_commands import Commit, GitTarget, Repository, environment
from unspool.sources.formats.states import document_entry
from unspool.sources.timestamps import NS_PER_SECOND

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


_MOST_NAMES: Final = 100
"""Renames that are followed; a file that was renamed more often begins with the oldest of these names."""


def lineage(repository: Repository, path: str, tip: str, since: str | None = None) -> list[Commit]:
    """Return the commits that touched a file, parents before children.

    Where a commit gave the file its name by renaming another one, what follows is that other one's history up to
    there; a file that had the same name before is another file.

    Args:
        repository: where to look.
        path: the file's name at the tip.
        tip: where its history ends.
        since: what is left out, with all before it.
    """
    without = () if since is None else (since,)
    parts: list[list[Commit]] = []
    waiting: list[tuple[str, tuple[str, ...]]] = [(path, (tip,))]
    while waiting and len(parts) < _MOST_NAMES:
        name, tips = waiting.pop(0)
        commits, sources = _under_one_name(repository, name, tips, without)
        parts.append(commits)
        waiting.extend(sources.items())
    # Two lines that were renamed on their own may have begun as one.
    known = {(commit.hash, commit.path): commit for part in reversed(parts) for commit in part}
    return list(known.values())


def _under_one_name(
    repository: Repository, name: str, tips: tuple[str, ...], without: tuple[str, ...]
) -> tuple[list[Commit], dict[str, tuple[str, ...]]]:
    """Return the commits back to the renames that made a name, and where the older names' histories end."""
    renamed = {}
    for added in repository.additions(name, tips, without):
        old = repository.renames(added).get(name)
        if old is not None:
            renamed[added] = old
    before = [f"{added}^@" for added in renamed]
    commits = repository.commits(name, tips, (*without, *before))
    sources: dict[str, tuple[str, ...]] = {}
    for commit in commits:
        source = renamed.get(commit.hash)
        if source is not None:
            sources[source] = (*sources.get(source, ()), f"{commit.hash}^")
    return [replace(commit, old_path=renamed.get(commit.hash)) for commit in commits], sources


_REFERENCES: Final = ("HEAD", "logs/HEAD", "packed-refs")


class GitReader:
    """Reads every version of a file through one `git cat-file --batch`, and later those that new commits add."""

    def __init__(self, target: GitTarget, limits: Limits = DEFAULT_LIMITS) -> None:
        """Look the revision up.

        Raises:
            UnreadableSource: no repository, no such revision, or the file has no history there.
        """
        self.findings = Findings()
        self._target = target
        self._limits = limits
        self._repository = Repository(target.repository)
        self._blobs = Blobs(self._repository, limits)
        self.watch_paths: tuple[Path, ...] = self._watched()
        self._tip: str | None = None
        self._since = None if target.since is None else self._repository.resolve(target.since)
        self._entry_at: dict[str, str | None] = {}
        """By commit, the entry whose state stands there: its own, or its parent's where its version was left out."""
        self._is_text = is_text_by_name(target.path)
        self._is_document = is_document_by_name(target.path)
        self._done = 0
        self._total = 0
        self._is_finished = False

    def _watched(self) -> tuple[Path, ...]:
        branch = self._repository.branch()
        names = (*_REFERENCES, branch) if branch else _REFERENCES
        return tuple(folder / name for folder in self._repository.git_dirs for name in names)

    def read(self) -> Iterator[SourceEntry]:
        """Yield an entry for each commit since the last call."""
        tip = self._repository.resolve(self._target.revision)
        if tip == self._tip:
            return
        self._is_finished = False
        since = self._tip or self._since
        if self._tip is not None and not self._repository.is_ancestor(self._tip, tip):
            self.findings.notice(
                self._target.name,
                f"history was rewritten: {self._tip[:12]} is no longer part of it; what follows was read from where "
                "both lines part, and older entries stay",
            )
            since = self._repository.merge_base(self._tip, tip) or self._since
        commits = [
            commit
            for commit in lineage(self._repository, self._target.path, tip, since)
            if commit.hash not in self._entry_at
        ]
        self._total += len(commits)
        for commit, data in self._blobs.contents(commits):
            self._done += 1
            parent = self._entry_before(commit)
            entry = self._entry(commit, data)
            self._entry_at[commit.hash] = parent if entry is None else commit.hash
            if entry is not None:
                yield replace(entry, parent_id=parent)
        self._tip, self._is_finished = tip, True

    def _entry_before(self, commit: Commit) -> str | None:
        """Return the entry that a commit's version follows."""
        name = commit.old_path or commit.path
        for parent in commit.parents:
            if parent not in self._entry_at:
                # Listing ended before this one: the file stands there as an older commit left it.
                touched = self._repository.last_touch(name, parent)
                self._entry_at[parent] = None if touched is None else self._entry_at.get(touched)
            if self._entry_at[parent] is not None:
                return self._entry_at[parent]
        return None

    def _entry(self, commit: Commit, data: bytes | None) -> SourceEntry | None:
        timestamp_ns = commit.time_s * NS_PER_SECOND
        place = f"{self._target.name} at {commit.hash[:12]}"
        meta = self._meta(commit, is_gone=data is None)
        made = SourceEntry({}, timestamp_ns, commit.subject, meta, commit.hash)
        if data is None:
            if self._blobs.problem is None:
                return made
            self.findings.loss(place, f"{self._blobs.problem}; this version was left out")
            return None
        try:
            parsed = None if self._is_text else self._document(data, commit.path)
            if parsed is None:
                return replace(made, state=text_state(data))
        except BrokenText as error:
            self.findings.loss(place, f"not readable ({error}); this version was left out")
            return None
        if parsed.repeated_key is not None:
            self.findings.loss(place, f"the key {parsed.repeated_key!r} stands twice in one object; the last counts")
        entry = document_entry(parsed.value, timestamp_ns)
        return replace(made, state=entry.state, meta={**entry.meta, **meta})

    def _meta(self, commit: Commit, *, is_gone: bool) -> dict[str, Value]:
        meta: dict[str, Value] = {"author": commit.author, "commit": commit.hash}
        if commit.path != self._target.path:
            meta["path"] = commit.path
        if commit.old_path is not None:
            meta["renamed_from"] = commit.old_path
        if len(commit.parents) > 1:
            meta["merged"] = list(commit.parents[1:])
        if is_gone:
            renames = self._repository.renames(commit.hash).items()
            new_name = next((new for new, old in renames if old == commit.path), None)
            if new_name is not None:
                meta["renamed_to"] = new_name
        return meta

    def _document(self, data: bytes, name: str) -> Parsed | None:
        """Read a version as a document; None where the file turns out to be text, which its first version decides.

        Raises:
            BrokenText: it is no document, and the file's name or an earlier version says it must be.
        """
        kind = kind_of(data, name) or "json"
        if self._is_document:
            return parse_document(data, kind, self._limits)
        parsed = guessed_document(data, kind, name, self._limits)
        self._is_text, self._is_document = parsed is None, parsed is not None
        return parsed

    def progress(self) -> Progress:
        """Say how many commits were read."""
        return Progress(self._done, self._total, self._is_finished)

    def close(self) -> None:
        """End git."""
        self._blobs.close()


def open_git(target: GitTarget, limits: Limits = DEFAULT_LIMITS) -> Reader:
    """Read a file's history in git.

    Raises:
        UnreadableSource: see `GitReader`; also when no commit touched the file.
    """
    return GitReader(target, limits)
