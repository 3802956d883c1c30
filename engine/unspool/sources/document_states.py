"""A whole document as a state: what state files, snapshot files and versions in git have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from unspool.model.values import Value
from unspool.sources.entries import SourceEntry, as_state
from unspool.sources.formats.states import enveloped_entry, is_envelope
from unspool.sources.timestamps import find_time


def has_envelope(document: Value) -> bool:
    """Say whether a document is a state in an envelope: besides `state`, an object, it must name a time."""
    return is_envelope(document) and isinstance(document["state"], dict) and find_time(document) is not None


def document_entry(document: Value, timestamp_ns: int, action: str = "", entry_id: str | None = None) -> SourceEntry:
    """Return the entry of one document; time and action of an envelope go before the ones given."""
    if not has_envelope(document):
        return SourceEntry(as_state(document), timestamp_ns, action, entry_id=entry_id)
    entry = enveloped_entry(document, timestamp_ns)
    return replace(entry, action=entry.action or action, entry_id=entry.entry_id or entry_id)


class DocumentRecords:
    """Reads each record as a whole document."""

    def read(self, record: Value, default_ns: int) -> Iterator[SourceEntry]:
        """Return the entry of one document."""
        yield document_entry(record, default_ns)

    def finish(self) -> Iterable[SourceEntry]:
        """Nothing is held back."""
        return ()

    def notices(self) -> Iterable[tuple[str, bool]]:
        """Nothing to say about the whole."""
        return ()
