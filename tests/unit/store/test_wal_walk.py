"""The walk over a write-ahead log, held against SQLite itself and against a plain reading of the format."""

from __future__ import annotations

import random
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.left_behind import flip
from unspool.store.wal import FRAME_BYTES, HEADER_BYTES, WalState, bytes_in_use, scan_wal

PAGE = 512
FRAME = FRAME_BYTES + PAGE
ROWS = 60


def checksum(data: bytes, seed: tuple[int, int], order: str) -> tuple[int, int]:
    one, two = seed
    numbers = struct.unpack(f"{order}{len(data) // 4}I", data)
    for at in range(0, len(numbers), 2):
        one = (one + numbers[at] + two) % 2**32
        two = (two + numbers[at + 1] + one) % 2**32
    return one, two


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A database and its log as they lie there when the writer is killed: a row a commit, some commits of many pages."""
    path = tmp_path_factory.mktemp("wal") / "x.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for setting in (f"page_size = {PAGE}", "journal_mode = WAL", "wal_autocheckpoint = 0"):
            connection.execute(f"PRAGMA {setting}").fetchall()
        connection.execute("CREATE TABLE t(n INTEGER PRIMARY KEY, text)")
        for number in range(ROWS):
            connection.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * (2000 if number % 7 == 3 else 20)))
        return path.read_bytes(), Path(f"{path}-wal").read_bytes()


def put(folder: Path, main: bytes, log: bytes) -> Path:
    path = folder / "y.db"
    path.write_bytes(main)
    Path(f"{path}-wal").write_bytes(log)
    return path


def rows(path: Path) -> int:
    """Return how many rows SQLite sees."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])
        except sqlite3.OperationalError as error:
            assert "no such table" in str(error)
            return 0


def commits(log: bytes, stop: int) -> Iterator[int]:
    for place in range(stop):
        (commit,) = struct.unpack_from(">I", log, HEADER_BYTES + place * FRAME + 4)
        if commit:
            yield place


def test_a_sound_log_is_sound(killed: tuple[bytes, bytes], tmp_path: Path) -> None:
    found = scan_wal(Path(f"{put(tmp_path, *killed)}-wal"))
    assert found is not None
    assert (found.state, found.page_size, found.first_bad, found.is_cut) == (WalState.SOUND, PAGE, None, False)
    assert found.committed == len(found.frames) == (len(killed[1]) - HEADER_BYTES) // FRAME
    assert all(frame.holds for frame in found.frames)
    assert found.meaning == ""


def test_no_log_and_an_empty_one_are_nothing(tmp_path: Path) -> None:
    assert scan_wal(tmp_path / "none") is None
    (tmp_path / "empty").touch()
    assert scan_wal(tmp_path / "empty") is None


def test_the_other_byte_order_reads_too(killed: tuple[bytes, bytes], tmp_path: Path) -> None:
    main, log = killed
    magic = struct.unpack_from(">I", log)[0]
    turned = struct.pack(">I", magic ^ 1) + log[4:24]
    order = ">" if magic ^ 1 & 1 and (magic ^ 1) & 1 else "<"
    seed = checksum(turned, (0, 0), order)
    turned += struct.pack(">2I", *seed)
    for at in range(HEADER_BYTES, len(log), FRAME):
        head, page = log[at : at + 16], log[at + FRAME_BYTES : at + FRAME]
        seed = checksum(head[:8] + page, seed, order)
        turned += head + struct.pack(">2I", *seed) + page
    path = put(tmp_path, main, turned)
    found = scan_wal(Path(f"{path}-wal"))
    assert found is not None
    assert found.state is WalState.SOUND
    assert rows(path) == ROWS


def places(log: bytes) -> list[int]:
    """Return bytes to spoil: the whole header, whole headers of some frames, and some bytes of pages."""
    rng = random.Random(3)
    last = (len(log) - HEADER_BYTES) // FRAME - 1
    some = [0, 1, last // 2, last - 1, last]
    heads = [HEADER_BYTES + place * FRAME + at for place in some for at in range(FRAME_BYTES)]
    pages = [HEADER_BYTES + rng.randrange(last + 1) * FRAME + FRAME_BYTES + rng.randrange(PAGE) for _ in range(60)]
    return [*range(HEADER_BYTES), *heads, *pages]


def test_any_flipped_bit_is_noticed_and_what_sqlite_reads_is_told(
    killed: tuple[bytes, bytes], tmp_path: Path
) -> None:
    main, log = killed
    total = (len(log) - HEADER_BYTES) // FRAME
    rng = random.Random(4)
    for at in places(log):
        path = put(tmp_path, main, log)
        flip(Path(f"{path}-wal"), at, rng.randrange(8))
        found = scan_wal(Path(f"{path}-wal"), PAGE)
        assert found is not None, at
        assert found.state is not WalState.SOUND, at
        assert len(found.frames) == total, at
        spoiled = [place for place, frame in enumerate(found.frames) if not frame.holds]
        place, within = divmod(at - HEADER_BYTES, FRAME)
        if at < HEADER_BYTES or 8 <= within < 16:
            # The page of a frame whose salts alone are wrong is what was written.
            assert spoiled == [], at
        elif 16 <= within < FRAME_BYTES:
            # What the next frame was written on tells that only the checksum is wrong.
            assert spoiled in ([], [total - 1]), at
            assert spoiled == [] or place == total - 1, at
        else:
            assert spoiled == [place], at
        read = len(list(commits(log, found.committed)))
        assert rows(path) == max(0, read - 1), at
        behind = [spot for spot in commits(log, total) if spot >= (found.first_bad or 0) and spot not in spoiled]
        assert (found.state is WalState.DAMAGED) == bool(behind), at
        assert found.commits_behind == len(behind), at


def test_a_log_that_is_cut_is_torn_unless_a_whole_frame_ends_it(killed: tuple[bytes, bytes], tmp_path: Path) -> None:
    main, log = killed
    rng = random.Random(5)
    for size in sorted({1, 31, 32, 33, 60, len(log) - 1, *(rng.randrange(len(log)) for _ in range(60))}):
        path = put(tmp_path, main, log[:size])
        found = scan_wal(Path(f"{path}-wal"), PAGE)
        assert found is not None
        whole = size >= HEADER_BYTES and (size - HEADER_BYTES) % FRAME == 0
        assert found.state is (WalState.SOUND if whole else WalState.TORN), size
        assert rows(path) == max(0, len(list(commits(log, found.committed))) - 1)


def test_frames_of_an_earlier_generation_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "z.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for setting in (f"page_size = {PAGE}", "journal_mode = WAL", "wal_autocheckpoint = 0"):
            connection.execute(f"PRAGMA {setting}").fetchall()
        connection.execute("CREATE TABLE t(n INTEGER PRIMARY KEY, text)")
        for number in range(20):
            connection.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * 900))
        log = Path(f"{path}-wal")
        size = log.stat().st_size
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        connection.execute("INSERT INTO t VALUES (100, 'y')")
        assert log.stat().st_size == size
        found = scan_wal(log)
        assert found is not None
        assert found.state is WalState.SOUND
        assert 0 < len(found.frames) == found.committed < 10
        assert bytes_in_use(log) == HEADER_BYTES + FRAME * len(found.frames)
        # The same where the newest generation ends in a transaction that was never finished.
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        for number in range(200, 204):
            connection.execute("INSERT INTO t VALUES (?, ?)", (number, "z" * 900))
        unfinished = scan_wal(log)
        assert unfinished is not None
        assert unfinished.state is WalState.SOUND
        assert unfinished.committed == found.committed < len(unfinished.frames)
        connection.execute("ROLLBACK")


def test_what_a_log_takes_is_told_without_reading_it(tmp_path: Path, killed: tuple[bytes, bytes]) -> None:
    path = put(tmp_path, *killed)
    log = Path(f"{path}-wal")
    assert bytes_in_use(log) == len(killed[1])
    log.write_bytes(killed[1][: HEADER_BYTES - 1])
    assert bytes_in_use(log) == 0
    log.unlink()
    assert bytes_in_use(log) == 0
