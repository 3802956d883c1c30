"""The parts of a source that can be shown one by one: listed with what selects them, and each of them opens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_region_sources import FILE, shared_and_personal

from unspool import Recorder, open_history
from unspool.errors import UnreadableSource
from unspool.events import EventLog, write_source
from unspool.regions import MultiplayerRegionDelta, encode_region
from unspool.sources.detection import by_thread
from unspool.sources.foreign import choices_of

FIXTURES = Path(__file__).parents[3] / "fixtures"


def everything_opens(source: Path, **options: str) -> list[tuple[str, int | None]]:
    """Open each part and return what it is called and how many entries it was said to have; those must be there."""
    told = []
    for choice in choices_of(str(source), options.get("format")):
        with open_history(source, select=choice.select, follow=False, **options) as history:
            assert choice.entries in (None, len(history))
            assert len(history)
        told.append((choice.title, choice.entries))
    return told


def test_threads_of_checkpoints_and_their_namespaces() -> None:
    assert everything_opens(FIXTURES / "langgraph" / "threads.sqlite") == [("thread a", 2), ("thread b", 1)]
    titles = [title for title, _ in everything_opens(FIXTURES / "langgraph" / "graph.sqlite")]
    assert set(titles) == {
        "thread main",
        "thread other",
        'thread main, namespace ""',
        "thread main, namespace child",
    }


def test_one_thread_without_namespaces_is_no_choice() -> None:
    assert choices_of(str(FIXTURES / "langgraph" / "agent.sqlite")) == ()
    assert by_thread([("a", "", 3)]) == ()
    assert [choice.title for choice in by_thread([("a", "", 3), ("a", "x", 1)])] == [
        'thread a, namespace ""',
        "thread a, namespace x",
    ]


def test_a_thread_that_is_not_there_is_refused_with_those_that_are() -> None:
    path = FIXTURES / "langgraph" / "graph.sqlite"
    with pytest.raises(UnreadableSource, match="'main'.*'other'|'other'.*'main'"):
        open_history(path, select={"thread": "nobody"})
    with pytest.raises(UnreadableSource, match="'child'"):
        open_history(path, select={"thread": "main", "namespace": "nobody"})


def test_spaces_of_an_event_log_and_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        for number in range(3):
            write_source(log, "a.py", f"2026-02-14T00:00:0{number}.000Z", f"x = {number}\n", "python")
        write_source(log, "b\x1b[2J.json", "2026-02-14T00:00:05.000Z", "{}", "json")
    assert everything_opens(path) == [("space a.py", 3), ("space b\x1b[2J.json", 1)]
    assert choices_of(str(FIXTURES / "seeds" / "ri-empty.rblogs")) == ()


@pytest.mark.parametrize("form", ["json", "binary"])
def test_players_of_a_region(tmp_path: Path, form: Any) -> None:
    path = tmp_path / "region"
    path.write_bytes(encode_region(shared_and_personal(), form))
    assert everything_opens(path) == [("player alice", None), ("player bob", None)]
    path.write_bytes(encode_region(MultiplayerRegionDelta.sharing(FILE), form))
    assert choices_of(str(path)) == ()


def test_records_that_read_in_both_orders_offer_both(tmp_path: Path) -> None:
    path = tmp_path / "region"
    path.write_bytes(bytes(4) + bytes((7,)) + bytes((1, 2, 3, 4)) + bytes(2))
    assert everything_opens(path, format="region") == [("order little", None), ("order big", None)]


@pytest.mark.parametrize("content", [b'{"a": 1}\n{"a": 2}\n', b"[1, 2]", b""])
def test_a_source_of_one_part_has_no_choices(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "app.jsonl"
    path.write_bytes(content)
    if content:
        assert choices_of(str(path)) == ()
    else:
        with pytest.raises(UnreadableSource):
            choices_of(str(path))


def test_what_is_no_file_of_a_foreign_format_has_no_choices(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path) as recorder:
        recorder.record({"n": 1})
    assert [choices_of(source) for source in (str(path), "-", "git:.:a.json")] == [(), (), ()]
    (tmp_path / "1.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(UnreadableSource):
        choices_of(str(tmp_path / "missing.json"))
