"""Frozen files of both formats, in `fixtures/`, read for ever as what was recorded into them; the first one has fewer checksums."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from unspool.errors import CorruptHistory, UnreadableSource
from unspool.history import History
from unspool.query.doctor.diagnosis import Code, Health, diagnose
from unspool.query.repair import repair
from unspool.recorder import Recorder
from unspool.store import FileStore
from unspool.store.compacting import compact
from unspool.store.protocol import HOLE

FROZEN = {number: Path(__file__).parents[3] / "fixtures" / f"format_{number}" for number in (1, 2)}
FILES = [(number, path.stem) for number, folder in FROZEN.items() for path in sorted(folder.glob("*.unspool"))]
of_every_file = pytest.mark.parametrize(("form", "name"), FILES)


def thawed(name: str, folder: Path, number: int = 1) -> Path:
    """Copy a frozen file of the format of that number, since a reader may make side files beside it."""
    for suffix in ("", "-wal"):
        source = FROZEN[number] / f"{name}.unspool{suffix}"
        if source.exists():
            shutil.copyfile(source, folder / source.name)
    return folder / f"{name}.unspool"


def expected(name: str, number: int = 1) -> dict[str, Any]:
    text = (FROZEN[number] / f"{'closed' if name == 'compacted' else name}.json").read_text("ascii")
    return json.loads(text)  # type: ignore[no-any-return]


def told(history: History, seq: int) -> dict[str, Any]:
    """Return what an entry reads as, the way the frozen answers were written."""
    entry, store = history[seq], history.store
    return {
        "id": entry.id,
        "kind": entry.kind.value,
        "time": entry.timestamp_ns,
        "action": entry.action,
        "parent": entry.parent_seq,
        "counts": [entry.added, entry.modified, entry.deleted],
        "meta": repr(dict(entry.meta)),
        "changed": [[atom, kind.value] for atom, kind in store.changed(seq)],
        "state": repr(history.state(seq)),
    }


def schema_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_every_kind_of_file_is_frozen() -> None:
    first = ["closed", "compacted", "killed", "odd", "sealed_and_killed"]
    assert [name for number, name in FILES if number == 1] == first
    assert [name for number, name in FILES if number == 2] == sorted([*first, "noted"])
    for number, name in FILES:
        # Where a file of SQLite says which format its owner gave it.
        assert int.from_bytes((FROZEN[number] / f"{name}.unspool").read_bytes()[60:64]) == number, name


@of_every_file
def test_a_frozen_file_reads_as_it_was_recorded(tmp_path: Path, form: int, name: str) -> None:
    path, answers = thawed(name, tmp_path, form), expected(name, form)
    with History(FileStore.open(path)) as history:
        assert isinstance(history.store, FileStore)
        assert history.store.history_id == answers["history_id"]
        assert history.store.identity() == answers["identity"]
        assert [told(history, seq) for seq in range(len(history))] == answers["entries"]
        assert {atom: list(history.writes(atom)) for atom in answers["writes"]} == answers["writes"]
        assert list(history.columns().timestamp_ns) == [entry["time"] for entry in answers["entries"]]
        for seq in range(0, len(history), 7):
            state = history.state(seq)
            assert {atom: repr(history.value(seq, atom)) for atom in state} == {a: repr(v) for a, v in state.items()}


@of_every_file
def test_a_recorder_goes_on_with_a_frozen_file_in_its_format(tmp_path: Path, form: int, name: str) -> None:
    path, answers = thawed(name, tmp_path, form), expected(name, form)
    count = len(answers["entries"])
    for number in range(2):
        with Recorder(path, on_error="raise") as recorder:
            for step in range(150):
                recorder.record({"later": step, "run": number}, "on", timestamp_ns=step)
        assert schema_of(path) == form
    with History(FileStore.open(path)) as history:
        assert [told(history, seq) for seq in range(count)] == answers["entries"]
        assert [history.state(count + seq) for seq in range(300)] == [
            {"later": seq % 150, "run": seq // 150} for seq in range(300)
        ]
    assert diagnose(path).readable == count + 300


@of_every_file
def test_a_frozen_file_is_compacted(tmp_path: Path, form: int, name: str) -> None:
    path, answers = thawed(name, tmp_path, form), expected(name, form)
    compact(path, tmp_path / "out.unspool")
    with History(FileStore.open(tmp_path / "out.unspool")) as history:
        assert [told(history, seq) for seq in range(len(history))] == answers["entries"]


# --- what the format has no checksum for ------------------------------------------------------------------------------


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


def test_a_damaged_set_of_atoms_of_a_block_hides_no_write(tmp_path: Path) -> None:
    path, answers = thawed("closed", tmp_path), expected("closed")
    change(path, "UPDATE block SET atoms = zeroblob(length(atoms))")
    with History(FileStore.open(path)) as history:
        assert {atom: list(history.writes(atom)) for atom in answers["writes"]} == answers["writes"]


def test_a_damaged_sum_over_all_entries_is_not_believed(tmp_path: Path) -> None:
    path = thawed("closed", tmp_path)
    with History(FileStore.open(path)) as history:
        true = history.stats()
    with closing(sqlite3.connect(path)) as connection:
        (tally,) = connection.execute("SELECT value FROM meta WHERE key = 'tally'").fetchone()
    assert tally[0] == 0x93
    for place in range(len(tally)):
        damaged = bytearray(tally)
        damaged[place] ^= 1
        change(path, "UPDATE meta SET value = ? WHERE key = 'tally'", bytes(damaged))
        with History(FileStore.open(path)) as history:
            assert history.stats().atoms == true.atoms


def test_a_name_of_an_atom_must_agree_with_the_index_over_them(tmp_path: Path) -> None:
    path = thawed("closed", tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        name = connection.execute("SELECT name FROM atom WHERE id = 0").fetchone()[0]
    data = path.read_bytes()
    places = [at for at in range(len(data)) if data.startswith(name, at)]
    refused = 0
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            with History(FileStore.open(path)) as history:
                assert name.decode() in history.store.names()
        except CorruptHistory as error:
            refused += 1
            assert "name" in str(error)
            found = diagnose(path)
            assert found.verdict == "broken"
    assert refused >= 2


@pytest.mark.parametrize("found", ["5eed5eex", "5EED5EED", "", b"5eed5eed", 17])
def test_an_id_of_the_history_that_no_recorder_drew_is_refused_and_the_entries_are_kept(
    tmp_path: Path, found: object
) -> None:
    path, answers = thawed("closed", tmp_path), expected("closed")
    change(path, "UPDATE meta SET value = ? WHERE key = 'history_id'", found)
    with pytest.raises(CorruptHistory, match="history_id"):
        FileStore.open(path)
    report = repair(path, tmp_path / "out.unspool")
    assert (report.kept, report.holes) == (len(answers["entries"]), ())


def test_entries_of_a_history_without_an_id_have_none(tmp_path: Path) -> None:
    path = thawed("closed", tmp_path)
    change(path, "UPDATE meta SET key = 'hisTory_id' WHERE key = 'history_id'")
    with History(FileStore.open(path)) as history:
        assert not {entry.id for entry in history if entry.id.startswith("-")}
        assert history.state(3)
    assert Code.IDENTITY_LOST in {finding.code for finding in diagnose(path).findings}


def test_entries_of_a_block_whose_number_is_damaged_are_told_under_no_other_number(tmp_path: Path) -> None:
    path, answers = thawed("closed", tmp_path), expected("closed")
    with closing(sqlite3.connect(path)) as connection:
        first, count = connection.execute("SELECT first, count FROM block ORDER BY first DESC LIMIT 1").fetchone()
    change(path, "UPDATE block SET first = first + 16 WHERE first = ?", first)
    with History(FileStore.open(path)) as history:
        for seq in range(first, len(history)):
            with pytest.raises(CorruptHistory):
                history[seq]
        columns = history.columns()
        assert set(columns.codec[first:]) == {HOLE}
        assert list(columns.timestamp_ns[:first]) == [entry["time"] for entry in answers["entries"][:first]]
    assert count
    assert diagnose(path).verdict == "broken"


@pytest.mark.parametrize("by", [1, 40, 2**33])
def test_rows_of_the_tail_behind_a_gap_are_not_shown_and_that_is_said(tmp_path: Path, by: int) -> None:
    path, answers = thawed("sealed_and_killed", tmp_path), expected("sealed_and_killed")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows = [seq for (seq,) in connection.execute("SELECT seq FROM tail ORDER BY seq")]
        assert rows[-1] == len(answers["entries"]) - 1
        middle = rows[len(rows) // 2]
        connection.execute("UPDATE tail SET seq = seq + ? WHERE seq = ?", (by + len(rows), middle))
    with History(FileStore.open(path)) as history:
        assert len(history) == middle
        assert [told(history, seq) for seq in range(len(history))] == answers["entries"][:middle]
        assert isinstance(history.store, FileStore)
        assert f"{len(rows) - len(rows) // 2} of the newest entries stand behind" in history.store.damage
    assert diagnose(path).verdict == "broken"


def test_no_name_of_an_atom_is_made_up_where_a_file_ends_in_the_middle_of_one(tmp_path: Path) -> None:
    path = thawed("closed", tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'atom'").fetchone()[0]
        names = {bytes(name).decode() for (name,) in connection.execute("SELECT name FROM atom")}
    data = path.read_bytes()
    size = int.from_bytes(data[16:18])
    for cut in range(size * root - 40, size * root + 1, 3):
        path.write_bytes(data[:cut])
        out = tmp_path / f"out{cut}.unspool"
        with suppress(UnreadableSource):
            repair(path, out)
            with History(FileStore.open(out)) as history:
                told = {
                    name
                    for seq in range(len(history))
                    for name in history.state(seq)
                    if not name.startswith(("atom#", "unspool."))
                }
                assert told <= names, cut


def test_a_block_that_claims_to_hold_trillions_is_refused(tmp_path: Path) -> None:
    path = thawed("closed", tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE block SET count = ? WHERE first = (SELECT max(first) FROM block)", (3 * 10**12,))
    with pytest.raises(CorruptHistory, match="claims"):
        FileStore.open(path)


@pytest.mark.parametrize("more", [-1, 1, 4])
def test_a_block_that_claims_another_number_of_entries_hides_no_write(tmp_path: Path, more: int) -> None:
    path = thawed("sealed_and_killed", tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE block SET count = count + ? WHERE first = (SELECT max(first) FROM block)", (more,))
    with closing(FileStore.open(path)) as store:
        for atom in store.reader.names():
            with pytest.raises(CorruptHistory):
                list(store.writes(atom, 0, len(store)))


def test_the_doctor_says_when_a_block_claims_entries_of_the_tail(tmp_path: Path) -> None:
    path = thawed("sealed_and_killed", tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE block SET count = count + 1 WHERE first = (SELECT max(first) FROM block)")
    found = diagnose(path)
    assert any("the tail holds those from" in finding.meaning for finding in found.findings)
    assert found.verdict is Health.BROKEN
