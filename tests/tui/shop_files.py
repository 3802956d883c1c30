"""Histories of a small shop to look at, and what damages them."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from unspool.recorder.recorder import Recorder

START_NS = 1_772_366_400 * 10**9
"""2026-03-01 12:00:00 UTC."""


def shop_states(count: int) -> list[tuple[dict[str, Any], str]]:
    """Return states and actions of a small shop; the same ones every time."""
    chance = random.Random(7)
    names = ["Oat milk", "Rye bread", "Espresso beans", "Olive oil", "Green tea"]
    catalog = {f"sku-{i}": {"name": name, "stock": 40 + i, "price": 2.5 + i} for i, name in enumerate(names)}
    state: dict[str, Any] = {
        "cart": {"items": [], "coupon": None, "total": 0.0},
        "session": {"user_id": None, "open": False},
        "catalog": catalog,
        "requests": 0,
        "banner": "Welcome to the corner shop, we open at eight",
    }
    told = []
    for number in range(count):
        state["requests"] = number
        action = "tick"
        if number % 3 == 1:
            sku = f"sku-{chance.randrange(5)}"
            state["cart"]["items"].append({"sku": sku, "qty": 1})
            catalog[sku]["stock"] -= 1
            action = "add item"
        elif number % 7 == 3:
            state["session"] = {"user_id": 4000 + number, "open": number % 2 == 0}
            action = "sign in"
        elif number % 10 == 5:
            if "draft" in state:
                del state["draft"]
            else:
                state["draft"] = {"text": "Restock before noon", "by": "Mara"}
            action = "draft"
        elif number % 11 == 8:
            state["banner"] = f"Welcome to the corner shop, we open at {'nine' if number % 2 else 'ten'}"
            action = "edit banner"
        elif number % 12 == 6:
            state["cart"]["items"].clear()
            action = "check out"
        told.append((_copy(state), action))
    return told


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def record(path: Path, states: list[tuple[dict[str, Any], str]], **options: Any) -> Path:
    """Write a history file, a quarter of a second an entry."""
    with Recorder(path, **options) as recorder:
        for number, (state, action) in enumerate(states):
            recorder.record(state, action, timestamp_ns=START_NS + number * 250_000_000)
    return path


def hurt(path: Path) -> Path:
    """Damage the first sealed block of a history file, as a bad disk would."""
    with closing(sqlite3.connect(path)) as connection:
        (first,) = connection.execute("SELECT min(first) FROM block_data").fetchone()
        connection.execute("UPDATE block_data SET data = zeroblob(length(data)) WHERE first = ?", (first,))
        connection.commit()
    return path
