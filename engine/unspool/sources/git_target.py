"""`git:REPO:PATH[@REV]`, taken apart; REV may be a range, `A..B`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource
from unspool.sources.git_commands import Repository

PREFIX: Final = "git:"
_RANGE: Final = ".."


@dataclass(frozen=True, slots=True)
class GitTarget:
    """A file in a repository.

    Attributes:
        repository: folder of the repository, or any folder inside its working tree.
        path: the file, from the root of the working tree.
        revision: where its history ends.
        since: a revision whose history is left out.
    """

    repository: Path
    path: str
    revision: str = "HEAD"
    since: str | None = None

    @property
    def name(self) -> str:
        """The target as a person writes it."""
        span = self.revision if self.since is None else f"{self.since}{_RANGE}{self.revision}"
        return f"{PREFIX}{self.repository}:{self.path}" + ("" if span == "HEAD" else f"@{span}")


def _splits(text: str, mark: str) -> Iterator[tuple[str, str]]:
    """Yield every way to cut a text in two at a mark, the first mark first."""
    position = text.find(mark)
    while position >= 0:
        yield text[:position], text[position + 1 :]
        position = text.find(mark, position + 1)


def folder_and_rest(source: str) -> tuple[Path, str]:
    """Take the folder off a source: the first that there is, as colons may stand in names.

    Raises:
        UnreadableSource: it is not spelled that way, or there is no such folder.
    """
    body = source.removeprefix(PREFIX)
    folders = [(Path(folder).expanduser(), rest) for folder, rest in _splits(body, ":") if folder and rest]
    if not folders:
        raise UnreadableSource(f"{source}: write git:REPO:PATH or git:REPO:PATH@REV, such as git:.:data/state.json")
    for folder, rest in folders:
        if folder.is_dir():
            return folder, rest
    raise UnreadableSource(f"{source}: {folders[0][0]} is no directory; name a git repository before the colon")


def revisions_in(rest: str) -> list[str]:
    """Return every revision that what stands behind the folder may name: which of them it does, the repository decides."""
    found = ["HEAD"]
    for _, revision in _splits(rest, "@"):
        since, _, end = revision.rpartition(_RANGE)
        found += [name for name in (since, end) if name]
    return found


def parse_git_target(source: str) -> GitTarget:
    """Take a source apart. Colons in the folder's name and at-signs in the file's name are fine.

    Raises:
        UnreadableSource: it is not spelled that way, or there is no such repository, file or revision.
    """
    folder, rest = folder_and_rest(source)
    repository = Repository(folder)
    path = repository.path_inside(rest)
    if repository.has_history(path, "HEAD"):
        return GitTarget(folder, path)
    for name, revision in _splits(rest, "@"):
        since, dots, end = revision.rpartition(_RANGE)
        end = end or "HEAD"
        if name and revision and repository.is_revision(end) and (not dots or repository.is_revision(since)):
            path = repository.path_inside(name)
            if not repository.has_history(path, end):
                raise UnreadableSource(f"{source}: no commit up to {end} touches {path}; check the path")
            return GitTarget(folder, path, end, since if dots else None)
    if "@" in rest:
        raise UnreadableSource(f"{source}: no such file in the history, or no such revision; check both")
    raise UnreadableSource(
        f"{source}: no commit touches {path}; write the path from the repository's root, and commit the file first"
    )
