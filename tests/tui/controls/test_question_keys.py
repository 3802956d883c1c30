"""Questions asked in the app: every write of a value, expressions, what is partial, where the bytes are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shop_files import hurt, record, shop_states
from textual import events
from tui_driver import Driver, drive, make_app, open_file

from unspool_tui.screens.modal import Prompt
from unspool_tui.view.model import Pane
from unspool_tui.view.moves import reveal, select
from unspool_tui.widgets.lines import LineInput
from unspool_tui.worker import QuestionKind

action = pytest.mark.action


def moving_records() -> list[tuple[dict[str, Any], str]]:
    """A record that changes, moves, goes and comes back, and entries that touch only its neighbours."""
    pen, cup = {"sku": "pen", "qty": 1}, {"sku": "cup", "qty": 1}
    states = [
        [pen, cup],
        [cup, pen],
        [cup, pen | {"qty": 2}],
        [cup | {"qty": 5}, pen | {"qty": 2}],
        [cup | {"qty": 5}],
        [pen | {"qty": 3}, cup | {"qty": 5}],
    ]
    return [({"cart": rows, "clock": number}, f"step {number}") for number, rows in enumerate(states)]


async def ask(driver: Driver, key: str, text: str) -> None:
    await driver.press(key)
    await driver.type(text)
    await driver.press("enter")


@action("writes")
async def test_all_writes_of_a_record_are_listed_with_those_that_left_it_alone(tmp_path: Path) -> None:
    path = record(tmp_path / "cart.unspool", moving_records())
    async with drive(make_app(open_file(path), at=5)) as driver:
        main = driver.app.main
        main.apply(select(main.view, ("cart", 0, "qty")))
        await driver.press("W")
        await driver.until(lambda: not driver.view.dock.running)
        told = driver.panel(Pane.RESULTS)
        assert "Writes of cart[0].qty" in told
        for line in ("#5 + 3", "#4 - 2", "#3 = 2", "#2 ~ 1 → 2", "#1 = 1", "#0 + 1"):
            assert line in told
        assert told.index("#5 + 3") < told.index("#4 - 2") < told.index("#0 + 1")
        await driver.press("j", "j", "j", "enter")
        assert driver.view.head == 2
        assert driver.view.selected == ("cart", 1, "qty")


async def test_enter_goes_to_the_write_that_set_a_value_and_again_to_the_one_before(tmp_path: Path) -> None:
    path = record(tmp_path / "cart.unspool", moving_records())
    async with drive(make_app(open_file(path), at=3)) as driver:
        main = driver.app.main
        main.apply(reveal(main.view, ("cart", 1, "qty")))
        await driver.press("3", "enter")
        assert (driver.view.head, driver.view.selected) == (2, ("cart", 1, "qty"))
        await driver.press("enter")
        assert (driver.view.head, driver.view.selected) == (0, ("cart", 0, "qty"))
        await driver.press("enter")
        assert driver.view.head == 0
        assert "not set before" in driver.line(-1)


async def test_brackets_follow_the_branch_and_not_the_file(tmp_path: Path) -> None:
    from unspool import Recorder

    path = tmp_path / "fork.unspool"
    with Recorder(path) as recorder:
        for number, parent in enumerate([None, 0, 1, 0, 3]):
            recorder.record({"n": 0 if parent is None or number == 4 else number, "k": number}, parent_seq=parent)
    async with drive(make_app(open_file(path), at=4)) as driver:
        main = driver.app.main
        main.apply(select(main.view, ("n",)))
        await driver.press("[", "[")
        assert driver.view.head == 0


async def test_an_expression_is_searched_for_behind_an_equals_sign(tmp_path: Path) -> None:
    path = record(tmp_path / "cart.unspool", moving_records())
    async with drive(make_app(open_file(path), at=0)) as driver:
        await ask(driver, "/", "= cart[?qty > 1].sku")
        assert list(driver.view.search.hits) == [2, 3, 5]
        await driver.press("/")
        await driver.type("= cart[?")
        await driver.press("enter")
        assert "column" in driver.text()
        await driver.press("escape")


async def test_bisect_tells_how_many_entries_it_left_alone(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=0)) as driver:
        await ask(driver, "B", "session.open")
        await driver.until(lambda: "entries rebuilt" in driver.line(-1))
        await driver.press("escape")
        assert not driver.view.dock.open
        hits = list(driver.view.search.hits)
        assert len(hits) > 2
        await driver.press("n")
        assert driver.view.head == hits[0]
        await ask(driver, "B", "session == null")
        await driver.until(lambda: "the answer never changes" in driver.line(-1))
        await ask(driver, "B", "nothing.there")
        await driver.until(lambda: "no entry has nothing" in driver.text())
        assert not driver.view.search.text


@pytest.mark.parametrize(("key", "text"), [("/", "requests"), ("B", "requests > 150")])
async def test_what_could_not_be_read_is_told_with_the_answer(tmp_path: Path, key: str, text: str) -> None:
    path = hurt(record(tmp_path / "hurt.unspool", shop_states(300)))
    async with drive(make_app(open_file(path), at=299)) as driver:
        await ask(driver, key, text)
        await driver.until(lambda: "could not be read, from entry 0 on" in driver.app.main.messages.all()[-1].text)


async def test_writes_over_damage_are_listed_as_partial(tmp_path: Path) -> None:
    path = hurt(record(tmp_path / "hurt.unspool", shop_states(300)))
    async with drive(make_app(open_file(path), at=299)) as driver:
        main = driver.app.main
        main.apply(select(main.view, ("session", "user_id")))
        await driver.press("W")
        await driver.until(lambda: "partial: " in driver.panel(Pane.RESULTS))
        assert "Writes of session.user_id" in driver.panel(Pane.RESULTS)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("key", "text"), [("/", "requests"), ("B", "@ != null && requests == `-1`")])
async def test_escape_stops_a_question_and_says_that_it_is_partial(tmp_path: Path, key: str, text: str) -> None:
    states = [({"requests": number, "text": f"number {number} " * 40}, "tick") for number in range(6000)]
    path = record(tmp_path / "long.unspool", states, durability="fast")
    async with drive(make_app(open_file(path), at=5999)) as driver:
        await driver.press(key)
        await driver.type(text)
        driver.app.main.unspool_app.simulate_key("enter")
        await driver.until(lambda: driver.view.search.running or driver.view.search.found > 0)
        await driver.press("escape")
        told = [message.text for message in driver.app.main.messages.all()]
        assert any("what was found so far is partial" in text for text in told)
        assert not driver.view.search.running


@action("bytes")
async def test_the_bytes_page_lists_atoms_paths_actions_and_codecs(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("U")
        await driver.until(lambda: "in records of 200 entries" in driver.text())
        assert "requests" in driver.text()
        await driver.press("p")
        assert "catalog.sku-0.stock" in driver.text()
        await driver.press("w")
        assert "sign in" in driver.text()
        await driver.press("c")
        assert "dict" in driver.text()
        await driver.press("escape", ".")
        assert driver.view.head == 101
        assert "101" in driver.panel(Pane.HISTORY)


async def test_tab_completes_a_path_and_tells_the_ways_it_may_go_on(tmp_path: Path) -> None:
    path = record(tmp_path / "shop.unspool", [({"cart": {"items": [{"qty": 1}], "total": 3}, "card": 1}, "start")])
    async with drive(make_app(open_file(path))) as driver:
        await driver.press("B")
        await driver.type("1 < ca")
        await driver.until(lambda: not driver.app.main.worker.owes(QuestionKind.PATHS))
        await driver.press("tab")
        await driver.until(lambda: "cart  card" in driver.text())
        await driver.type("t.")
        await driver.press("tab")
        await driver.until(lambda: "items  total" in driver.text())
        await driver.type("t")
        await driver.press("tab")
        await driver.until(lambda: "1 < cart.total" in driver.text())
        await driver.type(".")
        await driver.press("tab")
        await driver.until(lambda: "nothing there begins so" in driver.text())


async def test_tab_completes_what_was_typed_before_it_and_not_after(tmp_path: Path) -> None:
    path = record(tmp_path / "shop.unspool", [({"cart": {"total": n}}, "step") for n in range(9)])
    async with drive(make_app(open_file(path))) as driver:
        await driver.press("B")
        await driver.until(lambda: isinstance(driver.app.screen, Prompt))
        await driver.until(lambda: not driver.app.main.worker.owes(QuestionKind.PATHS))
        line = driver.app.screen.query_one(LineInput)
        for key, character in (("c", "c"), ("tab", "\t"), ("full_stop", "."), ("t", "t"), ("tab", "\t"), ("3", "3")):
            line.post_message(events.Key(key, character))
        await driver.until(lambda: "cart.total3" in driver.text())


@action("why")
async def test_the_causes_of_a_value_are_listed_and_enter_goes_to_one(tmp_path: Path) -> None:
    priced = {"pen": {"price": 1299}, "clock": 3}
    line = {"line": {"price": 1299, "qty": 3, "total": 3897}}
    states = [priced, priced | line, priced | line | {"bill": 3897}, priced | line | {"bill": 3897, "clock": 9}]
    path = record(tmp_path / "order.unspool", [(state, f"step {number}") for number, state in enumerate(states)])
    async with drive(make_app(open_file(path), at=3)) as driver:
        main = driver.app.main
        main.apply(select(main.view, ("bill",)))
        await driver.press("Y")
        await driver.until(lambda: "Why bill at #3" in driver.text() and "line.price * $.line.qty" in driver.text())
        told = driver.text()
        for words in ("#2 ", "bill 3897", "? likely, ", "$.line.total", "#1 ", "ends here", "pen.price 1299"):
            assert words in told, words
        await driver.press("j", "enter")
        assert (driver.view.head, driver.view.selected) == (1, ("line", "total"))
        await driver.press("Y")
        await driver.until(lambda: "Why line.total at #1" in driver.text())
        await driver.press("j", "Y")
        await driver.until(lambda: "Why line.price at #1" in driver.text())
        await driver.press("escape")
        assert driver.view.head == 1
