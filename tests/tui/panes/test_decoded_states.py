"""Decoded values: neighbours share them, and following for hours keeps no more than following for a minute."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop_files import START_NS

from unspool.recorder.recorder import Recorder
from unspool.sources.opening import open_history
from unspool_tui.panes import detail
from unspool_tui.panes.detail import Decoded, SharedState


def _history(path: Path, entries: int, size: int) -> Path:
    with Recorder(path) as recorder:
        for number in range(entries):
            state = {"steady": ["s"] * 50, "changing": [f"{number} {'x' * size}"]}
            recorder.record(state, timestamp_ns=START_NS + number * 10**9)
    return path


def test_a_value_that_stays_is_the_same_object_in_the_next_state(tmp_path: Path) -> None:
    with open_history(_history(tmp_path / "one.unspool", 12, 10)) as history:
        decoded = Decoded()
        first = SharedState(history.view(5), decoded)["steady"]
        for seq in range(6, 12):
            assert SharedState(history.view(seq), decoded)["steady"] is first


def test_what_only_older_states_held_is_let_go(tmp_path: Path) -> None:
    entries, size = 60, detail._SPARE_BYTES // 10
    with open_history(_history(tmp_path / "many.unspool", entries, size)) as history:
        decoded = Decoded()
        for seq in range(entries):
            state = SharedState(history.view(seq), decoded)
            assert state["changing"][0].startswith(f"{seq} ")
            assert state["steady"] == ["s"] * 50
        assert decoded.wire_bytes <= detail._SPARE_BYTES + (detail._STATES_KEPT + 2) * size


def test_of_small_values_too_what_only_older_states_held_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail, "_SPARE_VALUES", 10)
    with open_history(_history(tmp_path / "small.unspool", 60, 10)) as history:
        decoded, gone = Decoded(), []
        for seq in range(60):
            state = SharedState(history.view(seq), decoded)
            assert state["changing"][0].startswith(f"{seq} ")
            assert state["steady"] == ["s"] * 50
            gone.append(decoded.wire_bytes)
        assert gone[-1] == gone[20]


def test_what_the_state_at_hand_holds_stays_however_much_it_is(tmp_path: Path) -> None:
    size = detail._SPARE_BYTES // 4
    path = tmp_path / "large.unspool"
    with Recorder(path) as recorder:
        for number in range(3):
            recorder.record({**{f"part {part}": "y" * size for part in range(12)}, "number": number})
    with open_history(path) as history:
        decoded = Decoded()
        first = SharedState(history.view(0), decoded)
        held = {name: first[name] for name in first}
        for seq in (1, 2):
            state = SharedState(history.view(seq), decoded)
            assert all(state[name] is value for name, value in held.items() if name != "number")
