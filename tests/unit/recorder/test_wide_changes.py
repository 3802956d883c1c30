"""States of which nearly everything changes: a bounded cost to write, and every state as it was."""

from __future__ import annotations

import copy
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool import Recorder, open_history
from unspool.codec.records import RecordCodec, raw_items
from unspool.delta.patch import TooManySteps, apply_patch, make_frame, make_patch, patch_work
from unspool.errors import CorruptHistory
from unspool.model import limits
from unspool.model.encoding import encode
from unspool.query.doctor.diagnosis import Health, diagnose
from unspool.store.file import FileStore

FRAME = b"\xc1"
"""What a patch that is a frame begins with."""
FROZEN = Path(__file__).parents[3] / "fixtures" / "format_1"


def world(size: int = 200) -> dict[str, Any]:
    rng = random.Random(size)
    return {"world": [{"id": at, "x": rng.random(), "y": rng.random()} for at in range(size)], "tick": 0}


def moved(state: dict[str, Any], tick: int, share: float = 1.0) -> dict[str, Any]:
    rng = random.Random(tick)
    for record in state["world"]:
        if rng.random() < share:
            record["x"] += rng.random()
    state["tick"] = tick
    return state


def payloads(path: Path) -> list[bytes]:
    """Return what the deltas of a file hold for their atoms."""
    store = FileStore.open(path)
    try:
        records = [run.records[seq - run.first] for seq, run in enumerate(map(store.run, range(len(store))))]
    finally:
        store.close()
    deltas = [raw_items(record.payload, 3) for record in records if record.codec is RecordCodec.DICT]
    return [payload for items in deltas for payload in items[2::3]]


def test_a_world_that_moves_is_written_as_frames_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "game.unspool"
    state, kept = world(), []
    with Recorder(path) as recorder:
        for tick in range(70):
            # Some entries change little: they must come back as exactly.
            recorder.record(moved(state, tick, 0.01 if tick % 7 == 3 else 1.0), "step")
            kept.append(copy.deepcopy(state))
    written = payloads(path)
    assert sum(payload.startswith(FRAME) for payload in written) > 40
    with open_history(path) as history:
        assert [history.state(seq) for seq in range(len(history))] == kept
        assert [history.value(seq, "tick") for seq in (69, 0, 33)] == [69, 0, 33]
    assert diagnose(path).verdict is Health.HEALTHY


def test_a_narrow_change_is_found_along_the_structure_again(tmp_path: Path) -> None:
    path = tmp_path / "game.unspool"
    state = world()
    with Recorder(path) as recorder:
        for tick in range(60):
            recorder.record(moved(state, tick, 1.0 if tick == 1 else 0.01), "step")
    assert sum(payload.startswith(FRAME) for payload in payloads(path)) <= 16


def test_a_file_of_the_first_format_gets_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "closed.unspool"
    shutil.copyfile(FROZEN / "closed.unspool", path)
    state = world()
    with Recorder(path) as recorder:
        for tick in range(12):
            recorder.record(moved(state, tick), "step")
    assert not any(payload.startswith(FRAME) for payload in payloads(path))
    with open_history(path) as history:
        assert history.state(len(history) - 1) == state


def test_many_small_atoms_that_all_change_are_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "gauges.unspool"
    rng = random.Random(1)
    kept = [{f"g{at}": rng.random() for at in range(200)} for _ in range(5)]
    with Recorder(path) as recorder:
        for state in kept:
            recorder.record(state, "sample")
    with open_history(path) as history:
        assert [history.state(seq) for seq in range(5)] == kept
        assert len(history.changed_atoms(3)) == 200
        assert all(history[seq].kind.name == "FULL" for seq in range(5))


def test_an_explicit_codec_keeps_writing_deltas(tmp_path: Path) -> None:
    path = tmp_path / "gauges.unspool"
    rng = random.Random(1)
    with Recorder(path, codec="dict", strategy="none") as recorder:
        for _ in range(5):
            recorder.record({f"g{at}": rng.random() for at in range(200)}, "sample")
    with open_history(path) as history:
        assert [history[seq].kind.name for seq in range(5)] == ["FULL"] + ["DELTA"] * 4


values = st.recursive(
    st.none()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False)
    | st.text(max_size=30)
    | st.binary(max_size=30),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=5), inner, max_size=8),
    max_leaves=40,
)


@given(values, values)
def test_a_frame_makes_exactly_the_new_bytes(one: object, other: object) -> None:
    old, new = encode([one, other, one]), encode([other, one, one])
    patch = make_frame(old, new)
    assert patch is None or (apply_patch(old, patch) == new and len(patch) < len(new) and patch_work(patch) > 0)


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_damaged_frame_is_refused_or_makes_bytes(noise: bytes, data: st.DataObject) -> None:
    old = encode([f"line {at}" for at in range(60)])
    patch = make_frame(old, encode([f"line {at * 7}" for at in range(60)]))
    assert patch is not None
    at = data.draw(st.integers(0, len(patch) - 1))
    damaged = FRAME + (patch[:at] + noise + patch[at + len(noise) :])[1:]
    try:
        assert isinstance(apply_patch(old, damaged), bytes)
    except CorruptHistory:
        pass


def test_a_frame_that_claims_too_much_is_refused_undecompressed() -> None:
    old = encode("a" * 100)
    patch = make_frame(old, encode("b" * (100 << 20)))
    assert patch is not None
    assert len(patch) < 100_000
    limits.use(limits.Limits(frame_bytes=80 << 20))
    try:
        with pytest.raises(CorruptHistory, match="bytes and more"):
            apply_patch(old, patch)
    finally:
        limits.use(None)


def test_a_patch_says_when_it_would_take_too_many_steps() -> None:
    records = [{"id": at, "text": f"the text of record {at}", "n": at} for at in range(300)]
    old, new = encode(records), encode([{**record, "n": at + at % 2} for at, record in enumerate(records)])
    with pytest.raises(TooManySteps):
        make_patch(old, new, steps=64)
    patch = make_patch(old, new)
    assert patch is not None
    assert patch_work(patch) > 64
    assert apply_patch(old, patch) == new
