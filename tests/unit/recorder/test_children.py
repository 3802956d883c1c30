"""Forked, pooled and spawned children: a file of their own, or nothing at all, and never a surprise."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unspool.history import History
from unspool.recorder import Recorder, RecordingStopped
from unspool.store import FileStore, MemoryStore


def read(path: Path) -> list[dict[str, Any]]:
    with History(FileStore.open(path)) as history:
        return [history.state(seq) for seq in range(len(history))]


def in_child(work: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_forked_child_records_nothing_and_counts_it(tmp_path: Path) -> None:
    path = tmp_path / "fork.unspool"
    with Recorder(path, on_error="raise") as recorder:
        recorder.record({"n": 0})

        def work() -> bool:
            outcome = recorder.record({"n": "child"})
            recorder.close()
            return outcome is None and not recorder.recording and recorder.skipped == 1

        assert in_child(work)
        recorder.record({"n": 1})
        assert recorder.skipped == 0
    assert read(path) == [{"n": 0}, {"n": 1}]


def test_a_forked_child_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "run-%p.unspool"
    with Recorder(path, children="own", on_error="raise") as recorder:
        recorder.record({"n": 0})

        def work() -> bool:
            first = recorder.record({"n": "child"})
            second = recorder.record({"n": "child", "more": 1}, "more")
            recorder.close()
            return (first, second, recorder.skipped) == (0, 1, 0)

        assert in_child(work)
        assert in_child(lambda: recorder.recording)
        recorder.record({"n": 1})
    own = tmp_path / f"run-{os.getpid()}.unspool"
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    assert read(own) == [{"n": 0}, {"n": 1}]
    files.remove(own)
    assert read(files[0]) == [{"n": "child"}, {"n": "child", "more": 1}]


def test_a_child_forked_while_another_thread_records_is_not_stuck(tmp_path: Path) -> None:
    going = True
    with Recorder(tmp_path / "busy.unspool", children="own", on_error="raise") as recorder:

        def work() -> None:
            number = 0
            while going:
                number += 1
                recorder.record({"n": number, "big": ["x"] * 2000})

        thread = threading.Thread(target=work)
        thread.start()
        try:
            for _ in range(10):
                assert in_child(lambda: recorder.record({"child": 1}) == 0)
        finally:
            going = False
            thread.join()
    assert len(list(tmp_path.glob("busy-*.unspool"))) == 10


def test_a_store_of_the_parents_own_is_not_used_in_a_child() -> None:
    store = MemoryStore()
    recorder = Recorder(store, children="own", on_error="raise")
    assert in_child(lambda: recorder.record({"a": 1}) is None and len(store) == 0 and recorder.skipped == 1)


POOL = """
    import multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    from unspool import Recorder

    recorder = Recorder(sys.argv[1], children=sys.argv[3])

    def job(number):
        recorder.record({"job": number}, "job")
        return recorder.recording, recorder.skipped

    if __name__ == "__main__":
        recorder.record({"main": True})
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(sys.argv[2])) as pool:
            print(list(pool.map(job, range(4))))
        recorder.close()
"""


@pytest.mark.one_in(3)
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("children", ["own", "none"])
def test_pools_record_as_the_option_says(tmp_path: Path, method: str, children: str) -> None:
    program = tmp_path / "launch.py"
    program.write_text(textwrap.dedent(POOL))
    path = tmp_path / "app.unspool"
    run = subprocess.run(
        [sys.executable, "-W", "error", str(program), str(path), method, children],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (run.returncode, run.stderr) == (0, "")
    files = sorted(tmp_path.glob("*.unspool"))
    assert sorted(tmp_path.glob("*.unspool-*")) == []
    assert read(path) == [{"main": True}]
    jobs = [state["job"] for file in files if file != path for state in read(file)]
    if children == "own":
        assert sorted(jobs) == [0, 1, 2, 3]
        assert "(True, 0)" in run.stdout
    else:
        assert jobs == []
        assert "(False, 1)" in run.stdout


def explicit(path: str) -> tuple[int | None, bool]:
    with Recorder(path, on_error="raise") as recorder:
        return recorder.record({"a": 1}), recorder.recording


def test_a_child_that_opens_a_file_of_its_own_choice_records(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(explicit, str(tmp_path / "chosen.unspool")).result(60) == (0, True)
    assert read(tmp_path / "chosen.unspool") == [{"a": 1}]


def test_workers_that_are_nobodys_children_share_no_file(tmp_path: Path) -> None:
    path = tmp_path / "server.unspool"
    with Recorder(path, on_error="raise") as first:
        worker = (
            "import sys; from unspool import Recorder; r = Recorder(sys.argv[1], children='own', on_error='raise'); "
            "print(r.record({'worker': 1})); r.close()"
        )
        run = subprocess.run(
            [sys.executable, "-c", worker, str(path)], capture_output=True, text=True, check=True, timeout=60
        )
        assert run.stdout == "0\n"
        first.record({"first": 1})
    assert [read(file) for file in sorted(tmp_path.iterdir())] == [[{"worker": 1}], [{"first": 1}]]


def test_an_address_without_a_place_for_a_number_is_told() -> None:
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(check_address).result(60)


def check_address() -> bool:
    with pytest.warns(RecordingStopped, match="needs %p in the name of the history"):
        return not Recorder("postgresql://127.0.0.1:1/x?history=app", children="own").recording
