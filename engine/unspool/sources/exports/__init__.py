"""The formats there are to export to, and the options and parts that their writers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, Literal, cast

from unspool.errors import ConfigError, EntryDropped
from unspool.history.history import History, StateView
from unspool.model.entries import NOTE, Entry, EntryKind, iso_time
from unspool.model.json_text import to_json
from unspool.model.values import Value
from unspool.query.lineage import forks
from unspool.sources.tagged_values import TAGGED, to_tagged

if TYPE_CHECKING:
    from unspool.sources.written_notes import PlacedNote

MIB: Final = 1024 * 1024
DEFAULT_REPORT_BYTES: Final = 8 * MIB
"""A report of that size opens at once in every browser and passes through most mail."""


class Holes:
    """Entries that never arrived, as an export shows them: the last state there is, with a note in it.

    Attributes:
        passed_over: why each of them is missing, by number.
    """

    def __init__(self) -> None:
        """Begin before the first entry."""
        self.passed_over: dict[int, str] = {}
        self._last: dict[str, bytes] = {}

    def view(self, history: History, seq: int) -> StateView:
        """Return the state at an entry, or what stands for it.

        Raises:
            CorruptHistory: it arrived, and cannot be rebuilt.
        """
        try:
            view = history.view(seq)
        except EntryDropped as gap:
            from unspool.query.repair import hole_in  # few sources have gaps, and repairing loads much

            self.passed_over[seq] = gap.why
            return StateView(seq, hole_in(self._last, seq, gap.why))
        self._last = dict(view.wire)
        return view

    def told(self) -> str:
        """Say what was passed over, or return "" where nothing was."""
        count = len(self.passed_over)
        if not count:
            return ""
        first = min(self.passed_over)
        which = "1 entry" if count == 1 else f"{count:,} entries"
        stands = "a hole stands for it" if count == 1 else "a hole stands for each"
        return f"{which} never arrived, from entry {first} on ({self.passed_over[first]}); {stands}"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What an export can be asked for; each format takes what concerns it.

    Attributes:
        paths: which values a table shows, as people write paths (`cart.items[0].qty`).
        max_bytes: about how large a report may get; entries are sampled to keep to it.
        made_ns: when the report is made, in nanoseconds since the epoch; None to leave it out.
        notes: what people wrote on the history; see `Export.written_notes`.
        title: what a report is called; the name of its source where empty.
        question: what whoever gets a report is to look at, in their words; empty for nothing.
        holes: gets what was passed over.
    """

    paths: tuple[str, ...] = ()
    max_bytes: int = DEFAULT_REPORT_BYTES
    made_ns: int | None = None
    notes: tuple[PlacedNote, ...] = ()
    title: str = ""
    question: str = ""
    holes: Holes = field(default_factory=Holes, compare=False)


NS_PER_MS: Final = 1_000_000
_NS_PER_US: Final = 1_000
_BATCH: Final = 256


def entries_of(history: History, total: int) -> Iterator[Entry]:
    """Yield the entries of a history before `total`, a batch at a time; those that arrive meanwhile are left alone."""
    for start in range(history.first, total, _BATCH):
        yield from history[start : min(start + _BATCH, total)]


def exact_time(timestamp_ns: int) -> str:
    """Spell a time as ISO 8601 in UTC: microseconds, or nanoseconds where there are any."""
    text = iso_time(timestamp_ns)
    rest = timestamp_ns % _NS_PER_US
    return f"{text[:-1]}{rest:03}Z" if rest else text


def milliseconds(timestamp_ns: int) -> int | float:
    """Return a time in milliseconds, whole where it is whole."""
    whole, rest = divmod(timestamp_ns, NS_PER_MS)
    return timestamp_ns / NS_PER_MS if rest else whole


def entry_facts(entry: Entry, *, is_tagged: bool = False) -> dict[str, Value]:
    """Return id, time, action and meta of an entry as JSON Lines have them, whether it is a note, and has tags in its values."""
    facts: dict[str, Value] = {"id": entry.id, "timestamp": exact_time(entry.timestamp_ns), "action": entry.action}
    if entry.meta:
        facts["meta"] = dict(entry.meta)
    if entry.kind is EntryKind.NOTE:
        facts["kind"] = entry.kind.value
    if is_tagged:
        facts[TAGGED] = True
    return facts


Member = Callable[[str, Value], tuple[str, bool]]
"""Writes an atom as a member of an object (`"name":value`), and says whether tags were needed."""


class StateTexts:
    """Writes one state after the other."""

    def __init__(self, member: Member) -> None:
        """Begin with nothing written.

        Args:
            member: how an atom is written.
        """
        self._member = member
        self._written: dict[str, tuple[bytes, str, bool]] = {}

    def text(self, view: StateView) -> tuple[str, bool]:
        """Return a state as the text of an object, and whether tags were needed in it."""
        written: dict[str, tuple[bytes, str, bool]] = {}
        for atom in view:
            data = view.encoded(atom)
            known = self._written.get(atom)
            written[atom] = (
                known if known is not None and known[0] == data else (data, *self._member(atom, view[atom]))
            )
        self._written = written
        members = ",".join(text for _, text, _ in written.values())
        return f"{{{members}}}", any(is_tagged for _, _, is_tagged in written.values())


def tagged_member(atom: str, value: Value) -> tuple[str, bool]:
    """Write an atom with tags for what JSON lacks."""
    content, is_tagged = to_tagged(value)
    return f"{to_json(atom)}:{to_json(content)}", is_tagged


Writer = Callable[[History, ExportOptions], Iterator[str]]
"""Yields a history as the lines of a text file, without their ends."""


@dataclass(frozen=True, slots=True)
class Export:
    """A format to export to.

    Attributes:
        name: what `--format` takes.
        title: what it is, in a line.
        writer: the function that writes it, as `module.function` of this room.
        suffix: how files of this format alone end; empty where others end so too.
        opens_again: unspool opens what was written, with equal states.
        keeps_forks: it says which entry another one follows; other formats know one line only.
        keeps_notes: entries that are notes can be distinguished from others.
        written_notes: where what people wrote on the history is reported: in the file, or in a file of notes beside it;
            empty where the times of entries are not exact enough to find these again.
    """

    name: str
    title: str
    writer: str
    suffix: str = ""
    opens_again: bool = True
    keeps_forks: bool = False
    keeps_notes: bool = False
    written_notes: Literal["inside", "beside", ""] = ""

    def load(self) -> Writer:
        """Import the module of the format and return its writer."""
        module, _, function = self.writer.partition(".")
        return cast("Writer", getattr(import_module(f"unspool.sources.exports.{module}"), function))


EXPORTS: Final = (
    Export("jsonl", "JSON Lines of states, one entry a line", "text_forms.jsonl_lines", ".jsonl", keeps_forks=True,
           keeps_notes=True, written_notes="beside"),
    Export("json-patch", "the first state, then an RFC 6902 patch a line", "text_forms.json_patch_lines", keeps_notes=True,
           written_notes="beside"),
    Export("nexus", "nexus-state export list 1.0 of full snapshots", "text_forms.nexus_lines"),
    Export("redux", "Redux DevTools lifted state, for its Import button", "text_forms.redux_lines"),
    Export("csv", "a table of chosen paths over time", "text_forms.csv_lines", ".csv", opens_again=False,
           written_notes="inside"),
    Export("html", "a report in one file, for any browser, without network", "html_report.html_lines", ".html",
           opens_again=False, keeps_forks=True, keeps_notes=True, written_notes="inside"),
)  # fmt: skip
"""The formats to export to; the first is the default."""


NOT_WRITTEN: Final = frozenset(
    (
        ".xlsx",
        ".xls",
        ".ods",
        ".parquet",
        ".yaml",
        ".yml",
        ".toml",
        ".xml",
        ".db",
        ".sqlite",
        ".pdf",
        ".zip",
        ".unspool",
    )
)
"""Endings of files that hold something else than any of the formats."""


def export_named(name: str) -> Export:
    """Return a format by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    for item in EXPORTS:
        if item.name == name:
            return item
    names = ", ".join(item.name for item in EXPORTS)
    raise ConfigError(f"{name!r} is no format to export to; write one of {names}")


def export_for(file_name: str) -> Export:
    """Return the format of a file by its name's ending; the default one where no format has that ending.

    Raises:
        ConfigError: the ending is that of something that cannot be written.
    """
    suffix = PurePath(file_name).suffix.lower()
    if suffix in NOT_WRITTEN:
        names = ", ".join(item.name for item in EXPORTS)
        raise ConfigError(f"{file_name}: {suffix} files are not written; choose --format: {names}")
    return next((item for item in EXPORTS if item.suffix and item.suffix == suffix), EXPORTS[0])


def export_lines(history: History, name: str, options: ExportOptions | None = None) -> Iterator[str]:
    """Yield a history as the lines of a text file, without their ends.

    Entries that arrive meanwhile are not written. For those that never arrived a hole is written, and `options.holes`
    reports them when all lines are drawn.

    Raises:
        ConfigError: there is no such format, or an option is not valid for it.
        CorruptHistory: a state cannot be rebuilt; raised while lines are drawn.
    """
    return export_named(name).load()(history, options or ExportOptions())


def losses(history: History, name: str, *, written_notes: int = 0) -> str:
    """Return what of a history a format cannot express, or "" where it can express everything.

    Args:
        history: what is written.
        name: the format.
        written_notes: how many notes of people are reported neither in the file nor beside it.
    """
    export, lost = export_named(name), []
    # The first entry follows none.
    count = 0 if export.keeps_forks else sum(1 for _ in forks(history, 0, len(history))) - 1
    if count > 0:
        which = "1 entry follows" if count == 1 else f"{count} entries follow"
        lost.append(f"{which} an earlier one than the one before, which {name} cannot say: all stand in one line")
    notes = 0 if export.keeps_notes else history.columns().kind.count(NOTE)
    if notes:
        which = "1 note stands" if notes == 1 else f"{notes} notes stand"
        lost.append(f"{which} in it as any entry that changes nothing")
    if written_notes:
        which = (
            "1 note that somebody wrote on it is"
            if written_notes == 1
            else f"{written_notes} notes that people wrote on it are"
        )
        lost.append(f"{which} not told; `unspool notes` lists them")
    return "; ".join(lost)
