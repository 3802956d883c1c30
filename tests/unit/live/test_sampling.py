"""Looking at programs from outside: what they are in is recorded, and nothing of them changes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.live_host import pythons
from unspool import Recorder, open_history
from unspool.errors import MissingExtra
from unspool.live import sampling
from unspool.live.inject import NotInjected

WORKER = """
import time
class Job:
    pass
def work(n, label="a b"):
    price = n * 1.5
    job = Job()
    print("up", flush=True)
    time.sleep(600)
def main():
    work(3)
main()
"""


@pytest.fixture
def program() -> str:
    try:
        return sampling.py_spy()
    except MissingExtra:
        pytest.skip("py-spy is not installed")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    app = tmp_path / "worker.py"
    app.write_text(WORKER)
    process = subprocess.Popen([next(iter(pythons().values())), app], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    yield process
    process.kill()
    process.communicate()


def test_functions_and_their_variables_are_told(
    program: str, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    state, caller = sampling.look(program, worker.pid)
    functions = state["main thread"]
    assert list(functions) == ["<module> (worker.py)", "main (worker.py)", "work (worker.py)"]
    assert functions["work (worker.py)"] == {"n": 3, "label": "a b", "price": 4.5, "job": "<Job>"}
    assert str(caller) == f"{tmp_path / 'worker.py'}:9 in work"
    assert worker.poll() is None


def test_the_line_that_a_program_waits_in_is_told(program: str, worker: subprocess.Popen[bytes]) -> None:
    assert sampling.line_of(worker.pid) == "worker.py:9"
    assert sampling.line_of(2**30) == ""


def test_what_is_the_same_at_the_next_look_is_no_entry(
    program: str, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    looks: list[float] = []

    def is_over(pause: float) -> bool:
        looks.append(pause)
        return len(looks) == 3

    with Recorder(tmp_path / "a.unspool", on_error="raise") as recorder:
        assert sampling.sample(recorder, worker.pid, 0.01, ["price"], is_over) == 1
    with open_history(tmp_path / "a.unspool") as history:
        assert history[0].action == "in work"
        assert history.state(0)["main thread"]["work (worker.py)"] == {"price": 4.5}


def test_what_is_no_python_is_refused(program: str) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        with pytest.raises(NotInjected, match="cannot be looked at"):
            sampling.look(program, process.pid)
        process.kill()


def test_without_py_spy_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(MissingExtra, match=r"pip install 'unspool\[sample\]'"):
        sampling.py_spy()


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ('"x"', "x"), ('{"k": 7}', {"k": 7}), ("<C at 0x7f2b>", "<C>"), ("os.system('x')", "os.system('x')")],
)
def test_texts_are_read_as_values_only_where_they_are_plain(text: str, value: Any) -> None:
    assert sampling._value(text) == value
