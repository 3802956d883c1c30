"""What is written for an entry: which codec, full or delta."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from unspool.chain.block_strategy import BlockStrategy
from unspool.chain.strategy import ChainState, FullSnapshotStrategy, strategy_from_name
from unspool.codec import state_codec
from unspool.codec.binary_patch import binary_available
from unspool.codec.records import (
    AtomWrite,
    Form,
    Record,
    RecordCodec,
    encode_delta,
    encode_full,
    patch_steps,
    write_atom,
)
from unspool.codec.strategy import DeltaStrategy
from unspool.errors import ConfigError, MissingExtra
from unspool.recorder.base import Base
from unspool.recorder.capture import AtomChange, Taken


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


def full_record(codec: DeltaStrategy, state: Mapping[str, bytes], intern: Callable[[str], int]) -> Record:
    """Return the record of a full snapshot."""
    if codec is DeltaStrategy.COMPRESS:
        return Record(RecordCodec.COMPRESS, state_codec.compress_full(state))
    return Record(RecordCodec.NONE, encode_full(state, intern))


def delta_record(codec: DeltaStrategy, old: Base, taken: Taken, intern: Callable[[str], int]) -> Record:
    """Return the record of an entry that is not wanted full; COMPRESS and NONE always hold the whole state."""
    if codec in (DeltaStrategy.COMPRESS, DeltaStrategy.NONE):
        return full_record(codec, taken.base.to_dict(), intern)
    if codec is DeltaStrategy.BINARY:
        return Record(RecordCodec.BINARY, state_codec.binary_delta(old.to_dict(), taken.base.to_dict()))
    return Record(RecordCodec.DICT, encode_delta(map(_write, taken.changes), intern))


def _write(change: AtomChange) -> AtomWrite:
    if change.new is None:
        return AtomWrite(change.atom, Form.DELETED)
    if change.old is None:
        return AtomWrite(change.atom, Form.ADDED, change.new)
    return write_atom(change.atom, change.old, change.new, change.ends)


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
