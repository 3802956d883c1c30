"""Reaching into running programs: the line runs, and the program goes on as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.live_host import pythons
from support.waiting import wait_until
from unspool.live import processes
from unspool.live.attach import run_remotely
from unspool.live.inject import Injection, Library, NotInjected
from unspool.live.processes import check, check_python

Start = Callable[..., "subprocess.Popen[bytes]"]
LOOPS = {
    "sleeping": "import time\nwhile True: time.sleep(0.01)",
    # Floating point is what a stopped function keeps in registers that the other ones do not share.
    "computing": """
def run():
    a = 1.1
    for _ in range(3000): a = a * 1.0000001 + 0.5
    return a
first = run()
while True:
    assert run() == first
""",
    "in threads": """
import threading, time
lock, total = threading.Lock(), [0]
def work():
    while True:
        with lock: total[0] += len([x for x in range(50)])
for _ in range(3): threading.Thread(target=work, daemon=True).start()
while True: time.sleep(0.005)
""",
    "waiting": "import select, os\nr, w = os.pipe()\nwhile True: assert select.select([r], [], [], 0.02) == ([], [], [])",
}


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[subprocess.Popen[bytes]] = []

    def begin(code: str, python: str | None = None) -> subprocess.Popen[bytes]:
        before, _, after = code.rpartition("while True")
        code = f"{before}print('up', flush=True)\nwhile True{after}"
        command = [python or next(iter(pythons().values())), "-c", code]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("version", sorted(pythons()))
@pytest.mark.parametrize("loop", LOOPS)
def test_a_line_runs_in_the_program_which_goes_on(start: Start, tmp_path: Path, loop: str, version: str) -> None:
    process = start(LOOPS[loop], pythons()[version])
    library, found = check_python(process.pid)
    assert ".".join(map(str, found)) == version
    mark = tmp_path / "mark"
    threads = pages = 0
    for turn in range(5):
        if turn == 1:
            threads = len(list(Path(f"/proc/{process.pid}/task").iterdir()))
            pages = Path(f"/proc/{process.pid}/maps").read_text().count("\n")
        injection = Injection(process.pid, library, f"open({str(mark)!r}, 'a').write('x')")
        wait_until(lambda turn=turn: mark.exists() and len(mark.read_text()) == turn + 1, "the line")  # type: ignore[misc]
        injection.remove()
    assert process.poll() is None
    assert len(list(Path(f"/proc/{process.pid}/task").iterdir())) == threads
    assert Path(f"/proc/{process.pid}/maps").read_text().count("\n") <= pages + 2
    check(process.pid)


def test_signals_that_come_meanwhile_are_not_lost(start: Start, tmp_path: Path) -> None:
    process = start(
        """
import os, signal, time
count = 0
def heard(*_):
    global count
    count += 1
    if count == 200: os._exit(7)
signal.signal(signal.SIGUSR1, heard)
while True: time.sleep(0.001)
"""
    )
    library, _ = check_python(process.pid)
    mark = tmp_path / "mark"
    sent = turns = 0

    def ends() -> bool:
        # Signals of one kind that wait are one signal: as many are sent as are needed until enough were heard.
        nonlocal sent, turns
        process.send_signal(signal.SIGUSR1)
        sent += 1
        if sent % 10 == 0 and turns < 10:
            turns += 1
            injection = Injection(process.pid, library, f"open({str(mark)!r}, 'a').write('x')")
            process.send_signal(signal.SIGUSR1)
            wait_until(lambda turns=turns: mark.exists() and len(mark.read_text()) == turns, "the line")  # type: ignore[misc]
            injection.remove()
        return process.poll() is not None

    wait_until(ends, "two hundred signals")
    assert turns == 10
    assert process.returncode == 7


def test_a_process_that_ends_meanwhile_is_refused(start: Start) -> None:
    process = start(LOOPS["sleeping"])
    library, _ = check_python(process.pid)
    process.kill()
    process.wait()
    with pytest.raises(NotInjected, match=str(process.pid)):
        Injection(process.pid, library, "pass")
    with pytest.raises(NotInjected, match="there is no process"):
        check(process.pid)


def test_what_is_no_python_is_refused() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        check(process.pid)
        with pytest.raises(NotInjected, match="is no Python program"):
            Library(process.pid)
        process.kill()


def test_a_process_that_is_stopped_is_refused(start: Start) -> None:
    process = start(LOOPS["sleeping"])
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: "T (stopped)" in Path(f"/proc/{process.pid}/status").read_text(), "the stop")
    with pytest.raises(NotInjected, match="kill -CONT"):
        check(process.pid)


def test_this_process_is_refused() -> None:
    with pytest.raises(NotInjected, match="unspool itself"):
        check(os.getpid())


STATUS = "Name:\tpython\nState:\tS (sleeping)\nPPid:\t1\nTracerPid:\t{tracer}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nSeccomp:\t{seccomp}\n"


def told(
    folder: Path, *, tracer: int = 0, uid: int = 1000, seccomp: int = 0, yama: str = "0", space: str = "a"
) -> Path:
    """What the kernel tells of process 5, by a folder in the place of `/proc`."""
    for name, ns in (("5", space), ("self", "a")):
        (folder / name / "ns").mkdir(parents=True)
        (folder / name / "status").write_text(STATUS.format(tracer=tracer, uid=uid, seccomp=seccomp))
        for kind in ("pid", "mnt"):
            (folder / name / "ns" / kind).symlink_to(f"{kind}:[{ns}]")
    (folder / "sys/kernel/yama").mkdir(parents=True)
    (folder / "sys/kernel/yama/ptrace_scope").write_text(yama)
    return folder


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"uid": 1001}, "belongs to user 1001; run unspool as that user"),
        ({"tracer": 99}, "is being debugged by process 99; end that"),
        ({"yama": "1"}, "kernel.yama.ptrace_scope is 1.*sudo sysctl"),
        ({"yama": "2"}, "kernel.yama.ptrace_scope is 2.*as root"),
        ({"yama": "3"}, "kernel.yama.ptrace_scope is 3.*unspool run"),
        ({"space": "b"}, "in a container; run unspool inside"),
        ({"seccomp": 2}, "seccomp.*--sample"),
    ],
)
def test_refusals_name_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, object], said: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotInjected, match=said):
        check(5, told(tmp_path, **facts))  # type: ignore[arg-type]


def test_what_nothing_speaks_against_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    check(5, told(tmp_path))
    assert processes.user_of(5, tmp_path) == 1000


def test_running_pythons_are_listed_with_their_version(start: Start) -> None:
    process = start(LOOPS["sleeping"])
    found = {item.pid: item for item in processes.processes()}
    assert found[process.pid].python == next(iter(pythons()))
    assert found[process.pid].refusal == ""
    assert "time.sleep" in found[process.pid].command


def test_what_a_program_waits_in_is_told(start: Start) -> None:
    process = start("import time\nwhile True: time.sleep(60)")
    wait_until(lambda: processes.waits_in(process.pid) == "time.sleep", "the sleep")


def test_the_way_in_of_newer_pythons_runs_the_program_s_own_interpreter(tmp_path: Path) -> None:
    """The version that brings it may not be installed here; what is asked of it is shown by one that stands in for it."""
    asked = tmp_path / "asked"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {asked}\n')
    python.chmod(0o755)
    run_remotely(python, 71, tmp_path / "line.py")
    assert asked.read_text().splitlines() == [
        "-I",
        "-S",
        "-c",
        "import sys; sys.remote_exec(int(sys.argv[1]), sys.argv[2])",
        "71",
        str(tmp_path / "line.py"),
    ]
    python.write_text("#!/bin/sh\necho 'PermissionError: not allowed' >&2\nexit 1\n")
    with pytest.raises(NotInjected, match="PermissionError: not allowed; start it with"):
        run_remotely(python, 71, tmp_path / "line.py")
