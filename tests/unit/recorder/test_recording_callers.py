"""`caller=True` keeps the line that recorded each entry, and never stands in the app's way."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
from inspect import currentframe
from pathlib import Path
from typing import Any

import pytest

from unspool.model.entries import SourceLine, caller_of
from unspool.recorder import Recorder
from unspool.recorder.calling import Caller as Callers
from unspool.store import FileStore, MemoryStore


def line_here() -> int:
    frame = currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def callers(store: MemoryStore) -> list[SourceLine | None]:
    return [caller_of(entry.meta) for entry in store.entries(0, len(store))]


def test_the_line_and_function_of_each_call_are_kept() -> None:
    store = MemoryStore()
    with Recorder(store, caller=True) as recorder:

        class Cart:
            def add(self) -> int:
                recorder.record({"n": 1})
                return line_here() - 1

        first = Cart().add()
        recorder.record({"n": 2}, "two")
        second = line_here() - 1
    found = callers(store)
    assert [place and (Path(place.file).name, place.line) for place in found] == [
        (Path(__file__).name, first),
        (Path(__file__).name, second),
    ]
    assert found[0] is not None
    assert found[0].function.endswith("Cart.add")
    assert str(found[0]) == f"{found[0].file}:{first} in {found[0].function}"


def test_a_function_that_records_for_others_can_name_its_callers() -> None:
    store = MemoryStore()
    with Recorder(store, caller=True) as recorder:

        def commit(levels: int) -> None:
            recorder.record({"n": levels}, stacklevel=levels)

        def checkout(levels: int) -> None:
            commit(levels)

        for levels in (1, 2, 3, 0, -5):
            checkout(levels)
        checkout(10_000)
    names = [place.function.rpartition(".")[2] if place else "" for place in callers(store)]
    this = "test_a_function_that_records_for_others_can_name_its_callers"
    assert names[:5] == ["commit", "checkout", this, "commit", "commit"]
    assert names[5]


def test_nothing_is_kept_unless_asked_and_what_the_app_gives_stays() -> None:
    store = MemoryStore()
    with Recorder(store) as recorder:
        recorder.record({"n": 1}, meta={"user": "ann"})
    with Recorder(store, caller=True) as recorder:
        recorder.record({"n": 2}, meta={"user": "ann"})
        recorder.record({"n": 3}, meta={"caller": "the app's own"})
    plain, noted, own = (dict(entry.meta) for entry in store.entries(0, 3))
    assert plain == {"user": "ann"}
    assert noted.keys() == {"user", "caller"}
    assert own == {"caller": "the app's own"}
    assert callers(store)[2] is None


def test_a_file_keeps_callers_through_sealing(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path, caller=True) as recorder:
        for number in range(300):
            recorder.record({"n": number})
    store = FileStore.open(path)
    places = {caller_of(entry.meta) for entry in store.entries(0, 300)}
    store.close()
    assert len(places) == 1
    assert None not in places


def test_files_are_named_from_the_current_directory_and_packages_from_where_they_lie(tmp_path: Path) -> None:
    package = tmp_path / "site" / "shop" / "carts"
    package.mkdir(parents=True)
    (tmp_path / "site" / "shop" / "__init__.py").touch()
    (package / "__init__.py").write_text("def record(recorder):\n    recorder.record({'n': 1})\n")
    work = tmp_path / "work"
    (work / "tools").mkdir(parents=True)
    (work / "tools" / "run.py").write_text(
        textwrap.dedent("""
            import os, sys
            sys.path.insert(0, sys.argv[1])
            import shop.carts
            from unspool import Recorder
            from unspool.store import MemoryStore
            store = MemoryStore()
            with Recorder(store, caller=True, on_error="raise") as recorder:
                recorder.record({"n": 0})
                shop.carts.record(recorder)
                exec(compile("recorder.record({'n': 2})", "<made up>", "exec"))
            print([entry.meta["caller"]["file"] for entry in store.entries(0, 3)])
        """)
    )
    command = [sys.executable, str(work / "tools" / "run.py"), str(tmp_path / "site")]
    ran = subprocess.run(command, cwd=work, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(["tools/run.py", "shop/carts/__init__.py", "<made up>"])


def test_functions_without_end_do_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unspool.recorder.calling._MOST_KNOWN", 3)
    notes = Callers()
    for number in range(20):
        scope: dict[str, Any] = {"notes": notes, "currentframe": currentframe}
        exec(f"def made_{number}():\n    return notes.added_to(None, currentframe(), 0)\n", scope)
        place = caller_of(scope[f"made_{number}"]())
        assert place is not None
        assert place.function == f"made_{number}"
    assert len(notes._known) <= 3


@pytest.mark.parametrize(
    "meta",
    [{}, {"caller": 1}, {"caller": {}}, {"caller": {"file": 1, "line": 2}}, {"caller": {"file": "a", "line": "b"}}],
)
def test_meta_that_names_no_place_is_none(meta: dict[str, Any]) -> None:
    assert caller_of(meta) is None


def test_meta_that_is_no_mapping_does_not_reach_the_app() -> None:
    store = MemoryStore()
    with Recorder(store, caller=True, on_error="ignore") as recorder:
        assert recorder.record({"n": 1}, meta=7) is None  # type: ignore[arg-type]


def test_functions_are_named_by_where_they_begin() -> None:
    def plain() -> None: ...

    @functools.wraps(plain)
    def wrapping() -> None: ...

    def endless() -> None: ...

    endless.__wrapped__ = endless  # type: ignore[attr-defined]
    callers = Callers()
    line = callers.of_function(plain)
    assert line is not None
    assert line.line == plain.__code__.co_firstlineno
    assert line.file.endswith("test_recording_callers.py")
    assert line.function.endswith("plain")
    assert callers.of_function(wrapping) == line
    assert callers.of_function(functools.partial(wrapping)) == line
    assert callers.of_function(callers.of_function) is not None
    for other in (None, 3, "text", len, endless, Callers):
        assert callers.of_function(other) is None
