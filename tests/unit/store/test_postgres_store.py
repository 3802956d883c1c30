"""Histories in a PostgreSQL server: what a file keeps, a database keeps."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.postgres_server import PASSWORD, Server, running_server, why_not
from support.recording import same_state, shop_states
from support.waiting import wait_until
from unspool import Recorder, open_history
from unspool.errors import (
    ConfigError,
    CorruptHistory,
    EntryNotFound,
    HistoryLocked,
    NewerSchema,
    ReadOnlyHistory,
    UnreadableSource,
    UnspoolError,
)
from unspool.query.doctor.diagnosis import Code, Health, diagnose
from unspool.recorder.troubles import EntriesWait
from unspool.store.memory import MemoryStore
from unspool.store.postgres.connection import parse_target
from unspool.store.postgres.shipping import Shipper
from unspool_tui.cli import run

TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
)
START_NS = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="pg") as folder, running_server(Path(folder)) as running:
        yield running


@pytest.fixture
def address(server: Server) -> str:
    """A history in a database of its own."""
    return server.address(server.new_database(), history="the shop")


def sql(address: str, *statements: str) -> list[Any]:
    import psycopg

    with psycopg.connect(parse_target(address).conninfo, autocommit=True) as connection:
        cursors = [connection.execute(statement) for statement in statements]
        return cursors[-1].fetchall() if cursors[-1].description else []


def record(target: Any, states: list[dict[str, Any]], **options: Any) -> None:
    with Recorder(target, on_error="raise", **options) as recorder:
        for step, state in enumerate(states):
            recorder.record(
                state, f"step {step}", timestamp_ns=START_NS + step, meta={"n": step} if step % 3 else None
            )


@pytest.mark.one_in(2)
@pytest.mark.parametrize("codec", ["auto", "binary", "compress"])
def test_a_database_holds_what_memory_holds(address: str, codec: str) -> None:
    from unspool.history.history import History

    states = list(shop_states(150))
    memory = MemoryStore("the shop")
    record(address, states, codec=codec)
    record(memory, states, codec=codec)
    with open_history(address) as history, History(memory) as model:
        assert len(history) == 150
        for seq in [*range(150), 140, 3, 77]:
            assert same_state(history.state(seq), states[seq])
            ours, theirs = history[seq], model[seq]
            assert ours.id == f"{history.history_id}-{seq}"
            assert [
                getattr(ours, name) for name in ("kind", "base_seq", "timestamp_ns", "action", "stored_bytes")
            ] == [getattr(theirs, name) for name in ("kind", "base_seq", "timestamp_ns", "action", "stored_bytes")]
            assert (ours.added, ours.modified, ours.deleted, ours.meta) == (
                theirs.added,
                theirs.modified,
                theirs.deleted,
                theirs.meta,
            )
            assert history.changed_atoms(seq) == model.changed_atoms(seq)
        for atom in ("cart3", "stock", "never"):
            assert list(history.writes(atom)) == list(model.writes(atom))
            assert [history.previous_write(atom, seq) for seq in (0, 64, 149)] == [
                model.previous_write(atom, seq) for seq in (0, 64, 149)
            ]
        ours, theirs = history.stats(), model.stats()
        assert (ours.health, ours.entries, ours.full, ours.stored_bytes) == (
            "healthy",
            150,
            theirs.full,
            theirs.stored_bytes,
        )
        assert ours.atoms == theirs.atoms
        assert list(history.columns().timestamp_ns) == list(model.columns().timestamp_ns)
        assert list(history.columns().codec) == list(model.columns().codec)
        assert history.file_bytes() > 0


def test_recording_goes_on_where_it_ended_and_forks_keep_both_futures(address: str) -> None:
    for start in range(0, 6, 2):
        with Recorder(address, on_error="raise") as recorder:
            for n in range(start, start + 2):
                assert recorder.record({"n": n}) == n
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 100}, "fork", parent_seq=1, entry_id="mine")
    with open_history(address) as history:
        assert [history.state(seq)["n"] for seq in range(7)] == [0, 1, 2, 3, 4, 5, 100]
        assert (history[6].parent_seq, history[6].id) == (1, "mine")
        assert [change.old for change in history.changes(6).changes] == [1]
        with pytest.raises(EntryNotFound, match="it has 7"):
            history.state(7)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("text", ["", "a\0b", "line\nline", "é 漢 🎈", "'; DROP TABLE x; --", "\ud800"])
def test_any_text_can_be_an_action_an_atom_and_a_value(address: str, text: str) -> None:
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({text: text}, text, meta={"said": text})
    with open_history(address) as history:
        name = text.encode("utf-8", "backslashreplace").decode()
        assert history.state(0) == {name: text}
        assert history[0].meta == {"said": text}
        assert history[0].action == name


def test_a_database_holds_many_histories(server: Server) -> None:
    database = server.new_database()
    names = ["a", "b&c=d", "ü/?#@", "a+b"]
    with_all = [Recorder(server.address(database, history=name), on_error="raise") for name in names]
    for number, recorder in enumerate(with_all):
        recorder.record({"n": number})
    for recorder in with_all:
        recorder.close()
    for number, name in enumerate(names):
        with open_history(server.address(database, history=name)) as history:
            assert history.state(-1) == {"n": number}
    with pytest.raises(UnreadableSource, match=r"several histories; add \?history=NAME \(.*of 4\)"):
        open_history(server.address(database))
    with pytest.raises(UnreadableSource, match=r"no history of this name among 4; did you mean a\+b\?"):
        open_history(server.address(database, history="a-b"))


def test_a_history_that_stands_alone_needs_no_name(address: str, server: Server) -> None:
    record(address, [{"n": 1}])
    with open_history(address.partition("&history=")[0]) as history:
        assert history.state(0) == {"n": 1}


def test_readers_see_entries_at_once_and_are_woken(address: str) -> None:
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 0})
        recorder.flush()
        with open_history(address) as history:
            (pulse,) = history.watch_paths
            wait_until(lambda: pulse.stat().st_size == 1)
            for n in range(1, 4):
                before = pulse.stat().st_size
                recorder.record({"n": n, f"new{n}": n})
                recorder.flush()
                assert history.refresh() == 1
                assert history.state(n) == {"n": n, f"new{n}": n}
                wait_until(lambda before=before: pulse.stat().st_size > before)  # type: ignore[misc]
            assert history.refresh() == 0
        assert not pulse.exists()


def test_one_writer_at_a_time(address: str) -> None:
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 0})
        with pytest.raises(HistoryLocked, match="another recorder"):
            Recorder(address, on_error="raise")
        recorder.record({"n": 1})
    with Recorder(address, on_error="raise") as recorder:
        assert recorder.record({"n": 2}) == 2


def test_what_is_closed_does_not_connect_again(address: str) -> None:
    record(address, [{"n": 1}])
    history = open_history(address)
    history.close()
    with pytest.raises(UnreadableSource, match="closed already"):
        history.state(0)
    connected = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    wait_until(lambda: sql(address, connected) == [(0,)], "disconnecting")


def test_reading_never_writes(address: str) -> None:
    from unspool.store.postgres.reading import PostgresStore

    record(address, [{"n": 1}])
    with closing(PostgresStore.open(address)) as store, pytest.raises(ReadOnlyHistory, match="opened for reading"):
        store.intern("x")


def test_a_server_that_was_restarted_loses_nothing(server: Server) -> None:
    address = server.address(server.new_database(), history="h")
    with Recorder(address, on_error="raise", durability="full") as recorder:
        recorder.record({"n": 0})
        with open_history(address) as history:
            server.stop()
            with pytest.raises(UnspoolError, match="cannot connect|PostgreSQL says"):
                history.refresh()
            server.start()
            assert recorder.record({"n": 1, "more": True}) == 1
            assert history.refresh() == 1
            assert history.state(1) == {"n": 1, "more": True}


def test_an_app_goes_on_when_its_server_does_not(server: Server) -> None:
    address = server.address(server.new_database(), history="h")
    with Recorder(address) as recorder:
        recorder.record({"n": 0})
        recorder.flush()
        server.stop()
        try:
            assert [recorder.record({"n": n}) for n in range(1, 50)] == list(range(1, 50))
        finally:
            server.start()
        recorder.flush()
        with open_history(address) as history:
            assert [history.state(seq)["n"] for seq in range(50)] == list(range(50))


def test_a_history_that_somebody_else_went_on_with_keeps_both_futures(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 0}, "ours")
        recorder.flush()
        with monkeypatch.context() as patch:
            patch.setattr(Shipper, "wake", lambda self: None)
            recorder.record({"n": 1, "long": "x" * 200}, "ours")
            sql(address, TERMINATE)
            with Recorder(address, on_error="raise", spool=tmp_path / "another machine") as other:
                other.record({"n": 7}, "theirs")
        recorder.record({"n": 2, "long": "x" * 200}, "ours")
    with open_history(address) as history:
        assert [entry.action for entry in history] == ["ours", "theirs", "ours", "ours"]
        assert [history.state(seq)["n"] for seq in range(4)] == [0, 7, 1, 2]
        assert [entry.parent_seq for entry in history] == [None, 0, 0, 2]
        assert [change.old for change in history.changes(2).changes if change.atom == "n"] == [0]
        assert {finding.code for finding in diagnose(history).findings} <= {Code.CLOCK_BACKWARDS}


def test_a_history_that_somebody_deleted_is_not_gone_on_with(address: str) -> None:
    recorder = Recorder(address)
    recorder.record({"n": 0})
    recorder.flush()
    sql(address, "DELETE FROM unspool.history", TERMINATE)
    recorder.record({"n": 1})
    with pytest.warns(EntriesWait, match="somebody deleted it"):
        recorder.flush()
    assert recorder.recording
    recorder.close()
    with pytest.raises(UnreadableSource, match="holds none"):
        open_history(address)
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 2})
    with open_history(address) as history:
        # What waited begins the history anew, and so does what was shipped and still lay in the same file.
        assert [history.state(seq)["n"] for seq in range(len(history))] == [0, 1, 2]


def test_damaged_postings_are_damage(address: str) -> None:
    record(address, [{"n": 0}, {"n": 1}])
    sql(address, "UPDATE unspool.entry SET changed = '\\x01' WHERE seq = 1")
    with open_history(address) as history, pytest.raises(CorruptHistory, match="entry 1 is damaged"):
        list(history.writes("n"))


def test_a_damaged_row_is_named_and_the_rest_reads(address: str) -> None:
    states = list(shop_states(120))
    record(address, states, strategy="changes:10")
    with open_history(address) as history:
        full = [entry.seq for entry in history if entry.kind == "full"]
    hurt = full[2]
    sql(
        address,
        f"UPDATE unspool.entry SET record = set_byte(record, 5, 255 - get_byte(record, 5)) WHERE seq = {hurt}",
    )
    with open_history(address) as history:
        for seq in range(120):
            if hurt <= seq < full[3]:
                with pytest.raises(CorruptHistory, match=f"entry {hurt} is damaged"):
                    history.state(seq)
            else:
                assert same_state(history.state(seq), states[seq])
        stats = history.stats()
        assert stats.health == "broken" or stats.problems
    sql(address, f"DELETE FROM unspool.entry WHERE seq = {full[4]}")
    with open_history(address) as history:
        assert len(history.columns()) == 120
        with pytest.raises(CorruptHistory, match=f"entry {full[4]} is missing"):
            history[full[4]]


def test_tables_of_a_newer_version_are_refused(address: str) -> None:
    record(address, [{"n": 1}])
    sql(address, "UPDATE unspool.fact SET value = 99")
    for attempt in (open_history, partial(Recorder, on_error="raise")):
        with pytest.raises(NewerSchema, match="newer unspool"):
            attempt(address)


def test_no_message_tells_the_password(server: Server, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    database = server.new_database()
    right = server.address(database, history="x")
    wrong = right.replace("s3cret", "s3crets")
    told = []
    for address in (right, wrong, wrong.replace("@/", "@nosuch.invalid/").partition("?")[0], right.replace("%2F", "/"),
                    right.replace("%40", "@").replace("%3A", ":"), f"postgresql://ada:%zz{PASSWORD}@h/db"):  # fmt: skip
        for attempt in (open_history, Recorder):
            try:
                attempt(address).close()  # type: ignore[operator]
            except UnspoolError as error:
                told.append(str(error))
        assert run(["log", address]) in (0, 3)
    captured = capfdbinary.readouterr()
    told += [captured.err.decode(), captured.out.decode(), repr(parse_target(right))]
    assert len(told) > 8
    assert not [text for text in told for piece in ("s3cret", "word@x", "word%40x") if piece in text]


def test_who_may_not_read_is_told_so_in_one_line(address: str) -> None:
    record(address, [{"n": 1}])
    sql(address, "CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = f"postgresql://guest:guest@{address.partition('@')[2]}"
    try:
        for attempt in (guest, guest.partition("&history=")[0]):
            with pytest.raises(UnreadableSource, match="permission denied") as refused:
                open_history(attempt)
            assert "\n" not in str(refused.value)
    finally:
        sql(address, "DROP ROLE guest")


def test_options_of_a_recorder_are_checked(address: str) -> None:
    with pytest.raises(ConfigError, match="durability"):
        Recorder(address, durability="none", on_error="raise")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"add \?history=NAME"):
        Recorder(address.partition("&history=")[0], on_error="raise")
    with pytest.raises(ConfigError, match="names none"):
        Recorder(address.partition("&history=")[0] + "&history=", on_error="raise")


def test_the_command_line_reads_it_like_a_file(
    address: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    states = list(shop_states(40))
    record(address, states)
    kept = tmp_path / "kept.unspool"
    assert run(["log", address, "--json", "-q"]) == 0
    assert capfdbinary.readouterr().out.count(b"\n") == 40
    for command in (["stats", address], ["show", address, "7"], ["diff", address, "3", "9"], ["doctor", address],
                    ["blame", address], ["convert", address, str(kept)]):  # fmt: skip
        assert run(command) == 0, command
    with open_history(kept) as history:
        assert all(same_state(history.state(seq), states[seq]) for seq in range(40))
        assert history[7].action == "step 7"


def test_the_driver_is_imported_for_such_addresses_only_and_its_absence_is_told() -> None:
    script = """
import sys
sys.modules["psycopg"] = None
import unspool
from unspool.errors import MissingExtra
unspool.Recorder(sys.argv[1]).close()
unspool.open_history(sys.argv[1]).close()
for attempt in (lambda address: unspool.Recorder(address, on_error="raise"), unspool.open_history):
    try:
        attempt("postgresql://ada:secret@localhost/x?history=h")
    except MissingExtra as error:
        print(error)
"""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", script, str(Path(folder) / "x.unspool")],
            check=True, capture_output=True, text=True, env=dict(os.environ),
        )  # fmt: skip
    assert done.stdout.count("unspool[postgres]") == 2


async def test_the_app_follows_it_and_remembers_no_password(address: str, tmp_path: Path) -> None:
    from tui.tui_driver import drive, make_app
    from unspool_tui.source import NamedSource, distinct_names

    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 0}, "begin")
        with open_history(address) as history:
            async with drive(make_app(history, follow=True)) as driver:
                assert "begin" in driver.text()
                recorder.record({"n": 1}, "onward")
                await driver.until(lambda: "onward" in driver.text())
                assert "s3cret" not in driver.text()
    assert "s3cret" not in NamedSource(address).key + distinct_names([address])[0]


def test_settings_of_recordings_are_kept_like_a_file_keeps_them(address: str, tmp_path: Path) -> None:
    from unspool.store.file import FileStore
    from unspool.store.postgres.reading import PostgresStore

    path = tmp_path / "same.unspool"
    states = list(shop_states(60))
    for target in (address, path):
        record(target, states[:30], strategy="changes:5", identity={"stock[*]": "sku"})
        Recorder(target, codec="none").close()
        record(target, states[30:], strategy="changes:5", codec="dict")
    with closing(PostgresStore.open(address)) as store, closing(FileStore.open(path)) as model:
        assert store.recordings() == model.recordings()
        assert store.identity() == model.identity() == {"stock": "sku"}
    with open_history(address) as history:
        assert history.identity == {"stock": "sku"}
        found, model = diagnose(history), diagnose(path)
        assert found.verdict is model.verdict is not Health.BROKEN
        assert found.strategy == model.strategy
        assert [item.code for item in found.findings] == [item.code for item in model.findings]
    record(address, states[:1], identity={"stock[*]": ""})
    with open_history(address) as history:
        assert not history.identity
