"""The few questions asked of git, each one a plain process that runs nothing the repository names."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unspool.errors import UnreadableSource

_SAFE: Final = (
    "-c", "core.fsmonitor=false", "-c", "log.showSignature=false", "-c", "core.quotePath=false",
    "-c", "log.follow=false", "-c", "i18n.logOutputEncoding=UTF-8", "-c", f"diff.orderFile={os.devnull}",
)  # fmt: skip
"""A repository's own settings may name programs to run, and have git list other commits, or in another encoding; these
are the ones reading could reach."""
_ELSEWHERE: Final = frozenset(("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
                               "GIT_NAMESPACE", "GIT_PREFIX", "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS",
                               "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"))  # fmt: skip
"""Set inside hooks, or by a user; they would make git look into another repository, or read paths in another way."""
_FORMAT: Final = "--format=%H%x00%P%x00%ct%x00%an%x00%s%x00"
_WHOLE: Final = ("--full-history", "--simplify-merges")
"""Has git list all that touched a path, and leave out merges of what did not."""
_FIELDS: Final = 6
"""Fields of a record: those of the format, and the empty one between the last and the terminator that -z adds."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that touched the file.

    Attributes:
        hash: its full hash.
        parents: the commits before it that touched the file too; one that did not may stand in where listing ended.
        time_s: committer time, seconds since the epoch.
        author: author's name.
        subject: first line of its message.
        path: what the file was called there.
        old_path: what it was called before, where this commit renamed it.
    """

    hash: str
    parents: tuple[str, ...]
    time_s: int
    author: str
    subject: str
    path: str
    old_path: str | None = None


def environment() -> dict[str, str]:
    """Return the environment git runs in: it asks nobody, locks nothing and looks nowhere else."""
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

    def _run(self, *arguments: str, asked: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                self.command(*arguments),
                capture_output=True,
                check=False,
                env=environment(),
                input=asked,
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
        """Whether a text names a commit."""
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

    def meanings(self, revisions: Sequence[str]) -> list[str] | None:
        """Return what each revision means now, all asked of one process; None where one cannot be asked for that way."""
        if any("\n" in revision for revision in revisions):
            return None
        asked = "".join(f"{revision}^{{commit}}\n" for revision in revisions)
        result = self._run("cat-file", "--batch-check", asked=asked.encode(errors="surrogateescape"))
        meant = result.stdout.decode(errors="surrogateescape").splitlines()
        return meant if result.returncode == 0 and len(meant) == len(revisions) else None

    def names_content(self, commit: str, path: str) -> bool:
        """Whether a commit names content under a path, whether or not that content is in the repository."""
        named = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:{path}")
        return named.returncode == 0

    def has_history(self, path: str, revision: str) -> bool:
        """Whether any commit up to a revision touched a path."""
        if not self.is_revision(revision):
            return False
        return self.last_touch(path, self.resolve(revision)) is not None

    def branch(self) -> str | None:
        """Return the full name of the branch that is checked out, if one is."""
        result = self._run("symbolic-ref", "--quiet", "HEAD")
        return result.stdout.decode(errors="surrogateescape").strip() or None

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether one commit is part of another's history."""
        return self._run("merge-base", "--is-ancestor", older, newer).returncode == 0

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the commit where two lines of history part, if they have one in common."""
        result = self._run("merge-base", one, other)
        return result.stdout.decode().strip() or None

    def commits(self, path: str, tips: Sequence[str], without: Sequence[str] = ()) -> list[Commit]:
        """Return the commits that touched a path, parents before children; also those of branches whose result was not taken.

        git itself leaves out a branch whose merge chose the other side, as if it had never been.

        Args:
            path: the file, from the root.
            tips: whose history is listed.
            without: what is left out, with all before it.
        """
        taken = self._commits("--parents", path=path, tips=tips, without=without)
        everything = self._commits(*_WHOLE, "--parents", path=path, tips=tips, without=without)
        known = {commit.hash: commit for commit in taken}
        # A merge that only chose a side changed nothing itself.
        return [
            known.get(commit.hash, commit) for commit in everything if commit.hash in known or len(commit.parents) < 2
        ]

    def _commits(self, *options: str, path: str, tips: Sequence[str], without: Sequence[str]) -> list[Commit]:
        fields = self._log(_FORMAT, *options, path=path, tips=tips, without=without).split("\0")
        return [
            Commit(
                fields[at],
                tuple(fields[at + 1].split()),
                int(fields[at + 2] or 0),
                _text(fields[at + 3]),
                _text(fields[at + 4]),
                path,
            )
            for at in range(0, len(fields) - _FIELDS + 1, _FIELDS)
        ]

    def additions(self, path: str, tips: Sequence[str], without: Sequence[str] = ()) -> list[str]:
        """Return the hashes of commits that made a path where it was not, newest last; see `commits`."""
        return self._log("--format=%H", "--diff-filter=A", path=path, tips=tips, without=without).split("\0")[:-1]

    def _log(self, *options: str, path: str, tips: Sequence[str], without: Sequence[str]) -> str:
        excluded = [f"^{revision}" for revision in without]
        order = ("log", "--reverse", "--date-order", "-z", "--no-renames")
        return self._ask(*order, *options, *tips, *excluded, "--", f":(top,literal){path}")

    def last_touch(self, path: str, revision: str) -> str | None:
        """Return the newest commit up to a revision that touched a path, or None."""
        arguments = ("log", "-1", "--format=%H", revision, "--", f":(top,literal){path}")
        result = self._run(*arguments)
        return result.stdout.decode().strip() or None

    def renames(self, commit: str) -> dict[str, str]:
        """Return what a commit renamed: old names by new ones. A merge renames nothing itself."""
        result = self._run(
            "diff-tree", "-r", "-z", "-M", "--diff-filter=R", "--name-status", "--no-commit-id", commit
        )
        fields = result.stdout.decode(errors="surrogateescape").split("\0")
        return {fields[at + 2]: fields[at + 1] for at in range(0, len(fields) - 3, 3)}


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
