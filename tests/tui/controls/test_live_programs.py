"""The list of programs that run: recordings with how they are, what can be attached to, and attaching from the screen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tui_driver import Driver, drive, make_app, open_file

from support.live_host import pythons
from support.waiting import wait_until
from unspool import Recorder
from unspool.control import ControlServer, Instance, Request
from unspool.live.inject import NotInjected
from unspool.live.processes import Process, check
from unspool_tui import live_programs
from unspool_tui.live_programs import ATTACHABLE, REFUSED, LiveProgram
from unspool_tui.permits import Permits

action = pytest.mark.action
SERVICE = """\
import time
STORE = {"n": 0}
def work():
    STORE["n"] += 1
print("up", flush=True)
while True:
    work()
    time.sleep(0.01)
"""


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording that no program serves, in the current folder."""
    monkeypatch.chdir(tmp_path)
    with Recorder(tmp_path / "old.unspool", on_error="raise") as recorder:
        recorder.record({"n": 1}, "begin")
    return tmp_path / "old.unspool"


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[LiveProgram]:
    """What runs, as a test says."""
    found: list[LiveProgram] = []
    monkeypatch.setattr("unspool_tui.screens.programs.live_programs", lambda _: list(found))
    monkeypatch.setattr("unspool_tui.screens.programs._LOOK_S", 0.01)
    return found


def serve(file: Path, *instances: Instance) -> ControlServer:
    def answer(request: Request) -> None:
        request.answer()

    return ControlServer(file, list(instances), answer)


async def listed(driver: Driver, *words: str) -> None:
    await driver.until(lambda: all(word in driver.text() for word in words))
    await driver.settle()


@action("program.list")
async def test_the_list_tells_how_each_program_is_and_why_some_cannot_be_attached_to(
    history: Path, programs: list[LiveProgram]
) -> None:
    file = history.with_name("shop.unspool")
    programs += [
        LiveProgram(11, "shop.py", "recording", file=file, can=("jump", "pause")),
        LiveProgram(12, "cart.py", "capped", file=file.with_name("cart.unspool")),
        LiveProgram(13, "python svc.py", ATTACHABLE, "3.12"),
        LiveProgram(14, "python old.py", REFUSED, "3.10", refusal="process 14 runs a Python older than 3.11; run it"),
    ]
    async with drive(make_app(open_file(history))) as driver:
        await driver.press("A")
        await listed(driver, "recording", "capped", "can be attached to", "cannot")
        assert "it can be asked to jump, pause" in driver.text()
        await driver.press("j")
        assert "entries stand for several changes" in driver.text()
        await driver.press("j", "j", "enter")
        assert "older than 3.11; run it" in driver.text()
        programs[0] = LiveProgram(11, "shop.py", "ended", file=file)
        await listed(driver, " ended ")
        await driver.press("D")
        assert "was not attached to from here" in driver.text()
        await driver.press("escape")
        assert "how it is" not in driver.text()


async def test_enter_opens_a_recording_beside_the_others_and_asks_the_instance_that_was_chosen(
    history: Path, programs: list[LiveProgram]
) -> None:
    file = history.with_name("shop.unspool")
    instances = [Instance(name, f"{name} store", ("jump", "pause"), pid=77) for name in ("left", "right")]
    with Recorder(file, on_error="raise") as recorder:
        recorder.record({"tea": 1}, "begin")
        server = serve(file, *instances)
        programs += [
            LiveProgram(77, one.name, "recording", file=file, instance=one, can=one.can) for one in instances
        ]
        try:
            async with drive(make_app(open_file(history))) as driver:
                await driver.press("A")
                await listed(driver, "right store")
                await driver.press("j", "enter")
                await driver.until(lambda: "tea" in driver.text())
                assert "shop.unspool" in driver.line(0)
                assert driver.view.program is not None
                assert driver.view.program.id == "right"
                await driver.until(lambda: bool(driver.view.program and driver.view.program.can))
                await driver.press("A")
                await listed(driver, "left store")
                await driver.press("enter")
                await driver.until(lambda: bool(driver.view.program and driver.view.program.id == "left"))
                await driver.until(lambda: bool(driver.view.program and driver.view.program.can))
                assert len(driver.app.tabs) == 2
        finally:
            server.close()


async def test_a_visitor_has_no_list_of_programs(history: Path) -> None:
    async with drive(make_app(open_file(history), permits=Permits(visitor=True))) as driver:
        await driver.press("A")
        assert "not from a served screen" in driver.text()


def test_programs_that_are_recorded_are_found_with_how_they_are(tmp_path: Path) -> None:
    file = tmp_path / "found.unspool"
    one, other = Instance("a", "shop.py", ("pause",), pid=1), Instance("b", "cart.py", troubles=("behind",))
    server = serve(file, one, other)
    try:
        found = [program for program in live_programs.live_programs() if program.file == file]
        assert [(program.name, program.health) for program in found] == [
            ("shop.py", "recording"),
            ("cart.py", "behind"),
        ]
        server.update(Instance("a", "shop.py", paused=True))
        server.update(Instance("b", "cart.py", at=7, looking=True))

        def healths() -> list[str]:
            return [program.health for program in live_programs.live_programs() if program.file == file]

        wait_until(lambda: healths() == ["paused", "shows #7"], "the change")
    finally:
        server.close()
    left = [program.health for program in live_programs.live_programs(found) if program.file == file]
    assert left == ["ended", "ended"]


def threads_of(process: subprocess.Popen[bytes]) -> int:
    return len(list(Path(f"/proc/{process.pid}/task").iterdir()))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    (tmp_path / "svc.py").write_text(SERVICE)
    process = subprocess.Popen([max(pythons().values()), "svc.py"], cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    try:
        check(process.pid)
    except NotInjected as error:
        process.kill()
        pytest.skip(str(error))
    yield process
    process.kill()
    process.communicate()


async def test_a_process_is_attached_to_from_the_screen_and_left_with_it(
    history: Path, service: subprocess.Popen[bytes], programs: list[LiveProgram]
) -> None:
    programs.append(LiveProgram(service.pid, "python svc.py", ATTACHABLE, "3.13"))
    async with drive(make_app(open_file(history)), size=(140, 40)) as driver:
        await driver.press("A")
        await listed(driver, "svc.py")
        await driver.press("enter")
        await driver.type("STORE")
        await driver.press("enter")
        await driver.until(lambda: len(driver.app.tabs) == 2 and driver.view.total > 2)
        await driver.until(lambda: driver.view.program is not None and "jump" in driver.view.program.can)
        assert f"process-{service.pid}.unspool" in driver.line(0)
        assert threads_of(service) == 2
        attached = driver.app.attached[service.pid]
    wait_until(lambda: not attached.is_running, "the command to end")
    wait_until(lambda: threads_of(service) == 1, "the agent to leave")
    assert service.poll() is None


ATTACHES = """\
import sys, time
from unspool_tui.live_programs import AttachedProgram
AttachedProgram(int(sys.argv[1]), ["STORE"], lambda message: print(sorted(message), flush=True))
time.sleep(60)
"""


def test_a_screen_that_is_killed_leaves_the_program(tmp_path: Path, service: subprocess.Popen[bytes]) -> None:
    command = [sys.executable, "-c", ATTACHES, str(service.pid)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as screen:
        assert screen.stdout is not None
        assert any(b"recorded" in line for line in iter(screen.stdout.readline, b""))
        assert threads_of(service) == 2
        screen.kill()
    wait_until(lambda: threads_of(service) == 1, "the agent to leave")
    assert service.poll() is None
    assert len(list(tmp_path.glob("*.unspool"))) == 1


async def test_the_whole_command_line_of_a_program_is_told_and_commands_of_our_own_are_not_listed(
    history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "/opt/python3.12/bin/python -m shop.service --port 8080 --config /etc/shop/service.toml --log debug"
    running = [
        Process(7, "python -m unspool_tui.demo_app --file shop.unspool", "3.12", ""),
        Process(8, long, "3.12", ""),
    ]
    monkeypatch.setattr("unspool.live.processes.processes", lambda: running)
    monkeypatch.setattr("unspool_tui.live_programs.served_recordings", lambda _: [])
    async with drive(make_app(open_file(history)), (80, 24)) as driver:
        await driver.press("A")
        await driver.until(lambda: "/opt/python3.12" in driver.text())
        said = " ".join(" ".join(line.split()) for line in driver.text().split("\n")[:4])
        assert long in said
        assert "demo_app" not in driver.text()
