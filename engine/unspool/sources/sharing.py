"""A part of a history to hand on: some of its entries, under their numbers, without what is nobody else's business.

Nothing of the source reaches the new file but through the redaction of a recorder: values, keys, actions, meta and ids. Code
places and the notes that people wrote are cleaned by the same patterns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from unspool.delta.structural import Identity
from unspool.errors import CorruptHistory, UnreadableSource
from unspool.files import whole_file
from unspool.history.history import History
from unspool.model.encoding import encode
from unspool.model.entries import Entry
from unspool.model.keys import Step, format_path
from unspool.model.values import State, Value, walk
from unspool.model.wire import decode
from unspool.recorder.recorder import Recorder
from unspool.recorder.redact import Redaction
from unspool.sources.converting import copy_entry
from unspool.sources.written_notes import PlacedNote, WrittenNote, kept_text
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
                    _copy(history, recorder, first, last, cleaner, progress)
                    store.keep_written_notes(kept_text(history.source_name if redaction is None else "", along))
            finally:
                store.close()
    except OSError as error:
        raise UnreadableSource(f"{out}: cannot be written ({error.strerror}); check its folder") from None
    return len(along)


def _copy(
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
            self._known.setdefault(secret[:_LETTERS], set()).add(secret)

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
        for at in range(len(text) - _LETTERS + 1):
            begun = self._known.get(text[at : at + _LETTERS])
            if begun:
                found.update(secret for secret in begun if text.startswith(secret, at))
        return found


_LETTERS: Final = 4
"""Letters by which secrets are looked up: none is shorter."""


def _letters(part: Value) -> str:
    if isinstance(part, bytes | bytearray):
        return part.decode("utf-8", "replace")
    return str(part) if isinstance(part, str | int | float) else ""
