"""Damaged logs that a recorder found when it went on with a file, kept beside it under names of their own.

SQLite reads a log up to the first frame that does not hold, and writes the next commit over what stands there. So the log is
copied first. Only the log is ever opened for that: closing the file itself would cost this process the locks that SQLite
holds on it.

    app.unspool.damaged-1a2b3c4d-57-wal    entry 57 was the first that was recorded instead of those in it
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unspool.errors import StorageFailed
from unspool.files.whole import write_whole
from unspool.store.wal import FRAME_BYTES, HEADER_BYTES, WalScan, WalState, log_of, scan_wal

_NAME: Final = re.compile(r"(?P<file>.+)\.damaged-[0-9a-f]{8}(?:-(?P<seq>[0-9]{1,18}))?-wal", re.DOTALL)
_CHUNK: Final = 1 << 20
_SMALLEST_PAGE: Final = 512


@dataclass(frozen=True, slots=True)
class KeptLog:
    """A damaged log that was kept.

    Attributes:
        path: where it lies.
        file: the file whose log it was.
        until: the first entry that was recorded instead of one in it: what the file holds before is of the same
            history. 0 where that is not known.
    """

    path: Path
    file: Path
    until: int


def kept_log(path: Path) -> KeptLog | None:
    """Return what a name says of a kept log, or None where it is no such name."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        return None
    return KeptLog(path, path.with_name(found["file"]), int(found["seq"] or 0))


def kept_logs(path: Path) -> list[KeptLog]:
    """Return the logs that were kept of a file, in the order of their names."""
    found: list[KeptLog] = []
    with suppress(OSError):
        # A folder that may not be listed is no reason to refuse the file in it.
        for name in os.listdir(path.parent):  # noqa: PTH208 - names alone are compared, of however many files
            known = kept_log(path.with_name(name)) if name.startswith(path.name) else None
            if known is not None and known.file == path:
                found.append(known)
    return sorted(found, key=lambda log: log.path.name)


def keep_damaged_log(path: Path) -> KeptLog | None:
    """Copy the log beside a file if SQLite would write over something in it; before a recorder opens the file.

    Args:
        path: the file, not a link to it; never opened.

    Returns:
        The copy, or None where the log is sound, absent or ends in what was never committed.

    Raises:
        StorageFailed: it cannot be copied, so that recording would destroy it.
        UnreadableSource: the log cannot be read.
    """
    log = log_of(path)
    scan = scan_wal(log)
    if scan is None or not _has_more(scan, log):
        return None
    copy = path.with_name(f"{path.name}.damaged-{os.urandom(4).hex()}-wal")
    try:
        write_whole(copy, _pieces(log), replace=False)
    except OSError as error:
        raise StorageFailed(
            f"{log}: is damaged, and cannot be kept before recording goes on ({error.strerror}); free some space, or move "
            "it and the file elsewhere"
        ) from None
    return KeptLog(copy, path, 0)


def named_by_entry(log: KeptLog, until: int) -> KeptLog:
    """Rename a kept log after the first entry that is recorded instead of those in it, and return it."""
    ending = "-wal"
    fresh = log.path.with_name(f"{log.path.name.removesuffix(ending)}-{until}{ending}")
    with suppress(OSError):
        # Without the number less of it can be saved, and nothing is lost.
        log.path.rename(fresh)
        return KeptLog(fresh, log.file, until)
    return log


def _has_more(scan: WalScan, log: Path) -> bool:
    """Whether a log holds anything that SQLite would leave out and write over."""
    if scan.state is WalState.SOUND:
        return False
    if not scan.header_holds:
        return log.stat().st_size >= HEADER_BYTES + FRAME_BYTES + _SMALLEST_PAGE
    # A last frame that ends early is what a killed writer leaves; nobody was told that it was there.
    return scan.first_bad is not None


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            yield piece


__all__ = ["KeptLog", "keep_damaged_log", "kept_log", "kept_logs", "named_by_entry"]
