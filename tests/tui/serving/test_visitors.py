"""What a visitor may do: every action says what it reaches, and what reaches too far is refused with a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from tui_driver import drive, open_file

from unspool.errors import UnspoolError
from unspool_tui.actions import ACTIONS, BY_ID, Action, hints
from unspool_tui.app import UnspoolApp
from unspool_tui.permits import EVERYTHING, REACHES, Permits, Reach, WriteRefused
from unspool_tui.screens.exporting import check_target, target
from unspool_tui.settings import Settings, UiOptions
from unspool_tui.view.model import View

VISITOR = Permits(visitor=True)
_ON_PAGES = {"chains.repair"}


def test_every_action_says_what_it_reaches() -> None:
    assert set(REACHES) == set(BY_ID) | _ON_PAGES


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_a_visitor_only_looks(action: Action, tmp_path: Path) -> None:
    writer = Permits(visitor=True, below=tmp_path)
    reach = REACHES[action.id]
    assert EVERYTHING.why_not(action.id) == ""
    assert (VISITOR.why_not(action.id) == "") == (reach in (Reach.SCREEN, Reach.KEPT))
    assert (writer.why_not(action.id) == "") == (reach in (Reach.SCREEN, Reach.KEPT, Reach.FILES))
    view = View(total=5, permits=VISITOR)
    if VISITOR.why_not(action.id):
        assert action.refusal(view) == VISITOR.why_not(action.id)
        assert action.id not in {name for hint in hints(view) for name in hint.ids}


@pytest.mark.parametrize("reach", [Reach.SOURCES, Reach.MACHINE, None])
def test_what_reaches_further_is_refused_whatever_is_permitted(
    reach: Reach | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = {} if reach is None else {"new": reach}
    monkeypatch.setattr("unspool_tui.permits.REACHES", declared)
    assert Permits(visitor=True, below=tmp_path).why_not("new") != ""
    assert EVERYTHING.why_not("new") == ""


async def test_pressing_what_is_refused_tells_why_and_opens_nothing(shop_file: Path) -> None:
    history = open_file(shop_file)
    app = UnspoolApp(history, Settings(), UiOptions(permits=VISITOR), at=3, follow=False)
    async with drive(app) as driver:
        refused = [action for action in ACTIONS if VISITOR.why_not(action.id)]
        further = (Reach.MACHINE, Reach.HISTORY, Reach.FILES)
        assert {action.id for action in refused} == {action.id for action in ACTIONS if REACHES[action.id] in further}
        for action in refused:
            await driver.press(action.keys[0])
            is_file = REACHES[action.id] is Reach.FILES
            assert ("a served screen writes no files" if is_file else "not from a served screen") in driver.line(-1)
            assert driver.app.screen is driver.app.main
        main = driver.app.main
        main.apply(replace(main.view, head=2))
        await driver.settle()
        assert main.view.permits is VISITOR


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "out/x", "in/../../x", ".", "", "in/..", "loop/x", "a\0b", "x" * 5000, "/proc/self/cwd/x"],
)
def test_no_name_leads_out_of_the_permitted_folder(name: str, tmp_path: Path) -> None:
    below = tmp_path / "below"
    (below / "in").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (below / "out").symlink_to(tmp_path / "other")
    (below / "loop").symlink_to(below / "loop")
    permits = Permits(visitor=True, below=below.resolve())
    with pytest.raises(UnspoolError):
        check_target(name, permits)


def test_names_inside_are_permitted_with_links_resolved(tmp_path: Path) -> None:
    below = (tmp_path / "below").resolve()
    (below / "in").mkdir(parents=True)
    (below / "link").symlink_to(below / "in")
    permits = Permits(visitor=True, below=below)
    assert target("x.json", permits) == below / "x.json"
    assert target("~/x.json", permits) == below / "~" / "x.json"
    assert target("link/x.json", permits) == below / "in" / "x.json"
    assert target(str(below / "in" / "x.json"), permits) == below / "in" / "x.json"
    with pytest.raises(WriteRefused):
        target("x.json", VISITOR)


_PROBE = """
import os, shutil, sqlite3, subprocess, sys, tempfile
from pathlib import Path
from unspool_tui.permits import Permits
from unspool_tui.serving.confined import Confinement
outside, below = Path(sys.argv[1]), Path(sys.argv[2])
Confinement(Permits(visitor=True, below=below)).begin()

def refused(attempt):
    try:
        attempt()
    except PermissionError as error:
        assert "served" in str(error), error
        return
    raise SystemExit(f"was let through: line {attempt.__code__.co_firstlineno}")

there = outside / "there"
assert there.read_text() == "kept"
refused(lambda: there.write_text("x"))
refused(lambda: open(there, "r+"))
refused(lambda: open(outside / "new", "x"))
refused(lambda: os.open(there, os.O_WRONLY))
refused(lambda: os.open(outside / "new", os.O_CREAT))
refused(lambda: os.remove(there))
refused(lambda: there.unlink())
refused(lambda: there.rename(below / "there"))
refused(lambda: os.replace(below / "mine", there))
refused(lambda: os.link(there, below / "there"))
refused(lambda: os.symlink(outside, below / "way-out"))
refused(lambda: (outside / "folder").mkdir())
refused(lambda: there.chmod(0o777))
refused(lambda: os.utime(there))
refused(lambda: os.truncate(there, 0))
refused(lambda: shutil.rmtree(outside))
refused(lambda: tempfile.mkdtemp(dir=outside))
refused(lambda: (below / "link" / "new").write_text("x"))
refused(lambda: (below / ".." / "new").write_text("x"))
refused(lambda: sqlite3.connect(outside / "new.db"))
refused(lambda: sqlite3.connect(f"file:{outside}/new.db?mode=rwc", uri=True))
refused(lambda: subprocess.run(["true"]))
refused(lambda: os.system("true"))
refused(lambda: os.execv("/bin/true", ["true"]))
refused(lambda: os.posix_spawn("/bin/true", ["true"], {}))
refused(lambda: os.fork())
here = os.open(outside, os.O_RDONLY)
refused(lambda: os.remove("there", dir_fd=here))
(below / "mine").write_text("x")
(below / "mine").rename(below / "yours")
(below / "folder").mkdir()
with tempfile.TemporaryDirectory() as scratch:
    Path(scratch, "x").write_text("x")
    sqlite3.connect(Path(scratch) / "x.db").execute("create table t(x)")
sqlite3.connect(":memory:")
subprocess.run(["git", "--version"], stdout=subprocess.DEVNULL)
print("held")
"""


def test_the_process_of_a_visitor_is_held_to_it_whatever_runs_in_it(tmp_path: Path) -> None:
    outside, below, scratch = tmp_path / "outside", tmp_path / "below", tmp_path / "unspool-serve-1"
    for folder in (outside, below, scratch):
        folder.mkdir()
    (outside / "there").write_text("kept")
    (below / "link").symlink_to(outside)
    command = [sys.executable, "-c", _PROBE, str(outside), str(below)]
    env = {**os.environ, "TMPDIR": str(scratch)}
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=env)
    assert (finished.returncode, finished.stdout) == (0, "held\n"), finished.stderr
    assert [path.name for path in outside.iterdir()] == ["there"]
    assert not scratch.exists()
