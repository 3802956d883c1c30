"""A document that holds a whole history: each item of a list is a record for an interpreter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from unspool.history.verdict import Cancelled, ChainFault
from unspool.model.paths import Path as ValuePath
from unspool.model.paths import format_path
from unspool.model.values import Value
from unspool.sources.chains import Chains, SeqOf, examine_records
from unspool.sources.entries import Interpreter, Progress, SourceEntry, UnusableRecord
from unspool.sources.findings import Findings
from unspool.sources.record_times import TimedRecords, TimeHints

_NAMED: Final = 5
"""Parts beside the records that are named; the rest are counted."""


def beside(document: Value, records: Value) -> list[str]:
    """Return the paths of what stands in a document beside the list that holds its records, one or two levels down."""
    if not isinstance(document, dict):
        return []
    found: list[str] = []
    for key, value in document.items():
        holds_them = isinstance(value, dict) and any(inner is records for inner in value.values())
        if holds_them:
            found.extend(format_path((key, inner), root="") for inner in value if value[inner] is not records)
        elif value is not records and value not in (None, "", [], {}):
            found.append(format_path((key,), root=""))
    return found


class ItemsReader:
    """Reads records that are all there already. Such a document does not grow, so it is not followed."""

    def __init__(
        self,
        path: Path,
        records: Sequence[Value],
        interpreter: Interpreter,
        *,
        mtime_ns: int,
        place: str = "item",
        chains: Chains | None = None,
        beside: Sequence[str] = (),
    ) -> None:
        """Prepare.

        Args:
            path: the file, for messages.
            records: what to read.
            interpreter: what makes entries of them.
            mtime_ns: the time for entries whose record names none.
            place: what a record is called in messages.
            chains: how the chains of the records are examined.
            beside: parts of the document that are no records, and so in no state; they are told.
        """
        self._beside = tuple(beside)
        self.findings = Findings()
        self.watch_paths: tuple[Path, ...] = ()
        self._path = path
        self._records = records
        self._interpreter = interpreter
        self._hints = TimeHints()
        self._mtime_ns = mtime_ns
        self._place = place
        self._chains = chains
        self._done = 0
        self._is_finished = False

    def read(self) -> Iterator[SourceEntry]:
        """Yield all entries on the first call, and nothing after."""
        while self._done < len(self._records):
            number = self._done
            self._done += 1
            try:
                record = self._records[number]
                yield from self._hints.see(record, self._interpreter.read(record, self._mtime_ns))
            except UnusableRecord as error:
                self.findings.loss(f"{self._path}: {self._place} {number}", f"{error}; it was left out")
        if not self._is_finished:
            self._is_finished = True
            yield from self._interpreter.finish()
            if self._beside:
                named = ", ".join(self._beside[:_NAMED])
                more = f" and {len(self._beside) - _NAMED} more" if len(self._beside) > _NAMED else ""
                self.findings.notice(
                    str(self._path), f"in no state, for they stand beside the {self._place}s: {named}{more}"
                )
            hint = self._hints.notice()
            for message, is_loss in (*self._interpreter.notices(), *(() if hint is None else ((hint, False),))):
                (self.findings.loss if is_loss else self.findings.notice)(str(self._path), message)

    def take_times_from(self, path: ValuePath) -> None:
        """Give entries the time at a path of their record; asked before reading."""
        self._interpreter = TimedRecords(self._interpreter, path)

    def chain_faults(self, seq_of: SeqOf, total: int, cancelled: Cancelled) -> Iterator[ChainFault]:
        """See `ChainedReader.chain_faults`."""
        if self._chains is not None:
            placed = (
                (f"{self._path}: {self._place} {number}", item, "") for number, item in enumerate(self._records)
            )
            yield from examine_records(placed, self._chains, cancelled)

    def progress(self) -> Progress:
        """Say how many records have been read."""
        return Progress(self._done, len(self._records), self._is_finished)

    def close(self) -> None:
        """Nothing is held open."""
