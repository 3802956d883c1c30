"""One file that an app rewrites, and a directory of snapshot files."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest

from support.waiting import wait_until
from unspool import History, open_history
from unspool.errors import UnreadableSource
from unspool.model.limits import DEFAULT_LIMITS
from unspool.sources.foreign import select_reader
from unspool.sources.formats import rewritten
from unspool.sources.formats.rewritten import SavesReader

WRITERS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "json": lambda state: json.dumps(state, indent=2).encode(),
    "toml": lambda state: "".join(f"{key} = {json.dumps(value)}\n" for key, value in state.items()).encode(),
    "yaml": lambda state: "".join(f"{key}: {json.dumps(value)}\n" for key, value in state.items()).encode(),
    "msgpack": msgpack.packb,
}


def save(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.tmp")
    part.write_bytes(data)
    part.replace(path)


def numbers(history: History) -> list[Any]:
    return [history.state(seq)["n"] for seq in range(len(history))]


@pytest.mark.parametrize("kind", WRITERS)
def test_every_save_becomes_an_entry(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"state.{kind}"
    save(path, WRITERS[kind]({"n": 0, "s": "x"}))
    with open_history(path) as history:
        for number in range(1, 11):
            save(path, WRITERS[kind]({"n": number, "s": "x"}))
            wait_until(lambda wanted=number: bool(history.refresh() or len(history) > wanted))  # type: ignore[misc]
        assert numbers(history) == list(range(11))
        assert history.verdict.status == "complete"
        assert history[10].timestamp_ns == path.stat().st_mtime_ns


def test_saves_are_taken_even_while_nobody_asks(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    save(path, b'{"n": 0}')
    with open_history(path) as history:
        feeder = history._feeder
        assert feeder is not None
        for number in range(1, 6):
            save(path, json.dumps({"n": number}).encode())
            wait_until(lambda wanted=number: feeder.entries == wanted + 1)  # type: ignore[attr-defined,misc]
        history.refresh()
        assert numbers(history) == [0, 1, 2, 3, 4, 5]


def test_saves_that_come_faster_than_they_are_read_are_skipped_and_counted_and_never_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewritten, "WAITING_BYTES", 10_000)
    path = tmp_path / "state.json"
    reader = SavesReader(path, "json")
    for number in range(50):
        save(path, json.dumps({"n": number, "s": "x" * 1_000}).encode())
        reader.capture()
    assert reader._waiting_bytes <= 10_000
    read = [entry.state["n"] for entry in reader.read()]
    assert read == list(range(50 - len(read), 50))
    assert 5 < len(read) < 10
    (told,) = reader.findings.listed()
    assert told.message == f"{50 - len(read)} saves were skipped: the file is saved faster than it can be read"
    assert not reader.findings.is_complete
    assert reader.progress().is_finished


@pytest.mark.parametrize("in_place", [True, False])
def test_a_file_too_large_to_wait_in_memory_is_read_when_it_is_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_place: bool
) -> None:
    monkeypatch.setattr(rewritten, "WAITING_BYTES", 1_000)
    monkeypatch.setattr(rewritten, "_KEPT_BYTES", 500)
    path = tmp_path / "state.json"
    reader = SavesReader(path, "json")

    def write(data: bytes) -> None:
        if in_place:
            path.write_bytes(data)
        else:
            save(path, data)

    read: list[int] = []
    for number in range(30):
        write(json.dumps({"n": 100 + number, "s": "x" * 5_000}).encode())
        reader.capture()
        assert reader._waiting_bytes == 0
        if number % 10 == 0:
            wait_until(lambda: read.extend(entry.state["n"] for entry in reader.read()) or not reader.is_settling)
    wait_until(lambda: read.extend(entry.state["n"] for entry in reader.read()) or not reader.is_settling)
    assert read == [100, 110, 120, 129]
    (told,) = reader.findings.listed()
    assert told.message.startswith("26 saves were skipped")
    # The same content once more, written in place, is no new save.
    if in_place:
        write(json.dumps({"n": 129, "s": "x" * 5_000}).encode())
        wait_until(lambda: not list(reader.read()) and not reader.is_settling)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("waiting_bytes", [3 << 20, 1 << 16])
def test_memory_stays_bounded_however_many_saves_come_while_one_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting_bytes: int
) -> None:
    monkeypatch.setattr(rewritten, "WAITING_BYTES", waiting_bytes)
    path, text = tmp_path / "state.json", "x" * (1 << 17)
    size = len(text) * 8
    # Reading asks for a buffer of what a document may have at most.
    reader = SavesReader(path, "json", replace(DEFAULT_LIMITS, document_bytes=2 * size))
    seen: list[int] = []
    tracemalloc.start()
    try:
        for number in range(80):
            save(path, json.dumps({"n": number, "parts": [text] * 8}).encode())
            reader.capture()
            if number % 16 == 0:
                seen += [entry.state["n"] for entry in reader.read()]
        # A new file may have the number of an old one, and then it rests for a moment before it counts as saved.
        wait_until(lambda: seen.extend(entry.state["n"] for entry in reader.read()) or not reader.is_settling)
        # What waits, two copies made by this test, and the content and values of the save at hand and the one before.
        assert tracemalloc.get_traced_memory()[1] < waiting_bytes + 8 * size
    finally:
        tracemalloc.stop()
    assert seen[-1] == 79
    assert f"{80 - len(seen)} saves were skipped" in reader.findings.listed()[0].message


def test_a_file_that_is_rewritten_in_place_all_the_time_can_be_opened_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    text = json.dumps({"n": 1, "s": ["x" * 50] * 2_000})
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with path.open("w") as file:
                for start in range(0, len(text), 4_096):
                    file.write(text[start : start + 4_096])
                    file.flush()
                    stop.wait(0.001)
            stop.wait(0.5)

    path.write_text(text)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(4):
            with open_history(path, follow=False) as history:
                assert history.value(0, "n") == 1
    finally:
        stop.set()
        writer.join()


def test_a_file_caught_half_written_keeps_the_last_good_state(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b'{"n": 0}')
    reader = SavesReader(path, "json")
    assert [entry.state for entry in reader.read()] == [{"n": 0}]
    path.write_bytes(b'{"n": 1, "m"')
    assert list(reader.read()) == []
    assert "half-written" in reader.findings.listed()[0].message
    path.write_bytes(b'{"n": 1, "m": 2}')
    assert [entry.state for entry in reader.read()] == [{"n": 1, "m": 2}]
    assert reader.findings.is_complete


def test_an_emptied_file_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b'{"n": 0}')
    reader = SavesReader(path, "json")
    list(reader.read())
    path.write_bytes(b"")
    assert list(reader.read()) == []
    path.unlink()
    assert list(reader.read()) == []
    path.write_bytes(b'{"n": 2}')
    assert [entry.state for entry in reader.read()] == [{"n": 2}]
    assert reader.findings.is_complete


def test_a_half_written_text_that_reads_as_a_document_is_no_save_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "state.toml"
    path.write_bytes(b"n = 0\n")
    reader = SavesReader(path, "toml")
    list(reader.read())
    path.write_bytes(b"n = 1\n")
    reader.capture()
    path.write_bytes(b"n = 1\nm = 2\n")
    reader.capture()
    found: list[dict[str, Any]] = []
    wait_until(lambda: bool(found.extend(entry.state for entry in reader.read()) or found))
    assert found == [{"n": 1, "m": 2}]


def test_a_broken_save_that_was_complete_is_told_for_good(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    save(path, b'{"n": 0}')
    reader = SavesReader(path, "json")
    list(reader.read())
    save(path, b'{"n": 1]')
    reader.capture()
    save(path, b'{"n": 2}')
    assert [entry.state for entry in reader.read()] == [{"n": 2}]
    assert "left out" in reader.findings.lasting[0].message


def test_touching_a_file_is_no_save_and_replacing_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b'{"n": 0}')
    reader = SavesReader(path, "json")
    list(reader.read())
    os.utime(path, ns=(1, 1_600_000_000_000_000_000))
    assert list(reader.read()) == []
    save(path, b'{"n": 0}')
    assert len(list(reader.read())) == 1


def test_an_envelope_in_a_state_file_gives_time_and_action(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"timestamp": 1_700_000_000, "action": "boot", "state": {"n": 1}}, indent=1))
    with open_history(path, follow=False) as history:
        assert history.state(0) == {"n": 1}
        assert history[0].action == "boot"
        assert history[0].timestamp_ns == 1_700_000_000_000_000_000


def test_a_list_at_the_top_is_one_atom(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('[\n {"a": 1},\n {"b": 2}\n]\n')
    with open_history(path, follow=False) as history:
        assert history.state(0) == {"value": [{"a": 1}, {"b": 2}]}


def test_a_directory_is_read_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        (tmp_path / f"state-{number}.json").write_text(json.dumps({"n": number}))
    (tmp_path / "notes.txt").write_text("no snapshot")
    (tmp_path / ".hidden.json").write_text("{}")
    with open_history(tmp_path, follow=False) as history:
        assert numbers(history) == [1, 2, 10]
        assert [entry.action for entry in history] == ["state-1.json", "state-2.json", "state-10.json"]


@pytest.mark.parametrize("kind", WRITERS)
def test_new_files_in_a_directory_become_entries(tmp_path: Path, kind: str) -> None:
    save(tmp_path / f"0.{kind}", WRITERS[kind]({"n": 0}))
    with open_history(tmp_path) as history:
        save(tmp_path / f"1.{kind}", WRITERS[kind]({"n": 1}))
        wait_until(lambda: bool(history.refresh() or len(history) == 2))
        assert numbers(history) == [0, 1]


def test_a_torn_file_in_a_directory_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "0.json").write_text('{"n": 0}')
    (tmp_path / "1.json").write_text('{"n": ')
    with open_history(tmp_path) as history:
        assert numbers(history) == [0]
        assert history.verdict.status == "partial"
        (tmp_path / "1.json").write_text('{"n": 1}')
        wait_until(lambda: bool(history.refresh() or len(history) == 2))
        assert history.verdict.status == "complete"


def test_a_file_that_changes_after_it_was_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "0.json").write_text('{"n": 0}')
    with open_history(tmp_path) as history:
        (tmp_path / "0.json").write_text('{"n": 100}')
        wait_until(lambda: bool(history.refresh() or history.verdict.notes))
        assert "changed after it was read" in history.verdict.notes[0]
        assert numbers(history) == [0]


def test_a_directory_of_nexus_snapshots_applies_deltas(tmp_path: Path) -> None:
    fixtures = Path(__file__).parents[3] / "fixtures" / "seeds"
    for number, name in enumerate(("nexus-full-snapshot.json", "nexus-delta-typed.json")):
        (tmp_path / f"{number}.json").write_bytes((fixtures / name).read_bytes())
    with open_history(tmp_path, follow=False) as history:
        assert history.state(1)["counter"] == 5
        assert history.verdict.status == "complete"


def test_a_directory_of_delta_records_starts_with_their_base(tmp_path: Path) -> None:
    record = Path(__file__).parents[3] / "fixtures" / "seeds" / "framework0-record.json.gz"
    (tmp_path / "0-base.json").write_text('{"key3": 1, "kept": true}')
    (tmp_path / "1.json.gz").write_bytes(record.read_bytes())
    with open_history(tmp_path, follow=False) as history:
        assert history.state(0) == {"key3": 1, "kept": True}
        assert history.state(1) == {"kept": True, "key1": "new_value", "key2": 42, "ключ": {"n": [1, None, True]}}
        assert history.verdict.status == "complete"


def test_a_directory_without_snapshots_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="holds no snapshot files"):
        open_history(tmp_path)
    (tmp_path / ".git").mkdir()
    with pytest.raises(UnreadableSource, match="git:"):
        open_history(tmp_path)


def test_yaml_that_unfolds_without_end_is_refused(tmp_path: Path) -> None:
    rows = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    rows += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(rows))
    with pytest.raises(UnreadableSource, match="aliases unfold"):
        open_history(path)
    path.write_text("a: &a [*a]\n")
    with pytest.raises(UnreadableSource, match="contains itself"):
        open_history(path)


def test_a_file_that_begins_to_be_rewritten_once_it_was_recognised_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"n": 1}')
    threads = []

    def selected(*words: object, **named: object) -> object:
        found = select_reader(*words, **named)  # type: ignore[arg-type]
        path.write_text('{"n": 2, "rest": "')

        def finish() -> None:
            with path.open("a") as file:
                for _ in range(40):
                    threading.Event().wait(0.003)
                    file.write("x")
                    file.flush()
                file.write('"}')

        threads.append(threading.Thread(target=finish))
        threads[0].start()
        return found

    monkeypatch.setattr("unspool.sources.foreign.select_reader", selected)
    with open_history(path, follow=False) as history:
        assert history.value(-1, "n") == 2
    threads[0].join()
