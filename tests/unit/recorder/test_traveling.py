"""Apps that go back: by their own function, in their own thread, while whoever asks gets an answer."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psygnal
import pytest
from textual.app import App

from support.interrupting import interrupted_after
from support.waiting import wait_until
from unspool import Recorder, open_history
from unspool.control import Answer, ControlClient, ControlServer, Instance, TravelRefused, served_at
from unspool.errors import EntryNotFound, UnspoolError
from unspool.recorder.troubles import TravelUnavailable


class Game:
    """An app whose whole state is one dict, and which records each turn."""

    def __init__(self, file: Path, **options: Any) -> None:
        self.state: dict[str, Any] = {"turn": 0, "board": [0, 0, 0]}
        self.went_to: list[int] = []
        self.recorder = Recorder(file, on_travel=self.go, **options)
        self.record("begin")

    def go(self, state: dict[str, Any], seq: int) -> None:
        self.went_to.append(seq)
        self.state = state

    def record(self, action: str) -> int | None:
        return self.recorder.record(self.state, action)

    def play(self, cell: int) -> int | None:
        self.state["turn"] += 1
        self.state["board"][cell] += 1
        return self.record(f"play {cell}")


def asked(game: Game, ask: Callable[[ControlClient], Answer]) -> Answer:
    """Ask from another thread, as another process would, while the app polls in this one."""
    outcome: list[Answer | UnspoolError] = []

    def peer() -> None:
        try:
            with ControlClient(game_file(game)) as client:
                outcome.append(ask(client))
        except UnspoolError as error:
            outcome.append(error)

    thread = threading.Thread(target=peer)
    thread.start()

    def polled() -> bool:
        game.recorder.poll()
        return bool(outcome)

    wait_until(polled)
    thread.join()
    if isinstance(outcome[0], UnspoolError):
        raise outcome[0]
    return outcome[0]


def game_file(game: Game) -> Path:
    path = game.recorder.store.path  # type: ignore[attr-defined]
    assert isinstance(path, Path)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "game.unspool"


@pytest.fixture
def game(file: Path) -> Iterator[Game]:
    found = Game(file)
    for cell in (0, 1, 2, 1):
        found.play(cell)
    yield found
    found.recorder.close()


class TestJumping:
    def test_the_app_goes_on_from_an_earlier_entry_and_its_next_entry_follows_that(
        self, game: Game, file: Path
    ) -> None:
        answer = asked(game, lambda client: client.jump(2))
        assert game.state == {"turn": 2, "board": [1, 1, 0]}
        assert (answer.seq, answer.changed, answer.kept, answer.refused) == (2, ("turn", "board"), (), ())
        assert game.play(0) == 5
        assert game.play(0) == 6
        game.recorder.close()
        with open_history(file) as history:
            assert [history[seq].parent_seq for seq in (5, 6)] == [2, 5]
            assert history.state(5) == {"turn": 3, "board": [2, 1, 0]}
            assert history.state(6) == {"turn": 4, "board": [3, 1, 0]}
            assert {change.atom for change in history.changes(5).changes} == {"turn", "board"}
            assert history.verdict.status == "complete"

    def test_an_update_after_a_jump_is_put_upon_the_state_that_was_gone_to(self, game: Game, file: Path) -> None:
        asked(game, lambda client: client.jump(1))
        game.recorder.update({"turn": 100}, "only the turn")
        game.recorder.close()
        with open_history(file) as history:
            assert history.state(5) == {"turn": 100, "board": [1, 0, 0]}
            assert [change.atom for change in history.changes(5).changes] == ["turn"]

    def test_a_note_after_a_jump_stands_on_the_line_that_was_gone_to(self, game: Game, file: Path) -> None:
        asked(game, lambda client: client.jump(1))
        game.recorder.note("the player sighs")
        game.play(2)
        game.recorder.close()
        with open_history(file) as history:
            assert [history[seq].parent_seq for seq in (5, 6)] == [1, 5]
            assert history.state(5) == {"turn": 1, "board": [1, 0, 0]}
            assert history.state(6) == {"turn": 2, "board": [1, 0, 1]}

    def test_a_jump_to_the_newest_entry_is_no_fork(self, game: Game, file: Path) -> None:
        asked(game, lambda client: client.jump(4))
        game.play(0)
        game.recorder.close()
        with open_history(file) as history:
            assert history[5].parent_seq == 4

    def test_an_entry_that_is_not_there_is_refused_and_nothing_happens(self, game: Game) -> None:
        with pytest.raises(TravelRefused, match="no entry 99: .* has entries 0 to 4"):
            asked(game, lambda client: client.jump(99))
        assert game.went_to == []

    def test_of_several_places_to_go_to_the_last_is_gone_to(self, game: Game) -> None:
        with ControlClient(game_file(game)) as client:
            for seq in (1, 2, 3):
                client._socket.sendall(b'{"type":"look","id":%d,"seq":%d}\n' % (seq, seq))
            wait_until(lambda: len(game.recorder._travel._line) == 3)  # type: ignore[union-attr]
            game.recorder.poll()
            assert game.went_to == [3]

    def test_a_request_that_was_withdrawn_is_not_obeyed(self, game: Game) -> None:
        with ControlClient(game_file(game)) as client, pytest.raises(TravelRefused, match="call recorder.poll"):
            client.jump(1, timeout=0.05)
        travel = game.recorder._travel
        assert travel is not None
        wait_until(lambda: not travel._line[0].is_open)
        game.recorder.poll()
        assert game.went_to == []

    def test_a_history_with_a_bound_may_drop_the_entry_before_the_next_one_comes(self, file: Path) -> None:
        game = Game(file, keep="last 100")
        for turn in range(3):
            game.play(turn)
        asked(game, lambda client: client.jump(1))
        game.recorder._writer.state_of = None  # type: ignore[union-attr, method-assign, assignment]
        assert game.play(2) == 4
        game.recorder.close()


class TestLooking:
    def test_back_returns_to_where_the_app_was_and_leaves_no_trace(self, game: Game, file: Path) -> None:
        before = {"turn": 4, "board": [1, 2, 1]}
        asked(game, lambda client: client.look(1))
        assert game.state == {"turn": 1, "board": [1, 0, 0]}
        asked(game, lambda client: client.look(2))
        answer = asked(game, lambda client: client.back())
        assert answer.seq == 4
        assert game.state == before
        game.play(0)
        game.recorder.close()
        with open_history(file) as history:
            assert len(history) == 6
            assert history[5].parent_seq == 4

    def test_what_the_app_does_while_it_is_looked_at_is_kept_as_a_fork(self, game: Game, file: Path) -> None:
        asked(game, lambda client: client.look(1))
        game.play(2)
        asked(game, lambda client: client.back())
        assert game.state == {"turn": 4, "board": [1, 2, 1]}
        game.play(0)
        game.recorder.close()
        with open_history(file) as history:
            assert [history[seq].parent_seq for seq in (5, 6)] == [1, 4]

    def test_an_app_that_was_not_put_back_has_no_way_back(self, game: Game) -> None:
        with pytest.raises(TravelRefused, match="was not put back since"):
            asked(game, lambda client: client.back())

    def test_back_goes_to_where_the_last_jump_left_though_the_app_went_on(self, game: Game) -> None:
        asked(game, lambda client: client.jump(1))
        asked(game, lambda client: client.back())
        assert game.state["turn"] == 4
        asked(game, lambda client: client.jump(1))
        game.play(0)
        asked(game, lambda client: client.jump(0))
        game.play(0)
        assert asked(game, lambda client: client.back()).seq == 5
        with pytest.raises(TravelRefused, match="was not put back since"):
            asked(game, lambda client: client.back())

    def test_peers_are_told_where_the_app_is(self, game: Game) -> None:
        with ControlClient(game_file(game)) as watcher:
            assert (watcher.instances[0].at, watcher.instances[0].looking) == (None, False)
            asked(game, lambda client: client.look(3))
            assert watcher.wait(10)
            assert (watcher.instances[0].at, watcher.instances[0].looking) == (3, True)
            asked(game, lambda client: client.jump(2))
            assert watcher.wait(10)
            assert (watcher.instances[0].at, watcher.instances[0].looking) == (2, False)
            game.play(0)
            assert watcher.wait(10)
            assert watcher.instances[0].at is None

    def test_the_newest_entry_is_shown_as_any_other_and_is_none_to_be_put_back_to(self, game: Game) -> None:
        newest = len(game.recorder.store) - 1
        with ControlClient(game_file(game)) as watcher:
            for seq in (0, newest, 1):
                asked(game, lambda client, seq=seq: client.look(seq))
                assert watcher.wait(10)
                assert (watcher.instances[0].at, watcher.instances[0].looking) == (seq, True)
            asked(game, lambda client: client.jump(newest))
            assert watcher.wait(10)
            assert (watcher.instances[0].at, watcher.instances[0].looking) == (None, False)


class TestPausing:
    def test_calls_are_passed_over_and_the_next_entry_says_so(self, game: Game, file: Path) -> None:
        with ControlClient(game_file(game)) as client:
            client.pause()
            assert game.play(0) is None
            game.recorder.note("nobody hears this")
            client.resume()
        assert game.play(0) == 5
        game.recorder.close()
        with open_history(file) as history:
            assert history[5].meta["unspool.passed_over"] == 2
            assert history.state(5)["turn"] == 6

    def test_an_update_after_a_pause_takes_what_the_pause_passed_over(self, game: Game, file: Path) -> None:
        with ControlClient(game_file(game)) as client:
            client.pause()
            game.recorder.update({"board": [9, 9, 9]})
            client.resume()
        game.recorder.update({"turn": 7})
        game.recorder.close()
        with open_history(file) as history:
            assert history.state(-1) == {"turn": 7, "board": [9, 9, 9]}

    def test_a_whole_state_after_a_pause_brings_nothing_back(self, game: Game, file: Path) -> None:
        with ControlClient(game_file(game)) as client:
            client.pause()
            game.recorder.update({"gone": 1})
            client.resume()
        game.record("whole")
        game.recorder.update({"turn": 7})
        game.recorder.close()
        with open_history(file) as history:
            assert "gone" not in history.state(-1)


class TestEvents:
    def test_the_payload_of_an_action_is_kept_with_its_entry(self, file: Path) -> None:
        with Recorder(file) as recorder:
            recorder.record({"n": 1}, "add", event={"by": 1}, meta={"user": "ann"})
            recorder.update({"n": 2}, "add", event=None)
            recorder.record({"n": 3}, "add")
        with open_history(file) as history:
            assert [dict(entry.meta) for entry in history] == [
                {"user": "ann", "event": {"by": 1}},
                {"event": None},
                {},
            ]

    def test_what_is_to_be_left_out_is_left_out_of_payloads_too(self, file: Path) -> None:
        with Recorder(file, redact=["*password*"]) as recorder:
            recorder.record({"user": {"password": "hunter22"}}, "sign in", event={"password": "hunter22", "n": 1})
        assert b"hunter22" not in file.read_bytes()
        with open_history(file) as history:
            assert history[0].meta["event"] == {"password": "[redacted]", "n": 1}


class TestWhatCannotBePutBack:
    @pytest.mark.filterwarnings("ignore::unspool.recorder.troubles.ValueMarked")
    def test_atoms_of_which_a_part_was_left_out_stay_as_they_are_and_are_named(self, file: Path) -> None:
        given: list[dict[str, Any]] = []
        with Recorder(file, on_travel=lambda state, seq: given.append(state), redact=["*password*"]) as recorder:
            user = {"password": "hunter22", "name": "ann"}
            circle: list[Any] = []
            circle.append(circle)
            recorder.record({"user": user, "lock": {"held": threading.Lock()}, "circle": circle, "n": 1})
            recorder.record({"user": user, "n": 2})
            game = Game.__new__(Game)
            game.recorder = recorder
            answer = asked(game, lambda client: client.jump(0))
        assert given == [{"n": 1}]
        assert answer.changed == ("n",)
        assert [line.partition(":")[0] for line in answer.kept] == ["user", "lock", "circle"]

    def test_an_app_that_does_not_do_what_it_was_asked_for_is_told_apart(self, file: Path) -> None:
        world = {"n": 0, "m": 0}
        with Recorder(file, on_travel=lambda state, seq: world.update(n=state["n"]), state=lambda: world) as recorder:
            for value in range(3):
                world.update(n=value, m=value)
                recorder.record(world)
            game = Game.__new__(Game)
            game.recorder = recorder
            answer = asked(game, lambda client: client.jump(0))
        assert answer.refused == ("m: is not as it was at entry 0",)

    def test_what_the_apps_function_raises_is_told_to_whoever_asked(self, file: Path) -> None:
        def go(state: dict[str, Any], seq: int) -> None:
            raise ValueError("no such level")

        with warnings.catch_warnings(), Recorder(file, on_travel=go, on_error="raise") as recorder:
            warnings.simplefilter("error")
            recorder.record({"a": 1})
            recorder.record({"a": 2})
            game = Game.__new__(Game)
            game.recorder = recorder
            with pytest.raises(TravelRefused, match="on_travel raised ValueError.*put back in part"):
                asked(game, lambda client: client.jump(0))
            recorder.record({"a": 3})
        with open_history(file) as history:
            assert history[2].parent_seq == 1

    def test_an_interruption_goes_through(self, file: Path) -> None:
        def go(state: dict[str, Any], seq: int) -> None:
            raise KeyboardInterrupt

        with Recorder(file, on_travel=go) as recorder:
            recorder.record({"a": 1})
            recorder.record({"a": 2})
            game = Game.__new__(Game)
            game.recorder = recorder
            outcome: list[BaseException] = []

            def peer() -> None:
                with ControlClient(file) as client:
                    try:
                        client.jump(0)
                    except TravelRefused as error:
                        outcome.append(error)

            thread = threading.Thread(target=peer)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                while True:
                    recorder.poll()
            thread.join()
            assert "interrupted" in str(outcome[0])

    @pytest.mark.slow
    def test_later_jumps_arrive_whatever_line_of_a_poll_ctrl_c_ends(self, tmp_path: Path) -> None:
        for lines in range(200):
            with Recorder(tmp_path / f"{lines}.unspool", on_travel=lambda state, seq: None) as recorder:
                game = Game.__new__(Game)
                game.recorder = recorder
                recorder.record({"a": 1})
                recorder.record({"a": 2})
                asked_early = threading.Event()
                recorder.wake = asked_early.set
                with ControlClient(game_file(game)) as client, ThreadPoolExecutor(1) as pool:
                    asking = pool.submit(client.jump, 0)
                    assert asked_early.wait(60)
                    is_interrupted = interrupted_after(lines, recorder.poll, ("/unspool/recorder/traveling.py",))
                    recorder.poll()
                    with suppress(TravelRefused):
                        asking.result()
                assert asked(game, lambda client: client.jump(0)).seq == 0, lines
                if not is_interrupted:
                    return
        pytest.fail("the poll was never done")


class TestApps:
    def test_what_was_not_recorded_yet_is_before_the_app_leaves_it(self, file: Path) -> None:
        world = {"n": 0}
        with Recorder(file, on_travel=lambda state, seq: world.update(state), state=lambda: world) as recorder:
            recorder.record()
            recorder.record(action="again")
            world["n"] = 5
            game = Game.__new__(Game)
            game.recorder = recorder
            asked(game, lambda client: client.look(0))
            assert world == {"n": 0}
            asked(game, lambda client: client.back())
            assert world == {"n": 5}
        with open_history(file) as history:
            assert history[2].action == "as it was before the jump"

    def test_watched_objects_that_are_put_back_make_no_entries(self, file: Path) -> None:
        class Account(psygnal.EventedModel):
            balance: int = 0
            owner: str = "ann"

        account = Account()

        def go(state: dict[str, Any], seq: int) -> None:
            for name, value in state["account"].value.items():
                setattr(account, name, value)

        with Recorder(file, on_travel=go) as recorder:
            recorder.watch(account, "account")
            for amount in (5, 7, 9):
                account.balance = amount
            game = Game.__new__(Game)
            game.recorder = recorder
            count = len(recorder.store)
            asked(game, lambda client: client.jump(1))
            assert account.balance == 5
            assert len(recorder.store) == count
            account.balance = 6
        with open_history(file) as history:
            assert len(history) == count + 1
            assert history[count].parent_seq == 1

    def test_a_loop_of_asyncio_is_woken(self, file: Path) -> None:
        async def app() -> list[int]:
            went: list[int] = []
            arrived = asyncio.Event()

            def go(state: dict[str, Any], seq: int) -> None:
                went.append(seq)
                arrived.set()

            with Recorder(file, on_travel=go) as recorder:
                loop = asyncio.get_running_loop()
                recorder.wake = lambda: loop.call_soon_threadsafe(recorder.poll)
                for n in range(3):
                    recorder.record({"n": n})
                answer = await asyncio.to_thread(jumped, file, 1)
                assert answer.ok
                await asyncio.wait_for(arrived.wait(), 10)
            return went

        assert asyncio.run(app()) == [1]

    async def test_an_app_of_textual_is_woken(self, file: Path) -> None:
        class Clock(App[None]):
            count = 0

            def on_mount(self) -> None:
                self.recorder = Recorder(file, on_travel=self.go)
                self.recorder.wake = lambda: self.call_from_thread(self.recorder.poll)
                for self.count in range(3):
                    self.recorder.record({"count": self.count})

            def go(self, state: dict[str, Any], seq: int) -> None:
                self.count = state["count"]

        app = Clock()
        async with app.run_test():
            assert (await asyncio.to_thread(jumped, file, 1)).ok
            assert app.count == 1
            app.recorder.close()

    def test_a_peer_that_asks_without_end_does_not_keep_the_app(self, game: Game) -> None:
        travel = game.recorder._travel
        assert travel is not None
        with ControlClient(game_file(game)) as client:
            client._socket.sendall(b'{"type":"look","id":1,"seq":2}\n')
            wait_until(lambda: travel.waits)
            waiting = list(travel._line)

            def again(state: dict[str, Any], seq: int) -> None:
                game.went_to.append(seq)
                travel._line.append(waiting[0])

            travel._on_travel = again
            game.recorder.poll()
            assert game.went_to == [2]
            assert travel.waits

    def test_a_thread_that_waits_for_work_is_woken(self, file: Path) -> None:
        work: queue.Queue[Callable[[], object] | None] = queue.Queue()
        where: list[int | None] = []
        with Recorder(file, on_travel=lambda state, seq: where.append(threading.get_ident())) as recorder:
            for n in range(3):
                recorder.record({"n": n})

            def worker() -> None:
                while (task := work.get()) is not None:
                    task()

            thread = threading.Thread(target=worker)
            thread.start()
            recorder.wake = lambda: work.put(recorder.poll)
            assert jumped(file, 1).ok
            ident = thread.ident
            work.put(None)
            thread.join()
        assert where == [ident]

    def test_a_wake_that_is_set_late_or_fails_loses_no_command(self, game: Game) -> None:
        def fail() -> None:
            raise RuntimeError("the loop is closed")

        game.recorder.wake = fail
        assert asked(game, lambda client: client.jump(1)).ok
        game.recorder.wake = None
        with ControlClient(game_file(game)) as client:
            client._socket.sendall(b'{"type":"look","id":1,"seq":2}\n')
            wait_until(lambda: game.recorder._travel.waits)  # type: ignore[union-attr]
            game.recorder.wake = game.recorder.poll
        assert game.went_to == [1, 2]


def jumped(file: Path, seq: int) -> Answer:
    with ControlClient(file) as client:
        return client.jump(seq)


class TestHosts:
    def test_a_recorder_without_it_opens_nothing(self, file: Path) -> None:
        with Recorder(file) as recorder:
            recorder.record({"a": 1})
            assert served_at(file) is None
            assert not any(thread.name == "unspool-control" for thread in threading.enumerate())

    def test_nothing_stays_behind(self, game: Game, file: Path) -> None:
        game.recorder.close()
        game.recorder.close()
        assert [path.name for path in file.parent.iterdir()] == [file.name]

    def test_the_socket_of_a_killed_program_goes_with_the_next_recorder_of_the_file(self, file: Path) -> None:
        program = f"""
import os, signal
from unspool import Recorder
Recorder({str(file)!r}, on_travel=print).record({{"a": 1}})
os.kill(os.getpid(), signal.SIGKILL)
"""
        subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
        assert served_at(file) is not None
        with Recorder(file) as recorder:
            recorder.record({"a": 2})
            assert served_at(file) is None

    def test_a_recorder_leaves_a_channel_alone_that_somebody_else_serves(self, file: Path) -> None:
        server = ControlServer(file, [Instance("main", can=("jump",))], lambda request: request.answer(seq=7))
        with Recorder(file) as recorder:
            recorder.record({"a": 1})
            assert jumped(file, 0).seq == 7
        server.close()

    def test_a_recorder_that_is_forgotten_ends_its_channel(self, file: Path) -> None:
        recorder = Recorder(file, on_travel=print)
        recorder.record({"a": 1})
        recorder.store.close()
        del recorder
        gc.collect()
        wait_until(lambda: not any(thread.name == "unspool-control" for thread in threading.enumerate()))

    def test_a_file_without_room_for_a_socket_is_recorded_all_the_same(self, file: Path) -> None:
        file.with_name(f"{file.name}-ctl").mkdir()
        with pytest.warns(TravelUnavailable, match="no control socket"):
            recorder = Recorder(file, on_travel=print)
        with recorder:
            assert recorder.record({"a": 1}) == 0
            assert recorder.poll() is None

    @pytest.mark.parametrize(
        ("owner", "name", "error"),
        [
            (socket, "socketpair", OSError(errno.EMFILE, "Too many open files")),
            (threading.Thread, "start", RuntimeError("can't start new thread")),
            (tempfile, "gettempdir", FileNotFoundError("no usable temporary directory")),
        ],
    )
    def test_where_the_machine_refuses_what_a_channel_needs_the_app_is_recorded_all_the_same(
        self, file: Path, owner: Any, name: str, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*given: object) -> None:
            raise error

        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        with monkeypatch.context() as patched, warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            patched.setattr(owner, name, refuse)
            recorder = Recorder(file, on_travel=print)
        assert {warning.category for warning in told} <= {TravelUnavailable}
        assert recorder.record({"a": 1}) == 0
        recorder.close()
        assert [path.name for path in file.parent.iterdir()] == [file.name]

    def test_a_forked_child_leaves_the_channel_to_its_parent(self, game: Game, file: Path) -> None:
        child = os.fork()
        if child == 0:
            game.recorder.poll()
            game.recorder.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert asked(game, lambda client: client.jump(1)).ok

    def test_a_child_with_a_file_of_its_own_travels_by_itself(self, tmp_path: Path) -> None:
        program = f"""
import os
from unspool import Recorder
from unspool.control import ControlClient
recorder = Recorder({str(tmp_path / "app.unspool")!r}, on_travel=print, children="own")
recorder.record({{"a": 1}})
if os.fork() == 0:
    recorder.record({{"a": 2}})
    own = {str(tmp_path)!r} + f"/app-{{os.getpid()}}.unspool"
    assert ControlClient(own).pid == os.getpid()
    recorder.close()
    os._exit(0)
_, status = os.wait()
assert status == 0, status
assert ControlClient({str(tmp_path / "app.unspool")!r}).pid == os.getpid()
"""
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
        assert not list(tmp_path.glob("*-ctl"))

    def test_polling_costs_next_to_nothing(self, game: Game) -> None:
        poll = game.recorder.poll
        best = min(_seconds(poll, 20_000) for _ in range(5)) / 20_000
        assert best < 2e-6

    def test_the_numbers_of_entries_are_followed_by_hand_too(self, game: Game, file: Path) -> None:
        with pytest.raises(EntryNotFound):
            game.recorder.follow(77)
        game.recorder.follow(1)
        game.recorder.update({"turn": 50})
        game.recorder.close()
        with open_history(file) as history:
            assert history[5].parent_seq == 1
            assert history.state(5) == {"turn": 50, "board": [1, 0, 0]}


def _seconds(call: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - began
