"""Watches: their value at the head, where their truth changed, and what is not known of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tui_driver import drive, make_app, open_file

from unspool.history.history import History
from unspool.query.bisect import bisect
from unspool.recorder.recorder import Recorder
from unspool.store.memory import MemoryStore
from unspool_tui.panes.watches import Course, Now, WatchBook, check_watch, watch_spans
from unspool_tui.rendering.line import UNICODE, spans_width
from unspool_tui.settings import Settings
from unspool_tui.worker import QuestionKind, Reply

action = pytest.mark.action


def recorded(states: list[dict[str, Any]], path: Path | None = None) -> History:
    """Record states, and open what came of it."""
    if path is not None:
        with Recorder(path) as recorder:
            for number, state in enumerate(states):
                recorder.record(state, f"step {number}")
        return open_file(path)
    store = MemoryStore()
    recorder = Recorder(store)
    for number, state in enumerate(states):
        recorder.record(state, f"step {number}")
    recorder.flush()
    return History(store)


def gone_through(book: WatchBook, history: History, *texts: str) -> WatchBook:
    """Have everything about watches found out."""
    for news in book.ask_courses(history, texts, lambda: False):
        if news is not None:
            book.learn(news)
    return book


def told(book: WatchBook, history: History, text: str, head: int, room: int = 80) -> str:
    """Return what the strip tells of a watch."""
    book.learn(book.ask_now(history, (text,), head))
    return "".join(part for part, _ in book.row((text,), head, room, UNICODE).left)


TOTALS = [{"n": 1, "total": 5}, {"n": 2, "total": 5}, {"n": 9, "total": 5}, {"n": 9, "total": 20}]


def test_a_watch_tells_since_when_its_truth_is_another(tmp_path: Path) -> None:
    history = recorded(TOTALS, tmp_path / "a.unspool")
    book = gone_through(WatchBook(), history, "total >= n")
    assert "total >= n ✓" in told(book, history, "total >= n", 1)
    assert "since" not in told(book, history, "total >= n", 1)
    assert "✗ since #2" in told(book, history, "total >= n", 2)
    assert "✓ since #3" in told(book, history, "total >= n", 3)
    assert book.flips(("total >= n",)) == (2, 3)


def test_a_number_is_told_with_what_it_was_over_time(tmp_path: Path) -> None:
    history = recorded(TOTALS, tmp_path / "a.unspool")
    book = gone_through(WatchBook(), history, "$.n")
    assert "n 9 ▁▂█" in told(book, history, "$.n", 2)
    assert book.flips(("$.n",)) == ()


def test_what_cannot_be_worked_out_is_unknown_and_no_change(tmp_path: Path) -> None:
    states = [{"n": number if number % 2 else "text"} for number in range(8)]
    history = recorded(states, tmp_path / "a.unspool")
    book = gone_through(WatchBook(), history, "abs(n) < `4`")
    assert "unknown at #2" in told(book, history, "abs(n) < `4`", 2)
    # 1 and 3 hold, 5 and 7 do not: what is unknown in between is no change.
    assert book.flips(("abs(n) < `4`",)) == (5,)
    shown = told(book, history, "abs(n) < `4`", 5, 120)
    assert "✗ since #5" in shown
    assert "unknown at #0 and 3 more" in shown


def test_a_watch_of_what_is_not_there_says_so(tmp_path: Path) -> None:
    history = recorded([{"a": 1}, {"b": 2}], tmp_path / "a.unspool")
    book = gone_through(WatchBook(), history, "$.a", "no_such_atom > `1`")
    assert "is not there" in told(book, history, "$.a", 1)
    assert "unknown" in told(book, history, "no_such_atom > `1`", 1)


numbers = st.lists(st.integers(-3, 3) | st.none(), min_size=2, max_size=40)


@given(numbers, st.integers(1, 39))
def test_going_on_where_entries_arrive_finds_what_going_through_all_does(values: list[int | None], cut: int) -> None:
    states = [{"n": value, "other": place} for place, value in enumerate(values)]
    question = "n > `0`"
    whole = recorded(states)
    expected = [flip.seq for flip in bisect(whole, question).flips]
    for book in (WatchBook(), gone_through(WatchBook(), recorded(states[:cut]), question)):
        gone_through(book, whole, question)
        book.learn(book.ask_now(whole, (question,), len(values) - 1))
        assert list(book.flips((question,))) == expected


hostile = st.text(max_size=60) | st.sampled_from(["\x1b[2J\x07", "[bold]x[/]", "\u202eabc", "界" * 40, "$.a"])


@given(hostile, hostile, st.integers(12, 160), st.booleans() | st.none(), st.booleans())
def test_a_watch_is_inert_and_fits(text: str, value: str, room: int, holds: bool | None, is_unknown: bool) -> None:
    from unspool_tui.rendering.line import on_grid

    now = Now(unknown=value or "x") if is_unknown else Now(on_grid(value), holds)
    course = Course(flips=(1, 2), numbers=(1.0, 2.0), failures=2, failed_at=1, failure=value)
    spans = watch_spans(text, now, course, 3, room, UNICODE)
    assert spans_width(spans) <= room + 1
    assert not any(character < " " or character in "\x7f\u202e" for part, _ in spans for character in part)


def test_what_is_typed_is_checked_before_it_is_watched() -> None:
    from unspool.errors import UnspoolError

    assert "value at that path" in check_watch("$.carts.ada.total")
    assert "reads total" in check_watch("total > `1`")
    with pytest.raises(UnspoolError):
        check_watch("total >")


@action("watch")
async def test_a_selected_path_or_a_typed_expression_is_watched_until_it_is_again(tmp_path: Path) -> None:
    path = tmp_path / "a.unspool"
    recorded(TOTALS, path).close()
    settings = Settings()
    async with drive(make_app(open_file(path), at=3, remember=True, settings=settings), size=(80, 24)) as driver:
        await driver.press("=")
        await driver.type("total >= n")
        await driver.press("enter")
        assert driver.app.main.strip.size.height == 3
        assert "total >= n ✓ since #3" in driver.text()
        assert driver.view.flips == (2, 3)
        await driver.press(",")
        assert "total >= n ✗ since #2" in driver.text()
        await driver.press("2", "=", "enter")
        assert driver.view.watches == ("total >= n", "$.n")
        assert "n 9" in driver.text()
        await driver.press("=")
        assert driver.view.watches == ("total >= n",)
    async with drive(make_app(open_file(path), remember=True, settings=settings), size=(80, 24)) as driver:
        assert driver.view.watches == ("total >= n",)
        assert "total >= n ✗ since #2" in driver.text()


async def test_courses_of_several_watches_are_asked_once_however_slowly_the_answers_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.unspool"
    recorded(TOTALS, path).close()
    async with drive(make_app(open_file(path), at=3)) as driver:
        main = driver.app.main
        asked, held, ask, deliver = [], [], main.worker.ask, main.worker._deliver

        def put(kind: QuestionKind, work: Callable[[], Any]) -> int:
            asked.append(kind)
            return ask(kind, work)

        def hand_over(reply: Reply) -> None:
            """Have the screen take no part of an answer before the worker has given the last."""
            if reply.kind is not QuestionKind.COURSES:
                deliver(reply)
                return
            held.append(reply)
            if reply.done:
                while held:
                    deliver(held.pop(0))

        main.worker.ask, main.worker._deliver = put, hand_over  # type: ignore[method-assign]
        main.apply(replace(main.view, watches=("total >= n", "$.n", "$.total")))
        await driver.settle()
        assert asked.count(QuestionKind.COURSES) == 1
        assert driver.view.flips == (2, 3)
