"""The control channel of a recording: served by one program, asked by several, unharmed by whoever misuses it."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.waiting import wait_until
from unspool.control import (
    ControlClient,
    ControlServer,
    ControlUnavailable,
    Dispatch,
    Instance,
    Jump,
    Pause,
    Request,
    TravelRefused,
    served_at,
)
from unspool.control.channel import LONGEST_LINE, control_places
from unspool.control.server import MOST_OPEN, MOST_PEERS

MAIN = Instance("main", "shop.py", ("jump", "look", "pause", "resume"))


class Served:
    """A server whose commands a test answers."""

    def __init__(self, file: Path, *instances: Instance) -> None:
        self.requests: list[Request] = []
        self.answer_at_once = True
        self.server = ControlServer(file, instances or [MAIN], self.handle)

    def handle(self, request: Request) -> None:
        self.requests.append(request)
        if self.answer_at_once:
            request.answer(seq=getattr(request.message, "seq", None), changed=["cart"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.unspool"


@pytest.fixture
def served(file: Path) -> Iterator[Served]:
    found = Served(file)
    yield found
    found.server.close()


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of a short path, as a user's is."""
    with tempfile.TemporaryDirectory(prefix="run") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


def raw(served: Served) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(str(served.server.place))
    return connection


def lines_of(connection: socket.socket) -> list[dict[str, object]]:
    """Return all that the server says until it hangs up."""
    data = b""
    try:
        while chunk := connection.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    return [json.loads(line) for line in data.splitlines()]


class TestAsking:
    def test_a_client_learns_who_is_there_and_what_they_can(self, served: Served, file: Path) -> None:
        with ControlClient(file) as client:
            assert client.pid == os.getpid()
            assert client.instances == (MAIN,)

    def test_a_jump_reaches_the_program_and_its_answer_comes_back(self, served: Served, file: Path) -> None:
        with ControlClient(file) as client:
            answer = client.jump(12)
        assert answer.ok
        assert (answer.seq, answer.changed) == (12, ("cart",))
        assert isinstance(served.requests[0].message, Jump)
        assert served.requests[0].instance == MAIN

    def test_an_answer_may_come_later_from_another_thread_with_reasons_meanwhile(
        self, served: Served, file: Path
    ) -> None:
        served.answer_at_once = False
        reasons: list[str] = []

        def program() -> None:
            wait_until(lambda: bool(served.requests))
            served.requests[0].waiting("main thread is in time.sleep, svc.py:12")
            wait_until(lambda: bool(reasons))
            served.requests[0].answer(seq=3, kept=["user.password: redacted"])
            served.requests[0].refuse("too late for this")

        thread = threading.Thread(target=program)
        thread.start()
        with ControlClient(file) as client:
            answer = client.jump(3, on_waiting=reasons.append)
        thread.join()
        assert answer.kept == ("user.password: redacted",)
        assert reasons == ["main thread is in time.sleep, svc.py:12"]

    def test_a_refusal_says_why(self, file: Path) -> None:
        server = ControlServer(file, [MAIN], lambda request: request.refuse("entry 99: there are 0 to 41"))
        with ControlClient(file) as client, pytest.raises(TravelRefused, match="entry 99: there are 0 to 41"):
            client.look(99)
        server.close()

    def test_what_an_instance_cannot_do_is_refused_before_it_is_asked(self, served: Served, file: Path) -> None:
        with ControlClient(file) as client, pytest.raises(TravelRefused, match="it can jump, look, pause, resume"):
            client.skip([1, 2])
        assert not served.requests

    def test_one_of_several_instances_is_named(self, file: Path) -> None:
        served = Served(file, MAIN, Instance("tab", "a browser", ("jump", "dispatch")))
        with ControlClient(file) as client:
            with pytest.raises(TravelRefused, match="say which instance; there are: main, tab"):
                client.jump(1)
            client.dispatch({"type": "add", "n": [1, {"deep": None}]}, instance="tab")
            with pytest.raises(TravelRefused, match="say which instance"):
                client.jump(1, instance="gone")
        message = served.requests[0].message
        assert isinstance(message, Dispatch)
        assert json.loads(bytes(message.action)) == {"type": "add", "n": [1, {"deep": None}]}
        served.server.close()

    def test_a_program_that_fails_at_a_command_refuses_it_and_goes_on(self, file: Path) -> None:
        def handle(request: Request) -> None:
            if isinstance(request.message, Pause):
                raise ZeroDivisionError
            request.answer()

        server = ControlServer(file, [MAIN], handle)
        with ControlClient(file) as client:
            with pytest.raises(TravelRefused, match="ZeroDivisionError"):
                client.pause()
            assert client.resume().ok
        server.close()

    def test_without_an_answer_the_request_is_withdrawn(self, served: Served, file: Path) -> None:
        served.answer_at_once = False
        with ControlClient(file) as client, pytest.raises(TravelRefused, match=r"no answer within 0\.05 s"):
            client.jump(1, timeout=0.05)
        wait_until(lambda: not served.requests[0].is_open)

    def test_peers_hear_of_each_change_of_an_instance(self, served: Served, file: Path) -> None:
        with ControlClient(file) as client:
            assert not client.wait(0.01)
            served.server.update(Instance("main", "shop.py", MAIN.can, at=12, looking=True))
            assert client.wait(10)
            assert (client.instances[0].at, client.instances[0].looking) == (12, True)
            served.server.remove("main")
            assert client.wait(10)
            assert client.instances == ()

    def test_what_a_program_says_cannot_move_a_cursor(self, file: Path) -> None:
        server = ControlServer(
            file, [Instance("main", "\x1b[2Jshop", ("jump",))], lambda request: request.refuse("\x1b]0;x\x07 no\n")
        )
        with ControlClient(file) as client:
            assert client.instances[0].name.isprintable()
            with pytest.raises(TravelRefused) as refused:
                client.jump(0)
        assert str(refused.value).isprintable()
        server.close()

    def test_long_lists_are_cut_and_say_so(self, file: Path) -> None:
        server = ControlServer(
            file, [MAIN], lambda request: request.answer(changed=[f"atom{n}" * 100 for n in range(5_000)])
        )
        with ControlClient(file) as client:
            changed = client.jump(0).changed
        assert len(changed) == 200
        assert changed[-1] == "… and 4,801 more"
        assert max(map(len, changed)) <= 200
        server.close()


class TestThePlace:
    def test_only_its_owner_may_use_the_socket(self, served: Served, file: Path) -> None:
        assert served.server.place == Path(f"{file}-ctl")
        status = served.server.place.stat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o600

    def test_nothing_stays_behind(self, served: Served, file: Path) -> None:
        served.server.close()
        served.server.close()
        assert list(file.parent.iterdir()) == []
        assert not any(thread.name == "unspool-control" for thread in threading.enumerate())
        with pytest.raises(ControlUnavailable, match="no program that can travel"):
            ControlClient(file)

    def test_a_long_path_has_its_socket_in_the_runtime_folder(self, tmp_path: Path, runtime: Path) -> None:
        deep = tmp_path / ("d" * 90) / ("e" * 90)
        deep.mkdir(parents=True)
        served = Served(deep / "shop.unspool")
        assert served.server.place.parent == runtime / "unspool"
        assert stat.S_IMODE((runtime / "unspool").stat().st_mode) == 0o700
        with ControlClient(deep / "shop.unspool") as client:
            assert client.jump(1).ok
        served.server.close()
        assert list((runtime / "unspool").iterdir()) == []
        assert list(deep.iterdir()) == []

    def test_a_runtime_folder_that_others_may_enter_is_refused(self, tmp_path: Path, runtime: Path) -> None:
        (runtime / "unspool").mkdir()
        (runtime / "unspool").chmod(0o755)
        with pytest.raises(ControlUnavailable, match="not a folder that only you may enter"):
            Served(tmp_path / ("d" * 120) / "shop.unspool")

    def test_every_name_of_a_recording_leads_to_the_same_channel(self, served: Served, file: Path) -> None:
        file.touch()
        link = file.parent / "link.unspool"
        link.symlink_to(file)
        with ControlClient(link) as client:
            assert client.jump(1).ok

    def test_the_socket_of_a_killed_program_is_replaced(self, file: Path) -> None:
        program = f"""
import time
from unspool.control import ControlServer, Instance
server = ControlServer({str(file)!r}, [Instance("main")], print)
print("up", flush=True)
time.sleep(60)
"""
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(ControlUnavailable, match="another program serves this recording"):
                Served(file)
            process.send_signal(signal.SIGKILL)
        assert served_at(file) is not None
        with pytest.raises(ControlUnavailable, match="has ended"):
            ControlClient(file)
        served = Served(file)
        with ControlClient(file) as client:
            assert client.jump(1).ok
        served.server.close()

    def test_what_is_no_socket_is_never_removed(self, file: Path) -> None:
        control_places(file)[0].write_text("mine")
        with pytest.raises(ControlUnavailable, match="move it away"):
            Served(file)
        with pytest.raises(ControlUnavailable, match="no program"):
            ControlClient(file)
        assert control_places(file)[0].read_text() == "mine"

    def test_a_socket_that_another_one_took_over_stays(self, served: Served, file: Path) -> None:
        served.server.place.unlink()
        other = Served(file)
        served.server.close()
        with ControlClient(file) as client:
            assert client.jump(1).ok
        other.server.close()

    def test_a_forked_child_lets_go_and_the_parent_goes_on(self, served: Served, file: Path) -> None:
        child = os.fork()
        if child == 0:
            served.server.after_fork()
            served.server.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with ControlClient(file) as client:
            assert client.jump(1).ok

    def test_signals_go_to_the_threads_of_the_app(self, served: Served) -> None:
        task = Path(f"/proc/self/task/{served.server._thread.native_id}/status")
        if not task.exists():
            pytest.skip("this system does not tell the signals of a thread")
        blocked = next(line for line in task.read_text().splitlines() if line.startswith("SigBlk"))
        assert int(blocked.split()[1], 16) & (1 << (signal.SIGINT - 1))


class TestHostilePeers:
    @pytest.mark.parametrize(
        "line",
        [
            b"nonsense\n",
            b"[" * 60_000 + b"\n",
            b'{"type":"jump","id":1,"seq":-1}\n',
            b'{"type":"jump","id":1,"seq":99999999999999999999}\n',
            b'{"type":"jump","id":1,"seq":"12"}\n',
            b'{"type":"reboot","id":1}\n',
            b'{"type":"jump","id":1}\n',
            b"\xff\xfe\x00\n",
            b"\n",
            b'{"type":"dispatch","id":1,"action":' + b"[" * 30_000 + b"]" * 30_000 + b"}\n",
            b"x" * (LONGEST_LINE + 1),
            b"x" * (3 * LONGEST_LINE) + b"\n",
        ],
    )
    def test_what_is_no_command_ends_the_connection_only(self, served: Served, file: Path, line: bytes) -> None:
        with raw(served) as connection:
            try:
                connection.sendall(line)
            except (BrokenPipeError, ConnectionResetError):
                pass
            said = lines_of_rejected(connection)
        assert all(not reply["ok"] for reply in said[1:])
        assert not served.requests
        with ControlClient(file) as client:
            assert client.jump(1).ok

    def test_peers_beyond_the_bound_are_refused(self, served: Served, file: Path) -> None:
        peers = [ControlClient(file) for _ in range(MOST_PEERS)]
        with pytest.raises(ControlUnavailable, match="others are connected already"):
            ControlClient(file)
        assert peers[0].jump(1).ok
        peers.pop().close()
        wait_until(lambda: len(served.server._peers) < MOST_PEERS)
        with ControlClient(file) as client:
            assert client.jump(2).ok
        for peer in peers:
            peer.close()

    def test_one_that_asks_without_waiting_is_refused_beyond_a_bound(self, served: Served) -> None:
        served.answer_at_once = False
        with raw(served) as connection:
            for number in range(MOST_OPEN + 5):
                connection.sendall(b'{"type":"jump","id":%d,"seq":1}\n' % number)
            wait_until(lambda: len(served.requests) == MOST_OPEN)
            connection.shutdown(socket.SHUT_WR)
            said = lines_of(connection)
        assert [reply["id"] for reply in said[1:]] == list(range(MOST_OPEN, MOST_OPEN + 5))

    def test_one_that_never_reads_is_cut_off(self, served: Served, file: Path) -> None:
        with raw(served) as connection:
            connection.setblocking(False)
            line = b'{"type":"jump","id":1,"seq":1,"instance":"nobody"}\n' * 100

            def is_cut_off() -> bool:
                try:
                    connection.send(line)
                except BlockingIOError:
                    return False
                except OSError:
                    return True
                return False

            wait_until(is_cut_off)
        with ControlClient(file) as client:
            assert client.jump(1).ok

    def test_statuses_do_not_heap_up_at_one_that_never_reads(self, served: Served, file: Path) -> None:
        names = tuple("x" * 200 for _ in range(6))
        with raw(served), ControlClient(file) as client:
            for seq in range(5_000):
                served.server.update(Instance("main", "shop.py", names, at=seq))
            wait_until(lambda: client.wait(0.01) is False and client.instances[0].at == 4_999)
            assert max(len(peer.unsent) for peer in served.server._peers) < 10_000

    @settings(max_examples=60, deadline=None)
    @given(
        chunks=st.lists(
            st.one_of(
                st.binary(max_size=60),
                st.sampled_from([b'{"type":"jump","id":3,"seq":4}\n', b'{"type":"pause"}\n', b"{}\n", b'{"type":']),
            ),
            max_size=8,
        )
    )
    def test_any_bytes_leave_the_server_serving(self, shared: Served, chunks: list[bytes]) -> None:
        with raw(shared) as connection:
            for chunk in chunks:
                try:
                    connection.sendall(chunk)
                except (BrokenPipeError, ConnectionResetError):
                    break
        with ControlClient(shared.server._file) as client:
            assert client.jump(1).ok

    @pytest.fixture(scope="class")
    def shared(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
        found = Served(tmp_path_factory.mktemp("shared") / "shop.unspool")
        yield found
        found.server.close()


def lines_of_rejected(connection: socket.socket) -> list[dict[str, object]]:
    try:
        return lines_of(connection)
    except TimeoutError:
        raise AssertionError("the server kept the connection") from None


class TestHostilePrograms:
    @pytest.mark.parametrize(
        "said",
        [
            b"nonsense\n",
            b"[" * 100_000 + b"\n",
            b"x" * (1 << 20),
            b'{"type":"hello","protocol":2,"pid":1,"file":"","instances":[]}\n',
            b'{"type":"status","instances":[]}\n',
            b"",
        ],
    )
    def test_a_client_of_what_is_no_program_of_ours_says_so(self, file: Path, said: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(control_places(file)[0]))
            listening.listen()

            def program() -> None:
                taken, _ = listening.accept()
                with taken:
                    try:
                        taken.sendall(said)
                    except (BrokenPipeError, ConnectionResetError):
                        return

            thread = threading.Thread(target=program)
            thread.start()
            with pytest.raises(ControlUnavailable):
                ControlClient(file, timeout=5)
            thread.join()

    def test_a_client_waits_no_longer_than_it_was_told_to(self, file: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(control_places(file)[0]))
            listening.listen()
            with pytest.raises(ControlUnavailable, match="did not answer in time"):
                ControlClient(file, timeout=0.05)
