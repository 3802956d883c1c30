"""Programs that nobody instrumented, as a person records them: `unspool run`, `unspool attach`, and what is left afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.live_host import monitored, pythons
from support.waiting import wait_until
from unspool import open_history
from unspool.control import ControlClient, served_at
from unspool.errors import UnspoolError
from unspool.live import agent_source

UNSPOOL = (sys.executable, "-m", "unspool_tui.cli")
NEWEST = (monitored() or list(pythons()))[-1]
PYTHON = pythons()[NEWEST]
# The oldest looks now and then, the newest hears of each store: the others are as it is.
VERSIONS = [
    pytest.param(version, marks=() if version in ("3.11", NEWEST) else pytest.mark.slow)
    for version in sorted(pythons())
]
needs_monitoring = pytest.mark.skipif(not monitored(), reason="no Python 3.12 or newer is installed")

SHOP = """
import os, sys, time, signal
class Cart:
    def __init__(self):
        self.items = []
        self.total = 0
    def add(self, price):
        self.items.append(price)
        self.total += price
CART = Cart()
"""
SERVICE = (
    SHOP
    + """
def main():
    while True:
        CART.add(1)
        if len(CART.items) > 30:
            del CART.items[:]
        time.sleep(0.005)
if __name__ == "__main__":
    print("up", flush=True)
    main()
"""
)


@pytest.fixture
def app(tmp_path: Path) -> Any:
    def write(code: str, name: str = "app.py") -> Path:
        file = tmp_path / name
        file.write_text(code)
        return file

    return write


def run(*words: object, folder: Path, timeout: float = 60, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UNSPOOL, *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=timeout, check=False, **more
    )


@contextmanager
def going(*words: object, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """A command that runs until it is told to end, or the test is over."""
    process = subprocess.Popen([*UNSPOOL, *map(str, words)], text=True, **more)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def count(file: Path) -> int:
    """Entries with a state; none as long as there is no such file."""
    try:
        return len(states(file))
    except UnspoolError:
        return 0


def states(file: Path) -> list[dict[str, Any]]:
    with open_history(file) as history:
        return [history.state(entry.seq) for entry in history if entry.kind.value != "note"]


@pytest.fixture
def service(app: Any) -> Iterator[Any]:
    """Starts programs that run until they are told to end."""
    running: list[subprocess.Popen[bytes]] = []

    def start(code: str = SERVICE, python: str = PYTHON) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([python, app(code, "service.py")], stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.slow
@needs_monitoring
def test_a_program_is_recorded_line_by_line_and_is_none_the_wiser(app: Any, tmp_path: Path) -> None:
    file = app(
        SHOP
        + "for price in (3, 4): CART.add(price)\n"
        + "print(sys.argv, __name__, __file__, sys.stdin.read())\nprint('oops', file=sys.stderr)\nsys.exit(7)\n"
    )
    plain = subprocess.run([PYTHON, file, "a", "--b"], input="in", capture_output=True, text=True, check=False)
    done = run(
        "run", "--headless", "--quiet", "--watch", "CART", "--python", PYTHON, "--", file, "a", "--b",
        folder=tmp_path, input="in",
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (7, plain.stdout, plain.stderr)
    assert states(tmp_path / "app.unspool")[-1] == {"items": [3, 4], "total": 7}
    blame = run("blame", "app.unspool", "total", folder=tmp_path)
    assert "app.py:9 in Cart.add" in blame.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_every_python_is_recorded_by_the_same_command(app: Any, tmp_path: Path, version: str) -> None:
    done = run(
        "run", "--headless", "--watch", "CART", "--python", pythons()[version], "-o", "a.unspool",
        "--", app(SHOP + "CART.add(5)\nCART.add(6)\n"), folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert states(tmp_path / "a.unspool")[-1] == {"items": [5, 6], "total": 11}


def test_a_module_and_code_run_as_under_python_itself(tmp_path: Path, app: Any) -> None:
    app(SHOP + "CART.add(1)\nprint(__name__, sys.argv[1:])", "mod.py")
    done = run("run", "--headless", "--watch", "CART", "--python", PYTHON, "--", "-m", "mod", "x", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "__main__ ['x']\n")
    assert (tmp_path / "mod.unspool").exists()
    code = "X = {'n': 1}\nX['n'] = 2\nprint(X)"
    done = run("run", "--headless", "--watch", "X", "--", PYTHON, "-c", code, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "{'n': 2}\n")
    asked = subprocess.run(
        [*UNSPOOL, "blame", "program.unspool", "n"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ("<string>:2" in asked.stdout) is (NEWEST in monitored()), asked.stdout + asked.stderr


def test_a_program_decides_itself_what_a_signal_does(app: Any, tmp_path: Path) -> None:
    handled = app(
        SHOP
        + "signal.signal(signal.SIGTERM, lambda *_: (CART.add(9), sys.exit(5)))\nprint('up', flush=True)\n"
        + "while True: time.sleep(0.01)\n"
    )
    for file, code in ((handled, 5), (app(SERVICE, "plain.py"), 128 + signal.SIGTERM)):
        words = ["run", "--headless", "--watch", "CART", "--python", PYTHON, "-o", f"{file}.unspool", "--", file]
        with going(*words, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == code
    assert states(Path(f"{handled}.unspool"))[-1]["total"] == 9


@needs_monitoring
def test_a_program_that_is_killed_loses_nothing_that_it_did(app: Any, tmp_path: Path) -> None:
    file = app(SHOP + "for n in range(1, 301): CART.add(n)\nos.kill(os.getpid(), signal.SIGKILL)\n")
    done = run("run", "--headless", "--watch", "CART", "--python", PYTHON, "--", file, folder=tmp_path)
    assert done.returncode == 128 + signal.SIGKILL
    last = states(tmp_path / "app.unspool")[-1]
    assert last["items"] == list(range(1, 301))
    # A statement is told of when it is over, so the last one may not have been.
    assert last["total"] in (45150, 45150 - 300)


@needs_monitoring
def test_a_program_goes_on_when_its_recorder_is_killed_and_the_file_is_sound(app: Any, tmp_path: Path) -> None:
    file = app(
        SHOP
        + "print('up', flush=True)\nstop = sys.argv[1]\nn = 0\n"
        + "while not os.path.exists(stop):\n    CART.add(1)\n    n += 1\n    time.sleep(0.001)\n"
        + "open(sys.argv[2], 'w').write(str(CART.total == n == len(CART.items)))\n"
    )
    stop, verdict = tmp_path / "stop", tmp_path / "verdict"
    words = ["run", "--headless", "--watch", "CART", "--python", PYTHON, "-o", "a.unspool", "--", file, stop, verdict]
    with going(*words, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        recording = tmp_path / "a.unspool"
        wait_until(lambda: count(recording) > 20, "some entries")
        process.kill()
        process.wait()
        before = count(recording)
        stop.touch()
        wait_until(verdict.exists, "the program's own end")
        wait_until(lambda: verdict.read_text() != "", "the program's own word")
    assert verdict.read_text() == "True"
    with open_history(recording) as history:
        assert len(history) >= before
    assert run("doctor", recording, folder=tmp_path).returncode in (0, 1)
    assert all(sum(state["items"]) in (state["total"], state["total"] + 1) for state in states(recording)[1:])


GROWING = """\
import random, sys
S = {}
for n in range(300):
    S[n % 10] = random.Random(n).randbytes(5_000).hex()
print("done", len(S))
sys.exit(5)
"""


def on_a_full_disk(*words: object) -> list[str]:
    """Return a command that runs another, which can make no file larger than a little more than that of the agent."""
    whole = [*UNSPOOL, *map(str, words)]
    limit = len(agent_source()) + 300_000
    script = f"import os, resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); os.execv({whole[0]!r}, {whole!r})"
    return [sys.executable, "-c", script]


@needs_monitoring
def test_a_full_disk_ends_the_recording_with_a_word_and_not_the_program(app: Any, tmp_path: Path) -> None:
    file = tmp_path / "s.unspool"
    words = ("run", "--headless", "--python", PYTHON, "--watch", "S", "-o", file, "--", app(GROWING))
    done = subprocess.run(on_a_full_disk(*words), capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (5, "done 10\n")
    assert done.stderr.count(f"recording ends here: {file}: entries") == 1
    assert "Traceback" not in done.stderr
    kept = states(file)
    assert 10 < len(kept) < 300
    assert kept[0] == {} or len(kept[0]) == 1


@needs_monitoring
def test_a_full_disk_while_attached_leaves_the_program_alone(service: Any, tmp_path: Path) -> None:
    growing = "CART.items[:] = [random.randbytes(5_000).hex()]"
    process = service(f"import random{SERVICE}".replace("del CART.items[:]", growing).replace("> 30", "> 0"))
    before, file = footprint(process.pid), tmp_path / "s.unspool"
    words = ("attach", process.pid, "--headless", "--watch", "CART", "-o", file)
    done = subprocess.run(on_a_full_disk(*words), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert done.stderr.count(f"recording ends here: {file}: entries") == 1
    assert "Traceback" not in done.stderr
    assert len(states(file)) > 10
    wait_until(lambda: footprint(process.pid) == before, "that nothing is left in the program")
    assert process.poll() is None


def test_a_name_that_is_not_there_is_refused_with_one_that_is(app: Any, tmp_path: Path) -> None:
    done = run(
        "run", "--headless", "--watch", "CRAT", "--python", PYTHON, "--", app(SHOP + "CART.add(1)"), folder=tmp_path
    )
    assert done.returncode == 0
    assert "CRAT" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "app.unspool").exists()


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_asked_for_and_never_came_is_told(app: Any, tmp_path: Path, version: str) -> None:
    program = app(SHOP + "CART.add(1)")
    asked = ["--watch", "CART", "--watch", "CRAT", "--trace", "__main__:nofn", "--trace", "__main__:Cart.add"]
    python = ["--python", pythons()[version]]
    done = run("run", "--headless", *asked, *python, "--", program, folder=tmp_path)
    assert "nothing named CRAT (did you mean CART?) was seen" in done.stderr
    sees_calls = version in monitored()
    assert ("no call of __main__:nofn (--trace) was seen" in done.stderr) is sees_calls
    assert ("tells of no call that --trace names" in done.stderr) is not sees_calls
    (tmp_path / "app.unspool").unlink()
    done = run("run", "--headless", "--watch", "CART", "--when", "NOPE", *python, "--", program, folder=tmp_path)
    assert "nothing named" not in done.stderr
    assert "--when says never held: NameError: there is no NOPE among what is watched" in done.stderr


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "Missing argument"),
        (["run", "--wacth", "x", "app.py"], "no such option: --wacth"),
        (["run", "--", "-m"], "which program?"),
        (["run", "--watch", "U[", "--", "app.py"], "'U[': letter 2, '[', is no part of a name"),
        (["run", "--watch", "@app:", "--", "app.py"], "a name is missing"),
        (["run", "--trace", "app:f()", "--", "app.py"], "letter 6, '(', is no part of a name"),
        (["run", "--when", "U[", "--", "app.py"], "at letter 2"),
        (["run", "--python", "no-such-python", "--", "app.py"], "no-such-python: no such Python"),
        (["run", "--", "."], "without __main__.py"),
        (["attach", "999999999"], "there is no process 999999999"),
        (["attach", "1"], "1"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    done = run(*words, folder=tmp_path)
    assert done.returncode in (2, 3)
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", VERSIONS)
def test_attach_and_detach_leave_the_program_as_it_was(service: Any, tmp_path: Path, version: str) -> None:
    process = service(python=pythons()[version])
    before = footprint(process.pid)
    for turn in range(2):
        file = tmp_path / f"{turn}.unspool"
        done = run(
            "attach", process.pid, "--headless", "--watch", "CART", "--seconds", "0.4", "-o", file, folder=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert len(states(file)) > 1
    wait_until(lambda: footprint(process.pid) == before, "that nothing is left")
    assert process.poll() is None


def footprint(pid: int) -> tuple[int, int]:
    """Threads and open files of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir())), len(list(Path(f"/proc/{pid}/fd").iterdir()))


@needs_monitoring
def test_a_service_is_found_seen_to_change_blamed_put_back_and_left(service: Any, tmp_path: Path) -> None:
    process = service()
    listed = run("attach", folder=tmp_path)
    line = next(line for line in listed.stdout.splitlines() if line.split()[0] == str(process.pid))
    assert "service.py" in line
    file = tmp_path / "s.unspool"
    words = ["attach", str(process.pid), "--headless", "--watch", "CART", "-o", str(file)]
    with going(*words, stderr=subprocess.PIPE) as attached:
        wait_until(lambda: served_at(file) and count(file) > 40, "entries")
        assert "service.py:9 in Cart.add" in run("blame", file, "total", folder=tmp_path).stdout
        with open_history(file) as history:
            target = len(history) - 11
            wanted = history.state(target)
        with ControlClient(file) as client:
            answer = client.jump(target, timeout=30)
        assert answer.seq == target
        with open_history(file) as history:
            back = next(entry for entry in history if entry.parent_seq == target and entry.seq != target + 1)
            assert history.state(back.seq) == wanted
            wait_until(lambda: (history.refresh(), len(history) > back.seq + 5)[1], "that it goes on from there")
            assert history.state(back.seq + 2)["total"] == wanted["total"] + 1
        attached.send_signal(signal.SIGINT)
        _, said = attached.communicate(timeout=30)
        assert attached.returncode == 0
        assert "entries in" in said
    assert process.poll() is None
    assert not served_at(file)
    assert not list(tmp_path.glob("*-ctl"))


def test_a_program_that_dies_under_attach_ends_the_recording(service: Any, tmp_path: Path) -> None:
    process = service()
    file = tmp_path / "s.unspool"
    words = ["attach", str(process.pid), "--headless", "--watch", "CART", "-o", str(file)]
    with going(*words, stderr=subprocess.PIPE) as attached:
        wait_until(lambda: count(file) > 0, "an entry")
        process.kill()
        assert attached.wait(30) == 0
    assert states(file)


def test_what_the_main_thread_waits_in_is_told(service: Any, tmp_path: Path) -> None:
    process = service(SHOP + "print('up', flush=True)\ntime.sleep(600)\n")
    words = ["attach", str(process.pid), "--headless", "--watch", "CART", "-o", str(tmp_path / "s.unspool")]
    with going(*words, stderr=subprocess.PIPE) as attached:
        assert attached.stderr is not None
        assert "is in time.sleep" in attached.stderr.readline()
        attached.send_signal(signal.SIGINT)
        assert attached.wait(30) == 0
    assert process.poll() is None
    assert not (tmp_path / "s.unspool").exists()


@pytest.mark.slow
@needs_monitoring
def test_without_a_name_what_changes_most_is_told(service: Any, tmp_path: Path) -> None:
    process = service()
    words = ["attach", str(process.pid), "--headless", "-o", str(tmp_path / "s.unspool")]
    with going(*words, stderr=subprocess.PIPE) as attached:
        said: list[str] = []
        heard = threading.Event()

        def read() -> None:
            assert attached.stderr is not None
            for line in attached.stderr:
                said.append(line)
                if "record one with" in line:
                    heard.set()

        threading.Thread(target=read, daemon=True).start()
        assert heard.wait(30), said
        attached.send_signal(signal.SIGINT)
        assert attached.wait(30) == 0
    assert any("CART" in line and "changes" in line for line in said)
    assert any(f"unspool attach {process.pid} --watch service:CART" in line for line in said)


def test_neither_serve_nor_mcp_can_run_or_attach() -> None:
    """A page or an agent that could start programs, or reach into one, would be a way into the machine."""
    code = (
        "import sys, unspool_tui.mcp_server, unspool_tui.serving, unspool_tui.app\n"
        "print([name for name in sys.modules if name.startswith('unspool.live.') or name.endswith('cli.live')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_planted_bug_is_found_without_a_line_of_instrumentation(tmp_path: Path) -> None:
    pytest.importorskip("jmespath")
    if not monitored():
        pytest.skip("no Python 3.12 or newer is installed")
    example = Path(__file__).parents[2] / "examples" / "shop_plain.py"
    done = run(
        "run",
        "--headless",
        "--watch",
        "SHOP",
        "--settle",
        "return",
        "--python",
        PYTHON,
        "--",
        example,
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = run("bisect", "shop_plain.unspool", "orders[?total > sum(lines[].amount)]", folder=tmp_path).stdout
    entry, who = _first(found), _who(found)
    blamed = run("blame", "shop_plain.unspool", f"carts.{who}.total", "--at", str(entry - 1), folder=tmp_path).stdout
    wrong = 1 + example.read_text().splitlines().index("        self.total = round(self.total + line.price, 2)")
    assert f"shop_plain.py:{wrong} in Cart.take_out" in blamed


def _first(found: str) -> int:
    """Return the first entry that is listed; a mark behind its number says that its line is in doubt."""
    words = (line.split()[0].rstrip("?") for line in found.splitlines() if line.split())
    return next(int(word) for word in words if word.isdigit())


def _who(found: str) -> str:
    return found.partition('"who":"')[2].partition('"')[0]


@pytest.mark.slow
@needs_monitoring
def test_a_program_from_the_package_index_is_recorded_and_blame_names_its_line(tmp_path: Path) -> None:
    """The demo of `rich.progress`, which draws until it is told to end."""
    import rich.progress  # only its place is of interest: the program runs under another Python

    own = Path(rich.progress.__file__)
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for name in ("rich", "pygments", "markdown_it", "mdurl"):
        (libraries / name).symlink_to(own.parent.parent / name)
    lines = own.read_text().splitlines()
    environment = {**os.environ, "PYTHONPATH": str(libraries)}
    words = (
        "run",
        "--headless",
        "--python",
        PYTHON,
        "--watch",
        "@Task",
        "--prefix",
        own.parent,
        "-o",
        "demo.unspool",
    )
    with going(
        *map(str, words), "--", "-m", "rich.progress",
        cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        file = tmp_path / "demo.unspool"
        wait_until(lambda: count(file) > 15, "entries")
        process.send_signal(signal.SIGINT)
        process.wait(30)
    blame = run("blame", "demo.unspool", '$["Task#1"].completed', "--json", folder=tmp_path)
    (found,) = json.loads(blame.stdout)["values"]
    assert found["certain"]
    assert found["caller"]["function"] == "Progress.update"
    assert lines[found["caller"]["line"] - 1].strip() == "task.completed += advance"
