"""JSON Lines of whole states."""

from __future__ import annotations

from collections.abc import Iterator

from unspool.history.history import History
from unspool.model.json_text import to_json
from unspool.sources.exports.options import ExportOptions, StateTexts, entries_of, entry_facts, tagged_member


def lines(history: History, options: ExportOptions) -> Iterator[str]:
    """Yield one line an entry: `{"seq", "id", "parent_id"?, "part"?, "timestamp", "action", "meta"?, "tagged"?, "state"}`."""
    texts = StateTexts(tagged_member)
    for entry in entries_of(history, len(history)):
        state, is_tagged = texts.text(options.holes.view(history, entry.seq))
        told = {"seq": entry.seq, **entry_facts(entry, is_tagged=is_tagged)}
        if entry.parent_seq is not None and entry.parent_seq != entry.seq - 1:
            told["parent_id"] = history[entry.parent_seq].id
            if entry.part is not None:
                told["part"] = list(entry.part)
        facts = to_json(told)
        yield f'{facts[:-1]},"state":{state}}}'
