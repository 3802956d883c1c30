"""The simulator tells what a recorder would really have written, on a bounded sample, and says what it left out."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from health_damage import blocks_of, change, recorded
from hypothesis import given
from hypothesis import strategies as st

from support.recording import record_shop, shop_states
from unspool.errors import ConfigError
from unspool.history import History
from unspool.query import simulator
from unspool.query.simulator import Candidate, Timing, front, recommend, simulate
from unspool.query.simulator_sample import plan_windows
from unspool.recorder import Recorder
from unspool.store import FileStore, MemoryStore
from unspool_tui.cli import run


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "shop.unspool"
    record_shop(path, 150)
    return path


def open_file(path: Path) -> History:
    return History(FileStore.open(path))


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("codec", "strategy"),
    [("dict", "auto"), ("dict", "changes:9"), ("dict", "size:2000"), ("dict", "significance:1"), ("dict", "adaptive"),
     ("dict", "manual"), ("dict", "time:3000"), ("dict", "composite:changes:9,size:900"), ("auto", "auto"),
     ("binary", "auto"), ("compress", "auto"), ("none", "auto")],
)  # fmt: skip
def test_what_is_told_is_what_a_recorder_writes(shop: Path, tmp_path: Path, codec: str, strategy: str) -> None:
    with open_file(shop) as history:
        (told,) = simulate(history, strategies=[strategy], codecs=[codec]).candidates
    path = tmp_path / "real.unspool"
    record_shop(path, 150, codec=codec, strategy=strategy)
    with open_file(path) as history:
        stats = history.stats()
    assert (told.full, told.longest_chain, told.record_bytes) == (
        stats.full,
        stats.longest_chain,
        stats.stored_bytes,
    )
    empty = tmp_path / "empty.unspool"
    FileStore.create(empty).close()
    page = 4096
    assert abs(told.file_bytes + empty.stat().st_size - path.stat().st_size) <= 4 * page


@pytest.mark.slow
def test_every_codec_and_strategy_is_tried_and_ranked_by_size(shop: Path) -> None:
    with open_file(shop) as history:
        simulation = simulate(history)
    tried = [(one.codec, one.strategy) for one in simulation.candidates]
    assert {("dict", name) for name in simulator.STRATEGIES} <= set(tried)
    assert {codec for codec, _ in tried} == set(simulator.CODECS)
    sizes = [one.file_bytes for one in simulation.candidates]
    assert sizes == sorted(sizes)
    assert simulation.complete
    assert simulation.notes == ()
    assert (simulation.entries, simulation.sampled) == (150, 150)
    assert simulation.recommended in simulation.candidates
    assert simulation.line.startswith("Recorder(path, ")


def test_the_line_to_copy_records(shop: Path, tmp_path: Path) -> None:
    with open_file(shop) as history:
        line = simulate(history, strategies=["changes:20", "auto"], codecs=["dict", "none"]).line
    recorder = eval(line, {"Recorder": Recorder, "path": tmp_path / "copied.unspool"})
    recorder.record({"n": 1})
    recorder.close()


def test_the_history_is_only_read(shop: Path) -> None:
    before = shop.read_bytes()
    with open_file(shop) as history:
        simulate(history, strategies=["auto"], codecs=["dict"])
    assert shop.read_bytes() == before


# --- the sample ------------------------------------------------------------------------------------------------------


def test_a_long_history_is_sampled_at_its_beginning_middle_and_end_and_that_is_said(shop: Path) -> None:
    with open_file(shop) as history:
        simulation = simulate(history, strategies=["auto"], codecs=["dict"], most_entries=30)
    assert simulation.windows == ((0, 9), (70, 79), (140, 149))
    assert simulation.sampled == 30
    assert "30 of 150 entries" in simulation.notes[0]


def busy_in_the_middle(count: int) -> Iterator[dict[str, Any]]:
    """States of which a third changes far more than the others."""
    chance = random.Random(5)
    rows = [{"id": place, "text": "x" * 40, "n": 0} for place in range(60)]
    for step in range(count):
        for _ in range(25 if count // 3 < step < count // 2 else 1):
            row = chance.randrange(len(rows))
            rows[row] = {"id": row, "text": str(chance.random()) * 3, "n": step}
        yield {"rows": list(rows), "step": step}


LOADS: dict[str, Callable[[int], Iterable[dict[str, Any]]]] = {"shop": shop_states, "busy": busy_in_the_middle}


def write(path: Path, load: str, **options: Any) -> int:
    with Recorder(path, on_error="raise", durability="fast", **options) as recorder:
        for step, state in enumerate(LOADS[load](900)):
            recorder.record(state, f"step {step % 5}", timestamp_ns=1_700_000_000_000_000_000 + step * 10**9)
    return path.stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("load", LOADS)
def test_the_whole_is_told_within_a_few_percent_of_what_recording_it_takes(tmp_path: Path, load: str) -> None:
    path = tmp_path / "x.unspool"
    write(path, load)
    strategies, codecs = ["auto", "changes:10", "changes:50"], ["dict", "none", "compress"]
    with open_file(path) as history:
        simulation = simulate(history, strategies=strategies, codecs=codecs, most_entries=450)
    assert simulation.sampled == 450
    for one in simulation.candidates:
        real = write(tmp_path / f"{one.name}.unspool", load, strategy=one.strategy, codec=one.codec)
        # Sizes of files go in pages of 4 KiB, of which a small file has few.
        assert abs(one.projected_bytes - real) <= max(0.06 * real, 3 * 4096), one.name


def test_a_whole_sample_needs_no_projection(shop: Path) -> None:
    with open_file(shop) as history:
        (one,) = simulate(history, strategies=["changes:9"], codecs=["dict"]).candidates
    empty = shop.with_name("nothing.unspool")
    FileStore.create(empty).close()
    assert one.projected_bytes == one.file_bytes + empty.stat().st_size


def test_forks_ids_and_facts_are_written_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for n, state in enumerate(shop_states(120)):
            parent = n - 3 if n > 20 and n % 10 == 0 else None
            recorder.record(state, parent_seq=parent, entry_id=f"own-{n}", meta={"why": "x" * 200, "n": n})
    with open_file(path) as history:
        stats = history.stats()
        (told,) = simulate(history, strategies=["auto"], codecs=["dict"]).candidates
    assert told.full == stats.full
    assert abs(told.projected_bytes - path.stat().st_size) <= 2 * 4096


def test_large_states_make_the_sample_smaller(shop: Path) -> None:
    with open_file(shop) as history:
        sizes = sum(history.columns().full_bytes) / 150
        simulation = simulate(history, strategies=["auto"], codecs=["dict"], most_bytes=int(sizes * 40))
    assert 30 <= simulation.sampled <= 40


@given(total=st.integers(0, 10_000), most=st.integers(1, 2_000))
def test_windows_are_bounded_in_order_and_never_overlap(total: int, most: int) -> None:
    windows = plan_windows(total, most)
    count = sum(last - first + 1 for first, last in windows)
    assert count <= max(most, 3)
    assert count == total or total > most
    for (_, last), (first, _) in pairwise(windows):
        assert last < first
    if windows:
        assert windows[0][0] == 0
        assert windows[-1][1] == total - 1


def test_entries_that_do_not_read_are_left_out_and_counted(tmp_path: Path) -> None:
    file = recorded(tmp_path / "x.unspool")
    first, count = blocks_of(file.path)[1]
    change(file.path, ("DELETE FROM block_data WHERE first = ?", (first,)))
    with open_file(file.path) as history:
        simulation = simulate(history, strategies=["auto"], codecs=["dict"])
    assert simulation.sampled == len(file.states) - count
    assert any(f"{count} entries could not be read" in note for note in simulation.notes)


# --- stopping, refusing, leaving out ---------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [0, 8, 20])
def test_a_cancel_gives_what_was_tried_and_says_so(shop: Path, asked: int) -> None:
    calls = iter(range(10_000))
    with open_file(shop) as history:
        simulation = simulate(history, codecs=["dict", "none"], cancelled=lambda: next(calls) >= asked)
    assert not simulation.complete
    assert "stopped early" in simulation.notes[-1]
    assert len(simulation.candidates) < len(simulator.STRATEGIES) + 1


def test_progress_counts_configurations(shop: Path) -> None:
    seen: list[tuple[int, int]] = []
    with open_file(shop) as history:
        simulate(
            history, strategies=["auto", "manual"], codecs=["dict", "none"], progress=lambda *told: seen.append(told)
        )
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_an_empty_history_has_nothing_to_try() -> None:
    simulation = simulate(History(MemoryStore()))
    assert (simulation.candidates, simulation.recommended, simulation.line) == ((), None, "")
    assert simulation.complete


@pytest.mark.parametrize(
    "options", [{"strategies": ["sometimes"]}, {"codecs": ["zip"]}, {"most_entries": 0}, {"most_bytes": 0}]
)
def test_unknown_names_are_refused(shop: Path, options: dict[str, Any]) -> None:
    with open_file(shop) as history, pytest.raises(ConfigError):
        simulate(history, **options)


def test_a_missing_binary_codec_is_left_out_and_said(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulator, "binary_available", lambda: False)
    with open_file(shop) as history:
        simulation = simulate(history, strategies=["auto"])
    assert {one.codec for one in simulation.candidates} == {"auto", "dict", "compress", "none"}
    assert any("bsdiff4" in note for note in simulation.notes)


def test_patches_that_would_hold_up_any_app_are_left_out_and_said(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator, "_UNBEARABLE_US", 0.0)
    with open_file(shop) as history:
        simulation = simulate(history, strategies=["auto"])
    assert "binary" not in {one.codec for one in simulation.candidates}
    assert any("ms to make" in note for note in simulation.notes)


# --- the recommendation ----------------------------------------------------------------------------------------------


def candidate(codec: str, file_bytes: int, p95: float, record: float = 50.0, strategy: str = "auto") -> Candidate:
    return Candidate(
        strategy, codec, file_bytes, file_bytes, file_bytes, 1, 1, Timing(p95 / 2, p95), Timing(record, record)
    )


@pytest.mark.slow
def test_states_that_change_altogether_are_best_kept_whole(tmp_path: Path) -> None:
    rng = random.Random(5)
    path = tmp_path / "noise.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for _ in range(60):
            recorder.record({f"a{n}": rng.randbytes(200).hex() for n in range(5)})
    with open_file(path) as history:
        simulation = simulate(history)
    assert simulation.recommended is not None
    assert simulation.recommended.is_full
    assert "keep" in simulation.reason


@pytest.mark.slow
def test_states_that_change_a_little_are_best_kept_as_deltas(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for state in shop_states(200, atoms=60):
            recorder.record({**state, "catalogue": [{"sku": n, "text": f"{n * 7919 % 997}" * 9} for n in range(60)]})
    with open_file(path) as history:
        simulation = simulate(history)
    assert simulation.recommended is not None
    assert simulation.recommended.codec in ("dict", "auto")


def test_the_front_holds_what_nothing_beats() -> None:
    small, middle, fast = candidate("dict", 10, 900), candidate("auto", 20, 500), candidate("none", 50, 100)
    beaten = candidate("binary", 30, 600)
    assert front([fast, beaten, small, middle]) == [small, middle, fast]


@given(
    st.lists(
        st.builds(
            candidate,
            st.sampled_from(["dict", "none", "compress", "binary"]),
            st.integers(0, 1000),
            st.floats(1, 50_000),
            st.floats(1, 90_000),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_nothing_on_the_front_is_beaten_and_everything_else_is(candidates: list[Candidate]) -> None:
    best = front(candidates)
    for one in candidates:
        beaten = any(
            other.file_bytes <= one.file_bytes and other.rebuild_us.p95 < one.rebuild_us.p95 for other in candidates
        )
        assert not (beaten and one in best)
    assert recommend(candidates)[0] in candidates


def test_a_slow_or_heavy_configuration_is_not_recommended_however_small() -> None:
    slow, heavy = candidate("dict", 10, 90_000), candidate("binary", 10, 900, record=40_000)
    good = candidate("dict", 40, 900, strategy="changes:20")
    whole = candidate("none", 400, 100)
    best, reason = recommend([slow, heavy, good, whole])
    assert best == good
    assert "a file of full snapshots would take 10.0 times as much" in reason


def test_a_small_saving_is_not_worth_chains() -> None:
    best, reason = recommend([candidate("dict", 95, 900), candidate("none", 100, 100)])
    assert best.codec == "none"
    assert "only 5 %" in reason


def test_of_files_that_are_alike_the_faster_is_recommended() -> None:
    best, _ = recommend([candidate("dict", 100, 900), candidate("dict", 103, 300), candidate("none", 900, 50)])
    assert best.file_bytes == 103


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_prints_a_table_and_the_line_to_copy(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", str(shop), "--entries", "60"]) == 0
    said = capsys.readouterr().out
    assert "60 of 150 entries" in said
    assert "Recorder(path, " in said.splitlines()[-1]
    assert "dict changes:20" in said


def test_the_command_prints_json(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", str(shop), "--json", "--entries", "30"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {field.name for field in dataclasses.fields(simulator.Simulation)}
    assert told["recommended"]["line"] == told["line"]
    assert told["candidates"][0]["rebuild_us"].keys() == {"p50", "p95"}
