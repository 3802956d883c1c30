"""The pages on faults: chains and what the doctor finds, what the checkers find of the app."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from unspool.errors import UnspoolError
from unspool_tui import questions
from unspool_tui.rendering import format_units
from unspool_tui.rendering.chain_lines import (
    Chain,
    chain_heading,
    chain_row,
    check_heading,
    check_line,
    finding_heading,
    finding_line,
    finding_rows,
    summary_row,
)
from unspool_tui.rendering.line import Row, on_grid
from unspool_tui.screens.exporting import check_target, target
from unspool_tui.screens.modal import Prompt
from unspool_tui.screens.page import Page
from unspool_tui.view import moves
from unspool_tui.view.model import SearchState
from unspool_tui.view.overview import EntryLedger

if TYPE_CHECKING:
    from unspool.query.checkers import CheckReport
    from unspool.query.doctor.diagnosis import Diagnosis, Finding
    from unspool_tui.screens.protocols import HistoryScreen


def mark_entries(main: HistoryScreen, text: str, seqs: Iterable[int]) -> int:
    """Mark entries in the timeline, where `n` and `N` travel between them; return how many there are.

    Args:
        main: the main screen.
        text: what the marks are of; shown where a search is.
        seqs: the entries, in any order.
    """
    hits = array("q", sorted({seq for seq in seqs if 0 <= seq < main.view.total}))
    if hits:
        main.hit_paths = {}
        main.apply(replace(main.view, search=SearchState(text, hits, len(hits))))
    return len(hits)


_MOST_FINDINGS = 6


class ChainsScreen(Page):
    """All chains, their limits, and what the doctor says of them."""

    TITLE_OF_LIST = "Chains"
    KEYS = (("D", "doctor"), ("F", "findings"), ("R", "repair"), ("Enter", "go there"))

    def __init__(self, main: HistoryScreen) -> None:
        super().__init__(main)
        self._chains = chains_of(main.scene.ledger, questions.limits(main.scene.history))
        self.cursor = next((row for row, chain in enumerate(self._chains) if chain.last >= main.view.head), 0)
        self._diagnosis: Diagnosis | None = None
        self._lists_findings = False
        self._refused = ""

    @property
    def _findings(self) -> Sequence[Finding]:
        return () if self._diagnosis is None else self._diagnosis.findings

    def title_of_list(self) -> str:
        """Name what is listed."""
        return "Findings" if self._lists_findings else self.TITLE_OF_LIST

    def count(self) -> int:
        """See `Page.count`."""
        return len(self._findings if self._lists_findings else self._chains)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        if not self._lists_findings:
            return chain_row(self._chains[index], width, self.pen.glyphs)
        found = self._findings[index]
        return finding_line(str(found.severity), found.place, found.meaning, found.where, self.pen.glyphs)

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return finding_heading() if self._lists_findings else chain_heading(width)

    def told(self, width: int) -> list[Row]:
        """Return the doctor's verdict, or how to ask for it."""
        if self._refused:
            return [Row(((f" {self._refused}", "warning"),))]
        found = self._diagnosis
        if found is None:
            return [Row(((" not examined yet: ", "dim"), ("D", "key"), (" has the doctor check every entry", "dim")))]
        rows = [summary_row(str(found.verdict), found.entries, found.readable, found.chain_count)]
        if self._lists_findings:
            return [*rows, Row(((f" {on_grid(self._findings[self.cursor].remedy[:400])}", "dim"),))]
        # Notes are about single chains, whose lines tell them already.
        serious = [finding for finding in found.findings if str(finding.severity) != "note"]
        for finding in serious[:_MOST_FINDINGS]:
            rows += finding_rows(
                str(finding.severity), finding.place, finding.meaning, finding.remedy, width, self.pen.glyphs
            )
        left = len(serious) - _MOST_FINDINGS
        return [*rows, Row(((f" {left:,} more findings; F lists them", "dim"),))] if left > 0 else rows

    def letter(self, character: str) -> bool:
        """Examine or repair."""
        self._refused = ""
        if character == "D":
            self.examine()
        elif character == "R":
            self._ask_repair()
        elif character == "F":
            self._turn_to_findings()
        else:
            return False
        return True

    def choose(self) -> None:
        """Go to the chain's full snapshot, or to the entry that a finding is about."""
        if not self.count():
            return
        seq = self._findings[self.cursor].first if self._lists_findings else self._chains[self.cursor].first
        if seq is None:
            self.main_screen.flash("this finding is about no entry", "warning")
            return
        self.main_screen.apply(moves.jump_to(self.main_screen.view, seq))
        self.dismiss(None)

    def _turn_to_findings(self) -> None:
        """List what the doctor found, or the chains again; whoever did not ask the doctor yet does so now."""
        if self._diagnosis is None:
            self.examine(then_list=True)
        elif self._findings:
            self._lists_findings = not self._lists_findings
            self.cursor = 0
            self.paint()

    def examine(self, *, then_list: bool = False) -> None:
        """Have the doctor look at every entry, and list what it found where that is wanted."""
        history, withdrawn = self.main_screen.scene.history, self.main_screen.worker.withdrawn
        self.work(
            lambda tell: questions.examine(history, tell, withdrawn), lambda found: self._examined(found, then_list)
        )

    def _examined(self, found: Diagnosis, then_list: bool) -> None:
        self._diagnosis = found
        self._lists_findings = then_list and bool(found.findings)
        serious = [one.first for one in found.findings if str(one.severity) != "note" and one.first is not None]
        mark_entries(self.main_screen, f"doctor: {found.verdict}", serious)
        self._chains = [examined_chain(row) for row in found.chains]
        self.cursor = min(self.cursor, max(0, self.count() - 1))

    def _ask_repair(self) -> None:
        main = self.main_screen
        history, permits = main.scene.history, main.view.permits
        refused = permits.why_not("chains.repair")
        if refused:
            self._refused = f"repair: {refused}"
            self.paint()
            return

        def typed(name: str | None) -> None:
            if name is None or not name.strip():
                return
            try:
                withdrawn, out = main.worker.withdrawn, str(target(name, permits))
            except UnspoolError as error:
                main.flash(str(error), "warning")
                return
            self.work(lambda tell: questions.repair_into(history, out, tell, withdrawn), self._repaired)

        hint = "repair writes a new file with all that is intact; the old one is never changed"
        proposal = f"{Path(history.source_name).stem or 'history'}-repaired.unspool"
        main.open(Prompt("R", hint, text=proposal, check=lambda name: check_target(name, permits)), typed)

    def _repaired(self, report: Any) -> None:
        kept = f"{report.kept:,} of {report.entries:,} entries as recorded, {len(report.holes):,} holes"
        self.main_screen.flash(f"{report.out}: {kept}", "good")


def chains_of(ledger: EntryLedger, limits: questions.LimitsOf) -> list[Chain]:
    """Return the chains as the columns tell them, before anyone examined them, against the limits of their rule."""
    columns = ledger.columns
    found = []
    for first, last, deltas in ledger.chains() if ledger.ready else ():
        most = limits(first, columns.full_bytes[first])
        found.append(
            Chain(
                first,
                last,
                deltas,
                columns.timestamp_ns[last] - columns.timestamp_ns[first],
                columns.stored[first],
                sum(columns.stored[first + 1 : last + 1]),
                most.deltas,
                most.bytes,
            )
        )
    return found


def examined_chain(row: Any) -> Chain:
    """Return a chain as the doctor (`unspool.query.doctor.chains.ChainRow`) sees it."""
    return Chain(
        row.first,
        row.last,
        row.length,
        row.age_ms * 1e6,
        row.full_bytes,
        row.delta_bytes,
        row.limits.deltas,
        row.limits.bytes,
        str(row.checksums),
        str(row.verdict),
        row.reason,
    )


class ChecksScreen(Page):
    """Runs the checkers and lists what they find."""

    TITLE_OF_LIST = "Findings, oldest first"
    KEYS = (("Enter", "go there"), ("K", "check again"))

    def __init__(self, main: HistoryScreen) -> None:
        super().__init__(main)
        self._report: CheckReport | None = None

    def on_mount(self) -> None:
        """Begin at once: that is what the page was opened for."""
        super().on_mount()
        self.check()

    def count(self) -> int:
        """See `Page.count`."""
        return 0 if self._report is None else len(self._report.findings)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        if self._report is None:
            return Row()
        return check_line(self._report.findings[index])

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return check_heading()

    def told(self, width: int) -> list[Row]:
        """Return what came of it, in numbers, and what could not be checked."""
        report = self._report
        if report is None:
            return [Row(((" stopped: ", "dim"), ("K", "key"), (" has the checkers look at every entry", "dim")))]
        total = sum(report.counts.values())
        style, said = (
            ("warning", format_units.count(total, "finding")) if total else ("good", "the checkers found nothing")
        )
        parts = "  ".join(f"{on_grid(name)} {count:,}" for name, count in report.counts.items())
        rows = [Row(((f" {said} ", style), (f" in {report.entries:,} entries  {parts}", "dim")))]
        return rows + [
            Row(((f" not checked: {on_grid(text[:300])}", "faint"),))
            for text in (*report.doubts, *report.problems)[:3]
        ]

    def letter(self, character: str) -> bool:
        """Check again."""
        if character == "K":
            self.check()
        return character == "K"

    def choose(self) -> None:
        """Go to the entry that a finding shows at."""
        if self._report is not None and self._report.findings:
            seq = self._report.findings[self.cursor].seq
            self.main_screen.apply(moves.jump_to(self.main_screen.view, seq))
            self.dismiss(None)

    def check(self) -> None:
        """Have the checkers look at every entry."""
        history, withdrawn = self.main_screen.scene.history, self.main_screen.worker.withdrawn
        self.work(lambda tell: questions.check_all(history, tell, withdrawn), self._checked)

    def _checked(self, report: CheckReport) -> None:
        self._report = report
        self.cursor = min(self.cursor, max(0, self.count() - 1))
        seqs = (found.seq for found in report.findings)
        mark_entries(self.main_screen, f"check: {sum(report.counts.values()):,}", seqs)
