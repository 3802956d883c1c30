"""Damage to small files of every kind: each byte flipped, each length cut, rows exchanged, deleted, doubled and foreign."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from torture.campaign import Campaign, Outcome, Result
from torture.specimens import (
    Places,
    is_of_id,
    lengths,
    places,
    small_moments,
    small_process,
    small_specimen,
    small_specimens,
)
from torture.truth import ENTRIES, Specimen, judged, moments, specimens, told
from unspool import open_history
from unspool.recorder import Recorder
from unspool.store.layout_1 import FirstLayout
from unspool.store.layout_2 import SecondLayout


class _OnSpecimens(Campaign):
    """Cases over all bytes of the smallest specimens of one format."""

    version = SecondLayout.version

    def prepare(self, folder: Path, seed: int) -> int:
        self.seed = seed
        self.places = self._places(small_specimens(folder / "specimens", self.version))
        return len(self.places)

    def _places(self, specimens: list[Specimen]) -> list[Places]:
        raise NotImplementedError


class Flips(_OnSpecimens):
    """Every byte once, by one bit or by all eight; those of a page that hold nothing all at once."""

    name = "flips"
    about = "each byte of a small file of each kind flipped; all answers, doctor and repair"

    def _places(self, specimens: list[Specimen]) -> list[Places]:
        return places(specimens)

    def run(self, case: int, folder: Path) -> Result:
        specimen, suffix, start, stop = self.places[case]
        bit = random.Random(self.seed * 1_000_003 + case).randrange(9)
        mask = 0xFF if bit == 8 else 1 << bit
        data = bytearray(specimen.parts[suffix])
        data[start:stop] = bytes(byte ^ mask for byte in data[start:stop])
        path = folder / "flipped.unspool"
        specimen.put(path, {suffix: bytes(data)})
        result = judged(specimen, path)
        outcome = _as_known(result.outcome, self.version, specimen.parts[suffix], start)
        return Result(outcome, f"{result.told} [{suffix or 'file'} byte {start} to {stop - 1}, {mask:#x}]")


def _as_known(outcome: Outcome, version: int, data: bytes, place: int) -> Outcome:
    """Return an outcome, wrong answers apart that nothing in a file of the first format tells from right ones."""
    if outcome is Outcome.WRONG and version == FirstLayout.version and is_of_id(data, place):
        return Outcome.UNKNOWABLE
    return outcome


class Cuts(_OnSpecimens):
    """Every length that a file or its log can be cut to."""

    name = "cuts"
    about = "a small file of each kind cut at each length"

    def _places(self, specimens: list[Specimen]) -> list[Places]:
        return lengths(specimens)

    def run(self, case: int, folder: Path) -> Result:
        specimen, suffix, start, stop = self.places[case]
        path = folder / "cut.unspool"
        specimen.put(path, {suffix: specimen.parts[suffix][:start]})
        result = judged(specimen, path)
        return Result(result.outcome, f"{result.told} [{suffix or 'file'} cut to {start}, or up to {stop - 1}]")


class FirstFlips(Flips):
    """The same on files of the first format."""

    name = "flips, format 1"
    about = "each byte of a small file of the first format flipped"
    version = FirstLayout.version


class FirstCuts(Cuts):
    """The same on files of the first format."""

    name = "cuts, format 1"
    about = "a small file of the first format cut at each length"
    version = FirstLayout.version


class LiveFlips(Campaign):
    """Each byte of a small file and its log flipped while their recorder lives, and flipped back."""

    name = "live flips"
    about = "each byte flipped under a living recorder, looked at, and flipped back; the recording ends whole"
    workers = 1
    version = SecondLayout.version

    def prepare(self, folder: Path, seed: int) -> int:
        self.seed = seed
        self.path = folder / "live.unspool"
        self.process = small_process(self.path, self.version, "6,4")
        self.specimen = small_specimen("live", self.path, 10, closed=None)
        self.places = places([self.specimen])
        return len(self.places)

    def run(self, case: int, folder: Path) -> Result:
        _, suffix, start, stop = self.places[case]
        side = self.path.with_name(self.path.name + suffix)
        mask = 1 << random.Random(self.seed * 1_000_003 + case).randrange(8)
        true = self.specimen.parts[suffix][start:stop]
        self._restore()
        self._put(side, start, bytes(byte ^ mask for byte in true))
        try:
            result = judged(self.specimen, self.path, with_repair=case % 5 == 0)
        finally:
            self._put(side, start, true)
        outcome = _as_known(result.outcome, self.version, self.specimen.parts[suffix], start)
        return Result(outcome, f"{result.told} [{suffix or 'file'} byte {start} to {stop - 1}, {mask:#x}]")

    def _restore(self) -> None:
        """Undo what a case left that was killed in the middle: for its time, or as all the time was up."""
        for suffix, content in self.specimen.parts.items():
            side = self.path.with_name(self.path.name + suffix)
            if side.read_bytes() != content:
                self._put(side, 0, content)

    @staticmethod
    def _put(side: Path, place: int, value: bytes) -> None:
        with side.open("r+b", buffering=0) as stream:
            stream.seek(place)
            stream.write(value)

    def finish(self) -> Iterator[Result]:
        self._restore()
        told(self.process, "more")
        told(self.process, "close")
        self.process.communicate()
        with open_history(self.path) as history:
            states = [history.state(seq) for seq in range(len(history))]
        whole = [state for state, _ in small_moments(10)] + [{"after": 1}]
        yield (
            Result(Outcome.RIGHT)
            if states == whole
            else Result(Outcome.LOST, "the recording that was looked at is not whole")
        )


class FirstLiveFlips(LiveFlips):
    """The same on a file of the first format."""

    name = "live flips, format 1"
    about = "each byte of a small file of the first format flipped under a living recorder"
    version = FirstLayout.version


@dataclass(frozen=True)
class _Edit:
    """A change made through SQLite, which keeps the pages in order.

    Attributes:
        table: the table.
        key: its key.
        kind: what is done.
        first: the row it is done to.
        second: the other row.
    """

    table: str
    key: str
    kind: str
    first: int
    second: int


class Rows(Campaign):
    """Rows deleted, exchanged, doubled, and taken from another history or from one that went another way."""

    name = "rows"
    about = "rows of every table deleted, exchanged, doubled, or moved in from a foreign or diverged file"

    def prepare(self, folder: Path, seed: int) -> int:
        self.specimens = [one for one in specimens(folder / "specimens") if "-wal" not in one.parts]
        self.others = {"foreign": folder / "foreign.unspool", "diverged": folder / "diverged.unspool"}
        with Recorder(self.others["foreign"], on_error="raise") as recorder:
            for state, facts in moments(ENTRIES):
                recorder.record({**state, "user": "eve"}, **facts)
        self._make_diverged(self.others["diverged"])
        self.edits = [(one, edit) for one in self.specimens for edit in self._edits(one, folder / "probe.unspool")]
        return len(self.edits)

    def _make_diverged(self, path: Path) -> None:
        """The same history, copied halfway and continued otherwise."""
        with Recorder(path, on_error="raise") as recorder:
            for state, facts in moments(ENTRIES):
                recorder.record({**state, "user": "bob"}, **facts)
        with closing(sqlite3.connect(path)) as connection, closing(self._open(self.specimens[0], path)) as own:
            known = own.execute("SELECT value FROM meta WHERE key = 'history_id'").fetchone()
            connection.execute("UPDATE meta SET value = ? WHERE key = 'history_id'", known)
            connection.commit()

    @staticmethod
    def _open(specimen: Specimen, beside: Path) -> sqlite3.Connection:
        copy = beside.with_name("own.unspool")
        specimen.put(copy)
        return sqlite3.connect(copy)

    def _edits(self, specimen: Specimen, path: Path) -> list[_Edit]:
        specimen.put(path)
        edits = []
        with closing(sqlite3.connect(path)) as connection:
            for (table,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            ).fetchall():
                key = next(row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[5] == 1)
                count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for row in range(count):
                    edits.append(_Edit(table, key, "delete", row, row))
                    edits.append(_Edit(table, key, "double", row, row))
                    edits += [_Edit(table, key, kind, row, row) for kind in self.others]
                    edits += [
                        _Edit(table, key, "exchange", row, other) for other in {(row + 1) % count, count - 1} - {row}
                    ]
                    edits.append(_Edit(table, key, "delete from here on", row, row))
        return edits

    def run(self, case: int, folder: Path) -> Result:
        specimen, edit = self.edits[case]
        path = folder / "edited.unspool"
        specimen.put(path)
        before = path.read_bytes()
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            try:
                self._apply(connection, edit)
            except sqlite3.Error as error:
                return Result(Outcome.RIGHT, f"SQLite refuses it: {error}")
        if path.read_bytes() == before:
            return Result(Outcome.RIGHT, "nothing differs")
        result = judged(specimen, path)
        return Result(result.outcome, f"{result.told} [{edit.kind} row {edit.first} of {edit.table}, {edit.second}]")

    def _apply(self, connection: sqlite3.Connection, edit: _Edit) -> None:
        table, key = edit.table, edit.key
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        rows = connection.execute(f"SELECT * FROM {table} ORDER BY {key}").fetchall()
        at = columns.index(key)
        row = rows[edit.first]
        if edit.kind == "delete":
            connection.execute(f"DELETE FROM {table} WHERE {key} = ?", (row[at],))
        elif edit.kind == "delete from here on":
            connection.execute(f"DELETE FROM {table} WHERE {key} >= ?", (row[at],))
        elif edit.kind == "double":
            last = rows[-1][at]
            fresh = last + 1 if isinstance(last, int) else f"{row[at]}2"
            self._insert(connection, table, [*row[:at], fresh, *row[at + 1 :]])
        elif edit.kind == "exchange":
            other = rows[edit.second]
            for mine, theirs in ((row, other), (other, row)):
                self._insert(connection, table, [*theirs[:at], mine[at], *theirs[at + 1 :]])
        else:
            self._take_from(connection, edit, row[at])

    def _take_from(self, connection: sqlite3.Connection, edit: _Edit, key: object) -> None:
        with closing(sqlite3.connect(self.others[edit.kind])) as other:
            theirs = other.execute(f"SELECT * FROM {edit.table} WHERE {edit.key} = ?", (key,)).fetchone()
        if theirs is not None:
            self._insert(connection, edit.table, list(theirs))

    @staticmethod
    def _insert(connection: sqlite3.Connection, table: str, values: list[object]) -> None:
        connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * len(values))})", values)
