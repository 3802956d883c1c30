"""A file whose name goes to another one while it is open: what is read never comes from two histories at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from unspool.errors import UnreadableSource
from unspool.history import History
from unspool.recorder import Recorder
from unspool.store import FileStore
from unspool.store.compacting import compact


def record(path: Path, count: int, atom: str) -> Path:
    with Recorder(path, on_error="raise") as recorder:
        for number in range(count):
            recorder.record({atom: number, f"{atom} twice": 2 * number})
    return path


def put_in_place(new: Path, place: Path) -> None:
    new.replace(place)


def delete_first(new: Path, place: Path) -> None:
    place.unlink()
    shutil.copy(new, place)


@pytest.mark.parametrize("replace", [put_in_place, delete_first])
def test_a_history_at_rest_is_read_on_when_another_takes_its_name(
    tmp_path: Path, replace: Callable[[Path, Path], None]
) -> None:
    path = record(tmp_path / "app.unspool", 300, "old")
    with History(FileStore.open(path)) as history:
        assert history.state(5) == {"old": 5, "old twice": 10}
        replace(record(tmp_path / "next.unspool", 100, "new"), path)
        for seq in (5, 70, 99, 250):
            assert history.state(seq) == {"old": seq, "old twice": 2 * seq}
        with pytest.raises(UnreadableSource, match="another history has taken its place; open it again"):
            history.refresh()
        assert history.state(299) == {"old": 299, "old twice": 598}


def test_a_followed_history_says_that_another_took_its_name(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"old": 1})
        history = History(FileStore.open(path))
    with history:
        path.unlink()
        assert history.refresh() == 0
        record(path, 5, "new")
        with pytest.raises(UnreadableSource, match="another history has taken its place"):
            history.refresh()
        assert history.state(0) == {"old": 1}


def test_an_overwritten_history_is_refused_not_mixed(tmp_path: Path) -> None:
    path = record(tmp_path / "app.unspool", 300, "old")
    with History(FileStore.open(path)) as history:
        assert history.state(5)["old"] == 5
        shutil.copyfile(record(tmp_path / "next.unspool", 100, "new"), path)
        with pytest.raises(UnreadableSource, match="another history has taken its place"):
            history.state(70)


def test_a_smaller_copy_of_the_same_history_is_read_on_and_followed(tmp_path: Path) -> None:
    path = record(tmp_path / "app.unspool", 600, "n")
    with History(FileStore.open(path)) as history:
        assert [entry.seq for entry in history] == list(range(600))
        assert history.state(5)["n"] == 5
        compact(path, tmp_path / "small.unspool")
        (tmp_path / "small.unspool").replace(path)
        assert history.refresh() == 0
        assert [history.state(seq)["n"] for seq in (70, 200, 599)] == [70, 200, 599]
        assert [entry.seq for entry in history] == list(range(600))
        record(path, 3, "n")
        assert history.refresh() == 3
        assert history.state(602) == {"n": 2, "n twice": 4}
