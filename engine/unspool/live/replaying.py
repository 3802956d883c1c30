"""As if some actions had not happened: the others are handed to the app's reducer once more, and recorded as a fork.

An entry holds the payload of its action where it was recorded with `event=`. A reducer that makes the recorded states of
these is trusted to make the others; one that does not is refused, with the first entry at which it does not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from unspool.errors import ConfigError, EntryNotFound, HistoryLocked, UnspoolError, UnsupportedValue
from unspool.history.diff import diff_states
from unspool.history.history import History
from unspool.model.encoding import encode
from unspool.model.entries import CALLER, CONTEXT, EVENT, PASSED_OVER, Entry, EntryKind
from unspool.model.json_text import in_one_line
from unspool.model.keys import format_path
from unspool.model.limits import Cancelled
from unspool.model.values import MISSING, State, Value
from unspool.model.wire import decode
from unspool.query.lineage import Places, line_to
from unspool.recorder.recorder import Recorder
from unspool.sources.opening import open_history

Reducer = Callable[[State, Value], Mapping[str, Value]]
"""Makes the next state of a state and the payload of an action; may change the state that it is given."""

REPLAYED: Final = "replayed"
"""The key of meta under which a replayed entry names the one that it stands for."""
_LONGEST: Final = 80


class NotReproduced(UnspoolError):
    """A reducer does not make the recorded state of an entry; nothing was recorded.

    Attributes:
        seq: the first such entry.
    """

    def __init__(self, message: str, seq: int) -> None:
        super().__init__(message)
        self.seq = seq


@dataclass(frozen=True, slots=True)
class Replayed:
    """The fork that came of a replay.

    Attributes:
        parent: the entry that it follows.
        first: its first entry.
        last: its last entry.
        skipped: the entries that it leaves out.
        checked: entries whose recorded states the reducer made.
        taken: entries before the first skipped one that hold no payload, and were taken as they were recorded.
    """

    parent: int
    first: int
    last: int
    skipped: tuple[int, ...]
    checked: int
    taken: int


def reducer_named(name: str) -> Reducer:
    """Import a reducer. This runs the code of its module.

    Args:
        name: such as `shop.state:reduce`; modules are looked for in the folder of the call, too.

    Raises:
        ConfigError: there is no such module or function in it, or importing it failed.
    """
    module, separator, function = name.partition(":")
    if not (module and separator and function):
        raise ConfigError(f"--reducer {name}: write MODULE:FUNCTION, such as shop.state:reduce")
    here = os.fspath(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--reducer {name}: {error}; run it in the folder of the module, or set PYTHONPATH"
        ) from None
    except Exception as error:  # noqa: BLE001 - the module is the person's own, and may raise anything
        raise ConfigError(f"--reducer {name}: importing {module} raised {_shown(error)}") from None
    for part in function.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigError(f"--reducer {name}: {module} has no function {function}")
    return found


def replay(
    file: str | os.PathLike[str],
    reducer: Reducer,
    skip: Collection[int],
    *,
    at: int = -1,
    cancelled: Cancelled = lambda: False,
) -> Replayed:
    """Record what would have been without some entries, as a fork of the same file.

    Args:
        file: the recording; nobody may be recording into it.
        reducer: makes states of payloads.
        skip: entries to leave out.
        at: the end of the line that is replayed; negative numbers count from the end.
        cancelled: asked now and then whether to stop; nothing is recorded then.

    Raises:
        NotReproduced: without anything skipped, the reducer makes another state than was recorded.
        ConfigError: nothing to skip, or an entry that cannot be replayed.
        EntryNotFound: an entry to skip is not on that line, or is its first.
        HistoryLocked: a program records into the file.
        UnspoolError: the file cannot be read or written.
    """
    if not skip:
        raise ConfigError("name the entries to leave out, such as --skip 12,13")
    with open_history(os.fspath(file)) as history:
        if history.is_foreign:
            raise ConfigError(f"{history.source_name}: no unspool file; only a recording with event= can be replayed")
        line = Places(line_to(history, history.resolve(at)))
        skipped = _checked_skips(history, line, skip)
        plan = _Plan(history, reducer, line, skipped, cancelled)
        checked, taken = plan.check()
        for _ in plan.forked():
            # Once without recording: what the reducer raises on the way must not leave half a fork.
            pass
        with _recorder_of(file) as recorder:
            parent = line[line.index(skipped[0]) - 1]
            first = last = -1
            for state, entry in plan.forked():
                seq = recorder.record(
                    state,
                    entry.action,
                    meta=_meta_of(entry),
                    parent_seq=parent if first < 0 else None,
                    event=entry.meta[EVENT],
                )
                last = -1 if seq is None else seq
                first = last if first < 0 else first
            if first < 0:
                state = history.state(parent)
                numbers = ", ".join(map(str, skipped))
                first = last = recorder.record(state, f"without {numbers}", parent_seq=parent) or 0
    return Replayed(parent, first, last, skipped, checked, taken)


class _Plan:
    """Entries of a line, and what a reducer makes of them."""

    def __init__(
        self, history: History, reducer: Reducer, line: Places, skipped: tuple[int, ...], cancelled: Cancelled
    ) -> None:
        self._history = history
        self._reducer = reducer
        self._line = line
        self._skipped = skipped
        self._cancelled = cancelled

    def check(self) -> tuple[int, int]:
        """Replay the line without leaving anything out; return how many entries were reproduced, and how many taken.

        Raises:
            NotReproduced: an entry is not.
            ConfigError: an entry behind the first skipped one has no payload and changes the state.
        """
        checked = taken = 0
        state = self._history.state(self._line[0])
        for place in range(1, len(self._line)):
            entry = self._entry(place)
            recorded = self._history.view(entry.seq).wire
            if EVENT in entry.meta:
                state = self._next(state, entry, "")
                self._compare(state, recorded, entry)
                checked += 1
            elif entry.kind is not EntryKind.NOTE and entry.added + entry.modified + entry.deleted:
                if entry.seq > self._skipped[0]:
                    raise ConfigError(
                        f"entry {entry.seq}{_named(entry)} changes the state and has no event, so it cannot be replayed: "
                        "record it with event=…, or end the line before it with --at"
                    )
                state = self._history.state(entry.seq)
                taken += 1
        return checked, taken

    def forked(self) -> Iterator[tuple[State, Entry]]:
        """Yield the states without what is skipped, each with the entry whose payload made it.

        Raises:
            ConfigError: the reducer cannot take a payload without those before it.
        """
        begin = self._line.index(self._skipped[0])
        state = self._history.state(self._line[begin - 1])
        without = f" without {', '.join(map(str, self._skipped))}"
        for place in range(begin, len(self._line)):
            entry = self._entry(place)
            if entry.seq not in self._skipped and EVENT in entry.meta:
                state = self._next(state, entry, without)
                yield state, entry

    def _entry(self, place: int) -> Entry:
        if self._cancelled():
            raise ConfigError("stopped; nothing was recorded")
        return self._history[self._line[place]]

    def _next(self, state: State, entry: Entry, without: str) -> State:
        # A reducer may change what it is given, and entries are shared.
        event = decode(encode(entry.meta[EVENT]))
        try:
            made = self._reducer(state, event)
        except Exception as error:  # noqa: BLE001 - the reducer is the person's own, and may raise anything
            raise ConfigError(
                f"entry {entry.seq}{_named(entry)}: the reducer raised {_shown(error)}{without}; nothing was recorded"
            ) from None
        if not isinstance(made, Mapping):
            raise ConfigError(
                f"entry {entry.seq}{_named(entry)}: the reducer returned a {type(made).__name__}; return the next state, "
                "a dict of atoms"
            )
        return dict(made)

    def _compare(self, state: State, recorded: Mapping[str, bytes], entry: Entry) -> None:
        try:
            made = {str(atom): encode(value) for atom, value in state.items()}
        except UnsupportedValue as error:
            raise NotReproduced(
                f"entry {entry.seq}{_named(entry)}: the reducer makes what cannot be kept: {error}", entry.seq
            ) from None
        changes = diff_states(entry.seq, entry.seq, recorded, made).changes
        if not changes:
            return
        change = changes[0]
        path, was, now = format_path((change.atom,), root=""), change.old, change.new
        if change.ops:
            op = change.ops[0]
            path, was, now = format_path((change.atom, *op.path), root=""), op.old, op.new
        raise NotReproduced(
            f"entry {entry.seq}{_named(entry)} is the first that the reducer does not reproduce: it makes {path} "
            f"{_brief(now)}, recorded is {_brief(was)}; nothing was recorded",
            entry.seq,
        )


def _checked_skips(history: History, line: Places, skip: Collection[int]) -> tuple[int, ...]:
    skipped = tuple(sorted({history.resolve(seq) for seq in skip}))
    for seq in skipped:
        if seq not in line:
            raise EntryNotFound(f"entry {seq} is not on the line that leads to entry {line[-1]}; choose it with --at")
        if seq == line[0]:
            raise EntryNotFound(
                f"entry {seq} is the first of its line, which all others build upon; skip a later one"
            )
    return skipped


@contextmanager
def _recorder_of(file: str | os.PathLike[str]) -> Iterator[Recorder]:
    try:
        recorder = Recorder(file, on_error="raise", max_bytes=None)
    except HistoryLocked:
        raise HistoryLocked(
            f"{os.fspath(file)}: a program records into it; stop it, or replay in a copy: "
            f"`unspool convert {os.fspath(file)} copy.unspool`"
        ) from None
    with recorder:
        yield recorder


def _meta_of(entry: Entry) -> dict[str, Value]:
    """Return what a replayed entry keeps of the one that it stands for: no line of code or thread recorded it."""
    left_out = (CALLER, CONTEXT, PASSED_OVER, EVENT)
    return {**{key: value for key, value in entry.meta.items() if key not in left_out}, REPLAYED: entry.seq}


def _named(entry: Entry) -> str:
    return f" ({_cut(entry.action)})" if entry.action else ""


def _brief(value: Value) -> str:
    return "nothing" if value is MISSING else _cut(in_one_line(value))


def _shown(error: BaseException) -> str:
    try:
        told = str(error)
    except Exception:  # noqa: BLE001 - an error of the person's own code, whose text may fail as well
        told = ""
    return f"{type(error).__name__}: {_cut(told)}" if told else type(error).__name__


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


__all__ = ["NotReproduced", "Reducer", "Replayed", "reducer_named", "replay"]
