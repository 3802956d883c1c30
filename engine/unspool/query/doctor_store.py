"""Walking over any open store, for histories that are no native file."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from unspool.codec.replay import replay
from unspool.errors import EntryDropped, UnreadableSource, UnspoolError
from unspool.model.entries import Entry
from unspool.query.doctor_findings import Code
from unspool.query.doctor_replay import Replayer, reason
from unspool.query.doctor_steps import EncodedState, Facts, Fault, Names, Step
from unspool.store.blocks import posting
from unspool.store.keeping import first_of
from unspool.store.protocol import RecordRun, Store


class StoreWalk:
    """An open store as a `ChainedSource`, read through the calls that every store has."""

    def __init__(self, store: Store) -> None:
        """Read a store; it is not closed with the walk."""
        self._store = store
        self.name = store.name
        self.first = first_of(store)
        self.total = len(store)
        self.names = Names({})
        self._numbers: dict[str, int] = {}

    def steps(self) -> Iterator[Step]:
        """See `ChainedSource.steps`."""
        replayer = Replayer(self._store.atom_name)
        seq = self.first
        while seq < self.total:
            try:
                run = self._store.run(seq)
                entries = self._store.entries(seq, min(run.stop, self.total))
                if run.first < seq:
                    replayer.resume(replay(run, seq - 1, self._store.atom_name))
            except EntryDropped as error:
                replayer.lose(seq)
                last = seq if error.last is None else error.last
                yield Step(seq, last, fault=Fault(Code.DROPPED, f"never arrived: {error.why}"))
                seq = last + 1
                continue
            except UnreadableSource:
                # The store cannot be asked now, which says nothing of what it holds.
                raise
            except UnspoolError as error:
                replayer.lose(seq)
                yield Step(seq, seq, fault=Fault(Code.MISSING_ENTRIES, reason(error)))
                seq += 1
                continue
            for entry in entries:
                yield self._step(entry, run, replayer)
            seq += max(len(entries), 1)

    def _step(self, entry: Entry, run: RecordRun, replayer: Replayer) -> Step:
        record = run.records[entry.seq - run.first]
        facts = Facts(
            entry.timestamp_ns, record.codec, entry.action, self._postings(entry.seq),
            _extra(entry), entry.stored_bytes, entry.full_bytes,
        )  # fmt: skip
        return replayer.step(entry.seq, facts, record)

    def _postings(self, seq: int) -> array[int]:
        found = array("I")
        for atom, kind in self._store.changed(seq):
            number = self._numbers.setdefault(atom, len(self._numbers))
            self.names.setdefault(number, atom)
            found.append(posting(number, kind))
        return found

    def state_at(self, seq: int) -> EncodedState | None:
        """See `ChainedSource.state_at`."""
        try:
            return replay(self._store.run(seq), seq, self._store.atom_name)
        except UnreadableSource:
            raise
        except UnspoolError:
            return None

    def close(self) -> None:
        """See `ChainedSource.close`; the store belongs to whoever opened it."""


def _extra(entry: Entry) -> dict[str, object]:
    extra: dict[str, object] = {}
    if entry.parent_seq is not None and entry.parent_seq != entry.seq - 1:
        extra["parent"] = entry.parent_seq
        if entry.part is not None:
            extra["part"] = list(entry.part)
    if entry.meta:
        extra["meta"] = dict(entry.meta)
    return extra
