"""Entries of a history written into a native file: all of a source to keep, or a part to hand on under its numbers.

Nothing of a source that is shared reaches the new file but through the redaction of a recorder: values, keys, actions, meta
and ids. Code places and the notes that people wrote are cleaned by the same patterns."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from pathlib import Path

from msgspec.structs import replace

from unspool.delta.structural import Identity
from unspool.errors import ConfigError, CorruptHistory, EntryDropped, UnreadableSource
from unspool.files import whole_file
from unspool.history.history import History
from unspool.history.verdict import Verdict
from unspool.model.encoding import encode
from unspool.model.entries import HOLE_ATOM, Entry, EntryKind
from unspool.model.keys import Step, format_path
from unspool.model.values import State, Value, walk
from unspool.model.wire import decode
from unspool.opened import is_native
from unspool.recorder.recorder import Recorder
from unspool.recorder.redact import WORD, Redaction
from unspool.sources.entries import Reading
from unspool.sources.foreign import feed
from unspool.sources.opening import is_in_postgres, open_history
from unspool.sources.written_notes import PlacedNote, SourceNotes, WrittenNote, kept_text
from unspool.store.file import FileStore
from unspool.store.keeping import SHARED
from unspool.store.protocol import DOUBT_META


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
        identity: keys that distinguish the records of lists, by path pattern; kept in the new file, beside those that
            a native source was recorded with.
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


def share(
    history: History,
    out: Path,
    first: int,
    last: int,
    *,
    redaction: Redaction | None = None,
    notes: Iterable[PlacedNote] = (),
    overwrites: bool = False,
    must_match: Iterable[str] = (),
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
        must_match: patterns and expressions of the redaction; where one of them meets nothing, no file is made.
        progress: is called with how many of how many entries are written.

    Returns:
        How many notes came along.

    Raises:
        UnreadableSource: the file is there already, or cannot be written.
        CorruptHistory: an entry cannot be read.
        ConfigError: one of `must_match` meets nothing.
        EvaluationStopped: an expression takes longer on a text than the limits allow.
    """
    if out.exists() and not overwrites:
        raise UnreadableSource(f"{out}: is there already; name another file, or say --force to replace it")
    cleaner = None if redaction is None else _Cleaner(history, first, last, redaction)
    kept = [one for one in notes if one.seq is not None and first <= one.seq <= last]
    along = [one.note if cleaner is None else cleaner.note(one.note) for one in kept]
    identity = history.identity
    try:
        with whole_file(out.resolve(), replace=overwrites) as part:
            store = FileStore.create(part, durability="fast", first=first, bound=SHARED if first else "")
            try:
                recorder = Recorder(
                    store,
                    on_error="raise",
                    max_bytes=None,
                    redact=redaction or (),
                    identity=identity if cleaner is None else cleaner.identity(identity),
                )
                with recorder:
                    _copy_part(history, recorder, first, last, cleaner, progress)
                    store.keep_written_notes(kept_text(history.source_name if redaction is None else "", along))
            finally:
                store.close()
            if redaction is not None:
                _refuse_unmatched(history, first, last, redaction, must_match)
    except OSError as error:
        raise UnreadableSource(f"{out}: cannot be written ({error.strerror}); check its folder") from None
    return len(along)


def _refuse_unmatched(
    history: History, first: int, last: int, redaction: Redaction, must_match: Iterable[str]
) -> None:
    """Refuse patterns that met nothing, also where no other one took out what they name."""
    idle = []
    for pattern in redaction.unmatched(must_match):
        alone = Redaction([pattern])
        _Cleaner(history, first, last, alone)
        if alone.unmatched([pattern]):
            idle.append(pattern)
    if idle:
        raise ConfigError(
            f"nothing matched {', '.join(idle)}, so no file was made: a mistyped pattern would leave its secret in; "
            "correct or omit it, or say --unmatched-ok"
        )


def _copy_part(
    history: History,
    recorder: Recorder,
    first: int,
    last: int,
    cleaner: _Cleaner | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    before: State = {}
    for seq in range(first, last + 1):
        if progress is not None:
            progress(seq - first, last + 1 - first)
        entry = history[seq] if cleaner is None else cleaner.entry(history[seq])
        before = copy_entry(history, recorder, entry, first, before)


class _Cleaner:
    """What leaves secrets out where more is known than a recorder knows of one call: all of them in the part that is shared.

    An action may quote the password that was there before it, or a note one of any entry.
    """

    def __init__(self, history: History, first: int, last: int, redaction: Redaction) -> None:
        self._redaction = redaction
        self._known: dict[str, set[str]] = {}
        seen: Mapping[str, bytes] = {}
        secrets: set[str] = set()
        for seq in range(max(history.first, first - 1), last + 1):
            try:
                forms = history.view(seq).wire
            except CorruptHistory:
                # Inside of the part, copying it says so, or puts a gap there.
                continue
            for atom, data in forms.items():
                if seen.get(atom) is not data and seen.get(atom) != data and redaction.may_touch(atom, data):
                    redaction.apply(atom, data, secrets)
            seen = forms
        for secret in secrets:
            self._known.setdefault(secret[:WORD], set()).add(secret)
        self._sizes = sorted({len(begun) for begun in self._known})

    def text(self, text: str) -> str:
        """Return a text without any secret of the part that is shared."""
        return self._redaction.clean_text(text, self._quoted(text))

    def entry(self, entry: Entry) -> Entry:
        """Return an entry whose action, id and meta quote none of them."""
        meta = encode(dict(entry.meta))
        quoted = {secret for part in walk(entry.meta) for secret in self._quoted(_letters(part))}
        facts = decode(self._redaction.apply("meta", meta, quoted, is_named=False))
        return dataclasses.replace(entry, action=self.text(entry.action), id=self.text(entry.id), meta=facts)

    def note(self, note: WrittenNote) -> WrittenNote:
        """Return a note that quotes none of them; it is on what holds the value where a key has another name now."""
        steps: list[Step] = []
        for number, step in enumerate(note.steps):
            if number == 0 and isinstance(step, str):
                steps.append(self._redaction.atom_name(step))
                continue
            name = format_path((step,), root="")
            if self._redaction.clean_text(name, ()) != name:
                break
            steps.append(step)
        path = format_path(tuple(steps)) if steps else ""
        return replace(note, text=self.text(note.text), action=self.text(note.action), path=path)

    def identity(self, identity: Identity | None) -> Identity | None:
        """Return the identity keys in whose names nothing is left out."""
        if identity is None:
            return None
        return {path: key for path, key in identity.items() if self.text(path) == path and self.text(key) == key}

    def _quoted(self, text: str) -> set[str]:
        found: set[str] = set()
        for size in self._sizes:
            for at in range(len(text) - size + 1):
                begun = self._known.get(text[at : at + size])
                if begun:
                    found.update(secret for secret in begun if text.startswith(secret, at))
        return found


def _letters(part: Value) -> str:
    if isinstance(part, bytes | bytearray):
        return part.decode("utf-8", "replace")
    return str(part) if isinstance(part, str | int | float) else ""
