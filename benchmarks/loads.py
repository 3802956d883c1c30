"""What is recorded in the measurements: synthetic loads S1 to S5, the same in every run, and histories from files.

A synthetic load changes one live state in place, as an app does: whoever keeps a state has to copy it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from benchmarks.words import sentence, word

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Load:
    """A history to be recorded.

    Attributes:
        name: short name, as in tables.
        title: what it is, in a line.
        count: number of states it yields.
        source: starts yielding its states; the yielded object may be the same, changed in place.
        from_file: it is a real history, not one of ours.
    """

    name: str
    title: str
    count: int
    source: Callable[[], Iterator[State]]
    from_file: bool = False

    def states(self, limit: int | None = None) -> Iterator[State]:
        """Yield the states from the first one on."""
        return islice(self.source(), self.count if limit is None else min(limit, self.count))

    def limited(self, count: int) -> Load:
        """Return the same load, cut after some states."""
        return replace(self, count=min(count, self.count))


def many_small_edits() -> Iterator[State]:
    """S1: 64 atoms, 10 KB in all, one to three small edits a step."""
    rng = random.Random(101)
    atoms: list[State] = [
        {
            "id": number,
            "title": sentence(rng, 6),
            "note": sentence(rng, 4),
            "tags": [word(rng) for _ in range(3)],
            "done": False,
            "score": round(rng.random() * 100, 2),
        }
        for number in range(64)
    ]
    state: State = {f"item{number:02}": atom for number, atom in enumerate(atoms)}
    while True:
        yield state
        for _ in range(rng.randint(1, 3)):
            atom = rng.choice(atoms)
            match rng.randrange(4):
                case 0:
                    atom["done"] = not atom["done"]
                case 1:
                    atom["score"] = round(rng.random() * 100, 2)
                case 2:
                    atom["tags"][rng.randrange(3)] = word(rng)
                case _:
                    atom["title"] = sentence(rng, 6)


def many_atoms() -> Iterator[State]:
    """S2: 1,000 small atoms, 21 KB in all, one to three of them replaced a step."""
    rng = random.Random(102)
    makers: tuple[Callable[[], Any], ...] = (
        lambda: rng.randrange(1_000_000),
        lambda: round(rng.random() * 1000, 3),
        lambda: word(rng),
        lambda: rng.random() < 0.5,
        lambda: [rng.randrange(100), rng.randrange(100)],
    )
    names = [f"sensor.{number:04}.now" for number in range(1000)]
    state: State = {name: makers[number % len(makers)]() for number, name in enumerate(names)}
    while True:
        yield state
        for _ in range(rng.randint(1, 3)):
            number = rng.randrange(1000)
            state[names[number]] = makers[number % len(makers)]()


def one_long_list() -> Iterator[State]:
    """S3: one list of 10,000 records, 530 KB, one field of one record changed a step."""
    rng = random.Random(103)
    rows = [{"id": number, "name": f"record {number}", "amount": rng.randrange(10**6)} for number in range(10_000)]
    for row in rows:
        row["open"] = rng.random() < 0.5
        row["who"] = word(rng)
    state: State = {"rows": rows, "page": 0, "sorted_by": "id"}
    while True:
        yield state
        row = rng.choice(rows)
        field = rng.choice(("amount", "open", "who"))
        row[field] = rng.randrange(10**6) if field == "amount" else not row["open"] if field == "open" else word(rng)


def edited_text() -> Iterator[State]:
    """S4: one text of 50 KB, a word typed, deleted or replaced a step where the cursor is."""
    rng = random.Random(104)
    text = sentence(rng, 8_000)[:50_000]
    state: State = {"text": text, "cursor": 0, "selection": None, "title": "notes"}
    cursor = 25_000
    while True:
        yield state
        if rng.random() < 0.1:
            cursor = rng.randrange(len(text))
        cut = rng.choice((0, 0, 1, 6))
        new = "" if cut == 1 else word(rng) + " "
        cursor = min(cursor, len(text) - 8)
        text = text[:cursor] + new + text[cursor + cut :]
        cursor += len(new)
        state["text"], state["cursor"] = text, cursor


def growing_log() -> Iterator[State]:
    """S5: a log that grows by a line a step, and a list of tasks that come and go anywhere in it; 40 KB on average."""
    rng = random.Random(105)
    log: list[State] = []
    tasks: list[State] = [{"key": number, "text": sentence(rng, 4), "done": False} for number in range(20)]
    state: State = {"log": log, "tasks": tasks, "filter": "all"}
    number = len(tasks)
    while True:
        yield state
        log.append({"at": 1_700_000_000 + number, "level": rng.choice(("info", "warn")), "text": sentence(rng, 5)})
        if rng.random() < 0.5 or not tasks:
            tasks.insert(rng.randint(0, len(tasks)), {"key": number, "text": sentence(rng, 4), "done": False})
        elif rng.random() < 0.7:
            tasks.pop(rng.randrange(len(tasks)))
        else:
            task = rng.choice(tasks)
            task["done"] = not task["done"]
        number += 1


def synthetic_loads(*, quick: bool) -> list[Load]:
    """Return S1 to S5; quick ones are a tenth as long."""
    # git takes minutes to pack more of S2 and S3 than this, and the size a state takes no longer changes.
    counts = {"S1": 1000, "S2": 4000, "S3": 300, "S4": 1000, "S5": 1000}
    share = 10 if quick else 1
    named: list[tuple[str, str, Callable[[], Iterator[State]]]] = [
        ("S1", "64 atoms, 10 KB, 1-3 small edits a step", many_small_edits),
        ("S2", "1,000 atoms, 21 KB, 1-3 replaced a step", many_atoms),
        ("S3", "one list of 10,000 records", one_long_list),
        ("S4", "50 KB of text being edited", edited_text),
        ("S5", "growing log and a list of tasks", growing_log),
    ]
    return [Load(name, title, counts[name] // share, source) for name, title, source in named]
