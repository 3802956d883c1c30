"""Keeping any source as a native file of one's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from pathlib import Path

from unspool.errors import EntryDropped, UnreadableSource
from unspool.files import whole_file
from unspool.history.history import History
from unspool.history.verdict import Verdict
from unspool.model.entries import HOLE_ATOM, Entry, EntryKind
from unspool.model.values import State
from unspool.query.doctor.blocks import DOUBT_META
from unspool.recorder.recorder import Recorder
from unspool.sources.entries import Reading
from unspool.sources.foreign import feed
from unspool.sources.native import is_native
from unspool.sources.opening import is_in_postgres, open_history
from unspool.sources.written_notes import SourceNotes
from unspool.store.file import FileStore


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion came to.

    Attributes:
        entries: entries written.
        verdict: how much of the source could be read.
        notes: notes of people that came along.
        problems: why notes of people could not be read.
    """

    entries: int
    verdict: Verdict
    notes: int = 0
    problems: tuple[str, ...] = ()


def convert(
    source: str,
    out: Path,
    reading: Reading,
    *,
    strategy: str = "auto",
    codec: str = "auto",
    identity: Mapping[str, str] | None = None,
    replace: bool = False,
) -> Converted:
    """Write a source into a new native file. The file appears under its name only when it is complete.

    Args:
        source: any source.
        out: the file to make.
        reading: how to read the source.
        strategy: when a full snapshot is stored; see `Recorder`.
        codec: how entries are written; see `Recorder`.
        identity: keys that tell the records of lists apart, by path pattern; kept in the new file, beside those that
            a native source was told.
        replace: an existing file is replaced instead of refused.

    Raises:
        UnreadableSource: the source cannot be read, or the file is there already or cannot be written.
        ConfigError: an option is not valid.
    """
    if os.path.lexists(out):
        _check_replaceable(source, out, replace=replace)
        # What a link leads to is replaced, and the link stays.
        out = out.resolve()
    try:
        with whole_file(out, replace=replace) as part, ExitStack() as resources:
            native = is_native(source, reading.format) or is_in_postgres(source, reading.format)
            history = resources.enter_context(open_history(source, identity=identity)) if native else None
            target: Path | FileStore = part
            if history is not None and history.first:
                target = FileStore.create(part, durability="fast", first=history.first, bound=history.bound)
                resources.callback(target.close)
            recorder = Recorder(
                target,
                strategy=strategy,
                codec=codec,
                durability="fast",
                on_error="raise",
                max_bytes=None,
                identity=identity,
            )
            resources.callback(recorder.close)
            converted = (
                _copy(history, recorder, reading.progress)
                if history is not None
                else _feed(source, recorder, reading, resources)
            )
            return _with_notes(converted, recorder, SourceNotes(source, select=reading.select, history=history))
    except OSError as error:
        raise UnreadableSource(f"{out}: cannot be written ({error.strerror}); check its folder") from None


def _check_replaceable(source: str, out: Path, *, replace: bool) -> None:
    if not replace:
        raise UnreadableSource(f"{out}: is there already; name another file, or say --force to replace it")
    if _is_same_file(source, out):
        raise UnreadableSource(f"{out}: is the source itself; name another file")
    if not out.is_file():
        raise UnreadableSource(f"{out}: is no file that could be replaced; name another file")


def _is_same_file(source: str, out: Path) -> bool:
    try:
        return out.samefile(source)
    except OSError:
        return False


def _feed(source: str, recorder: Recorder, reading: Reading, resources: ExitStack) -> Converted:
    feeder = feed(source, recorder, reading, resources)
    return Converted(feeder.entries, feeder.verdict)


def _with_notes(converted: Converted, recorder: Recorder, notes: SourceNotes) -> Converted:
    """Have the new file hold the notes that people wrote on the source."""
    count, text, problems = notes.to_keep()
    if text and isinstance(recorder.store, FileStore):
        recorder.store.keep_written_notes(text)
    return replace_fields(converted, notes=count, problems=problems)


def _copy(history: History, recorder: Recorder, progress: Callable[[int, int], None] | None) -> Converted:
    if isinstance(recorder.store, FileStore):
        recorder.store.note_identity(history.identity or {})
    before: State = {}
    total = len(history)
    for entry in history:
        if progress is not None:
            progress(entry.seq, total)
        before = copy_entry(history, recorder, entry, history.first, before)
    return Converted(len(history) - history.first, history.verdict)


def copy_entry(history: History, recorder: Recorder, entry: Entry, first: int, before: State) -> State:
    """Write one entry into another history under its number, and return the state there.

    Args:
        history: where its state is; a hole stands for one that never arrived.
        recorder: what writes the other history.
        entry: the entry, as it is to be written.
        first: the first entry of the other history; an entry that followed one before that is doubted.
        before: the state of the entry that was written before it.
    """
    if entry.kind is EntryKind.NOTE:
        recorder.put_note(
            entry.action, entry.meta, None, timestamp_ns=entry.timestamp_ns, entry_id=entry.id, is_short=False
        )
        return before
    try:
        state = history.state(entry.seq)
    except EntryDropped as gap:
        state = {**before, HOLE_ATOM: {"lost entry": entry.seq, "why": gap.why}}
    meta = dict(entry.meta)
    parent = entry.parent_seq
    is_there = parent is not None and parent >= first
    if not is_there and entry.seq > first:
        followed = "an entry that was dropped" if parent is None else f"entry {parent}, which was not shared"
        meta.setdefault(DOUBT_META, f"it followed {followed}, and not the one before it")
    recorder.record(
        state,
        entry.action,
        timestamp_ns=entry.timestamp_ns,
        meta=meta or None,
        entry_id=entry.id,
        parent_seq=parent if is_there and parent != entry.seq - 1 else None,
        part=entry.part,
    )
    state.pop(HOLE_ATOM, None)
    return state
