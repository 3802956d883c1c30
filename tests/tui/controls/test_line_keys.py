"""From a value to the line of code that wrote it, and into the editor at that line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from shop_files import record
from tui_driver import drive, make_app, open_file

from unspool.model.entries import SourceLine
from unspool_tui.actions import BY_ID
from unspool_tui.controls.app import EditorFailed, editor_command, file_of, run_editor
from unspool_tui.demo_app import run_at_once
from unspool_tui.permits import Permits
from unspool_tui.view.model import View

action = pytest.mark.action


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "shop.unspool"
    run_at_once(str(path), rate=5.0, steps=120, seed=0, bug=True)
    return path


Opened = Callable[[], list[str]]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Have an editor write down what it was asked to open; return what that was, once."""
    told = tmp_path / "told"
    editor = tmp_path / "an editor"
    editor.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{told}"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", f"'{editor}' --wait")

    def read() -> list[str]:
        words = told.read_text().splitlines()
        told.unlink()
        return words

    return read


@action("line.open")
async def test_the_terminal_comes_back_from_an_editor_that_fails(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[str] = []

    @contextmanager
    def suspend() -> Iterator[None]:
        # As `textual.app.App.suspend` does: what is raised inside skips the rest.
        states.append("away")
        yield
        states.append("back")

    monkeypatch.setenv("VISUAL", "false")
    app = make_app(open_file(shop))
    monkeypatch.setattr(app, "suspend", suspend)
    async with drive(app, size=(80, 24)) as driver:
        await driver.press(":", "9", "9", "enter", "$")
        assert states == ["away", "back"]
        assert "false ended with 1" in driver.line(-1)


@action("line.open")
async def test_eight_keys_lead_from_a_cold_start_to_the_line_that_did_it_and_the_ninth_opens_it(
    shop: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(open_file(shop))
    monkeypatch.setattr(app, "suspend", nullcontext)
    async with drive(app, size=(80, 24)) as driver:
        await driver.press(":", "9", "9", "enter", "2", "j", "j", "[")
        lines = driver.text().split("\n")
        assert any("#94 ada puts tea back" in line and "demo_bug.py:19 _take_out" in line for line in lines)
        assert any("carts.ada.total  37.05 → 49.55 (+12.50)" in line for line in lines)
        await driver.press("$")
        wait, line, file = opened()
        assert (wait, line) == ("--wait", "+19")
        assert Path(file).name == "demo_bug.py"
        # A click on it in the strip does the same.
        x = next(line for line in lines if "demo_bug.py:19" in line).index("demo_bug.py")
        await driver.click(app.main.strip, x + 2, 0)
        assert opened()[1] == "+19"


async def test_where_nothing_can_be_opened_the_screen_says_why(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    async with drive(make_app(open_file(shop), at=94), size=(120, 24)) as driver:
        await driver.press("$")
        assert "set VISUAL or EDITOR" in driver.line(-1)
        monkeypatch.setenv("EDITOR", "true")
        await driver.press("$")
        assert "cannot step aside" in driver.line(-1)


def test_a_visitor_opens_no_editor() -> None:
    assert BY_ID["line.open"].refusal(View(total=1, permits=Permits(visitor=True)))


def test_only_regular_files_that_are_there_are_opened(tmp_path: Path) -> None:
    recording = tmp_path / "deep" / "run.unspool"
    recording.parent.mkdir()
    (tmp_path / "shop.py").write_text("pass\n")
    assert file_of(SourceLine("shop.py", 1), (recording,)) == (tmp_path / "shop.py").resolve()
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing.py", str(tmp_path / "pipe"), str(tmp_path), "/dev/null", "a\0b", "x" * 5_000, "", "-c"):
        with pytest.raises(EditorFailed):
            file_of(SourceLine(name, 1), (recording,))


def test_nothing_of_a_recording_is_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-c").write_text("")
    path = file_of(SourceLine("-c", 7), ())
    assert path.is_absolute()
    assert editor_command(path, -5, {"EDITOR": "true", "PATH": os.defpath})[1:] == ["+1", str(path)]


@pytest.mark.parametrize(("name", "told"), [("vim", ["+19", "F"]), ("hx", ["F:19"]), ("code", ["--goto", "F:19"])])
def test_editors_are_told_the_line_in_their_own_way(tmp_path: Path, name: str, told: list[str]) -> None:
    program = tmp_path / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    environ: dict[str, Any] = {"EDITOR": name, "PATH": str(tmp_path)}
    command = editor_command(Path("/shop.py"), 19, environ)
    assert command == [str(program), *(word.replace("F", "/shop.py") for word in told)]


@pytest.mark.parametrize("chosen", ["", "  ", "no-such-editor-here", "'unclosed"])
def test_an_editor_that_cannot_be_run_is_named(chosen: str) -> None:
    with pytest.raises(EditorFailed):
        editor_command(Path("/shop.py"), 19, {"EDITOR": chosen, "PATH": os.defpath})


def test_an_editor_that_fails_is_told() -> None:
    with pytest.raises(EditorFailed, match="ended with 1"):
        run_editor(["false"])


async def test_enter_on_a_text_that_names_a_line_opens_it_and_on_any_other_goes_to_its_last_write(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.py").write_text("pass\n" * 20)
    state = {"raised_at": "shop.py:19", "warned_at": "not_here.py:3", "said": "at noon: 12:30"}
    path = record(tmp_path / "run.unspool", [(state, "begin"), (state | {"other": 1}, "go on")])
    app = make_app(open_file(path), at=1)
    monkeypatch.setattr(app, "suspend", nullcontext)
    async with drive(app, size=(80, 24)) as driver:
        for name in ("warned_at", "said"):
            await driver.press(":")
            await driver.type(name)
            await driver.press("enter", "enter")
            assert driver.view.head == 0, name
            await driver.press("}")
        await driver.press(":")
        await driver.type("raised_at")
        await driver.press("enter", "enter")
        assert opened()[1:] == ["+19", str((tmp_path / "shop.py").resolve())]
        assert driver.view.head == 1
