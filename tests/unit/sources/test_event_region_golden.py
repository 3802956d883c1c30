"""The seeds' own files open on the command line and in the app."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from support.keys import press_keys
from unspool import open_history
from unspool_tui.app import UnspoolApp
from unspool_tui.cli import run
from unspool_tui.settings import Settings, UiOptions

SEEDS = Path(__file__).parents[3] / "fixtures" / "seeds"
LOST = "nexus-delta-plain-stringify.json"
"""Its content was lost by whoever wrote it, so it is refused with that reason."""
GOLDEN = sorted(path for path in SEEDS.iterdir() if path.name != LOST)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.name)
def test_every_golden_file_opens_on_the_command_line(golden: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["log", str(golden), "--json", "-q"]) == 0
    assert run(["stats", str(golden), "--json", "-q"]) == 0
    assert capfdbinary.readouterr().err == b""


def test_a_delta_without_content_is_refused_with_the_reason(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["log", str(SEEDS / LOST)]) == 3
    captured = capfdbinary.readouterr()
    assert captured.out == b""
    assert b"lost its 3 changes" in captured.err


@pytest.mark.one_in(3)
@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.name)
async def test_every_golden_file_opens_in_the_app(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SEEDS)
    with open_history(golden.name) as history:
        app = UnspoolApp(history, Settings(), UiOptions(remember=False), at=None, follow=True)
        async with app.run_test(size=(120, 40)) as pilot:
            await press_keys(pilot, ",", ".", "[", "G", "g", "down", "enter")
            await asyncio.wait_for(pilot.pause(), 20)
            shown = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
            assert golden.name[:12] in shown
        assert app.return_code in (0, None)
