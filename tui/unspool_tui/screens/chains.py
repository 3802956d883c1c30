"""The chains: one line a chain; D has the doctor examine them, R writes a repaired copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from unspool_tui import questions
from unspool_tui.desk import Kind, Reply
from unspool_tui.present.chain_lines import Chain, chain_heading, chain_row, finding_row, progress_row, summary_row
from unspool_tui.present.footer import footer
from unspool_tui.present.frame import Frame
from unspool_tui.present.line import Row
from unspool_tui.screens.modal import Modal
from unspool_tui.view import moves
from unspool_tui.view.ledger import Ledger
from unspool_tui.widgets.lines import Lines
from unspool_tui.widgets.panel import Framed, Made

if TYPE_CHECKING:
    from unspool.query.doctor import Diagnosis
    from unspool_tui.screens.main import MainScreen

_MOST_FINDINGS = 6
_KEYS = [
    ("j k", "move"),
    ("Enter", "go to the full snapshot"),
    ("D", "doctor"),
    ("R", "repair into a new file"),
    ("Esc", "back"),
]


class ChainsScreen(Modal[None]):
    """All chains, their limits, and what the doctor says of them."""

    def __init__(self, main: MainScreen) -> None:
        super().__init__()
        self._main = main
        self._chains = chains_of(main.scene.ledger)
        self._cursor = next((row for row, chain in enumerate(self._chains) if chain.last >= main.view.head), 0)
        self._diagnosis: Diagnosis | None = None
        self._progress: tuple[int, int] | None = None

    def compose(self) -> ComposeResult:
        """Lay out verdict, heading, list and keys."""
        with Vertical(id="page"):
            yield Lines(id="verdict")
            yield Lines(id="heading")
            yield Framed(id="chain-list")
            yield Lines(id="keys")

    def paint(self) -> None:
        """Show what is known so far."""
        top = self._top()
        verdict, width = self.query_one("#verdict", Lines), self.app.size.width
        verdict.styles.height = len(top)
        verdict.show_rows(top)
        self.query_one("#heading", Lines).show_rows([chain_heading(width)])
        glyphs = self.pen.glyphs
        place = f"{self._cursor + 1:,} of {len(self._chains):,}" if self._chains else "none"
        frame = Frame(0, "Chains", right=((place, "dim"),), focused=True)
        rows = Made(len(self._chains), lambda index, room: chain_row(self._chains[index], room, glyphs))
        self.query_one(Framed).show(rows, frame, self._cursor)
        self.query_one("#keys", Lines).show_rows([footer(_KEYS, width)])

    def _top(self) -> list[Row]:
        glyphs, width = self.pen.glyphs, self.app.size.width
        if self._progress is not None:
            return [progress_row(*self._progress, width, glyphs)]
        found = self._diagnosis
        if found is None:
            return [Row(((" not examined yet: ", "dim"), ("D", "key"), (" has the doctor check every entry", "dim")))]
        rows = [summary_row(str(found.verdict), found.entries, found.readable, found.chain_count)]
        # Notes are about single chains, whose lines tell them already.
        serious = [finding for finding in found.findings if str(finding.severity) != "note"]
        for finding in serious[:_MOST_FINDINGS]:
            rows += finding_row(str(finding.severity), finding.place, finding.meaning, finding.remedy, glyphs)
        left = len(serious) - _MOST_FINDINGS
        return [*rows, Row(((f" {left:,} more findings; `unspool doctor` lists them", "dim"),))] if left > 0 else rows

    def press(self, key: str, character: str | None) -> bool:
        """Move, examine, repair, or go to a chain."""
        page = self.query_one(Framed).page
        steps = {"j": 1, "down": 1, "k": -1, "up": -1, "pagedown": page, "pageup": -page, "ctrl+d": page // 2}
        steps |= {
            "ctrl+u": -(page // 2),
            "g": -len(self._chains),
            "home": -len(self._chains),
            "end": len(self._chains),
        }
        if character == "G":
            self._move(len(self._chains))
        elif character == "D":
            self.examine()
        elif character == "R":
            self._ask_repair()
        elif key in steps:
            self._move(steps[key])
        elif key == "enter" and self._chains:
            self._main.apply(moves.jump_to(self._main.view, self._chains[self._cursor].first))
            self.leave()
        elif key == "q":
            self.leave()
        else:
            return False
        return True

    def leave(self) -> None:
        """Stop the doctor, or go back."""
        if self._progress is not None:
            self._main.desk.cancel(Kind.TASK)
            self._progress = None
            self.paint()
        else:
            self.dismiss(None)

    def _move(self, by: int) -> None:
        self._cursor = max(0, min(self._cursor + by, len(self._chains) - 1))
        self.paint()

    def examine(self) -> None:
        """Have the doctor look at every entry."""
        history, withdrawn = self._main.scene.history, self._main.desk.withdrawn
        self._work(lambda tell: questions.examine(history, tell, withdrawn), self._examined)

    def _examined(self, found: Diagnosis) -> None:
        self._diagnosis = found
        self._chains = [examined_chain(row) for row in found.chains]
        self._cursor = min(self._cursor, max(0, len(self._chains) - 1))

    def _ask_repair(self) -> None:
        from unspool_tui.screens.exporting import check_target, target
        from unspool_tui.screens.prompt import Prompt

        files = [path for path in self._main.scene.history.watch_paths if path.suffix == ".unspool"]
        if not files:
            self._main.flash(
                "only a native .unspool file can be repaired; this history is read from another source", "warning"
            )
            return

        def typed(name: str | None) -> None:
            if name is not None and name.strip():
                withdrawn = self._main.desk.withdrawn
                out = str(target(name))
                self._work(lambda tell: questions.repair_file(str(files[0]), out, tell, withdrawn), self._repaired)

        hint = "repair writes a new file with all that is intact; the old one is never changed"
        proposal = f"{files[0].stem}-repaired.unspool"
        self._main.open(Prompt("R", hint, text=proposal, check=check_target), typed)

    def _repaired(self, report: Any) -> None:
        self._main.flash(
            f"{report.out}: {report.kept:,} of {report.entries:,} entries as recorded, {len(report.holes):,} holes",
            "good",
        )

    def _work(self, work: Callable[[Callable[[int, int], None]], Any], then: Callable[[Any], None]) -> None:
        progress = _Progress()

        def take(reply: Reply) -> None:
            self._progress = None
            if reply.error is None:
                then(reply.value)
            if self.is_current:
                self.paint()

        def watch() -> None:
            if self._progress is not None:
                self._progress = progress.seen
                self.paint()
                self.set_timer(0.1, watch)

        self._progress = (0, self._main.view.total)
        self._main.ask(Kind.TASK, lambda: work(progress.tell), take)
        watch()

    @on(Framed.Clicked)
    def _clicked(self, message: Framed.Clicked) -> None:
        if message.row >= 0:
            self._cursor = message.row
            self.paint()

    @on(Framed.Wheeled)
    def _wheeled(self, message: Framed.Wheeled) -> None:
        self._move(message.by * 3)


class _Progress(Struct):
    """How far the worker is; written there, read here."""

    seen: tuple[int, int] = field(default=(0, 0))

    def tell(self, done: int, total: int) -> None:
        """Take note."""
        self.seen = (done, total)


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
