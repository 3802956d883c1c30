"""Histories to look at, and no test that reads a developer's home."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop_files import record, shop_states


def pytest_configure(config: pytest.Config) -> None:
    """Let tests name the actions they hold to their promise."""
    config.addinivalue_line("markers", "action(*ids): the actions of the registry that a test presses")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    # Every key that a test presses is waited for until the story of its value is told.
    monkeypatch.setattr("unspool_tui.screens.main_paint._REST_SECONDS", 0.02)
    for name in ("WAYLAND_DISPLAY", "DISPLAY", "SSH_TTY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)


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
