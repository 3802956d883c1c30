"""`unspool export`: where it writes, in which format, and what it refuses."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from support.recording import record_shop
from unspool import Recorder, open_history
from unspool_tui.cli import run

Captured = pytest.CaptureFixture[bytes]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.unspool"
    record_shop(path, 20)
    return path


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("out.html", "<!doctype html>"),
        ("out.jsonl", '{"seq":0,'),
        ("out.csv", "seq,timestamp,"),
        ("out", '{"seq":0,'),
    ],
)
def test_the_files_name_tells_the_format(name: str, start: str, shop: Path, capfdbinary: Captured) -> None:
    out = shop.with_name(name)
    assert run(["export", str(shop), str(out), "--path", "cart0.total"]) == 0
    assert out.read_text().startswith(start)
    assert b"20 entries written" in capfdbinary.readouterr().err


@pytest.mark.parametrize("name", ["redux", "nexus", "json-patch", "jsonl"])
def test_what_goes_to_standard_output_opens_again(name: str, shop: Path, capfdbinary: Captured) -> None:
    assert run(["export", str(shop), "-", "--format", name, "-q"]) == 0
    captured = capfdbinary.readouterr()
    assert captured.err == b""
    again = shop.with_name("again")
    again.write_bytes(captured.out)
    with open_history(shop) as history, open_history(again, follow=False) as reopened:
        assert [reopened.state(seq) for seq in range(20)] == [history.state(seq) for seq in range(20)]


def test_a_table_has_the_paths_asked_for(shop: Path) -> None:
    out = shop.with_name("out.csv")
    assert run(["export", str(shop), str(out), "--path", "stock[0].qty", "--path", "/cart1/total", "-q"]) == 0
    header, *rows = out.read_text().splitlines()
    assert header == "seq,timestamp,action,stock[0].qty,cart1.total"
    assert len(rows) == 20


def test_a_report_keeps_to_the_size_asked_for(shop: Path) -> None:
    large, small = shop.with_name("large.html"), shop.with_name("small.html")
    assert run(["export", str(shop), str(large), "-q"]) == 0
    assert run(["export", str(shop), str(small), "--max-bytes", "2000", "-q"]) == 0
    assert small.stat().st_size < large.stat().st_size
    assert "of 20 entries" in small.read_text()


def test_the_source_is_never_written_over(shop: Path, capfdbinary: Captured) -> None:
    before = shop.read_bytes()
    assert run(["export", str(shop), str(shop)]) == 3
    assert b"is the source itself" in capfdbinary.readouterr().err
    assert shop.read_bytes() == before


def test_a_failed_export_leaves_no_file(shop: Path, capfdbinary: Captured) -> None:
    out = shop.with_name("out.csv")
    assert run(["export", str(shop), str(out)]) == 2
    assert b"--path" in capfdbinary.readouterr().err
    assert run(["export", str(shop), str(out), "--format", "xml"]) == 2
    assert run(["export", str(shop), str(shop.with_name("no") / "out.html")]) == 3
    assert [path.name for path in shop.parent.iterdir() if "out" in path.name] == []


def test_text_without_utf8_is_written_all_the_same(tmp_path: Path) -> None:
    source, out = tmp_path / "x.unspool", tmp_path / "out.csv"
    with Recorder(source) as recorder:
        recorder.record({"a": "\ud800"}, "\udfff")
    assert run(["export", str(source), str(out), "--path", "a", "-q"]) == 0
    assert "\\ud800" in out.read_text()
    assert run(["export", str(source), str(tmp_path / "out.html"), "-q"]) == 0
    assert run(["export", str(source), str(tmp_path / "out.jsonl"), "-q"]) == 0
    assert json.loads((tmp_path / "out.jsonl").read_text())["state"] == {"a": "\ud800"}


def test_the_players_of_a_region_can_be_chosen(tmp_path: Path) -> None:
    fixture = Path(__file__).parents[3] / "fixtures" / "seeds" / "ringworld-7-23.json"
    assert run(["export", str(fixture), str(tmp_path / "out.jsonl"), "--select", "player=nobody", "-q"]) == 3
    assert run(["log", str(fixture), "--select", "order=middle"]) == 2


def test_what_is_there_is_replaced_only_when_told_to(shop: Path, capfdbinary: Captured) -> None:
    out = shop.with_name("out.jsonl")
    out.write_text("mine")
    assert run(["export", str(shop), str(out)]) == 3
    captured = capfdbinary.readouterr()
    assert (captured.out, captured.err.count(b"\n")) == (b"", 1)
    assert b"--force" in captured.err
    assert out.read_text() == "mine"
    assert run(["export", str(shop), str(out), "--force", "-q"]) == 0
    assert len(out.read_text().splitlines()) == 20


def test_an_empty_file_has_nothing_to_lose(shop: Path) -> None:
    out = shop.with_name("out.jsonl")
    out.touch()
    assert run(["export", str(shop), str(out), "-q"]) == 0
    assert len(out.read_text().splitlines()) == 20


def test_a_pipe_is_written_to_and_stays_a_pipe(shop: Path) -> None:
    pipe = shop.with_name("pipe")
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    assert run(["export", str(shop), str(pipe), "-q"]) == 0
    reader.join(20)
    assert pipe.is_fifo()
    assert len(read[0].splitlines()) == 20


def test_a_link_stays_and_the_file_behind_it_is_written(shop: Path) -> None:
    link, behind = shop.with_name("link.jsonl"), shop.with_name("behind.jsonl")
    link.symlink_to(behind)
    assert run(["export", str(shop), str(link), "-q"]) == 0
    assert link.is_symlink()
    assert len(behind.read_text().splitlines()) == 20


def test_a_folder_is_refused(shop: Path, capfdbinary: Captured) -> None:
    assert run(["export", str(shop), str(shop.parent)]) == 3
    assert b"is a folder" in capfdbinary.readouterr().err
