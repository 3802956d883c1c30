"""Services that run already, found by their pid: attached to, asked who changed what, put back, and left without a trace."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.index_packages import libraries
from support.live_host import monitored, pythons
from support.serving import free_port
from support.waiting import wait_until
from unspool import Recorder, open_history
from unspool.control import ControlClient, served_at
from unspool.live import agent_source, attach_text
from unspool.live.attach import Attachment
from unspool.live.host import Host, ProgramListener
from unspool.live.launch import Wanted
from unspool.live.processes import processes

pytestmark = pytest.mark.skipif(not monitored(), reason="no Python 3.12 or newer is installed")

SHOP = """\
import collections, gc, sys
gc.disable()
class Order:
    gone = 0
    def __init__(self, n):
        self.n = n
    def __del__(self):
        Order.gone += 1
class Shop:
    def __init__(self):
        self.total = 0
        self.orders = []
    def order(self):
        self.orders.append(Order(1))
        self.total += 1
        return self.total
SHOP = Shop()
def drop():
    SHOP.orders = []
    return Order.gone
def objects():
    gc.collect()
    return collections.Counter(type(item).__name__ for item in gc.get_objects())
ASKED = {"order": SHOP.order, "drop": drop, "objects": objects}
"""
SERVICES = {
    "http.server": SHOP
    + """\
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        told = json.dumps(ASKED[self.path[1:]]()).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(told)
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever(poll_interval=0.05)
""",
    "flask": SHOP
    + """\
import flask
app = flask.Flask("shop")
@app.route("/<what>")
def answer(what):
    return flask.jsonify(ASKED[what]())
app.run(port=int(sys.argv[1]))
""",
}
LINE_OF_TOTAL = SHOP.splitlines().index("        self.total += 1") + 1


class Service:
    """A program that serves a shop, and knows nothing of us."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.pid = process.pid
        self.port = port

    def ask(self, what: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=60) as answer:
            return json.load(answer)

    def is_up(self) -> bool:
        try:
            return bool(self.ask("order"))
        except OSError:
            return False

    def threads_and_files(self) -> tuple[int, int]:
        place = Path(f"/proc/{self.pid}")
        return len(list((place / "task").iterdir())), len(list((place / "fd").iterdir()))


@contextmanager
def served(folder: Path, kind: str) -> Iterator[Service]:
    python = pythons()[monitored()[-1]]
    (folder / "shop.py").write_text(SERVICES[kind])
    environment = {"PYTHONPATH": str(libraries(python, "flask==3.1.3"))} if kind == "flask" else {}
    port = free_port()
    process = subprocess.Popen(
        [python, "shop.py", str(port)],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        service = Service(process, port)
        wait_until(service.is_up, "that the service answers")
        yield service
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


@contextmanager
def attached(service: Service, file: Path) -> Iterator[Host]:
    attachment = Attachment(service.pid)
    with Host(Recorder(file, on_error="raise"), file, ProgramListener(), user=attachment.user) as host:
        agent = host.door.put("agent.py", agent_source())
        config = Wanted(watch=("SHOP",)).to_config(host.door.place, host.door.token, attachment.folder)
        host.start()
        attachment.enter(host, attach_text(str(agent), config))
        assert attachment.wait(host, print, lambda: False)
        yield host
        attachment.leave(host)
        assert host.statistics.get("why") == "detach"
        assert host.statistics.get("faults") == []


def totals(file: Path) -> list[int]:
    with open_history(file) as history:
        return [history.state(entry.seq)["total"] for entry in history]


def whole_story(service: Service, file: Path) -> None:
    """Find a service, see it change, ask who did it, put it back by ten entries, see it go on from there, and leave it."""
    (found,) = [process for process in processes() if process.pid == service.pid]
    assert not found.refusal
    with attached(service, file):
        for _ in range(8):
            newest = service.ask("order")
        wait_until(lambda: file.exists() and totals(file)[-1:] == [newest], "that all orders are seen")
        with open_history(file) as history:
            told = history.blame("total")
            (value,) = told.values
            assert value.caller is not None
            assert (value.caller.line, value.caller.function) == (LINE_OF_TOTAL, "Shop.order")
            target = len(history) - 11
            wanted = history.state(target)
        with ControlClient(file) as client:
            assert client.jump(target, timeout=60).seq == target
        assert service.ask("order") == wanted["total"] + 1
        wait_until(lambda: totals(file)[-1] == wanted["total"] + 1, "that it goes on from there")
        with open_history(file) as history:
            (back,) = [entry for entry in history if entry.parent_seq == target and entry.seq != target + 1]
            assert history.state(back.seq) == wanted
            assert len(history.state(len(history) - 1)["orders"]) == len(wanted["orders"]) + 1
    assert not served_at(file)


def gone_without_a_trace(service: Service, folder: Path, turns: int) -> None:
    # The first ones make modules and caches of the interpreter that stay.
    whole_story(service, folder / "first.unspool")
    service.ask("objects")
    before, held = service.threads_and_files(), service.ask("objects")
    for turn in range(turns):
        whole_story(service, folder / f"{turn}.unspool")
    wait_until(lambda: service.threads_and_files() <= before, "that threads and files are gone")
    # What the shop itself got in between.
    now = service.ask("objects")
    more = {name: (held.get(name, 0), count) for name, count in now.items() if count > held.get(name, 0) + 2}
    assert set(more) <= {"Order"}, more
    assert not list(folder.glob("*-ctl"))


def test_a_service_is_found_blamed_put_back_and_left_without_a_trace(tmp_path: Path) -> None:
    with served(tmp_path, "http.server") as service:
        gone_without_a_trace(service, tmp_path, 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SERVICES)
def test_a_hundred_times_in_a_row(tmp_path: Path, kind: str) -> None:
    with served(tmp_path, kind) as service:
        gone_without_a_trace(service, tmp_path, 100)


def test_what_the_program_drops_is_gone_at_once_though_nobody_collects_garbage(tmp_path: Path) -> None:
    with served(tmp_path, "http.server") as service:
        with attached(service, tmp_path / "shop.unspool") as host:
            newest = [service.ask("order") for _ in range(5)][-1]
            wait_until(lambda: host.entries > 5, "entries")
        assert service.ask("drop") == newest
