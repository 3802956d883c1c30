"""A report in one HTML file: timeline, entries, changes, and the state at each entry. It needs no network and no server.

The file says itself that nothing but its own script and style may run (a content security policy with their hashes);
recorded data stands in it as text and as JSON only.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import PurePath

from unspool.history.history import History
from unspool.history.verdict import Verdict
from unspool.model.entries import NOTE, Entry, EntryKind
from unspool.model.values import Value
from unspool.sources.exports.facts import entries_of
from unspool.sources.exports.html_data import ReportData, page_json, report_data
from unspool.sources.exports.html_text import shown
from unspool.sources.exports.options import ExportOptions
from unspool.sources.timestamps import iso_time

_SHOWN_PROBLEMS = 5
_SIGNS = {
    EntryKind.FULL: '<i class="full">F</i>',
    EntryKind.DELTA: "<i>·</i>",
    EntryKind.NOTE: '<i title="a note">○</i>',
}


def lines(history: History, options: ExportOptions) -> Iterator[str]:
    """Yield the lines of a report; entries are sampled where all of them would make it larger than asked for."""
    data = report_data(history, options.max_bytes, options.holes)
    wanted = set(data.seqs)
    entries = [entry for entry in entries_of(history, len(history)) if entry.seq in wanted]
    style, script = (files(__package__).joinpath(name).read_text("utf-8") for name in ("report.css", "report.js"))
    title = PurePath(history.source_name).name or history.source_name
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{shown(title)} – unspool</title>"
    yield f"<style>{style}</style></head><body>"
    yield from _header(history, data, options, title)
    yield '<div class="line"><canvas id="timeline" aria-label="Bytes by entry; drag to scrub"></canvas></div>'
    yield '<main><section><h2>Entries <input id="filter" type="search" placeholder="filter" aria-label="Filter"></h2>'
    yield '<ol id="entries" class="scroll">'
    yield from map(_row, entries)
    yield "</ol></section>"
    yield '<section><h2>Changes <small id="where"></small></h2><div id="changes" class="scroll">'
    yield '<noscript><p class="quiet">Changes and states need JavaScript; the entries do not.</p></noscript>'
    yield "</div></section>"
    yield '<section><h2>State <small id="at"></small></h2><div id="tree" class="scroll"></div></section></main>'
    yield "<footer><kbd>←</kbd> <kbd>→</kbd> step &nbsp; <kbd>Home</kbd> <kbd>End</kbd> ends &nbsp; <kbd>/</kbd> filter"
    yield " &nbsp; drag the timeline to scrub</footer>"
    yield from _embedded(entries, data)
    yield f"<script>{script}</script></body></html>"


def _policy(style: str, script: str) -> str:
    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; script-src 'sha256-{digest(script)}'; style-src 'sha256-{digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _header(history: History, data: ReportData, options: ExportOptions, title: str) -> Iterator[str]:
    place = "" if title == history.source_name else f'<span class="from">{shown(history.source_name)}</span>'
    yield f'<header><div class="top"><h1>{shown(title)}</h1>{place}</div>'
    count = len(history) - history.first
    facts = [f"<span><b>{count:,}</b> entries</span>"]
    if len(history):
        columns = history.columns().since(history.first)
        first, last = columns.timestamp_ns[0], columns.timestamp_ns[count - 1]
        facts.append(f"<span><b>{shown(_short(first))}</b> to <b>{shown(_short(last))}</b> UTC</span>")
        stored = sum(columns.stored[:count])
        full = sum(size for size, kind in zip(columns.full_bytes, columns.kind, strict=False) if kind != NOTE)
        facts.append(f"<span>stored <b>{_size(stored)}</b></span><span>as full states <b>{_size(full)}</b></span>")
        if stored:
            facts.append(f"<span>ratio <b>{full / stored:.1f}×</b></span>")
    if options.made_ns is not None:
        facts.append(f"<span>report made {shown(_short(options.made_ns))} UTC</span>")
    yield f'<div class="facts">{"".join(facts)}</div>'
    yield from _notes(history.verdict, data, count)
    yield "</header>"


def _notes(verdict: Verdict, data: ReportData, total: int) -> Iterator[str]:
    if len(data.seqs) < total:
        yield (
            f'<p class="note">This report shows {len(data.seqs):,} of {total:,} entries, evenly chosen, to stay small. '
            "Changes are those since the nearest one it follows that is shown.</p>"
        )
    if data.left_out:
        yield '<p class="note">Some values are too large for this report and are marked as left out.</p>'
    for note in verdict.notes:
        yield f'<p class="note">{shown(note)}</p>'
    problems = verdict.problems
    if verdict.status == "partial":
        listed = "; ".join(f"{shown(item.place)}: {shown(item.message)}" for item in problems[:_SHOWN_PROBLEMS])
        more = len(problems) + verdict.dropped - _SHOWN_PROBLEMS
        yield f'<p class="note bad">Only a part of the source could be read: {listed}{f" and {more} more" if more > 0 else ""}</p>'


def _row(entry: Entry) -> str:
    marks = (("add", "+", entry.added), ("mod", "~", entry.modified), ("del", "−", entry.deleted))
    counts = " ".join(f'<span class="{kind}">{glyph}{count}</span>' for kind, glyph, count in marks if count)
    kind = _SIGNS[entry.kind]
    time = shown(_short(entry.timestamp_ns, "microseconds"))
    return (
        f'<li><b>{entry.seq}</b>{kind}<span class="act">{shown(entry.action)}</span><span class="num">{counts}</span>'
        f"<time>{time}</time></li>"
    )


def _embedded(entries: list[Entry], data: ReportData) -> Iterator[str]:
    meta: list[Value] = [dict(entry.meta) or None for entry in entries]
    yield '<script id="data" type="application/json">{'
    yield f'"seqs":{page_json(list(data.seqs))},'
    yield f'"bytes":{page_json([entry.stored_bytes for entry in entries])},'
    yield f'"full":{page_json([int(entry.kind is EntryKind.FULL) for entry in entries])},'
    yield f'"meta":{page_json(meta)},'
    yield f'"base":{data.base},'
    yield f'"follows":{page_json(list(data.follows))},'
    yield '"patches":['
    for number, patch in enumerate(data.patches):
        yield patch + ("," if number < len(data.patches) - 1 else "")
    yield "]}</script>"


def _short(timestamp_ns: int, unit: str = "seconds") -> str:
    text = iso_time(timestamp_ns)[:-1].replace("T", " ")
    return text if unit == "microseconds" else text.partition(".")[0]


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
