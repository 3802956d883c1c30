"""Packages of the package index for tests that record programs which nobody here wrote, installed once into the user's cache.

They are for the Python that is recorded, which is often another one than that of the tests.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from unspool.system import user_folder

INSTALL_S = 180
# Each test has a home of its own, and these are kept for all.
_CACHE = Path(os.environ.get("UNSPOOL_TEST_PACKAGES") or user_folder("cache").with_name("unspool-tests"))


@functools.cache
def libraries(python: str, *requirements: str) -> Path:
    """Return a folder to import packages from, in a Python; skip the test where they cannot be had.

    Args:
        python: the interpreter, which has pip.
        requirements: such as `flask==3.1.3`.
    """

    def install(folder: Path) -> None:
        _pip(python, "install", "--only-binary", ":all:", "--target", str(folder), *requirements)

    return _cached((python, *requirements), install)


@functools.cache
def source_of(python: str, requirement: str) -> Path:
    """Return the unpacked source distribution of a package, with its tests and examples; skip the test where it cannot be had."""

    def download(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            _pip(python, "download", "--no-deps", "--no-binary", ":all:", "--dest", scratch, requirement)
            (archive,) = Path(scratch).glob("*.tar.gz")
            with tarfile.open(archive) as opened:
                opened.extractall(folder, filter="data")

    (source,) = _cached((python, "source", requirement), download).iterdir()
    return source


def _cached(key: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    folder = _CACHE / f"pip-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        _CACHE.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=_CACHE))
        try:
            made = scratch / "made"
            made.mkdir()
            make(made)
            made.rename(folder)
        except FileExistsError:
            # Another process of the tests was faster.
            assert folder.is_dir()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _pip(python: str, *words: str) -> None:
    whole = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    try:
        done = subprocess.run(whole, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"pip had nothing to offer within {INSTALL_S} s: {words[-1]}")
    if done.returncode != 0:
        pytest.skip(f"pip cannot get {words[-1]}: {done.stderr.strip()[-200:]}")
