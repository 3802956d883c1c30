"""The Pythons that are installed, for what has to run in each of them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13", "3.14")


@functools.cache
def pythons() -> dict[str, str]:
    """Return the interpreters by version, the one that runs the tests among them."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    shims = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in VERSIONS:
        places = [str(place / "bin" / "python") for place in sorted(shims.glob(f"{version}.*"))]
        on_path = shutil.which(f"python{version}")
        for place in [*places, *([on_path] if on_path else [])]:
            if version not in found and _runs(place):
                found[version] = place
    return found


def _runs(place: str) -> bool:
    try:
        return subprocess.run([place, "-c", ""], capture_output=True, timeout=20, check=False).returncode == 0
    except OSError:
        return False
