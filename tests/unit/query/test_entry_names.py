"""The grammar by which people name entries: numbers, offsets, times, actions, bookmarks and ranges."""

from __future__ import annotations

import datetime as dt

import pytest

from unspool.errors import EntryNotFound
from unspool.history import History
from unspool.query.entry_names import entry_named, looks_like_place, names_time, range_named
from unspool.recorder import Recorder
from unspool.store import MemoryStore

BEGIN = dt.datetime(2026, 3, 1, 12, 0, 0, tzinfo=dt.UTC)
ACTIONS = ["open shop", "ada puts tea in", "bob leaves", "ada takes tea out", "", "Close"]


@pytest.fixture
def history() -> History:
    store = MemoryStore("shop.unspool")
    with Recorder(store, on_error="raise") as recorder:
        for number, action in enumerate(ACTIONS):
            moment = BEGIN + dt.timedelta(seconds=10 * number)
            recorder.record({"n": number}, action=action, timestamp_ns=int(moment.timestamp()) * 10**9)
    return History(store)


@pytest.mark.parametrize(
    ("word", "seq"),
    [
        ("3", 3),
        ("#3", 3),
        ("-1", 5),
        ("-6", 0),
        ("latest", 5),
        ("last", 5),
        ("newest", 5),
        ("first", 0),
        ("oldest", 0),
        ("latest~2", 3),
        ("4~", 3),
        ("4~4", 0),
        ("50%", 2),
        ("12:00:20", 2),
        ("12:00:15", 2),
        ("2026-03-01 12:00:30", 3),
        ("2026-03-01T12:00:30Z", 3),
        ("2026-03-01T14:00:30+02:00", 3),
        ("12:00:20~1", 1),
        ("mark:2", 4),
        ("tea", 3),
        ("puts tea", 1),
        (":/open", 0),
        ("Close", 5),
        ("close", 5),
    ],
)
def test_every_way_to_name_an_entry(history: History, word: str, seq: int) -> None:
    assert entry_named(history, word, bookmarks=(1, 4)) == seq


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("6", "it has 6"),
        ("-7", "no entry -7"),
        ("99999999999999999999", "entries 0 to 5"),
        ("latest~9", "entries 0 to 5"),
        ("mark:3", "no bookmark 3"),
        ("25:00", "no time of day"),
        ("bob leavs", "did you mean 'bob leaves'"),
        ("ADA", "no action holds it"),
        ("", "no action holds it"),
        ("zzz", "latest"),
    ],
)
def test_what_names_no_entry_is_refused_with_what_would(history: History, word: str, told: str) -> None:
    with pytest.raises(EntryNotFound, match="(?s)" + told.replace("(", r"\(")):
        entry_named(history, word, bookmarks=(1, 4))


@pytest.mark.parametrize(
    ("word", "ends"),
    [
        ("1..3", (1, 3)),
        ("..2", (0, 2)),
        ("4..", (4, 5)),
        ("..", (0, 5)),
        ("latest~1..latest", (4, 5)),
        ("-2..", (4, 5)),
    ],
)
def test_ranges(history: History, word: str, ends: tuple[int, int]) -> None:
    assert range_named(history, word) == ends


def test_a_range_the_wrong_way_round_names_the_right_one(history: History) -> None:
    with pytest.raises(EntryNotFound, match=r"write 1\.\.4"):
        range_named(history, "4..1")


def test_an_empty_history_says_that_it_is_empty() -> None:
    history = History(MemoryStore("empty.unspool"))
    for word in ("latest", "0", "12:00", "tea"):
        with pytest.raises(EntryNotFound, match="has no entry"):
            entry_named(history, word)


def test_what_reads_as_a_place_is_none_of_an_action() -> None:
    assert all(map(looks_like_place, ("12", "+3", "12:00", "latest~2", "mark:1", "2026-03-01T12:00:00Z")))
    assert not any(map(looks_like_place, ("tea", "12 teas", "a~2", "")))
    assert names_time("12:00")
    assert not names_time("12")
