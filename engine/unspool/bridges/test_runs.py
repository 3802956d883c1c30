"""What tests left behind: a recording of each that failed, and of each one's last green run.

    .pytest_cache/d/unspool/failed/NAME.unspool     what the tests recorded that failed in the last run
    .pytest_cache/d/unspool/green/NAME.unspool      what each test recorded when it last passed
    .pytest_cache/d/unspool/last-run.json           which tests these are

The folder is pytest's cache, which may be deleted at any time; `--cache-clear` does.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Self

import msgspec

from unspool.errors import UnreadableSource
from unspool.files import create_private, write_whole

FOLDER: Final = "unspool"
"""What pytest's cache is asked for."""
CACHE: Final = Path(".pytest_cache", "d", FOLDER)
"""Where that is, unless the project says otherwise."""
_INDEX: Final = "last-run.json"
_ENDING: Final = ".unspool"
_LONGEST_INDEX: Final = 16 * 1024 * 1024
_LONGEST_NAME: Final = 80


class TestRun(msgspec.Struct, frozen=True):
    """A test of the last run that left a recording.

    Attributes:
        test: the id that pytest gives it.
        failed: whether it failed.
        name: what its file is called.
        skipped: calls that recorded nothing, though they should have.
        writers: lines that say which code wrote what a failed assertion compared, where the test was traced.
    """

    __test__ = False

    test: str
    failed: bool
    name: str
    skipped: int = 0
    writers: list[str] = msgspec.field(default_factory=list)


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

    def running(self, test: str, going_on: Path | None = None) -> Path:
        """Return where a test that runs is to be recorded, going on from a copy of a recording if one is given.

        Raises:
            OSError: nothing can be put there.
            sqlite3.Error: the recording cannot be copied.
        """
        (self.folder / "running").mkdir(parents=True, exist_ok=True)
        place = self.folder / "running" / file_name(test)
        # The same test, once more in one run.
        place.unlink(missing_ok=True)
        if going_on is not None:
            os.close(create_private(place))
            # Its recorder may be open still, in this process even.
            with (
                closing(sqlite3.connect(f"{going_on.as_uri()}?mode=ro", uri=True)) as old,
                closing(sqlite3.connect(place)) as new,
            ):
                old.backup(new)
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
        if not failed:
            # It may have failed before, and was run again.
            (self.folder / "failed" / run.name).unlink(missing_ok=True)
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


def file_name(test: str) -> str:
    """Return the name of the file of a test: readable, and different for each."""
    readable = re.sub(r"[^\w.-]+", "-", test)[-_LONGEST_NAME:].strip("-.")
    return f"{readable}-{hashlib.sha256(test.encode('utf-8', 'replace')).hexdigest()[:8]}{_ENDING}"


__all__ = ["CACHE", "FOLDER", "TestRun", "TestRuns", "file_name"]
