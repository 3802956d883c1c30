"""A folder of snapshots is read by content, in the order and at the times that an index or the names tell."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from unspool import open_history
from unspool.errors import UnreadableSource
from unspool.model.entries import iso_time
from unspool.sources.formats import directory


def put(folder: Path, **files: object) -> Path:
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text)
    return folder


def numbers(folder: Path) -> list[int]:
    with open_history(folder, follow=False) as history:
        return [history.state(entry.seq)["n"] for entry in history]


@pytest.mark.parametrize("suffix", ["tfstate", "ipynb", "har", "geojson", "state", ""])
def test_files_of_any_ending_are_read_by_content(tmp_path: Path, suffix: str) -> None:
    for number in (9, 10, 11):
        put(tmp_path, **{f"{number}.{suffix}".rstrip("."): {"n": number}})
    put(tmp_path, **{"notes.md": "a: b\n"})
    with open_history(tmp_path, follow=False) as history:
        assert [history.state(entry.seq) for entry in history] == [{"n": number} for number in (9, 10, 11)]
        assert history.verdict.status == "complete"
        assert "notes.md" in history.verdict.notes[0]


def test_an_index_gives_order_times_and_labels_and_is_no_entry(tmp_path: Path) -> None:
    index = {"version": 1, "resource": "file:///p/settings.json", "entries": [
        {"id": "zz.json", "timestamp": 1714557600000}, {"id": "b10.json", "timestamp": 1714557660000, "source": "undo"},
        {"id": "b9.json", "timestamp": 1714557720000}]}  # fmt: skip
    put(tmp_path, **{"entries.json": index, "zz.json": {"n": 1}, "b10.json": {"n": 2}, "b9.json": {"n": 3}})
    with open_history(tmp_path) as history:
        assert [history.state(entry.seq)["n"] for entry in history] == [1, 2, 3]
        assert [iso_time(entry.timestamp_ns)[11:19] for entry in history] == ["10:00:00", "10:01:00", "10:02:00"]
        assert [entry.action for entry in history] == ["zz.json", "undo", "b9.json"]
        index["entries"].append({"id": "a.json", "timestamp": 1714557780000})  # type: ignore[attr-defined]
        put(tmp_path, **{"a.json": {"n": 4}, "entries.json": index})
        assert history.refresh() == 1
        assert history.state(-1) == {"n": 4}


def test_an_index_of_text_files_is_a_history_of_text(tmp_path: Path) -> None:
    index = {"entries": [{"id": "x.py", "timestamp": 1714557600000}, {"id": "a.py", "timestamp": 1714557660000}]}
    put(tmp_path, **{"entries.json": index, "x.py": "a = 1\n", "a.py": "a = 2\n"})
    with open_history(tmp_path, follow=False) as history:
        assert [history.state(entry.seq) for entry in history] == [{"source": "a = 1\n"}, {"source": "a = 2\n"}]


def test_times_in_all_names_give_order_and_times(tmp_path: Path) -> None:
    put(
        tmp_path,
        **{
            "b-2024-05-01T10-00-05.json": {"n": 2},
            "a-2024-05-01T10-00-09.json": {"n": 3},
            "z_20240501_100001.json": {"n": 1},
        },
    )
    with open_history(tmp_path, follow=False) as history:
        assert [history.state(entry.seq)["n"] for entry in history] == [1, 2, 3]
        assert [iso_time(entry.timestamp_ns)[11:19] for entry in history] == ["10:00:01", "10:00:05", "10:00:09"]


def test_names_without_times_keep_their_natural_order(tmp_path: Path) -> None:
    put(
        tmp_path,
        **{"s2.json": {"n": 2}, "s10.json": {"n": 10}, "s-2024-05-01.json": {"n": 0}, "s-2024-05-02.json": {"n": 1}},
    )
    assert numbers(tmp_path) == [2, 10, 0, 1]


def test_rotated_logs_are_one_history_oldest_first(tmp_path: Path) -> None:
    put(tmp_path, **{"app.log": '{"n": 5}\n{"n": 6}\n', "app.log.1": '{"n": 3}\n{"n": 4}\n'})
    (tmp_path / "app.log.2.gz").write_bytes(gzip.compress(b'{"n": 1}\n{"n": 2}\n'))
    assert numbers(tmp_path) == [1, 2, 3, 4, 5, 6]
    with open_history(tmp_path) as history:
        with (tmp_path / "app.log").open("a") as stream:
            stream.write('{"n": 7}\n')
        assert history.refresh() == 1
        assert history.state(-1) == {"n": 7}


def test_a_broken_line_in_one_of_several_logs_is_told_with_its_place(tmp_path: Path) -> None:
    put(tmp_path, **{"a.jsonl": '{"n": 1}\n{"n": 2}\n', "b.jsonl": '{"n": 3}\nbroken\n{"n": 4}\n'})
    with open_history(tmp_path, follow=False) as history:
        assert len(history) == 4
        assert "b.jsonl:2" in history.verdict.problems[0].place


def test_a_folder_that_holds_nothing_of_a_kind_is_refused(tmp_path: Path) -> None:
    put(tmp_path, **{"a.bin": "\x00\x01", "b.py": "x = 1\n"})
    with pytest.raises(UnreadableSource, match="2 files are of no kind that reads"):
        open_history(tmp_path)


def test_of_many_numbered_files_each_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        (tmp_path / f"s{number:03}.json").write_text(json.dumps({"n": number}))
    read: list[Path] = []
    whole = directory.read_whole

    def noted(path: Path, *args: Any) -> bytes:
        read.append(path)
        return whole(path, *args)

    monkeypatch.setattr(directory, "read_whole", noted)
    with open_history(tmp_path, follow=False) as history:
        assert [history.state(seq)["n"] for seq in range(len(history))] == list(range(60))
    # The first few twice, to see what they are.
    assert len(read) <= 60 + 10
