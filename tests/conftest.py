"""Every test runs in a home of its own, so that nobody's settings or state leak in."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from _pytest.assertion import rewrite
from hypothesis import HealthCheck, settings

# Tests make and drop small objects by the million: looking for circles among them at every 700th costs a tenth of a run.
gc.set_threshold(20_000, 20, 20)

settings.register_profile(
    "unspool",
    deadline=None,
    max_examples=15,
    # A suite that passes must pass again: examples are drawn anew only when asked for with HYPOTHESIS_PROFILE=explore.
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
settings.register_profile("work", parent=settings.get_profile("unspool"), max_examples=4)
settings.register_profile("all", parent=settings.get_profile("unspool"), max_examples=60)
settings.register_profile("explore", parent=settings.get_profile("unspool"), derandomize=False, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unspool"))


@pytest.fixture(scope="session")
def tmp_path_factory(tmp_path_factory: pytest.TempPathFactory) -> pytest.TempPathFactory:
    """Number folders by counting: pytest looks through all that are there for each one, milliseconds after some thousand."""
    made: Counter[str] = Counter()
    base = tmp_path_factory.getbasetemp()

    def mktemp(basename: str, numbered: bool = True) -> Path:
        while True:
            path = base / (f"{basename}{made[basename]}" if numbered else basename)
            made[basename] += 1
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                # The tenth folder of `a` is called like the first of `a1`.
                if not numbered:
                    raise
            else:
                return path

    tmp_path_factory.mktemp = mktemp  # type: ignore[method-assign]
    return tmp_path_factory


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home: Path = tmp_path_factory.mktemp("home")
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
    monkeypatch.setenv("HOME", str(home))
    for name in ("NO_COLOR", "FORCE_COLOR", "TEXTUAL_THEME", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Share the rewriting of asserts in a fresh clone among the workers: each would rewrite every file at the same time."""
    hook = next((finder for finder in sys.meta_path if isinstance(finder, rewrite.AssertionRewritingHook)), None)
    if hook is None:
        return
    # Rewritten for a plugin that is left out: 224 modules, which hold no assert of a test.
    hook._must_rewrite = {name for name in hook._must_rewrite if name.partition(".")[0] not in ("langsmith", "anyio")}
    worker = getattr(session.config, "workerinput", None)
    if worker is None or sys.dont_write_bytecode:
        return
    largest_first = sorted(Path(__file__).parent.rglob("test_*.py"), key=lambda path: (-path.stat().st_size, path))
    for path in largest_first[int(worker["workerid"][2:]) :: worker["workercount"]]:
        kept = rewrite.get_cache_dir(path) / (path.stem + rewrite.PYC_TAIL)
        if rewrite._read_pyc(path, kept) is None and rewrite.try_makedirs(kept.parent):
            state = session.config.stash[rewrite.assertstate_key]
            source, code = rewrite._rewrite_test(path, session.config)
            rewrite._write_pyc(state, code, source, kept)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what `one_in` leaves out, before the slow tests are deselected."""
    seen: Counter[object] = Counter()
    for item in items:
        mark = item.get_closest_marker("one_in")
        if mark is None or item.get_closest_marker("slow") is not None:
            continue
        function = getattr(item, "function", None)
        if seen[function] % mark.args[0]:
            item.add_marker(pytest.mark.slow)
        seen[function] += 1


def pytest_collection_finish() -> None:
    """Keep what importing all tests made out of every later collection: tests that collect would walk all of it each time."""
    gc.collect()
    gc.freeze()


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes and long texts are named by their size: workers must agree on names, and people must be able to read them."""
    if isinstance(val, bytes | bytearray):
        return f"{len(val)}bytes"
    if isinstance(val, str) and (len(val) > 60 or not val.isprintable()):
        return f"{len(val)}chars"
    return None
