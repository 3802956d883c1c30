"""What the checkers find: one line a finding; what was found is marked in the timeline, Enter goes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unspool_tui import questions
from unspool_tui.controls.marking import mark_entries
from unspool_tui.present import humane
from unspool_tui.present.chain_lines import check_heading, check_line
from unspool_tui.present.line import Row, on_grid
from unspool_tui.screens.page import Page
from unspool_tui.view import moves

if TYPE_CHECKING:
    from unspool.query.checkers import CheckReport
    from unspool_tui.screens.main import MainScreen


class ChecksScreen(Page):
    """Runs the checkers and lists what they find."""

    TITLE_OF_LIST = "Findings, oldest first"
    KEYS = (("Enter", "go there"), ("K", "check again"))

    def __init__(self, main: MainScreen) -> None:
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
        style, said = ("warning", humane.count(total, "finding")) if total else ("good", "the checkers found nothing")
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
        history, withdrawn = self.main_screen.scene.history, self.main_screen.desk.withdrawn
        self.work(lambda tell: questions.check_all(history, tell, withdrawn), self._checked)

    def _checked(self, report: CheckReport) -> None:
        self._report = report
        self.cursor = min(self.cursor, max(0, self.count() - 1))
        seqs = (found.seq for found in report.findings)
        mark_entries(self.main_screen, f"check: {sum(report.counts.values()):,}", seqs)
