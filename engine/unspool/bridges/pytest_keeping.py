"""What the pytest plugin does where `--unspool` is given: recordings of tests, kept or replaced when each is over."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Any, Final

import pytest

from unspool.bridges.test_runs import CACHE, FOLDER, TestRun, TestRuns, parting
from unspool.errors import UnspoolError
from unspool.history.history import History
from unspool.model.caller import CALLER
from unspool.model.recipes import module_name, type_name
from unspool.recorder.calling import Caller
from unspool.recorder.recorder import Recorder
from unspool.recorder.redact import Redaction
from unspool.store.memory import MemoryStore

_SECRETS: Final = (
    *("*password*", "*passwd*", "*secret*", "*token*", "*api_key*", "*apikey*", "*authorization*", "*cookie*"),
    *("*credential*", "*private_key*", "*passphrase*"),
)
"""Names whose values are never kept; `unspool_redact` adds to them."""
_MACHINERY: Final = ("_pytest", "pluggy", "pytest", "xdist", "unittest")
"""Frames and objects of these say nothing about the test."""
_RECORDER: Final = pytest.StashKey[Recorder]()
_FAILED: Final = pytest.StashKey[bool]()
_MOST_SHOWN: Final = 10
_MOST_FRAMES: Final = 20
_MOST_LOCALS: Final = 200
_MOST_BYTES: Final = 256 * 1024
_SECONDS: Final = 0.2
_MOST_SECONDS: Final = 3.0
"""Bounds of one local, in time and size, and of all of a failure."""


class Keeping:
    """Keeps what the tests of one run recorded; with several processes, each keeps its own and one tells of all."""

    def __init__(self, config: pytest.Config) -> None:
        """Begin a run; what failed in the one before is forgotten.

        Args:
            config: of this run.
        """
        self._from = config.invocation_params.dir
        self._names_all = config.getoption("unspool") == "all"
        self._redaction = Redaction([*_SECRETS, *config.getini("unspool_redact")], ignore_case=True)
        self._is_worker = hasattr(config, "workerinput")
        folder = config.rootpath / CACHE if config.cache is None else config.cache.mkdir(FOLDER)
        self._runs = TestRuns(folder)
        self._told: list[TestRun] = []
        self._trouble = ""
        if not self._is_worker:
            self._runs.begin()

    def recorder_of(self, item: pytest.Item) -> Recorder:
        """Return the recorder of a test that runs."""
        recorder = item.stash.get(_RECORDER, None)
        if recorder is None:
            try:
                place: Path | MemoryStore = self._runs.running(item.nodeid)
            except OSError:
                # The test must go on as it would without; that nothing was kept is told where it ends.
                place = MemoryStore()
            recorder = Recorder(place, redact=self._redaction, caller=True, on_error="ignore", children="none")
            item.stash[_RECORDER] = recorder
        return recorder

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record how a phase of a test failed, and keep what was recorded once the last one is over."""
        report = yield
        if report.when == "setup":
            # Whoever runs a test again after a failure begins anew.
            item.stash[_FAILED] = False
        if report.failed and call.excinfo is not None:
            item.stash[_FAILED] = True
            self._record_failure(item, report, call.excinfo.value)
        if report.when == "teardown" and _RECORDER in item.stash:
            recorder = item.stash[_RECORDER]
            del item.stash[_RECORDER]
            recorder.close()
            try:
                kept = self._runs.keep(item.nodeid, failed=item.stash.get(_FAILED, False), skipped=recorder.skipped)
                report.unspool = [kept.test, kept.failed, kept.name, kept.skipped]  # type: ignore[attr-defined]
            except OSError as error:
                report.unspool = f"{item.nodeid}: nothing was kept ({error})"  # type: ignore[attr-defined]
        return report

    def _record_failure(self, item: pytest.Item, report: pytest.TestReport, error: BaseException) -> None:
        frames = _frames(error.__traceback__)
        # Bounds of its own, for each local by itself: what the test records may be larger.
        taken = MemoryStore()
        bounds: dict[str, Any] = {"max_bytes": _MOST_BYTES, "max_seconds": _SECONDS}
        bounded = Recorder(taken, redact=self._redaction, on_error="ignore", **bounds)
        end = time.monotonic() + _MOST_SECONDS
        for number, (_, values) in enumerate(frames):
            for name, value in values.items():
                if time.monotonic() < end:
                    bounded.update({f"{number} {name}": value if _is_meant(value) else f"<{type_name(type(value))}>"})
        state = History(taken).state(-1) if len(taken) else {}
        failure = [
            {"place": place, "locals": {name: state.get(f"{number} {name}", "not taken in time") for name in values}}
            for number, (place, values) in enumerate(frames)
        ]
        meta = {"test": item.nodeid, "exception": error, **({CALLER: frames[0][0]} if frames else {})}
        action = f"failed in {report.when}: {type(error).__name__}"
        self.recorder_of(item).update({"failure": {"frames": failure}}, action, meta=meta)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of a recording that this process, or another one, kept."""
        told = getattr(report, "unspool", None)
        if isinstance(told, str):
            self._trouble = told
        elif told is not None:
            self._told.append(TestRun(*told))

    def pytest_sessionfinish(self) -> None:
        """Keep which tests these were."""
        if not self._is_worker:
            try:
                self._runs.write(self._told)
            except (UnspoolError, OSError) as error:
                self._trouble = str(error)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the recordings, and where failed tests part from their last green run."""
        shown = [run for run in self._told if run.failed or self._names_all]
        if not shown and not self._trouble:
            return
        terminalreporter.write_sep("=", "unspool")
        for run in shown[:_MOST_SHOWN]:
            place = os.path.relpath(self._runs.place_of(run), self._from)
            terminalreporter.write_line(f"{'FAILED' if run.failed else 'passed'} {run.test}: {place}")
            if run.skipped:
                terminalreporter.write_line(f"  {run.skipped} calls could not be recorded")
            green = self._runs.green(run) if run.failed else None
            if green is not None:
                terminalreporter.write_line(f"  {parting(self._runs.place_of(run), green)}")
        if len(shown) > _MOST_SHOWN:
            terminalreporter.write_line(f"and {len(shown) - _MOST_SHOWN} more")
        if self._trouble:
            terminalreporter.write_line(self._trouble)
        if any(run.failed for run in shown):
            terminalreporter.write_line("`unspool --last-failed` opens what failed")


def _frames(trace: TracebackType | None) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return place and locals of the frames of a traceback, the innermost first; test machinery is left out."""
    callers = Caller()
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for frame, line in reversed(list(walk_tb(trace))):
        if len(found) < _MOST_FRAMES and _root(frame.f_globals.get("__name__")) not in _MACHINERY:
            place = {**callers.added_to(None, frame, 0).get(CALLER, {}), "line": line}
            names = [name for name in frame.f_locals if not name.startswith("@")][:_MOST_LOCALS]
            found.append((place, {name: frame.f_locals[name] for name in names}))
    return found


def _is_meant(value: Any) -> bool:
    return _root(module_name(type(value))) not in _MACHINERY


def _root(module: object) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""
