"""What tests left behind: a recording of each that failed, and of each one's last green run.

    .pytest_cache/d/unspool/failed/NAME.unspool     what the tests recorded that failed in the last run
    .pytest_cache/d/unspool/green/NAME.unspool      what each test recorded when it last passed
    .pytest_cache/d/unspool/last-run.json           which tests these are

The folder is pytest's cache, which may be deleted at any time; `--cache-clear` does.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from textwrap import shorten
from typing import Final, Self

import msgspec

from unspool.errors import UnreadableSource, UnspoolError
from unspool.files.whole import write_whole
from unspool.history.history import History
from unspool.model.caller import caller_of
from unspool.model.paths import format_path
from unspool.model.values import MISSING, Value
from unspool.query.divergence import compare
from unspool.query.divergence_facts import PathDifference, Relation
from unspool.sources.opening import open_history

FOLDER: Final = "unspool"
"""What pytest's cache is asked for."""
CACHE: Final = Path(".pytest_cache", "d", FOLDER)
"""Where that is, unless the project says otherwise."""
_INDEX: Final = "last-run.json"
_ENDING: Final = ".unspool"
_LONGEST_INDEX: Final = 16 * 1024 * 1024
_LONGEST_NAME: Final = 80
_LONGEST_VALUE: Final = 60


class TestRun(msgspec.Struct, frozen=True):
    """A test of the last run that left a recording.

    Attributes:
        test: the id that pytest gives it.
        failed: whether it failed.
        name: what its file is called.
        skipped: calls that recorded nothing, though they should have.
    """

    __test__ = False

    test: str
    failed: bool
    name: str
    skipped: int = 0


class TestRuns:
    """The folder of recordings that tests left.

    Attributes:
        folder: where it is.
    """

    __test__ = False

    def __init__(self, folder: Path) -> None:
        """Look at nothing yet.

        Args:
            folder: the folder; made when something is put there.
        """
        self.folder = folder

    @classmethod
    def nearest(cls, start: Path) -> Self:
        """Return the recordings of the project that a folder belongs to.

        Raises:
            UnreadableSource: neither it nor a folder above it has any.
        """
        for folder in (start, *start.parents):
            if (folder / CACHE / _INDEX).is_file():
                return cls(folder / CACHE)
        raise UnreadableSource(
            f"{start}: no test left a recording here or above; run `pytest --unspool=failed` first, and where pytest's "
            "cache_dir is set, open the file that it names at its end"
        )

    def begin(self) -> None:
        """Forget what failed in the run before; green runs stay."""
        for name in ("failed", "running", _INDEX):
            place = self.folder / name
            with suppress(FileNotFoundError):
                place.unlink() if place.is_file() else shutil.rmtree(place)

    def running(self, test: str) -> Path:
        """Return where a test that runs is to be recorded."""
        (self.folder / "running").mkdir(parents=True, exist_ok=True)
        place = self.folder / "running" / file_name(test)
        # The same test, once more in one run.
        place.unlink(missing_ok=True)
        return place

    def keep(self, test: str, *, failed: bool, skipped: int = 0) -> TestRun:
        """Put the recording of a test that is over where it belongs.

        Raises:
            OSError: it is not there, or cannot be put there.
        """
        run = TestRun(test, failed, file_name(test), skipped)
        place = self.place_of(run)
        place.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / "running" / run.name).replace(place)
        return run

    def place_of(self, run: TestRun) -> Path:
        """Return where a test's recording is."""
        return self.folder / ("failed" if run.failed else "green") / run.name

    def green(self, run: TestRun) -> Path | None:
        """Return where the recording of a test's last green run is; None where there is none."""
        place = self.folder / "green" / run.name
        return place if place.is_file() else None

    def write(self, runs: Iterable[TestRun]) -> None:
        """Keep which tests left a recording in this run.

        Raises:
            UnspoolError: the folder cannot be written to.
            OSError: the disk refused.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / _INDEX, [msgspec.json.format(msgspec.json.encode(list(runs)))])

    def failed(self) -> list[TestRun]:
        """Return the tests of the last run that failed, in their order.

        Raises:
            UnreadableSource: the index is not one.
        """
        place = self.folder / _INDEX
        try:
            with place.open("rb") as file:
                runs = msgspec.json.decode(file.read(_LONGEST_INDEX), type=list[TestRun])
        except (OSError, msgspec.MsgspecError) as error:
            raise UnreadableSource(f"{place}: does not tell which tests failed ({error}); run them again") from None
        # Whoever wrote it, only files of this folder are meant.
        return [run for run in runs if run.failed and run.name == file_name(run.test)]


def parting(failed: Path, green: Path) -> str:
    """Say in one line where a failed run parts from the last green one, and which line of the app set what differs."""
    try:
        with open_history(failed) as one, open_history(green) as other:
            found = compare(one, other, ignore=["failure"], most=1)
            if found.relation is Relation.SAME:
                return "went through the same states as the last green run"
            if found.relation is Relation.FIRST_ENDS:
                return f"ended before entry {found.second.seq} of the last green run ({found.second.action})"
            told = f"parts from the last green run at entry {found.first.seq} ({found.first.action})"
            return f"{told}: {_difference(found.differences[0], one)}" if found.differences else told
    except UnspoolError as error:
        return f"cannot be compared with the last green run: {error}"


def _difference(part: PathDifference, history: History) -> str:
    path = part.second_path if part.first_path is None else part.first_path
    write = part.first_write
    place = None if write is None else caller_of(history[write.seq].meta)
    values = f"{_brief(part.first)}, was {_brief(part.second)}"
    return f"{format_path(path or (), root='')} is {values}{f', set at {place}' if place else ''}"


def _brief(value: Value) -> str:
    if value is MISSING:
        return "not there"
    is_plain = value is None or isinstance(value, bool | int | float | str)
    return shorten(repr(value), _LONGEST_VALUE, placeholder="…") if is_plain else f"a {type(value).__name__}"


def file_name(test: str) -> str:
    """Return the name of the file of a test: readable, and different for each."""
    readable = re.sub(r"[^\w.-]+", "-", test)[-_LONGEST_NAME:].strip("-.")
    return f"{readable}-{hashlib.sha256(test.encode('utf-8', 'replace')).hexdigest()[:8]}{_ENDING}"


__all__ = ["CACHE", "FOLDER", "TestRun", "TestRuns", "file_name", "parting"]
