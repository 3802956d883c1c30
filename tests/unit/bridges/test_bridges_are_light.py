"""No bridge is loaded before a program asks for it, and hardly one needs its library then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import unspool.bridges

LIBRARIES = ("fastapi", "langgraph", "langchain_core", "pytest", "sqlalchemy", "starlette", "textual")
NEED_THEIRS = {
    "sqlalchemy": "sqlalchemy",
    "pytest_plugin": "pytest",
    "pytest_keeping": "pytest",
    "pytest_tracing": "pytest",
}
MODULES = sorted(
    place.stem for place in Path(unspool.bridges.__file__).parent.glob("*.py") if place.stem != "__init__"
)


def loaded_by(*modules: str) -> set[str]:
    code = "; ".join(["import sys", *(f"import {module}" for module in modules), "print(*sys.modules)"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_recording_loads_no_bridge() -> None:
    loaded = loaded_by("unspool", "unspool.recorder.recorder")
    assert not [name for name in loaded if name.startswith("unspool.bridges")]


def test_bridges_load_no_library() -> None:
    light = [f"unspool.bridges.{name}" for name in MODULES if name not in NEED_THEIRS]
    assert len(light) >= 5
    assert not loaded_by(*light) & set(LIBRARIES)
