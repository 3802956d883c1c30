"""A log of RFC 6902 patches: what changed from entry to entry, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from unspool.delta.apply import encoded_patch
from unspool.history.history import History
from unspool.model.json_text import to_json
from unspool.sources.exports.options import ExportOptions, StateTexts, entries_of, entry_facts, tagged_member
from unspool.sources.tagged_values import to_tagged


def lines(history: History, options: ExportOptions) -> Iterator[str]:
    """Yield the first state, then one patch an entry: `{"id", "timestamp", "action", "meta"?, "tagged"?, "patch"}`."""
    before: Mapping[str, bytes] | None = None
    for entry in entries_of(history, len(history)):
        view = options.holes.view(history, entry.seq)
        name = "state" if before is None else "patch"
        if before is None:
            content, is_tagged = StateTexts(tagged_member).text(view)
        else:
            patch, is_tagged = to_tagged(encoded_patch(before, view.wire, history.identity))
            content = to_json(patch)
        facts = to_json(entry_facts(entry, is_tagged=is_tagged))
        yield f'{facts[:-1]},"{name}":{content}}}'
        before = view.wire
