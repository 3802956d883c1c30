"""The answer strip: what happened at the head, at which line of code, and the story of one value, at every width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tui_driver import drive, make_app, open_file

from unspool.history.diff import diff_states
from unspool.history.history import StateView
from unspool.model.encoding import encode
from unspool.model.entries import SourceLine
from unspool.recorder.recorder import Recorder
from unspool_tui.panes.answer import EntryAnswer, ValueAnswer, entry_line, framed, headline, value_line
from unspool_tui.rendering.labels import difference, largest_change, record_name, record_names, sparkline, told_path
from unspool_tui.rendering.line import ASCII, UNICODE, Row, crop_spans, spans_width
from unspool_tui.rendering.values import Origin

SECOND = 10**9
LINE = SourceLine("/home/ada/shop/demo_bug.py", 19, "HastyShop._take_out")
ENTRY = EntryAnswer(94, "ada puts tea back", 800_000_000, 93, LINE)


def text(row: Row, width: int) -> str:
    """Return a row as it is drawn."""
    right = spans_width(row.right)
    left, used = crop_spans(row.left, max(0, width - right))
    spans = (*left, (row.fill * max(0, width - right - used), ""), *row.right)
    return "".join(part for part, _ in spans)


def test_the_whole_answer_stands_in_one_line() -> None:
    shown = text(entry_line(ENTRY, 100, UNICODE), 100)
    assert shown.startswith(" #94 ada puts tea back ")
    assert shown.endswith(" 800 ms after #93 · demo_bug.py:19 _take_out ")


async def test_what_was_found_changed_has_a_mark_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        for number, unseen in enumerate((False, True, False)):
            recorder.record({"n": number}, "step", meta={"live": {"unseen": unseen}})
    async with drive(make_app(open_file(path), at=1), size=(80, 24)) as driver:
        assert " #1 ? step" in driver.text()
        await driver.press(".")
        assert " #2 step" in driver.text()
        await driver.press("?")
        assert "? changed unseen" in driver.text()


@pytest.mark.parametrize("width", [30, 40, 58, 60, 78, 80, 118, 200])
def test_file_and_line_are_never_cut_and_the_action_is_cut_first(width: int) -> None:
    told = EntryAnswer(94, "ada puts tea back " * 20, 800_000_000, 93, LINE)
    assert "demo_bug.py:19" in text(entry_line(told, width, UNICODE), width)
    assert "#94 ada" in text(entry_line(told, width, UNICODE), width)


def test_a_value_tells_what_it_was_by_how_much_it_changed_and_who_set_it_before_and_next() -> None:
    origin = Origin(
        94, "ada puts tea back", (90, 87), before="37.05", by="+12.50", later=99, numbers=(10.0, 37.05, 49.55)
    )
    shown = text(value_line(ValueAnswer("carts.ada.total", "49.55", origin, 94), 100, UNICODE), 100)
    assert "carts.ada.total  37.05 → 49.55 (+12.50)" in shown
    assert "was set #90, next set #99  ▁▆█" in shown


def test_a_value_that_an_earlier_entry_set_tells_that_one_with_its_line() -> None:
    origin = Origin(94, "ada puts tea back", (90,), before="37.05", caller=LINE, later=-1)
    for width in (58, 80, 120):
        assert "demo_bug.py:19" in text(
            value_line(ValueAnswer("carts.ada.total", "49.55", origin, 98), width, UNICODE), width
        )
    shown = text(value_line(ValueAnswer("carts.ada.total", "49.55", origin, 98), 120, UNICODE), 120)
    assert "set #94 ada puts tea back · demo_bug.py:19, not set again" in shown
    assert "37.05" not in shown


def test_a_frame_holds_the_first_line_in_its_edge() -> None:
    rows = framed([entry_line(ENTRY, 98, UNICODE), Row((("value", "text"),))], 100, UNICODE)
    assert len(rows) == 3
    assert text(rows[0], 100).startswith("╭─ #94 ada puts tea back ─")
    assert text(rows[0], 100).endswith("─ 800 ms after #93 · demo_bug.py:19 _take_out ─╮")
    assert rows[1].edge


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (37.05, 49.55, "+12.50"),
        (1, 3, "+2"),
        (3, 1, "-2"),
        (1, 1.5, "+0.5"),
        (True, 2, ""),
        ("1", 2, ""),
        (float("nan"), 1.0, ""),
    ],
)
def test_a_difference_is_told_exactly(old: Any, new: Any, told: str) -> None:
    assert difference(old, new) == told


@given(st.integers() | st.floats(), st.integers() | st.floats())
def test_any_difference_is_short(old: Any, new: Any) -> None:
    assert len(difference(old, new)) < 1300


@given(st.lists(st.floats(), max_size=30))
def test_a_sparkline_has_a_bar_a_number(numbers: list[float]) -> None:
    for glyphs in (UNICODE, ASCII):
        assert len(sparkline(numbers, glyphs.bars)) in (0, len(numbers))


def test_records_are_told_by_their_names() -> None:
    state = {"Incidents": [{"UniqueId": "a1", "Name": "Dixie Fire", "AcresBurned": 5}, {"id": 2, "Title": "Other"}]}
    address = ("Incidents", 0, "AcresBurned")
    assert told_path(address, record_names(address, state)) == "Incidents[0 Dixie Fire].AcresBurned"
    assert told_path(("Incidents", 1), record_names(("Incidents", 1), state)) == "Incidents[1 Other]"
    assert record_name({"label": "c", "display_name": "d", "name": " "}) == "c"
    assert record_name([1]) == ""


def _largest(before: dict[str, Any], after: dict[str, Any]) -> str:
    old, new = (StateView(0, {name: encode(value) for name, value in state.items()}) for state in (before, after))
    change = largest_change(diff_states(0, 1, old.wire, new.wire).changes)
    return headline(change, record_names(change.address, after) if change else {}, UNICODE)


def test_without_an_action_the_largest_change_is_the_headline() -> None:
    before = {"AllAcres": 62490, "n": 1, "at": 1_700_000_000, "rows": [{"id": 1, "name": "Dixie", "acres": 3}]}
    assert _largest(before, {**before, "AllAcres": 63583, "n": 2, "at": 1_700_009_000}) == "AllAcres 62,490 → 63,583"
    assert _largest(before, {**before, "rows": [{"id": 1, "name": "Dixie", "acres": 9}]}) == "Dixie acres 3 → 9"
    assert _largest(before, {**before, "new": 1}) == "+ new"
    assert _largest(before, before) == ""


hostile = st.text(max_size=60) | st.sampled_from(["\x1b[2J\x07", "[bold]x[/]", "\u202eabc", "a\nb\tc", "界" * 40])


@given(hostile, hostile, hostile, st.integers(20, 160), st.booleans())
def test_what_was_recorded_is_inert_and_fits(action: str, path: str, file: str, width: int, here: bool) -> None:
    caller = SourceLine(file, 19, path)
    origin = Origin(3 if here else 2, action, (1,), before="1", caller=caller, later=9, numbers=(1.0, 2.0))
    rows = [
        entry_line(EntryAnswer(3, action, -5, 2, caller), width, UNICODE),
        value_line(ValueAnswer(told_path((path, 0), {1: "x"}), "2", origin, 3), width, UNICODE),
    ]
    for row in rows:
        shown = text(row, width)
        assert not any(character < " " or character in "\x7f\u202e" for character in shown)
        assert spans_width(row.right) <= width


def record_orders(path: Path) -> Path:
    with Recorder(path, caller=True) as recorder:
        total = 10.0
        for number in range(20):
            total += 12.5 if number % 4 == 0 else 0
            recorder.record(
                {"cart": {"total": total, "n": number // 2}}, f"step {number}", timestamp_ns=number * SECOND
            )
    return path


@pytest.mark.parametrize(("size", "lines"), [((80, 24), 2), ((120, 40), 3)])
async def test_every_size_tells_who_and_where(tmp_path: Path, size: tuple[int, int], lines: int) -> None:
    app = make_app(open_file(record_orders(tmp_path / "orders.unspool")), at=16)
    async with drive(app, size=size) as driver:
        strip = app.main.strip
        assert strip.size.height == lines
        shown = "\n".join(driver.text().split("\n")[strip.region.y : strip.region.bottom])
        assert "#16 step 16" in shown
        assert "1.0 s after #15" in shown
        assert "test_answer_strip.py:" in shown
        # Nothing is selected: the change that tells most is told.
        assert "cart.total" in shown
        assert "(+12.5)" in shown
        assert "was set #12" in shown
        await driver.press(".")
        assert "#17 step 17" in driver.text()
