"""Whatever an app sends, it is recorded, left out and counted, or refused; and the command ends as commands do."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.listening import entries_of
from unspool.live.listen.connections import Held
from unspool.live.listen.gate import Refused
from unspool.live.listen.histories import Histories, Kept
from unspool.live.listen.ingest import Ingest
from unspool.live.listen.shim_store import ShimPage
from unspool.live.listen.socketcluster import Remote, Remotes
from unspool.sources.opening import open_history

LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
ANY = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TEXTS = ANY.map(json.dumps) | st.text(max_size=12)
NUMBERS = st.integers(-2, 9) | LEAF
ACTIONS = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(["PERFORM_ACTION", "x"]) | LEAF, "action": st.fixed_dictionaries({"type": st.text(max_size=3) | LEAF}) | ANY, "timestamp": NUMBERS, "stack": TEXTS}
)  # fmt: skip
LIFTED = st.fixed_dictionaries(
    {},
    optional={
        "stagedActionIds": st.lists(NUMBERS, max_size=4) | ANY,
        "actionsById": st.dictionaries(st.integers(0, 5).map(str), ACTIONS | ANY, max_size=4) | ANY,
        "computedStates": st.lists(st.fixed_dictionaries({}, optional={"state": ANY, "error": LEAF}) | ANY, max_size=4) | ANY,
        "skippedActionIds": st.lists(NUMBERS, max_size=3) | ANY,
        "committedState": ANY,
        "currentStateIndex": NUMBERS,
        "nextActionId": NUMBERS,
        "isPaused": LEAF,
    },
)  # fmt: skip
LOGS = st.fixed_dictionaries(
    {"type": st.sampled_from(["STATE", "ACTION", "ERROR", "START", "STOP", "INIT"]) | LEAF},
    optional={
        "payload": LIFTED.map(json.dumps) | TEXTS | ANY,
        "action": ACTIONS.map(json.dumps) | TEXTS | ANY,
        "nextActionId": NUMBERS,
        "instanceId": st.sampled_from(["a", "b"]) | LEAF,
        "name": st.text(max_size=4) | LEAF,
    },
)
PACKETS = st.fixed_dictionaries(
    {"event": st.sampled_from(["log", "log", "log-noid", "#handshake", "login", "#subscribe", "#authenticate"]) | LEAF, "data": LOGS | ANY},
    optional={"cid": NUMBERS},
)  # fmt: skip
STOOD_IN = st.fixed_dictionaries(
    {"type": st.sampled_from(["INIT", "ACTION", "STATE", "ERROR", "DONE"]) | LEAF, "instanceId": st.sampled_from(["a", "b"]) | LEAF},
    optional={
        "state": st.fixed_dictionaries({}, optional={"value": ANY, "text": TEXTS}) | ANY,
        "action": ACTIONS | ANY,
        "lifted": LIFTED | ANY,
        "kind": st.sampled_from(["reducer", "connect"]) | LEAF,
        "name": st.text(max_size=4) | LEAF,
        "timestamp": NUMBERS,
        "stack": TEXTS,
        "missed": NUMBERS,
        "passed": NUMBERS,
        "unsent": LEAF,
        "request": NUMBERS,
        "error": LEAF,
    },
)  # fmt: skip
LINES = st.fixed_dictionaries(
    {},
    optional={
        "state": ANY,
        "patch": st.lists(st.fixed_dictionaries({"op": st.sampled_from(["add", "copy", "move", "remove"]) | LEAF, "path": st.sampled_from(["", "/a", "/-", "/a/0"]) | LEAF}, optional={"value": ANY, "from": st.sampled_from(["", "/a"])}), max_size=3) | ANY,
        "action": ANY,
        "at": NUMBERS,
        "meta": ANY,
        "id": st.text(max_size=2) | LEAF,
        "parent": NUMBERS,
    },
)  # fmt: skip


class _Link:
    """A way to an app that reads everything."""

    def send(self, text: str) -> bool:
        json.loads(text)
        return True


def in_a_loop(tell: Callable[[Histories], None]) -> dict[str, list[Any]]:
    """Have a listener's objects told something; return what was recorded, by file."""

    async def run(folder: Path) -> None:
        histories = Histories(folder, Kept(), lambda words: None)
        tell(histories)
        for history in histories.open:
            histories.stop(history)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
        return {path.name: entries_of(path) for path in Path(folder).glob("*.unspool")}


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(PACKETS, max_size=6))
def test_whatever_a_remote_store_sends(packets: list[dict[str, Any]]) -> None:
    def tell(histories: Histories) -> None:
        remote = Remote(_Link(), Remotes(histories))
        try:
            for packet in packets:
                remote.hear(json.dumps(packet).encode())
        except Refused:
            pass
        remote.end()

    in_a_loop(tell)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(STOOD_IN, max_size=6))
def test_whatever_a_page_sends(messages: list[dict[str, Any]]) -> None:
    def tell(histories: Histories) -> None:
        page = ShimPage(_Link(), histories)
        try:
            for message in messages:
                page.hear(json.dumps(message).encode())
        except Refused:
            pass
        page.end()

    in_a_loop(tell)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(LINES, max_size=6), st.integers(1, 40))
def test_whatever_is_posted_in_whatever_pieces(lines: list[dict[str, Any]], size: int) -> None:
    held = Held()
    recorded = 0

    def tell(histories: Histories) -> None:
        nonlocal recorded
        body = Ingest(histories, held).lines("x")
        text = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        try:
            for place in range(0, len(text), size):
                body.take(text[place : place + size])
            recorded = json.loads(body.end().body)["recorded"]
        except Refused as error:
            recorded = error.facts["recorded"]
        body.gone()

    found = in_a_loop(tell)
    assert held.size == 0
    assert len(found.get("x.unspool", [])) == recorded


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_listens_until_it_is_told_to_end_and_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "made" / "anew"
    words = [sys.executable, "-m", "unspool_tui.cli", "listen", "--port", "0", "--quiet", str(folder)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        script, posting = process.stderr.readline().strip(), process.stderr.readline().strip()
        with urllib.request.urlopen(script, timeout=20) as answer:
            assert b"__REDUX_DEVTOOLS_EXTENSION__" in answer.read()
        with urllib.request.urlopen(posting.replace("NAME", "shop"), b'{"state": {"n": 1}}', timeout=20) as answer:
            assert json.loads(answer.read())["recorded"] == 1
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    assert [path.name for path in folder.iterdir()] == ["shop.unspool"]
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "shop.unspool").stat().st_mode & 0o077 == 0


def test_what_came_together_is_stored_together_and_told_and_counted_where_the_disk_refuses_it(tmp_path: Path) -> None:
    told: list[str] = []
    histories = Histories(tmp_path, Kept(), told.append)
    with histories.together():
        history = histories.start("cart")
        for number in range(3):
            history.record({"n": number}, "set")
        assert entries_of(history.path) == []
        history.flush()
        assert len(entries_of(history.path)) == 3
    with histories.together():
        history.record({"n": 3}, "set")
        # Whoever asks for a state finds it whether its batch has ended or not.
        assert history.state_of(3)[0] == {"n": 3}
    size = no_more_pages(history)
    history.miss("unreadable", 2)
    with histories.together():
        lost = [history.record({"n": number, "text": "x" * 20_000 + str(number)}, "set") for number in range(4, 9)]
    assert "could not be written" in told[-1]
    assert history.has_missed
    history._recorder.store._writer._connection.execute(f"PRAGMA max_page_count = {size + 1000}")  # type: ignore[attr-defined]
    assert history.record({"n": 9}, "set", parent=lost[-1]) == 4
    assert history.record({"n": 10}, "set") == 5
    path = history.path
    histories.stop(history)
    with open_history(path, follow=False) as recorded:
        missing = [recorded[seq].meta.get("missing_before") for seq in range(len(recorded))]
    # What the lost ones would have said of those before them is said too.
    assert missing == [None] * 4 + [{"not kept": 5, "unreadable": 2}, None]


def no_more_pages(history: Any) -> int:
    """Have the disk of a history be full; return how many pages it has."""
    connection = history._recorder.store._writer._connection
    size: int = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {size}")
    return size
