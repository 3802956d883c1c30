"""The doctor finds every kind of damage, says where, and cries at nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from health_damage import (
    CASES,
    START,
    Case,
    altered_delta,
    ask,
    blocks_of,
    change,
    keep_fact,
    live,
    recorded,
    rewrite_tail,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.recording import record_shop, shop_states
from support.values import json_states
from unspool.errors import ConfigError, CorruptHistory, NewerSchema, UnreadableSource
from unspool.history import History, Problem, Verdict, VerdictStatus
from unspool.model.encoding import encode
from unspool.query.doctor.diagnosis import ChainVerdict, ChecksumState, Code, Diagnosis, Severity, diagnose
from unspool.query.doctor.findings import FindingLog
from unspool.recorder import Recorder
from unspool.store import FileStore, MemoryStore


def codes(diagnosis: Diagnosis) -> set[Code]:
    return {finding.code for finding in diagnosis.findings}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("codec", ["auto", "dict", "binary", "compress", "none"])
@pytest.mark.parametrize("strategy", ["auto", "changes:7", "manual"])
def test_what_a_recorder_writes_is_healthy(tmp_path: Path, codec: str, strategy: str) -> None:
    path = tmp_path / "shop.unspool"
    record_shop(path, 200, codec=codec, strategy=strategy)
    diagnosis = diagnose(path, strategy=strategy)
    assert (diagnosis.verdict, diagnosis.findings) == ("healthy", ())
    assert diagnosis.entries == diagnosis.readable == 200
    assert diagnosis.complete
    assert {row.verdict for row in diagnosis.chains} == {ChainVerdict.KEEP}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_kind_of_damage_is_found_and_located(tmp_path: Path, case: Case) -> None:
    file = case.make(tmp_path / "x.unspool", **case.options)
    lost = case.damage(file.path)
    diagnosis = diagnose(file.path)
    found = codes(diagnosis)
    # A lost block may leave its keyframe unused.
    assert case.codes <= found <= case.codes | {Code.OVER_LIMIT, Code.UNREACHABLE}
    assert diagnosis.verdict == (
        "broken" if Severity.ERROR in {f.severity for f in diagnosis.findings} else "degraded"
    )
    assert diagnosis.readable == len(file.states) - len(lost)
    named = {
        seq
        for finding in diagnosis.findings
        if finding.severity is Severity.ERROR and finding.first is not None and finding.last is not None
        for seq in range(finding.first, finding.last + 1)
    }
    assert named == lost
    for finding in diagnosis.findings:
        assert all((finding.meaning, finding.still_reads, finding.remedy))
        assert "\n" not in finding.meaning + finding.remedy


@pytest.mark.parametrize("case", CASES, ids=str)
def test_chains_tell_which_are_broken(tmp_path: Path, case: Case) -> None:
    file = case.make(tmp_path / "x.unspool", **case.options)
    lost = case.damage(file.path)
    diagnosis = diagnose(file.path)
    broken = [row for row in diagnosis.chains if row.verdict is ChainVerdict.BROKEN]
    assert all(any(row.first <= seq <= row.last for row in broken) for seq in lost)
    assert all(row.checksums is ChecksumState.DAMAGED and row.reason for row in broken)
    assert bool(broken) == bool(lost)
    covered = [seq for row in diagnosis.chains for seq in range(row.first, row.last + 1)]
    assert covered == list(range(len(file.states)))


def test_a_chain_that_replays_to_something_else_is_found_at_its_next_full_snapshot(tmp_path: Path) -> None:
    file = altered_delta(tmp_path / "x.unspool")
    fulls = [entry.seq for entry in file.entries if entry.kind == "full"]
    diagnosis = diagnose(file.path)
    after = next(seq for seq in fulls if seq > 6)
    (found,) = [finding for finding in diagnosis.findings if finding.code is Code.REPLAY_DIFFERS]
    assert found.first is not None
    assert found.last is not None
    assert found.first <= 6 <= found.last == after
    assert diagnosis.verdict == "broken"
    assert diagnosis.doubtful == ((found.first, after),)


def test_records_of_another_block_do_not_pass_for_their_own(tmp_path: Path) -> None:
    file = recorded(tmp_path / "x.unspool")
    a, b = (first for first, _ in blocks_of(file.path)[1:3])
    rows = [ask(file.path, "SELECT data FROM block_data WHERE first = ?", first)[0][0] for first in (a, b)]
    change(
        file.path,
        ("UPDATE block_data SET data = ? WHERE first = ?", (rows[1], a)),
        ("UPDATE block_data SET data = ? WHERE first = ?", (rows[0], b)),
    )
    assert diagnose(file.path).verdict == "broken"


# --- names of atoms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["id = 3", "id = (SELECT max(id) FROM atom)"])
def test_a_lost_name_of_an_atom_is_found(tmp_path: Path, where: str) -> None:
    file = recorded(tmp_path / "x.unspool")
    change(file.path, (f"DELETE FROM atom WHERE {where}", ()))
    diagnosis = diagnose(file.path)
    assert codes(diagnosis) == {Code.UNKNOWN_ATOM}
    assert diagnosis.readable == len(file.states)
    assert "atom" in diagnosis.findings[0].meaning


@pytest.mark.parametrize("name", [b"\xff\xfe", "text", None])
def test_a_damaged_name_of_an_atom_is_found(tmp_path: Path, name: Any) -> None:
    file = recorded(tmp_path / "x.unspool")
    if name is None:
        change(file.path, ("UPDATE atom SET id = 900000000000 WHERE id = 3", ()))
    else:
        change(file.path, ("UPDATE atom SET name = ? WHERE id = 3", (name,)))
    assert codes(diagnose(file.path)) == {Code.UNKNOWN_ATOM}


# --- forks, clock, no-ops, limits ------------------------------------------------------------------------------------


def forked(path: Path, parent: int) -> None:
    with Recorder(path, on_error="raise", strategy="manual") as recorder:
        for n in range(20):
            recorder.record({"n": n, "half": n // 2, "same": 1}, timestamp_ns=START + n)
        recorder.record({"n": 100, "same": 1}, parent_seq=parent, timestamp_ns=START + 20)
        recorder.record({"n": 101, "same": 1}, timestamp_ns=START + 21)


@pytest.mark.parametrize("parent", [0, 3, 18, 19])
def test_forks_are_healthy(tmp_path: Path, parent: int) -> None:
    path = tmp_path / "x.unspool"
    forked(path, parent)
    assert diagnose(path).verdict == "healthy"


def fork_live(tmp_path: Path, extra: Any) -> Diagnosis:
    file = live(tmp_path / "x.unspool", strategy="changes:4")
    full = next(entry.seq for entry in file.entries if entry.kind == "full" and entry.seq > 4)
    rewrite_tail(file.path, full, extra=encode(extra))
    return diagnose(file.path)


@pytest.mark.parametrize("parent", [999, -4, "x"])
def test_a_fork_whose_parent_is_not_there_is_found(tmp_path: Path, parent: Any) -> None:
    diagnosis = fork_live(tmp_path, {"parent": parent})
    assert Code.FORK_WITHOUT_PARENT in codes(diagnosis)
    assert diagnosis.verdict == "broken"


def test_a_fork_on_the_wrong_branch_is_found(tmp_path: Path) -> None:
    diagnosis = fork_live(tmp_path, {"parent": 0})
    (found,) = [finding for finding in diagnosis.findings if finding.code is Code.FORK_WRONG_BRANCH]
    assert "it fits entry" in found.meaning
    assert diagnosis.doubtful == ((found.first, found.last),)


def test_a_fork_whose_parent_does_not_read_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 300)
    with Recorder(path, on_error="raise") as recorder:
        recorder.record(next(shop_states(1, seed=9)), parent_seq=blocks_of(path)[1][0] + 1)
    change(path, ("DELETE FROM block_data WHERE first = ?", (blocks_of(path)[1][0],)))
    diagnosis = diagnose(path)
    assert {Code.FORK_WITHOUT_PARENT, Code.MISSING_RECORDS} <= codes(diagnosis)


def test_no_ops_and_a_clock_that_went_backwards_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    times = [0, 10, 20, 15, 30, 30]
    with Recorder(path, on_error="raise") as recorder:
        for n, moment in enumerate(times):
            recorder.record({"n": min(n, 3)}, timestamp_ns=START + moment)
    diagnosis = diagnose(path)
    assert [(f.code, f.first, f.last) for f in diagnosis.findings] == [
        (Code.CLOCK_BACKWARDS, 3, 3),
        (Code.NO_OP, 4, 5),
    ]
    assert diagnosis.verdict == "degraded"
    assert diagnosis.counts == {"clock-backwards": 1, "no-op": 2}


def test_no_ops_alone_leave_a_history_healthy(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for _ in range(5):
            recorder.record({"n": 1})
    diagnosis = diagnose(path)
    assert codes(diagnosis) == {Code.NO_OP}
    assert diagnosis.verdict == "healthy"


def test_chains_are_measured_by_the_rule_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 60, strategy="changes:20")
    assert diagnose(path, strategy="changes:20").verdict == "healthy"
    strict = diagnose(path, strategy="changes:5")
    assert strict.verdict == "degraded"
    assert codes(strict) == {Code.OVER_LIMIT}
    assert {row.verdict for row in strict.chains if row.length > 5} == {ChainVerdict.CREATE_BASE}
    assert all(row.limits.deltas == 5 for row in strict.chains)
    assert "changes:5" in strict.findings[0].meaning
    with pytest.raises(ConfigError, match="no strategy"):
        diagnose(path, strategy="sometimes")


def test_where_no_rule_is_known_long_chains_are_a_note_only(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 200, strategy="manual")
    keep_fact(path, "recording:0", None)
    diagnosis = diagnose(path)
    assert (diagnosis.strategy, diagnosis.strategy_from) == ("auto", "usual")
    assert diagnosis.verdict == "healthy"
    assert [(f.code, f.severity) for f in diagnosis.findings] == [(Code.OVER_LIMIT, Severity.NOTE)]


def test_chain_rows_tell_length_age_and_bytes(tmp_path: Path) -> None:
    file = recorded(tmp_path / "x.unspool", strategy="changes:9", count=25)
    rows = diagnose(file.path).chains
    for row in rows:
        inside = file.entries[row.first : row.last + 1]
        assert row.length == len(inside) - 1
        assert row.delta_bytes == sum(entry.stored_bytes for entry in inside[1:])
        assert row.full_bytes == inside[0].full_bytes
        assert row.age_ms == (inside[-1].timestamp_ns - inside[0].timestamp_ns) / 1e6


# --- the file itself -------------------------------------------------------------------------------------------------


def test_files_that_cannot_be_opened_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    with pytest.raises(UnreadableSource, match="no such file"):
        diagnose(path)
    path.write_bytes(b"hello")
    with pytest.raises(UnreadableSource):
        diagnose(path)
    path.unlink()
    record_shop(path, 3)
    copy = tmp_path / "y.unspool"
    shutil.copy(path, copy)
    change(path, ("PRAGMA user_version = 99", ()), ("ALTER TABLE tail ADD COLUMN more", ()))
    with pytest.raises(NewerSchema):
        diagnose(path)
    change(copy, ("DROP TABLE segment", ()))
    assert diagnose(copy).verdict == "broken"


@pytest.mark.parametrize("keep", [0.2, 0.4, 0.6, 0.8, 0.95])
def test_a_truncated_file_is_broken_and_never_a_traceback(tmp_path: Path, keep: float) -> None:
    file = recorded(tmp_path / "x.unspool", count=900)
    data = file.path.read_bytes()
    file.path.write_bytes(data[: int(len(data) * keep)])
    try:
        diagnosis = diagnose(file.path)
    except (CorruptHistory, UnreadableSource):
        return
    assert diagnosis.verdict == "broken"
    assert Code.SQLITE_DAMAGE in codes(diagnosis)


def test_diagnosing_changes_nothing(tmp_path: Path) -> None:
    file = recorded(tmp_path / "x.unspool")
    before = file.path.read_bytes()
    diagnose(file.path)
    assert file.path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["x.unspool"]


def test_a_file_being_recorded_is_examined_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for count, state in enumerate(shop_states(200), start=1):
            recorder.record(state)
            if count % 20 == 0:
                diagnosis = diagnose(path)
                assert (diagnosis.verdict, diagnosis.entries, diagnosis.readable) == ("healthy", count, count)


@pytest.mark.slow
def test_entries_recorded_meanwhile_do_not_disturb(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    states = list(shop_states(400))
    with Recorder(path, on_error="raise") as recorder:
        for state in states[:200]:
            recorder.record(state)
        more = iter(states[200:])

        def record_more(done: int, total: int) -> None:
            for _ in range(60):
                recorder.record(next(more, states[-1]))

        diagnosis = diagnose(path, progress=record_more)
    assert diagnosis.verdict == "healthy"
    assert diagnosis.readable == diagnosis.entries == 200


def test_a_recorder_that_begins_meanwhile_does_not_make_a_file_look_broken(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 700)
    begun: list[int] = []

    def begin(done: int, total: int) -> None:
        if not begun:
            begun.append(total)
            with Recorder(path, on_error="raise") as recorder:
                for state in shop_states(700, seed=8):
                    recorder.record(state)

    diagnosis = diagnose(path, progress=begin)
    assert begun
    assert diagnosis.verdict in ("healthy", "degraded"), diagnosis.findings
    assert diagnosis.readable == diagnosis.entries


def test_progress_goes_up_and_cancel_gives_what_was_found_so_far(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 1000)
    seen: list[tuple[int, int]] = []
    assert diagnose(path, progress=lambda done, total: seen.append((done, total))).complete
    assert seen == sorted(seen)
    assert seen[-1] == (1000, 1000)
    partial = diagnose(path, cancelled=lambda: True)
    assert not partial.complete
    assert partial.readable < 1000


def test_an_open_history_can_be_examined(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 100)
    with History(FileStore.open(path)) as history:
        assert diagnose(history).readable == 100
    store = MemoryStore()
    with Recorder(store, on_error="raise", strategy="changes:9") as recorder:
        for state in shop_states(100):
            recorder.record(state)
        recorder.record(next(shop_states(1, seed=4)), parent_seq=20)
        diagnosis = diagnose(History(store), strategy="changes:9")
    assert (diagnosis.verdict, diagnosis.readable) == ("healthy", 101)


class PartialFeeder:
    """A foreign source of which something could not be read."""

    verdict = Verdict(VerdictStatus.PARTIAL, (Problem("app.jsonl:7", "no JSON; left out"),), dropped=2)
    watch_paths = ()
    source_paths = ()
    source_name = "app.jsonl"

    def pump(self) -> None:
        """Nothing comes."""

    def close(self) -> None:
        """Nothing is open."""


def test_what_could_not_be_read_of_a_foreign_source_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "x.unspool"
    record_shop(path, 10)
    with History(FileStore.open(path), PartialFeeder()) as history:
        diagnosis = diagnose(history)
    assert diagnosis.verdict == "degraded"
    assert (diagnosis.findings[0].where, diagnosis.findings[0].meaning) == ("app.jsonl:7", "no JSON; left out")


# --- the ledger ------------------------------------------------------------------------------------------------------


def test_neighbours_that_say_the_same_are_one_finding() -> None:
    ledger = FindingLog()
    for seq in (3, 4, 5, 9):
        ledger.add(Code.NO_OP, seq, seq, "changed nothing")
    assert [(f.first, f.last, f.place) for f in ledger.findings()] == [(3, 5, "entries 3 to 5"), (9, 9, "entry 9")]
    assert ledger.counts[Code.NO_OP] == 4


def test_one_code_never_floods_the_others() -> None:
    ledger = FindingLog()
    for seq in range(0, 10_000, 2):
        ledger.add(Code.NO_OP, seq, seq, "changed nothing")
    ledger.add(Code.CHECKSUM, 1, 1, "damaged")
    assert len(ledger.findings()) == 101
    assert ledger.findings()[0].code is Code.CHECKSUM
    assert (ledger.counts[Code.NO_OP], ledger.unlisted[Code.NO_OP]) == (5000, 4900)


def test_neighbours_are_one_finding_beyond_those_listed_too() -> None:
    ledger = FindingLog()
    for seq in range(0, 200, 2):
        ledger.add(Code.NO_OP, seq, seq, "changed nothing")
    for seq in (*range(300, 350), *range(400, 450)):
        ledger.add(Code.NO_OP, seq, seq, "changed nothing")
    assert (ledger.counts[Code.NO_OP], ledger.unlisted[Code.NO_OP]) == (200, 2)


def test_every_finding_is_documented_with_its_severity() -> None:
    text = (Path(__file__).parents[3] / "docs" / "health.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    severities = {name.strip(" `"): row[2].split()[0].rstrip(";") for row in rows for name in row[1].split(",")}
    for code in Code:
        ledger = FindingLog()
        ledger.add(code, 1, 1, "x")
        assert severities[code.value] == ledger.findings()[0].severity.value, code


# --- whatever is recorded, whatever is flipped -----------------------------------------------------------------------


@settings(max_examples=examples(40))
@given(
    steps=st.lists(st.tuples(json_states, st.integers(0, 3), st.booleans()), max_size=25),
    strategy=st.sampled_from(["auto", "changes:3", "manual", "adaptive", "significance:1"]),
    codec=st.sampled_from(["auto", "dict", "binary", "compress", "none"]),
)
def test_random_histories_are_healthy(
    tmp_path_factory: pytest.TempPathFactory, steps: Any, strategy: str, codec: str
) -> None:
    path = tmp_path_factory.mktemp("random") / "x.unspool"
    with Recorder(path, on_error="raise", strategy=strategy, codec=codec) as recorder:
        for place, (state, back, full) in enumerate(steps):
            parent = max(place - 1 - back, 0) if place and back else None
            recorder.record(state, parent_seq=parent, timestamp_ns=START + place, full=full)
        live_diagnosis = diagnose(path, strategy=strategy)
    diagnosis = diagnose(path, strategy=strategy)
    for one in (live_diagnosis, diagnosis):
        assert one.verdict == "healthy", one.findings
        assert one.readable == one.entries == len(steps)


BLOBS = [
    ("block_data", "data"),
    ("block", "columns"),
    ("block", "atoms"),
    ("segment", "data"),
    ("tail", "record"),
    ("tail", "changed"),
]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("flips")
    return {"block": recorded(folder / "rest.unspool", count=200), "tail": live(folder / "live.unspool")}


@settings(max_examples=examples(80))
@given(data=st.data())
def test_a_flipped_byte_in_any_blob_is_found_or_harmless(
    samples: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    table, column = data.draw(st.sampled_from(BLOBS))
    file = samples["tail" if table == "tail" else "block"]
    path = tmp_path_factory.mktemp("flip") / "x.unspool"
    shutil.copy(file.path, path)
    rows = ask(path, f"SELECT rowid, {column} FROM {table} ORDER BY rowid")
    row, blob = data.draw(st.sampled_from(rows))
    if not blob:
        return
    damaged = bytearray(blob)
    damaged[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    change(path, (f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (bytes(damaged), row)))
    assert_found_or_harmless(path, file.states)


@settings(max_examples=examples(60))
@given(data=st.data())
def test_a_flipped_byte_anywhere_in_the_file_is_found_or_harmless(
    samples: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = samples[data.draw(st.sampled_from(["block", "tail"]))]
    path = tmp_path_factory.mktemp("flip") / "x.unspool"
    content = bytearray(file.path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    assert_found_or_harmless(path, file.states)


def assert_found_or_harmless(path: Path, states: list[dict[str, Any]]) -> None:
    try:
        diagnosis = diagnose(path)
    except (CorruptHistory, UnreadableSource):
        return
    if diagnosis.verdict != "healthy":
        return
    with History(FileStore.open(path)) as history:
        assert [history.state(seq) for seq in range(len(history))] == states
