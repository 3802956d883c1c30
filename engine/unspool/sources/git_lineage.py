"""The commits of a file under all the names it had."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from unspool.sources.git_commands import Commit, Repository

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
