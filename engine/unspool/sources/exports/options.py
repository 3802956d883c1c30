"""What an export can be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from unspool.errors import EntryDropped
from unspool.history.history import History, StateView
from unspool.query.repair import hole_in

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
