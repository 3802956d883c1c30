"""The histories of stores: a file each, named after the store, in one folder."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from unspool.errors import ConfigError, CorruptHistory, HistoryLocked, NewerSchema, UnreadableSource, UnspoolError
from unspool.files import make_folder
from unspool.model.entries import PASSED_OVER, Entry
from unspool.model.tags import Unrepresentable
from unspool.model.values import MISSING, Value
from unspool.recorder.encoding import StateWithForm
from unspool.recorder.recorder import Recorder
from unspool.recorder.redact import REDACTED, Redaction
from unspool.sources.entries import VALUE_ATOM, as_state
from unspool.sources.opening import open_history
from unspool.store.keeping import keep_of

SUFFIX: Final = ".unspool"
ROOT: Final = "root"
"""The fact of an entry whose state is no object: the atom that holds it."""
MISSING_BEFORE: Final = "missing_before"
"""The fact of an entry that tells why others are missing before it: how many of each reason."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME: Final = 60
_MOST_OF_ONE_NAME: Final = 99
_MOST_OPEN: Final = 64
_MOST_FILES: Final = 1_000
"""Files that are recorded into in one run; names that never end would fill the folder."""
_REMEMBERED_IDS: Final = 100_000
_QUIET_S: Final = 10.0


class TooManyStores(UnspoolError):
    """More stores at once than are recorded."""


class Kept(msgspec.Struct, frozen=True):
    """How histories are recorded.

    Attributes:
        redact: patterns of what is left out.
        keep: how much of each stays, as `Recorder` reads it; None for all.
    """

    redact: Sequence[str] = ()
    keep: str | None = None


class StoreHistory:
    """The history of one store, open for recording.

    Attributes:
        name: what the store is called.
        path: its file.
        lost: entries that were taken and could not be stored when their batch ended.
        trouble: why the last of them could not.
    """

    def __init__(self, name: str, path: Path, kept: Kept, tell: Callable[[str], None]) -> None:
        """Open a file, or continue it.

        Args:
            name: what the store is called.
            path: its file.
            kept: how it is recorded.
            tell: takes what is worth telling the person.

        Raises:
            UnspoolError: it cannot be.
        """
        self.name = name
        self.path = path
        self._kept = kept
        self._tell = tell
        self._missed: dict[str, int] = {}
        self._told_missed: tuple[int, dict[str, int]] = (-1, {})
        """The entry that told last that others are missing, and of which."""
        self._seqs: dict[str, int] = {}
        self.lost = 0
        self.trouble = ""
        self._recorder = self._opened()

    def _opened(self) -> Recorder:
        kept = self._kept
        # What comes in has bounds already, those of one message.
        return Recorder(self.path, on_error="raise", max_bytes=None, redact=tuple(kept.redact), keep=kept.keep)

    def __len__(self) -> int:
        return len(self._recorder.store)

    def record(
        self,
        state: Value,
        action: str,
        *,
        at_ns: int | None = None,
        meta: Mapping[str, Value] | None = None,
        parent: int | None = None,
        entry_id: str = "",
        form: bytes | None = None,
    ) -> int:
        """Record a state.

        Args:
            state: an object, whose keys are atoms, or any other value.
            action: why it happened.
            at_ns: nanoseconds since the epoch; now when None.
            meta: free facts.
            parent: the entry that it follows; None for the last one.
            entry_id: an id of the source's own.
            form: the state's wire form as `encode_json` gives it, which has keys that are texts only; None to have it made.

        Returns:
            The entry's number.

        Raises:
            UnspoolError: it cannot be kept. It is counted, and the next entry tells how many are missing before it.
        """
        facts = dict(meta or {})
        if not isinstance(state, dict):
            facts[ROOT] = VALUE_ATOM
        if self._missed:
            facts[PASSED_OVER] = sum(self._missed.values())
            facts[MISSING_BEFORE] = dict(self._missed)
        last, skipped = len(self) - 1, self._recorder.skipped
        try:
            seq = self._recorder.record(
                StateWithForm(state, form) if form is not None and isinstance(state, dict) else as_state(state),
                action,
                timestamp_ns=at_ns,
                meta=facts,
                entry_id=entry_id,
                # One that a batch lost is there no more.
                parent_seq=None if parent is None or parent >= last else parent,
            )
        except UnspoolError:
            # Those of a batch that waited for it are lost with it.
            self.miss("not kept", max(self._recorder.skipped - skipped, 1))
            raise
        seq = last + 1 if seq is None else seq
        if self._missed:
            self._told_missed, self._missed = (seq, self._missed), {}
        if entry_id:
            self._seqs[entry_id] = seq
            if len(self._seqs) > _REMEMBERED_IDS:
                del self._seqs[next(iter(self._seqs))]
        return seq

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Store what is recorded meanwhile together. What cannot be stored is counted and told, as is each entry that is not."""
        batch = self._recorder.batch()
        batch.__enter__()
        try:
            yield
        finally:
            self._store(lambda: batch.__exit__(None, None, None))

    def flush(self) -> None:
        """Store what waits in a batch: whoever is answered finds it in the file."""
        self._store(self._recorder.flush)

    def _store(self, store: Callable[[], object]) -> None:
        skipped = self._recorder.skipped
        try:
            store()
        except UnspoolError as error:
            lost = self._recorder.skipped - skipped
            self.miss("not kept", lost)
            self.lost += lost
            self.trouble = str(error)
            seq, told = self._told_missed
            for why, count in told.items() if seq >= len(self) else ():
                # The entry that told of them is lost too.
                self.miss(why, count)
            self._tell(str(error))
        self._told_missed = (-1, {})

    def note(self, message: str, level: str) -> None:
        """Put a note on the timeline.

        Raises:
            UnspoolError: it cannot be kept.
        """
        self._recorder.note(message, level=level)

    def miss(self, why: str, count: int = 1) -> None:
        """Have the next entry tell that others are missing before it.

        Args:
            why: the reason in a word.
            count: how many.
        """
        self._missed[why] = self._missed.get(why, 0) + count

    @property
    def has_missed(self) -> bool:
        """Whether the next entry tells that others are missing before it."""
        return bool(self._missed)

    def last(self) -> dict[str, Value]:
        """Return the state of the last entry."""
        return self._recorder.last()

    def seq_of(self, entry_id: str) -> int | None:
        """Return the entry that has an id of the source's own; None for one that is not known, or was long ago."""
        return self._seqs.get(entry_id)

    def state_of(self, seq: int) -> tuple[Value, Entry]:
        """Return the state at an entry as the store had it, and the entry.

        Raises:
            UnspoolError: there is no such entry, or it cannot be read, or not all of it was kept.
        """
        self.flush()
        with open_history(self.path, follow=False) as history:
            state, entry = history.state(seq), history[seq]
        place = marked_place(state)
        if place is not None:
            raise ConfigError(f"entry {seq}: {place} was not kept as it was, so no app can be put back there")
        return (state.get(VALUE_ATOM) if entry.meta.get(ROOT) == VALUE_ATOM else state), entry

    def close(self) -> None:
        """Finish the recording.

        Raises:
            UnspoolError: it could not be.
        """
        self._recorder.close()


def marked_place(state: Mapping[str, Value]) -> str | None:
    """Return where something stands for a value that was not kept; None where all was.

    Args:
        state: atoms by name.
    """
    pending: list[tuple[Value, str]] = [(value, name) for name, value in state.items()]
    while pending:
        value, place = pending.pop()
        if isinstance(value, Unrepresentable) or value is MISSING:
            return place
        if isinstance(value, str) and REDACTED in value:
            return place
        if isinstance(value, dict):
            if any(isinstance(key, str) and REDACTED in key for key in value):
                return place
            pending += [(item, f"{place}.{key}"[:200]) for key, item in value.items()]
        elif isinstance(value, list):
            pending += [(item, f"{place}[{index}]"[:200]) for index, item in enumerate(value)]
    return None


class Histories:
    """Opens the histories of stores in a folder."""

    def __init__(self, folder: Path, kept: Kept, tell: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            folder: made where it is missing.
            kept: how histories are recorded.
            tell: takes what is worth telling the person.

        Raises:
            ConfigError: a pattern or a bound means nothing.
            OSError: the folder cannot be made.
        """
        # That is told now, and not when a store comes.
        if kept.keep is not None:
            keep_of(kept.keep)
        Redaction(tuple(kept.redact))
        make_folder(folder)
        self.tell = tell
        self._folder = folder
        self._kept = kept
        self._open: dict[Path, StoreHistory] = {}
        self._batches: ExitStack | None = None
        self._used: set[Path] = set()
        self._quiet_until = 0.0

    @property
    def open(self) -> Collection[StoreHistory]:
        """Those that are open."""
        return tuple(self._open.values())

    def start(self, name: str) -> StoreHistory:
        """Open the history of a store: the file that has its name, or the next that nobody writes to.

        Args:
            name: what an app calls it; anything.

        Raises:
            TooManyStores: there are too many at once.
            UnspoolError: none can be opened.
        """
        if len(self._open) >= _MOST_OPEN:
            raise TooManyStores(f"{self._folder}: {_MOST_OPEN} stores are recorded at once, and no more")
        stem = _UNSAFE.sub("-", name)[:_LONGEST_NAME].strip("-.") or "store"
        shown = name[:_LONGEST_NAME] or "store"
        for number in range(1, _MOST_OF_ONE_NAME + 1):
            path = self._folder / f"{stem}{f'-{number}' if number > 1 else ''}{SUFFIX}"
            if path in self._open:
                continue
            if path not in self._used and len(self._used) >= _MOST_FILES:
                raise TooManyStores(
                    f"{self._folder}: {_MOST_FILES:,} files were recorded into, and no more; start anew"
                )
            try:
                history = StoreHistory(shown, path, self._kept, self.tell_seldom)
            except HistoryLocked:
                continue
            except (CorruptHistory, UnreadableSource, NewerSchema) as error:
                self.tell(f"{error}; the store {shown!r} is recorded beside it")
                continue
            self._open[path] = history
            if self._batches is not None:
                self._batches.enter_context(history.batch())
            self._used.add(path)
            self.tell(f"{shown!r} is recorded into {path}")
            return history
        raise TooManyStores(
            f"{self._folder / stem}{SUFFIX}: {_MOST_OF_ONE_NAME} files of that name cannot be written to"
        )

    @contextmanager
    def together(self) -> Iterator[None]:
        """Store what is recorded meanwhile together, in each history: messages that came together."""
        with ExitStack() as stack:
            for history in self._open.values():
                stack.enter_context(history.batch())
            self._batches = stack
            try:
                yield
            finally:
                self._batches = None

    def stop(self, history: StoreHistory) -> None:
        """Close a history; what fails then is told."""
        if self._open.pop(history.path, None) is not None:
            try:
                history.close()
            except UnspoolError as error:
                self.tell(str(error))

    def tell_seldom(self, words: str) -> None:
        """Tell what may come with every message, at most once in ten seconds."""
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_S
            self.tell(words)
