"""`OpenHistory`: what `open_history` returns, a history that answers questions.

Every method hands its arguments to the function of one module in `unspool.query` and returns what that returns. The modules
are imported when they are asked: together they take longer to import than a file takes to open. A native file becomes one
here; every other source is read by `unspool.sources`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final

from unspool.errors import is_postgres
from unspool.history.history import History
from unspool.model.keys import Path
from unspool.model.limits import Cancelled, Progress, never, no_progress
from unspool.model.paths import parse_path
from unspool.store.databases import SQLITE_MAGIC
from unspool.store.file import FileStore
from unspool.store.schema import APPLICATION_ID
from unspool.store.wal import kept_log

if TYPE_CHECKING:
    from unspool.query.bisect import Bisection, Function
    from unspool.query.blame import Blame
    from unspool.query.checkers import CheckReport, Rule
    from unspool.query.compare import Divergence
    from unspool.query.disk_usage import Footprint
    from unspool.query.doctor.diagnosis import Diagnosis
    from unspool.query.expressions import Expression, PythonQuestion
    from unspool.query.path_writes import PathWrite
    from unspool.query.repair import RepairReport
    from unspool.query.search import Asked, ChangeQuestion, Search
    from unspool.query.shape import Shape
    from unspool.query.simulator import Simulation
    from unspool.query.why import Bounds, Why


class OpenHistory(History):
    """The entries of one source, and the questions that can be asked about them.

    Where a method takes a path it is a text as `parse_path` reads it (`cart.items[0].qty`), or the tuple that it returns.
    What every question takes:

    - `skip_damaged`: step over entries that cannot be read and name them in `problems`, instead of raising.
    - `cancelled`: called now and then without arguments; the question ends early when it returns True, and the answer
      then holds what was found by then.
    - `progress`: called with how many entries of how many are done.
    """

    def blame(
        self,
        path: str | Path = (),
        at: int = -1,
        *,
        skip_damaged: bool = False,
        cancelled: Cancelled = never,
        progress: Progress = no_progress,
    ) -> Blame:
        """Return the entry that last set each value of a state.

        Args:
            path: only the values at and below this path; the whole state where it is empty.
            at: the entry; negative numbers count from the end. Looks back along the line that leads to it.

        Raises:
            PathNotFound: nothing is at the path.
            PathSyntaxError: the path does not parse.
            EntryNotFound: there is no such entry.
            CorruptHistory: an entry on the way cannot be read.
        """
        from unspool.query.blame import blame  # imported when it is asked

        return blame(self, at, _steps(path), skip_damaged=skip_damaged, cancelled=cancelled, progress=progress)

    def path_writes(
        self,
        path: str | Path,
        at: int = -1,
        *,
        unchanged: bool = False,
        skip_damaged: bool = False,
        cancelled: Cancelled = never,
    ) -> Iterator[PathWrite]:
        """Yield the writes of a value at or before an entry, newest first; `writes` yields those of a whole atom.

        Args:
            path: where the value stands at entry `at`.
            at: the entry to look back from, along the line that leads to it.
            unchanged: also yield entries that changed the atom and left the value as it was.

        Raises:
            PathNotFound: nothing is at the path.
            PathSyntaxError: the path does not parse.
            EntryNotFound: there is no such entry.
            CorruptHistory: an entry on the way cannot be read.
        """
        from unspool.query.path_writes import writes_of  # imported when it is asked

        return writes_of(self, _steps(path), at, unchanged=unchanged, skip_damaged=skip_damaged, cancelled=cancelled)

    def why(
        self,
        path: str | Path,
        at: int = -1,
        *,
        bounds: Bounds | None = None,
        skip_damaged: bool = False,
        cancelled: Cancelled = never,
        progress: Progress = no_progress,
    ) -> Why:
        """Return the chain of causes behind a value: writes are facts, what explains them are guesses.

        Args:
            path: where the value stands at entry `at`.
            at: the entry to look back from, along the line that leads to it.
            bounds: how far to go; the usual bounds when None.

        Raises:
            QuestionError: the path is empty.
            PathNotFound: nothing is at the path.
            PathSyntaxError: the path does not parse.
            EntryNotFound: there is no such entry.
            CorruptHistory: an entry on the way cannot be read.
        """
        from unspool.query.why import why  # imported when it is asked

        return why(
            self, _steps(path), at, bounds=bounds, skip_damaged=skip_damaged, cancelled=cancelled, progress=progress
        )

    def search(
        self,
        query: Asked,
        *,
        start: int = 0,
        stop: int | None = None,
        skip_damaged: bool = False,
        cancelled: Cancelled = never,
        progress: Progress = no_progress,
    ) -> Search:
        """Return a running search: iterate over it for hits, oldest first.

        Args:
            query: a text, looked for in all that `HitKind` names; a `PatternQuery`; what `parse_query` reads (`qty > 3`);
                an `Expression`, whose results are hits where they hold and did not before; or a `ChangeQuestion`.
            start: the first entry to look at.
            stop: one past the last entry to look at; None for the end.

        Raises:
            QuestionError: there is nothing to look for, or an expression reads an atom that no entry has.
            CorruptHistory: an entry cannot be read; raised while the search is iterated over.
        """
        from unspool.query.search import search  # imported when it is asked

        return search(
            self, query, start=start, stop=stop, skip_damaged=skip_damaged, cancelled=cancelled, progress=progress
        )

    def bisect(
        self,
        question: Expression | PythonQuestion | Function | str,
        *,
        at: int | None = None,
        assume_single_flip: bool = False,
        most: int | None = None,
        skip_damaged: bool = False,
        cancelled: Cancelled = never,
        progress: Progress | None = None,
    ) -> Bisection:
        """Return the entries at which the answer to a question about the state changes.

        Args:
            question: an expression, or a function of the state that always answers the same for the same state.
            at: look only along the line that leads to this entry; None for all entries, forks included.
            assume_single_flip: take for granted that the answer changes once, and search in halves.
            most: end after so many changes of the answer.

        Raises:
            ExpressionError: the expression does not parse, or reads an atom that no entry has.
            EntryNotFound: there is no such entry.
            CorruptHistory: an entry cannot be read.
        """
        from unspool.query.bisect import bisect  # imported when it is asked

        return bisect(
            self,
            question,
            at=at,
            assume_single_flip=assume_single_flip,
            most=most,
            skip_damaged=skip_damaged,
            progress=progress,
            cancelled=cancelled,
        )

    def changes_where(
        self,
        question: ChangeQuestion | str,
        *,
        most: int | None = None,
        skip_damaged: bool = False,
        cancelled: Cancelled = never,
        progress: Progress = no_progress,
    ) -> Bisection:
        """Return the entries at which a question about an entry and the states round it holds, oldest first.

        Args:
            question: an expression over `before`, `after`, `action`, `time` and `meta`.
            most: end after so many.

        Raises:
            ExpressionError: it does not parse, or names what no entry has.
            CorruptHistory: an entry cannot be read.
        """
        from unspool.query.search import changes_where  # imported when it is asked

        return changes_where(
            self, question, most=most, skip_damaged=skip_damaged, progress=progress, cancelled=cancelled
        )

    def compare(
        self,
        other: History,
        *,
        at: int | None = None,
        other_at: int | None = None,
        ignore: Iterable[str] = (),
        most: int = 20,
        skip_damaged: bool = False,
        cancelled: Cancelled = never,
        progress: Progress = no_progress,
    ) -> Divergence:
        """Return where this history, the first, and another one, the second, part.

        Args:
            other: the other history.
            at: the entry of this one to which the line to look along leads; the last one when None.
            other_at: the same for the other.
            ignore: patterns of paths whose differences do not count, such as `clock` or `rows[*].updated`.
            most: how many differing parts are looked into; the others are counted.

        Raises:
            ExpressionError: an ignored path is no pattern.
            EntryNotFound: there is no such entry.
            CorruptHistory: an entry cannot be read.
        """
        from unspool.query.compare import compare  # imported when it is asked

        return compare(
            self,
            other,
            first_at=at,
            second_at=other_at,
            ignore=ignore,
            most=most,
            skip_damaged=skip_damaged,
            cancelled=cancelled,
            progress=progress,
        )

    def shape(
        self,
        path: str | Path = (),
        at: int | None = None,
        *,
        skip_damaged: bool = False,
        cancelled: Cancelled = never,
        progress: Progress = no_progress,
    ) -> Shape:
        """Return what a state is made of: its fields, their types, ranges and counts.

        Args:
            path: only what stands at and below it; the whole state where it is empty.
            at: the entry; None for all of them.

        Raises:
            PathNotFound: nothing is at the path at any entry that was looked at.
            PathSyntaxError: the path does not parse.
            EntryNotFound: there is no such entry.
            CorruptHistory: an entry cannot be read.
        """
        from unspool.query.shape import shape  # imported when it is asked

        return shape(self, _steps(path), at, skip_damaged=skip_damaged, progress=progress, cancelled=cancelled)

    def check(
        self,
        rules: Sequence[Rule] | str | os.PathLike[str] | None = None,
        *,
        cancelled: Cancelled = never,
        progress: Progress = no_progress,
    ) -> CheckReport:
        """Return the faults of the app that checkers find in its states; entries that cannot be read are named in it.

        Args:
            rules: which checkers, and how; or a rules file (TOML); the built-in and all installed checkers when None.

        Raises:
            UnreadableSource: the rules file is missing, cannot be read or is too large.
            ConfigError: a rule is not valid, or names an unknown checker or option.
            ExpressionError: a rule does not parse, or reads an atom that no entry has.
        """
        from unspool.query.checkers import check, read_rules  # imported when it is asked

        chosen = read_rules(FilePath(rules)) if isinstance(rules, str | os.PathLike) else rules
        return check(self, chosen, progress=progress, cancelled=cancelled)

    def disk_usage(
        self,
        *,
        top: int = 20,
        exclude: Iterable[str] = (),
        skip_damaged: bool = False,
        cancelled: Cancelled = never,
        progress: Progress = no_progress,
    ) -> Footprint:
        """Return where the bytes of the history are, by atom, path, action and codec.

        Args:
            top: how many kinds of paths are listed.
            exclude: patterns of paths, such as `rows[*].note`; of each it is projected what not recording it would save.

        Raises:
            ExpressionError: an excluded path is no pattern.
            CorruptHistory: an entry cannot be read.
        """
        from unspool.query.disk_usage import footprint  # imported when it is asked

        return footprint(
            self, top=top, exclude=exclude, skip_damaged=skip_damaged, cancelled=cancelled, progress=progress
        )

    def diagnose(
        self,
        *,
        strategy: str | None = None,
        all_values: bool = False,
        cancelled: Cancelled = never,
        progress: Progress = no_progress,
    ) -> Diagnosis:
        """Return what an examination of every record, chain and checksum finds; damage is reported, never raised.

        Args:
            strategy: by whose rule the lengths of chains are judged, as `Recorder` takes it; the one that the history was
                recorded with when None.
            all_values: decode every value; otherwise the first 32 MiB of them.

        Raises:
            UnreadableSource: the file cannot be opened any more.
            ConfigError: an unknown strategy.
        """
        from unspool.query.doctor.diagnosis import USUAL_VALUES, diagnose  # imported when it is asked

        values = None if all_values else USUAL_VALUES
        return diagnose(self, strategy=strategy, values=values, progress=progress, cancelled=cancelled)

    def repair(
        self, out: str | os.PathLike[str], *, cancelled: Cancelled = never, progress: Progress = no_progress
    ) -> RepairReport:
        """Write a new file with all that is intact; the history itself stays as it is.

        Args:
            out: the new file; must not exist.

        Raises:
            RepairRefused: `out` exists, or its folder does not, or the history is in memory only.
            StorageFailed: the disk refused.
        """
        from unspool.query.repair import repair  # imported when it is asked

        return repair(self, out, progress=progress, cancelled=cancelled)

    def simulate(self, *, cancelled: Cancelled = never, progress: Progress = no_progress) -> Simulation:
        """Return what each strategy and codec of a recorder would cost, tried on a sample of this history."""
        from unspool.query.simulator import simulate  # imported when it is asked

        return simulate(self, progress=progress, cancelled=cancelled)


def _steps(path: str | Path) -> Path:
    return parse_path(path) if isinstance(path, str) else path


_APPLICATION_ID_AT: Final = slice(68, 72)
"""Where an SQLite header keeps the application id."""
NATIVE_NAMES: Final = ("unspool", "native")
"""What the format is called where a person names it."""
_NATIVE_SUFFIX: Final = ".unspool"
_SCHEMA_BYTES: Final = 1 << 16
_NATIVE_TABLES: Final = (b"segment(", b"block(", b"block_data(", b"tail(")


def is_native(source: str, format_name: str | None) -> bool:
    """Whether a source is to be opened as a native file: by its content, or because the user says so."""
    if format_name is not None and not is_postgres(source):
        return format_name in NATIVE_NAMES
    path = FilePath(source)
    try:
        # Opening a pipe would wait for whoever writes to it.
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            head = stream.read(_APPLICATION_ID_AT.stop)
    except (OSError, ValueError):
        # Not a file, or one that cannot be read: why is reported where it is opened.
        return False
    return head.startswith(SQLITE_MAGIC) and head[_APPLICATION_ID_AT] == APPLICATION_ID.to_bytes(4)


def was_native(source: str) -> bool:
    """Whether a file that is damaged may have been a native one, or its log: by its name, or the tables it reports."""
    path = FilePath(source)
    try:
        if is_postgres(source) or not path.is_file():
            return False
        if path.suffix == _NATIVE_SUFFIX or kept_log(path) is not None:
            return True
        with path.open("rb") as stream:
            head = stream.read(_SCHEMA_BYTES)
    except (OSError, ValueError):
        return False
    return head.startswith(SQLITE_MAGIC) and all(b"CREATE TABLE " + table in head for table in _NATIVE_TABLES)


def open_native(path: FilePath, identity: Mapping[str, str]) -> OpenHistory:
    """Open a native file.

    Args:
        path: the file.
        identity: keys of lists that go before those which the file was recorded with; an empty key leaves a list to
            detection again.

    Raises:
        CorruptHistory: it is damaged.
        UnreadableSource: it cannot be read.
    """
    store = FileStore.open(path)
    return OpenHistory(store, identity={**store.identity(), **identity}, path=path)
