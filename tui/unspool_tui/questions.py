"""What the app asks of `unspool.query`: the one place that knows how questions are put there."""

from __future__ import annotations

from collections.abc import Iterator

from unspool_tui.view.history_port import HistoryPort


def check_search(text: str) -> str:
    """Return a hint for a search as typed so far."""
    return ""


def search(history: HistoryPort, text: str) -> Iterator[tuple[list[int], int]]:
    """Yield new hits and how many entries were looked at."""
    wanted = text.encode()
    hits: list[int] = []
    for seq in range(len(history)):
        state = history.view(seq)
        atoms = [atom for atom, _ in history.changed_atoms(seq) if atom in state]
        if any(wanted in state.encoded(atom) or text in atom for atom in atoms):
            hits.append(seq)
        if seq % 32 == 0:
            yield hits, seq + 1
            hits = []
    yield hits, len(history)
