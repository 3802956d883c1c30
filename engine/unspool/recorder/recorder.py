"""`Recorder`: what an app calls. It never hurts its host."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

from unspool.chain.strategy import FullSnapshotStrategy
from unspool.codec.records import Record
from unspool.codec.replay import replay
from unspool.codec.strategy import DeltaStrategy
from unspool.delta.identity import canonical_identity
from unspool.errors import ConfigError, EntryNotFound, UnspoolError
from unspool.files.private import PRIVATE, check_mode
from unspool.history.diff import fork_base
from unspool.model.entries import ChangeKind, EntryKind
from unspool.model.values import Value
from unspool.recorder.base import Base
from unspool.recorder.calling import CallerNotes
from unspool.recorder.capture import AtomChange, Capture, Taken, changes_between
from unspool.recorder.given import RefusedEntry, plain_text, whole_ns, whole_seq
from unspool.recorder.policy import (
    RecordedChain,
    delta_record,
    full_record,
    recording_codec,
    recording_strategy,
    strategy_name,
)
from unspool.recorder.redact import Redaction
from unspool.recorder.targets import store_at
from unspool.store.file import Durability
from unspool.store.protocol import Draft, Store
from unspool.store.recordings import KeepsSettings

OnError = Literal["warn", "raise", "ignore"]
"""What happens when recording fails: warn once and stop recording, raise, or stop in silence."""

_TINY = 1024


class RecordingStopped(UserWarning):
    """Recording failed and has stopped; the app goes on."""


class SealingStopped(UserWarning):
    """Entries are recorded, but no longer compressed in the background."""


class Recorder:
    """Records the states of a running app.

    Mutable state is safe: what is recorded is a private copy. Calls are safe from several threads. A forked child
    does not record: its parent goes on writing to the file.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | Store,
        *,
        strategy: str | FullSnapshotStrategy = "auto",
        codec: str | DeltaStrategy = "auto",
        durability: Durability = "default",
        on_error: OnError = "warn",
        redact: Iterable[str] = (),
        identity: Mapping[str, str] | None = None,
        immutable: bool = False,
        skip_unchanged: bool = False,
        caller: bool = False,
        clock: Callable[[], int] = time.time_ns,
        mode: int = PRIVATE,
    ) -> None:
        """Open a recording; an existing file is continued.

        Args:
            target: the `.unspool` file, `postgresql://USER@HOST/DATABASE?history=NAME`, or a store.
            strategy: when a full snapshot is stored: `auto`, or what `strategy_from_name` reads.
            codec: how entries are written: `auto`, `dict`, `binary`, `compress` or `none`.
            durability: see `FileStore.create`.
            on_error: what happens when a later call fails; opening always raises.
            redact: patterns of what to leave out; see `Redaction`.
            identity: keys that tell the records of lists apart, by path pattern, such as `{"orders[*]": "number"}`; kept
                in the file, whose lists are compared by them from then on. None leaves what the file has.
            immutable: the app never changes a value in place; makes recording cheaper.
            skip_unchanged: do not record a state that equals the one before.
            caller: keep file, line and function of whoever calls `record`, in each entry's meta.
            clock: gives nanoseconds since the epoch.
            mode: permissions of a new file, whatever the umask, such as `0o640` to let a group read it. A file that is
                there keeps its own.

        Raises:
            UnspoolError: the file cannot be opened, another recorder holds it, or an option is not valid.
        """
        if on_error not in ("warn", "raise", "ignore"):
            raise ConfigError(f"on_error is {on_error!r}; write warn, raise or ignore")
        keys = None if identity is None else canonical_identity(identity)
        patterns = tuple(redact)
        self._redaction = Redaction(patterns) if patterns else None
        self._strategy = recording_strategy(strategy)
        self._codec = recording_codec(codec)
        self._on_error: OnError = on_error
        self._skip_unchanged = skip_unchanged
        self._clock = clock
        self._callers = CallerNotes() if caller else None
        self._capture = Capture(immutable=immutable)
        self._chain = RecordedChain()
        self._lock = threading.Lock()
        self._stopped = False
        self._warned_values = False
        self._warned_refusal = False
        self._told_of_sealing: UnspoolError | None = None
        self._owner = os.getpid()
        self._open(target, durability, check_mode(mode), keys)
        atexit.register(_close_at_exit, weakref.ref(self))

    def _open(
        self,
        target: str | os.PathLike[str] | Store,
        durability: Durability,
        mode: int,
        keys: Mapping[str, str] | None,
    ) -> None:
        is_place = isinstance(target, str | os.PathLike)
        self.store: Store = store_at(os.fspath(target), durability, mode) if is_place else target  # type: ignore[arg-type,assignment]
        try:
            self._continue(keys)
        except BaseException:
            if is_place:
                # What failed first is already on its way.
                with suppress(UnspoolError):
                    self.store.close()
            raise

    def _continue(self, keys: Mapping[str, str] | None) -> None:
        """Compare the first new state with the last recorded one; the first new entry is full all the same."""
        if isinstance(self.store, KeepsSettings):
            self.store.note_recording(strategy_name(self._strategy), self._codec.value)
            if keys is not None:
                self.store.note_identity(keys)
        count = len(self.store)
        if count:
            state = replay(self.store.run(count - 1), count - 1, self.store.atom_name)
            self._capture.keep(Taken([], Base.of(state)))

    @property
    def recording(self) -> bool:
        """Whether calls still record: not closed, not failed, not in a forked child."""
        return not self._stopped and os.getpid() == self._owner

    def record(
        self,
        state: Mapping[str, Value],
        action: str = "",
        *,
        timestamp_ns: int | None = None,
        meta: Mapping[str, Value] | None = None,
        entry_id: str = "",
        parent_seq: int | None = None,
        part: Collection[str] | None = None,
        full: bool = False,
        stacklevel: int = 1,
    ) -> int | None:
        """Record a state.

        Args:
            state: atoms by name; may be changed in place afterwards.
            action: why it happened.
            timestamp_ns: nanoseconds since the epoch; now when None.
            meta: free facts.
            entry_id: an id of the source's own.
            parent_seq: the entry this one follows in time, when it is not the last one: a fork.
            part: the atoms that follow `parent_seq`, where a state merges several parts (threads, players) and only one
                of them went back; all other atoms follow the last entry. None: all atoms follow it.
            full: store a full snapshot whatever the strategy says.
            stacklevel: whose place `caller` keeps: 1 the caller's, 2 that of the caller's caller, and so on.

        Returns:
            The entry's number, or None when nothing was recorded.

        Raises:
            UnspoolError: recording failed and `on_error` is `raise`.
        """
        if not self.recording:
            return None
        with self._lock:
            try:
                self._tell_of_sealing()
                if self._callers is not None:
                    meta = self._callers.added_to(meta, sys._getframe(1), stacklevel - 1)
                return self._record(state, action, timestamp_ns, meta, entry_id, parent_seq, part, full)
            except RefusedEntry as error:
                self._refuse(error)
            except UnspoolError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - whatever a state's own methods raise must not reach the app
                self._fail(UnspoolError(f"recording failed: {type(error).__name__}: {error}"))
        return None

    def _record(
        self,
        state: Mapping[str, Value],
        action: str,
        timestamp_ns: int | None,
        meta: Mapping[str, Value] | None,
        entry_id: str,
        parent_seq: int | None,
        part: Collection[str] | None,
        full: bool,
    ) -> int | None:
        if not isinstance(state, Mapping):
            raise ConfigError(f"a state is a dict of atom names to values, not a {type(state).__name__}")
        if self._redaction is not None:
            state = self._redaction.apply(state)
        taken = self._capture.take(state, strict=self._on_error == "raise")
        if taken.problems:
            self._warn_values(taken.problems)
        last = len(self.store) - 1
        parent_seq = whole_seq(parent_seq)
        forks = parent_seq is not None and parent_seq != last
        changes = taken.changes
        if forks and parent_seq is not None:
            origin = self._state_of(parent_seq)
            if part is not None:
                origin = fork_base(self._capture.base.to_dict(), origin, part)
            changes = changes_between(origin, taken.base.to_dict())
        if self._skip_unchanged and not changes and last >= 0 and not full:
            return None
        moment = whole_ns(self._clock() if timestamp_ns is None else timestamp_ns)
        record = self._write(taken, moment, full or (forks and part is None) or last < 0)
        size = len(taken.base.blob)
        seq = self.store.append(
            Draft(
                kind=EntryKind.FULL if record.codec.is_full else EntryKind.DELTA,
                record=record,
                changed=[(self.store.intern(change.atom), _kind(change)) for change in changes],
                timestamp_ns=moment,
                action=plain_text(action, "action"),
                full_bytes=size,
                meta=meta,
                entry_id=plain_text(entry_id, "entry_id"),
                parent_seq=parent_seq,
                part=sorted(part) if forks and part is not None else None,
            )
        )
        # Only what was stored may be built upon: after a failed write the next entry still fits its base.
        self._capture.keep(taken)
        self._chain.add(record, moment, size)
        return seq

    def _write(self, taken: Taken, moment: int, full: bool) -> Record:
        if full or not self._chain.begun:
            return full_record(self._codec, taken.base.to_dict(), self.store.intern)
        record = delta_record(self._codec, self._capture.base, taken, self.store.intern)
        if record.codec.is_full:
            return record
        if self._is_pointless(record, taken) or self._strategy.wants_full(
            self._chain.state(record, moment, len(taken.changes))
        ):
            return full_record(self._codec, taken.base.to_dict(), self.store.intern)
        return record

    def _is_pointless(self, record: Record, taken: Taken) -> bool:
        """Say whether a delta would be no smaller than its state and tell no more either.

        A tiny state of which only a part changed stays a delta: its few bytes say what changed.
        """
        size = len(taken.base.blob)
        if self._codec is not DeltaStrategy.AUTO or len(record.payload) < size:
            return False
        return size > _TINY or len(taken.changes) >= len(taken.base)

    def _state_of(self, seq: int) -> dict[str, bytes]:
        if not 0 <= seq < len(self.store):
            raise EntryNotFound(f"parent_seq is {seq}; {self.store.name} has entries 0 to {len(self.store) - 1}")
        return replay(self.store.run(seq), seq, self.store.atom_name)

    def _tell_of_sealing(self) -> None:
        """Say once that entries are no longer compressed; they are recorded all the same, and sealed by the next recorder.

        Raises:
            UnspoolError: `on_error` is `raise`; the call that raises records nothing, and those after it do again.
        """
        failure = getattr(self.store, "sealing_failure", None)
        if failure is None or self._told_of_sealing is not None:
            return
        self._told_of_sealing = failure
        if self._on_error == "raise":
            raise failure
        if self._on_error == "warn":
            warnings.warn(f"unspool: {failure}", SealingStopped, stacklevel=4)

    def _warn_values(self, problems: tuple[str, ...]) -> None:
        if self._on_error == "warn" and not self._warned_values:
            self._warned_values = True
            warnings.warn(f"{problems[0]}; recorded as unrepresentable", RecordingStopped, stacklevel=5)

    def _refuse(self, error: RefusedEntry) -> None:
        """Leave one entry out: the next call records again."""
        if self._on_error == "raise":
            raise error
        if self._on_error == "warn" and not self._warned_refusal:
            self._warned_refusal = True
            warnings.warn(f"unspool left an entry out: {error}", RecordingStopped, stacklevel=4)

    def _fail(self, error: UnspoolError) -> None:
        if self._on_error == "raise":
            raise error
        self._stopped = True
        if self._on_error == "warn":
            warnings.warn(f"unspool stopped recording: {error}", RecordingStopped, stacklevel=4)

    def flush(self) -> None:
        """Return when all that was recorded is as durable as the file's durability promises; it already is."""

    def close(self) -> None:
        """Finish the recording; closing twice is fine. In a forked child this leaves the file alone."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            already, self._stopped = self._stopped, True
            try:
                self.store.close()
            except UnspoolError as error:
                if not already and error is not self._told_of_sealing:
                    self._fail(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _kind(change: AtomChange) -> ChangeKind:
    if change.old is None:
        return ChangeKind.ADDED
    return ChangeKind.DELETED if change.new is None else ChangeKind.MODIFIED


def _close_at_exit(reference: weakref.ref[Recorder]) -> None:
    recorder = reference()
    if recorder is not None:
        recorder.close()
