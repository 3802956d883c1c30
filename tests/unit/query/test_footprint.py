"""Where the bytes are, checked against counting every state."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from question_histories import Told, damaged_shop, histories, tell

from unspool.errors import CorruptHistory, ExpressionError
from unspool.history import History
from unspool.model.encoding import encode
from unspool.model.paths import covers
from unspool.model.values import strict_equal
from unspool.model.wire import text_size
from unspool.query.disk_usage import footprint
from unspool.query.findings import parse_pattern
from unspool.query.value_parts import leaves
from unspool.recorder import Recorder
from unspool.store.file import FileStore


def changed_atoms(told: Told, seq: int) -> set[str]:
    old, new = told.before(seq), told.states[seq]
    return {
        atom for atom in {*old, *new}
        if (atom in old) != (atom in new) or encode(old[atom]) != encode(new[atom])
    }  # fmt: skip


@given(histories(), st.sampled_from(["auto", "none", "dict", "compress"]))
def test_bytes_add_up_and_changes_are_counted(told: Told, codec: str) -> None:
    told = tell(told.states, told.parents, codec=codec)
    found = footprint(told.history, top=10_000)
    columns = told.history.columns()
    assert found.complete
    assert (found.entries, found.stored_bytes) == (len(told.states), sum(columns.stored))
    assert found.full_bytes == sum(columns.full_bytes)
    assert sum(spent.stored_bytes for spent in found.codecs) == found.stored_bytes
    assert sum(spent.stored_bytes for spent in found.actions) == found.stored_bytes
    assert Counter({spent.name: spent.entries for spent in found.actions}) == Counter(told.actions)
    written = sum(
        columns.stored[seq] for seq in range(len(told.states)) if told.states[seq] or changed_atoms(told, seq)
    )
    assert sum(atom.stored_bytes for atom in found.atoms) <= written + len(found.atoms)
    changes = [changed_atoms(told, seq) for seq in range(len(told.states))]
    for atom in found.atoms:
        assert atom.changes == sum(atom.name in one for one in changes)
        assert atom.alone == sum(one == {atom.name} for one in changes)
        full = [seq for seq in range(len(told.states)) if columns.kind[seq] and atom.name in told.states[seq]]
        assert atom.rewritten == sum(atom.name not in changes[seq] for seq in full)


@given(
    histories(),
    st.sampled_from(["rows", "rows[*].value", "rows[*].tags[*]", "conf.k", "conf", "num*", "*", "nothing"]),
)
def test_what_leaving_out_saves_is_what_it_takes(told: Told, text: str) -> None:
    (saved,) = footprint(told.history, exclude=[text]).exclusions
    pattern = parse_pattern(text)
    expected = 0
    for state in told.states:
        for atom, value in state.items():
            for path, part in leaves(encode(value), (atom,)):
                if part not in (b"\x80", b"\x90") and covers(pattern, path):
                    expected += len(part) + (text_size(path[-1]) if isinstance(path[-1], str) else 0)
    assert saved.full_bytes == expected
    assert saved.pattern == text
    if text == "*":
        assert saved.entries == sum(bool(changed_atoms(told, seq)) for seq in range(len(told.states)))
    if text in ("rows", "conf"):
        assert saved.entries == sum(changed_atoms(told, seq) == {text} for seq in range(len(told.states)))
    if text == "nothing":
        assert (saved.matched, saved.stored_bytes, saved.entries) == (0, 0, 0)


def test_paths_of_records_are_counted_together() -> None:
    note = "a long note that is written again and again " * 4
    told = tell(
        [{"rows": [{"id": n, "note": note + str(step * (n == 3)), "n": 0} for n in range(9)]} for step in range(30)]
    )
    found = footprint(told.history)
    assert found.paths[0].name == "rows[*].note"
    assert found.paths[0].changes == 30
    assert found.paths[0].alone == 29
    assert {path.name for path in found.paths} == {"rows[*].note", "rows[*].id", "rows[*].n"}


def test_keys_that_are_data_are_counted_together() -> None:
    told = tell(
        [{"users": {f"user-{n}": {"age": n, "name": "x" * n} for n in range(step * 50)}} for step in range(4)]
    )
    assert {path.name for path in footprint(told.history).paths} == {"users.*.age", "users.*.name"}


def test_what_full_snapshots_write_again_unchanged_is_told() -> None:
    states = [{"big": "x" * 5000, "n": step} for step in range(40)]
    told = tell(states, strategy="changes:10")
    found = {atom.name: atom for atom in footprint(told.history).atoms}
    full = sum(told.history.columns().kind)
    assert full > 2
    assert found["big"].rewritten == full - 1
    assert found["big"].rewritten_bytes == pytest.approx(5000 * (full - 1), rel=0.01)
    assert found["n"].rewritten == 0


def test_leaving_out_a_noisy_atom_saves_its_entries(tmp_path: Path) -> None:
    path = tmp_path / "noisy.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for step in range(400):
            recorder.record({"clock": {"tick": step}, "cart": {"total": step // 50}})
    with History(FileStore.open(path)) as history:
        (saved,) = footprint(history, exclude=["clock"]).exclusions
    assert saved.entries == 392
    assert saved.stored_bytes > 0


def test_histories_of_no_and_one_entry() -> None:
    empty = footprint(tell([]).history, exclude=["a"])
    assert (empty.entries, empty.atoms, empty.paths, empty.codecs, empty.complete) == (0, (), (), (), True)
    one = footprint(tell([{"a": 1}]).history)
    assert [atom.name for atom in one.atoms] == ["a"]
    assert footprint(tell([{}]).history).atoms == ()


def test_an_excluded_path_that_is_no_pattern_is_refused() -> None:
    with pytest.raises(ExpressionError, match="column 2"):
        footprint(tell([{"a": 1}]).history, exclude=["a["])


def test_a_cancelled_count_says_so() -> None:
    told = tell([{"a": step} for step in range(50)])
    asked = iter([False] * 5 + [True])
    found = footprint(told.history, cancelled=lambda: next(asked))
    assert (found.entries, found.complete) == (5, False)


def test_damage_is_named_and_stepped_over_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    states, hole = damaged_shop(path)
    with History(FileStore.open(path)) as history:
        with pytest.raises(CorruptHistory, match=f"entry {hole.start}"):
            footprint(history)
        found = footprint(history, skip_damaged=True)
    assert found.entries == len(states) - len(hole)
    assert [problem.place for problem in found.problems] == [f"entry {seq}" for seq in hole]
    assert not found.complete
    assert strict_equal(
        sorted(atom.name for atom in found.atoms), sorted({atom for state in states for atom in state})
    )


def test_values_nested_ten_thousand_deep_are_counted() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    found = footprint(tell([{"deep": deep}, {"deep": deep, "n": 1}]).history, top=5)
    assert found.complete
    assert [path.name for path in found.paths] == ["deep", "n"]
