"""The versions of a file in a git repository: an entry a commit.

Every command of git is a plain process that runs nothing the repository names. The contents of a file at its commits come from
one `git cat-file --batch` that stays while the history is open.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import IO, Final

from unspool.errors import UnreadableSource
from unspool.history.verdict import Progress
from unspool.model.json_exact import BrokenText, Parsed
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.values import Value
from unspool.sources.bytestream import CutShort, plain_of
from unspool.sources.documents import kind_of, parse_document
from unspool.sources.entries import NS_PER_SECOND, Findings, Reader, SourceEntry
from unspool.sources.formats.directory import guessed_document, is_document_by_name, is_text_by_name, text_state
from unspool.sources.formats.states import document_entry

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
        # References come and go, and say nothing of how much there is.
        self.source_paths: tuple[Path, ...] = self._repository.git_dirs
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
            data = plain_of(data, PurePath(commit.path), self._limits)
            parsed = None if self._is_text else self._document(data, commit.path)
            if parsed is None:
                return replace(made, state=text_state(data))
        except (BrokenText, CutShort, UnreadableSource) as error:
            reason = str(error) or "its data ends early"
            self.findings.loss(place, f"not readable ({reason}); this version was left out")
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
