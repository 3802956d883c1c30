"""What can be wrong with a chain of delta-compression records: each stands on all that came before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from unspool.history.verdict import ChainFault
from unspool.model.entries import NO_META
from unspool.model.values import State, Value
from unspool.sources.detection import Probe, SourceShape
from unspool.sources.entries import (
    TIME_FROM_FILE,
    Interpreter,
    Read,
    Reader,
    RecordExaminer,
    SourceEntry,
    UnusableRecord,
    as_state,
    to_ns,
)
from unspool.sources.lines import ItemsReader, LinesReader

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

    def visit(self, read: Read) -> Iterator[ChainFault]:
        """See `RecordExaminer.visit`."""
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


_REQUIRED: Final = {"changes", "removed_keys", "timestamp"}
_OWN_KEYS: Final = frozenset((*_REQUIRED, "checksum", "compression_ratio", "metadata", "size_bytes"))
_BASE_KEYS: Final = ("base_state", "base", "initial_state", "full_state")
_RECORD_KEYS: Final = ("records", "deltas", "delta_records", "chain")


def is_delta_record(record: Value) -> bool:
    """Whether a record is one delta-compression record."""
    return isinstance(record, dict) and record.keys() >= _REQUIRED and isinstance(record["removed_keys"], list)


def _chain(document: Value) -> list[Value] | None:
    """Return base state and records of a document that lists a chain, base first."""
    if not isinstance(document, dict):
        return None
    records = next((document[key] for key in _RECORD_KEYS if isinstance(document.get(key), list)), None)
    if not records or not all(map(is_delta_record, records)):
        return None
    base = next((document[key] for key in _BASE_KEYS if isinstance(document.get(key), dict)), None)
    return records if base is None else [base, *records]


def detect(probe: Probe) -> int:
    """Score a probe: one record, records in a list or in lines (the first may be their base state), or a chain."""
    if probe.shape is SourceShape.DOCUMENT and _chain(probe.document) is not None:
        return 90
    records = probe.records
    if not records or not is_delta_record(records[-1]):
        return 0
    return 90 if all(map(is_delta_record, records[1:])) else 0


class DeltaRecords:
    """Applies records to a base state: the first record that is no delta, or else nothing but what deltas tell."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._has_base = False
        self._mismatches = 0

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entry of one record, or of the base state.

        Raises:
            UnusableRecord: it is neither.
        """
        if not is_delta_record(record):
            if self._state is not None or not isinstance(record, dict):
                raise UnusableRecord("no delta record")
            self._state, self._has_base = as_state(dict(record)), True
            yield SourceEntry(dict(self._state), default_ns, "base", TIME_FROM_FILE, is_full=True)
            return
        changes = record["changes"]
        if not isinstance(changes, dict) or not all(isinstance(key, str) for key in record["removed_keys"]):
            raise UnusableRecord("its changes are no object, or its removed_keys no list of names")
        both = changes.keys() & set(record["removed_keys"])
        if both:
            raise UnusableRecord(f"it both changes and removes {sorted(both)[0]!r}")
        self._mismatches += not checksum_fits(record)
        state = {name: value for name, value in (self._state or {}).items() if name not in record["removed_keys"]}
        state.update(changes)
        self._state = state
        yield self._entry(record, state, default_ns)

    @staticmethod
    def _entry(record: dict[str, Value], state: State, default_ns: int) -> SourceEntry:
        timestamp_ns = to_ns(record["timestamp"])
        meta = {key: value for key, value in record.items() if key not in _OWN_KEYS}
        if isinstance(record.get("metadata"), dict) and record["metadata"]:
            meta["metadata"] = record["metadata"]
        if timestamp_ns is None:
            meta.update(TIME_FROM_FILE)
        at = default_ns if timestamp_ns is None else timestamp_ns
        return SourceEntry(dict(state), at, "", meta or NO_META)

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Report a missing base and records whose checksum does not fit."""
        if self._state is not None and not self._has_base:
            yield NO_BASE, True
        if self._mismatches:
            yield unfit_records(self._mismatches), True


def checksum_fits(record: dict[str, Value]) -> bool:
    """Check a record against its checksum, where that is possible.

    A record that was compressed carries the checksum of gzip bytes which hold the second of writing; that one
    cannot be checked again and counts as fitting.
    """
    checksum, metadata = record.get("checksum"), record.get("metadata")
    is_plain = isinstance(metadata, dict) and metadata.get("compression_level") == 0
    if not checksum or not is_plain:
        return True
    payload = {"changes": record["changes"], "removed": record["removed_keys"]}
    try:
        text = json.dumps(payload, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return True
    return bool(hashlib.sha256(text.encode()).hexdigest()[:16] == checksum)


def _chains() -> tuple[Interpreter, RecordExaminer]:
    return DeltaRecords(), DeltaChains(is_delta_record, checksum_fits)


def open_reader(probe: Probe) -> Reader:
    """Read records from a document or from lines."""
    if probe.shape is SourceShape.LINES:
        return LinesReader(probe.path, DeltaRecords(), probe.limits, follows=probe.follows, chains=_chains)
    document = probe.document
    chain = _chain(document)
    passed_over = [] if chain is None else [name for name in document if name not in (*_RECORD_KEYS, *_BASE_KEYS)]
    records = chain or (document if isinstance(document, list) else [document])
    mtime_ns = probe.status.st_mtime_ns
    return ItemsReader(
        probe.path, records, DeltaRecords(), mtime_ns=mtime_ns, place="record", chains=_chains, beside=passed_over
    )
