"""Every place tells the same figures: header, Stats, chains, where the bytes are, the simulator and the commands."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from shop_files import record, shop_states
from tui_driver import Driver, drive, make_app

from unspool import Recorder, open_history
from unspool.query.simulator import simulate
from unspool_tui.cli import run
from unspool_tui.rendering.format_units import size, smaller
from unspool_tui.view.model import Pane


def _sealed(folder: Path) -> Path:
    return record(folder / "sealed.unspool", shop_states(300))


def _tail(folder: Path) -> Path:
    """A file that a recorder had open when it was killed: its newest entries are in the log beside it."""
    with Recorder(folder / "live.unspool") as recorder:
        for state, action in shop_states(75):
            recorder.record(state, action)
        recorder.flush()
        for side in ("", "-wal"):
            shutil.copy(folder / f"live.unspool{side}", folder / f"tail.unspool{side}")
    return folder / "tail.unspool"


def _foreign(folder: Path) -> Path:
    path = folder / "states.jsonl"
    lines = [json.dumps({"timestamp": n, "action": a, "state": s}) for n, (s, a) in enumerate(shop_states(90))]
    path.write_text("\n".join(lines) + "\n")
    return path


def _forked(folder: Path) -> Path:
    path = folder / "forked.unspool"
    with Recorder(path) as recorder:
        for number, (state, action) in enumerate(shop_states(80)):
            recorder.record(state, action, parent_seq=number // 2 if number % 20 == 19 else None)
    return path


def _noted(folder: Path) -> Path:
    path = folder / "noted.unspool"
    with Recorder(path) as recorder:
        for number, (state, action) in enumerate(shop_states(60)):
            recorder.record(state, action)
            if number % 9 == 4:
                recorder.note(f"note {number}")
    return path


SOURCES = [_sealed, _tail, _foreign, _forked, _noted]


@pytest.fixture(params=SOURCES, ids=lambda make: make.__name__.strip("_"))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make: Callable[[Path], Path] = request.param
    return make(tmp_path)


def _bytes_of(path: Path) -> int:
    return path.stat().st_size


def _asked(*words: str) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n")
    with redirect_stdout(stream):
        assert run(words) == 0
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


async def _until_measured(driver: Driver) -> str:
    await driver.press("4", "z")
    await driver.until(lambda: "health" in driver.text())
    return driver.panel(Pane.STATS)


async def test_every_place_tells_the_same_figures(source: Path) -> None:
    facts = json.loads(_asked("stats", "--json", str(source)))
    spread = json.loads(_asked("bytes", "--json", str(source)))
    disk, records, whole = facts["file_bytes"], facts["stored_bytes"], facts["full_bytes"]
    assert (spread["stored_bytes"], spread["full_bytes"]) == (records, whole)
    assert facts["ratio"] == pytest.approx(whole / disk)
    times = smaller(whole, disk)
    assert disk >= _bytes_of(source)
    printed = _asked("stats", str(source))
    for line in (f"on disk  {size(disk)}", f"records  {size(records)}", f"as full  {size(whole)}, {times} than that"):
        assert line in printed

    async with drive(make_app(open_history(source, follow=False), at=0), size=(140, 64)) as driver:
        await driver.until(lambda: driver.app.main.scene.ledger.ready)
        await driver.until(lambda: driver.view.total == facts["entries"])
        await driver.settle()
        compared = f"{times} than whole states" if whole >= disk else f"{size(whole)} of states   "
        assert f"{size(disk)} on disk   {compared}" in driver.line(0)
        pane = await _until_measured(driver)
        for label, told in (("on disk", size(disk)), ("records", size(records)), ("as full", size(whole))):
            assert re.search(rf"{label} +{re.escape(told)}", pane), label
        assert f"{facts['entries']:,}" in pane
        assert f"of {facts['longest_chain']:,} at most" in pane
        for name, atom in facts["atoms"].items():
            assert re.search(rf"{name} .*{re.escape(size(atom['stored_bytes']))}", pane), name
        await driver.press("z", "U")
        await driver.until(lambda: "in records of" in driver.line(0))
        assert f"{size(disk)} on disk, {size(records)} in records of" in driver.line(0)
        assert f"{size(whole)} as whole states" in driver.line(0)
        await driver.press("escape", "c")
        table = driver.app.screen.table  # type: ignore[attr-defined]
        assert len(table) == facts["chains"]
        assert table.longest() == facts["longest_chain"]
        before = [table[place] for place in range(len(table))]
        columns = table.columns
        notes = sum(size for size, kind in zip(columns.stored, columns.kind, strict=True) if kind == 2)
        assert sum(chain.full_bytes + chain.delta_bytes for chain in before) == records - notes
        told = driver.text()
        await driver.press("D")
        await driver.until(lambda: " entries read" in driver.line(0))
        after = [table[place] for place in range(len(table))]
        assert [(c.full_bytes, c.delta_bytes, c.share) for c in before] == [
            (c.full_bytes, c.delta_bytes, c.share) for c in after
        ]
        assert driver.line(2) == told.splitlines()[2], "sizes stay"


def test_the_simulator_compares_files_with_files(tmp_path: Path) -> None:
    with open_history(_sealed(tmp_path)) as history:
        found = simulate(history, strategies=["auto"], codecs=["dict", "none"])
        best = found.recommended
        assert best is not None
        whole = next(one for one in found.candidates if one.codec == "none")
        assert "times smaller" not in found.reason
        if best is not whole:
            assert f"would take {whole.projected_bytes / best.projected_bytes:.1f} times as much" in found.reason


async def test_only_a_persons_own_moves_count_as_moves(tmp_path: Path) -> None:
    app = make_app(open_history(_sealed(tmp_path), follow=False), at=100)
    async with drive(app, size=(160, 50)) as driver:
        history = app.main.scene.history
        await driver.press(".", ".", ",", "4", "1")
        await driver.until(lambda: "health" in driver.panel(Pane.STATS))
        before = (history.cache_stats(), history.rebuild_times_us())
        held = [history.holds_state(seq) for seq in range(300)]
        assert before[0].misses > 0
        await driver.press("/", *"nowhere", "enter")
        await driver.until(lambda: not driver.view.search.running)
        for key in ("K", "U", "c", "B"):
            await driver.press(key)
            if key == "c":
                await driver.press("D")
            if key == "B":
                await driver.type("requests > 50")
                await driver.press("enter")
            await driver.settle()
            await driver.press("escape")
        measured = history.stats()
        assert measured.rebuild_us.max > 0
        assert (history.cache_stats(), history.rebuild_times_us()) == before
        assert [history.holds_state(seq) for seq in range(300)] == held
        await driver.press("g")
        assert history.cache_stats().misses > before[0].misses
