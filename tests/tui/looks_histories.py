"""The histories that pictures are taken of; each is recorded once, when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_texts import HOSTILE_TEXTS
from shop_files import hurt, record, shop_states

from unspool import open_history
from unspool.recorder.recorder import Recorder
from unspool.sources.written_notes import SourceNotes, new_note
from unspool_tui.demo_app import run_at_once


def _faulty(path: Path) -> Path:
    """A shop that counts its orders by how many there are, and cancels some: an id comes twice."""
    orders: list[dict[str, int]] = []
    told = []
    for number, (state, action) in enumerate(shop_states(200)):
        if number % 10 == 4:
            orders = [*orders, {"id": len(orders), "total": 100 + number}]
            action = "place order"
        elif number % 50 == 48:
            orders = orders[:1] + orders[2:]
            action = "cancel order"
        told.append(({**state, "orders": orders}, action))
    return record(path, told)


def _nothing(path: Path) -> Path:
    with Recorder(path):
        return path


def _hostile(path: Path) -> Path:
    """Names and values that try to act on a terminal, wide letters and long texts."""
    texts = [text for text in HOSTILE_TEXTS if text.isprintable() or "\x1b" in text or "\u202e" in text]
    states: list[tuple[dict[str, Any], str]] = []
    for number in range(40):
        values = {f"{word[:20]} {at}": f"{number // 3} {word}" for at, word in enumerate(texts)}
        state = {"宽字符的名字": values, "[b]bold[/]": number, "long": "word " * 60 + str(number)}
        states.append((state, texts[number % len(texts)][:60]))
    return record(path, states)


def _noted(path: Path) -> Path:
    record(path, shop_states(60))
    with open_history(path, follow=False) as history:
        SourceNotes(str(path), history=history).add(
            new_note(history, 5, "the draft begins here"),
            new_note(history, 5, "who is Mara?", ("draft", "by")),
            new_note(history, 31, "from here on the stock is one too low, which the morning's count had not shown"),
        )
    return path


def _parts(path: Path) -> Path:
    """Two players who take turns; what is both of theirs is told by neither's name."""
    board: dict[str, Any] = {}
    states = []
    for number in range(80):
        player = "alice" if number % 2 else "bob"
        board = {**board, f"{player} score": number, f"{player} cards": 7 - number % 5}
        states.append((board, f"{player} plays"))
    return record(path, states)


def _demo(path: Path) -> Path:
    run_at_once(str(path), rate=5, steps=120, seed=0, bug=True)
    return path


HISTORIES: dict[str, Callable[[Path], Path]] = {
    "shop": lambda path: record(path, shop_states(200)),
    "hurt": lambda path: hurt(record(path, shop_states(500))),
    "faulty": _faulty,
    "nothing": _nothing,
    "one entry": lambda path: record(path, shop_states(1)),
    "hostile": _hostile,
    "noted": _noted,
    "parts": _parts,
    "demo": _demo,
}
