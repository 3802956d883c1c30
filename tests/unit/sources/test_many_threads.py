"""A database of very many threads: what the others hold costs nothing, and every state is what plain joining gives."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack
import pytest

from unspool import open_history
from unspool.sources.detection import MANY
from unspool.sources.foreign import very_many

TABLE = (
    "CREATE TABLE checkpoints (thread_id TEXT, checkpoint_ns TEXT DEFAULT '', checkpoint_id TEXT, "
    "parent_checkpoint_id TEXT, type TEXT, checkpoint BLOB, metadata BLOB)"
)


def written(path: Path, threads: int, steps: int, size: int) -> list[dict[str, Any]]:
    """Write a database whose threads take turns, some going back and some losing a channel; return the joined states."""
    rng = random.Random(7)
    turns = [thread for thread in range(threads) for _ in range(steps)]
    rng.shuffle(turns)
    ids: dict[int, list[str]] = {}
    joined: dict[str, Any] = {}
    states: list[dict[str, Any]] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(TABLE)
        database.execute("BEGIN")
        for number, thread in enumerate(turns):
            known = ids.setdefault(thread, [])
            values: dict[str, Any] = {
                "text": f"{thread} " * (size // 4),
                "step": len(known),
                "seen": [len(known)] * rng.randrange(3),
            }
            if rng.random() < 0.1:
                del values["seen"]
            # One in twenty goes back to an older checkpoint of its own.
            parent = None if not known else rng.choice(known) if rng.random() < 0.05 else known[-1]
            known.append(f"{number:09}")
            row = (
                f"t{thread}", "", known[-1], parent, "msgpack",
                msgpack.packb({"v": 1, "ts": f"2024-05-01T00:00:00.{number:06}+00:00", "channel_values": values}),
                json.dumps({"step": len(known)}),
            )  # fmt: skip
            database.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            for name in [name for name in joined if name.startswith(f"t{thread} ")]:
                if name.split(" ")[1] not in values:
                    del joined[name]
            joined |= {f"t{thread} {name}": value for name, value in values.items()}
            states.append(dict(joined))
        database.execute("COMMIT")
    return states


def test_every_state_is_that_of_all_threads(tmp_path: Path) -> None:
    states = written(tmp_path / "a.sqlite", 60, 6, 40)
    with open_history(tmp_path / "a.sqlite", follow=False) as history:
        assert [history.state(seq) for seq in range(len(history))] == states
        for seq in range(1, len(states)):
            if history[seq].parent_seq == seq - 1:
                before, after = states[seq - 1], states[seq]
                changed = {name for name in {**before, **after} if before.get(name) != after.get(name)}
                assert {name for name, _ in history.changed_atoms(seq)} == changed


@pytest.mark.slow
def test_time_and_temporary_file_grow_with_the_source_and_not_with_its_square(tmp_path: Path) -> None:
    spent: list[float] = []
    for threads in (50, 200):
        path = tmp_path / f"{threads}.sqlite"
        written(path, threads, 6, 12_000)
        started = time.process_time()
        with open_history(path, follow=False) as history:
            spent.append(time.process_time() - started)
            assert len(history) == threads * 6
            assert history.file_bytes() < 2 * path.stat().st_size + (8 << 20)
    # Four times as much took sixteen times as long.
    assert spent[1] < 9 * spent[0]


def test_very_many_threads_are_told_and_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    written(path, MANY + 1, 2, 40)
    with open_history(path, follow=False) as history:
        assert f"holds {MANY + 1} threads in one timeline; --select thread=NAME" in history.verdict.notes[0]
    with open_history(path, follow=False, select={"thread": "t3"}) as history:
        assert len(history) == 2
        assert history.verdict.notes == ()
    assert len(very_many(str(path))) == MANY + 1
    few = tmp_path / "few.sqlite"
    written(few, MANY, 2, 40)
    assert very_many(str(few)) == ()
    text = tmp_path / "a.jsonl"
    text.write_text("{}\n")
    assert very_many(str(text)) == very_many("-") == very_many("git:.:a.json") == ()
