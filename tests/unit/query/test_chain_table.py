"""The chains of a history as columns, held to plain counting; nothing is called sound before it was examined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from health_damage import flip_keyframe, flip_records, lose_block, lose_records, recorded
from hypothesis import given
from hypothesis import strategies as st

from unspool import Recorder, open_history
from unspool.codec.records import RecordCodec
from unspool.model.entries import DELTA, FULL, NOTE
from unspool.query.chain_table import ChainHealth, ChainTable
from unspool.query.doctor.chains import rules_of, rules_of_history
from unspool.query.doctor.diagnosis import diagnose
from unspool.query.lineage import forks as forks_of
from unspool.query.simulator import alternative, starts_by
from unspool.store.protocol import HOLE, Columns

_KINDS = st.lists(
    st.tuples(st.sampled_from((DELTA, DELTA, DELTA, FULL, NOTE)), st.integers(0, 400_000)), max_size=120
)


def _columns(rows: list[tuple[int, int]], holes: frozenset[int] = frozenset()) -> Columns:
    columns = Columns()
    for seq, (kind, stored) in enumerate(rows):
        columns.kind.append(kind)
        columns.codec.append(HOLE if seq in holes else RecordCodec.DICT)
        columns.timestamp_ns.append(seq * 1000)
        columns.stored.append(stored)
        columns.full_bytes.append(1000)
        for counts in (columns.added, columns.modified, columns.deleted):
            counts.append(0)
    return columns


def _plainly(rows: list[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    """First and last entry, deltas and bytes of deltas of each chain, one entry after the other."""
    found: list[list[int]] = []
    for seq, (kind, stored) in enumerate(rows):
        if kind == FULL:
            found.append([seq, seq, 0, 0])
        elif found:
            found[-1][1] = seq
            if kind == DELTA:
                found[-1][2] += 1
                found[-1][3] += stored
    return [tuple(chain) for chain in found]  # type: ignore[misc]


@given(rows=_KINDS, parts=st.lists(st.integers(1, 50), max_size=5))
def test_figures_are_those_of_counting_whatever_the_parts_they_come_in(
    rows: list[tuple[int, int]], parts: list[int]
) -> None:
    rows = [(FULL, 10), *rows]
    table = ChainTable(_columns(rows), rules_of(()))
    done = 0
    for part in parts:
        done = min(done + part, len(rows))
        table.extend(done)
    table.extend(len(rows))
    chains = [table[place] for place in range(len(table))]
    assert [(one.first, one.last, one.deltas, one.delta_bytes) for one in chains] == _plainly(rows)
    assert table.longest() == max(chain.deltas for chain in chains)
    assert all(
        table.place(seq) == next(p for p, c in enumerate(chains) if c.first <= seq <= c.last)
        for seq in range(len(rows))
    )
    assert sum(table.counts().values()) == len(table) == table.unexamined()
    assert table.counts()[ChainHealth.SOUND] == 0


@given(rows=_KINDS, size=st.integers(1, 9))
def test_a_group_is_as_deep_and_as_bad_as_its_worst_chain(rows: list[tuple[int, int]], size: int) -> None:
    rows = [(FULL, 10), *rows]
    table = ChainTable(_columns(rows, frozenset({len(rows) // 2}) if len(rows) > 2 else frozenset()), rules_of(()))
    table.extend(len(rows))
    for start in range(0, len(table), size):
        stop = min(start + size, len(table))
        group, chains = table.group(start, stop), [table[place] for place in range(start, stop)]
        assert group.deltas == max(chain.deltas for chain in chains)
        assert group.share == max(chain.share for chain in chains)
        assert group.health is max(chain.health for chain in chains)
        assert group.has_holes == any(chain.holes for chain in chains)


def test_entries_whose_full_snapshot_is_lost_are_a_chain_that_stands_on_nothing() -> None:
    table = ChainTable(_columns([(DELTA, 5), (DELTA, 6), (FULL, 50), (DELTA, 7)]), rules_of(()))
    table.extend(4)
    assert [(table[place].has_base, table[place].deltas, table[place].full_bytes) for place in range(2)] == [
        (False, 2, 0),
        (True, 1, 50),
    ]


def _recorded(path: Path, count: int = 300) -> Path:
    with Recorder(path, strategy="changes:9") as recorder:
        for number in range(count):
            recorder.record({"n": number, "text": f"value {number}" * 3}, "count")
    return path


def test_only_what_the_doctor_looked_at_as_a_whole_is_sound_and_sizes_stay(tmp_path: Path) -> None:
    with open_history(_recorded(tmp_path / "x.unspool")) as history:
        table = ChainTable(history.columns(), rules_of_history(history))
        table.extend(len(history))
        before = [table[place] for place in range(len(table))]
        seen = 0

        def stop() -> bool:
            nonlocal seen
            seen += 1
            return seen > 105

        diagnose(history, cancelled=stop, watch=table)
        sound = [
            chain for chain in (table[place] for place in range(len(table))) if chain.health is ChainHealth.SOUND
        ]
        assert sound
        assert max(chain.last for chain in sound) < 105
        diagnose(history, watch=table)
        assert table.unexamined() == 0
        after = [table[place] for place in range(len(table))]
        sizes = [(c.full_bytes, c.delta_bytes, c.deltas, c.age_ns) for c in before]
        assert sizes == [(c.full_bytes, c.delta_bytes, c.deltas, c.age_ns) for c in after]


def test_a_chain_that_grew_since_it_was_examined_is_unexamined_again(tmp_path: Path) -> None:
    rows = [(FULL, 10), (DELTA, 3), (FULL, 10), (DELTA, 3), (DELTA, 3)]
    table = ChainTable(_columns(rows), rules_of(()))
    table.extend(4)
    with open_history(_recorded(tmp_path / "x.unspool", 4)) as history:
        for row in diagnose(history).chains:
            table.examined(row)
    assert [table[place].is_examined for place in range(2)] == [True, True]
    table.extend(5)
    assert [table[place].health for place in range(2)] == [ChainHealth.SOUND, ChainHealth.UNKNOWN]


@pytest.mark.parametrize("damage", [flip_records, lose_records, lose_block, flip_keyframe])
def test_chains_with_damage_are_broken_and_the_others_sound(
    tmp_path: Path, damage: Callable[[Path], set[int]]
) -> None:
    path = recorded(tmp_path / "x.unspool").path
    damage(path)
    with open_history(path) as history:
        table = ChainTable(history.columns(), rules_of_history(history))
        table.extend(len(history))
        found = diagnose(history, watch=table)
        spans = [
            (f.first, f.last or f.first) for f in found.findings if str(f.severity) == "error" and f.first is not None
        ]
        bad = {place for first, last in spans for place in range(table.place(first), table.place(last) + 1)}
        assert bad
        assert {place for place in range(len(table)) if table[place].health is ChainHealth.BROKEN} == bad
        assert table.unexamined() == 0


@pytest.mark.parametrize("rule", ["changes:4", "changes:9", "significance:1"])
def test_the_rule_of_now_begins_the_chains_that_are_there(tmp_path: Path, rule: str) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, strategy=rule) as recorder:
        for number in range(120):
            wide = {f"a{place}": number for place in range(3 if number % 17 == 5 else 1)}
            recorder.record(
                {"text": "x" * 500, "a0": 0, "a1": 0, "a2": 0, **wide},
                "count",
                parent_seq=30 if number == 61 else None,
            )
    with open_history(path) as history:
        table = ChainTable(history.columns(), rules_of_history(history))
        table.extend(len(history))
        forks = [fork.seq for fork in forks_of(history, 1, len(history))]
        starts, complete = starts_by(history.columns(), rule, apart=forks)
        assert complete
        assert list(starts) == [table[place].first for place in range(len(table))]
        other = alternative(history, "changes:30", now=rule, chains=len(table))
        assert (other.complete, other.sampled) == (True, 120)
        assert other.more == len(other.starts) - len(table) < 0
        assert other.between(0, 119) == list(other.starts)
        assert all(other.begins(seq) == (seq in list(other.starts)) for seq in range(120))
        asked = iter(range(3))
        stopped = alternative(history, "changes:30", now=rule, chains=1, cancelled=lambda: next(asked, None) is None)
        assert not stopped.complete
