"""A recorder never hurts its host: whatever goes wrong is told once, counted, and costs one entry at most."""

from __future__ import annotations

import datetime as dt
import enum
import gc
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from unspool.errors import ConfigError, HistoryLocked, StorageFailed, UnspoolError
from unspool.history import History
from unspool.recorder import EntrySkipped, Recorder, RecordingStopped, RecordingWarning
from unspool.store import FileStore, MemoryStore
from unspool.store.protocol import Draft


class When(dt.tzinfo):
    """Runs code of the app while a time in its zone is encoded."""

    def __init__(self, run: Callable[[], object]) -> None:
        self.run = run

    def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
        self.run()
        return dt.timedelta(0)

    def dst(self, _: dt.datetime | None) -> None:
        return None


def running(run: Callable[[], object]) -> dt.datetime:
    """Return a value that runs something when it is recorded."""
    return dt.datetime(2024, 1, 1, tzinfo=When(run))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail where the main thread hangs."""

    def hung(*_: object) -> None:
        raise TimeoutError(f"still busy after {seconds} s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def states(recorder: Recorder) -> list[dict[str, Any]]:
    history = History(recorder.store)
    return [history.state(seq) for seq in range(len(history))]


class Colour(enum.Enum):
    RED = "r"


@dataclass
class Point:
    x: int = 0


class Lying(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        yield "a"

    def __len__(self) -> int:
        return 5


class Hostile(Lying):
    def items(self) -> Any:
        raise RuntimeError("boom")


class Endless(Lying):
    def __getitem__(self, key: str) -> Any:
        return key

    def __iter__(self) -> Iterator[str]:
        return map(str, count())


class Undecided:
    """Does not say whether it is empty, as arrays do."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")


BAD_CALLS: list[tuple[Any, dict[str, Any]]] = [
    ([1, 2], {}),
    (None, {}),
    (Point(), {}),
    ({1: 2}, {}),
    ({Colour.RED: 2}, {}),
    ({None: 2}, {}),
    (Hostile(), {}),
    (Lying(), {}),
    (Endless(), {}),
    ({"a": 1}, {"action": None}),
    ({"a": 1}, {"action": b"x"}),
    ({"a": 1}, {"entry_id": 7}),
    ({"a": 1}, {"timestamp_ns": 1.5}),
    ({"a": 1}, {"timestamp_ns": 2**80}),
    ({"a": 1}, {"parent_seq": 99}),
    ({"a": 1}, {"parent_seq": -1}),
    ({"a": 1}, {"parent_seq": "x"}),
    ({"a": 1}, {"meta": [1]}),
    ({"a": 1}, {"meta": {1: 1}}),
    ({"a": 1}, {"meta": Hostile()}),
    ({"a": 1}, {"meta": Endless()}),
    ({"a": 1}, {"part": map(str, count()), "parent_seq": 0}),
    ({"a": 1}, {"entry_id": Undecided()}),
    ({"a": 1}, {"full": Undecided()}),
    ({"a": 1}, {"parent_seq": Undecided()}),
]


@pytest.mark.parametrize(("state", "arguments"), BAD_CALLS)
def test_one_bad_call_costs_one_entry_and_is_told_once(state: Any, arguments: dict[str, Any]) -> None:
    recorder = Recorder(MemoryStore())
    recorder.record({"a": 0})
    with pytest.warns(EntrySkipped, match="left an entry out: .*; recording goes on") as told:
        assert recorder.record(state, **arguments) is None
    assert len(told) == 1
    with warnings.catch_warnings(record=True) as told_again:
        warnings.simplefilter("always")
        assert recorder.record(state, **arguments) is None
        assert recorder.record({"a": 2}) == 1
    assert told_again == []
    assert (recorder.recording, recorder.skipped) == (True, 2)
    assert states(recorder) == [{"a": 0}, {"a": 2}]
    for on_error in ("ignore", "raise"):
        other = Recorder(MemoryStore(), on_error=on_error)  # type: ignore[arg-type]
        if on_error == "raise":
            with pytest.raises(UnspoolError):
                other.record(state, **arguments)
        else:
            assert other.record(state, **arguments) is None
        assert other.record({"a": 3}) == 0
        assert other.skipped == 1


@pytest.mark.parametrize("options", [{}, {"max_hz": 1000}, {"budget": "90%"}], ids=["all", "max_hz", "budget"])
@pytest.mark.parametrize("atoms", [None, [1], Hostile(), Lying(), Endless(), {1: 2}])
def test_a_bad_update_costs_no_more_than_itself_at_any_pace(atoms: Any, options: Any) -> None:
    recorder = Recorder(MemoryStore(), on_error="ignore", **options)
    assert recorder.update({"a": 0}) == 0
    assert recorder.update(atoms) is None
    assert recorder.skipped == 1
    while recorder.update({"a": 1}) is None:
        pass
    recorder.close()
    assert states(recorder)[-1] == {"a": 1}


@pytest.mark.parametrize("level", [None, "2", 1.5, 10_000])
def test_a_wrong_stacklevel_never_reaches_the_app(level: Any) -> None:
    recorder = Recorder(MemoryStore(), on_error="ignore", caller=True)
    is_kept = level == 10_000
    found = [
        recorder.record({"a": 1}, stacklevel=level),
        recorder.update({"a": 2}, stacklevel=level),
        recorder.note("a", stacklevel=level),
        recorder.poll(stacklevel=level),
    ]
    assert [seq is not None for seq in found] == [is_kept, is_kept, is_kept, False]
    assert recorder.record({"a": 3}) is not None


def test_a_dict_of_a_class_of_the_app_is_read_as_python_keeps_it() -> None:
    class Odd(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("boom")

    recorder = Recorder(MemoryStore(), on_error="raise")
    recorder.record(Odd(a=1))
    assert states(recorder) == [{"a": 1}]


def test_warnings_name_the_line_that_called(tmp_path: Path) -> None:
    path = tmp_path / "held.unspool"
    with Recorder(path, on_error="raise"), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        first = Recorder(path)
        recorder = Recorder(MemoryStore())
        recorder.record({"a": 1}, action=None)  # type: ignore[arg-type]
        recorder.record({"a": object()})
        recorder.store = recorder._writer.store = Failing()  # type: ignore[union-attr]
        recorder.record({"a": 1})
    here = [line.strip() for line in Path(__file__).read_text().splitlines()]
    assert [item.filename for item in told] == [__file__] * 4
    assert [here[item.lineno - 1].partition("  #")[0] for item in told] == [
        "first = Recorder(path)",
        'recorder.record({"a": 1}, action=None)',
        'recorder.record({"a": object()})',
        'recorder.record({"a": 1})',
    ]
    assert ["stopped" in str(item.message) for item in told] == [False, False, False, True]
    assert not first.recording


class Failing(MemoryStore):
    def append(self, draft: Draft) -> int:
        raise StorageFailed(f"disk full at {draft.timestamp_ns}")


def test_only_a_store_that_failed_stops_the_recording() -> None:
    recorder = Recorder(Failing())
    with pytest.warns(RecordingStopped, match="stopped recording: disk full"):
        assert recorder.record({"a": 1}) is None
    assert not recorder.recording
    assert recorder.record({"a": 2}) is None
    assert recorder.skipped == 2


def unwritable(folder: Path) -> str:
    place = folder / "file"
    place.write_text("no folder")
    return str(place / "x.unspool")


def foreign(folder: Path) -> str:
    place = folder / "other.unspool"
    place.write_text("this is no history, but a text that is long enough to look at" * 20)
    return str(place)


@pytest.mark.parametrize(
    "target",
    [
        unwritable,
        foreign,
        lambda folder: str(folder),
        lambda _: "postgresql://127.0.0.1:1/none",
        lambda folder: str(folder / ("x" * 300)),
        lambda _: "a\0b",
        lambda _: 7,
        lambda _: None,
    ],
)
def test_opening_does_as_on_error_says(tmp_path: Path, target: Callable[[Path], Any]) -> None:
    place = target(tmp_path)
    with pytest.warns(RecordingStopped, match="unspool records nothing: ") as told:
        recorder = Recorder(place)
    assert len(told) == 1
    with warnings.catch_warnings(record=True) as quiet:
        warnings.simplefilter("always")
        silent = Recorder(place, on_error="ignore")
        for item in (recorder, silent):
            assert (item.recording, item.record({"a": 1}), item.skipped) == (False, None, 1)
            item.close()
    assert quiet == []
    with pytest.raises(UnspoolError):
        Recorder(place, on_error="raise")


def test_the_second_of_two_recorders_on_a_file_leaves_it_to_the_first(tmp_path: Path) -> None:
    path = tmp_path / "shared.unspool"
    with Recorder(path, on_error="raise") as first:
        with pytest.warns(RecordingStopped, match="another recorder is writing"):
            second = Recorder(path)
        assert Recorder(path, on_error="ignore").record({"a": 1}) is None
        with pytest.raises(HistoryLocked):
            Recorder(path, on_error="raise")
        assert (first.record({"a": 1}), second.record({"a": 2})) == (0, None)
        second.close()
        assert first.record({"a": 3}) == 1


@pytest.mark.parametrize("option", [{"strategy": "sometimes"}, {"codec": "zip"}, {"children": "all"}, {"redact": 5}])
def test_options_that_mean_nothing_do_not_stop_an_app_that_did_not_ask_for_it(option: dict[str, Any]) -> None:
    with pytest.warns(RecordingStopped, match="records nothing"):
        assert not Recorder(MemoryStore(), **option).recording
    assert not Recorder(MemoryStore(), on_error="ignore", **option).recording


def test_warnings_that_are_made_errors_never_reach_the_app(tmp_path: Path) -> None:
    program = """
        import sys
        from unspool import Recorder
        from unspool.store import MemoryStore
        path = sys.argv[1]
        held = Recorder(path, on_error="raise")
        Recorder(path)
        recorder = Recorder(MemoryStore())
        recorder.record({"a": object()}, None)
        recorder.record({"a": object()})
        assert recorder.record({"a": 2}) == 1
    """
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), str(tmp_path / "x.unspool")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert [line.split(": ")[1] for line in run.stderr.splitlines()] == [
        "RecordingStopped",
        "EntrySkipped",
        "ValueMarked",
    ]


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_program_is_raised_again_and_recording_goes_on(raised: type[BaseException]) -> None:
    def end() -> None:
        raise raised

    recorder = Recorder(MemoryStore())
    recorder.record({"a": 0})
    for bad in ({"a": running(end)}, {"a": {1: running(end)}}, {"a": [{1: 1}, running(end)]}):
        with pytest.raises(raised):
            recorder.record(bad)
    assert recorder.record({"a": 1}) == 1
    assert recorder.skipped == 0


@pytest.mark.slow
def test_ctrl_c_during_a_call_is_not_lost_and_damages_nothing(tmp_path: Path) -> None:
    program = """
        import os, signal, sys, threading, time
        from unspool import Recorder
        recorder = Recorder(sys.argv[1], on_error="raise")
        state = {"list": [(number,) for number in range(50)], "n": 0}
        armed, caught, end = False, 0, time.monotonic() + 2

        def pressed(*_):
            global armed
            if armed:
                armed = False
                raise KeyboardInterrupt

        def press():
            while time.monotonic() < end:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.0007)

        # A function: where a loop jumps back, Python 3.13 raises outside of the `try` around it.
        def calls():
            while time.monotonic() < end:
                state["n"] += 1
                recorder.record(state, str(state["n"]))

        signal.signal(signal.SIGINT, pressed)
        thread = threading.Thread(target=press)
        thread.start()
        while time.monotonic() < end:
            try:
                armed = True
                calls()
                armed = False
            except KeyboardInterrupt:
                caught += 1
        armed = False
        thread.join()
        assert caught > 50, caught
        for _ in range(3):
            recorder.record(state, "end")
        recorder.close()
    """
    path = tmp_path / "interrupted.unspool"
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    with History(FileStore.open(path)) as history:
        assert history[-1].action == "end"
        for entry in history:
            if entry.action != "end":
                assert history.state(entry.seq) == {"list": [(n,) for n in range(50)], "n": int(entry.action)}


def test_handlers_of_warnings_may_record() -> None:
    recorder = Recorder(MemoryStore())
    with warnings.catch_warnings(), within(10):
        warnings.simplefilter("always")
        warnings.showwarning = lambda *_: recorder.record({"warned": True})  # type: ignore[assignment]
        assert recorder.record({"a": object()}) is not None
        recorder.record({"a": 1}, action=None)  # type: ignore[arg-type]
    assert {"warned": True} in states(recorder)


def test_what_is_encoded_may_record_itself() -> None:
    recorder = Recorder(MemoryStore(), on_error="raise")
    with within(10):
        recorder.record({"outer": running(lambda: recorder.record({"inner": 1}))})
    assert [list(state) for state in states(recorder)] == [["inner"]] * 5 + [["outer"]]


class Recording:
    """Records when it is collected, wherever that is."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.itself = self

    def __del__(self) -> None:
        self.recorder.record({"collected": True})


def test_destructors_may_record(tmp_path: Path) -> None:
    before = gc.get_threshold()
    with within(60), Recorder(tmp_path / "del.unspool", on_error="raise") as recorder:
        try:
            gc.set_threshold(1)
            for number in range(150):
                Recording(recorder)
                recorder.record({"n": number, "odd": [(number,)], "keys": {number: {1, 2}}})
        finally:
            gc.set_threshold(*before)
        found = states(recorder)
    assert [state["n"] for state in found if "n" in state] == list(range(150))
    assert sum("collected" in state for state in found) > 100


def test_signal_handlers_may_record(tmp_path: Path) -> None:
    signalled = 0

    def handle(*_: object) -> None:
        nonlocal signalled
        signalled += 1
        recorder.record({"signalled": signalled})

    before = signal.signal(signal.SIGUSR1, handle)
    path = tmp_path / "signals.unspool"
    try:
        with Recorder(path, on_error="raise") as recorder:
            done = threading.Event()

            def send() -> None:
                while not done.is_set():
                    os.kill(os.getpid(), signal.SIGUSR1)
                    done.wait(0.0005)

            sender = threading.Thread(target=send)
            sender.start()
            deadline = time.monotonic() + 60
            number = 0
            while signalled < 200 and time.monotonic() < deadline:
                number += 1
                recorder.record({"n": number, "odd": [(number,)] * 30})
            done.set()
            sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    with History(FileStore.open(path)) as history:
        found = [history.state(seq) for seq in range(len(history))]
    assert [state["n"] for state in found if "n" in state] == list(range(1, number + 1))
    assert sum("signalled" in state for state in found) + recorder.skipped == signalled


def test_a_lock_of_the_app_that_a_value_needs_and_a_recording_thread_holds_is_no_deadlock() -> None:
    """As with logging: its handlers hold a lock while they record, and values may log while they are encoded."""
    recorder = Recorder(MemoryStore(), on_error="raise")
    lock = threading.RLock()
    inside, holding = threading.Event(), threading.Event()

    def value_needs_lock() -> None:
        inside.set()
        holding.wait(5)
        with lock:
            pass

    def handler() -> None:
        with lock:
            inside.wait(5)
            holding.set()
            recorder.record({"from": "handler"})

    thread = threading.Thread(target=handler)
    thread.start()
    with within(20):
        recorder.record({"from": running(value_needs_lock)})
        thread.join()
    assert len(states(recorder)) == 2


def test_log_handlers_may_record_what_recording_logs() -> None:
    recorder = Recorder(MemoryStore())

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            recorder.record({"logged": record.levelname})

    logger = logging.getLogger("py.warnings")
    handler = Handler()
    logger.addHandler(handler)
    logging.captureWarnings(True)
    try:
        with within(10):
            recorder.record({"a": object()})
    finally:
        logging.captureWarnings(False)
        logger.removeHandler(handler)
    assert {"logged": "WARNING"} in states(recorder)


def test_a_state_that_another_thread_changes_is_recorded_all_the_same() -> None:
    shared: dict[str, Any] = {str(number): {number: (number,)} for number in range(100)}
    going = True

    def change() -> None:
        number = 0
        while going:
            number += 1
            shared[f"new{number % 50}"] = {number: [number]}
            shared.pop(f"new{(number + 7) % 50}", None)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=change)
    recorder = Recorder(MemoryStore(), on_error="ignore")
    try:
        thread.start()
        for _ in range(50):
            recorder.record({"shared": shared})
            recorder.record(shared)
    finally:
        going = False
        thread.join()
        sys.setswitchinterval(interval)
    assert recorder.recording
    assert len(recorder.store) + recorder.skipped == 100
    assert len(recorder.store) > 75
    assert all("0" in state or "0" in state["shared"] for state in states(recorder))


def test_the_newest_state_is_the_last_one_recorded_whichever_thread_was_slow() -> None:
    recorder = Recorder(MemoryStore(), on_error="raise")
    state: dict[str, Any] = {"n": 0}
    overtaken = threading.Event()

    def overtake() -> None:
        if not overtaken.is_set():
            overtaken.set()
            state["n"] = 1
            thread = threading.Thread(target=recorder.record, args=({"n": 1, "at": None},))
            thread.start()
            thread.join(10)

    state["at"] = running(overtake)
    recorder.record(state)
    assert [item["n"] for item in states(recorder)] == [1, 1]


def test_closing_within_a_call_closes_when_it_ends(tmp_path: Path) -> None:
    class Closing(MemoryStore):
        closed = 0

        def append(self, draft: Draft) -> int:
            if draft.action == "close":
                recorder.close()
                assert self.closed == 0
            return super().append(draft)

        def close(self) -> None:
            self.closed += 1

    store = Closing()
    recorder = Recorder(store, on_error="raise")
    with within(10):
        assert recorder.record({"a": 1}, "close") == 0
    assert store.closed == 1
    assert recorder.record({"a": 2}) is None


def test_a_wrong_on_error_is_a_mistake_in_the_code() -> None:
    with pytest.raises(ConfigError, match="write warn, raise or ignore"):
        Recorder(MemoryStore(), on_error="panic")  # type: ignore[arg-type]


def test_warnings_share_a_category() -> None:
    assert issubclass(EntrySkipped, RecordingWarning)
    assert issubclass(RecordingStopped, RecordingWarning)
