"""Packages of npm for tests that ask the real ones, installed once into the user's cache."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from unspool.system import user_folder

PACKAGES = {
    "redux": "5.0.1",
    "@reduxjs/toolkit": "2.15.0",
    "zustand": "5.1.0",
    "@redux-devtools/remote": "1.0.0",
    "ws": "8.18.3",
    # The elder of @redux-devtools/remote, which speaks the first protocol of SocketCluster.
    "remote-redux-devtools": "0.5.16",
    "redux4": "npm:redux@4.2.1",
    "valtio": "2.3.2",
    "jotai": "2.20.3",
    "jotai-devtools": "0.14.0",
    "react": "19.3.1",
    "react-test-renderer": "19.3.1",
    "mobx": "7.1.3",
    "mobx-keystone": "2.2.0",
    "remotedev": "0.2.9",
}
INSTALL_S = 300


@functools.cache
def node_packages() -> Path:
    """Return a folder with `node_modules`; skip the test where there is none to be had."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here, and the packages are those of npm")
    wanted = json.dumps({"private": True, "type": "module", "dependencies": PACKAGES}, indent=1)
    name = hashlib.sha256(wanted.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("UNSPOOL_TEST_PACKAGES") or user_folder("cache").with_name("unspool-tests"))
    folder = cache / f"npm-{name}"
    if not folder.is_dir():
        _install(wanted, folder)
    return folder


def _install(wanted: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        (Path(scratch) / "package.json").write_text(wanted)
        words = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--ignore-scripts",
            "--legacy-peer-deps",
        ]
        try:
            done = subprocess.run(words, cwd=scratch, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not install the packages within {INSTALL_S} s")
        if done.returncode != 0:
            pytest.skip(f"npm could not install the packages: {done.stderr.strip()[-200:]}")
        try:
            Path(scratch).rename(folder)
        except OSError:
            # Another process of the tests was faster.
            assert folder.is_dir()
        else:
            Path(scratch).mkdir()
