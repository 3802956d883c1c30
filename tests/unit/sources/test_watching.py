"""Being told when files change."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from support.waiting import wait_until
from unspool.errors import ConfigError
from unspool.sources.watch import FileWatcher


class Told:
    """Counts calls from another thread."""

    def __init__(self) -> None:
        self.count = 0
        self.threads: set[int] = set()

    def __call__(self) -> None:
        self.count += 1
        self.threads.add(threading.get_ident())


@pytest.mark.parametrize("poll", [None, 0.01])
def test_a_file_that_appears_changes_is_replaced_and_vanishes_is_told_each_time(
    tmp_path: Path, poll: float | None
) -> None:
    path, told = tmp_path / "state.json", Told()
    with FileWatcher([path], told, poll=poll):
        for act in (
            lambda: path.write_text("1"),
            lambda: path.write_text("22"),
            lambda: (tmp_path / "new").write_text("333"),
            lambda: (tmp_path / "new").replace(path),
            path.unlink,
        ):
            before = told.count
            act()
            if (tmp_path / "new").exists():
                continue
            wait_until(lambda before=before: told.count > before)  # type: ignore[misc]
    assert threading.get_ident() not in told.threads


def test_other_files_and_reading_do_not_wake_anyone(tmp_path: Path) -> None:
    path, told = tmp_path / "state.json", Told()
    path.write_text("1")
    with FileWatcher([path], told):
        (tmp_path / "other.json").write_text("1")
        path.read_text()
        (tmp_path / "marker").write_text("1")
        path.write_text("2")
        wait_until(lambda: told.count > 0)
        settled = told.count
        (tmp_path / "other.json").write_text("2")
        path.read_text()
        assert told.count <= settled + 2


@pytest.mark.parametrize("poll", [None, 0.01])
def test_a_directory_tells_of_what_is_in_it(tmp_path: Path, poll: float | None) -> None:
    told = Told()
    with FileWatcher([tmp_path], told, poll=poll):
        (tmp_path / "1.json").write_text("{}")
        wait_until(lambda: told.count > 0)


def test_a_link_is_followed_to_the_file_it_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link, told = tmp_path / "real" / "state.json", tmp_path / "link.json", Told()
    real.write_text("1")
    link.symlink_to(real)
    with FileWatcher([link], told):
        real.write_text("2")
        wait_until(lambda: told.count > 0)


def test_a_folder_that_is_missing_is_looked_for(tmp_path: Path) -> None:
    path, told = tmp_path / "later" / "state.json", Told()
    with FileWatcher([path], told):
        path.parent.mkdir()
        path.write_text("1")
        wait_until(lambda: told.count > 0)


def test_two_names_of_one_folder_are_both_heard(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    told = Told()
    with FileWatcher([tmp_path / "real" / "one.json", tmp_path / "link" / "two.json"], told):
        for name in ("one.json", "two.json"):
            before = told.count
            (tmp_path / "real" / name).write_text("1")
            wait_until(lambda before=before: told.count > before)  # type: ignore[misc]


def test_ten_thousand_writes_are_told_a_few_times_only(tmp_path: Path) -> None:
    path, told = tmp_path / "busy.log", Told()
    with FileWatcher([path], told), path.open("ab", buffering=0) as busy:
        for _ in range(10_000):
            busy.write(b".")
        wait_until(lambda: told.count > 0)
    assert told.count < 1_000


def test_nothing_is_told_after_stopping(tmp_path: Path) -> None:
    path, told = tmp_path / "state.json", Told()
    watcher = FileWatcher([path], told)
    watcher.start()
    watcher.stop()
    watcher.stop()
    path.write_text("1")
    assert told.count == 0


def test_a_poll_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="above 0"):
        FileWatcher([], lambda: None, poll=0)
