"""What an agent tells becomes entries: the mirror gives the atoms that changed, and the sites say where."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from unspool.live.cells import Cell, NotOfTheAgent
from unspool.live.mirror import Mirror
from unspool.model.entries import CALLER, LIVE, PASSED_OVER, SourceLine
from unspool.model.values import MISSING, Missing, Value
from unspool.recorder import Recorder
from unspool.recorder.calling import Form, LastSurroundings

EXCEPTION: Final = "exception"
TRACE: Final = "trace"
_MOST_SITES: Final = 200_000
_MOST_FACT: Final = 16 * 1024
"""Bytes of a fact, such as an argument of a traced call, that are kept."""
_MOST_TEXT: Final = 400
"""Letters of a source line, or of an exception's text, that are kept."""
_MOST_PATH: Final = 4096
_MOST_METAS: Final = 4096
_MARKS: Final = ("unseen", "capped", "cut", "doubt", "elsewhere")
"""What an entry may say of itself."""
_ANY_MARK: Final = frozenset(_MARKS)
_MAIN: Final = "MainThread"


class AgentRecording:
    """Records what one agent tells.

    Attributes:
        entries: how many entries were recorded.
        is_empty: nothing that is watched was there yet.
    """

    def __init__(self, recorder: Recorder, pid: int, folder: str) -> None:
        """Record on top of what the recorder has.

        Args:
            recorder: takes the entries.
            pid: the program's process.
            folder: its current folder: files are named as seen from there.
        """
        self._recorder = recorder
        self._mirror = Mirror()
        self._sites: dict[int, tuple[SourceLine, str]] = {}
        """By number: the place, and what an entry that comes from there is called."""
        self._pid = pid
        self._folder = os.path.join(folder, "") if folder else "\0"  # noqa: PTH118 - compared with text
        self._metas: dict[tuple[int | None, int | None, tuple[str, ...]], dict[str, Value]] = {}
        self._told = LastSurroundings(_surroundings)
        self._is_first = True
        self._waiting: list[int] | None = None
        """Entries of the batch that are not counted yet; None outside of one."""
        self.entries = 0
        self.is_empty = True

    def site(self, message: Mapping[str, Value]) -> None:
        """Take note of a place in the program.

        Raises:
            NotOfTheAgent: it does not read.
        """
        number, file, line = message.get("id"), message.get("file"), message.get("line")
        if type(number) is not int or type(file) is not str or type(line) is not int:
            raise NotOfTheAgent("a site that does not read")
        if len(self._sites) >= _MOST_SITES and number not in self._sites:
            raise NotOfTheAgent(f"more than {_MOST_SITES:,} sites")
        name = str(message.get("name") or "")[:_MOST_TEXT]
        place = SourceLine(file.removeprefix(self._folder)[:_MOST_PATH], line, name)
        self._metas.clear()
        text = str(message.get("text") or "")[:_MOST_TEXT]
        self._sites[number] = (place, f"{name}: {text}" if text else name)

    def place_of(self, number: Value) -> SourceLine | None:
        """Return where a site is; None for one that was not told of."""
        known = self._sites.get(number) if type(number) is int else None
        return None if known is None else known[0]

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Store the entries that are taken meanwhile together; `entries` counts them when they are stored.

        Raises:
            UnspoolError: they could not be stored.
        """
        waiting = self._waiting = []
        try:
            with self._recorder.batch():
                yield
        finally:
            self._waiting = None
            stored = len(self._recorder.store)
            self.entries += sum(seq < stored for seq in waiting)

    def entry(self, message: Mapping[str, Value]) -> None:
        """Record an entry.

        Raises:
            NotOfTheAgent: it does not read.
            UnspoolError: it cannot be recorded.
        """
        self._mirror.apply(message)
        atoms = self._mirror.changes()
        self.is_empty = self.is_empty and not atoms
        if self._is_first:
            # Of a file that is continued: what the run before had is no more.
            gone: dict[str, bytes | Missing] = dict.fromkeys(self._recorder.last(), MISSING)
            atoms, self._is_first = {**gone, **atoms}, False
        moment = message.get("t")
        timestamp_ns = moment if type(moment) is int and 0 <= moment < 2**63 else None
        notes = message.get("notes")
        for note in notes if isinstance(notes, list) else ():
            self.note(note, timestamp_ns)
        action = self._action(message)
        form: Form = (self._pid, str(message.get("thread") or _MAIN)[:_MOST_TEXT], message.get("task"))
        own, is_plain = self._meta(message)
        meta = self._told.added_to(own, form)
        parent = message.get("parent")
        seq = self._recorder.record_encoded(
            atoms,
            action,
            timestamp_ns=timestamp_ns,
            meta=meta,
            parent_seq=parent if type(parent) is int and parent >= 0 else None,
            is_plain=is_plain,
        )
        if seq is not None:
            self._told.keep(form, meta)
            if self._waiting is None:
                self.entries += 1
            else:
                self._waiting.append(seq)

    def note(self, note: Value, timestamp_ns: int | None = None) -> None:
        """Put down what happened beside the state: a statement of SQL, a request, a line of the log, a word of the agent.

        Raises:
            UnspoolError: it cannot be recorded.
        """
        if not isinstance(note, Mapping) or not isinstance(note.get("text"), str):
            return
        facts: dict[str, Value] = {"level": str(note.get("kind") or "info")}
        if isinstance(note.get("ms"), int | float):
            facts["ms"] = note["ms"]
        place = self.place_of(note.get("site"))
        if place is not None:
            facts[CALLER] = place.to_meta()
        self._recorder.put_note(note["text"], facts, None, timestamp_ns=timestamp_ns)

    def _action(self, message: Mapping[str, Value]) -> str:
        given = message.get("action")
        number = message.get("site")
        known = self._sites.get(number) if type(number) is int else None
        if message.get("unseen"):
            return "changed unseen" if known is None else f"changed unseen before {known[0].file}:{known[0].line}"
        raised = message.get("exc")
        if isinstance(raised, Mapping):
            kind = str(raised.get("type") or "").removeprefix("builtins.")
            where = "" if known is None else f"{known[0].function} "
            return f"{where}raised {kind}: {str(raised.get('text') or '')[:_MOST_TEXT]}".removesuffix(": ")
        if isinstance(given, str):
            return given
        return "" if known is None else known[1]

    def _meta(self, message: Mapping[str, Value]) -> tuple[Mapping[str, Value] | None, bool]:
        """Return the facts of an entry, and whether they are small and plain."""
        meta = self._where(message)
        merged, raised, traced = message.get("merged"), message.get("exc"), message.get("trace")
        if merged is None and raised is None and traced is None:
            return meta, True
        meta = dict(meta or {})
        if type(merged) is int and merged > 0:
            meta[PASSED_OVER] = merged
        if isinstance(raised, Mapping):
            at = self.place_of(raised.get("site"))
            told = {"type": str(raised.get("type") or ""), "text": str(raised.get("text") or "")[:_MOST_TEXT]}
            meta[EXCEPTION] = told if at is None else {**told, "at": str(at)}
        if isinstance(traced, Mapping):
            meta[TRACE] = self._traced(traced)
        return meta, False

    def _where(self, message: Mapping[str, Value]) -> Mapping[str, Value] | None:
        """Return what is said of the place of an entry; nobody changes it."""
        number, caller = message.get("site"), message.get("caller")
        marks = tuple([name for name in _MARKS if message.get(name)]) if not _ANY_MARK.isdisjoint(message) else ()
        key = (number if type(number) is int else None, caller if type(caller) is int else None, marks)
        known = self._metas.get(key)
        if known is None:
            place, called = self.place_of(number), self.place_of(caller)
            known = {}
            if place is not None and "unseen" not in marks:
                known[CALLER] = place.to_meta()
            said: dict[str, Value] = dict.fromkeys(marks, True)
            if called is not None:
                said["called_from"] = str(called)
            if said:
                known[LIVE] = said
            if len(self._metas) >= _MOST_METAS:
                self._metas.clear()
            self._metas[key] = known
        return known or None

    def _traced(self, traced: Mapping[str, Value]) -> dict[str, Value]:
        """Return what a traced call is told of, as plain values."""
        facts: dict[str, Value] = {"event": str(traced.get("event") or "")}
        for name in ("args", "locals"):
            pairs = traced.get(name)
            if isinstance(pairs, list):
                facts[name] = {str(pair[0]): self._fact(pair[1]) for pair in pairs if len(pair) > 1}
        if "value" in traced:
            facts["value"] = self._fact(traced["value"])
        return facts

    def _fact(self, cell: Cell) -> Value:
        return self._mirror.value(cell, _MOST_FACT)


def _surroundings(form: Form) -> dict[str, Value]:
    pid, thread, task = form
    told: dict[str, Value] = {"pid": pid, "thread": thread}
    return told if task is None else {**told, "task": str(task)[:_MOST_TEXT]}


Report = Callable[[str, str], None]
"""Is told a line for people, and how much it matters: `info`, `warning` or `error`."""

__all__ = ["EXCEPTION", "TRACE", "AgentRecording", "Report"]
