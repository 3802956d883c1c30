"""From the key that quits to the end of the process: at rest, and in the middle of work."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import tui_targets as target
from benchmarks.measure import median
from benchmarks.pty_latency import Session
from benchmarks.report import Row, absent, against
from benchmarks.tui_targets import Target

_MOST = 1.1
_SEARCH = b"/nothing is called this\r"


class Quits:
    """How long programs took to be gone."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}
        self.hung: set[str] = set()

    def add(self, name: str, taken: float | None) -> None:
        """Take note of one; None had to be killed."""
        if taken is None:
            self.hung.add(name)
        else:
            self.times.setdefault(name, []).append(taken)


def rows(ours: Target, hello: Target, quits: Quits, runs: int) -> list[Row]:
    """Measure quitting while a history is read through and while it is searched, beside what `quits` holds.

    Raises:
        ProgramEnded: a program did before it was to.
    """
    cases: dict[str, Callable[[Session], None]] = {
        "while the history is read through": lambda session: None,
        "during a search": _search,
    }
    for _ in range(runs):
        for case, begin in cases.items():
            session = ours.start()
            session.wait_for(ours.ready)
            begin(session)
            quits.add(case, session.quit(target.QUIT))
    base = quits.times.get(hello.name)
    return [
        _row(f"{ours.name}: quit {case}".replace(" at rest", ""), quits, name, base)
        for case, name in {"at rest": ours.name, **{case: case for case in cases}}.items()
    ]


def _search(session: Session) -> None:
    session.settle(0.3, 2.0)
    session.send(_SEARCH)
    session.read_until(session.started + 1.5)


def _row(what: str, quits: Quits, name: str, hello: list[float] | None) -> Row:
    ours = quits.times.get(name)
    if name in quits.hung:
        return Row(what, None, "", goal=f"≤ {_MOST}x", met=False, note="it had to be killed")
    if not ours or not hello:
        return absent(what, "not measured")
    return against(what, median(ours), median(hello), "ms", "hello", most=_MOST)
