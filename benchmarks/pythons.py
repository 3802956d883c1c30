"""The Pythons that programs are measured under, and the libraries of each: ours are in the environment, others have a folder in it.

`python -m benchmarks.pythons` fills these folders with the tools that are compared with, and with what the engine needs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PEERS: Final = ("hunter", "pysnooper", "viztracer")
"""Tools that watch programs; the extra `bench` names them."""
OWN: Final = ".".join(map(str, sys.version_info[:2]))
_VERSIONS: Final = ("3.11", "3.12", "3.13", "3.14")
_PYENV: Final = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


@lru_cache(maxsize=1)
def pythons() -> dict[str, str]:
    """Return the interpreters that are installed, by version: our own, those of pyenv, and those on the path."""
    found = {}
    for version in _VERSIONS:
        kept = sorted(_PYENV.glob(f"{version}.*/bin/python"), key=lambda place: len(place.parts))
        place = sys.executable if version == OWN else str(kept[-1]) if kept else shutil.which(f"python{version}")
        if place is not None and _runs(place, version):
            found[version] = place
    return found


def _runs(python: str, version: str) -> bool:
    """Whether an interpreter is there and of some version: a name on the path may lead to nothing."""
    asked = [python, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() == version
    except OSError:
        return False


def libraries(version: str) -> Path:
    """Return the folder of the libraries for a Python that is not ours."""
    return Path(sys.prefix) / "peers" / version


def environment(version: str) -> dict[str, str]:
    """Return the environment in which a Python finds its libraries, and the engine."""
    places = [str(ROOT), str(ROOT / "engine")]
    if version != OWN:
        places.append(str(libraries(version)))
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYSNOOPER", "COVERAGE"))
    }
    return kept | {"PYTHONPATH": os.pathsep.join(places)}


def install(version: str) -> str:
    """Fill the folder of a Python; return why it could not be filled, "" where it was."""
    command = (
        *(sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(libraries(version))),
        *("--python-version", version, "--only-binary=:all:", *_wanted()),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def _wanted() -> list[str]:
    """Return the requirements of the engine, and those of the extra `bench` that watch programs."""
    wanted = []
    try:
        known = requires("unspool") or []
    except PackageNotFoundError:
        known = []
    for requirement in known:
        name, _, condition = requirement.partition(";")
        is_peer = name.lower().startswith(PEERS) and "bench" in condition
        if not condition or is_peer:
            wanted.append(name.strip())
    return wanted


def main() -> int:
    """Fill the folders of all Pythons but our own; what cannot be filled is said, and is missing from the tables."""
    for version in pythons():
        why = "" if version == OWN else install(version)
        if why:
            print(f"benchmarks: no libraries for Python {version}: {why}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
