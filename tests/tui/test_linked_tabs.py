"""Two tabs scrubbed together: by time, by entry, by action; where they part is marked in both, and unlinking ends it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tabs import opened, tabbed
from tui_driver import Driver, drive

from support.examples import examples
from unspool import open_history
from unspool.recorder import Recorder
from unspool_tui.questions import part
from unspool_tui.rendering.line import UNICODE
from unspool_tui.tabs import LinkBy, Tab, TabLink

action = pytest.mark.action
Step = tuple[int, str, int]
"""Seconds, action and value of an entry."""


def record(path: Path, steps: Sequence[Step]) -> Path:
    with Recorder(path, on_error="raise") as recorder:
        for seconds, name, value in steps:
            recorder.record({"n": value}, name, timestamp_ns=seconds * 10**9)
    return path


A: list[Step] = [(0, "open", 0), (10, "add", 1), (20, "add", 2), (30, "pay", 3), (40, "close", 4)]
B: list[Step] = [(0, "open", 0), (5, "look", 0), (10, "add", 1), (25, "pay", 9), (35, "add", 10)]


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return record(tmp_path / "a.unspool", A), record(tmp_path / "b.unspool", B)


def linked(first: Path, second: Path, by: LinkBy) -> tuple[TabLink, Tab, Tab]:
    """Return a link of two files that all is known of."""
    tabs = [Tab(None, history=open_history(path, follow=False)) for path in (first, second)]
    link = TabLink(tabs[0], tabs[1], by)
    for _ in link.prepare(lambda one, other: part(one, other, lambda done: None, lambda: False), lambda: False):
        pass
    return link, tabs[0], tabs[1]


@pytest.mark.parametrize(
    ("by", "there"),
    [
        (LinkBy.TIME, [0, 2, 2, 3, 4]),
        (LinkBy.ENTRY, [0, 1, 2, 3, 4]),
        (LinkBy.ACTION, [0, 2, 4, 3, None]),
    ],
)
def test_which_entry_stands_for_which(two: tuple[Path, Path], by: LinkBy, there: list[int | None]) -> None:
    link, first, second = linked(*two, by)
    assert [link.counterpart(first, seq) for seq in range(5)] == there
    assert (link.parting_of(first), link.parting_of(second)) == (2, 3)
    assert link.holds


def test_recordings_of_other_days_are_linked_by_the_time_since_they_began(tmp_path: Path) -> None:
    first = record(tmp_path / "a.unspool", A)
    second = record(tmp_path / "b.unspool", [(1_000_000 + seconds, name, value) for seconds, name, value in B])
    link, tab, other = linked(first, second, LinkBy.TIME)
    assert [link.counterpart(tab, seq) for seq in range(5)] == [0, 2, 2, 3, 4]
    assert link.counterpart(other, 3) == 2
    assert link.told_by == "by time since the first entry"


STEPS = st.lists(st.tuples(st.integers(-5, 50), st.sampled_from(["a", "b", "c"]), st.integers(0, 3)), max_size=8)


@settings(max_examples=examples(20))
@given(one=STEPS, other=STEPS, by=st.sampled_from(LinkBy))
def test_a_counterpart_is_an_entry_that_is_there(
    one: list[Step], other: list[Step], by: LinkBy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("links")
    link, first, second = linked(record(folder / "a.unspool", one), record(folder / "b.unspool", other), by)
    for tab, here, there in ((first, one, other), (second, other, one)):
        for seq, (_, name, _) in enumerate(here):
            found = link.counterpart(tab, seq)
            assert found is None or 0 <= found < len(there)
            if by is LinkBy.ACTION and found is not None:
                assert there[found][1] == name
            if by is LinkBy.ACTION:
                assert (found is None) == (
                    [step[1] for step in there].count(name) <= [step[1] for step in here[:seq]].count(name)
                )
        assert (link.counterpart(tab, 0) is None) or there


def test_entries_that_come_later_are_known_after_catching_up(two: tuple[Path, Path]) -> None:
    link, first, second = linked(*two, LinkBy.ACTION)
    with Recorder(two[1], on_error="raise") as recorder:
        recorder.record({"n": 11}, "close", timestamp_ns=50 * 10**9)
    assert second.history is not None
    second.history.refresh()
    assert link.is_behind
    assert link.counterpart(first, 4) is None
    for _ in link.catch_up(lambda: False):
        pass
    assert link.counterpart(first, 4) == 5
    assert not link.is_behind


async def link_by(driver: Driver, key: str) -> None:
    await driver.press("ampersand", key)
    await driver.until(lambda: driver.app.tab_screens.link is not None and driver.view.parting is not None)
    await driver.settle()


@action("tab.link")
async def test_two_tabs_are_scrubbed_together_and_show_where_they_part(two: tuple[Path, Path]) -> None:
    async with drive(tabbed(*two, at=(0, 0))) as driver:
        await opened(driver, 1)
        await link_by(driver, "t")
        assert driver.view.parting == 2
        assert f"{UNICODE.linked} #0 by time in b.unspool" in driver.line(1)
        assert driver.line(0).count(UNICODE.linked) == 2
        assert UNICODE.parting in driver.text()
        await driver.press(".", ".", ".")
        assert f"{UNICODE.linked} #3 by time in b.unspool" in driver.line(1)
        await driver.press("L")
        await opened(driver, 1)
        # The head moved along, and the place where they part is marked here too.
        assert (driver.view.head, driver.view.parting) == (3, 3)
        await driver.press(".", "H")
        await driver.settle()
        assert driver.view.head == 3
        await link_by(driver, "a")
        await driver.press("G", "L")
        await driver.settle()
        # No entry there is called like this one: that tab stays where it was.
        assert driver.view.head == 4
        await driver.press("H", "ampersand", "u")
        await driver.settle()
        assert driver.app.tab_screens.link is None
        assert driver.view.parting is None
        assert UNICODE.linked not in driver.text()
        await driver.press("g", "L")
        await driver.settle()
        assert driver.view.head == 4


async def test_whoever_only_looks_at_the_other_tab_moves_no_head_and_ends_no_following(
    two: tuple[Path, Path],
) -> None:
    async with drive(tabbed(*two, at=(1, None))) as driver:
        await opened(driver, 1)
        await link_by(driver, "t")
        await driver.press("L")
        await opened(driver, 1)
        assert (driver.view.head, driver.view.follow) == (driver.view.tip, True)
        await driver.press("H")
        await driver.settle()
        assert driver.view.head == 1
        # A move in one is a move in the other, once.
        await driver.press(".", "L")
        await driver.settle()
        assert (driver.view.head, driver.view.follow) == (2, False)
        await driver.press("H")
        await driver.settle()
        assert driver.view.head == 2


async def test_one_of_several_tabs_is_chosen_to_link_with(two: tuple[Path, Path], tmp_path: Path) -> None:
    third = record(tmp_path / "c.unspool", A)
    async with drive(tabbed(*two, third, at=(0, 0, 0))) as driver:
        await opened(driver, 2)
        await driver.press("ampersand", "3", "e")
        await driver.until(lambda: driver.app.tab_screens.link is not None)
        await driver.until(lambda: "both go through the same states" in driver.text())
        await driver.press(".", ".", "L")
        await driver.settle()
        assert driver.view.head == 0
        await driver.press("H", "grave_accent", "3")
        await driver.settle()
        assert driver.view.head == 2
