"""What can be wrong with a nexus-state list of snapshots and deltas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from unspool.codec.strategies import DEFAULT_MAX_DELTAS
from unspool.history.verdict import ChainFault
from unspool.model.values import MISSING, State, Value, json_equal
from unspool.sources.chains import Read
from unspool.sources.entries import UnusableRecord

Changes = dict[str, dict[str, Value]]
_NAMED: Final = 60
"""Characters of an id that a message shows."""


@dataclass(slots=True)
class _Chain:
    """The deltas that stand on one full snapshot, directly or through one another."""

    place: str
    root: str
    first: int
    last: int
    deltas: int = 0


class NexusChains:
    """Looks at snapshots and deltas in the order of the file."""

    def __init__(
        self,
        state_of: Callable[[str], State | None],
        changes_of: Callable[[Value], tuple[dict[str, Value], Changes]],
        limit: int = DEFAULT_MAX_DELTAS,
    ) -> None:
        """Prepare.

        Args:
            state_of: gives the state at the snapshot or delta of an id, as far as it was read.
            changes_of: gives a record with typed values restored, and a delta's changes.
            limit: deltas of a chain, beyond which the package would have begun another.
        """
        self._state_of = state_of
        self._changes_of = changes_of
        self._limit = limit
        self._places: dict[str, str] = {}
        self._roots: dict[str, str] = {}
        self._chains: dict[str, _Chain] = {}
        self._severed: list[tuple[Read, str, str]] = []
        self._doubted: set[str] = set()

    def see(self, read: Read) -> Iterator[ChainFault]:
        """See `RecordExaminer.see`."""
        record = read.record
        if not isinstance(record, dict) or not isinstance(record.get("id"), str):
            yield read.fault("malformed-record", read.problem or "no nexus-state snapshot: it has no id")
            return
        identity = record["id"]
        is_twice = identity in self._places
        if is_twice:
            text = f"the id {_short(identity)} stands at {self._places[identity]} already; deltas may mean either"
            yield read.fault("duplicate-entries", text)
        if record.get("type") == "delta":
            yield from self._delta(read, record)
        elif read.problem:
            yield read.fault("malformed-record", read.problem)
        else:
            self._roots[identity] = identity
            self._chains[identity] = _Chain(read.place, identity, read.seq, read.seq)
        self._places[identity] = read.spot

    def _delta(self, read: Read, record: dict[str, Value]) -> Iterator[ChainFault]:
        base = record.get("baseSnapshotId")
        name = base if isinstance(base, str) else ""
        if name not in self._places:
            # The record itself is no longer needed, and there may be many.
            self._severed.append((replace(read, record=None), record["id"], name))
            return
        if read.problem:
            yield read.fault("malformed-record", read.problem)
            return
        faults = list(self._contents(read, record))
        root = self._roots.get(name)
        if root is None:
            faults.append(read.fault("severed-base", f"its base {_short(name)} does not read itself"))
        elif name in self._doubted and not faults:
            faults.append(read.fault("severed-base", f"its base {_short(name)} is not certain itself"))
        yield from faults
        if faults:
            self._doubted.add(record["id"])
        if root is None:
            return
        self._roots[record["id"]] = root
        chain = self._chains[root]
        chain.deltas += 1
        chain.last = read.seq

    def _contents(self, read: Read, record: dict[str, Value]) -> Iterator[ChainFault]:
        """Compare what a delta says of itself and of its base with what is there."""
        try:
            metadata, changes = self._changes_of(record)
        except UnusableRecord:
            return
        count = metadata.get("changeCount")
        if isinstance(count, int) and count != len(changes):
            yield read.fault("malformed-record", f"says it changes {count} atoms and names {len(changes)}")
        base = self._state_of(str(record["baseSnapshotId"])) if record["baseSnapshotId"] != record["id"] else None
        wrong = [] if base is None else [name for name, change in changes.items() if _contradicts(base, name, change)]
        if wrong:
            more = f" and {len(wrong) - 1} more atoms" if len(wrong) > 1 else ""
            text = f"what it says {_short(wrong[0])}{more} held before is not what its base holds"
            yield read.fault("contradicts-base", text)

    def finish(self, total: int) -> Iterator[ChainFault]:
        """See `RecordExaminer.finish`."""
        for read, identity, name in self._severed:
            where = self._places.get(name)
            if not name:
                text = f"the delta {_short(identity)} names no base"
            elif where is None:
                text = f"the delta {_short(identity)} stands on {_short(name)}, which is not in the file"
            else:
                text = f"the delta {_short(identity)} stands on {_short(name)}, which comes only later, at {where}"
            # A delta on its own is shown with what it tells of its base, as two entries.
            last = read.seq + read.made - 1 if read.made > 1 else None
            severity = None if last is None or total > read.made else "warning"
            yield read.fault("severed-base", text, last=last, severity=severity)
        for chain in self._chains.values():
            if chain.deltas > self._limit:
                text = (
                    f"{chain.deltas} deltas stand on {_short(chain.root)}; the package ends a chain at {self._limit}"
                )
                yield ChainFault("chain-over-limit", chain.place, text, chain.first, chain.last)


def _contradicts(base: State, name: str, change: dict[str, Value]) -> bool:
    """Say whether a change tells of a value before it that its base does not have."""
    if change.get("changeType") == "added":
        return name in base
    if name not in base:
        return True
    old = change.get("oldValue", MISSING)
    # Undefined is not written at all, and NaN as null.
    return not (old is MISSING or json_equal(old, base[name]))


def _short(name: str) -> str:
    return repr(name if len(name) <= _NAMED else name[:_NAMED] + "…")
