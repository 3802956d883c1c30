"""Whatever step a crash hits, every acknowledged entry reads back."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support.examples import examples
from support.recording import same_state, shop_states
from support.values import json_states
from unspool.errors import StorageFailed
from unspool.history import History
from unspool.recorder import Recorder, RecordingStopped
from unspool.store import FileStore
from unspool.store.sealing import Sealer
from unspool.store.writer import FileWriter


class FailingConnection:
    """An SQLite connection that stops working at its n-th statement, as a process that dies there would."""

    def __init__(self, connection: sqlite3.Connection, statements: int) -> None:
        self._connection = connection
        self._left = statements

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        if self._left == 0:
            # The system undoes what a dead process left half done.
            self._connection.rollback()
            raise sqlite3.OperationalError("disk I/O error")
        self._left -= 1
        return self._connection.execute(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def abandon(recorder: Recorder) -> None:
    """Drop a recorder as a killed process would: nothing is flushed, sealed or checkpointed."""
    recorder._stopped = True
    store = recorder.store
    assert isinstance(store, FileStore)
    writer = store._writer
    assert isinstance(writer, FileWriter)
    writer.sealer.finish()
    writer.abandon()


@pytest.mark.one_in(2)
@pytest.mark.parametrize("step", range(9))
def test_a_crash_at_any_step_of_sealing_loses_nothing(tmp_path: Path, step: int) -> None:
    path = tmp_path / "crash.unspool"
    states = list(shop_states(160))
    recorder = Recorder(path, on_error="raise")
    for state in states[:20]:
        recorder.record(state)
    sealer: Sealer = recorder.store._writer.sealer  # type: ignore[attr-defined]
    connection = sealer._connect()
    sealer._connection = FailingConnection(connection, step)  # type: ignore[assignment]
    for state in states[20:]:
        recorder.record(state)
    abandon(recorder)
    check(path, states)
    with Recorder(path, on_error="raise") as again:
        again.record({"after": 1})
    check(path, [*states, {"after": 1}])


def check(path: Path, states: list[dict[str, Any]]) -> None:
    with History(FileStore.open(path)) as history:
        assert len(history) == len(states)
        for seq, state in enumerate(states):
            assert same_state(history.state(seq), state)


PROGRAM = """
    import sys
    from unspool import Recorder
    from support.recording import shop_states
    recorder = Recorder(sys.argv[1], on_error="raise")
    for n, state in enumerate(shop_states(100_000, seed=3)):
        recorder.record(state)
        print(n, flush=True)
"""


@pytest.mark.one_in(2)
@pytest.mark.parametrize("entries", [1, 64, 200, 331])
def test_kill_9_loses_no_acknowledged_entry(tmp_path: Path, entries: int) -> None:
    path = tmp_path / "killed.unspool"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        acknowledged = -1
        for line in process.stdout:
            acknowledged = int(line)
            if acknowledged >= entries:
                process.send_signal(signal.SIGKILL)
                break
        acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    states = list(shop_states(acknowledged + 1, seed=3))
    with History(FileStore.open(path)) as history:
        assert len(history) >= acknowledged + 1
        for seq in range(acknowledged + 1):
            assert same_state(history.state(seq), states[seq])
    with Recorder(path, on_error="raise") as recorder:
        assert recorder.record({"n": 1}) is not None


def test_a_full_disk_stops_the_recording_and_spares_the_app(tmp_path: Path) -> None:
    path = tmp_path / "full.unspool"
    recorder = Recorder(path)
    for n in range(10):
        recorder.record({"n": n})
    connection = recorder.store._writer._connection  # type: ignore[attr-defined]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.warns(RecordingStopped, match="could not be written.*full"):
        recorder.record({"n": 10, "text": "x" * 50_000})
    assert not recorder.recording
    assert recorder.record({"n": 0}) is None
    kept = len(recorder.store)
    recorder.close()
    with History(FileStore.open(path)) as history:
        assert len(history) == kept >= 10
        assert [history.state(seq)["n"] for seq in range(kept)] == list(range(kept))


class FileAgainstList(RuleBasedStateMachine):
    """The file against a plain list of states, through appends, reopenings and crashes."""

    @initialize(directory=st.builds(lambda: None))
    def begin(self, directory: None) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "model.unspool"
        self.states: list[dict[str, Any]] = []
        self.recorder = Recorder(self.path, on_error="raise")
        self.recorder.record({})
        self.states.append({})
        self.history = History(FileStore.open(self.path))

    @rule(state=json_states, full=st.booleans())
    def record(self, state: dict[str, Any], full: bool) -> None:
        self.recorder.record(state, full=full)
        self.states.append(state)

    @rule(count=st.integers(1, 80), seed=st.integers(0, 5))
    def record_many(self, count: int, seed: int) -> None:
        for state in shop_states(count, seed):
            self.recorder.record(state)
            self.states.append(state)

    @rule(data=st.data(), state=json_states)
    def fork(self, data: st.DataObject, state: dict[str, Any]) -> None:
        self.recorder.record(state, parent_seq=data.draw(st.integers(0, len(self.states) - 1)))
        self.states.append(state)

    @rule()
    def reopen(self) -> None:
        self.recorder.close()
        self.recorder = Recorder(self.path, on_error="raise")

    @rule()
    def crash(self) -> None:
        abandon(self.recorder)
        self.recorder = Recorder(self.path, on_error="raise")

    @rule(step=st.integers(0, 9), count=st.integers(1, 140), seed=st.integers(0, 5))
    def crash_while_sealing(self, step: int, count: int, seed: int) -> None:
        sealer: Sealer = self.recorder.store._writer.sealer  # type: ignore[attr-defined]
        sealer.finish()
        sealer._connection = FailingConnection(sealer._connect(), step)  # type: ignore[assignment]
        self.record_many(count, seed)
        self.crash()

    @rule(step=st.integers(0, 4), state=json_states)
    def fail_while_appending(self, step: int, state: dict[str, Any]) -> None:
        """The entry is either kept whole or not at all, and the recorder knows which."""
        writer: FileWriter = self.recorder.store._writer  # type: ignore[attr-defined]
        connection = writer._connection
        writer._connection = FailingConnection(connection, step)  # type: ignore[assignment]
        try:
            self.recorder.record({**state, f"new in step {step}": step})
        except StorageFailed:
            pass
        else:
            self.states.append({**state, f"new in step {step}": step})
        writer._connection = connection

    @precondition(lambda self: hasattr(self, "states"))
    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        seq = data.draw(st.integers(0, len(self.states) - 1))
        self.history.refresh()
        assert same_state(self.history.state(seq), self.states[seq])
        if seq:
            self.history.refresh()
            assert same_state(self.history.state(seq - 1), self.states[seq - 1])

    @invariant()
    def the_live_reader_counts_every_entry(self) -> None:
        if hasattr(self, "history"):
            self.history.refresh()
            assert len(self.history) == len(self.states)

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self.recorder.close()
            self.history.close()
            check(self.path, self.states)
            self.folder.cleanup()


TestFileAgainstList = FileAgainstList.TestCase
TestFileAgainstList.settings = settings(max_examples=examples(30), stateful_step_count=20)
