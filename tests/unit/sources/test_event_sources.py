"""Event archives and event-log databases open as histories: events in time order, sources rebuilt, damage named."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.at_rest import at_rest
from support.examples import examples
from unspool import History, open_history
from unspool.errors import UnreadableSource, UnspoolError
from unspool.events import EventLog, write_fork_event, write_source
from unspool.history.verdict import VerdictStatus

SEEDS = Path(__file__).parents[3] / "fixtures" / "seeds"
GOLDEN = SEEDS / "ri-source-space.rblogs"
MIXED = SEEDS / "ri-node-written.rblogs"


def at(second: int) -> str:
    return f"2026-02-14T00:00:{second:02}.000Z"


def opened(path: Path, **options: Any) -> History:
    return open_history(path, follow=False, **options)


@pytest.fixture
def two_spaces(tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        write_source(log, "a.py", at(0), "x = 1\n", "python")
        write_source(log, "b.json", at(1), '{"n": 1}', "json")
        write_source(log, "a.py", at(2), "x = 2\n", "python")
        log.write_event("action_invoked", "a.py", at(3), {"button": "save"})
        write_source(log, "b.json", at(4), '{"n": 2}', "json")
    return path


def test_e70_the_seeds_archive_tells_its_events_with_their_data() -> None:
    with opened(GOLDEN) as history:
        assert [entry.action.split()[0] for entry in history] == ["space_created", *["space_evolved"] * 3]
        assert history[1].action == "space_evolved functions.main.body"
        meta = history[1].meta
        assert (meta["space"], meta["sequence"], meta["type"]) == ("demo-space", 2, "space_evolved")
        assert meta["payload"]["astDiff"][0]["path"] == "functions.main.body"
        assert "source" not in history[0].meta["payload"]
        assert history.state(3)["functions"]["helper"]["args"] == ["a", "b"]
        assert len(meta["hash"]) == 64


def test_e70_an_archive_without_sources_shows_each_events_payload() -> None:
    with opened(MIXED) as history:
        assert len(history) == 25
        assert history.state(-1)["9"] == 1e21
        assert "payload" not in history[0].meta
        assert history.verdict.status == VerdictStatus.COMPLETE


def test_an_archive_may_be_compressed_again(tmp_path: Path) -> None:
    path = tmp_path / "archive.rblogs.gz"
    path.write_bytes(gzip.compress(GOLDEN.read_bytes()))
    with opened(path) as history:
        assert len(history) == 4


@pytest.mark.parametrize(
    ("place", "told"), [(-1, "checksum"), (5, "version 254"), (9, "declares"), (40, "damaged|checksum|invalid")]
)
def test_e75_a_damaged_archive_is_refused_whole(place: int, told: str, tmp_path: Path) -> None:
    data = bytearray(GOLDEN.read_bytes())
    data[place] ^= 0xFF
    path = tmp_path / "damaged.rblogs"
    path.write_bytes(data)
    with pytest.raises(UnreadableSource, match=told) as caught:
        opened(path)
    assert str(path) in str(caught.value)


def test_e75_an_archive_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.rblogs"
    for size in (6, 40, 300):
        path.write_bytes(GOLDEN.read_bytes()[:size])
        with pytest.raises(UnreadableSource, match=r"cut\.rblogs"):
            opened(path)


def test_spaces_are_merged_by_time_and_atoms_carry_their_names(two_spaces: Path) -> None:
    with opened(two_spaces) as history:
        assert [entry.meta["space"] for entry in history] == ["a.py", "b.json", "a.py", "a.py", "b.json"]
        assert history.state(0) == {"a.py source": "x = 1\n"}
        assert history.state(-1) == {"a.py source": "x = 2\n", "b.json n": 2}
        assert history[3].meta["payload"] == {"button": "save"}
        assert history.verdict.status == VerdictStatus.COMPLETE


def test_one_space_can_be_chosen(two_spaces: Path) -> None:
    with opened(two_spaces, select={"space": "b.json"}) as history:
        assert [history.state(seq) for seq in range(len(history))] == [{"n": 1}, {"n": 2}]
    with pytest.raises(UnreadableSource, match=r"no space 'c'; it has 'a\.py', 'b\.json'"):
        opened(two_spaces, select={"space": "c"})


def test_an_archive_of_a_log_tells_what_the_log_tells(two_spaces: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.rblogs"
    with EventLog(two_spaces) as log:
        archive.write_bytes(log.export_archive("a.py"))
    with opened(archive) as from_archive, opened(two_spaces, select={"space": "a.py"}) as from_log:
        assert len(from_archive) == 3
        for one, other in zip(from_archive, from_log, strict=True):
            assert (one.id, one.action, one.timestamp_ns, one.meta) == (
                other.id,
                other.action,
                other.timestamp_ns,
                other.meta,
            )
            assert from_archive.state(one.seq) == from_log.state(one.seq)


def test_an_event_that_claims_to_be_older_stays_where_its_chain_has_it(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        log.write_event("state_changed", "a", at(5), {"n": 1})
        log.write_event("state_changed", "a", at(1), {"n": 2})
        log.write_event("state_changed", "b", at(3), {"n": 3})
    with opened(path) as history:
        assert [(entry.meta["space"], entry.meta["sequence"]) for entry in history] == [("b", 1), ("a", 1), ("a", 2)]


def test_names_that_would_collide_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        log.write_event("state_changed", "a", at(0), {"b c": 1})
        log.write_event("state_changed", "a b", at(1), {"c": 2})
        log.write_event("state_changed", "a", at(2), {"b c": 3})
    with opened(path) as history:
        assert sorted(history.state(-1).values()) == [2, 3]


def test_a_fork_starts_from_the_source_it_was_forked_from(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as log:
        write_source(log, "main", at(0), "x = 1\n", "python")
        write_fork_event(log, "branch", at(2), "main", at(1))
        write_source(log, "branch", at(3), "x = 3\n", "python")
    with opened(path, select={"space": "branch"}) as history:
        assert [history.state(seq)["source"] for seq in range(2)] == ["x = 1\n", "x = 3\n"]


def test_a_growing_log_is_followed_while_it_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with EventLog(path) as log, open_history(path) as history:
        assert len(history) == 0
        write_source(log, "a.py", at(0), "x = 1\n", "python")
        assert history.refresh() == 1
        assert history.state(0) == {"source": "x = 1\n"}
        write_source(log, "b.py", at(1), "y = 1\n", "python")
        write_source(log, "a.py", at(2), "x = 2\n", "python")
        assert history.refresh() == 2
        assert history.state(-1) == {"a.py source": "x = 2\n", "b.py source": "y = 1\n"}
        assert history.refresh() == 0
        assert history.verdict.status == VerdictStatus.COMPLETE
        assert path in history.watch_paths


def tampered(path: Path, *statements: str) -> Path:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return path


def test_e40_a_changed_payload_is_shown_and_told(two_spaces: Path) -> None:
    path = tampered(two_spaces, "UPDATE events SET payload = '{\"button\":\"delete\"}' WHERE type = 'action_invoked'")
    with opened(path) as history:
        assert len(history) == 5
        (problem,) = history.verdict.problems
        assert problem.place == f"{path}: event 3 of space 'a.py'"
        assert "does not match its hash" in problem.message
        assert history.verdict.status == VerdictStatus.PARTIAL


def test_e40_a_cut_tail_is_told(two_spaces: Path) -> None:
    path = tampered(two_spaces, "DELETE FROM events WHERE type = 'action_invoked'")
    with opened(path) as history:
        assert len(history) == 4
        assert "events 3 to 3 are missing at its end" in history.verdict.problems[0].message


def test_a_diff_that_does_not_fit_leaves_its_space_as_it_was(two_spaces: Path) -> None:
    path = tampered(
        two_spaces,
        "UPDATE events SET payload = (SELECT payload FROM events e WHERE e.type = 'space_evolved' AND e.place >"
        " events.place) WHERE type = 'space_evolved' AND sequence = 2 AND space = 1",
    )
    with opened(path) as history:
        assert len(history) == 5
        assert history.state(2)["a.py source"] == "x = 1\n"
        assert any("shown as it was before" in problem.message for problem in history.verdict.problems)


def test_a_damaged_row_costs_itself_and_nothing_else(two_spaces: Path) -> None:
    path = tampered(two_spaces, "UPDATE events SET payload = x'00ff' WHERE type = 'action_invoked'")
    with opened(path) as history:
        assert len(history) == 4
        assert any("event 3 of space 'a.py'" in problem.place for problem in history.verdict.problems)


@pytest.mark.parametrize("fixture", [GOLDEN, MIXED, SEEDS / "ri-empty.rblogs"], ids=lambda path: path.stem)
@settings(max_examples=examples(40))
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3), st.booleans()), min_size=1, max_size=3))
def test_a_mutated_archive_gives_a_verdict_or_a_typed_error(
    fixture: Path, edits: list[tuple[float, bytes, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    look_at_everything(at_rest(mutated(fixture, edits, tmp_path_factory.mktemp("fuzz") / fixture.name)))


@settings(max_examples=examples(80))
@given(edits=st.lists(st.tuples(st.floats(0.005, 1), st.binary(max_size=3), st.just(True)), min_size=1, max_size=6))
def test_a_mutated_log_gives_a_verdict_or_a_typed_error(
    edits: list[tuple[float, bytes, bool]], tmp_path_factory: pytest.TempPathFactory, pristine: Path
) -> None:
    look_at_everything(mutated(pristine, edits, tmp_path_factory.mktemp("fuzz") / "log.db"))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.db"
    with EventLog(path) as log:
        for second in range(12):
            write_source(log, f"space {second % 2}", at(second), f"x = {second}\ny = 0\n", "python")
            log.write_event("state_changed", "plain", at(second), {"n": second})
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    connection.close()
    return path


def mutated(fixture: Path, edits: list[tuple[float, bytes, bool]], path: Path) -> Path:
    shutil.copyfile(fixture, path)
    data = path.read_bytes()
    for where, piece, replaces in edits:
        place = int(len(data) * where)
        data = data[:place] + piece + data[place + len(piece) * replaces :]
    path.write_bytes(data)
    return path


def look_at_everything(path: Path) -> None:
    for name in (None, "event-log"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                history = opened(path, format=name)
            except UnspoolError as error:
                assert "\n" not in str(error)
                continue
            with history:
                for entry in history:
                    history.state(entry.seq)
                history.refresh()
