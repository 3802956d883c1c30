"""Keys that reach the program which records: it goes back to the head, shows it, returns, and pauses its recording."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tui_driver import Driver, drive, make_app, open_file

from support.listening import ReduxApp, length_of, listening
from support.waiting import wait_until
from unspool.control import ControlServer, Instance
from unspool.recorder.recorder import Recorder
from unspool_tui.permits import Permits

action = pytest.mark.action


class Counter:
    """A program that records and lets itself be put back, in the loop of the test."""

    def __init__(self, file: Path, **options: Any) -> None:
        self.file = file
        self.state: dict[str, Any] = {"count": 0, "token": "sesame-opens"}
        self.recorder = Recorder(file, on_travel=self.go, **options)
        for _ in range(6):
            self.step()

    def go(self, state: dict[str, Any], seq: int) -> None:
        self.state.update(state)

    def step(self) -> None:
        self.state["count"] += 1
        self.recorder.record(self.state, "step")

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self.recorder.wake = lambda: loop.call_soon_threadsafe(self.recorder.poll)


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Counter]:
    found = Counter(tmp_path / "counter.unspool")
    yield found
    found.recorder.close()


async def met(driver: Driver) -> None:
    """Wait until the screen knows of the program."""
    await driver.until(lambda: driver.view.program is not None)
    await driver.settle()


def footer(driver: Driver) -> str:
    return driver.text().rstrip("\n").split("\n")[-1]


@action("program.jump")
async def test_the_program_goes_on_from_the_head_after_one_more_key(counter: Counter) -> None:
    counter.listen()
    async with drive(make_app(open_file(counter.file)), size=(140, 40)) as driver:
        await met(driver)
        assert "can be asked to go back (J)" in footer(driver)
        await driver.press("k", "k", "k")
        head = driver.view.head
        await driver.press("J")
        assert f"go on from #{head}" in driver.text()
        assert counter.state["count"] == 6
        await driver.press("enter")
        await driver.until(lambda: driver.view.program is not None and driver.view.program.at == head)
        await driver.settle()
        assert counter.state["count"] == head + 1
        assert f" APP AT #{head} " in driver.line(0)
        counter.step()
        await driver.until(lambda: driver.view.program is not None and driver.view.program.at is None)
        await driver.until(lambda: driver.view.total == 7)
        await driver.settle()
        assert "APP AT" not in driver.line(0)
        assert driver.app.main.scene.history[6].parent_seq == head


async def test_a_menu_that_is_left_asks_for_nothing(counter: Counter) -> None:
    counter.listen()
    async with drive(make_app(open_file(counter.file))) as driver:
        await met(driver)
        await driver.press("k", "J", "escape")
        assert driver.view.program is not None
        assert driver.view.program.at is None
        assert counter.state["count"] == 6


@action("program.look", "program.back")
async def test_the_program_shows_the_head_and_returns(counter: Counter) -> None:
    counter.listen()
    async with drive(make_app(open_file(counter.file))) as driver:
        await met(driver)
        await driver.press("R")
        assert "runs its newest state" in footer(driver)
        await driver.press("{", "V")
        await driver.until(lambda: driver.view.program is not None and driver.view.program.looking)
        await driver.settle()
        assert counter.state["count"] == 1
        assert " APP SHOWS #0 " in driver.line(0)
        await driver.press("R")
        await driver.until(lambda: driver.view.program is not None and not driver.view.program.looking)
        await driver.settle()
        assert counter.state["count"] == 6
        assert "APP" not in driver.line(0)


@action("program.skip")
async def test_a_store_leaves_the_head_s_action_out_and_takes_it_in_again(tmp_path: Path) -> None:
    def reduce(state: dict[str, int], action: dict[str, Any]) -> dict[str, int]:
        return {"n": state["n"] + action["by"]}

    file = tmp_path / "cart.unspool"
    with listening(tmp_path) as place:
        store = ReduxApp(place.port, reduce, {"n": 0})
        for by in (1, 2, 3):
            store.dispatch({"type": "add", "by": by})
        await asyncio.to_thread(wait_until, lambda: length_of(file) == 4, "the entries")
        async with drive(make_app(open_file(file)), size=(140, 40)) as driver:
            await met(driver)
            await driver.press("k")
            assert driver.view.head == 2
            await driver.press("X")
            # It tells first which actions it keeps.
            await asyncio.to_thread(store.obey)
            await asyncio.to_thread(store.obey)
            await driver.until(lambda: driver.view.total == 6)
            await driver.settle()
            assert store.state == {"n": 4}
            history = driver.app.main.scene.history
            assert [(history.state(seq)["n"], history[seq].parent_seq) for seq in (4, 5)] == [(1, 1), (4, 4)]
            assert history[4].meta["skipped"] is True
            await driver.until(lambda: "worked out its state anew" in footer(driver))


async def test_a_program_without_actions_says_so(counter: Counter) -> None:
    counter.listen()
    async with drive(make_app(open_file(counter.file))) as driver:
        await met(driver)
        await driver.press("X")
        assert "cannot do that" in footer(driver)


async def test_the_program_shows_each_entry_that_the_head_goes_to_until_it_returns(counter: Counter) -> None:
    counter.listen()
    async with drive(make_app(open_file(counter.file))) as driver:
        await met(driver)
        await driver.press("{", "V")
        await driver.until(lambda: driver.view.program is not None and driver.view.program.at == 0)
        for key, count in ((".", 2), (".", 3), ("}", 6), ("{", 1)):
            await driver.press(key)
            await driver.until(lambda wanted=count: counter.state["count"] == wanted)
        await driver.press("R")
        await driver.until(lambda: counter.state["count"] == 6)
        await driver.until(lambda: driver.view.program is not None and not driver.view.program.looking)
        await driver.press(".", ",", ",")
        assert driver.view.program is not None
        assert not driver.view.program.follows
        assert counter.state["count"] == 6
        assert driver.view.total == 6
        # It is shown again where it was shown last before it returned.
        await driver.press(".", "V")
        await driver.until(lambda: driver.view.program is not None and driver.view.program.at == 1)
        await driver.press("{")
        await driver.until(lambda: counter.state["count"] == 1)


@action("program.pause")
async def test_recording_is_paused_and_goes_on(counter: Counter) -> None:
    counter.listen()
    async with drive(make_app(open_file(counter.file)), size=(140, 40)) as driver:
        await met(driver)
        await driver.press("F")
        await driver.until(lambda: driver.view.program is not None and driver.view.program.paused)
        await driver.settle()
        assert " RECORDING PAUSED " in driver.line(0)
        counter.step()
        await driver.press("F")
        await driver.until(lambda: driver.view.program is not None and not driver.view.program.paused)
        counter.step()
        await driver.until(lambda: driver.view.total == 7)
        assert driver.app.main.scene.history[6].meta["unspool.passed_over"] == 1


async def test_what_was_not_put_back_is_counted_and_listed(tmp_path: Path) -> None:
    counter = Counter(tmp_path / "secret.unspool", redact=["token"])
    counter.listen()
    async with drive(make_app(open_file(counter.file)), size=(140, 40)) as driver:
        await met(driver)
        await driver.press("{", "V")
        await driver.until(lambda: "1 not as they were there" in footer(driver))
        assert told(driver, "left as it is: token: a part of it was left out")
    counter.recorder.close()


def told(driver: Driver, words: str) -> bool:
    """Whether the message log says something."""
    return any(words in message.text for message in driver.app.main.messages.all())


async def test_without_a_program_the_keys_say_so_and_the_footer_offers_nothing(tmp_path: Path) -> None:
    with Recorder(tmp_path / "rest.unspool") as recorder:
        recorder.record({"a": 1})
    async with drive(make_app(open_file(tmp_path / "rest.unspool"))) as driver:
        assert "put back" not in footer(driver)
        for key in "JVRF":
            await driver.press(key)
            assert "no program that can go back records into this source" in footer(driver)


async def test_a_program_that_comes_later_and_ends_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "late.unspool"
    with Recorder(file) as recorder:
        recorder.record({"count": 0})
    async with drive(make_app(open_file(file))) as driver:
        assert driver.view.program is None
        counter = Counter(file)
        await met(driver)
        counter.recorder.close()
        await driver.until(lambda: driver.view.program is None)
        await driver.settle()
        assert "has ended" in footer(driver)


async def test_only_what_the_program_can_is_offered(tmp_path: Path) -> None:
    file = tmp_path / "some.unspool"
    with Recorder(file) as recorder:
        for count in range(3):
            recorder.record({"count": count})
    server = ControlServer(
        file, [Instance("tab", "\x1b[2Ja store", ("jump",))], lambda request: request.refuse("\x1b no")
    )
    async with drive(make_app(open_file(file)), size=(140, 40)) as driver:
        await met(driver)
        await driver.press("V")
        assert "cannot do that" in footer(driver)
        await driver.press("J")
        assert "only show" not in driver.text()
        await driver.press("enter")
        await driver.until(lambda: "no" in footer(driver).split())
        assert "\x1b" not in driver.text()
    server.close()


async def test_a_program_that_does_not_answer_leaves_the_screen_alive(counter: Counter) -> None:
    async with drive(make_app(open_file(counter.file)), size=(140, 40)) as driver:
        await met(driver)
        await driver.press("V", "k", "k")
        assert driver.view.head == 3
        counter.recorder.close()
        await driver.until(lambda: told(driver, "finished its recording") or told(driver, "stopped serving"))


async def test_a_visitor_reaches_no_program(counter: Counter) -> None:
    counter.listen()
    app = make_app(open_file(counter.file), permits=Permits(visitor=True))
    async with drive(app, size=(140, 40)) as driver:
        await driver.press("k", "J")
        assert "not from a served screen" in footer(driver)
        assert not any(thread.name == "unspool-program" for thread in threading.enumerate() if thread.is_alive())
