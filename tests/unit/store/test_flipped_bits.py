"""Every flipped bit of a file gives the right answer or an error of ours, to every question: never a wrong one."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from unspool.errors import UnspoolError
from unspool.history import History
from unspool.query.blame import blame
from unspool.query.doctor.diagnosis import diagnose
from unspool.recorder import Recorder
from unspool.store import FileStore

ENTRIES = 140
ATOM = "cart1"


def make(path: Path, *, closes: bool = True) -> Path:
    """Record a small history with everything a file can hold: blocks, and a tail where it is not closed."""
    rng = random.Random(3)
    recorder = Recorder(path, on_error="raise", identity={"items[*]": "sku"})
    state: dict[str, Any] = {f"cart{number}": {"n": 0, "items": []} for number in range(3)}
    for step in range(ENTRIES):
        cart = state[f"cart{rng.randrange(3)}"]
        cart["n"] += 1
        cart["items"] = [*cart["items"], {"sku": rng.randrange(9)}][-4:]
        meta = {"step": step} if step % 30 == 5 else None
        parent = 3 if step == 70 else None
        recorder.record(state, f"act {step % 3}", timestamp_ns=step * 1000, meta=meta, parent_seq=parent)
    if closes:
        recorder.close()
        return path
    recorder.store._writer.sealer.finish()  # type: ignore[attr-defined]
    copy = path.with_name("copy.unspool")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    recorder.close()
    return copy


def told(history: History, seq: int) -> list[Any]:
    return [(change.atom, change.kind, change.old, change.new) for change in history.changes(seq).changes]


def answers(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the answer to each question, or the error that was raised for it."""

    def attempt(name: str, ask: Callable[[], Any]) -> tuple[str, Any]:
        try:
            return name, ask()
        except UnspoolError as error:
            assert str(error)
            return name, error

    name, opened = attempt("open", lambda: History(FileStore.open(path)))
    if isinstance(opened, UnspoolError):
        yield name, opened
        return
    with opened as history:
        store = history.store
        yield attempt("count", lambda: len(history))
        yield attempt("end", lambda: store.ending().end)
        for seq in (0, 40, 64, 70, 127, 128, ENTRIES - 1):
            yield attempt(f"state {seq}", lambda seq=seq: history.state(seq))  # type: ignore[misc]
            yield attempt(f"entry {seq}", lambda seq=seq: history[seq])  # type: ignore[misc]
            yield attempt(f"changed {seq}", lambda seq=seq: store.changed(seq))  # type: ignore[misc]
            yield attempt(f"diff {seq}", lambda seq=seq: told(history, seq))  # type: ignore[misc]
        yield attempt("value", lambda: History(store).value(ENTRIES - 3, ATOM))
        yield attempt("log", lambda: history[:])
        yield attempt("writes", lambda: list(history.writes(ATOM)))
        yield attempt("blame", lambda: [(one.path, one.seq) for one in blame(history, ENTRIES - 1, (ATOM,)).values])
        yield attempt("identity", store.identity)
        yield attempt("columns", lambda: (list(history.columns().timestamp_ns), bytes(history.columns().codec)))
        yield attempt("stats", lambda: (history.stats().entries, history.stats().atoms, history.stats().health))


def wrong_answers(path: Path, expected: dict[str, Any]) -> list[str]:
    """Return the questions that a damaged file answers wrongly without saying so."""
    wrong = []
    found = dict(answers(path))
    for name, answer in found.items():
        if isinstance(answer, UnspoolError) or answer == expected[name] or name == "end":
            continue
        if name == "columns" and _has_holes_only(answer, expected[name]):
            continue
        if name == "stats" and answer[2] != "healthy":
            continue
        wrong.append(f"{name}: {answer!r}")
    return wrong


def _has_holes_only(found: Any, expected: Any) -> bool:
    """Whether screens show entries that cannot be read as such, and all others as they are."""
    if len(found[0]) != len(expected[0]):
        return False
    same = [
        code == 255 or (time, code) == other
        for time, code, other in zip(*found, zip(*expected, strict=True), strict=True)
    ]
    return all(same)


def flipped(path: Path, target: Path, place: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    target.write_bytes(data)


PARTS = 2


@pytest.mark.one_in(4)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("closes", [True, False])
def test_a_flipped_bit_is_noticed(tmp_path: Path, closes: bool, part: int) -> None:
    path, copy = make(tmp_path / "whole.unspool", closes=closes), tmp_path / "flipped.unspool"
    expected = dict(answers(path))
    assert not any(isinstance(answer, UnspoolError) for answer in expected.values())
    rng = random.Random(part)
    places = [rng.randrange(path.stat().st_size) for _ in range(40)]
    for place in places:
        bit = rng.randrange(8)
        flipped(path, copy, place, bit)
        wrong = wrong_answers(copy, expected)
        if wrong and not closes:
            # The last rows of the tail may go with a page: then nobody may call the file whole.
            with closing(FileStore.open(copy)) as store:
                assert not store.ending().is_certain
                assert len(store) < ENTRIES
            continue
        assert wrong == [], (place, bit)
        try:
            diagnose(copy)
        except UnspoolError:
            continue
