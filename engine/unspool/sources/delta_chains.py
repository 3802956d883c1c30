"""What can be wrong with a chain of delta-compression records: each stands on all that came before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from unspool.history.verdict import ChainFault
from unspool.model.values import Value
from unspool.sources.chains import Read

NO_BASE: Final = "the base state is not in the file: only the atoms that the records change are known"


def unfit_records(count: int) -> str:
    """Say how many records do not fit their own checksum."""
    return f"{count} records do not fit their own checksum; their changes are shown as they are"


class DeltaChains:
    """Looks at records in the order of the file."""

    def __init__(self, is_delta: Callable[[Value], bool], fits: Callable[[dict[str, Value]], bool]) -> None:
        """Prepare.

        Args:
            is_delta: says whether a record is a delta, and no base state.
            fits: says whether a delta fits its own checksum.
        """
        self._is_delta = is_delta
        self._fits = fits
        self._is_first = True
        self._orphan: Read | None = None
        self._unfit: list[Read] = []
        self._lost: list[Read] = []

    def see(self, read: Read) -> Iterator[ChainFault]:
        """See `RecordExaminer.see`."""
        is_first, self._is_first = self._is_first, False
        if read.problem:
            self._lost.append(replace(read, record=None))
            return iter(())
        record, place = read.record, replace(read, record=None)
        if not self._is_delta(record):
            return iter(())
        if is_first:
            self._orphan = place
        if isinstance(record, dict) and not self._fits(record):
            self._unfit.append(place)
        return iter(())

    def finish(self, total: int) -> Iterator[ChainFault]:
        """See `RecordExaminer.finish`: only then it is known how far each of them reaches."""
        end = total - 1
        if self._orphan is not None:
            # A record on its own is a piece, and nothing is wrong with it; a row of them is a chain that lost its base.
            severity = "warning" if total == 1 else None
            yield replace(self._orphan.fault("severed-base", NO_BASE, last=end, severity=severity), told_as=NO_BASE)
        for read in self._lost:
            yield read.fault("malformed-record", f"{read.problem}; every state after it may lack what it changed")
            if read.seq <= end:
                text = f"these states stand on a record that does not read ({read.spot})"
                yield ChainFault("severed-base", read.place, text, read.seq, end)
        for read in self._unfit:
            text = "what it changes is not what its checksum was made of; every state after it holds that"
            fault = read.fault("checksum-mismatch", text, last=end)
            yield replace(fault, told_as=unfit_records(len(self._unfit)))
