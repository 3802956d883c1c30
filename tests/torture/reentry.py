"""Recorders that are called while they record: from warnings, logging, signals, `__del__`, clocks and states' own methods."""

from __future__ import annotations

import gc
import logging
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torture.campaign import Campaign, Outcome, Result
from unspool import Recorder, open_history
from unspool.errors import UnspoolError

CALLS = 60


class _Calls:
    """Calls of one recorder, from wherever they come, and what they returned."""

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        self.depth = threading.local()
        self.made = 0
        self.returned: dict[int, dict[str, Any]] = {}
        self.errors: list[str] = []

    def call(self, where: str, extra: Any = None, *, as_mapping: bool = False) -> None:
        """Record something, unless that would go on for ever."""
        level = getattr(self.depth, "level", 0)
        if self.recorder is None or level > 3 or self.made > 20 * CALLS:
            return
        self.depth.level = level + 1
        try:
            self.made += 1
            state = {"call": self.made, "where": where, "pad": "x" * (self.made % 50)}
            given: Any = _Calling(state, self) if as_mapping else state
            if extra is not None:
                given = {**state, "extra": extra}
            seq = self.recorder.record(given, where)
            if seq is not None and extra is None:
                if seq in self.returned:
                    self.errors.append(f"entry {seq} was returned twice")
                self.returned[seq] = state
        except BaseException as error:  # noqa: BLE001 - a recorder raises nothing into its host
            self.errors.append(f"{where}: {type(error).__name__}: {error}")
        finally:
            self.depth.level = level


class _Calling(Mapping[str, Any]):
    """A state that records when it is walked over."""

    def __init__(self, state: dict[str, Any], calls: _Calls) -> None:
        self._state = state
        self._calls = calls

    def __getitem__(self, key: str) -> Any:
        self._calls.call("getitem")
        return self._state[key]

    def __iter__(self) -> Iterator[str]:
        self._calls.call("iter")
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)


class _Dying:
    """An object in a circle that records when it is collected."""

    def __init__(self, calls: _Calls) -> None:
        self._calls = calls
        self._self = self

    def __del__(self) -> None:
        self._calls.call("del")


class _Handler(logging.Handler):
    """A log handler that records."""

    def __init__(self, calls: _Calls) -> None:
        super().__init__()
        self._calls = calls

    def emit(self, record: logging.LogRecord) -> None:
        self._calls.call("logging")


class Reentry(Campaign):
    """One recorder and several ways to be called while it records, chosen by the case."""

    name = "re-entry"
    about = "recorders called while they record: warnings, logging, signals, __del__, clocks, states, threads"
    limit_s = 60.0

    def prepare(self, folder: Path, seed: int) -> int:
        self.seed = seed
        return 10_000

    def run(self, case: int, folder: Path) -> Result:
        rng = random.Random(self.seed * 1_000_003 + case)
        path = folder / "app.unspool"
        for side in folder.glob("app.unspool*"):
            side.unlink()
        calls = _Calls()
        ways = [
            name
            for name in ("warnings", "logging", "signal", "del", "clock", "state", "threads")
            if rng.random() < 0.5
        ]
        undo: list[Callable[[], object]] = []
        try:
            self._record(path, calls, ways, undo, rng)
        finally:
            for one in reversed(undo):
                one()
        result = _judged(path, calls)
        return Result(result.outcome, f"{result.told} [{', '.join(ways)}]")

    @staticmethod
    def _record(
        path: Path, calls: _Calls, ways: list[str], undo: list[Callable[[], object]], rng: random.Random
    ) -> None:
        def clock() -> int:
            calls.call("clock")
            return 10**18 + calls.made

        options: dict[str, Any] = {"clock": clock} if "clock" in ways else {}
        recorder = calls.recorder = Recorder(path, skip_unchanged=rng.random() < 0.3, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            if "warnings" in ways:
                warnings.showwarning = lambda *_, **__: calls.call("warning")
            else:
                warnings.simplefilter("ignore")
            if "logging" in ways:
                handler = _Handler(calls)
                logging.getLogger().addHandler(handler)
                undo.append(lambda: logging.getLogger().removeHandler(handler))
                logging.captureWarnings(rng.random() < 0.5)
                undo.append(lambda: logging.captureWarnings(False))
            if "signal" in ways:
                before = signal.signal(signal.SIGALRM, lambda *_: calls.call("signal"))
                signal.setitimer(signal.ITIMER_REAL, 0.001, 0.002)
                undo.append(lambda: signal.signal(signal.SIGALRM, before))
                undo.append(lambda: signal.setitimer(signal.ITIMER_REAL, 0))
            threads = [
                threading.Thread(target=lambda: [calls.call("thread") for _ in range(CALLS)])
                for _ in range(3 if "threads" in ways else 0)
            ]
            for thread in threads:
                thread.start()
            for number in range(CALLS):
                if "del" in ways:
                    _Dying(calls)
                    if number % 7 == 0:
                        gc.collect()
                if "logging" in ways:
                    logging.getLogger("torture").error("something")
                # What cannot be kept makes the recorder itself warn.
                extra = object() if "warnings" in ways and number % 9 == 0 else None
                calls.call("main", extra, as_mapping="state" in ways and extra is None)
            for thread in threads:
                thread.join()
            recorder.close()
            calls.recorder = None


def _judged(path: Path, calls: _Calls) -> Result:
    if calls.errors:
        return Result(Outcome.UNTYPED, f"{len(calls.errors)} calls raised: {calls.errors[0]}")
    try:
        with open_history(path) as history:
            count = len(history)
            if count > calls.made:
                return Result(Outcome.WRONG, f"{count} entries of {calls.made} calls")
            for seq, state in calls.returned.items():
                if seq >= count:
                    return Result(Outcome.LOST, f"entry {seq} was returned, the file ends at {count}")
                if history.state(seq) != state:
                    return Result(
                        Outcome.WRONG, f"entry {seq} reads {history.state(seq)!r:.120} instead of {state!r:.120}"
                    )
    except UnspoolError as error:
        return Result(Outcome.LOST, f"the file does not read: {error}")
    return Result(Outcome.RIGHT)
