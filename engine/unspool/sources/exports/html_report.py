"""The HTML report: its data within a size, and text made safe to stand in a page: nothing in it acts."""

from __future__ import annotations

import base64
import hashlib
import html
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from unspool.delta.apply import encoded_patch
from unspool.history.history import History
from unspool.history.verdict import Verdict
from unspool.model.encoding import encode
from unspool.model.entries import CALLER, NOTE, Entry, EntryKind, caller_of, iso_time
from unspool.model.json_text import to_json
from unspool.model.keys import format_path
from unspool.model.tags import Unrepresentable
from unspool.model.values import Value
from unspool.model.wire import decode
from unspool.query.lineage import forks
from unspool.sources.exports import ExportOptions, Holes, entries_of
from unspool.sources.exports.text_forms import EXACT_INTEGERS
from unspool.sources.tagged_values import Part, list_part, object_part, rewritten

if TYPE_CHECKING:
    from unspool.sources.written_notes import PlacedNote, WrittenNote

_ACTIVE: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Categories of characters that act instead of showing: controls, bidi marks, lone surrogates, separators."""
_IN_SCRIPT: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def shown(text: str) -> str:
    """Return text as HTML that shows it and does nothing else."""
    return html.escape("".join(_spelled(character) for character in text), quote=True)


def _spelled(character: str) -> str:
    if unicodedata.category(character) not in _ACTIVE:
        return character
    return f"\\u{ord(character):04x}"


def script_json(text: str) -> str:
    """Return JSON text that means the same and can stand in a script block: it cannot end or comment it out."""
    return text.translate(_IN_SCRIPT)


MOST_ENTRIES: Final = 2_000
"""Rows that a page scrolls through with ease."""
_LARGEST_SHARE: Final = 4
"""The part of a report that one value may take."""
_SMALLEST_LIMIT: Final = 256
_LONGEST_TEXT: Final = 100_000


@dataclass(frozen=True, slots=True)
class ReportData:
    """The data of a report; all texts are JSON that is safe inside a script block.

    Attributes:
        seqs: the entries shown.
        base: the state at the first of them.
        patches: the RFC 6902 patch to each from the one it follows, its operations in the short form of the page: letter, path,
            and value or source; an empty one for the first.
        follows: which of the entries shown each one follows, by its place: its nearest ancestor among them.
        left_out: changes of values that are too large to be shown.
    """

    seqs: tuple[int, ...]
    base: str
    patches: tuple[str, ...]
    follows: tuple[int, ...] = ()
    left_out: int = 0


def report_data(history: History, max_bytes: int, holes: Holes) -> ReportData:
    """Return the data of a report of about a size at most.

    All entries are shown if they fit; otherwise every second, every third and so on, always the first and the last.
    Values are left out only where two states alone would be too large.
    """
    total, origin = len(history), history.first
    parents = {fork.seq: fork.parent for fork in forks(history, origin, total)}
    step = max(1, math.ceil((total - origin) / MOST_ENTRIES))
    limit = max(_SMALLEST_LIMIT, max_bytes // _LARGEST_SHARE)
    while True:
        seqs = tuple(sorted({*range(origin, total, step), *((total - 1,) if total else ())}))
        follows = _ancestors(seqs, parents)
        collector = _Collector(history, limit, max_bytes, holes)
        reached = collector.collect(seqs, follows)
        if reached == len(seqs) or (len(seqs) <= 2 and limit <= _SMALLEST_LIMIT):
            patches = tuple(collector.patches)
            return ReportData(seqs[:reached], collector.base, patches, follows[:reached], collector.left_out)
        if len(seqs) > 2:
            step *= 2
        else:
            limit = max(_SMALLEST_LIMIT, limit // _LARGEST_SHARE)


def _short_op(op: Mapping[str, Value]) -> list[Value]:
    kind = str(op["op"])
    rest = [op["from"]] if kind == "move" else [op["value"]] if "value" in op else []
    return [kind[:3], op["path"], *rest]


def _ancestors(seqs: tuple[int, ...], parents: Mapping[int, int | None]) -> tuple[int, ...]:
    """Return for each entry shown the place of its nearest ancestor that is shown too; its own for the first."""
    places = {seq: place for place, seq in enumerate(seqs)}
    follows = []
    for seq in seqs:
        parent = parents.get(seq, seq - 1)
        while parent is not None and parent not in places:
            parent = parents.get(parent, parent - 1)
        follows.append(0 if parent is None else places[parent])
    return tuple(follows)


class _Collector:
    """Collects base and patches until they are too large."""

    def __init__(self, history: History, limit: int, max_bytes: int, holes: Holes) -> None:
        self.base = "{}"
        self.patches: list[str] = []
        self.left_out = 0
        self._history = history
        self._holes = holes
        self._limit = limit
        self._room = max_bytes

    def collect(self, seqs: tuple[int, ...], follows: tuple[int, ...]) -> int:
        """Take the entries, each with the place of the one it follows; return how many found room."""
        last: Mapping[str, bytes] = {}
        for number, seq in enumerate(seqs):
            before = last if follows[number] == number - 1 else self._trimmed(seqs[follows[number]])
            after = last = self._trimmed(seq)
            self.left_out += sum(
                after[atom] is not data for atom, data in self._holes.view(self._history, seq).wire.items()
            )
            if number == 0:
                text = self.base = page_json({atom: decode(data) for atom, data in after.items()})
                self.patches.append("[]")
            else:
                text = page_json([*map(_short_op, encoded_patch(before, after, self._history.identity))])
                self.patches.append(text)
            self._room -= len(text)
            if self._room < 0 and number < len(seqs) - 1:
                return number
        return len(seqs) if self._room >= 0 or self._limit <= _SMALLEST_LIMIT else 0

    def _trimmed(self, seq: int) -> dict[str, bytes]:
        kept: dict[str, bytes] = {}
        for atom, data in self._holes.view(self._history, seq).wire.items():
            if len(data) > self._limit:
                data = encode(Unrepresentable("left out", f"{len(data)} bytes are too many for this report"))
            kept[atom] = data
        return kept


def page_json(value: Value) -> str:
    """Return a value as JSON for the page: numbers that JavaScript would change are kept as text."""
    return script_json(to_json(rewritten(value, _part)))


def _part(value: Value) -> Part | Value:
    match value:
        case dict() if all(type(key) is str for key in value):
            return object_part(list(value), iter(value.values()))
        case list():
            return list_part(value)
        case bool():
            return value
        case int() if value not in EXACT_INTEGERS:
            return {"$int": to_json(value)}
        case float() if math.isfinite(value) and value.is_integer():
            return {"$float": repr(value)}
        case str() if len(value) > _LONGEST_TEXT:
            return {"$cut": value[:_LONGEST_TEXT], "length": len(value)}
    return value


_SHOWN_PROBLEMS = 5
_SHOWN_ELSEWHERE: Final = 50
_SIGNS = {
    EntryKind.FULL: '<i class="full">F</i>',
    EntryKind.DELTA: "<i>·</i>",
    EntryKind.NOTE: '<i title="a note">○</i>',
}


def html_lines(history: History, options: ExportOptions) -> Iterator[str]:
    """Yield the lines of a report; entries are sampled where all of them would make it larger than asked for."""
    data = report_data(history, options.max_bytes, options.holes)
    wanted = set(data.seqs)
    entries = [entry for entry in entries_of(history, len(history)) if entry.seq in wanted]
    style, script = (files(__package__).joinpath(name).read_text("utf-8") for name in ("report.css", "report.js"))
    title = options.title or PurePath(history.source_name).name or history.source_name
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{shown(title)} – unspool</title>"
    yield f"<style>{style}</style></head><body>"
    written = _written_on(options.notes)
    yield from _header(
        history, data, options, title, {seq: said for seq, said in written.items() if seq not in wanted}
    )
    yield '<div class="line"><canvas id="timeline" role="slider" aria-valuenow="0" tabindex="0" aria-label="Entry; bars are bytes"></canvas></div>'
    yield '<main><section><h2>Entries <input id="filter" type="search" placeholder="filter" '
    yield 'aria-label="Filter by action, line, name or value"></h2>'
    yield '<ol id="entries" class="scroll" role="listbox" aria-label="Entries">'
    places = _Places()
    yield from (_row(entry, places, written.pop(entry.seq, ())) for entry in entries)
    yield "</ol></section>"
    yield '<section><h2>Changes <small id="where"></small><button id="base" class="more" aria-pressed="false">compare from here</button></h2>'
    yield '<div id="changes" class="scroll" tabindex="0" role="region" aria-label="Changes">'
    yield '<noscript><p class="quiet">Changes and states need JavaScript; the entries do not.</p></noscript>'
    yield "</div></section>"
    yield '<section><h2>State <small id="at"></small></h2><p id="who" class="quiet" aria-live="polite"></p>'
    yield '<div id="tree" class="scroll" tabindex="0" role="region" aria-label="State"></div></section></main>'
    yield '<p id="live" class="unseen" aria-live="polite"></p>'
    yield "<footer><kbd>←</kbd> <kbd>→</kbd> step &nbsp; <kbd>Home</kbd> <kbd>End</kbd> ends &nbsp; <kbd>/</kbd> filter &nbsp; <kbd>m</kbd> compare from here"
    yield " &nbsp; drag the timeline to scrub</footer>"
    yield from _embedded(entries, data, places)
    yield f"<script>{script}</script></body></html>"


def _policy(style: str, script: str) -> str:
    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; script-src 'sha256-{digest(script)}'; style-src 'sha256-{digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _written_on(notes: Iterable[PlacedNote]) -> dict[int | None, list[WrittenNote]]:
    """Return what people wrote, by entry; bookmarks say nothing to whoever reads a report."""
    written: dict[int | None, list[WrittenNote]] = {}
    for one in notes:
        if not one.note.is_bookmark:
            written.setdefault(one.seq, []).append(one.note)
    return written


def _header(
    history: History,
    data: ReportData,
    options: ExportOptions,
    title: str,
    elsewhere: Mapping[int | None, Sequence[WrittenNote]],
) -> Iterator[str]:
    place = (
        ""
        if options.title or title == history.source_name
        else f'<span class="from">{shown(history.source_name)}</span>'
    )
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
    if options.question:
        yield f'<p class="note asked"><b>Question:</b> {shown(options.question)}</p>'
    yield from _notes(history.verdict, data, count)
    for seq, said in islice(elsewhere.items(), _SHOWN_ELSEWHERE):
        where = (
            "an entry that is not in this history" if seq is None else f"entry {seq}, which this report leaves out"
        )
        yield f'<div class="note">Notes on {where}:{"".join(map(_said, said[:_SHOWN_ELSEWHERE]))}</div>'
    if len(elsewhere) > _SHOWN_ELSEWHERE:
        yield f'<p class="note">{len(elsewhere) - _SHOWN_ELSEWHERE} more entries that are not shown have notes.</p>'
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


def _said(note: WrittenNote) -> str:
    path = f"<b>{shown(format_path(note.steps, root=''))}</b> " if note.path else ""
    lines = "<br>".join(map(shown, note.text.split("\n")))
    return f'<p class="said">{path}{lines}</p>'


class _Places:
    """Lines of code and days, each told once: hundreds of entries come from the same few."""

    def __init__(self) -> None:
        self.told: dict[str, int] = {}
        self._day = ""

    def time(self, entry: Entry) -> str:
        """Return when an entry was recorded, with the day where that is another than before."""
        text = _short(entry.timestamp_ns, "microseconds")
        day, _, clock = text.partition(" ")
        is_new, self._day = day != self._day, day
        return text if is_new else clock

    def number(self, entry: Entry) -> str:
        """Return the attribute that names the line behind an entry; "" where none is known."""
        line = caller_of(entry.meta)
        return "" if line is None else f" data-l={self.told.setdefault(str(line), len(self.told))}"


def _row(entry: Entry, places: _Places, notes: Iterable[WrittenNote]) -> str:
    marks = (("add", "+", entry.added), ("mod", "~", entry.modified), ("del", "−", entry.deleted))
    counts = " ".join(f"<i class={kind}>{glyph}{count}</i>" for kind, glyph, count in marks if count)
    kind = _SIGNS[entry.kind]
    time = shown(places.time(entry))
    told = counts if counts.count("<") == 2 else f"<span class=num>{counts}</span>"
    return (
        f"<li{places.number(entry)}><b>{entry.seq}</b>{kind}<span>{shown(entry.action)}</span>{told}"
        f"<time>{time}</time>{''.join(map(_said, notes))}</li>"
    )


def _embedded(entries: list[Entry], data: ReportData, places: _Places) -> Iterator[str]:
    # The line of code stands in the row already.
    meta: dict[str, Value] = {}
    for number, entry in enumerate(entries):
        facts = {name: fact for name, fact in entry.meta.items() if name != CALLER or caller_of(entry.meta) is None}
        if facts:
            meta[str(number)] = facts
    is_plain = all(follows == max(number - 1, 0) for number, follows in enumerate(data.follows))
    yield '<script id="data" type="application/json">{'
    yield f'"seqs":{page_json(list(data.seqs))},'
    yield f'"bytes":{page_json([entry.stored_bytes for entry in entries])},'
    yield f'"full":{page_json([int(entry.kind is EntryKind.FULL) for entry in entries])},'
    yield f'"meta":{page_json(meta)},'
    yield f'"lines":{page_json(list(places.told))},'
    yield f'"base":{data.base},'
    yield f'"follows":{page_json([] if is_plain else list(data.follows))},'
    yield '"patches":['
    for number, patch in enumerate(data.patches):
        yield patch + ("," if number < len(data.patches) - 1 else "")
    yield "]}</script>"


def _short(timestamp_ns: int, unit: str = "seconds") -> str:
    text = iso_time(timestamp_ns)[:-1].replace("T", " ")
    return text.rstrip("0").rstrip(".") if unit == "microseconds" else text.partition(".")[0]


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
