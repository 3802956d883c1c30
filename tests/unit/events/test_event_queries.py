"""Pages of events by space, type and time."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

import pytest
from event_samples import at, fill
from hypothesis import given
from hypothesis import strategies as st

from unspool.events import Event, EventLog, EventLogConfig, EventPage, InvalidQuery


@pytest.fixture
def log() -> Iterator[EventLog]:
    """Return a log of two spaces, one of them named beyond Latin-1."""
    with EventLog(":memory:", EventLogConfig(snapshot_interval=0)) as log:
        fill(log, "s", 25)
        fill(log, "日本 🎉", 12, start=5)
        log.write_event("user_feedback", "s", at(3), {})
        yield log


def all_pages(ask: Callable[[str | None], EventPage]) -> list[Event]:
    """Follow cursors to the end."""
    page = ask(None)
    events = list(page.items)
    while page.next_cursor is not None:
        page = ask(page.next_cursor)
        events.extend(page.items)
    assert len(events) == page.total
    return events


def test_e50_a_space_is_paged_in_chain_order_both_ways(log: EventLog) -> None:
    for space_id, count in (("s", 26), ("日本 🎉", 12)):
        up = all_pages(lambda cursor, name=space_id: log.query_by_space(name, limit=5, cursor=cursor))  # type: ignore[misc]
        assert [event.sequence_number for event in up] == list(range(1, count + 1))
        down = all_pages(
            lambda cursor, name=space_id: log.query_by_space(name, limit=7, cursor=cursor, order="desc")  # type: ignore[misc]
        )
        assert down == up[::-1]


def test_e50_limits_default_to_100_and_are_moved_into_1_to_1000() -> None:
    with EventLog(":memory:", EventLogConfig(snapshot_interval=0)) as log:
        fill(log, "s", 1005)
        assert len(log.query_by_space("s").items) == 100
        assert len(log.query_by_space("s", limit=5000).items) == 1000
        assert len(log.query_by_space("s", limit=0).items) == 1
        assert log.query_by_space("s", limit=-3).total == 1005


@pytest.mark.parametrize(
    ("option", "field"), [({"limit": 1.5}, "limit"), ({"limit": True}, "limit"), ({"order": "up"}, "order")]
)
def test_e50_options_that_mean_nothing_are_refused(log: EventLog, option: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        log.query_by_space("s", **option)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_e50_an_unknown_space_has_no_events(log: EventLog) -> None:
    assert log.query_by_space("unknown") == EventPage((), None, 0)


def test_e50_a_page_that_ends_with_the_events_has_no_next(log: EventLog) -> None:
    assert log.query_by_space("日本 🎉", limit=12).next_cursor is None
    assert log.query_by_space("日本 🎉", limit=11).next_cursor is not None


def test_e50_a_cursor_continues_where_it_was_though_events_have_come(log: EventLog) -> None:
    first = log.query_by_space("s", limit=26 - 2)
    fill(log, "s", 2, start=50)
    rest = log.query_by_space("s", limit=100, cursor=first.next_cursor)
    assert [event.sequence_number for event in rest.items] == [25, 26, 27, 28]


@given(st.text())
def test_e51_text_that_is_no_cursor_is_refused(text: str) -> None:
    with EventLog(":memory:") as log:
        for ask in (log.query_by_space, log.query_by_type):
            with pytest.raises(InvalidQuery) as caught:
                ask("state_changed", cursor=text)
            assert caught.value.code == "INVALID_QUERY"
            assert caught.value.field == "cursor"


@pytest.mark.parametrize(
    "forged",
    [
        "[]",
        '["x","",1]',
        '["x",1,2]',
        '["x","zz",2]',
        '["x","",1.5]',
        "{}",
        '["x","","1"]',
        "[" * 9000,
        '["x","",99999999999999999999]',
    ],
)
def test_e51_a_forged_cursor_is_refused(log: EventLog, forged: str) -> None:
    with pytest.raises(InvalidQuery):
        log.query_by_space("s", cursor=base64.urlsafe_b64encode(forged.encode()).decode())


def test_e51_a_cursor_of_another_query_is_refused(log: EventLog) -> None:
    cursor = log.query_by_space("s", limit=1).next_cursor
    for ask in (
        lambda: log.query_by_space("日本 🎉", cursor=cursor),
        lambda: log.query_by_space("s", cursor=cursor, order="desc"),
        lambda: log.query_by_type("state_changed", cursor=cursor),
        lambda: log.query_by_time(at(0), at(9), cursor=cursor),
    ):
        with pytest.raises(InvalidQuery, match="another query"):
            ask()


def test_e52_a_type_is_paged_by_number_over_all_spaces(log: EventLog) -> None:
    events = all_pages(lambda cursor: log.query_by_type("state_changed", limit=4, cursor=cursor))
    assert len(events) == 37
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(numbers)
    down = all_pages(lambda cursor: log.query_by_type("state_changed", limit=9, cursor=cursor, order="desc"))
    assert down == events[::-1]
    assert [event.payload for event in log.query_by_type("user_feedback").items] == [{}]


def test_e52_an_unknown_type_is_refused(log: EventLog) -> None:
    with pytest.raises(InvalidQuery) as caught:
        log.query_by_type("nonsense")
    assert caught.value.field == "type"


def test_e53_a_time_range_is_paged_in_time_order(log: EventLog) -> None:
    events = all_pages(lambda cursor: log.query_by_time(at(2), at(10), limit=3, cursor=cursor))
    assert [event.timestamp for event in events] == sorted(event.timestamp for event in events)
    assert [event.timestamp for event in events][:3] == [at(2), at(3), at(3)]
    assert at(10) not in {event.timestamp for event in events}
    assert len(events) == 8 + 5 + 1
    down = all_pages(lambda cursor: log.query_by_time(at(2), at(10), limit=5, cursor=cursor, order="desc"))
    assert down == events[::-1]


def test_e53_moments_are_compared_not_spellings() -> None:
    with EventLog(":memory:") as log:
        log.write_event("state_changed", "s", "2026-01-01T01:00:00+01:00", {"n": 1})
        log.write_event("state_changed", "s", "2026-01-01T00:00:00.5Z", {"n": 2})
        log.write_event("state_changed", "s", "2025-12-31T23:00:00-01:30", {"n": 3})
        events = log.query_by_time("2026-01-01T00:00:00.000000Z", "2026-01-01T02:00:00+01:00").items
        assert [event.payload["n"] for event in events] == [1, 2, 3]
        assert events[0].timestamp == "2026-01-01T01:00:00+01:00"
        assert log.query_by_time("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.50Z").total == 0


@pytest.mark.parametrize(
    ("start", "end", "field"), [("soon", at(1), "from"), (at(1), "2026-02-30", "to"), (None, at(1), "from")]
)
def test_e53_bad_dates_are_refused(log: EventLog, start: str, end: str, field: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        log.query_by_time(start, end)
    assert caught.value.field == field


def test_a_cursor_tells_the_number_and_id_of_the_last_event_as_the_seed_s_does() -> None:
    with EventLog(":memory:") as log:
        for number in range(5):
            log.write_event("state_changed", "s", f"2026-02-14T00:00:0{number}Z", {"n": number})
        page = log.query_by_space("s", limit=2)
        assert page.next_cursor is not None
        told = json.loads(base64.urlsafe_b64decode(page.next_cursor))
        assert (told["seq"], told["id"]) == (2, page.items[-1].id)
        following = log.query_by_space("s", limit=2, cursor=page.next_cursor)
        assert [event.payload["n"] for event in following.items] == [2, 3]
