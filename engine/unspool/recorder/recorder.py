"""`Recorder`: what an app calls. It never harms the app that it runs in."""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from unspool.codec.state_codec import DeltaStrategy
from unspool.codec.strategies import FullSnapshotStrategy
from unspool.delta.identity import canonical_identity
from unspool.errors import ConfigError, CorruptHistory, HistoryLocked, NotesNotKept, UnspoolError, UnsupportedValue
from unspool.files import PRIVATE, check_mode
from unspool.model.values import MISSING, Missing, Value
from unspool.model.wire import decode, is_race
from unspool.recorder.adapters import Objects
from unspool.recorder.calling import Caller, CallFacts, EntryDetails, FactsReader, Surroundings
from unspool.recorder.capture import Capture, Captured, recording_codec, recording_strategy
from unspool.recorder.encoding import Encoded, Encoding, RefusedEntry, WriteBounds, items_of, shown
from unspool.recorder.redact import Redaction
from unspool.recorder.spans import Given, Hooks, Result, Span, traced
from unspool.recorder.targets import (
    Children,
    at_process_end,
    is_child,
    leave_alone,
    named_for,
    report_forks,
    store_at,
)
from unspool.recorder.troubles import OnError, RecordingStopped, Trouble, Troubles
from unspool.recorder.watching import Watched
from unspool.recorder.writing import EntryWriter, OutOfDate, Pace, StoreRefused, Turns
from unspool.store.file import Durability, FileStore
from unspool.store.keeping import Keep, keep_of
from unspool.store.memory import MemoryStore
from unspool.store.postgres import CLOSE_S, SERVER_S, SPOOL_BYTES, SpoolOptions
from unspool.store.protocol import Forwards, Sink, Store

if TYPE_CHECKING:
    from unspool.recorder.traveling import OnTravel, Travel
    from unspool.store.sealing import Sealer

_LONGEST_NOTE: Final = 4096
"""Characters of a note that are kept."""
_ATTEMPTS: Final = 5
"""Times that a state is captured which other threads change, or overtake, meanwhile."""


class _Call(msgspec.Struct, frozen=True):
    """What a turn is taken for; a note captures nothing."""

    captured: Captured | None
    facts: EntryDetails
    is_last_attempt: bool = False


class Recorder:
    """Records the states of a running app.

    Mutable state is safe: what is recorded is a private copy. Calls are safe from several threads, from signal
    handlers and destructors. A forked child records into a file of its own, or not at all.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | Store,
        *,
        strategy: str | FullSnapshotStrategy = "auto",
        codec: str | DeltaStrategy = "auto",
        durability: Durability = "default",
        on_error: OnError = "warn",
        redact: Iterable[str] | Redaction = (),
        identity: Mapping[str, str] | None = None,
        immutable: bool = False,
        skip_unchanged: bool = False,
        caller: bool | Caller = False,
        context: bool | Mapping[str, ContextVar[Any]] = False,
        state: Callable[[], Mapping[str, Value]] | None = None,
        children: Children = "none",
        objects: Objects = "fields",
        max_depth: int = WriteBounds().depth,
        max_bytes: int | None = WriteBounds().size,
        max_seconds: float = WriteBounds().seconds,
        max_hz: float | None = None,
        budget: str | float | None = None,
        keep: str | int | timedelta | None = None,
        on_travel: OnTravel | None = None,
        clock: Callable[[], int] = time.time_ns,
        mode: int = PRIVATE,
        spool: str | os.PathLike[str] | None = None,
        spool_bytes: int = SPOOL_BYTES,
        server_timeout: float = SERVER_S,
        close_timeout: float = CLOSE_S,
    ) -> None:
        """Open a recording; an existing file is continued.

        Args:
            target: the `.unspool` file, `postgresql://USER@HOST/DATABASE?history=NAME`, or a store. `%p` in a name
                stands for the number of the process.
            strategy: when a full snapshot is stored: `auto`, or what `strategy_from_name` reads.
            codec: how entries are written: `auto`, `dict`, `binary`, `compress` or `none`.
            durability: see `FileStore.create`.
            on_error: what happens when something cannot be recorded, now or later: `warn` once of each kind,
                `raise`, or `ignore`. Unless it is `raise`, a recording that cannot be opened leaves `recording` False.
            redact: patterns of what to leave out, or a `Redaction`, which has options.
            identity: keys that distinguish the records of lists, by path pattern, such as `{"orders[*]": "number"}`; kept
                in the file, whose lists are compared by them from then on. None leaves what the file has.
            immutable: the app never changes a value in place; makes recording cheaper.
            skip_unchanged: do not record a state that equals the one before.
            caller: keep file, line and function of whoever calls `record`, in each entry's meta; `Caller(skip=…)`
                steps over lines of libraries that call the app back.
            context: keep process, thread and task of each call, and context variables by name, such as
                `{"request": request_id}`; they are stored where they change, see `Contexts`.
            state: gives the state where none is handed over: to `record()` without one, spans, traced calls, crashes.
            children: what forked and spawned processes do: `own` gives each a file named after its number, `none`
                has them record nothing; what they did not record is counted there.
            objects: how objects of classes that no adapter is for are kept: by their `fields`, or as a `marker`.
            max_depth: levels of an atom that are followed; a marker stands for what lies deeper.
            max_bytes: bytes of an atom that are kept; markers stand for the rest. None, with `on_error="raise"`, for
                values that have bounds already: they are written out, however deep and often the same parts stand.
            max_seconds: time that one atom may take where it holds what the fast path does not know.
            max_hz: calls of `record` and `update` a second that are recorded; the others are passed over, and the next
                entry says how many they were. Spans, notes, crashes, forks and entries with ids of their own are not.
            budget: the share of the time that these calls may take, such as `"5%"`; passed over and told likewise.
            keep: how much of the recording stays in the file: `"last 10_000"` or `10_000` entries, `"100MB"`, `"7d"` or a
                `timedelta`; several texts with a comma between them. The oldest blocks of entries are dropped beyond
                that; numbers stay, and the history begins with a later entry. None keeps all.
            on_travel: puts the app into the state of an entry: `on_travel(state, seq)`, with the entry's atoms by name. With
                it, whoever looks at the file can ask the app to go back, by a socket beside the file; it is called by
                `poll` only, and what is recorded next follows that entry.
            clock: gives nanoseconds since the epoch.
            mode: permissions of a new file, whatever the umask, such as `0o640` to let a group read it. A file that is
                there keeps its own.
            spool: PostgreSQL: the folder that spools lie in; the user's state folder when None.
            spool_bytes: PostgreSQL: bytes that the spool may take; the oldest entries are dropped beyond that.
            server_timeout: PostgreSQL: seconds that `flush`, and with durability `full` each call, waits for the server.
            close_timeout: PostgreSQL: seconds that `close` goes on shipping.

        Raises:
            ConfigError: an unknown `on_error`.
            UnspoolError: with `on_error="raise"`: the file cannot be opened, another recorder holds it, or an option
                is not valid.
        """
        if on_error not in ("warn", "raise", "ignore"):
            raise ConfigError(f"on_error is {on_error!r}; write warn, raise or ignore")
        self._troubles = Troubles(on_error)
        self._target = target
        self._durability: Durability = durability
        self._children: Children = children
        self._mode = mode
        self._spool = SpoolOptions(spool, spool_bytes, server_timeout, close_timeout)
        self._skip_unchanged = skip_unchanged
        self._immutable = immutable
        self._clock = clock
        self._callers = caller if isinstance(caller, Caller) else Caller() if caller else None
        self._context = context
        self._surroundings: Surroundings | None = None
        self._bounds_on_pace = (max_hz, budget)
        self._keep_given = keep
        self._keep: Keep | None = None
        self._pace = Pace(None, None)
        self._state = state
        self._hooks = Hooks(self)
        self._watched = Watched()
        self._on_travel = on_travel
        self._travel: Travel | None = None
        self._wake: Callable[[], object] | None = None
        self._turns = self._new_turns()
        self._is_stopped = True
        self._is_closed = False
        self._is_waking = False
        self._told_of_sealing: UnspoolError | None = None
        self._encoding = Encoding()
        self._facts = FactsReader(self._encoding, None, None, clock)
        self._writer: EntryWriter | None = None
        self._forwards: Forwards | None = None
        self.store: Sink = MemoryStore()
        try:
            bounds = WriteBounds(max_depth, max_bytes, max_seconds)
            self._settle(children, redact, bounds, objects, strategy, codec, identity)
            self._open(own=children == "own" and is_child())
        except UnspoolError as error:
            self._not_opened(error)
        except Exception as error:  # noqa: BLE001 - whatever opening meets must not reach an app that did not ask
            self._not_opened(UnspoolError(f"{shown(target)}: {self._encoding.shown(error)}"))
        self._held_sealer: Sealer | None = None
        report_forks(self)
        atexit.register(_close_at_end, weakref.ref(self))

    def _settle(
        self,
        children: Children,
        redact: Iterable[str] | Redaction,
        bounds: WriteBounds,
        objects: Objects,
        strategy: str | FullSnapshotStrategy,
        codec: str | DeltaStrategy,
        identity: Mapping[str, str] | None,
    ) -> None:
        """Read the options that may mean nothing."""
        if children not in ("own", "none"):
            raise ConfigError(f"children is {children!r}; write own or none")
        check_mode(self._mode)
        self._keep = None if self._keep_given is None else keep_of(self._keep_given)
        if self._keep is not None and not isinstance(self._target, str | os.PathLike):
            raise ConfigError("keep bounds a file; a store given as the target keeps what it keeps: leave keep out")
        if not isinstance(redact, Redaction):
            patterns = redact if isinstance(redact, str) else tuple(redact)
            redaction = Redaction(patterns) if patterns else None
        else:
            redaction = redact
        self._encoding = Encoding(redaction, bounds, objects=objects, strict=self._troubles.on_error == "raise")
        if self._context is not False:
            variables = {} if self._context is True else self._context
            self._surroundings = Surroundings(variables, self._encoding)
        self._facts = FactsReader(self._encoding, self._callers, self._surroundings, self._clock)
        self._pace = Pace(*self._bounds_on_pace)
        self._strategy = recording_strategy(strategy)
        self._codec = recording_codec(codec)
        self._identity = None if identity is None else canonical_identity(identity)

    def _not_opened(self, error: UnspoolError) -> None:
        if isinstance(error, HistoryLocked) and is_child() and self._children == "none":
            # A spawned child runs the parent's module again, up to the recorder that the parent holds.
            return
        self._troubles.report_or_raise(Trouble.STOPPED, error, "unspool records nothing")

    def _open(self, *, own: bool) -> None:
        target = self._target
        is_place = isinstance(target, str | os.PathLike)
        store = self._store_at(os.fspath(target), own=own) if isinstance(target, str | os.PathLike) else target
        capture = Capture(self._encoding, immutable=self._immutable)
        try:
            self._writer = EntryWriter(
                store,
                capture,
                self._strategy,
                self._codec,
                identity=self._identity,
                skip_unchanged=self._skip_unchanged,
                named=None if self._surroundings is None else self._surroundings.told,
                pace=self._pace,
            )
        except BaseException:
            if is_place:
                # What failed first is already on its way.
                with suppress(UnspoolError):
                    store.close()
            raise
        self.store, self._capture = store, capture
        self._forwards = store if isinstance(store, Forwards) else None
        self._report_news()
        if isinstance(store, FileStore) and store.kept_log is not None:
            self._troubles.note(
                Trouble.LOG_KEPT,
                f"unspool: an earlier recorder left a damaged log beside {store.path}, and what stands behind the damage "
                f"is not in the file; it is kept as {store.kept_log.name}: run `unspool doctor {store.path}`",
            )
        self._is_stopped = False
        at_process_end(_close_at_end, weakref.ref(self))
        if self._on_travel is not None:
            self._open_channel(store, self._on_travel)
        elif isinstance(store, FileStore) and os.path.lexists(f"{os.path.realpath(store.path)}-ctl"):
            # Hardly any recorder finds one, and all would wait for the import.
            from unspool.control.server import remove_left_behind

            remove_left_behind(store.path)

    def _open_channel(self, store: Sink, on_travel: OnTravel) -> None:
        # Sockets and their thread are for those who want to travel.
        from unspool.control.channel import ControlUnavailable
        from unspool.recorder.traveling import Travel

        if not isinstance(store, FileStore):
            error = ControlUnavailable("on_travel needs a file as the target: its control socket lies beside it")
            self._troubles.report_or_raise(Trouble.NO_CHANNEL, error, "unspool cannot be asked to travel")
            return
        try:
            self._travel = Travel(self, store.path, on_travel, self._wake)
        except ControlUnavailable as error:
            self._troubles.report_or_raise(Trouble.NO_CHANNEL, error, "unspool cannot be asked to travel")

    def _store_at(self, target: str, *, own: bool) -> Sink:
        try:
            return store_at(named_for(target, own=own), self._durability, self._mode, self._spool, self._keep)
        except HistoryLocked:
            if own or self._children != "own":
                raise
            # Workers of a server that did not say that they are children.
            return store_at(named_for(target, own=True), self._durability, self._mode, self._spool, self._keep)

    def _new_turns(self) -> Turns[_Call]:
        return Turns(self._write, self._was_in_line)

    def before_fork(self, seconds: float) -> bool:
        """Let no thread record or seal until `forked`, if that can be had in time; return whether."""
        end = time.monotonic() + seconds
        if not self._turns.hold(seconds):
            return False
        sealer = self.store.sealer if isinstance(self.store, FileStore) else None
        if sealer is not None and not sealer.hold(max(0.0, end - time.monotonic())):
            self._turns.go_on()
            return False
        self._held_sealer = sealer
        return True

    def forked(self) -> None:
        """Go on after a fork, in the parent."""
        sealer, self._held_sealer = self._held_sealer, None
        if sealer is not None:
            sealer.go_on()
        self._turns.go_on()

    def after_fork(self) -> None:
        """Begin anew in a forked child: nothing of the parent's is touched."""
        if not self._is_stopped:
            leave_alone(self.store)
            # A file is made where the child records something, not in each that comes and goes.
            self._is_waking = self._children == "own" and isinstance(self._target, str | os.PathLike)
        if self._surroundings is not None:
            self._surroundings.after_fork()
        if self._travel is not None:
            self._travel.after_fork()
            self._travel = None
        self._is_stopped = True
        self._held_sealer = None
        self._turns = self._new_turns()
        self._pace = Pace(*self._bounds_on_pace) if self._pace.is_bounded else self._pace
        self._troubles.skipped = 0
        self.store, self._writer, self._forwards = MemoryStore(), None, None

    @property
    def recording(self) -> bool:
        """Whether calls still record: opened, not closed, not failed, not in a child that has no file of its own."""
        return not self._is_stopped or self._is_waking

    @property
    def passed_over(self) -> int:
        """Calls in this process that `max_hz` or `budget` passed over; the history says so too."""
        return self._pace.total

    @property
    def skipped(self) -> int:
        """Calls in this process that recorded nothing, though the recorder was not closed."""
        return self._troubles.skipped

    def record(
        self,
        state: Mapping[str, Value] | None = None,
        action: str = "",
        *,
        timestamp_ns: int | None = None,
        meta: Mapping[str, Value] | None = None,
        entry_id: str = "",
        parent_seq: int | None = None,
        part: Collection[str] | None = None,
        full: bool = False,
        event: Value = MISSING,
        stacklevel: int = 1,
    ) -> int | None:
        """Record a state.

        Args:
            state: atoms by name; may be changed in place afterwards. None: what the recorder's `state` gives.
            action: why it happened.
            timestamp_ns: nanoseconds since the epoch; now when None.
            meta: free facts.
            entry_id: an id of the source's own.
            parent_seq: the entry this one follows in time, when it is not the last one: a fork.
            part: the atoms that follow `parent_seq`, where a state merges several parts (threads, players) and only one
                of them went back; all other atoms follow the last entry. None: all atoms follow it.
            full: store a full snapshot whatever the strategy says.
            event: the payload of the action, kept in `meta["event"]`: `unspool replay` hands it to a reducer.
            stacklevel: whose place `caller` keeps: 1 the caller's, 2 that of the caller's caller, and so on.

        Returns:
            The entry's number; None when nothing was recorded, or when it is recorded as soon as another call ends
            that this one interrupted.

        Raises:
            UnspoolError: this could not be recorded and `on_error` is `raise`.
        """
        call = CallFacts(action, meta, timestamp_ns, entry_id, parent_seq, part, full, stacklevel, event=event)
        frame = sys._getframe(1)
        if not self._pace.is_bounded and not self._pace.has_put_off:
            return self._enter(state, call, frame)
        if self._is_held_back:
            self._hold_back({})
            return None
        if call.may_be_passed_over and not self._pace.admits():
            return None
        pending, skipped = self._pace.taken(), self._troubles.skipped
        try:
            return self._pace.spend(lambda: self._enter(state, call, frame))
        finally:
            if self._troubles.skipped > skipped:
                # A state that was refused stands for none of the updates before it.
                self._pace.put_off(pending)

    def update(
        self,
        atoms: Mapping[str, Value],
        action: str = "",
        *,
        timestamp_ns: int | None = None,
        meta: Mapping[str, Value] | None = None,
        entry_id: str = "",
        parent_seq: int | None = None,
        part: Collection[str] | None = None,
        event: Value = MISSING,
        stacklevel: int = 1,
    ) -> int | None:
        """Record that some atoms were touched; all others are as they were. The cost follows these atoms.

        What is not told here is as in `record`.

        Args:
            atoms: by name; new ones are added, and those whose value is `unspool.MISSING` are taken away.

        Returns:
            As `record`.

        Raises:
            UnspoolError: this could not be recorded and `on_error` is `raise`.
        """
        call = CallFacts(action, meta, timestamp_ns, entry_id, parent_seq, part, stacklevel=stacklevel, event=event)
        return self._update(atoms, call, sys._getframe(1))

    def _update(self, atoms: Mapping[str, Value], call: CallFacts, frame: FrameType) -> int | None:
        pays = self._pace.is_bounded or self._pace.has_put_off or self._is_held_back
        if not pays or not self.recording:
            return self._enter(atoms, call, frame, is_part=True)
        try:
            given = dict(items_of(atoms, "atoms"))
        except Exception as error:  # noqa: BLE001 - whatever a mapping's own methods raise must not reach the app
            self._left_out(error)
            return None
        if self._is_held_back:
            self._hold_back(given)
            return None
        if call.may_be_passed_over and not self._pace.admits():
            self._pace.put_off(given)
            return None
        pending = self._pace.taken()
        if pending and call.parent_seq is not None:
            # They belong to the line that is left.
            self._enter(pending, CallFacts("as it was before"), frame, is_part=True)
            pending = {}
        whole = {**pending, **given}
        seq = self._pace.spend(lambda: self._enter(whole, call, frame, is_part=True))
        if seq is None:
            # It may not have been recorded; that they are reported twice does no harm.
            self._pace.put_off(pending)
        return seq

    def record_encoded(
        self,
        atoms: Mapping[str, bytes | Missing],
        action: str = "",
        *,
        timestamp_ns: int | None = None,
        meta: Mapping[str, Value] | None = None,
        entry_id: str = "",
        parent_seq: int | None = None,
        is_plain: bool = False,
        stacklevel: int = 1,
    ) -> int | None:
        """Record that some atoms were touched whose values are in wire form already, as `unspool.model.encoding.encode` gives it.

        Nothing of them is encoded or looked at again, save where something is to be left out. What is not told here is as in
        `record`.

        Args:
            atoms: wire forms by name; `unspool.MISSING` takes an atom away, and all others are as they were.
            is_plain: the facts in `meta` are texts, numbers, lists and dicts of them, of some kilobytes, that nobody changes any
                more; they are kept as they are.

        Returns:
            As `record`.

        Raises:
            UnspoolError: this could not be recorded and `on_error` is `raise`.
        """
        given = {atom: form if isinstance(form, Missing) else Encoded(form) for atom, form in atoms.items()}
        call = CallFacts(action, meta, timestamp_ns, entry_id, parent_seq, stacklevel=stacklevel, is_plain=is_plain)
        return self._update(given, call, sys._getframe(1))

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Store what is recorded meanwhile together, which costs a fraction of storing it entry by entry.

        Entries survive whatever `durability` says when the batch has ended, and readers see them by then: it is for what can be
        had again, or stands elsewhere until then. Meant for short: all threads' entries wait, up to some hundred at once.
        PostgreSQL and stores of other kinds take each entry as it comes.

        Raises:
            UnspoolError: they could not be stored and `on_error` is `raise`.
        """
        writer = self._writer
        if writer is None:
            yield
            return
        writer.begin_batch()
        try:
            yield
        finally:
            self._store_waiting(writer.end_batch)

    def _store_waiting(self, store: Callable[[], None]) -> None:
        try:
            self._turns.alone(store)
        except StoreRefused as error:
            self._store_failed(error)

    def note(self, message: str, /, *, level: str = "info", stacklevel: int = 1, **facts: Value) -> int | None:
        """Put a note on the timeline: an entry that holds no state of its own and is never to blame for anything.

        Args:
            message: what it says; up to 4,096 characters are kept.
            level: how much it matters, in the words of the app; kept in `meta["level"]`.
            stacklevel: see `record`.
            **facts: kept in its meta, up to some kilobytes.

        Returns:
            As `record`.

        Raises:
            UnspoolError: this could not be recorded and `on_error` is `raise`.
        """
        return self.put_note(message, {"level": level, **facts}, sys._getframe(1), stacklevel=stacklevel)

    def put_note(
        self,
        message: str,
        facts: Mapping[str, Value],
        frame: FrameType | None,
        *,
        timestamp_ns: int | None = None,
        entry_id: str = "",
        is_short: bool = True,
        stacklevel: int = 1,
    ) -> int | None:
        """Put a note on the timeline that something else than the app's own call says, such as a log.

        Args:
            message: what it says.
            facts: its meta.
            frame: the line of the app that `caller` keeps; None where there is none.
            timestamp_ns: nanoseconds since the epoch; now when None.
            entry_id: an id of the source's own.
            is_short: keep no more than some kilobytes.
            stacklevel: see `record`.

        Raises:
            UnspoolError: this could not be recorded and `on_error` is `raise`.
        """
        if is_short and isinstance(message, str) and len(message) > _LONGEST_NOTE:
            message = f"{message[: _LONGEST_NOTE - 1]}…"
        call = CallFacts(
            message, facts, timestamp_ns, entry_id, stacklevel=stacklevel, is_short=is_short, is_note=True
        )
        return self._enter({}, call, frame)

    def last(self) -> dict[str, Value]:
        """Return the state of the last entry as it is kept; of a file that is continued, what is in it."""
        return {} if self._writer is None else {atom: decode(data) for atom, data in self._capture.base.items()}

    def action(self, action: str, /, **facts: Value) -> Span:
        """Return a span, for `with`: one entry at its end, with the state as it is then, facts, duration, and exception.

        Args:
            action: what it is called.
            facts: kept in `meta["span"]["facts"]`.
        """
        return Span(self, action, facts)

    def traced(self, function: Callable[Given, Result]) -> Callable[Given, Result]:
        """Record each call of a function, as a decorator: arguments, and result or exception, in `meta["call"]`."""
        return traced(self, function)

    def install(
        self,
        *,
        excepthook: bool = False,
        threading: bool = False,
        asyncio: bool = False,
        logging: str | int | None = None,
    ) -> None:
        """Record the state when something is raised that nobody catches, and log lines as notes, until it is closed.

        Args:
            excepthook: in the main thread.
            threading: in other threads.
            asyncio: in tasks of the running loop that nobody awaits.
            logging: the lowest level of log lines that become notes, such as `"INFO"`; None for no lines.

        Raises:
            ConfigError: `asyncio` where no loop runs, if `on_error` is `raise` (otherwise that is warned of, and all else
                is installed), or an unknown level.
        """
        if excepthook:
            self._hooks.install_excepthook()
        if threading:
            self._hooks.install_threading()
        if logging is not None:
            self._hooks.install_logging(logging)
        if asyncio:
            try:
                self._hooks.install_asyncio()
            except ConfigError as error:
                self._troubles.report_or_raise(Trouble.NO_LOOP, error, "unspool does not hear of tasks")

    def watch(self, watched: Value, name: str, *, hears: bool = True) -> Callable[[], None]:
        """Record an object as an atom of its own: as it is now, with each entry, and whenever it is heard to change.

        Events of psygnal and assignments to attributes are heard, and are entries whose line is the assignment's; changes
        in place are found by comparing. For that, `__setattr__` of the object's class is wrapped while it is watched.

        Args:
            watched: the object; not kept alive where its class has room for weak references.
            name: its atom.
            hears: False leaves the class alone: the object is only compared, at each call and by `poll`.

        Returns:
            What ends it; its atom stays as it was last.

        Raises:
            ConfigError: the name is taken, or the object is a node of Textual.
            UnspoolError: this could not be recorded and `on_error` is `raise`.
        """
        stop = self._watched.add(self, watched, name, hears=hears and not self._is_closed)
        self._enter({}, CallFacts(name), sys._getframe(1), is_part=True)
        return stop

    def poll(self, action: str = "", *, stacklevel: int = 1) -> int | None:
        """Go back where somebody asked for it (`on_travel`), and record the watched objects where any of them changed.

        Args:
            action: why it is looked.
            stacklevel: see `record`.

        Returns:
            As `record`; None where nothing changed.

        Raises:
            UnspoolError: this could not be recorded and `on_error` is `raise`.
        """
        travel = self._travel
        if travel is not None:
            if travel.waits:
                travel.serve()
            if not self._watched.watches:
                return None
        call = CallFacts(action, stacklevel=stacklevel, only_changes=True)
        return self._enter({}, call, sys._getframe(1), is_part=True)

    @property
    def wake(self) -> Callable[[], object] | None:
        """Called, in a thread of the recorder's own, when a command waits for `poll`: has the app's loop call `poll` soon.

        Such as `lambda: loop.call_soon_threadsafe(recorder.poll)`. None where the app calls `poll` often enough by itself.
        """
        return self._wake

    @wake.setter
    def wake(self, call: Callable[[], object] | None) -> None:
        self._wake = call
        if self._travel is not None:
            self._travel.wake = call
            if self._travel.waits:
                self._travel.call_wake()

    def follow(self, seq: int) -> None:
        """Have the next entry follow another one than the last, as after a jump: a fork.

        What the next entry does not say is as it was there: an `update` is put upon the state at `seq`.

        Raises:
            EntryNotFound: there is no such entry.
            UnspoolError: it cannot be read.
        """
        writer = self._writer
        if writer is not None:
            self._turns.alone(lambda: writer.follow(seq))

    @property
    def followed(self) -> int:
        """The entry that the next one follows; -1 where there is none."""
        return -1 if self._writer is None else self._writer.followed

    @property
    def newest(self) -> int:
        """See `Travels`."""
        return len(self.store) - 1

    def settle_before_travel(self) -> None:
        """See `Travels`."""
        if self._is_held_back:
            return
        pending = self._pace.taken()
        call = CallFacts("as it was before the jump", only_changes=True)
        if self._state is not None:
            self._enter(None, call, None)
        elif pending or self._watched:
            self._enter(pending, call, None, is_part=True)

    def state_for_travel(self, seq: int) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """See `Travels`.

        Raises:
            EntryNotFound: there is no such entry.
            UnspoolError: it cannot be read, or an entry is being written.
        """
        found: list[tuple[dict[str, bytes], dict[str, bytes]]] = []
        writer = self._writer
        if writer is not None:
            self._turns.alone(lambda: found.append((self._capture.base.to_dict(), writer.state_of(seq))))
        if not found:
            raise UnspoolError("the program is just writing an entry; ask again")
        return found[0]

    def unlike_followed(self) -> list[str]:
        """See `Travels`."""
        # What a pause held back belongs to the line that was left.
        self._pace.taken()
        if self._state is None and not self._watched:
            return []
        try:
            state = {} if self._state is None else self._state()
            captured = self._capture.encode({**self._watched.atoms(), **state}, is_part=self._state is None)
            return [change.atom for change in self._capture.compare(captured).changes]
        except Exception:  # noqa: BLE001 - a state that cannot be taken cannot be compared; recording reports it
            return []

    def shown_error(self, error: BaseException) -> str:
        """See `Travels`."""
        return self._encoding.shown(error)

    def take_watched(self, name: str, action: str, meta: Mapping[str, Value]) -> None:
        """See `TakesWatched`; what goes wrong never reaches an assignment of the app."""
        if self._is_stopped or (self._pace.is_bounded and not self._pace.admits()):
            return
        try:
            self._enter({}, CallFacts(action, meta, only_changes=True), None, is_part=True)
        except UnspoolError:
            # It is counted; whoever assigns a value did not ask for the recorder's errors.
            return

    def take_in_place(self, name: str) -> None:
        """See `TakesWatched`. Where calls are passed over, entries stand for several changes anyway, and none is added."""
        if not self._is_stopped and not self._pace.is_bounded:
            self.take_watched(name, f"{name} changed in place", {})

    def as_it_is_now(self, value: Value) -> Value:
        """Return what is kept of something that accompanies a state, as plain values; nothing where nothing is recorded.

        Args:
            value: such as the arguments of a call that may change them.
        """
        return self._encoding.short.plain(value) if self.recording else None

    def take_down(self, action: str, facts: Mapping[str, Value], frame: FrameType | None) -> int | None:
        """Record the state that the recorder's `state` gives; without one, an entry that says so and changes nothing.

        Args:
            action: what happened.
            facts: kept in its meta, up to some kilobytes.
            frame: the line of the app that `caller` keeps; None where there is none.

        Raises:
            UnspoolError: this could not be recorded and `on_error` is `raise`.
        """
        if self._state is not None:
            return self._enter(None, CallFacts(action, facts, is_short=True), frame)
        call = CallFacts(action, {**facts, "state": "not taken"}, is_short=True)
        return self._enter({}, call, frame, is_part=True)

    @property
    def _is_held_back(self) -> bool:
        """Whether a call that comes now is to record nothing."""
        return self._travel is not None and (self._travel.paused or self._travel.is_in_app)

    def _hold_back(self, atoms: Mapping[str, Value]) -> None:
        """Pass a call over; the next entry counts it. What the app does while it is put back is no call of its own."""
        if self._travel is None or not self._travel.is_in_app:
            self._pace.put_off(atoms)
            self._pace.pass_over()

    def _enter(
        self, state: Mapping[str, Value] | None, call: CallFacts, frame: FrameType | None, *, is_part: bool = False
    ) -> int | None:
        if self._is_stopped and not self._wake_up():
            return None
        if self._travel is not None and self._is_held_back:
            self._hold_back({})
            return None
        try:
            self._report_sealing()
            problems: list[str] = []
            facts = self._facts.read(call, frame, problems)
            if call.is_note:
                seq = self._turns.take(_Call(None, self._facts.without_secrets(facts, set())))
            else:
                if state is None and self._state is not None:
                    state = self._state()
                if self._watched and isinstance(state, Mapping):
                    state = {**self._watched.atoms(), **state}
                seq = self._record(state, facts, problems, is_part=is_part)
        except Exception as error:  # noqa: BLE001 - whatever a state's own methods raise must not reach the app
            self._left_out(error)
        else:
            if problems:
                marked = f"unspool put a marker in the place of what it cannot keep: {problems[0]}"
                self._troubles.tell(Trouble.MARKED, self._encoding.clean_text(marked, set()))
            if self._forwards is not None:
                self._report_news()
                if self._forwards.confirms and seq is not None:
                    self._confirm(self._forwards, seq)
            if self._travel is not None and seq is not None:
                self._travel.recorded(seq)
            return seq
        return None

    def _left_out(self, error: Exception) -> None:
        """Count a call that recorded nothing, and tell or raise why.

        Raises:
            UnspoolError: `on_error` is `raise`.
        """
        if isinstance(error, StoreRefused):
            self._store_failed(error)
        elif isinstance(error, RefusedEntry | UnsupportedValue | CorruptHistory | ConfigError):
            self._troubles.skip(error)
        else:
            self._troubles.skip(UnspoolError(f"recording failed: {self._encoding.shown(error)}"))

    def _confirm(self, forwards: Forwards, seq: int) -> None:
        """Wait for the server; an entry that it does not confirm in time is recorded all the same.

        Raises:
            UnspoolError: it did not, and `on_error` is `raise`.
        """
        try:
            forwards.confirm(seq)
        except UnspoolError as error:
            self._troubles.report_or_raise(Trouble.UNCONFIRMED, error, "unspool")

    def _report_news(self) -> None:
        news = () if self._forwards is None else self._forwards.news
        while news:
            self._troubles.pass_on(news.popleft())

    def _wake_up(self) -> bool:
        """Open a forked child's own file at its first call; count a call that records nothing."""
        if self._is_closed:
            return False
        if self._is_waking:
            self._is_waking = False
            try:
                self._open(own=True)
            except UnspoolError as error:
                self._troubles.report_or_raise(Trouble.STOPPED, error, "unspool records nothing in this child")
        if self._is_stopped:
            self._troubles.skipped += 1
        return not self._is_stopped

    def _record(
        self, state: Mapping[str, Value] | None, facts: EntryDetails, problems: list[str], *, is_part: bool
    ) -> int | None:
        if not isinstance(state, Mapping):
            raise RefusedEntry(f"a state is a dict of atom names to values, not a {type(state).__name__}")
        for attempt in range(1, _ATTEMPTS + 1):
            is_last = attempt == _ATTEMPTS
            try:
                captured = self._capture.encode(state, is_part=is_part)
                seq = self._turns.take(
                    _Call(captured, self._facts.without_secrets(facts, set(captured.secrets)), is_last)
                )
                problems += captured.problems
            except OutOfDate:
                # Another thread captured later and was written first: an older state must not follow a newer one.
                continue
            except RuntimeError as error:
                if is_last or not is_race(error):
                    raise
            else:
                return seq
        return None

    def _write(self, call: _Call, was_in_line: bool) -> int | None:
        if self._writer is None:
            return None
        if call.captured is None:
            return self._writer.note(call.facts)
        return self._writer.write(call.captured, call.facts, is_last_attempt=call.is_last_attempt or was_in_line)

    def _was_in_line(self, error: Exception | None) -> None:
        """Count an entry of a call that is long over."""
        if isinstance(error, StoreRefused):
            self._store_failed(error, may_raise=False)
            return
        self.pass_over(
            "too many calls came while another one was written" if error is None else self._encoding.shown(error)
        )

    def pass_over(self, reason: str) -> None:
        """Count an entry that is left out, and tell why the first time."""
        self._troubles.pass_over(reason)

    def _store_failed(self, refusal: StoreRefused, *, may_raise: bool = True) -> None:
        """Stop: what the store refused once it would refuse again, at the app's cost."""
        cause = refusal.__cause__ or refusal
        error = (
            cause if isinstance(cause, UnspoolError) else UnspoolError(f"recording failed: {type(cause).__name__}")
        )
        self._troubles.skipped += refusal.lost
        if self._troubles.on_error != "raise":
            self._is_stopped = True
        if may_raise or self._troubles.on_error != "raise":
            self._troubles.report_or_raise(Trouble.STOPPED, error, "unspool stopped recording")

    def _report_sealing(self) -> None:
        """Warn once that entries are no longer compressed; they are recorded all the same, and sealed by the next recorder.

        As nothing is lost, nothing is raised for that before `close`, whatever `on_error` says.
        """
        failure = getattr(self.store, "sealing_failure", None)
        if failure is not None and self._told_of_sealing is None and self._troubles.on_error != "raise":
            self._told_of_sealing = failure
            self._troubles.tell(Trouble.SEALING, f"unspool: {failure}")

    def flush(self) -> None:
        """Return when all that was recorded is where readers see it: a batch is stored, a server is waited for.

        Raises:
            UnspoolError: the server does not have it within `server_timeout`, or a batch could not be stored, and `on_error`
                is `raise`.
        """
        if self._writer is not None and not self._is_stopped:
            self._store_waiting(self._writer.store_batch)
        if self._forwards is not None and not self._is_stopped:
            self._confirm(self._forwards, len(self.store) - 1)

    def close(self) -> None:
        """Finish the recording; closing twice is fine. In a forked child this leaves the parent's file alone."""
        self._is_waking = False
        if self._travel is not None:
            self._travel.close()
            self._travel = None
        self._hooks.remove()
        was_closed, self._is_closed = self._is_closed, True
        pending = self._pace.taken()
        if (pending or self._watched) and not self._is_stopped:
            self._enter(pending, CallFacts("as it was in the end", only_changes=True), None, is_part=True)
        self._watched.stop()
        try:
            self._turns.alone(self._close_store)
        except UnspoolError as error:
            if not was_closed and error is not self._told_of_sealing:
                self._troubles.report_or_raise(Trouble.STOPPED, error, "unspool could not finish the recording")
        finally:
            self._report_news()

    def _close_store(self) -> None:
        was_stopped, self._is_stopped = self._is_stopped, True
        if self._writer is not None and not was_stopped:
            try:
                self._writer.report_passed()
            except (NotesNotKept, StoreRefused):
                count = len(self._pace.passed)
                self._troubles.tell(Trouble.SKIPPED, f"unspool passed {count} calls over, and could not keep that")
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _close_at_end(reference: weakref.ref[Recorder]) -> None:
    recorder = reference()
    if recorder is not None:
        recorder.close()


__all__ = ["Children", "OnError", "Recorder", "RecordingStopped"]
