"""The history of one file in git: one entry a commit that touched it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from unspool.sources.document_states import document_entry
from unspool.sources.documents import kind_of, parse_document
from unspool.sources.entries import Progress, Reader, SourceEntry
from unspool.sources.findings import Findings
from unspool.sources.git_commands import Blobs, Commit, Repository
from unspool.sources.git_target import GitTarget
from unspool.sources.json_exact import BrokenText, Parsed
from unspool.sources.limits import DEFAULT_LIMITS, Limits
from unspool.sources.source_text import guessed_document, is_document_by_name, is_text_by_name, text_state
from unspool.sources.timestamps import NS_PER_SECOND

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
        self.watch_paths: tuple[Path, ...] = self._watched()
        self._tip: str | None = None
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
        since = self._tip
        if since is not None and not self._repository.is_ancestor(since, tip):
            self.findings.notice(
                self._target.name,
                f"history was rewritten: {since[:12]} is no longer part of it; what follows was read from where both "
                "lines part, and older entries stay",
            )
            since = self._repository.merge_base(since, tip)
        commits = self._repository.commits(self._target.path, tip, since)
        self._total += len(commits)
        with self._repository.blobs(self._target.path, self._limits) as blobs:
            for commit, data in blobs.contents(commits):
                self._done += 1
                yield from self._entries(commit, data, blobs)
        self._tip, self._is_finished = tip, True

    def _entries(self, commit: Commit, data: bytes | None, blobs: Blobs) -> Iterator[SourceEntry]:
        timestamp_ns = commit.time_s * NS_PER_SECOND
        meta = {"author": commit.author, "commit": commit.hash}
        if data is None:
            problem = blobs.problem
            if problem is not None:
                self.findings.loss(
                    f"{self._target.name} at {commit.hash[:12]}", f"{problem}; this version was left out"
                )
                return
            yield SourceEntry({}, timestamp_ns, commit.subject, meta, commit.hash)
            return
        try:
            parsed = None if self._is_text else self._document(data)
            if parsed is None:
                yield SourceEntry(text_state(data), timestamp_ns, commit.subject, meta, commit.hash)
                return
        except BrokenText as error:
            place = f"{self._target.name} at {commit.hash[:12]}"
            self.findings.loss(place, f"not readable ({error}); this version was left out")
            return
        if parsed.repeated_key is not None:
            place = f"{self._target.name} at {commit.hash[:12]}"
            self.findings.loss(place, f"the key {parsed.repeated_key!r} stands twice in one object; the last counts")
        entry = document_entry(parsed.value, timestamp_ns)
        yield SourceEntry(entry.state, timestamp_ns, commit.subject, {**entry.meta, **meta}, commit.hash)

    def _document(self, data: bytes) -> Parsed | None:
        """Read a version as a document; None where the file turns out to be text, which its first version decides.

        Raises:
            BrokenText: it is no document, and the file's name or an earlier version says it must be.
        """
        kind = kind_of(data, self._target.path) or "json"
        if self._is_document:
            return parse_document(data, kind, self._limits)
        parsed = guessed_document(data, kind, self._target.path, self._limits)
        self._is_text, self._is_document = parsed is None, parsed is not None
        return parsed

    def progress(self) -> Progress:
        """Say how many commits were read."""
        return Progress(self._done, self._total, self._is_finished)

    def close(self) -> None:
        """Nothing is held open between readings."""


def open_git(target: GitTarget, limits: Limits = DEFAULT_LIMITS) -> Reader:
    """Read a file's history in git.

    Raises:
        UnreadableSource: see `GitReader`; also when no commit touched the file.
    """
    return GitReader(target, limits)
