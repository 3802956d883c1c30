"""What is kept of a failure: the frames of its traceback, with the locals that they had."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path
from textwrap import shorten
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Final

import pytest

from unspool.bridges.test_runs import CACHE, FOLDER, TestRun, TestRuns
from unspool.errors import UnspoolError
from unspool.history.history import History
from unspool.model.entries import CALLER, caller_of
from unspool.model.keys import format_path
from unspool.model.recipes import module_name, type_name
from unspool.model.values import MISSING, State, Value
from unspool.query.compare import HistoryRelation, PathDifference, compare
from unspool.recorder.calling import Caller
from unspool.recorder.recorder import Recorder
from unspool.recorder.redact import Redaction
from unspool.recorder.targets import report_files
from unspool.sources.opening import open_history
from unspool.store.memory import MemoryStore

if TYPE_CHECKING:
    from unspool.bridges.pytest_tracing import TestTracing

_MACHINERY: Final = ("_pytest", "pluggy", "pytest", "xdist", "unittest")
"""Frames and objects of these say nothing about the test."""
_MOST_FRAMES: Final = 20
_MOST_LOCALS: Final = 200
_MOST_BYTES: Final = 256 * 1024
_SECONDS: Final = 0.2
_MOST_SECONDS: Final = 3.0
"""Bounds of one local, in time and size, and of all of a failure."""


def failed_frames(error: BaseException, redaction: Redaction) -> list[dict[str, Any]]:
    """Return place and locals of the frames that an exception went through, the innermost first, as plain values.

    Frames of test machinery are left out. Objects are kept by their fields, and nothing of theirs is called.

    Args:
        error: what was raised.
        redaction: what is left out of the locals.
    """
    frames = _frames(error)
    # Each local within bounds of its own, so that a large one takes no room from the others.
    taken = MemoryStore()
    recorder = Recorder(taken, redact=redaction, on_error="ignore", max_bytes=_MOST_BYTES, max_seconds=_SECONDS)
    end = time.monotonic() + _MOST_SECONDS
    atoms: list[list[str]] = []
    for number, (_, values) in enumerate(frames):
        atoms.append([f"{number} {place}" for place in range(len(values))])
        for atom, (name, value) in zip(atoms[-1], values.items(), strict=True):
            if time.monotonic() < end:
                # Below its name, which shows whether it is a secret.
                recorder.update({atom: {name: value if _is_meant(value) else f"<{type_name(type(value))}>"}})
    state = History(taken).state(-1) if len(taken) else {}
    return [
        {"place": place, "locals": {name: _kept(state, atom, name) for atom, name in zip(named, values, strict=True)}}
        for named, (place, values) in zip(atoms, frames, strict=True)
    ]


def _kept(state: State, atom: str, name: str) -> Value:
    kept = state.get(atom, "not taken in time")
    return kept.get(name, kept) if isinstance(kept, dict) else kept


def _frames(error: BaseException) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    callers = Caller()
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        if len(found) < _MOST_FRAMES and _root(frame.f_globals.get("__name__")) not in _MACHINERY:
            place = {**callers.added_to(None, frame, 0).get(CALLER, {}), "line": line}
            names = [name for name in frame.f_locals if not name.startswith("@")][:_MOST_LOCALS]
            found.append((place, {name: frame.f_locals[name] for name in names}))
    return found


def _is_meant(value: Any) -> bool:
    return _root(module_name(type(value))) not in _MACHINERY


def _root(module: object) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""


_SECRETS: Final = (
    *("*password*", "*passwd*", "*secret*", "*token*", "*api_key*", "*apikey*", "*authorization*", "*cookie*"),
    *("*credential*", "*private_key*", "*passphrase*"),
)
"""Names whose values are never kept; `unspool_redact` adds to them."""
_RECORDER: Final = pytest.StashKey[Recorder]()
_WRITERS: Final = pytest.StashKey[list[str]]()
_FAILURES: Final = pytest.StashKey[list[dict[str, Any]]]()
_MOST_SHOWN: Final = 10


class Keeping:
    """Keeps what the tests of one run recorded; with several processes, each keeps its own and one reports all."""

    def __init__(self, config: pytest.Config) -> None:
        """Begin a run; what failed in the one before is forgotten.

        Args:
            config: of this run.
        """
        self._from = config.invocation_params.dir
        self._names_all = config.getoption("unspool") == "all"
        secrets = [*_SECRETS, *config.getini("unspool_redact")]
        self._redaction = Redaction(secrets, ignore_case=True)
        self._tracing: TestTracing | None = None
        if config.getoption("unspool") == "trace":
            # Runs that trace nothing do not wait for the agent.
            from unspool.bridges.pytest_tracing import TestTracing

            self._tracing = TestTracing(secrets, self._redaction)
            config.pluginmanager.register(self._tracing, "unspool-tracing")
        self._is_worker = hasattr(config, "workerinput")
        # A run without the plugin that keeps a cache has none.
        cache = getattr(config, "cache", None)
        folder = config.rootpath / CACHE if cache is None else cache.mkdir(FOLDER)
        self._runs = TestRuns(folder)
        self._told: dict[str, TestRun] = {}
        self._trouble = ""
        self._opened: list[Path] = []
        self._undo = report_files(self._opened.append)
        if not self._is_worker:
            self._runs.begin()

    def pytest_unconfigure(self) -> None:
        """Take no more note of files."""
        self._undo()

    def recorder_of(self, item: pytest.Item, going_on: Path | None = None) -> Recorder:
        """Return the recorder of a test that runs.

        Args:
            item: the test.
            going_on: a recording that a copy goes on from, where the test has no recorder yet.
        """
        recorder = item.stash.get(_RECORDER, None)
        if recorder is None:
            try:
                place: Path | MemoryStore = self._runs.running(item.nodeid, going_on)
            except (OSError, sqlite3.Error):
                # The test must go on as it would without; that nothing was kept is reported where it ends.
                place = MemoryStore()
            recorder = Recorder(place, redact=self._redaction, caller=True, on_error="ignore", durability="fast")
            item.stash[_RECORDER] = recorder
        return recorder

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record how a phase of a test failed, and keep what was recorded once the last one is over."""
        report = yield
        failures = item.stash.setdefault(_FAILURES, [])
        if report.when == "setup":
            # Whoever runs a test again after a failure begins anew.
            failures.clear()
        if report.failed and call.excinfo is not None:
            if self._tracing is not None and report.when == "call":
                item.stash[_WRITERS] = self._tracing.explain(item, call.excinfo.value, self.recorder_of(item))
            failures.append(self._failure(item, report, call.excinfo.value))
            if _RECORDER in item.stash:
                item.stash[_RECORDER].update(**failures[-1])
        if report.when == "teardown":
            told = self._finish(item, failures)
            if told is not None:
                report.unspool = told  # type: ignore[attr-defined]
        return report

    def pytest_runtest_logstart(self) -> None:
        """Begin a test."""
        self._opened.clear()

    def _finish(self, item: pytest.Item, failures: list[dict[str, Any]]) -> list[Any] | str | None:
        """Keep what a test recorded, by its own recorder or by another one that it opened; return what became of it."""
        opened = [file for file in self._opened if self._runs.folder not in file.parents and file.is_file()]
        if _RECORDER not in item.stash:
            if not failures and not opened:
                return None
            recorder = self.recorder_of(item, opened[-1] if opened else None)
            for failure in failures:
                recorder.update(**failure)
        recorder = item.stash[_RECORDER]
        del item.stash[_RECORDER]
        recorder.close()
        try:
            kept = self._runs.keep(item.nodeid, failed=bool(failures), skipped=recorder.skipped)
        except OSError as error:
            return f"{item.nodeid}: nothing was kept ({error})"
        return [kept.test, kept.failed, kept.name, kept.skipped, item.stash.get(_WRITERS, [])]

    def _failure(self, item: pytest.Item, report: pytest.TestReport, error: BaseException) -> dict[str, Any]:
        """Return the entry of a failure, as `Recorder.update` takes it."""
        frames = failed_frames(error, self._redaction)
        meta = {"test": item.nodeid, "exception": error, **({CALLER: frames[0]["place"]} if frames else {})}
        action = f"failed in {report.when}: {type(error).__name__}"
        atoms = {"failure": {"frames": frames}}
        return {"atoms": atoms, "action": action, "meta": meta, "timestamp_ns": time.time_ns()}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of a recording that this process, or another one, kept."""
        told = getattr(report, "unspool", None)
        if isinstance(told, str):
            self._trouble = told
        elif told is not None:
            # A test that was run again counts as it came out in the end.
            self._told[told[0]] = TestRun(*told)

    def pytest_sessionfinish(self) -> None:
        """Keep which tests these were."""
        if not self._is_worker:
            try:
                self._runs.write(self._told.values())
            except (UnspoolError, OSError) as error:
                self._trouble = str(error)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the recordings, and where failed tests part from their last green run."""
        lines, shown = [], [run for run in self._told.values() if run.failed or self._names_all]
        for run in shown[:_MOST_SHOWN]:
            place = os.path.relpath(self._runs.place_of(run), self._from)
            lines.append(f"{'FAILED' if run.failed else 'passed'} {run.test}: {place}")
            lines += [f"  {run.skipped} calls could not be recorded"] if run.skipped else []
            lines += [f"  {line}" for line in run.writers] if run.failed else []
            green = self._runs.green(run) if run.failed else None
            lines += [] if green is None else [f"  {_parting(self._runs.place_of(run), green)}"]
        lines += [f"and {len(shown) - _MOST_SHOWN} more"] if len(shown) > _MOST_SHOWN else []
        lines += [self._trouble] if self._trouble else []
        lines += [self._tracing.trouble] if self._tracing is not None and self._tracing.trouble else []
        lines += ["`unspool --last-failed` opens what failed"] if any(run.failed for run in shown) else []
        if lines:
            terminalreporter.write_sep("=", "unspool")
        for line in lines:
            # Actions and keys are the app's; none of them may steer the terminal.
            terminalreporter.write_line(
                "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)
            )


def _parting(failed: Path, green: Path) -> str:
    """Say in one line where a failed run parts from the last green one, and which line of the app set what differs."""
    try:
        with open_history(failed) as one, open_history(green) as other:
            found = compare(one, other, ignore=["failure"], most=1)
            if found.relation is HistoryRelation.SAME:
                return "went through the same states as the last green run"
            if found.relation is HistoryRelation.FIRST_ENDS:
                return f"ended before entry {found.second.seq} of the last green run ({found.second.action})"
            told = f"parts from the last green run at entry {found.first.seq} ({found.first.action})"
            return f"{told}: {_difference(found.differences[0], one)}" if found.differences else told
    except UnspoolError as error:
        return f"cannot be compared with the last green run: {error}"


def _difference(part: PathDifference, history: History) -> str:
    path = part.second_path if part.first_path is None else part.first_path
    write = part.first_write
    place = None if write is None else caller_of(history[write.seq].meta)
    values = f"{_brief(part.first)}, was {_brief(part.second)}"
    return f"{format_path(path or (), root='')} is {values}{f', set at {place}' if place else ''}"


def _brief(value: Value) -> str:
    if value is MISSING:
        return "not there"
    is_plain = value is None or isinstance(value, bool | int | float | str)
    return shorten(repr(value), 60, placeholder="…") if is_plain else f"a {type(value).__name__}"
