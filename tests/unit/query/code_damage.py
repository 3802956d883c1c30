"""What the cases of single blobs and of foreign sources do not cover: one damaged history for each further code."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from health_damage import START, altered_delta, ask, blocks_of, change, keep_fact, live, recorded, rewrite_tail

from unspool import open_history
from unspool.history import History
from unspool.model.encoding import encode
from unspool.query.doctor.findings import Code
from unspool.query.repair import repair
from unspool.recorder import Recorder

States = list[dict[str, Any]]


@dataclass(frozen=True)
class Sick:
    """A damaged history.

    Attributes:
        path: the file.
        states: what was recorded; a state that a lost name changes stands here under its number already.
        holes: entries that must be lost; None where it depends on SQLite which are.
        doubtful: entries that must be marked.
    """

    path: Path
    states: States
    holes: set[int] | None = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)


def damaged_page(folder: Path) -> Sick:
    """A page of the records' tree is overwritten."""
    file = recorded(folder / "x.unspool", count=900)
    with closing(sqlite3.connect(file.path)) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'block_data'").fetchone()[0]
    data = bytearray(file.path.read_bytes())
    data[(root - 1) * size : root * size] = b"\x5a" * size
    file.path.write_bytes(bytes(data))
    return Sick(file.path, file.states, holes=None)


def forged_value(folder: Path) -> Sick:
    """A delta holds another value than was recorded, with a checksum that fits."""
    file = altered_delta(folder / "x.unspool")
    fulls = [entry.seq for entry in file.entries if entry.kind == "full"]
    doubtful = set(range(max(seq for seq in fulls if seq <= 6) + 1, min(seq for seq in fulls if seq > 6) + 1))
    with open_history(file.path) as history:
        read = [history.state(seq) for seq in range(len(history))]
    # What is doubtful is kept as it reads.
    states = [read[seq] if seq in doubtful else state for seq, state in enumerate(file.states)]
    return Sick(file.path, states, doubtful=doubtful)


def another_version(folder: Path) -> Sick:
    """An entry is exchanged with one of a copy that went on differently."""
    file = live(folder / "x.unspool", strategy="manual")
    rewrite_tail(file.path, 5, chains=False, action="of a copy")
    return Sick(file.path, file.states)


def other_settings(folder: Path) -> Sick:
    """What the file says of itself was changed."""
    file = recorded(folder / "x.unspool")
    change(file.path, ("UPDATE meta SET value = 5 WHERE key = 'created_ns'", ()))
    return Sick(file.path, file.states)


def no_end(folder: Path) -> Sick:
    """The file does not say any more where it ends."""
    file = recorded(folder / "x.unspool")
    change(file.path, ("DELETE FROM meta WHERE key = 'end'", ()))
    return Sick(file.path, file.states)


def lost_name(folder: Path) -> Sick:
    """The name of an atom is gone."""
    file = recorded(folder / "x.unspool")
    name = bytes(ask(file.path, "SELECT name FROM atom WHERE id = 3")[0][0]).decode()
    change(file.path, ("DELETE FROM atom WHERE id = 3", ()))
    states = [{"atom#3" if key == name else key: value for key, value in state.items()} for state in file.states]
    return Sick(file.path, states)


def _fork(folder: Path, parent: int) -> Sick:
    file = live(folder / "x.unspool", strategy="changes:4")
    full = next(entry.seq for entry in file.entries if entry.kind == "full" and entry.seq > 4)
    rewrite_tail(file.path, full, extra=encode({"parent": parent}))
    return Sick(file.path, file.states, doubtful={full})


def fork_from_nowhere(folder: Path) -> Sick:
    """An entry says that it follows one that is not there."""
    return _fork(folder, 999)


def fork_on_another_branch(folder: Path) -> Sick:
    """An entry says that it follows one from which its changes do not lead to it."""
    return _fork(folder, 0)


def no_identity(folder: Path) -> Sick:
    """The id of the history is gone."""
    file = recorded(folder / "x.unspool")
    change(file.path, ("DELETE FROM meta WHERE key = 'history_id'", ()))
    return Sick(file.path, file.states)


def clock_set_back(folder: Path) -> Sick:
    """The clock of the recording machine went back."""
    states = [{"n": n} for n in range(40)]
    with Recorder(folder / "x.unspool", on_error="raise") as recorder:
        for n, state in enumerate(states):
            recorder.record(state, timestamp_ns=START + (n if n != 20 else 3))
    return Sick(folder / "x.unspool", states)


def nothing_changed(folder: Path) -> Sick:
    """An entry that changes nothing."""
    states = [{"n": n // 2} for n in range(40)]
    with Recorder(folder / "x.unspool", on_error="raise") as recorder:
        for n, state in enumerate(states):
            recorder.record(state, timestamp_ns=START + n)
    return Sick(folder / "x.unspool", states)


def chain_too_long(folder: Path) -> Sick:
    """A chain is longer than the rule it was recorded with allows."""
    file = live(folder / "x.unspool", strategy="changes:6")
    keep_fact(file.path, "recording:0", '{"strategy": "changes:2", "codec": "auto"}')
    return Sick(file.path, file.states)


def repaired_with_a_hole(folder: Path) -> Sick:
    """A file that was repaired before."""
    file = recorded(folder / "x.unspool")
    first = blocks_of(file.path)[1][0]
    change(file.path, ("DELETE FROM block_data WHERE first = ?", (first,)))
    repair(file.path, folder / "y.unspool")
    return _as_it_reads(folder / "y.unspool")


def repaired_with_doubt(folder: Path) -> Sick:
    """A file in which a repair marked entries."""
    repair(forged_value(folder).path, folder / "y.unspool")
    return _as_it_reads(folder / "y.unspool")


def _as_it_reads(path: Path) -> Sick:
    with open_history(path) as history:
        return Sick(path, [history.state(seq) for seq in range(len(history))])


def a_line_is_broken(folder: Path) -> Sick:
    """A source of which a line does not read."""
    path = folder / "states.jsonl"
    lines = [json.dumps({"timestamp": n, "action": "a", "state": {"n": n}}) for n in range(9)]
    path.write_text("\n".join([*lines[:4], "{broken", *lines[4:]]) + "\n")
    return Sick(path, [{"n": n} for n in range(9)])


MORE_CODES: dict[Code, Callable[[Path], Sick]] = {
    Code.SQLITE_DAMAGE: damaged_page,
    Code.REPLAY_DIFFERS: forged_value,
    Code.UNKNOWN_ATOM: lost_name,
    Code.CHECKSUM_CHAIN: another_version,
    Code.DAMAGED_FACT: other_settings,
    Code.WRONG_END: no_end,
    Code.FORK_WITHOUT_PARENT: fork_from_nowhere,
    Code.FORK_WRONG_BRANCH: fork_on_another_branch,
    Code.IDENTITY_LOST: no_identity,
    Code.CLOCK_BACKWARDS: clock_set_back,
    Code.NO_OP: nothing_changed,
    Code.OVER_LIMIT: chain_too_long,
    Code.HOLE: repaired_with_a_hole,
    Code.DOUBTFUL: repaired_with_doubt,
    Code.SOURCE_PARTIAL: a_line_is_broken,
}


def opened(path: Path) -> History | Path:
    """Return what doctor and repair are given: the path of a native file, or a history of another source."""
    return path if path.suffix == ".unspool" else open_history(path, follow=False)
