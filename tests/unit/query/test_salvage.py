"""Files that SQLite cannot read: the doctor says so, and a repair keeps every block and row that lies whole in them."""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
from bisect import bisect_left
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from health_damage import change

from support.left_behind import flip, killed, prints
from support.recording import record_shop
from unspool import Recorder, open_history
from unspool.errors import UnreadableSource, UnspoolError
from unspool.query.doctor.diagnosis import Code, Health, diagnose
from unspool.query.repair import HOLE_ATOM, RepairReport, repair
from unspool_tui.cli import run

States = list[dict[str, Any]]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, States]:
    path = tmp_path_factory.mktemp("large") / "app.unspool"
    states = [{"count": n, "cart": [{"sku": f"s{k}", "qty": n * k} for k in range(4)]} for n in range(3000)]
    with Recorder(path, on_error="raise") as recorder:
        for number, state in enumerate(states):
            recorder.record(state, f"step {number}")
    return path, states


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, States]:
    path = tmp_path_factory.mktemp("small") / "app.unspool"
    return path, record_shop(path, 300)


def checked(path: Path, out: Path, states: States) -> tuple[RepairReport, set[int]]:
    """Repair a file, see that nothing in the new one is wrong and nothing of the old one changed; return what is kept."""
    before = prints(path.parent)
    report = repair(path, out)
    lost = {seq for hole in report.holes for seq in range(hole.first, hole.last + 1)}
    kept = set(range(report.entries)) - lost
    assert report.renumbered_from is None
    with open_history(out) as history:
        assert len(history) == report.entries
        step = max(1, report.entries // 150)
        for seq in {
            *range(0, report.entries, step),
            *(edge for hole in report.holes for edge in (hole.first, hole.last)),
        }:
            if seq in kept:
                state = history.state(seq)
                if report.lost_names:
                    # Atoms whose names are lost are called by number.
                    assert sorted(map(str, state.values())) == sorted(map(str, states[seq].values())), seq
                else:
                    assert state == states[seq], seq
            else:
                assert HOLE_ATOM in history.state(seq)
    out.unlink()
    assert prints(path.parent) == before
    return report, kept


# --- half-copied files -----------------------------------------------------------------------------------------------


def end_of(blob: bytes, data: bytes) -> int:
    """Return how far a file must be there for a blob in it to be whole: its pieces may stand on pages anywhere."""
    at = reached = 0
    while at < len(blob):
        sizes = range(1, len(blob) - at + 1)
        size = bisect_left(sizes, True, key=lambda size: blob[at : at + size] not in data)
        reached = max(reached, data.index(blob[at : at + size]) + size)
        at += size
    return reached


def whole_blocks(path: Path) -> dict[range, int]:
    """Return the entries of each block, with how far the file must be there for it to be whole."""
    data = path.read_bytes()
    query = (
        "SELECT first, count, columns, block_data.data, segment.data FROM block "
        "JOIN block_data USING (first) JOIN segment ON segment.id = block.segment"
    )
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(query).fetchall()
    return {range(first, first + count): max(end_of(blob, data) for blob in blobs) for first, count, *blobs in rows}


@pytest.mark.one_in(5)
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("beyond_a_page", [0, 357])
def test_every_block_that_lies_whole_in_half_a_file_is_kept(
    large: tuple[Path, States], tmp_path: Path, share: float, beyond_a_page: int
) -> None:
    source, states = large
    cut = int(source.stat().st_size * share) // 1024 * 1024 + beyond_a_page
    whole = {seq for entries, end in whole_blocks(source).items() if end <= cut for seq in entries}
    assert whole or share < 0.5
    path = tmp_path / "in" / "app.unspool"
    path.parent.mkdir()
    path.write_bytes(source.read_bytes()[:cut])
    report, kept = checked(path, tmp_path / "out.unspool", states)
    assert whole <= kept
    assert report.before.verdict is Health.BROKEN
    assert any("pages early" in finding.meaning for finding in report.before.findings)
    assert run(["doctor", str(path)]) == 1


@pytest.mark.slow
def test_a_file_cut_page_by_page_never_ends_in_a_traceback(small: tuple[Path, States], tmp_path: Path) -> None:
    source, states = small
    data = source.read_bytes()
    needs = whole_blocks(source)
    path = tmp_path / "in" / "app.unspool"
    path.parent.mkdir()
    for cut in range(1024, len(data), max(1, len(data) // 1024 // 12) * 1024):
        path.write_bytes(data[:cut])
        whole = {seq for entries, end in needs.items() if end <= cut for seq in entries}
        try:
            _, kept = checked(path, tmp_path / "out.unspool", states)
        except UnspoolError:
            kept = set()
        assert whole <= kept, cut


# --- broken headers, schemas and tables ------------------------------------------------------------------------------


def patch(at: int, data: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("r+b") as stream:
            stream.seek(at)
            stream.write(data)

    return damage


def schema(statement: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(statement)

    return damage


def view_for_tail(path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 1, 2, 3, '', '', '', 4, 5, '' FROM n"
    columns = "seq, time_ns, codec, full_bytes, action, changed, extra, before, crc, record"
    change(path, ("DROP TABLE tail", ()), (f"CREATE VIEW tail({columns}) AS {endless}", ()))


def forged_number(path: Path) -> None:
    row = (2**63 - 1, 1, 1, 1, "x", b"", None, 1, 1, b"")
    change(path, ("INSERT INTO tail VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row))


WHOLE: dict[str, Callable[[Path], None]] = {
    "the first page is zeros": patch(0, bytes(1024)),
    "the header is garbage": patch(0, b"\x5a" * 100),
    "the page size is another": patch(16, b"\x10\x00"),
    "the application id is another": patch(68, b"ABCD"),
    "the version is another": patch(60, b"\x00\x00\x00\x63"),
    "the version is none": patch(60, bytes(4)),
    "the encoding is another": patch(56, b"\x00\x00\x00\x02"),
    "the schema is garbage": schema("UPDATE sqlite_master SET sql = 'CREATE TABLE tail(x)' WHERE name = 'tail'"),
    "the schema is gone": schema("DELETE FROM sqlite_master WHERE name IN ('block', 'segment')"),
    "two tables are exchanged": schema(
        "UPDATE sqlite_master SET rootpage = (SELECT sum(rootpage) FROM sqlite_master AS other "
        "WHERE other.name IN ('block', 'block_data')) - rootpage WHERE name IN ('block', 'block_data')"
    ),
    "the tail is a view without end": view_for_tail,
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("damage", WHOLE)
def test_what_only_leads_to_the_rows_is_not_needed(small: tuple[Path, States], tmp_path: Path, damage: str) -> None:
    source, states = small
    path = tmp_path / "in" / "app.unspool"
    path.parent.mkdir()
    shutil.copy(source, path)
    WHOLE[damage](path)
    report, kept = checked(path, tmp_path / "out.unspool", states)
    assert kept == set(range(len(states)))
    assert report.health is Health.HEALTHY
    assert report.before.verdict is Health.BROKEN
    assert Code.SQLITE_DAMAGE in {finding.code for finding in report.before.findings}
    assert run(["doctor", str(path)]) == 1


def test_a_forged_number_neither_stops_the_doctor_nor_costs_an_entry(
    small: tuple[Path, States], tmp_path: Path
) -> None:
    source, states = small
    path = tmp_path / "in" / "app.unspool"
    path.parent.mkdir()
    shutil.copy(source, path)
    forged_number(path)
    _, kept = checked(path, tmp_path / "out.unspool", states)
    assert kept == set(range(len(states)))
    assert run(["doctor", str(path)]) == 1


@pytest.mark.one_in(2)
@pytest.mark.parametrize("part", range(2))
def test_a_page_of_any_kind_may_be_lost(small: tuple[Path, States], tmp_path: Path, part: int) -> None:
    source, states = small
    data = source.read_bytes()
    path = tmp_path / "in" / "app.unspool"
    path.parent.mkdir()
    pages = len(data) // 1024
    for page in sorted({*range(8), *range(8, pages, max(1, pages // 10))})[part::2]:
        path.write_bytes(data[: page * 1024] + bytes(1024) + data[(page + 1) * 1024 :])
        report, kept = checked(path, tmp_path / "out.unspool", states)
        # A page holds parts of two blocks at most, or a keyframe of all of them.
        assert len(kept) >= len(states) - 128 or Code.MISSING_KEYFRAME.value in {hole.code for hole in report.holes}
        # The page may be free, or an inner one that nothing depends on.
        assert report.before.verdict is Health.BROKEN or kept == set(range(len(states)))


def test_what_never_was_a_history_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(1)
    for data in (b"", b"hello", bytes(5000), rng.randbytes(50_000), b"SQLite format 3\0" + rng.randbytes(9000)):
        path = tmp_path / "app.unspool"
        path.write_bytes(data)
        with pytest.raises(UnreadableSource):
            diagnose(path)
        assert run(["doctor", str(path)]) == 3
        told = capsys.readouterr()
        assert "healthy" not in told.out
        assert "nothing of a history" in told.err
        assert "unspool doctor" not in told.err


def test_pages_that_lead_round_in_circles_end(small: tuple[Path, States], tmp_path: Path) -> None:
    source, states = small
    data = bytearray(source.read_bytes())
    pages = len(data) // 1024
    rng = random.Random(2)
    for page in range(1, pages):
        if data[page * 1024] not in {2, 5, 10, 13}:
            # What may be an overflow page leads to any other, itself included.
            struct.pack_into(">I", data, page * 1024, rng.randrange(pages + 2))
    path = tmp_path / "in" / "app.unspool"
    path.parent.mkdir()
    path.write_bytes(bytes(data))
    checked(path, tmp_path / "out.unspool", states)


# --- a damaged log ---------------------------------------------------------------------------------------------------


@pytest.mark.one_in(3)
@pytest.mark.parametrize("part", range(3))
def test_a_repair_brings_back_what_stands_behind_the_damage(tmp_path: Path, part: int) -> None:
    source = tmp_path / "from" / "app.unspool"
    source.parent.mkdir()
    states = killed(source, 200)
    log = Path(f"{source}-wal")
    frame, rng = 24 + 1024, random.Random(6)
    frames = (log.stat().st_size - 32) // frame
    heads = [32 + place * frame + at for place in (0, frames // 2, frames - 1) for at in range(1, 24, 11)]
    pages = [32 + rng.randrange(frames) * frame + 24 + rng.randrange(1024) for _ in range(5)]
    path = tmp_path / "in" / "app.unspool"
    path.parent.mkdir()
    for at in [2, 9, 14, 20, 29, *heads, *pages][part::3]:
        for suffix in ("", "-wal"):
            shutil.copy(f"{source}{suffix}", f"{path}{suffix}")
        flip(Path(f"{path}-wal"), at)
        report, kept = checked(path, tmp_path / "out.unspool", states)
        # A bit of a page is in one row or block, or in what leads to the few rows of that page.
        whole = at < 32 or 8 <= (at - 32) % frame < 24
        assert len(kept) >= (200 if whole else 200 - 16), at
        assert {Code.LOG_DAMAGED, Code.LOG_TORN} & {finding.code for finding in report.before.findings}


def test_a_file_without_its_log_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "app.unspool"
    killed(source, 20)
    with open_history(source) as history:
        assert history.verdict.status == "complete"
    assert diagnose(source).verdict is Health.DEGRADED
    Path(f"{source}-wal").unlink()
    assert diagnose(source).verdict is Health.DEGRADED
    assert run(["log", str(source)]) == 0
    assert "not closed" in capsys.readouterr().err
    assert run(["log", str(source), "--strict"]) == 1


def test_a_closed_file_whose_end_is_gone_says_so(small: tuple[Path, States], tmp_path: Path) -> None:
    source, _ = small
    path = tmp_path / "app.unspool"
    shutil.copy(source, path)
    with open_history(path) as history:
        assert history.verdict.status == "complete"
    change(path, ("DELETE FROM block WHERE first = (SELECT max(first) FROM block)", ()))
    assert run(["log", str(path), "-n", "1"]) in {1, 3}
    assert diagnose(path).verdict is Health.BROKEN


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE block SET first = first + 1000 WHERE first = ?",
        "UPDATE block SET count = count + 1000 WHERE first = ?",
        "UPDATE block SET count = count + 1 WHERE first = ?",
    ],
)
@pytest.mark.parametrize("is_readable", [True, False])
def test_rows_of_the_tail_are_kept_whatever_a_damaged_block_claims(
    tmp_path: Path, statement: str, is_readable: bool
) -> None:
    path = tmp_path / "app.unspool"
    states = killed(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        first, count = connection.execute("SELECT first, count FROM block ORDER BY first DESC LIMIT 1").fetchone()
        rows = [seq for (seq,) in connection.execute("SELECT seq FROM tail ORDER BY seq")]
        connection.execute(statement, (first,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert rows == list(range(first + count, len(states)))
    if not is_readable:
        # Without its list of tables the rows are found on the pages.
        path.write_bytes(path.read_bytes()[:100] + bytes(924) + path.read_bytes()[1024:])
    report = repair(path, tmp_path / "out.unspool")
    lost = {seq for hole in report.holes for seq in range(hole.first, hole.last + 1)}
    assert not lost & set(rows)
    with open_history(tmp_path / "out.unspool") as history:
        assert [history.state(seq) for seq in rows] == [states[seq] for seq in rows]


def test_a_row_is_found_where_a_bit_of_its_place_is_damaged_that_no_place_has(
    small: tuple[Path, States], tmp_path: Path
) -> None:
    source, states = small
    with closing(sqlite3.connect(source)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'block'").fetchone()[0]
    data = bytearray(source.read_bytes())
    page = (root - 1) * 1024
    inner = data[page] == 0x05
    page = (int.from_bytes(data[page + 8 : page + 12]) - 1) * 1024 if inner else page
    assert data[page] == 0x0D
    data[page + 8] ^= 0x40
    path = tmp_path / "in" / "app.unspool"
    path.parent.mkdir()
    path.write_bytes(data)
    report, kept = checked(path, tmp_path / "out.unspool", states)
    assert kept == set(range(len(states)))
    assert report.before.verdict is Health.BROKEN
