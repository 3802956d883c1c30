"""Attaching and detaching over and over: the program keeps no thread, file, page or hook of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.live_host import monitored, pythons
from support.waiting import wait_until
from unspool import Recorder
from unspool.live import agent_source, attach_text
from unspool.live.attach import Attachment
from unspool.live.host import Host, ProgramListener
from unspool.live.inject import NotInjected
from unspool.live.launch import Wanted

SERVICE = """
import gc, sys, time
CART = {"total": 0, "items": []}
def main():
    while True:
        CART["total"] += 1
        CART["items"].append(CART["total"])
        if len(CART["items"]) > 100:
            del CART["items"][:]
            gc.collect()  # as the garbage of a program that does more makes it run now and then
            with open("blocks", "w") as file:
                file.write(f"{sys.getallocatedblocks()}\\n")
        time.sleep(0.002)
print("up", flush=True)
main()
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    app = tmp_path / "service.py"
    app.write_text(SERVICE)
    process = subprocess.Popen(
        [pythons()[(monitored() or list(pythons()))[-1]], app], stdout=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    yield process
    process.kill()
    process.communicate()


def attach_once(pid: int, file: Path) -> None:
    attachment = Attachment(pid)
    with Host(Recorder(file, on_error="raise"), file, ProgramListener(), user=attachment.user) as host:
        agent = host.door.put("agent.py", agent_source())
        config = Wanted(watch=("CART",)).to_config(host.door.place, host.door.token, attachment.folder)
        host.start()
        attachment.enter(host, attach_text(str(agent), config))
        assert attachment.wait(host, print, lambda: False)
        wait_until(lambda: host.entries > 3, "entries")
        attachment.leave(host)
        assert host.statistics.get("why") == "detach"


def counted(pid: int) -> tuple[int, int, int]:
    """Threads, open files and mapped regions of a process."""
    place = Path(f"/proc/{pid}")
    return (
        len(list((place / "task").iterdir())),
        len(list((place / "fd").iterdir())),
        (place / "maps").read_text().count("\n"),
    )


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def objects(folder: Path) -> int:
    """Return how many blocks of memory the objects of the service take, as it says after its next collections."""
    said: list[int] = []

    def new() -> bool:
        place = folder / "blocks"
        text = place.read_text() if place.exists() else ""
        if text.endswith("\n"):
            place.unlink()
            said.append(int(text))
        return len(said) == 3

    wait_until(new, "the service to say what it holds")
    return said[-1]


@pytest.mark.slow
def test_a_hundred_times_leave_threads_files_and_memory_as_they_were(
    service: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    # The first ones make modules and caches of the interpreter that stay, and its heap as large as an agent needs.
    for turn in range(10):
        attach_once(service.pid, tmp_path / f"{turn}.unspool")
    before, memory, held = counted(service.pid), resident(service.pid), objects(tmp_path)
    for turn in range(100):
        attach_once(service.pid, tmp_path / f"again {turn}.unspool")
    wait_until(lambda: counted(service.pid)[:2] == before[:2], "that threads and files are gone")
    assert counted(service.pid)[2] <= before[2] + 2
    assert objects(tmp_path) <= held * 1.02
    # What the allocator keeps of a heap of some forty megabytes settles in steps of one or two.
    assert resident(service.pid) <= memory * 1.15
    assert service.poll() is None


def test_a_few_times_leave_threads_and_files_as_they_were(service: subprocess.Popen[bytes], tmp_path: Path) -> None:
    before = counted(service.pid)
    for turn in range(3):
        attach_once(service.pid, tmp_path / f"{turn}.unspool")
    wait_until(lambda: counted(service.pid)[:2] == before[:2], "that threads and files are gone")
    assert service.poll() is None


def test_a_second_recording_does_not_disturb_the_first(service: subprocess.Popen[bytes], tmp_path: Path) -> None:
    file = tmp_path / "first.unspool"
    attachment = Attachment(service.pid)
    with Host(Recorder(file, on_error="raise"), file, ProgramListener()) as host:
        agent = host.door.put("agent.py", agent_source())
        config = Wanted(watch=("CART",)).to_config(host.door.place, host.door.token, attachment.folder)
        host.start()
        attachment.enter(host, attach_text(str(agent), config))
        assert attachment.wait(host, print, lambda: False)
        try:
            attach_once(service.pid, tmp_path / "second.unspool")
        except NotInjected as error:
            # One at a time is as good; it has to be said.
            assert "record" in str(error) or "holds" in str(error)
        seen = host.entries
        wait_until(lambda: host.entries > seen + 3, "that the first one goes on")
        attachment.leave(host)
        assert host.failure is None
    assert service.poll() is None
