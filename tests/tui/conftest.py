"""Histories to look at, and no test that reads a developer's home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_textual_snapshot
from shop_files import record, shop_states
from small_pictures import small

from unspool_tui.screens.main import MainScreen


def pytest_configure(config: pytest.Config) -> None:
    """Let tests name the actions they hold to their promise."""
    config.addinivalue_line("markers", "action(*ids): the actions of the registry that a test presses")
    strip_id = pytest_textual_snapshot.normalize_svg
    pytest_textual_snapshot.normalize_svg = lambda svg: small(strip_id(svg))


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    # Every key that a test presses is waited for until the story of its value is told.
    monkeypatch.setattr("unspool_tui.screens.main_paint._REST_SECONDS", 0.02)
    for name in ("WAYLAND_DISPLAY", "DISPLAY", "SSH_TTY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _does_what_it_names(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hold a test that names actions to have them done by keys: refused ones and calls around the keys do not count."""
    named = {name for mark in request.node.iter_markers("action") for name in mark.args}
    if not named:
        yield
        return
    done: set[str] = set()
    take_key = MainScreen.take_key

    def watched(main: MainScreen, key: str, character: str | None) -> bool:
        with monkeypatch.context() as inside:
            do = MainScreen._do_or_tell
            inside.setattr(MainScreen, "_do_or_tell", lambda main, action: (done.add(action.id), do(main, action))[1])
            return take_key(main, key, character)

    monkeypatch.setattr(MainScreen, "take_key", watched)
    yield
    assert named <= done, f"no key of this test does {sorted(named - done)}"


@pytest.fixture(scope="session")
def shop_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of 200 entries of a small shop; not to be written to."""
    return record(tmp_path_factory.mktemp("shop") / "shop.unspool", shop_states(200))


@pytest.fixture
def clipboard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was sent to the terminal's clipboard, oldest first."""
    sent: list[str] = []
    monkeypatch.setattr("textual.app.App.copy_to_clipboard", lambda self, text: sent.append(text))
    return sent
