"""The chains: one line a chain; D has the doctor examine them, R writes a repaired copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unspool_tui import questions
from unspool_tui.present.chain_lines import Chain, chain_heading, chain_row, finding_rows, summary_row
from unspool_tui.present.line import Row
from unspool_tui.screens.page import Page
from unspool_tui.view import moves
from unspool_tui.view.ledger import Ledger

if TYPE_CHECKING:
    from unspool.query.doctor import Diagnosis
    from unspool_tui.screens.main import MainScreen

_MOST_FINDINGS = 6


class ChainsScreen(Page):
    """All chains, their limits, and what the doctor says of them."""

    TITLE_OF_LIST = "Chains"
    KEYS = (("D", "doctor"), ("R", "repair into a new file"), ("Enter", "go there"))

    def __init__(self, main: MainScreen) -> None:
        super().__init__(main)
        self._chains = chains_of(main.scene.ledger)
        self.cursor = next((row for row, chain in enumerate(self._chains) if chain.last >= main.view.head), 0)
        self._diagnosis: Diagnosis | None = None

    def count(self) -> int:
        """See `Page.count`."""
        return len(self._chains)

    def row(self, index: int, width: int) -> Row:
        """See `Page.row`."""
        return chain_row(self._chains[index], width, self.pen.glyphs)

    def heading(self, width: int) -> Row:
        """See `Page.heading`."""
        return chain_heading(width)

    def told(self, width: int) -> list[Row]:
        """Return the doctor's verdict, or how to ask for it."""
        found = self._diagnosis
        if found is None:
            return [Row(((" not examined yet: ", "dim"), ("D", "key"), (" has the doctor check every entry", "dim")))]
        rows = [summary_row(str(found.verdict), found.entries, found.readable, found.chain_count)]
        # Notes are about single chains, whose lines tell them already.
        serious = [finding for finding in found.findings if str(finding.severity) != "note"]
        for finding in serious[:_MOST_FINDINGS]:
            rows += finding_rows(
                str(finding.severity), finding.place, finding.meaning, finding.remedy, width, self.pen.glyphs
            )
        left = len(serious) - _MOST_FINDINGS
        return [*rows, Row(((f" {left:,} more findings; `unspool doctor` lists them", "dim"),))] if left > 0 else rows

    def letter(self, character: str) -> bool:
        """Examine or repair."""
        if character == "D":
            self.examine()
        elif character == "R":
            self._ask_repair()
        else:
            return False
        return True

    def choose(self) -> None:
        """Go to the chain's full snapshot."""
        if self._chains:
            self.main_screen.apply(moves.jump_to(self.main_screen.view, self._chains[self.cursor].first))
            self.dismiss(None)

    def examine(self) -> None:
        """Have the doctor look at every entry."""
        history, withdrawn = self.main_screen.scene.history, self.main_screen.desk.withdrawn
        self.work(lambda tell: questions.examine(history, tell, withdrawn), self._examined)

    def _examined(self, found: Diagnosis) -> None:
        self._diagnosis = found
        self._chains = [examined_chain(row) for row in found.chains]
        self.cursor = min(self.cursor, max(0, len(self._chains) - 1))

    def _ask_repair(self) -> None:
        from unspool_tui.screens.prompt import Prompt
        from unspool_tui.writing import check_target, target

        main = self.main_screen
        files = [path for path in main.scene.history.watch_paths if path.suffix == ".unspool"]
        if not files:
            main.flash("only a native .unspool file can be repaired; this is read from another source", "warning")
            return

        def typed(name: str | None) -> None:
            if name is not None and name.strip():
                withdrawn, out = main.desk.withdrawn, str(target(name))
                self.work(lambda tell: questions.repair_file(str(files[0]), out, tell, withdrawn), self._repaired)

        hint = "repair writes a new file with all that is intact; the old one is never changed"
        proposal = f"{files[0].stem}-repaired.unspool"
        main.open(Prompt("R", hint, text=proposal, check=check_target), typed)

    def _repaired(self, report: Any) -> None:
        kept = f"{report.kept:,} of {report.entries:,} entries as recorded, {len(report.holes):,} holes"
        self.main_screen.flash(f"{report.out}: {kept}", "good")


def chains_of(ledger: Ledger) -> list[Chain]:
    """Return the chains as the columns tell them, before anyone examined them."""
    columns = ledger.columns
    found = []
    for first, count in ledger.chains() if ledger.ready else ():
        last = first + count - 1
        found.append(
            Chain(
                first,
                last,
                count - 1,
                columns.timestamp_ns[last] - columns.timestamp_ns[first],
                columns.stored[first],
                sum(columns.stored[first + 1 : last + 1]),
            )
        )
    return found


def examined_chain(row: Any) -> Chain:
    """Return a chain as the doctor (`unspool.query.doctor_chains.ChainRow`) sees it."""
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
