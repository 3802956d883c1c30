"""The history of one file in git: one entry a commit that touched it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.values import Value
from unspool.sources.document_states import document_entry
from unspool.sources.documents import kind_of, parse_document
from unspool.sources.entries import Progress, Reader, SourceEntry
from unspool.sources.findings import Findings
from unspool.sources.git_blobs import Blobs
from unspool.sources.git_commands import Commit, Repository
from unspool.sources.git_lineage import lineage
from unspool.sources.git_target import GitTarget
from unspool.sources.json_exact import BrokenText, Parsed
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
