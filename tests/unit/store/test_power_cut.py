"""A power cut leaves a WAL that ends anywhere: what is left must be the first entries, whole, and go on from there."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.recording import same_state, shop_states
from unspool.history import History
from unspool.recorder import Recorder
from unspool.store import FileStore


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A file and its -wal as they lay on the disk in the middle of a recording, with blocks sealed on the way."""
    folder = tmp_path_factory.mktemp("power")
    states = list(shop_states(260, seed=11))
    recorder = Recorder(folder / "live.unspool", on_error="raise")
    for state in states:
        recorder.record(state)
    recorder.store._writer.sealer.finish()  # type: ignore[attr-defined]
    for suffix in ("", "-wal"):
        shutil.copy(folder / f"live.unspool{suffix}", folder / f"cut.unspool{suffix}")
    recorder.close()
    return folder / "cut.unspool", states


def cut_copy(recording: Path, folder: Path, size: int, garbage: bytes = b"") -> Path:
    path = folder / "copy.unspool"
    shutil.copy(recording, path)
    wal = Path(f"{recording}-wal").read_bytes()
    Path(f"{path}-wal").write_bytes(wal[:size] + garbage)
    return path


def check_prefix(path: Path, states: list[dict[str, Any]]) -> int:
    with History(FileStore.open(path)) as history:
        count = len(history)
        assert count <= len(states)
        for seq in {0, count // 2, *range(max(0, count - 70), count)} if count else ():
            assert same_state(history.state(seq), states[seq])
    return count


@pytest.mark.slow
def test_a_wal_cut_anywhere_leaves_the_first_entries(
    recording: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    path, states = recording
    size = Path(f"{path}-wal").stat().st_size
    rng = random.Random(5)
    cuts = sorted({0, 1, 31, 32, 33, size - 1, size, *(rng.randrange(size) for _ in range(40))})
    kept = [check_prefix(cut_copy(path, tmp_path, cut), states) for cut in cuts]
    assert kept == sorted(kept)
    assert kept[-1] == len(states)
    assert kept[0] < len(states)


@pytest.mark.one_in(2)
@pytest.mark.filterwarnings("ignore::unspool.recorder.DamagedLogKept")
@pytest.mark.parametrize("seed", range(6))
def test_a_wal_that_ends_in_garbage_reads_up_to_it_and_goes_on(
    recording: tuple[Path, list[dict[str, Any]]], tmp_path: Path, seed: int
) -> None:
    path, states = recording
    rng = random.Random(seed)
    size = Path(f"{path}-wal").stat().st_size
    copy = cut_copy(path, tmp_path, rng.randrange(size), rng.randbytes(5000))
    count = check_prefix(copy, states)
    with Recorder(copy, on_error="raise") as recorder:
        for state in states[count : count + 100]:
            recorder.record(state)
        recorder.record({"after": 1})
    with History(FileStore.open(copy)) as history:
        assert history.state(len(history) - 1) == {"after": 1}
    assert check_prefix(copy, [*states[: count + 100], {"after": 1}]) == min(count + 100, len(states)) + 1
