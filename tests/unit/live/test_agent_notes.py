"""Statements of SQL, requests and lines of the log beside the entries, and entries that are whole calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.live_host import each_python, monitored, pythons, record

SOURCE = """\
import http.server, logging, sqlite3, threading, urllib.request

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
STATE = {"orders": 0, "stock": {"tea": 3}}
log = logging.getLogger("shop")
log.setLevel("INFO")
db = sqlite3.connect(":memory:")
db.execute("create table orders (name, token)")

class Loud:
    def __str__(self):
        raise RuntimeError("nobody may ask")

def take(name, count):
    STATE["stock"][name] -= count

def handle(name, count, secret=None):
    cursor = db.cursor()
    sql = "insert into orders values (?, ?) -- token=abc123"
    cursor.execute(sql, (name, secret))
    take(name, count)
    STATE["orders"] += 1
    log.info("sold %s of %d", name, count)
    log.debug("never shown")
    urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/stock?password=hunter2").read()

handle("tea", 2, secret="hunter2")
log.warning("odd %s", [1])
logging.raiseExceptions = False
log.error("loud %s", Loud())
"""


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", monitored())
def test_what_a_call_asks_of_others_stands_beside_its_entry(tmp_path: Path, version: str) -> None:
    seen = record(
        tmp_path,
        SOURCE,
        version,
        watch=["STATE"],
        settle="call",
        notes=["sql", "http", "log"],
        redact=["token", "secret", "password"],
    )
    assert seen.code == 0, seen.err
    notes = [note for message in seen.of_kind("notes") for note in message["notes"]]
    assert [(note["kind"], note["text"]) for note in notes if note["kind"] == "sql"] == [
        ("sql", "create table orders (name, token)"),
        ("sql", "insert into orders values (?, ?) -- token=[redacted]"),
    ]
    (request,) = [note for note in notes if note["kind"] == "http"]
    assert request["text"].startswith("GET http://127.0.0.1:")
    assert request["text"].endswith("/stock?…")
    assert request["ms"] > 0
    assert [note["text"] for note in notes if note["kind"] == "log"] == [
        "INFO shop: sold tea of 2",
        "WARNING shop: odd %s",
        "ERROR shop: loud %s",
    ]
    assert seen.sites[request["site"]]["name"] == "handle"
    assert "hunter2" not in str(seen.messages)
    (last,) = [entry for entry in seen.entries if entry["action"].startswith("handle(")]
    assert last["action"] == "handle(name='tea', count=2, secret=[redacted])"
    assert last["state"] == {"orders": 1, "stock": {"tea": 1}}
    assert seen.of_kind("bye")[0]["faults"] == []


def test_only_what_was_chosen_is_put_down(tmp_path: Path) -> None:
    seen = record(tmp_path, SOURCE, monitored()[0], watch=["STATE"], notes=["log"])
    assert {note["kind"] for message in seen.of_kind("notes") for note in message["notes"]} == {"log"}
    assert record(tmp_path, SOURCE, monitored()[0], watch=["STATE"]).of_kind("notes") == []


def test_what_cannot_be_put_down_is_said(tmp_path: Path) -> None:
    if "3.11" not in pythons():
        pytest.skip("no Python 3.11 is installed")
    seen = record(tmp_path, SOURCE, "3.11", watch=["STATE"], notes=["sql", "http", "log"], stores=True)
    assert any("drivers in C cannot" in text for text in seen.of_kind("hello")[0]["notes"])
    kinds = [note["kind"] for message in seen.of_kind("notes") for note in message["notes"]]
    assert kinds.count("http") == 1
    assert kinds.count("log") == 3


STEPS = """\
X = {"a": 0, "b": 0, "c": 0}
def inner():
    X["b"] += 1
    X["b"] += 1
def outer():
    X["a"] += 1
    inner()
    X["c"] += 1
def loop():
    for _ in range(2):
        outer()
loop()
"""


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", each_python())
def test_entries_are_as_coarse_as_was_chosen(tmp_path: Path, version: str) -> None:
    def actions(settle: str) -> list[str]:
        seen = record(tmp_path, STEPS, version, watch=["X"], settle=settle, stores=True)
        assert seen.of_kind("bye")[0]["faults"] == []
        assert seen.entries[-1]["state"] == {"a": 2, "b": 4, "c": 2}
        return [entry["action"].partition(":")[0] for entry in seen.entries[1:]]

    assert actions("statement") == ["outer", "inner", "inner", "outer"] * 2
    assert actions("line") == ["outer", "inner", "inner", "outer"] * 2
    assert actions("return") == ["outer", "inner", "outer"] * 2
    assert actions("call") == ["outer()"] * 2
