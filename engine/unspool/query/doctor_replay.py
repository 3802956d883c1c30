"""Replaying records one by one for the doctor: a record that does not fit becomes a fault, never an exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from unspool.codec import state_codec
from unspool.codec.errors import MissingBinaryCodec
from unspool.codec.records import Record, RecordCodec, decode_full, replay_delta
from unspool.errors import CorruptHistory, DeltaCompressionError
from unspool.query.doctor_findings import Code
from unspool.query.doctor_steps import EncodedState, Facts, Fault, Step, Touched

_BYTES: Final = frozenset((bytes,))


class Replayer:
    """The state while walking forward, and where it was lost."""

    def __init__(self, name: Callable[[int], str]) -> None:
        """Start before the first entry.

        Args:
            name: gives the name of an atom's number.
        """
        self._name = name
        self.state: EncodedState | None = {}
        self._lost: Fault = Fault(Code.SEVERED_BASE, "no full snapshot stands before it")
        self._begun = False

    def resume(self, state: EncodedState) -> None:
        """Go on from a state that was rebuilt elsewhere."""
        self.state = state
        self._begun = True

    def lose(self, seq: int) -> None:
        """Forget the state: an entry does not read, so deltas after it have no base."""
        self.state = None
        self._lost = Fault(Code.SEVERED_BASE, f"a delta stands on entry {seq}, which does not read")

    def step(self, seq: int, facts: Facts | None, record: Record) -> Step:
        """Take the next entry; `facts` is None where they are lost.

        Raises:
            MissingExtra: a binary patch cannot be read without bsdiff4.
        """
        step = Step(seq, seq, facts, record=record)
        before = self.state
        if not record.codec.is_full and (before is None or not self._begun):
            # The fault of the entry that broke the chain goes for all that stand on it.
            self.state = None
            step.fault = self._lost
            return step
        try:
            touched = self._apply(record)
        except MissingBinaryCodec:
            raise
        except (CorruptHistory, DeltaCompressionError) as error:
            self.lose(seq)
            step.fault = Fault(Code.MALFORMED, f"its record does not apply ({reason(error)})")
            return step
        self._begun = True
        step.state, step.touched = self.state, touched
        step.before = before if touched is None else None
        return step

    def _apply(self, record: Record) -> Touched | None:
        """Bring the state forward; return what a key-wise delta wrote."""
        state = {} if self.state is None else self.state
        name = self._name
        match record.codec:
            case RecordCodec.DICT | RecordCodec.NOTE:
                touched: Touched = []
                replay_delta(state, record.payload, name, touched)
                for atom, _ in touched:
                    if type(state.get(atom, b"")) is not bytes:
                        raise CorruptHistory("a value is no wire form")
                if touched and record.codec is RecordCodec.NOTE:
                    raise CorruptHistory("a note writes to atoms")
                return touched
            case RecordCodec.NONE | RecordCodec.NOTE_FULL:
                self.state = decode_full(record.payload, name)
            case RecordCodec.COMPRESS:
                self.state = state_codec.decode_full(record.payload)
            case RecordCodec.BINARY:
                self.state = state_codec.apply_binary_delta(state, record.payload)
        if self.state is None or not _BYTES.issuperset(map(type, self.state.values())):
            raise CorruptHistory("a value is no wire form")
        return None


def reason(error: Exception) -> str:
    """Return what an error says, without its advice."""
    text = str(error).split("; ")[0].removesuffix("; run `unspool doctor` on the file")
    return text.removesuffix(" run `unspool doctor` on the file").strip()
