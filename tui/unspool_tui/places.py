"""Where settings and remembered places are kept: the XDG folders, on every Unix alike."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def config_folder(env: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the settings file and the themes."""
    return _folder("XDG_CONFIG_HOME", ".config", env)


def state_folder(env: Mapping[str, str] | None = None) -> Path:
    """Return the folder of remembered places."""
    return _folder("XDG_STATE_HOME", ".local/state", env)


def _folder(variable: str, fallback: str, env: Mapping[str, str] | None) -> Path:
    env = os.environ if env is None else env
    base = env.get(variable, "")
    # The XDG rules say that a relative path is to be ignored.
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / fallback
    return root / "unspool"
