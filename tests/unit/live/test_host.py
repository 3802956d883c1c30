"""The host: what an agent tells becomes entries, whoever else comes in is sent away, and what is asked for is passed on."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fake_agent import SITE, START, FakeAgent, step
from support.waiting import wait_until
from unspool import Recorder, open_history
from unspool.control import ControlClient, TravelRefused
from unspool.live.host import Host, ProgramListener, WatchableObject
from unspool.model.entries import CONTEXT, PASSED_OVER


class Heard(ProgramListener):
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.names: list[WatchableObject] = []
        self.why: str | None = None

    def said(self, text: str, level: str) -> None:
        self.lines.append((level, text))

    def found(self, host: Host, names: list[WatchableObject], *, is_over: bool) -> None:
        self.names = names

    def ended(self, why: str) -> None:
        self.why = why


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def host(tmp_path: Path, heard: Heard) -> Iterator[Host]:
    file = tmp_path / "a.unspool"
    with Host(Recorder(file, on_error="raise"), file, heard) as made:
        made.start()
        yield made


def record(host: Host, *messages: dict[str, Any]) -> None:
    agent = FakeAgent(host.door.place)
    agent.hello(host.door)
    agent.say(START, SITE, *messages)
    agent.close()
    assert host.wait(20)
    host.close()


def test_entries_have_the_line_that_made_them(host: Host, tmp_path: Path) -> None:
    record(host, step(1), step(2, unseen=True), step(3, merged=7, task="t1", thread="w"), {"m": "bye", "why": "exit"})
    assert host.entries == 4
    with open_history(tmp_path / "a.unspool") as history:
        assert [history.state(seq)["total"] for seq in range(4)] == [0, 1, 2, 3]
        assert history[0].action == "start"
        assert history[1].action == "add: total += 1"
        assert history[1].meta["caller"] == {"file": "app.py", "line": 12, "function": "add"}
        assert history[2].action == "changed unseen before app.py:12"
        assert "caller" not in history[2].meta
        assert history[3].meta[PASSED_OVER] == 7
        assert history[3].meta[CONTEXT] == {"pid": 71, "thread": "w", "task": "t1"}


def test_exceptions_traces_and_notes(host: Host, tmp_path: Path) -> None:
    record(
        host,
        step(1, exc={"type": "builtins.ValueError", "text": "no", "site": 5}),
        {"m": "r", "action": "f()", "trace": {"event": "call", "args": [["n", ["decimal", "1.0"]]]}},
        step(2, notes=[{"kind": "sql", "text": "select 1", "ms": 0.5, "site": 5}]),
    )
    with open_history(tmp_path / "a.unspool") as history:
        assert history[1].action == "add raised ValueError: no"
        assert history[1].meta["exception"]["at"] == "app.py:12 in add"
        assert str(history[2].meta["trace"]["args"]["n"]) == "1.0"
        assert (history[3].kind.value, history[3].action, history[3].meta["level"]) == ("note", "select 1", "sql")
        assert history.state(4) == {"total": 2}


def test_the_socket_is_its_user_s_alone_and_gone_afterwards(host: Host) -> None:
    place = host.door.place
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    record(host)
    assert not place.exists()


def test_who_does_not_know_the_token_is_sent_away_and_the_agent_still_comes_in(host: Host, tmp_path: Path) -> None:
    for first in ({"m": "hello", "v": 1, "token": "x"}, {"m": "r"}, {"no": 1}):
        stranger = FakeAgent(host.door.place)
        stranger.say(first)
        with pytest.raises((EOFError, ConnectionError)):
            stranger.hear()
    record(host, step(1))
    with open_history(tmp_path / "a.unspool") as history:
        assert len(history) == 2


@pytest.mark.parametrize(
    "line",
    [b"nonsense\n", b"[1]\n", b"{" * 100_000 + b"\n", b'{"m":"r","rows":[[0]]}\n', b'{"m":"site"}\n', b"\xff\n"],
)
def test_what_does_not_read_ends_the_recording_and_says_so(
    host: Host, heard: Heard, tmp_path: Path, line: bytes
) -> None:
    agent = FakeAgent(host.door.place)
    agent.hello(host.door)
    agent.say(START)
    agent.socket.sendall(line)
    assert host.wait(20)
    assert host.failure is not None
    assert heard.lines[-1][0] == "error"
    host.close()
    with open_history(tmp_path / "a.unspool") as history:
        assert history.state(-1) == {"total": 0}


def test_lone_surrogates_are_kept(host: Host, tmp_path: Path) -> None:
    record(host, step("a\ud800"))
    with open_history(tmp_path / "a.unspool") as history:
        assert history.state(-1) == {"total": "a\ud800"}


def test_a_file_that_is_continued_loses_the_atoms_of_the_run_before(tmp_path: Path, heard: Heard) -> None:
    file = tmp_path / "a.unspool"
    with Recorder(file, on_error="raise") as recorder:
        recorder.record({"old": 1, "total": 9})
    with Host(Recorder(file, on_error="raise"), file, heard) as host:
        host.start()
        record(host, step(1))
    with open_history(file) as history:
        assert [history.state(seq) for seq in range(3)] == [{"old": 1, "total": 9}, {"total": 0}, {"total": 1}]


def test_an_agent_that_cannot_begin_says_why(host: Host, heard: Heard) -> None:
    agent = FakeAgent(host.door.place)
    agent.say({"m": "error", "fatal": True, "text": "no such name: shop:CRAT"})
    agent.close()
    assert not host.wait_for_agent(20)
    assert host.failure is not None
    assert heard.lines == [("error", "no such name: shop:CRAT")]


def test_jump_look_back_pause_and_resume_reach_the_agent(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "a.unspool"
    agent = FakeAgent(host.door.place)
    agent.hello(host.door)
    agent.say(START, SITE, step(1), step(2))
    assert host.wait_for_agent(20)
    with ControlClient(file) as client:
        assert client.instances[0].can == ("jump", "look", "pause", "resume")
        asked: list[dict[str, Any]] = []

        def hear_and_answer(**more: Any) -> None:
            question = agent.hear()
            asked.append(question)
            while question["m"] == "jump" and question["look"]:
                agent.say(step(question["state"][2][0], action="jump", parent=question["seq"]))
                agent.say({"m": "done", "id": question["id"], "ok": True, **more})
                question = agent.hear()
                asked.append(question)
            if question["m"] == "jump":
                agent.say(step(question["state"][2][0], action="jump", parent=question["seq"]))
            agent.say({"m": "done", "id": question["id"], "ok": True, **more})

        def with_agent(call: Any, **more: Any) -> Any:
            thread = threading.Thread(target=hear_and_answer, kwargs=more)
            thread.start()
            answer = call()
            thread.join()
            return answer

        answer = with_agent(lambda: client.jump(1), changed=["total"], kept=[["log", "foreign"]])
        assert (answer.seq, answer.changed, answer.kept) == (1, ("total",), ("log: foreign",))
        assert asked[-1]["state"] == ["state", ["total"], [1]]
        assert with_agent(lambda: client.look(0)).seq == 0
        assert with_agent(client.back).seq == 3
        with_agent(client.pause)
        with_agent(client.resume)
        assert [question["m"] for question in asked] == ["jump", "jump", "home", "jump", "pause", "resume"]
        assert (asked[2]["seq"], asked[2]["state"]) == (3, ["state", ["total"], [1]])
        with pytest.raises(TravelRefused, match="99"):
            client.jump(99)
    agent.close()
    assert host.wait(20)
    host.close()
    with open_history(file) as history:
        assert [history.state(seq)["total"] for seq in range(len(history))] == [0, 1, 2, 1, 0, 1]
        assert history[3].parent_seq == 1


def test_back_goes_to_where_the_last_jump_left_though_the_program_went_on(host: Host, tmp_path: Path) -> None:
    agent = FakeAgent(host.door.place)
    agent.hello(host.door)
    agent.say(START, SITE, step(1), step(2))
    assert host.wait_for_agent(20)

    def work() -> None:
        for goes_on in (7, None):
            question = agent.hear()
            # What it did until it was put back is where it left from.
            agent.say(
                step(3) if goes_on else step(8), step(question["state"][2][0], action="jump", parent=question["seq"])
            )
            agent.say({"m": "done", "id": question["id"], "ok": True})
            if goes_on:
                agent.say(step(goes_on))

    thread = threading.Thread(target=work)
    thread.start()
    with ControlClient(tmp_path / "a.unspool") as client:
        client.jump(1)
        wait_until(lambda: host.entries == 6, "that it goes on")
        assert client.back().seq == 3
        with pytest.raises(TravelRefused, match="was not put back since"):
            client.back()
    thread.join()
    agent.close()
    assert host.wait(20)
    host.close()
    with open_history(tmp_path / "a.unspool") as history:
        assert [history.state(seq)["total"] for seq in range(len(history))] == [0, 1, 2, 3, 1, 7, 8, 3]
        assert history[7].parent_seq == 3


def test_detach_asks_the_agent_to_leave(host: Host, heard: Heard) -> None:
    agent = FakeAgent(host.door.place)
    agent.hello(host.door)
    agent.say(START)
    assert host.wait_for_agent(20)
    agent.answer_all()
    host.detach()
    assert heard.why == "detach"


def test_what_became_of_a_look_is_said_at_the_end(host: Host, heard: Heard) -> None:
    agent = FakeAgent(host.door.place)
    agent.hello(host.door)
    agent.say(START)
    assert host.wait_for_agent(20)
    agent.answer_all(look="the program stays at entry 1", is_back=False)
    host.detach()
    assert ("warning", "the program stays at entry 1") in heard.lines


def test_what_changes_most_is_told_where_nothing_is_watched(host: Host, heard: Heard) -> None:
    names = [{"watch": "shop:CART", "changes": 120, "type": "shop.Cart", "nodes": 14, "site": 5}, "junk", {}]
    agent = FakeAgent(host.door.place)
    agent.hello(host.door)
    agent.say(SITE, {"m": "found", "seconds": 3, "names": names})
    agent.close()
    assert host.wait(20)
    assert heard.names == [WatchableObject("shop:CART", 120, "shop.Cart", 14, "app.py:12 in add")]


def test_what_the_agent_says_is_kept_as_notes(host: Host, heard: Heard, tmp_path: Path) -> None:
    record(host, {"m": "say", "kind": "capped", "text": "add is capped at 2,000 entries/s", "site": 5})
    assert ("info", "add is capped at 2,000 entries/s (app.py:12 in add)") in heard.lines
    with open_history(tmp_path / "a.unspool") as history:
        assert history[-1].action.startswith("add is capped")


def test_a_full_disk_ends_the_recording_and_lets_the_agent_go(tmp_path: Path, heard: Heard) -> None:
    from unspool.errors import StorageFailed
    from unspool.store.memory import MemoryStore

    class Full(MemoryStore):
        def append(self, draft: Any) -> int:
            if len(self) == 2:
                raise StorageFailed("a.unspool: no space left on device; free some space")
            return super().append(draft)

    with Host(Recorder(Full(), on_error="raise"), tmp_path / "a.unspool", heard) as host:
        host.start()
        agent = FakeAgent(host.door.place)
        agent.hello(host.door)
        agent.say(START, SITE, step(1), step(2), step(3))
        with pytest.raises((EOFError, ConnectionError)):
            agent.hear()
        assert host.wait(20)
        assert "no space left" in heard.lines[-1][1]


def test_nothing_is_left_behind(tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = len(list(Path("/proc/self/fd").iterdir()))
    file = tmp_path / "a.unspool"
    with Host(Recorder(file, on_error="raise"), file, heard) as host:
        host.start()
        record(host, step(1))
    assert [item.name for item in tmp_path.iterdir()] == ["a.unspool"]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
