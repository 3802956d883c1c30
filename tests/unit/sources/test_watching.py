"""Being told when files change."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from watchdog.observers.api import BaseObserver

from support.exhausting import few_descriptors, no_inotify_instances, no_inotify_instances_here
from support.waiting import wait_until
from unspool.errors import ConfigError
from unspool.sources import watch
from unspool.sources.folder_events import FolderEmitter
from unspool.sources.opening import open_history
from unspool.sources.watch import FileWatcher, remote_kind


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


_WATCHING = {"unspool-events", "unspool-changes"}
"""Names of the threads of a watcher."""


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


def test_links_that_lead_elsewhere_are_heard_of_and_so_is_what_is_there_then(tmp_path: Path) -> None:
    # As configuration is handed out to containers: a file links through a folder's link, which is exchanged.
    for number in (1, 2):
        (tmp_path / f"v{number}").mkdir()
        (tmp_path / f"v{number}" / "state.json").write_text(str(number))
    (tmp_path / "data").symlink_to("v1")
    (tmp_path / "shown").mkdir()
    link, told = tmp_path / "shown" / "state.json", Told()
    link.symlink_to("../data/state.json")
    with FileWatcher([link], told) as watcher:
        assert not watcher.polls
        (tmp_path / "data.new").symlink_to("v2")
        (tmp_path / "data.new").rename(tmp_path / "data")
        wait_until(lambda: told.count > 0)
        before = told.count
        (tmp_path / "v2" / "state.json").write_text("22")
        wait_until(lambda: told.count > before)
        assert not watcher.polls


def test_a_link_that_leads_nowhere_any_more_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "state.json").write_text("1")
    link, told = tmp_path / "state.json", Told()
    link.symlink_to("real/state.json")
    with FileWatcher([link], told) as watcher:
        (tmp_path / "next").symlink_to("gone/state.json")
        (tmp_path / "next").rename(link)
        wait_until(lambda: watcher.polls)
        before = told.count
        (tmp_path / "gone").mkdir()
        (tmp_path / "gone" / "state.json").write_text("22")
        wait_until(lambda: told.count > before)


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


@pytest.mark.parametrize("poll", [0, -1, float("nan"), float("inf")])
def test_a_poll_of_nothing_is_refused(poll: float) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        FileWatcher([], lambda: None, poll=poll)


@contextmanager
def closing_watcher(watcher: FileWatcher) -> Iterator[None]:
    try:
        yield
    finally:
        watcher.stop()


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_without_inotify_instances_files_are_looked_at_and_the_reason_is_told(tmp_path: Path) -> None:
    path, told = tmp_path / "state.json", Told()
    watcher = FileWatcher([path], told)
    with no_inotify_instances():
        watcher.start()
    with closing_watcher(watcher):
        assert watcher.polls
        assert watcher.trouble == "polling: no inotify instance is left (fs.inotify.max_user_instances)"
        path.write_text("1")
        wait_until(lambda: told.count > 0)
    with FileWatcher([path], told) as watcher:
        assert not watcher.polls
        assert watcher.trouble == ""


def test_without_file_descriptors_files_are_looked_at_and_none_is_lost(tmp_path: Path) -> None:
    path, told = tmp_path / "state.json", Told()
    path.write_text("1")
    before = _open_descriptors()
    with few_descriptors(left=1):
        watcher = FileWatcher([path], told)
        watcher.start()
        assert watcher.trouble.startswith("polling: Too many open files")
        os.truncate(path, 0)
        wait_until(lambda: told.count > 0)
        watcher.stop()
    assert _open_descriptors() == before


def test_a_library_user_reads_on_without_inotify_instances_and_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"n": 1}')
    with no_inotify_instances_here(), open_history(path) as history:
        assert any("polling: no inotify instance is left" in note for note in history.verdict.notes)
        assert history.verdict.status == "complete"
        path.write_text('{"n": 2}')

        def has_read_on() -> bool:
            history.refresh()
            return len(history) == 2

        wait_until(has_read_on)
        assert len(history.verdict.notes) == 1


def test_where_one_of_two_folders_cannot_be_watched_nothing_stays_open(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    told = Told()
    with FileWatcher([tmp_path], told):
        # What is opened once stays.
        pass
    before, threads = _open_descriptors(), set(threading.enumerate())
    with FileWatcher([tmp_path / "there" / "a", tmp_path / "missing" / "b"], told) as watcher:
        assert watcher.trouble == "polling: No such file or directory"
        assert not {thread.name for thread in set(threading.enumerate()) - threads} & _WATCHING
    assert _open_descriptors() == before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the emitters of watchdog are used")
def test_on_linux_watchdog_watches_with_an_emitter_of_ours(tmp_path: Path) -> None:
    # An app that a test before this one left may still watch.
    before = set(threading.enumerate())
    with FileWatcher([tmp_path / "state.json"], Told()):
        kinds = {type(thread) for thread in set(threading.enumerate()) - before}
        assert {FolderEmitter, BaseObserver} <= kinds
    assert FolderEmitter not in {type(thread) for thread in set(threading.enumerate()) - before}


@pytest.mark.parametrize("goes", ["deleted", "moved"])
def test_a_folder_that_goes_away_and_comes_back_is_heard_of_all_the_same(tmp_path: Path, goes: str) -> None:
    folder, told = tmp_path / "folder", Told()
    folder.mkdir()
    (folder / "state.json").write_text("1")
    with FileWatcher([folder / "state.json"], told) as watcher:
        assert not watcher.polls
        if goes == "deleted":
            shutil.rmtree(folder)
        else:
            folder.rename(tmp_path / "elsewhere")
        wait_until(lambda: watcher.polls)
        assert "deleted, moved or unmounted" in watcher.trouble
        before = told.count
        folder.mkdir()
        (folder / "state.json").write_text("22")
        wait_until(lambda: told.count > before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_that_raises_once_does_not_end_the_watch(tmp_path: Path) -> None:
    path, calls = tmp_path / "state.json", []

    def told() -> None:
        calls.append(path.read_text())
        if len(calls) == 1:
            raise ValueError("the first one goes wrong")

    before = set(threading.enumerate())
    with FileWatcher([path], told) as watcher:
        path.write_text("1")
        wait_until(lambda: watcher.polls)
        path.write_text("22")
        wait_until(lambda: calls[-1] == "22")
        # What was raised is told at the end of the thread.
        wait_until(lambda: all(thread.name != "unspool-changes" for thread in set(threading.enumerate()) - before))


def test_where_other_machines_write_files_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert remote_kind([tmp_path]) == ""
    shared, told = tmp_path / "a share", Told()
    shared.mkdir()
    mounts = tmp_path / "mountinfo"
    place = str(shared).replace(" ", "\\040")
    mounts.write_text(
        "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"22 21 0:50 / {place} rw,relatime shared:2 master:1 - nfs4 server:/export rw\n"
    )
    monkeypatch.setattr(watch, "MOUNTS", mounts)
    assert remote_kind([tmp_path]) == ""
    assert remote_kind([shared / "deep" / "state.json"]) == "nfs4"
    with FileWatcher([shared / "state.json"], told) as watcher:
        assert watcher.trouble == "polling: nfs4 does not tell of what other machines write"
        (shared / "state.json").write_text("1")
        wait_until(lambda: told.count > 0)
