"""Programs run as they are installed: compiled once, by the first start; what compiling costs is in no result."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping

_OWN = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPYCACHEPREFIX")


def as_installed(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which Python keeps what it compiled, apart from the sources."""
    version = ".".join(map(str, sys.version_info[:2]))
    folder = os.path.join(tempfile.gettempdir(), f"unspool-bench-{os.getuid()}", f"bytecode-{version}")
    kept = {name: value for name, value in environment.items() if name not in _OWN}
    return kept | {"PYTHONPYCACHEPREFIX": folder}
