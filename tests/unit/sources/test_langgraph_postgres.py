"""LangGraph's checkpoints in PostgreSQL show what LangGraph says of them, and are never written to."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.langgraph_answers import FIXTURES, GRAPH, agrees, expected, is_installed
from support.langgraph_tables import TABLES, put_checkpoint, put_writes, read_rows
from support.postgres_server import Server, running_server, why_not
from support.waiting import wait_until
from unspool import open_history
from unspool.errors import ConfigError, UnreadableSource
from unspool.model.tags import Unrepresentable
from unspool.query.doctor.diagnosis import diagnose
from unspool_tui.cli import run


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="pg") as folder, running_server(Path(folder)) as running:
        yield running


@pytest.fixture
def address(server: Server) -> str:
    return server.address(server.new_database())


@pytest.fixture
def connection(address: str) -> Iterator[Any]:
    """A connection to a database with LangGraph's tables, empty."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as opened:
        opened.execute(TABLES)
        yield opened


@pytest.fixture
def graph(connection: Any) -> list[Any]:
    """The fixture's rows, in the database."""
    checkpoints, writes = read_rows(GRAPH)
    for row in checkpoints:
        put_checkpoint(connection, row)
    put_writes(connection, writes)
    return checkpoints


@pytest.mark.usefixtures("graph")
def test_every_checkpoint_shows_what_langgraph_shows(address: str) -> None:
    with open_history(address, follow=False, folds={"log": "append"}) as history:
        agrees(history, expected())
        assert history.verdict.status == "complete"
        assert history.source_name.startswith("postgresql://ada@/")
    with open_history(address, follow=False) as raw, open_history(GRAPH, follow=False) as model:
        assert [raw.state(seq) for seq in range(len(raw))] == [model.state(seq) for seq in range(len(model))]


@pytest.mark.usefixtures("graph")
def test_a_thread_or_namespace_can_be_chosen(address: str) -> None:
    for source in (address, GRAPH):
        with open_history(source, follow=False, select={"thread": "other"}) as history:
            assert {entry.meta["thread"] for entry in history} == {"other"}
            assert history.state(-1)["count"] == 8
        with open_history(source, follow=False, select={"thread": "main", "namespace": ""}) as history:
            assert "namespace" not in history[-1].meta
            assert history.state(-1)["count"] == 110
        with pytest.raises(UnreadableSource, match="holds no such thread"):
            open_history(source, select={"thread": "nobody"})
        with pytest.raises(ConfigError, match="thread"):
            open_history(source, select={"player": "alice"})


def test_new_checkpoints_become_entries_and_wake_whoever_watches(address: str, connection: Any) -> None:
    checkpoints, writes = read_rows(GRAPH)
    put_writes(connection, writes)
    for row in checkpoints[:3]:
        put_checkpoint(connection, row)
    with open_history(address, folds={"log": "append"}) as history:
        (pulse,) = history.watch_paths
        wait_until(lambda: pulse.stat().st_size == 1)
        assert len(history) == 3
        for count, row in enumerate(checkpoints[3:], start=4):
            put_checkpoint(connection, row)
            assert history.refresh() == 1
            assert len(history) == count
        wait_until(lambda: pulse.stat().st_size > 1)
        with open_history(GRAPH, follow=False, folds={"log": "append"}) as model:
            assert history.state(-1) == model.state(-1)
            assert [entry.parent_seq for entry in history] == [entry.parent_seq for entry in model]


@pytest.mark.usefixtures("graph")
def test_nothing_is_written(address: str, connection: Any) -> None:
    told = "SELECT xmin::text, checkpoint_id FROM checkpoints ORDER BY 2"
    tables = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname LIKE 'pg%')"
    before = connection.execute(told).fetchall(), connection.execute(tables).fetchall()
    with open_history(address) as history:
        history.refresh()
    assert (connection.execute(told).fetchall(), connection.execute(tables).fetchall()) == before


@pytest.mark.usefixtures("graph")
def test_what_does_not_read_is_told_and_the_rest_is_shown(address: str, connection: Any) -> None:
    connection.execute("UPDATE checkpoint_blobs SET type = 'pickle' WHERE channel = 'seen' AND thread_id = 'other'")
    connection.execute(
        "UPDATE checkpoint_blobs SET blob = '\\xc1' WHERE channel = 'messages' AND thread_id = 'other'"
    )
    connection.execute(
        "UPDATE checkpoints SET checkpoint = '[1]' WHERE checkpoint_id = (SELECT max(checkpoint_id) FROM checkpoints)"
    )
    with open_history(address, follow=False) as history:
        assert len(history) == len(expected()) - 1
        problems = "\n".join(problem.message for problem in history.verdict.problems)
        assert "channel 'seen': it is a pickle" in problems or "channel 'messages': its msgpack" in problems
        assert "no channel values" in problems
        assert any(isinstance(value, Unrepresentable) for value in history.state(-1).values())
        before = history.verdict
        diagnose(history)
        assert history.verdict == before


def test_a_database_without_checkpoints_is_refused(address: str) -> None:
    with pytest.raises(UnreadableSource, match=r"no LangGraph checkpoints in it; .*\?history=NAME"):
        open_history(address)
    with pytest.raises(ConfigError, match="leave --format jsonl out"):
        open_history(address, format="jsonl")


@pytest.mark.usefixtures("graph")
def test_checkpoints_and_recorded_histories_may_share_a_database(address: str) -> None:
    from unspool import Recorder

    with Recorder(f"{address}&history=mine", on_error="raise") as recorder:
        recorder.record({"n": 1})
    with open_history(address, follow=False) as history:
        assert len(history) == len(expected())
    with open_history(f"{address}&history=mine") as history:
        assert history.state(0) == {"n": 1}
    with open_history(address, format="unspool") as history:
        assert history.state(0) == {"n": 1}


@pytest.mark.usefixtures("graph")
def test_a_server_that_goes_away_is_waited_for(server: Server, address: str) -> None:
    with open_history(address, follow=False) as history:
        server.stop()
        try:
            assert history.refresh() == 0
            assert "reading goes on when it is back" in history.verdict.problems[0].message
        finally:
            server.start()
        assert history.refresh() == 0
        assert history.verdict.status == "complete"


@pytest.mark.usefixtures("graph")
def test_the_command_line_reads_checkpoints(
    address: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["log", address, "--json", "-q", "--fold", "log=append", "--select", "thread=other"]) == 0
    lines = capfdbinary.readouterr().out.splitlines()
    assert [json.loads(line)["meta"]["thread"] for line in lines] == ["other"] * len(lines) != []
    assert run(["convert", address, str(tmp_path / "kept.unspool"), "-q"]) == 0


@pytest.mark.skipif(
    not is_installed("langgraph.checkpoint.postgres"),
    reason="langgraph and langgraph-checkpoint-postgres are not installed",
)
def test_a_graph_that_was_just_run_there_shows_what_langgraph_shows(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FIXTURES))
    script = __import__("make_langgraph")
    try:
        answers = script.make_in_postgres(address)
    finally:
        sys.modules.pop("make_langgraph", None)
    with open_history(address, follow=False, folds={"log": "append"}) as history:
        agrees(history, answers)


async def test_the_app_shows_checkpoints_as_they_come(address: str, connection: Any) -> None:
    from tui.tui_driver import drive, make_app

    checkpoints, writes = read_rows(GRAPH)
    put_writes(connection, writes)
    for row in checkpoints[:-1]:
        put_checkpoint(connection, row)
    with open_history(address, wait=False) as history:
        async with drive(make_app(history, follow=True)) as driver:
            await driver.until(lambda: len(history) == len(checkpoints) - 1)
            put_checkpoint(connection, checkpoints[-1])
            await driver.until(lambda: len(history) == len(checkpoints))
            assert "loop step 1" in driver.text()


@pytest.mark.usefixtures("graph")
def test_the_doctor_finds_the_chains_sound_or_says_what_is_missing(address: str, connection: Any) -> None:
    for source in (address, GRAPH):
        with open_history(source, follow=False) as history:
            assert [fault for fault in history.chain_faults(lambda: False) if fault.severity is None] == []
    first, second = connection.execute(
        "SELECT checkpoint_id FROM checkpoints WHERE thread_id = 'main' AND checkpoint_ns = '' ORDER BY 1 LIMIT 2"
    ).fetchall()
    connection.execute("DELETE FROM checkpoints WHERE checkpoint_id = %s", first)
    with open_history(address, follow=False) as history:
        diagnosis = diagnose(history)
    (found,) = [finding for finding in diagnosis.findings if finding.code == "fork-without-parent"]
    assert found.where.startswith("postgresql://")
    assert second[0] in found.where
    assert first[0] in found.meaning
