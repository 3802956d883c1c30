"""Identity keys set by hand: how they are written, where they have an effect, and what remembers them."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from unspool import Recorder, open_history
from unspool.delta.identity import canonical_identity, identity_pattern
from unspool.errors import PathSyntaxError
from unspool.model.entries import OpKind
from unspool.query.blame import blame
from unspool.query.entry_names import unmatched
from unspool.query.repair import repair
from unspool.sources.copying import convert
from unspool.sources.entries import Reading
from unspool.store.compacting import compact
from unspool.store.schema import connect_writer

BEFORE = [{"id": 1, "tag": "a", "n": 0}, {"id": 2, "tag": "b", "n": 0}]
AFTER = [{"id": 2, "tag": "a", "n": 1}, {"id": 1, "tag": "b", "n": 1}]
"""By `id` the records change places, by `tag` they stay where they are."""


def write_log(path: Path, *states: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(state) + "\n" for state in states))
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "app.jsonl", {"rows": BEFORE}, {"rows": AFTER})


def moves(history: Any) -> bool:
    """Whether the last entry moves records."""
    return any(op.kind is OpKind.MOVE for change in history.changes(-1).changes for op in change.ops)


@pytest.mark.parametrize(
    ("written", "pattern"),
    [
        ("Incidents[*]", "Incidents"),
        ("Incidents", "Incidents"),
        ("Incidents[]", "Incidents"),
        ("$.Incidents[*]", "Incidents"),
        ("orders[*].lines[*]", "orders[*].lines"),
        ("/orders/*/lines", "orders[*].lines"),
        ('$["odd [*] key"].rows[*]', '["odd [*] key"].rows'),
        ("a.b[2].c", "a.b[2].c"),
        ("grid[*][*]", "grid"),
    ],
)
def test_a_list_is_named_in_any_way_that_paths_are_written(written: str, pattern: str) -> None:
    assert identity_pattern(written) == pattern


@pytest.mark.parametrize("written", ["", "[*]", "$", "a..b", "rows[", "rows[x]", "a b"])
def test_what_is_no_path_of_a_list_is_refused_with_the_way_to_write_it(written: str) -> None:
    with pytest.raises(PathSyntaxError, match=r"Incidents\[\*\]"):
        canonical_identity({written: "id"})


@pytest.mark.parametrize("written", ["rows", "rows[*]", "$.rows[*]", "/rows"])
def test_a_key_set_by_hand_goes_before_the_detected_one(log: Path, written: str) -> None:
    with open_history(log) as history:
        assert moves(history)
        change = history.changes(-1).changes[0]
        assert change.ops
        assert change.list_keys == {("rows",): "id"}
    with open_history(log, identity={written: "tag"}) as history:
        assert not moves(history)
        change = history.changes(-1).changes[0]
        assert {op.path for op in change.ops} == {(0, "id"), (0, "n"), (1, "id"), (1, "n")}
        assert change.list_keys == {("rows",): "tag"}


def test_lists_inside_records_are_told_apart_by_a_key_of_their_own(tmp_path: Path) -> None:
    states = [{"orders": [{"id": n, "lines": rows} for n in (1, 2)]} for rows in (BEFORE, AFTER)]
    with open_history(write_log(tmp_path / "app.jsonl", *states), identity={"orders[*].lines[*]": "tag"}) as history:
        assert not moves(history)
        change = history.changes(-1).changes[0]
        _ = change.ops
        assert change.list_keys[("orders", 1, "lines")] == "tag"
        assert change.list_keys[("orders",)] == "id"


def test_a_converted_file_remembers_its_keys(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.unspool"
    convert(str(log), out, Reading(follow=False), identity={"rows[*]": "tag"})
    with open_history(out) as history:
        assert history.identity == {"rows": "tag"}
        assert not moves(history)
        setters = {value.path: value.seq for value in blame(history, 1).values}
        assert setters[("rows", 0, "tag")] == 0
    again = tmp_path / "again.unspool"
    convert(str(out), again, Reading(follow=False), identity={"other": "k"})
    with open_history(again) as history:
        assert history.identity == {"rows": "tag", "other": "k"}


def test_what_the_caller_says_goes_before_the_file_and_an_empty_key_leaves_it_to_detection(
    log: Path, tmp_path: Path
) -> None:
    out = tmp_path / "kept.unspool"
    convert(str(log), out, Reading(follow=False), identity={"rows": "n"})
    with open_history(out, identity={"rows[*]": "tag"}) as history:
        assert not moves(history)
    with open_history(out, identity={"rows[*]": ""}) as history:
        assert moves(history)


def test_a_recorder_keeps_its_keys_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path, identity={"rows[*]": "tag"}) as recorder:
        recorder.record({"rows": BEFORE})
    with Recorder(path) as recorder:
        recorder.record({"rows": AFTER})
    with open_history(path) as history:
        assert not moves(history)
    with Recorder(path, identity={}):
        pass
    with open_history(path) as history:
        assert moves(history)


def test_a_recorder_refuses_a_path_that_is_none_before_it_makes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with pytest.raises(PathSyntaxError):
        Recorder(path, identity={"rows[": "id"}, on_error="raise")
    assert not path.exists()


def test_a_compacted_and_a_repaired_file_still_remember(tmp_path: Path) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path, identity={"rows": "tag"}) as recorder:
        recorder.record({"rows": BEFORE})
        recorder.record({"rows": AFTER})
    compact(path, tmp_path / "small.unspool")
    repair(path, tmp_path / "whole.unspool")
    for name in ("small", "whole"):
        with open_history(tmp_path / f"{name}.unspool") as history:
            assert history.identity == {"rows": "tag"}


@pytest.mark.parametrize("text", ["{", "[]", "1", '{"rows": 3}', "[" * 100_000, ""])
def test_a_row_that_makes_no_sense_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "app.unspool"
    with Recorder(path) as recorder:
        recorder.record({"rows": BEFORE})
        recorder.record({"rows": AFTER})
    with closing(connect_writer(path, synchronous="OFF")) as connection:
        layout = connection.layout
        mark = layout.end_mark(connection)
        assert mark is not None
        layout.keep_fact(connection, "identity", text)
        layout.mark_end(connection, count=mark.entries, last=mark.last, is_closed=True)
    with open_history(path) as history:
        assert moves(history)


def test_keys_that_match_nothing_are_told_with_what_there_is(log: Path) -> None:
    with open_history(log) as history:
        assert unmatched(history, {"rows[*]": "tag"}) == ()
        assert unmatched(history, {"rows[*]": ""}) == ()
        (misspelt,) = unmatched(history, {"row[*]": "tag"})
        assert "no list at row" in misspelt
        assert "did you mean rows?" in misspelt
        (missing,) = unmatched(history, {"rows[*]": "uuid"})
        assert "'uuid'" in missing
        assert "id, tag, n" in missing


def test_a_list_that_came_and_went_is_found(tmp_path: Path) -> None:
    states = [{"rows": BEFORE if n == 500 else [], "orders": [{"lines": BEFORE}]} for n in range(1_000)]
    with open_history(write_log(tmp_path / "app.jsonl", *states)) as history:
        (told,) = unmatched(history, {"rows": "tag"})
        assert "holds no records" in told
        assert unmatched(history, {"orders[*].lines": "tag", "orders.lines": "tag"}) == ()
        (deep,) = unmatched(history, {"orders[*].items": "tag"})
        assert "orders[*].lines" in deep


def test_deep_and_odd_states_are_gone_through_without_harm(tmp_path: Path) -> None:
    path = tmp_path / "deep.unspool"
    deep: Any = [{"id": 1}]
    for _ in range(10_000):
        deep = [{"deep": deep}]
    with Recorder(path) as recorder:
        recorder.record({"deep": deep, "n": float("nan"), "\x1b[2J": [{"id": 1}]})
    with open_history(path) as history:
        assert unmatched(history, {"nothing": "id"})
    with Recorder(tmp_path / "empty.unspool"), open_history(tmp_path / "empty.unspool") as history:
        assert unmatched(history, {"nothing": "id"}) == ()
