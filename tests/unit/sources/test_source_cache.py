"""The cache of foreign sources: the same answers with it and without, never a stale one, and never more than speed at stake."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.foreign_sources import FILES, FIXTURES, MADE
from support.git_repo import Repo
from unspool import History, open_history
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.sources import source_cache
from unspool.sources.foreign import open_foreign
from unspool_tui.cli import run

NAMES = [*(f"{path.parent.name}/{path.name}" for path in FILES), *MADE]
QUESTIONS = (["log", "--json"], ["stats", "--json"], ["blame", "--json"], ["doctor", "--json"], ["check", "--json"])


@pytest.fixture(autouse=True)
def _anything_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tests make is small and new."""
    monkeypatch.setattr(source_cache, "SMALLEST", 0)
    monkeypatch.setattr(source_cache, "_RESTED_NS", -(10**10))
    monkeypatch.delenv(source_cache.OFF, raising=False)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that were read, in their order."""
    found: list[str] = []

    def noted(source: str, *args: Any, **options: Any) -> History:
        found.append(source)
        return open_foreign(source, *args, **options)

    monkeypatch.setattr("unspool.sources.foreign.open_foreign", noted)
    return found


def kept() -> list[Path]:
    """Return what is in the cache."""
    folder = source_cache.cache_folder()
    return sorted(path for path in folder.iterdir() if path.name != "lock") if folder.exists() else []


def states(source: str | Path, **options: Any) -> list[Any]:
    """Return all states of a source, looked at once and with the cache."""
    with open_history(source, follow=False, cache=True, **options) as history:
        return [history.state(entry.seq) for entry in history]


def write(path: Path, numbers: Iterable[int]) -> Path:
    path.write_text("".join(json.dumps({"n": n}) + "\n" for n in numbers))
    return path


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", NAMES)
def test_answers_are_the_same_with_the_cache_and_without(
    name: str, tmp_path: Path, reads: list[str], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    source = MADE[name](tmp_path) if name in MADE else str(FIXTURES / name)

    def answers(*options: str) -> Iterator[tuple[int, Any, bytes]]:
        for command, *words in QUESTIONS:
            code = run([command, source, *words, *options])
            told = capfdbinary.readouterr()
            yield code, told.out, told.err

    first = list(answers())
    assert kept()
    # The doctor examines the chains of a source where they are.
    assert len(reads) <= 2
    again = list(answers())
    assert [without_clock(answer) for answer in first] == [without_clock(answer) for answer in again]
    uncached = list(answers("--no-cache"))
    assert [without_clock(answer, ids=False) for answer in first] == [
        without_clock(answer, ids=False) for answer in uncached
    ]


def without_clock(answer: tuple[int, bytes, bytes], *, ids: bool = True) -> Any:
    """Leave out how long things took; also, unless `ids`, what is drawn anew with every reading."""
    code, out, err = answer
    lines = [json.loads(line) for line in out.splitlines()] if out.startswith(b"{") else [out.decode()]
    for line in lines:
        if isinstance(line, dict):
            line.pop("rebuild_us", None)
            if not ids:
                line.pop("id", None)
                line.pop("file_bytes", None)
    return code, lines, err


def test_what_did_not_change_is_not_read_again(tmp_path: Path, reads: list[str]) -> None:
    path = write(tmp_path / "a.jsonl", range(5))
    assert states(path) == states(path) == [{"n": n} for n in range(5)]
    assert reads == [str(path)]


def test_nothing_is_kept_of_a_source_that_is_followed_or_opened_as_ever(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", range(5))
    with open_history(path, cache=True) as history:
        assert len(history) == 5
    with open_history(path, follow=False) as history:
        assert len(history) == 5
    assert kept() == []


@pytest.mark.parametrize("how", ["append", "same size", "same size and time", "replaced", "chmod"])
def test_a_file_that_changed_is_read_again(how: str, tmp_path: Path, reads: list[str]) -> None:
    path = write(tmp_path / "a.jsonl", range(5))
    assert len(states(path)) == 5
    before = path.stat()
    if how == "append":
        write(path, range(6))
    elif how == "replaced":
        write(tmp_path / "b", (7, 8, 9, 0, 1)).replace(path)
    elif how == "chmod":
        path.chmod(0o600)
    else:
        write(path, (7, 8, 9, 0, 1))
    if how == "same size and time":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert states(path) == [json.loads(line) for line in path.read_text().splitlines()]
    assert len(reads) == 2
    assert len(kept()) == 2


def test_a_database_that_grows_in_its_log_never_gives_a_stale_answer(tmp_path: Path, reads: list[str]) -> None:
    path, threads = tmp_path / "agent.sqlite", FIXTURES / "langgraph" / "threads.sqlite"
    with closing(sqlite3.connect(threads)) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        count = writer.execute("SELECT count(*) FROM checkpoints").fetchone()[0]
        assert len(states(path)) == count
        before = path.stat()
        for number in range(1, 4):
            writer.execute(
                "INSERT INTO checkpoints SELECT thread_id, checkpoint_ns, 'f' || ? || checkpoint_id, checkpoint_id, type, "
                "checkpoint, metadata FROM checkpoints ORDER BY checkpoint_id LIMIT 1",
                (number,),
            )
            assert len(states(path)) == count + number
            assert len(states(path)) == count + number
        # The database itself is as it was: all that was written is in its log.
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        assert len(reads) == 4
        writer.execute("DELETE FROM checkpoints WHERE checkpoint_id LIKE 'f%'")
        assert len(states(path)) == count
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert len(states(path)) == count
    assert len(states(path)) == count


def test_a_journal_beside_a_database_is_part_of_it(tmp_path: Path, reads: list[str]) -> None:
    path = write(tmp_path / "a.jsonl", range(5))
    states(path)
    (tmp_path / "a.jsonl-journal").write_bytes(b"x")
    states(path)
    assert len(reads) == 2


@pytest.mark.parametrize("how", ["changed", "added", "removed", "set back"])
def test_a_folder_is_its_files(how: str, tmp_path: Path, reads: list[str]) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(9):
        (folder / f"s{number}.json").write_text(json.dumps({"n": number}))
    assert states(folder) == states(folder) == [{"n": n} for n in range(9)]
    assert len(reads) == 1
    (folder / ".hidden").write_text("of an editor")
    states(folder)
    assert len(reads) == 1
    file = folder / "s4.json"
    before = file.stat()
    if how in ("changed", "set back"):
        file.write_text(json.dumps({"n": 7}))
    if how == "set back":
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    if how == "added":
        (folder / "s9.json").write_text(json.dumps({"n": 9}))
    if how == "removed":
        file.unlink()
    assert states(folder) == [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    assert len(reads) == 2


def test_a_history_in_git_is_what_its_revisions_mean(tmp_path: Path, reads: list[str]) -> None:
    repo = Repo(tmp_path / "repo")
    for number in range(3):
        repo.commit("a.json", {"n": number}, f"commit {number}")
    source = f"git:{repo.folder}:a.json"
    tagged = f"git:{repo.folder}:a.json@mark"
    repo.git("tag", "mark", "HEAD~1")
    assert states(source) == states(source) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert states(tagged) == states(tagged) == [{"n": 0}, {"n": 1}]
    assert len(reads) == 2
    repo.git("pack-refs", "--all")
    states(source)
    repo.git("tag", "--force", "mark", "HEAD")
    assert len(states(tagged)) == 3
    repo.commit("a.json", {"n": 3}, "one more")
    assert len(states(source)) == 4
    repo.git("reset", "--hard", "--quiet", "HEAD~2")
    assert len(states(source)) == 2
    before = len(reads)
    repo.commit("other.json", {}, "of another file")
    assert len(states(source)) == 2
    assert len(reads) == before + 1


def test_a_commit_that_another_stands_for_is_another_history(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    old = repo.commit("a.json", {"n": 0}, "first")
    repo.commit("a.json", {"n": 1}, "second")
    source = f"git:{repo.folder}:a.json"
    assert states(source) == [{"n": 0}, {"n": 1}]
    repo.git("checkout", "--quiet", "--orphan", "other")
    new = repo.commit("a.json", {"n": 9}, "instead")
    repo.git("checkout", "--quiet", "main")
    repo.git("replace", old, new)
    assert states(source) == [{"n": 9}, {"n": 1}]


def test_how_a_source_is_read_is_part_of_what_is_kept(tmp_path: Path, reads: list[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"n": 1, "sent": "2024-05-01T00:00:00Z"}\n{"n": 2, "sent": "2024-05-02T00:00:00Z"}\n')
    calls: list[dict[str, Any]] = [
        {},
        {"time": "sent"},
        {"format": "jsonl"},
        {"format": "events"},
        {"limits": Limits(line_bytes=40)},
    ]
    told = []
    for options in calls:
        try:
            states(path, **options)
        except Exception as error:  # noqa: BLE001 - a refusal is an answer, and never kept
            told.append(repr(error))
    assert len(reads) == len(calls)
    with open_history(path, follow=False, cache=True, time="sent") as history:
        assert history[0].timestamp_ns == 1_714_521_600 * 10**9


def test_identity_keys_are_of_the_question_not_of_what_is_kept(tmp_path: Path, reads: list[str]) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]
    path.write_text("".join(json.dumps({"rows": part}) + "\n" for part in (rows, rows[::-1])))
    for keys in ({"rows": "sku"}, {"rows": "n"}, None):
        with open_history(path, follow=False, cache=True, identity=keys) as history:
            assert history.identity == (keys or {})
    assert len(reads) == 1


def test_another_version_of_the_program_reads_anew(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.jsonl", range(5))
    states(path)
    monkeypatch.setattr(source_cache, "program", lambda: "another")
    states(path)
    assert len(reads) == 2
    assert len(kept()) == 2


@pytest.mark.one_in(3)
@pytest.mark.parametrize("ending", [".json", ".unspool"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone", "folder", "noise", "link"])
def test_what_is_damaged_is_read_anew_and_written_over(
    ending: str, damage: str, tmp_path: Path, reads: list[str]
) -> None:
    path = write(tmp_path / "a.jsonl", range(500))
    right = states(path)
    victim = next(file for file in kept() if file.suffix == ending)
    data = victim.read_bytes()
    if damage == "flip":
        at = len(data) * 2 // 3
        victim.write_bytes(data[:at] + bytes((data[at] ^ 0x40,)) + data[at + 1 :])
    elif damage == "cut":
        victim.write_bytes(data[: len(data) // 2])
    elif damage in ("empty", "noise"):
        victim.write_bytes(b"" if damage == "empty" else os.urandom(len(data)))
    else:
        victim.unlink()
    if damage == "folder":
        victim.mkdir()
    elif damage == "link":
        victim.symlink_to(tmp_path / "nowhere")
    assert states(path) == right
    assert len(reads) == 2
    if damage != "folder":
        assert states(path) == right
        assert len(reads) == 2
    assert not (tmp_path / "nowhere").exists()


def test_a_record_that_vouches_for_another_file_is_refused(tmp_path: Path, reads: list[str]) -> None:
    one, other = write(tmp_path / "a.jsonl", range(5)), write(tmp_path / "b.jsonl", range(9))
    states(one)
    first = kept()
    states(other)
    second = [path for path in kept() if path not in first]
    for mine, foreign in zip(first, second, strict=True):
        mine.write_bytes(foreign.read_bytes())
    assert len(states(one)) == 5
    assert len(reads) == 3


def test_what_is_new_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_cache, "_RESTED_NS", 2_000_000_000)
    path = write(tmp_path / "a.jsonl", range(5))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    # Its time was set back just now, which is a change too.
    states(path)
    assert kept() == []
    os.utime(path, (4_000_000_000, 4_000_000_000))
    states(path)
    assert kept() == []


def test_what_changes_while_it_is_read_is_not_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", range(50))

    def grow(done: int, total: int) -> None:
        if path.stat().st_size < 1000:
            with path.open("a") as stream:
                stream.write('{"n": -1}\n')

    with open_history(path, follow=False, cache=True, progress=grow) as history:
        assert len(history) >= 50
    assert kept() == []


@pytest.mark.parametrize("how", ["environment", "option", "small", "pipe"])
def test_where_nothing_is_kept(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.jsonl", range(5))
    words = ["log", str(path), "-q"]
    if how == "environment":
        monkeypatch.setenv(source_cache.OFF, "1")
    elif how == "option":
        words.append("--no-cache")
    elif how == "small":
        monkeypatch.setattr(source_cache, "SMALLEST", 16 * 1024)
    elif how == "pipe":
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=lambda: pipe.write_bytes(path.read_bytes()))
        writer.start()
        assert source_cache.fingerprint(str(pipe), source_cache.Reading(follow=False)) is None
        pipe.read_bytes()
        writer.join()
        return
    assert run(words) == 0
    assert kept() == []


def test_only_its_owner_may_look_into_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", range(5))
    old = os.umask(0)
    try:
        states(path)
    finally:
        os.umask(old)
    folder = source_cache.cache_folder()
    assert [stat.S_IMODE(place.stat().st_mode) for place in (folder, folder.parent)] == [0o700, 0o700]
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept()} == {0o600}


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o1777])
def test_a_folder_that_others_may_enter_is_not_used(mode: int, tmp_path: Path, reads: list[str]) -> None:
    folder = source_cache.cache_folder()
    folder.mkdir(parents=True)
    folder.chmod(mode)
    path = write(tmp_path / "a.jsonl", range(5))
    assert states(path) == states(path)
    assert len(reads) == 2
    assert kept() == []


@pytest.mark.parametrize("how", ["full", "read-only", "a file", "no home"])
def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.jsonl", range(5))
    if how == "a file":
        place = source_cache.cache_folder().parent
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
    elif how == "no home":
        monkeypatch.setenv("XDG_CACHE_HOME", "relative/folder")
    else:
        code = errno.ENOSPC if how == "full" else errno.EROFS

        def refuse(*args: Any, **options: Any) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr("unspool.files.write_whole", refuse)
    for _ in range(2):
        assert states(path) == [{"n": n} for n in range(5)]
    assert not Path("relative").exists()


def test_what_was_not_asked_for_longest_makes_room(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.jsonl", range(150)) for name in "abcd"]
    states(paths[0])
    size = sum(file.stat().st_size for file in kept() if file.suffix == ".unspool")
    limits = Limits(cache_bytes=int(size * 2.5))
    source_cache.cache_folder().joinpath("orphan.unspool").write_bytes(b"x")
    for number, path in enumerate(paths):
        states(path, limits=limits)
        for record in kept():
            if record.suffix == ".json" and record.stat().st_mtime > len(paths):
                os.utime(record, (number, number))
        states(paths[0], limits=limits)
    assert len(kept()) == 4
    assert not source_cache.cache_folder().joinpath("orphan.unspool").exists()


def test_what_would_take_most_of_the_cache_is_not_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", range(2000))
    states(path, limits=Limits(cache_bytes=1000))
    assert kept() == []
    assert DEFAULT_LIMITS.cache_bytes >= 100 << 20


def test_many_openers_at_once_all_get_the_right_answer(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", range(300))
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(states(path))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[{"n": n} for n in range(300)]] * 6
    assert len(kept()) == 2


def test_a_history_that_is_open_outlives_what_it_was_taken_from(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", range(300))
    states(path)
    with open_history(path, follow=False, cache=True) as history:
        write(path, range(10))
        assert len(states(path)) == 10
        assert [history.state(seq) for seq in range(300)] == [{"n": n} for n in range(300)]


def test_looking_through_the_cache_leaves_the_source_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", range(300))
    before = path.stat()
    states(path)
    states(path)
    after = path.stat()
    assert [before.st_mtime_ns, before.st_ctime_ns, before.st_size] == [
        after.st_mtime_ns,
        after.st_ctime_ns,
        after.st_size,
    ]
    assert [item.name for item in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_process_of_its_own_finds_what_another_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"n": n, "text": "x" * 200} for n in range(200)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    states(path)
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "unspool_tui.cli", "log", "--json", str(path)],
        capture_output=True,
        check=True,
    )
    assert len(told.stdout.splitlines()) == 200
    # Whatever reads foreign sources was not even imported.
    assert b"unspool.sources.foreign" not in told.stderr
