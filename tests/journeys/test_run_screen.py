"""`unspool run` and `unspool attach` in a terminal: the program in front, its recording on the screen, the program again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from journeys.terminal_harness import Terminal
from support.live_host import monitored, pythons
from support.waiting import wait_until
from unspool import open_history

UNSPOOL = [sys.executable, "-m", "unspool_tui.cli"]
NEWEST = (monitored() or list(pythons()))[-1]
PYTHON = pythons()[NEWEST]
pytestmark = pytest.mark.skipif(not monitored(), reason="no Python 3.12 or newer is installed")

ASKING = """
import os, sys, time
CART = {"total": 0}
name = input("who is it? ")
print("hello", name, flush=True)
while not os.path.exists(sys.argv[1]):
    CART["total"] += 1
    print("step", CART["total"], flush=True)
    time.sleep(0.02)
print("the end", flush=True)
sys.exit(4)
"""


def test_a_program_is_in_front_then_on_the_screen_then_in_front_again(tmp_path: Path) -> None:
    app, stop, file = tmp_path / "app.py", tmp_path / "stop", tmp_path / "a.unspool"
    app.write_text(ASKING)
    command = [*UNSPOOL, "run", "--watch", "CART", "--python", PYTHON, "-o", str(file), "--", str(app), str(stop)]
    with Terminal(command) as terminal:
        terminal.wait_for("1 History")
        terminal.send("q")
        terminal.wait_for("the program goes on")
        terminal.send(*"ada", "enter")
        terminal.wait_for("hello ada")
        terminal.wait_for("step 3")
        terminal.send("\x1d")
        terminal.wait_for("LIVE follow")
        terminal.wait_for(r"#[0-9]+ . #[0-9]")
        stop.touch()
        terminal.send("q")
        terminal.wait_for("the end")
        assert terminal.wait() == 4, terminal.screen.text
        assert "entries in" in terminal.screen.text
    with open_history(file) as history:
        assert history.state(-1)["total"] >= 3


@pytest.fixture
def service(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    app = tmp_path / "service.py"
    app.write_text(
        "import time\nCART = {'total': 0}\ndef main():\n    while True:\n        CART['total'] += 1\n        time.sleep(0.02)\n"
        "if __name__ == '__main__':\n    print('up', flush=True)\n    main()\n"
    )
    process = subprocess.Popen([PYTHON, app], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    yield process
    process.kill()
    process.communicate()


def test_leaving_the_screen_leaves_the_program_that_was_attached_to(
    service: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    file = tmp_path / "s.unspool"
    command = [*UNSPOOL, "attach", str(service.pid), "--watch", "CART", "-o", str(file)]
    with Terminal(command) as terminal:
        terminal.wait_for("total")
        terminal.send("q")
        assert terminal.wait() == 0
        assert "entries in" in terminal.screen.text
    assert service.poll() is None
    with open_history(file) as history:
        count = len(history)
    time.sleep(0.1)
    with open_history(file) as history:
        assert len(history) == count


@pytest.mark.slow
def test_a_program_is_picked_from_those_that_are_running(service: subprocess.Popen[bytes], tmp_path: Path) -> None:
    command = [*UNSPOOL, "attach", "--watch", "CART", "-o", str(tmp_path / "s.unspool")]
    with Terminal(command) as terminal:
        terminal.wait_for("attach to which one")
        terminal.wait_for(str(service.pid))
        terminal.send(str(service.pid), "enter")
        terminal.wait_for("1 History")
        terminal.send("q")
        assert terminal.wait() == 0
    assert service.poll() is None


def test_what_changes_is_offered_and_what_is_chosen_is_shown(
    service: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    command = [*UNSPOOL, "attach", str(service.pid), "-o", str(tmp_path / "s.unspool")]
    with Terminal(command) as terminal:
        terminal.wait_for("watch which one")
        terminal.wait_for("service:CART")
        terminal.send("enter")
        terminal.wait_for("1 History")
        terminal.wait_for("total")
        terminal.send("q")
        assert terminal.wait() == 0
    with open_history(tmp_path / "s.unspool") as history:
        assert history.state(-1)["total"] > 0


def test_closing_the_terminal_ends_both_as_it_does_without_unspool(tmp_path: Path) -> None:
    app, stop, file = tmp_path / "app.py", tmp_path / "stop", tmp_path / "a.unspool"
    app.write_text(
        ASKING.replace(
            "time.sleep(0.02)", "time.sleep(0.02); open(sys.argv[1] + '.pid', 'w').write(str(os.getpid()))"
        )
    )
    command = [*UNSPOOL, "run", "--watch", "CART", "--python", PYTHON, "-o", str(file), "--", str(app), str(stop)]
    with Terminal(command) as terminal:
        terminal.wait_for("1 History")
        terminal.send("q")
        terminal.wait_for("the program goes on")
        terminal.send("enter")
        terminal.wait_for("step 3")
    pid = int(Path(f"{stop}.pid").read_text() or 0)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the program's end")
    with open_history(file) as history:
        assert len(history)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", [*{"3.11": 0, NEWEST: 0}])
def test_a_short_program_is_offered_again_and_its_planted_bug_is_found(tmp_path: Path, version: str) -> None:
    pytest.importorskip("jmespath")
    example = Path(__file__).parents[2] / "examples" / "shop_plain.py"
    file = tmp_path / "a.unspool"
    command = [*UNSPOOL, "run", "--python", pythons()[version], "-o", str(file), "--", str(example)]
    with Terminal(command, size=(120, 130)) as terminal:
        terminal.wait_for("run it again and record which one")
        assert "1  shop_plain:SHOP" in terminal.screen.text
        terminal.send("enter")
        terminal.wait_for("1 History")
        terminal.wait_for("revenue")
        terminal.send("B")
        terminal.send(*"orders[?total > sum(lines[].amount)]", "enter")
        entry = int(terminal.wait_for("#([0-9]+) +holds")[1])
        terminal.send("enter")
        terminal.wait_for(f"#{entry - 1} → #{entry} ")
        terminal.send("q")
        assert terminal.wait() == 0, terminal.screen.text
        assert "entries in" in terminal.screen.text
    asked = [*UNSPOOL, "blame", str(file), "carts.dana.total", "--at", str(entry - 1)]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert "self.total = round(self.total + line.price, 2)" in answer
    assert "in Cart.take_out" in answer


@pytest.mark.slow
def test_a_program_that_ends_while_somebody_chooses_is_offered_again(tmp_path: Path) -> None:
    app, stop, file = tmp_path / "app.py", tmp_path / "stop", tmp_path / "a.unspool"
    pid = tmp_path / "stop.pid"
    leaving = "open(sys.argv[1] + '.pid', 'w').write(str(os.getpid())); sys.exit(4)"
    app.write_text(ASKING.replace('input("who is it? ")', "'ada'").replace("sys.exit(4)", leaving))
    command = [*UNSPOOL, "run", "--python", PYTHON, "-o", str(file), "--", str(app), str(stop)]
    with Terminal(command, size=(100, 900)) as terminal:
        terminal.wait_for("watch which one")
        stop.touch()
        wait_until(lambda: pid.exists() and pid.read_text() != "", "the program's last word")
        wait_until(lambda: not Path(f"/proc/{pid.read_text()}").exists(), "the program's end")
        terminal.send("enter")
        terminal.wait_for("run it again and record app:CART")
        terminal.wait_for("the end")
        terminal.send("n", "enter")
        assert terminal.wait() == 4
        assert "entries in" not in terminal.screen.text
    assert not file.exists()
