"""The lanes of the timeline: figures against a slow oracle, what is drawn of them, and what the keys and the mouse do there."""

from __future__ import annotations

import math
import threading
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hostile_texts import assert_harmless, texts, widths
from hypothesis import given
from hypothesis import strategies as st
from shop_files import record, shop_states
from textual import events
from tui_driver import Driver, drive, make_app, open_file

from unspool import Recorder
from unspool.history.history import History
from unspool.store.memory import MemoryStore
from unspool_tui.panes.lanes import LaneBook, is_error
from unspool_tui.panes.scene import full_ledger
from unspool_tui.rendering.line import ASCII, UNICODE, Glyphs, on_grid
from unspool_tui.rendering.timeline_lines import ground_of, lane_label, lane_line, with_words
from unspool_tui.view.axis import (
    NOTES,
    Axis,
    CellFigures,
    Lane,
    LaneKind,
    LaneRow,
    Ranking,
    atom_lane,
    entry_axis,
    lanes_of,
    parts_of,
    ranked,
)
from unspool_tui.view.model import View
from unspool_tui.view.moves import choose_part, select
from unspool_tui.view.overview import EntryLedger
from unspool_tui.widgets.timeline import LABEL, lane_room, margin, span

action = pytest.mark.action

values = st.one_of(
    st.integers(-5, 5), st.floats(allow_nan=True), st.booleans(), st.text(max_size=3), st.none(), st.just(10**400)
)
states = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "c d", "e"]), values, max_size=4), min_size=1, max_size=60
)


def recorded(told: list[dict[str, Any]]) -> History:
    store = MemoryStore("lanes")
    with Recorder(store, on_error="raise") as recorder:
        for state in told:
            recorder.record(state, "step")
    return History(store)


def worked_out(book: LaneBook, lanes: tuple[Lane, ...], axis: Axis, history: History) -> list[LaneRow]:
    ledger = full_ledger(history)
    for _ in book.work_out(lanes, axis, ledger, len(history)):
        pass
    assert not book.lacks(lanes, axis, ledger, len(history))
    return book.rows(lanes, axis, ledger)


@given(states, st.integers(1, 30), st.data())
def test_figures_are_those_of_the_entries_of_each_cell(
    told: list[dict[str, Any]], columns: int, data: st.DataObject
) -> None:
    with recorded(told) as history:
        book, total = LaneBook(history), len(history)
        lanes = tuple(atom_lane(atom) for atom in ("a", "b", "c d", "e"))
        start = data.draw(st.integers(0, total - 1))
        stop = data.draw(st.integers(start + 1, total))
        # A second axis must not be misled by what is remembered of the first.
        for axis in (entry_axis(0, total, columns), entry_axis(start, stop, columns)):
            for row in worked_out(book, lanes, axis, history):
                numbers = row.numbers()
                drawn = any(number is not None for number in numbers)
                for cell, (low, high) in enumerate(pairwise(axis.edges)):
                    writes = [seq for seq in range(low, high) if row.lane.name in dict(history.changed_atoms(seq))]
                    figures = row.cells[cell]
                    assert figures is not None
                    assert (figures.writes, figures.last) == (len(writes), writes[-1] if writes else -1)
                    value = history.state(high - 1).get(row.lane.name)
                    is_number = type(value) in (int, float) and value != 10**400 and math.isfinite(value)
                    if drawn:
                        assert numbers[cell] == (value if is_number else None)


def told_alike(followed: CellFigures | None, anew: CellFigures | None) -> bool:
    """Whether two answers about a cell agree; either may do without a value where the atom is known to be no number."""
    assert followed is not None
    assert anew is not None
    unlike = followed.valued and anew.valued and followed.value != anew.value
    return (followed.writes, followed.last) == (anew.writes, anew.last) and not unlike


@given(states, st.integers(1, 12), st.integers(1, 9))
def test_while_a_history_grows_the_newest_cell_goes_on(
    told: list[dict[str, Any]], columns: int, at_once: int
) -> None:
    lanes = tuple(atom_lane(atom) for atom in ("a", "b", "c d", "e"))
    store = MemoryStore("lanes")
    with Recorder(store, on_error="raise") as recorder, History(store) as history:
        book = LaneBook(history)
        for start in range(0, len(told), at_once):
            for state in told[start : start + at_once]:
                recorder.record(state, "step")
            history.refresh()
            axis = entry_axis(0, len(history), columns)
            anew = worked_out(LaneBook(history), lanes, axis, history)
            for row, other in zip(worked_out(book, lanes, axis, history), anew, strict=True):
                assert all(map(told_alike, row.cells, other.cells))


def test_no_cell_is_remembered_for_each_look_at_a_history_that_grows() -> None:
    lanes, store = (atom_lane("a"), atom_lane("b")), MemoryStore("lanes")
    axes, whole = set(), set()
    with Recorder(store, on_error="raise") as recorder, History(store) as history:
        book, ledger = LaneBook(history), EntryLedger(history.columns())
        for number in range(1_700):
            recorder.record({"a": number, "b": number // 3}, "step")
            if number < 1_500 or number % 2:
                continue
            history.refresh()
            axis = entry_axis(0, len(history), 20)
            ledger.catch_up(len(history.columns()))
            deque(book.work_out(lanes, axis, ledger, len(history)), maxlen=0)
            axes.add(axis.edges[:-1])
            whole.update(pairwise(axis.edges[:-1]))
        assert book.kept <= (len(whole) + len(axes)) * len(lanes)


@given(texts, texts, st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.floats())), max_size=40), widths)
def test_lanes_are_inert_whatever_they_are_called(
    name: str, part: str, cells: list[tuple[int, float | None]], width: int
) -> None:
    total = max(1, len(cells))
    axis = entry_axis(0, total, span(width, 8))
    view = View(total=total, head=0, base=total - 1, selected=(name,), pinned=(name,), timeline_focused=True)
    figures = [
        CellFigures(writes, 0, True, value if value is None or math.isfinite(value) else None)
        for writes, value in [*cells, (0, None)][: axis.cells]
    ]
    for lane in (atom_lane(name), Lane(LaneKind.PART, part, (name,)), NOTES):
        for glyphs in (UNICODE, ASCII):
            ground = ground_of(view, axis, glyphs, margin(width, 8))
            line = lane_line(axis, LaneRow(lane, figures, frozenset((0,))), glyphs)
            row = ground.row(line, lane_label(lane, view))
            assert_harmless(row, width)
            assert_harmless(with_words(row, on_grid(name), width // 2, width), width)


def test_pinned_lanes_come_first_then_notes_parts_and_the_most_active() -> None:
    ranking = Ranking(("a x", "b x", "a y"), {"a": ("a x", "a y"), "b": ("b x",)}, 9)
    lanes = lanes_of(View(pinned=("a y",)), ranking, notes=True, most=9)
    assert [lane.name for lane in lanes] == ["a y", "notes", "a", "b", "a x", "b x"]
    alone = choose_part(View(), "b", ("a", "b"))
    assert [lane.name for lane in lanes_of(alone, ranking, notes=False, most=9)] == ["b", "b x"]
    hidden = choose_part(alone, "b", ("a", "b"))
    assert [lane.name for lane in lanes_of(hidden, ranking, notes=False, most=9)] == ["a", "a x", "a y"]
    assert len(lanes_of(View(), ranking, notes=True, most=2)) == 2


def test_parts_are_told_by_names_and_by_never_changing_together() -> None:
    atoms = ["run1 cart", "run1 till", "run2 cart"]
    assert parts_of(atoms, [["run1 cart", "run1 till"], ["run2 cart"]]) == {
        "run1": ("run1 cart", "run1 till"),
        "run2": ("run2 cart",),
    }
    assert parts_of(["first name", "first line", "last name"], [["first name", "last name"]]) == {}
    assert parts_of(["a b", "c d"], []) == {}
    assert parts_of([*atoms, "alone"], []) == {}


def test_among_fifty_thousand_atoms_the_most_active_are_found() -> None:
    changes = {f"atom {number}": number % 977 for number in range(50_000)}
    ranking = ranked(changes, (), 50_000)
    assert len(ranking.atoms) == 64
    assert {changes[atom] for atom in ranking.atoms[:51]} == {976}


def test_what_makes_an_error() -> None:
    assert is_error({"level": "ERROR"})
    assert is_error({"raised": {"type": "ValueError"}})
    assert not is_error({"level": "info"})
    assert not is_error({"level": 50})


def test_room_for_lanes_grows_with_the_terminal() -> None:
    assert [lane_room(lines, 4) for lines in (24, 30, 39, 40, 50, 60, 200)] == [0, 2, 2, 5, 7, 9, 12]


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    path = tmp_path / "noted.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for step in range(60):
            recorder.record({"n": step % 7, "name": f"step {step}"}, f"step {step}")
            if step == 20:
                recorder.note("slow", level="warning")
            if step == 40:
                recorder.note("lost", level="error")
    return path


def _lane(driver: Driver, name: str) -> str:
    return next(line for line in driver.text().splitlines()[1:12] if line.startswith(f" {name} "))


async def test_numbers_are_drawn_as_values_and_notes_and_errors_have_a_lane(noted: Path) -> None:
    async with drive(make_app(open_file(noted), at=0)) as driver:
        await driver.until(lambda: "▁" in _lane(driver, "n") and "█" in _lane(driver, "n"))
        await driver.until(lambda: "✗" in _lane(driver, "notes"))
        assert _lane(driver, "notes").count("○") == 1
        # Every entry but the two notes writes it; the head stands on the first.
        assert sorted(_lane(driver, "name")[LABEL:].rstrip()) == [" ", " ", "▇", *"█" * 59]
        # The cursor is a column of every line.
        assert driver.app.main.timeline.height == 3 + 3


async def test_plain_characters_show_the_same_timeline(noted: Path) -> None:
    async with drive(make_app(open_file(noted), at=0, ascii=True)) as driver:
        await driver.until(lambda: "x" in _lane(driver, "notes"))
        for line in driver.text().splitlines()[1:7]:
            assert line.isascii()
        assert "#" in _lane(driver, "n")


async def test_a_click_on_a_lane_goes_to_the_write_with_the_atom_selected_and_the_value_is_told(
    shop_file: Path,
) -> None:
    async with drive(make_app(open_file(shop_file), at=0)) as driver:
        timeline, history = driver.app.main.timeline, driver.app.main.scene.history
        place = next(at for at, lane in enumerate(timeline.lanes) if lane.name == "draft")
        cell = timeline.axis.cell_of(next(history.writes("draft", 50)))
        await driver.click(timeline, LABEL + cell * timeline.axis.scale, 3 + place)
        assert driver.view.head in set(history.writes("draft"))
        assert timeline.axis.cell_of(driver.view.head) == cell
        assert driver.view.selected == ("draft",)
        number = next(at for at, lane in enumerate(timeline.lanes) if lane.name == "requests")
        pointer = events.MouseMove(None, 60, 4 + number, 0, 0, 0, False, False, False, 60, 4 + number)
        pointer.set_sender(driver.app)
        driver.app.post_message(pointer)
        await driver.settle()
        assert "requests " in driver.line(1)
        assert "(+2)" in driver.line(1)


async def test_up_and_down_go_from_lane_to_lane(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        names = [lane.name for lane in driver.app.main.timeline.lanes]
        await driver.press("6", "j", "j", "k", "j")
        assert driver.view.selected == (names[1],)
        await driver.press(*["j"] * 9)
        assert driver.view.selected == (names[-1],)
        assert driver.view.head == 50


@action("pin")
async def test_a_pinned_atom_is_the_first_lane_also_where_others_have_no_room(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100), (100, 32)) as driver:
        driver.app.main.apply(select(driver.view, ("draft",)))
        await driver.press("P")
        await driver.until(lambda: "█" in _lane(driver, "draft"))
        assert driver.app.main.timeline.height == 4
        await driver.press("P")
        assert driver.app.main.timeline.height == 3
        assert "#100" in driver.line(4)


@action("timeline.part")
async def test_a_part_has_the_lanes_for_itself_or_gives_them_up(tmp_path: Path) -> None:
    paths = []
    for run in ("one", "two"):
        paths.append(tmp_path / f"{run}.unspool")
        with Recorder(paths[-1], on_error="raise") as recorder:
            for step in range(20):
                recorder.record({"cart": [step], "till": step}, f"{run} {step}")
    from unspool import open_history  # only here, for a source of several files

    with open_history("merge:" + ":".join(map(str, paths))) as history:
        async with drive(make_app(history, at=5), (120, 50)) as driver:
            await driver.until(lambda: any(line.startswith(" one ") for line in driver.text().splitlines()))
            await driver.press("#", "1")
            names = [lane.name for lane in driver.app.main.timeline.lanes]
            assert names == ["one", "one cart", "one till"]
            await driver.press("#", "1")
            names = [lane.name for lane in driver.app.main.timeline.lanes]
            assert names == ["two", "two cart", "two till"]
            await driver.press("#", "a")
            assert len(driver.app.main.timeline.lanes) == 6


@action("timeline.part")
async def test_a_source_without_parts_says_so(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=5), (80, 24)) as driver:
        await driver.press("#")
        assert "no parts" in driver.line(-1)


async def test_lanes_that_cannot_be_worked_out_are_given_up_and_told_once(
    shop_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fails(*given: object) -> None:
        asked.append(given)
        raise OSError("no space left")

    monkeypatch.setattr(LaneBook, "work_out", fails)
    async with drive(make_app(open_file(shop_file), at=50)) as driver:
        await driver.until(lambda: len(asked) == 1)
        await driver.settle()
        assert "no space left" in driver.line(-1)
        await driver.press(".", ".")
        assert (len(asked), driver.view.head) == (1, 52)


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_a_lane_of_which_nothing_is_known_yet_says_so(glyphs: Glyphs) -> None:
    axis, lane = entry_axis(0, 40, 20), atom_lane("cart")
    nothing = lane_line(axis, LaneRow(lane, [None] * axis.cells), glyphs)
    assert "".join(text for text, _ in nothing.spans) == f"reading{glyphs.ellipsis}"
    some = lane_line(axis, LaneRow(lane, [CellFigures(2, 1), *[None] * (axis.cells - 1)]), glyphs)
    assert "reading" not in "".join(text for text, _ in some.spans)
    none = lane_line(axis, LaneRow(lane, [CellFigures(0)] * axis.cells), glyphs)
    assert "reading" not in "".join(text for text, _ in none.spans)


async def test_while_it_is_not_known_which_lanes_there_are_their_room_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unspool_tui.panes.lanes.RANKED_AT_ONCE", 0)
    gate = threading.Event()
    work_out = LaneBook.work_out

    def held(*asked: Any) -> Any:
        assert gate.wait(30)
        return work_out(*asked)

    monkeypatch.setattr(LaneBook, "work_out", held)
    path = record(tmp_path / "shop.unspool", shop_states(60))
    async with drive(make_app(open_file(path)), settles=False) as driver:
        await driver.until(lambda: "chain" in driver.text() and "reading…" in driver.line(4))
        gate.set()
        await driver.settle()
        assert "reading" not in driver.text()
        assert driver.line(4).lstrip().startswith("requests")


def test_between_two_slices_no_more_than_one_entry_is_looked_at_for_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may lie in a block of its own that has to be read: a question that waits does not wait for all of them."""
    told = [
        {"run1 cart": step, "run2 cart": 0} if step % 2 else {"run1 cart": 0, "run1 till": step}
        for step in range(300)
    ]
    with recorded(told) as history:
        book, total, axis = LaneBook(history), len(history), entry_axis(0, 300, 20)
        looked_at: list[int] = []
        changed_atoms = History.changed_atoms

        def watched(self: History, index: int) -> Any:
            looked_at.append(index)
            return changed_atoms(self, index)

        monkeypatch.setattr(History, "changed_atoms", watched)
        most = before = 0
        for _ in book.work_out((), axis, full_ledger(history), total):
            most, before = max(most, len(looked_at) - before), len(looked_at)
        assert len(looked_at) > 50
        assert most == 1
        assert book.ranking.total == total
        assert set(book.ranking.atoms) == {"run1 cart", "run1 till", "run2 cart"}
