"""A history that grows while it is looked at."""

from __future__ import annotations

import json
import re
import shutil
import threading
from pathlib import Path

import pytest
from shop_files import START_NS, record, shop_states
from tui_driver import drive, make_app, open_file

from support.exhausting import no_inotify_instances_here
from support.keys import press_keys
from unspool.history.verdict import Problem, Verdict, VerdictStatus
from unspool.recorder.recorder import Recorder
from unspool.sources.opening import open_history
from unspool_tui.screens.messages import ToldProblems, told_problem
from unspool_tui.view.model import Pane
from unspool_tui.worker import QuestionKind


def _record(recorder: Recorder, number: int, action: str = "tick") -> None:
    recorder.record({"count": number, "even": number % 2 == 0}, action, timestamp_ns=START_NS + number * 10**9)


async def test_following_shows_each_new_entry_as_another_process_would_write_it(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        _record(recorder, 0)
        async with drive(make_app(open_file(path))) as driver:
            for number in range(1, 6):
                _record(recorder, number)
            await driver.until(lambda: driver.view.total == 6)
            await driver.settle()
            assert driver.view.head == 5
            assert "5/5" in driver.line(0)
            assert "#4 → #5" in driver.panel(Pane.CHANGES)


async def test_while_paused_the_place_stays_and_new_entries_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        for number in range(10):
            _record(recorder, number)
        async with drive(make_app(open_file(path))) as driver:
            await driver.press("k", "k")
            for number in range(10, 24):
                _record(recorder, number)
            await driver.until(lambda: driver.view.total == 24)
            await driver.settle()
            assert driver.view.head == 7
            assert "PAUSED +14" in driver.line(0)
            await driver.press("f")
            assert driver.view.head == 23


async def test_a_filter_holds_for_entries_that_arrive(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        for number in range(6):
            _record(recorder, number, "odd" if number % 2 else "even")
        async with drive(make_app(open_file(path))) as driver:
            await driver.press("\\")
            await driver.type("action:odd")
            await driver.press("enter")
            for number in range(6, 10):
                _record(recorder, number, "odd" if number % 2 else "even")
            await driver.until(lambda: driver.view.total == 10)
            await driver.settle()
            assert list(driver.app.main.rows) == [1, 3, 5, 7, 9]


async def test_an_empty_history_waits_and_shows_the_first_entry_when_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "empty.unspool"
    with Recorder(path) as recorder:
        async with drive(make_app(open_file(path))) as driver:
            assert "waiting for the first entry" in driver.text()
            await driver.press(*",.[]<>npmyE/\\", "escape", "enter", "space", "j", "k", "G", "g", "z", "z", "v", "u")
            assert "the history is still empty" in driver.text()
            _record(recorder, 0)
            await driver.until(lambda: driver.view.total == 1)
            await driver.settle()
            assert "0/0" in driver.line(0)


async def test_wheeling_the_list_up_pauses_following(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        for number in range(120):
            _record(recorder, number)
        async with drive(make_app(open_file(path))) as driver:
            panel = driver.app.main.panels[Pane.HISTORY]
            panel.post_message(panel.Wheeled(panel, -1))
            await driver.settle()
            assert not driver.view.follow
            top = panel.top
            _record(recorder, 120)
            await driver.until(lambda: driver.view.total == 121)
            await driver.settle()
            assert panel.top == top


def _lines(start: int, stop: int) -> str:
    states = ({"timestamp": 1_700_000_000 + n, "action": f"a{n}", "state": {"n": n}} for n in range(start, stop))
    return "".join(json.dumps(state) + "\n" for state in states)


async def test_a_foreign_file_that_grows_and_is_then_cut_back_keeps_the_place(tmp_path: Path) -> None:
    path = tmp_path / "app.jsonl"
    path.write_text(_lines(0, 50))
    with open_history(path) as history:
        async with drive(make_app(history)) as driver:
            assert " app.jsonl " in driver.line(0)
            with path.open("a") as file:
                file.write(_lines(50, 60))
            await driver.until(lambda: driver.view.total == 60)
            await driver.press(",", ",")
            path.write_text(_lines(0, 5))
            await driver.until(lambda: driver.view.total == 65)
            await driver.settle()
            assert driver.view.head == 57
            await driver.press("!")
            assert "the file was cut back or replaced" in driver.text()


async def test_a_source_that_is_still_being_read_shows_how_far_and_escape_stops_it(tmp_path: Path) -> None:
    path = tmp_path / "app.jsonl"
    path.write_text(_lines(0, 30_000))
    with open_history(path, wait=False) as history:
        async with drive(make_app(history, follow=False), settles=False) as driver:
            await driver.until(lambda: history.progress.is_finished or "READING" in driver.line(0))
            await press_keys(driver.pilot, "escape")
            await driver.until(lambda: history.progress.is_finished)
            await driver.until(lambda: "READING" not in driver.line(0))
            await driver.until(lambda: driver.view.total == len(history))


async def test_a_torn_write_is_told_while_the_last_good_state_stays_and_forgotten_with_the_next_good_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"cart": {"items": [1, 2, 3]}}')
    with open_history(path, wait=False) as history:
        async with drive(make_app(history)) as driver:
            await driver.until(lambda: driver.view.total == 1)
            path.write_text('{"cart": {"items": [1, 2')
            await driver.until(lambda: "caught half-written" in driver.line(-1))
            assert "line 1 column 25" in driver.line(-1)
            await driver.settle()
            assert "state.json !" in driver.line(0)
            assert "items" in driver.panel(Pane.CHANGES)
            assert driver.view.total == 1
            path.write_text('{"cart": {"items": [1, 2, 4]}}')
            await driver.until(lambda: driver.view.total == 2)
            await driver.until(lambda: "state.json !" not in driver.line(0))
            path.write_text("")
            await driver.until(lambda: "it ends early" in driver.line(-1))
            assert driver.view.total == 2


async def test_a_source_that_is_deleted_is_told_to_be_gone_and_read_again_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"n": 1}')
    with open_history(path, wait=False) as history:
        async with drive(make_app(history)) as driver:
            await driver.until(lambda: driver.view.total == 1)
            path.unlink()
            await driver.until(lambda: "the file is gone" in driver.line(-1))
            path.write_text('{"n": 2}')
            await driver.until(lambda: driver.view.total == 2)
            await driver.settle()
            assert "state.json !" not in driver.line(0)
            assert "1 → 2" in driver.panel(Pane.CHANGES)


async def test_reaching_the_newest_entry_follows_on(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        for number in range(10):
            _record(recorder, number)
        async with drive(make_app(open_file(path))) as driver:
            for back, to_the_end in (("{", "}"), ("g", "G"), ("k", "end")):
                await driver.press(back)
                assert "PAUSED" in driver.line(0)
                await driver.press(to_the_end)
                assert "LIVE follow" in driver.line(0)
                total = driver.view.total
                _record(recorder, total)
                await driver.until(lambda total=total: driver.view.head == total)  # type: ignore[misc]


async def test_a_look_that_is_never_answered_is_told_and_made_up_for(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        _record(recorder, 0)
        async with drive(make_app(open_file(path))) as driver:
            await driver.until(lambda: "LIVE follow" in driver.line(0))
            hold, held = threading.Event(), threading.Event()

            def busy() -> None:
                held.set()
                assert hold.wait(20)

            driver.app.main.ask(QuestionKind.TASK, busy, lambda reply: None)
            await driver.until(held.is_set)
            _record(recorder, 1)
            await driver.until(lambda: re.search(r"FOLLOW +looked \d", driver.line(0)) is not None)
            assert "LIVE" not in driver.line(0)
            hold.set()
            await driver.until(lambda: driver.view.head == 1 and "LIVE follow" in driver.line(0))
            # An answer that never arrives: the next check asks again.
            driver.app.main.worker.cancel(QuestionKind.REFRESH)
            driver.app.main.follower.look()
            driver.app.main.worker.cancel(QuestionKind.REFRESH)
            _record(recorder, 2)
            await driver.until(lambda: driver.view.head == 2)


async def test_a_watcher_that_is_told_nothing_polls_and_the_header_says_so(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        _record(recorder, 0)
        with no_inotify_instances_here():
            async with drive(make_app(open_file(path))) as driver:
                await driver.until(lambda: "POLL follow" in driver.line(0))
                await driver.until(lambda: "no inotify instance is left" in driver.line(-1))
                _record(recorder, 1)
                await driver.until(lambda: driver.view.head == 1)


async def test_what_is_not_watched_is_never_called_live(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        _record(recorder, 0)
        _record(recorder, 1)
    async with drive(make_app(open_file(path), follow=False)) as driver:
        await driver.press("k", "f")
        assert "FOLLOW" in driver.line(0)
        assert "not watched" in driver.line(0)
        assert "LIVE" not in driver.line(0)
    async with drive(make_app(open_file(path))) as driver:
        await driver.until(lambda: "LIVE follow" in driver.line(0))
        path.unlink()
        await driver.until(lambda: "source gone" in driver.line(0))
        assert "LIVE" not in driver.line(0)


async def test_a_followed_text_file_that_is_removed_is_not_called_live_until_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(f'{{"n": {number}}}\n' for number in range(5)))
    async with drive(make_app(open_history(path, follow=True, wait=False))) as driver:
        await driver.until(lambda: driver.view.total == 5 and "LIVE follow" in driver.line(0))
        assert driver.app.main.scene.sizes().on_disk == path.stat().st_size
        path.rename(path.with_suffix(".old"))
        await driver.until(lambda: "source gone" in driver.line(0))
        assert "LIVE" not in driver.line(0)
        path.with_suffix(".old").rename(path)
        await driver.until(lambda: "LIVE follow" in driver.line(0))


@pytest.mark.parametrize("name", ["log.jsonl", "state.json", "live.unspool"])
@pytest.mark.parametrize("how", ["moved", "removed"])
async def test_a_followed_folder_that_goes_away_is_told_and_goes_on_when_it_is_back(
    tmp_path: Path, name: str, how: str
) -> None:
    folder, away = tmp_path / "data", tmp_path / "away"
    path = folder / name
    folder.mkdir()
    if name == "live.unspool":
        record(path, shop_states(5))
    else:
        path.write_text('{"n": 1}\n')
    async with drive(make_app(open_history(path, follow=True, wait=False))) as driver:
        await driver.until(lambda: driver.view.total >= 1 and "LIVE follow" in driver.line(0))
        before = driver.view.total
        if how == "moved":
            folder.rename(away)
        else:
            shutil.copytree(folder, away)
            shutil.rmtree(folder)
        await driver.until(lambda: "LIVE" not in driver.line(0))
        await driver.until(lambda: "source gone" in driver.line(0))
        await driver.press("k")
        assert driver.view.total == before
        if name == "log.jsonl":
            with (away / name).open("a") as log:
                log.write('{"n": 2}\n')
        elif name == "state.json":
            (away / name).write_text('{"n": 2}')
        away.rename(folder)
        if name == "live.unspool":
            # What is shown is of the file that went away; another one beside it is told as such.
            await driver.until(lambda: "source gone" not in driver.line(0))
        else:
            await driver.until(lambda: driver.view.total == before + 1)


async def test_a_recording_that_another_takes_the_place_of_is_not_called_live(tmp_path: Path) -> None:
    path, other = tmp_path / "live.unspool", tmp_path / "other.unspool"
    for place in (path, other):
        with Recorder(place) as recorder:
            for number in range(5):
                _record(recorder, number)
    async with drive(make_app(open_file(path))) as driver:
        assert "LIVE follow" in driver.line(0)
        other.replace(path)
        await driver.until(lambda: "source replaced" in driver.line(0))
        assert "LIVE" not in driver.line(0)
        # What was read before can still be looked at, and the word stays.
        await driver.press("k", "k")
        assert driver.view.head == 2
        assert "source replaced" in driver.line(0)


async def test_a_recording_that_is_cut_short_is_not_called_live_and_is_again_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        for number in range(300):
            _record(recorder, number)
    whole = path.read_bytes()
    async with drive(make_app(open_file(path))) as driver:
        with path.open("r+b") as file:
            file.truncate(len(whole) // 2)
        await driver.until(lambda: "source unreadable" in driver.line(0))
        assert "LIVE" not in driver.line(0)
        with path.open("r+b") as file:
            file.write(whole)
        await driver.until(lambda: "LIVE follow" in driver.line(0))


async def test_the_size_on_disk_is_right_after_the_recorder_has_closed(tmp_path: Path) -> None:
    path = tmp_path / "live.unspool"
    with Recorder(path) as recorder:
        _record(recorder, 0)
        async with drive(make_app(open_file(path))) as driver:
            scene = driver.app.main.scene
            for number in range(1, 200):
                _record(recorder, number)
            await driver.until(lambda: driver.view.total == 200)
            recorder.close()
            # Weighed a second after the last look at the latest, though nothing is written any more.
            await driver.until(lambda: scene.sizes().on_disk == scene.history.file_bytes())
            assert (
                not path.with_name("live.unspool-wal").exists()
                or path.with_name("live.unspool-wal").stat().st_size == 0
            )


def test_a_problem_that_names_its_file_itself_is_not_told_with_the_name_twice() -> None:
    assert told_problem(Problem("/tmp/live.unspool", "live.unspool-wal: cut short")) == "live.unspool-wal: cut short"
    assert told_problem(Problem("/tmp/live.unspool", "block 4 is damaged")) == "/tmp/live.unspool: block 4 is damaged"


def test_each_problem_is_told_once_whichever_others_come_and_go() -> None:
    def verdict(*problems: str, notes: tuple[str, ...] = ()) -> Verdict:
        return Verdict(VerdictStatus.PARTIAL, tuple(Problem("log", text) for text in problems), notes=notes)

    told = ToldProblems()
    assert told.fresh(verdict(notes=("log:3: was replaced",))) == ["log:3: was replaced"]
    assert told.fresh(verdict("is gone", notes=("log:3: was replaced",))) == ["log: is gone"]
    assert told.fresh(verdict("is gone", notes=("log:3: was replaced",))) == []
    # One goes as another comes: the number of them tells nothing.
    assert told.fresh(verdict(notes=("log:3: was replaced", "log:7: was replaced"))) == ["log:7: was replaced"]
    assert told.fresh(verdict("is gone", notes=("log:3: was replaced", "log:7: was replaced"))) == ["log: is gone"]
    # What only grows is told at its first figure.
    assert told.fresh(verdict("9 saves skipped")) == ["log: 9 saves skipped"]
    assert told.fresh(verdict("1,024 saves skipped")) == []


async def test_the_problem_told_is_the_new_one_and_stands_in_the_log_once(tmp_path: Path) -> None:
    path, other = tmp_path / "log.jsonl", tmp_path / "other"
    path.write_text('{"n": 1}\n{"n": 2}\n')
    async with drive(make_app(open_history(path, follow=True, wait=False)), size=(200, 50)) as driver:
        await driver.until(lambda: driver.view.total == 2)
        shown: list[str] = []
        driver.app.main.show_briefly = lambda text, style: shown.append(text)  # type: ignore[method-assign]
        messages = driver.app.main.messages
        other.write_text('{"n": 3}\n')
        other.replace(path)
        await driver.until(lambda: any("cut back or replaced" in one.text for one in messages.all()))
        path.unlink()
        await driver.until(lambda: any("the file is gone" in one.text for one in messages.all()))
        told = [one.text for one in messages.all()]
        assert sum("cut back or replaced" in text for text in told) == 1
        assert sum("the file is gone" in text for text in told) == 1
        assert not any("in all" in text for text in told)
        assert [text.partition(": ")[2] for text in shown if "in all" in text] == [
            "the file is gone; reading goes on when it is back  (2 in all: ! lists them)"
        ]
