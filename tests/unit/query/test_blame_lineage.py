"""Which entry follows which, over histories with many forks and more entries than one window."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from question_histories import Told, tell

from support.examples import examples
from unspool.history import History
from unspool.query.blame import blame
from unspool.query.lineage import Places, Stretch, all_stretches, branch_after, forks, line_to, touching, windows
from unspool.recorder import Recorder
from unspool.store.file import FileStore


def numbered(count: int, parents: dict[int, int]) -> Told:
    follows = [parents.get(seq, seq - 1) if seq else None for seq in range(count)]
    return tell([{"n": seq, f"atom{seq % 7}": seq} for seq in range(count)], follows)


def entries(stretches: list[Stretch]) -> list[tuple[int, int | None]]:
    return [(seq, stretch.parent_of(seq)) for stretch in stretches for seq in range(stretch.first, stretch.last + 1)]


forked = st.integers(1, 1400).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.dictionaries(st.integers(1, max(1, count - 1)), st.integers(0, count), max_size=9).map(
            lambda found: {seq: parent % seq for seq, parent in found.items() if seq < count}
        ),
    )
)


@settings(max_examples=examples(25))
@given(forked, st.data())
def test_every_way_to_walk_agrees_with_the_parents_of_entries(
    made: tuple[int, dict[int, int]], data: st.DataObject
) -> None:
    told = numbered(*made)
    history, count = told.history, made[0]
    expected = list(enumerate(told.parents))
    assert entries(list(all_stretches(history))) == expected
    assert entries(list(windows(history, size=97))) == expected
    assert all(stretch.last - stretch.first < 97 for stretch in windows(history, size=97))
    assert [fork[:2] for fork in forks(history, 0, count)] == [pair for pair in expected if pair[1] != pair[0] - 1]
    at = data.draw(st.integers(0, count - 1))
    line = line_to(history, at)
    assert [seq for seq, _ in entries(list(line))] == told.line(at)
    places = Places(line)
    assert list(places) == told.line(at)
    assert places[-1] == at
    assert places[::7] == told.line(at)[::7]
    assert entries(list(places.pieces(50))) == entries(list(line))
    after = at + 1
    while after < count and told.parents[after] == after - 1:
        after += 1
    assert [seq for seq, _ in entries(list(branch_after(history, at, "n")))] == list(range(at + 1, after))


@pytest.mark.parametrize("atoms", [("atom3",), ("atom3", "n", "nothing"), tuple(f"atom{n}" for n in range(40))])
def test_entries_that_touch_atoms_are_the_same_however_they_are_looked_up(atoms: tuple[str, ...]) -> None:
    history = numbered(300, {}).history
    expected = {seq for seq in range(50, 120) if any(name in atoms for name, _ in history.changed_atoms(seq))}
    assert touching(history, atoms, 50, 120) == expected


def test_a_file_with_forks_behind_sealed_blocks_is_walked_along_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "forks.unspool"
    parents = {700: 100, 1200: 650}
    with Recorder(path, on_error="raise") as recorder:
        for seq in range(1500):
            recorder.record({"n": seq, "kept": seq if seq < 90 else 90}, parent_seq=parents.get(seq))
    with History(FileStore.open(path)) as history:
        assert line_to(history, 1499) == (Stretch(0, 650, None), Stretch(1200, 1499, 650))
        assert line_to(history, 1100) == (Stretch(0, 100, None), Stretch(700, 1100, 100))
        found = {value.path: value.seq for value in blame(history, 1100).values}
        assert found == {("n",): 1100, ("kept",): 90}
