"""What is written for an entry: which codec, full or delta."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from unspool.codec import state_codec
from unspool.codec.records import (
    AtomWrite,
    Form,
    Record,
    RecordCodec,
    as_written,
    encode_delta,
    encode_full,
    patch_steps,
)
from unspool.codec.state_codec import DeltaStrategy, binary_available
from unspool.codec.strategies import BlockStrategy, ChainState, FullSnapshotStrategy, strategy_from_name
from unspool.delta.patch import SMALLEST_PATCHED, TooManySteps, make_frame, make_patch
from unspool.errors import ConfigError, MissingExtra
from unspool.recorder.capture import AtomForms, CaptureResult
from unspool.recorder.layout import StateLayout


def recording_strategy(strategy: str | FullSnapshotStrategy) -> FullSnapshotStrategy:
    """Return the strategy that an option names.

    Raises:
        ConfigError: unknown name.
    """
    if not isinstance(strategy, str):
        return strategy
    return BlockStrategy() if strategy == "auto" else strategy_from_name(strategy)


def strategy_name(strategy: FullSnapshotStrategy) -> str:
    """Return the name that a strategy can be made from again; "" where its settings are more than its name tells."""
    try:
        return strategy.name if recording_strategy(strategy.name) == strategy else ""
    except (ConfigError, AttributeError):
        return ""


def recording_codec(codec: str | DeltaStrategy) -> DeltaStrategy:
    """Return the codec that an option names.

    Raises:
        ConfigError: unknown name.
        MissingExtra: `binary` without bsdiff4.
    """
    try:
        chosen = DeltaStrategy(codec)
    except ValueError:
        names = ", ".join(item.value for item in DeltaStrategy)
        raise ConfigError(f"codec is {codec!r}; write one of {names}") from None
    if chosen is DeltaStrategy.BINARY and not binary_available():
        raise MissingExtra(
            "codec 'binary' needs bsdiff4; run `pip install 'unspool[binary]'`, or choose another codec"
        )
    return chosen


def full_record(codec: DeltaStrategy, state: StateLayout, intern: Callable[[str], int]) -> Record:
    """Return the record of a full snapshot."""
    if codec is DeltaStrategy.COMPRESS:
        return Record(RecordCodec.COMPRESS, state_codec.compress_full(state.to_dict()))
    return Record(RecordCodec.NONE, encode_full(state.views(), intern))


class DeltaWriter:
    """Writes the records of entries that are not wanted full, at a cost that is bounded by the state's size.

    A patch along the structure of a value costs Python time for each of its steps. An atom that would take many of
    them is written as a frame, and so are its next few changes: what changed widely once will do so again.
    """

    __slots__ = ("_codec", "_intern", "_takes_frames", "_wide")

    def __init__(self, codec: DeltaStrategy, intern: Callable[[str], int], *, takes_frames: bool) -> None:
        """Write for one store.

        Args:
            codec: how entries are written.
            intern: gives an atom's number.
            takes_frames: patches may be frames; otherwise they may take any number of steps.
        """
        self._codec = codec
        self._intern = intern
        self._takes_frames = takes_frames
        self._wide: dict[str, int] = {}

    def record(self, old: StateLayout, result: CaptureResult) -> Record:
        """Return the record of a state; COMPRESS and NONE always hold it whole, AUTO where nearly all of it changed."""
        codec = self._codec
        if codec in (DeltaStrategy.COMPRESS, DeltaStrategy.NONE) or (codec is DeltaStrategy.AUTO and _is_new(result)):
            return full_record(codec, result.base, self._intern)
        if codec is DeltaStrategy.BINARY:
            return Record(RecordCodec.BINARY, state_codec.binary_delta(old.to_dict(), result.base.to_dict()))
        return Record(RecordCodec.DICT, encode_delta(map(self._write, result.changes), self._intern))

    def _write(self, change: AtomForms) -> AtomWrite:
        if change.new is None:
            return AtomWrite(change.atom, Form.DELETED)
        new = bytes(change.new)
        if change.old is None:
            return AtomWrite(change.atom, Form.ADDED, new)
        if not self._takes_frames or len(new) < _LEAST_FRAMED:
            return as_written(change.atom, new, make_patch(change.old, new, change.ends))
        return as_written(change.atom, new, self._bounded_patch(change.atom, change.old, new, change.ends))

    def _bounded_patch(self, atom: str, old: bytes, new: bytes, ends: tuple[int, int] | None) -> bytes | None:
        left = self._wide.get(atom, 0)
        try:
            return make_patch(old, new, ends, steps=0 if left else _MOST_STEPS + len(new) // _BYTES_OF_A_STEP)
        except TooManySteps:
            if left != 1:
                self._wide[atom] = left - 1 if left else _NEXT_CHANGES
            else:
                del self._wide[atom]
            return make_frame(old, new, ends)


_LEAST_FRAMED: Final = 1024
"""Bytes of a value below which a patch takes few steps anyway."""
_MOST_STEPS: Final = 64
"""Steps that a patch may take at least."""
_BYTES_OF_A_STEP: Final = 2048
"""Bytes of a value that take as long to encode as a step of a patch takes to be found, and a little longer."""
_NEXT_CHANGES: Final = 15
"""Changes of an atom, after one that took too many steps, that are not looked at along its structure."""
_MANY: Final = 24
"""Changed atoms above which a state may be written whole without comparing the sizes of both records."""


def _is_new(result: CaptureResult) -> bool:
    """Whether so many small atoms changed that a delta would be about as large as the whole state."""
    changes = result.changes
    if len(changes) <= _MANY:
        return False
    small = sum(
        len(change.new) + 4 for change in changes if change.new is not None and len(change.new) < SMALLEST_PATCHED
    )
    return 4 * small >= 3 * result.base.size


class RecordedChain:
    """The chain being written, as strategies see it.

    Attributes:
        begun: whether there is a full snapshot to build on.
    """

    __slots__ = ("_bytes", "_full", "_length", "_start_ns", "_steps", "begun")

    def __init__(self) -> None:
        """Begin without a full snapshot."""
        self.begun = False
        self._length = self._bytes = self._full = self._start_ns = self._steps = 0

    def state(self, record: Record, moment: int, changed: int) -> ChainState:
        """Return the chain as it stands, with the entry about to be written."""
        return ChainState(
            length=self._length,
            age_ms=(moment - self._start_ns) / 1e6,
            delta_bytes=self._bytes,
            full_bytes=self._full,
            changed_atoms=changed,
            candidate_bytes=len(record.payload),
            patch_steps=self._steps + patch_steps(record),
        )

    def add(self, record: Record, moment: int, size: int) -> None:
        """Take note of a written entry."""
        if record.codec.is_full:
            self.begun = True
            self._length = self._bytes = self._steps = 0
            self._start_ns, self._full = moment, size
        else:
            self._length += 1
            self._bytes += len(record.payload)
            self._steps += patch_steps(record)
