"""What an export can be asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from unspool.errors import EntryDropped
from unspool.history.history import History, StateView
from unspool.model.entries import Entry, EntryKind, iso_time
from unspool.model.json_text import to_json
from unspool.model.values import Value
from unspool.query.repair import hole_in
from unspool.sources.tagged_values import TAGGED, to_tagged

MIB: Final = 1024 * 1024
DEFAULT_REPORT_BYTES: Final = 8 * MIB
"""A report of that size opens at once in every browser and passes through most mail."""


class Holes:
    """Entries that never arrived, as an export tells of them: the last state there is, with a note in it.

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
        holes: gets what was passed over.
    """

    paths: tuple[str, ...] = ()
    max_bytes: int = DEFAULT_REPORT_BYTES
    made_ns: int | None = None
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
