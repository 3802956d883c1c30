"""A part of a history to hand on: some of its entries, under their numbers, without what is nobody else's business.

Nothing of the source reaches the new file but through the redaction of a recorder: values, keys, actions, meta and ids. Code
places and the notes that people wrote are cleaned by the same patterns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from unspool.errors import EntryDropped, UnreadableSource
from unspool.files import whole_file
from unspool.history.history import History
from unspool.model.entries import HOLE_ATOM, Entry, EntryKind
from unspool.model.values import State
from unspool.query.doctor.blocks import DOUBT_META
from unspool.recorder.recorder import Recorder
from unspool.recorder.redact import Redaction
from unspool.sources.written_notes import PlacedNote, kept_text
from unspool.store.file import FileStore
from unspool.store.keeping import SHARED


def share(
    history: History,
    out: Path,
    first: int,
    last: int,
    *,
    redaction: Redaction | None = None,
    notes: Iterable[PlacedNote] = (),
    overwrites: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write some entries of a history into a new native file, where they keep their numbers.

    Args:
        history: where they are.
        out: the file to make; it appears under its name only when it is complete.
        first: the first entry.
        last: the last entry.
        redaction: what to leave out of values, keys, actions, meta, ids and notes; None for nothing.
        notes: what people wrote; notes on other entries stay behind.
        overwrites: a file that is there is replaced instead of refused.
        progress: is told how many of how many entries are written.

    Returns:
        How many notes came along.

    Raises:
        UnreadableSource: the file is there already, or cannot be written.
        CorruptHistory: an entry cannot be read.
    """
    if out.exists() and not overwrites:
        raise UnreadableSource(f"{out}: is there already; name another file, or say --force to replace it")
    along = [one.note for one in _cleaned(history, first, last, redaction, notes)]
    try:
        with whole_file(out.resolve(), replace=overwrites) as part:
            store = FileStore.create(part, durability="fast", first=first, bound=SHARED if first else "")
            try:
                recorder = Recorder(
                    store,
                    on_error="raise",
                    max_bytes=None,
                    redact=redaction or (),
                    identity=history.identity,
                )
                with recorder:
                    _copy(history, recorder, first, last, progress)
                    store.keep_written_notes(kept_text(history.source_name if redaction is None else "", along))
            finally:
                store.close()
    except OSError as error:
        raise UnreadableSource(f"{out}: cannot be written ({error.strerror}); check its folder") from None
    return len(along)


def _copy(
    history: History, recorder: Recorder, first: int, last: int, progress: Callable[[int, int], None] | None
) -> None:
    before: State = {}
    for seq in range(first, last + 1):
        if progress is not None:
            progress(seq - first, last + 1 - first)
        entry = history[seq]
        if entry.kind is EntryKind.NOTE:
            recorder.put_note(
                entry.action, entry.meta, None, timestamp_ns=entry.timestamp_ns, entry_id=entry.id, is_short=False
            )
            continue
        before = _copy_state(history, recorder, entry, first, before)


def _copy_state(history: History, recorder: Recorder, entry: Entry, first: int, before: State) -> State:
    try:
        state = history.state(entry.seq)
    except EntryDropped as gap:
        state = {**before, HOLE_ATOM: {"lost entry": entry.seq, "why": gap.why}}
    meta = dict(entry.meta)
    parent = entry.parent_seq
    if parent is not None and parent < first < entry.seq:
        meta.setdefault(DOUBT_META, f"it followed entry {parent}, which was not shared, and not the one before it")
        parent = None
    recorder.record(
        state,
        entry.action,
        timestamp_ns=entry.timestamp_ns,
        meta=meta or None,
        entry_id=entry.id,
        parent_seq=parent if parent is not None and first <= parent != entry.seq - 1 else None,
        part=entry.part,
    )
    state.pop(HOLE_ATOM, None)
    return state


def _cleaned(
    history: History, first: int, last: int, redaction: Redaction | None, notes: Iterable[PlacedNote]
) -> Sequence[PlacedNote]:
    """Return the notes on the entries that are shared, without what is left out of these."""
    kept = []
    for one in notes:
        if one.seq is None or not first <= one.seq <= last:
            continue
        if redaction is not None:
            secrets: set[str] = set()
            for atom, data in history.view(one.seq).wire.items():
                redaction.apply(atom, data, secrets)
            text = redaction.clean_text(one.note.text, secrets)
            action = redaction.clean_text(one.note.action, secrets)
            kept.append(PlacedNote(replace(one.note, text=text, action=action), one.seq))
        else:
            kept.append(one)
    return kept
