"""Store and forward: what a recorder wrote reaches its server, whatever becomes of server, network and recorder."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from support.cut_proxy import cut_proxy
from support.postgres_server import PASSWORD, Server, running_server, why_not
from support.waiting import wait_until
from unspool import Recorder, open_history
from unspool.errors import ConfigError, EntryDropped, HistoryLocked, StorageFailed, UnreadableSource
from unspool.model.entries import HOLE_ATOM
from unspool.query.doctor.diagnosis import Code, Health, diagnose
from unspool.recorder.troubles import EntriesWait
from unspool.store.postgres.connection import parse_target
from unspool.store.postgres.spool import spool_folder
from unspool.store.postgres.spooled import StillInSpool
from unspool_tui.cli import run

pytestmark = pytest.mark.filterwarnings("ignore::unspool.recorder.troubles.EntriesWait")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="pg") as folder, running_server(Path(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def database(server: Server) -> str:
    return server.new_database()


@pytest.fixture
def address(server: Server, database: str, request: pytest.FixtureRequest) -> str:
    """A history of its own."""
    return server.address(database, history=request.node.name)


@pytest.fixture
def away(tmp_path: Path) -> str:
    """The address of a server that is not there."""
    return f"postgresql://ada:secret@/state?host={tmp_path}&history=h"


def sql(address: str, *statements: str) -> list[Any]:
    import psycopg

    with psycopg.connect(parse_target(address).conninfo, autocommit=True) as connection:
        cursors = [connection.execute(statement) for statement in statements]
        return cursors[-1].fetchall() if cursors[-1].description else []


def folder_of(address: str) -> Path:
    return spool_folder(None, parse_target(address))


def numbers(address: str) -> list[Any]:
    with open_history(address) as history:
        assert diagnose(history).verdict is Health.HEALTHY
        return [history.state(seq)["n"] for seq in range(len(history))]


RECORD = """
import os, sys, unspool
with_recorder = unspool.Recorder(sys.argv[1], on_error="raise")
for n in range(int(sys.argv[2]), int(sys.argv[3])):
    with_recorder.record({"n": n, "text": "é 漢 \\0 \\ud800"}, f"step {n}")
os.kill(os.getpid(), 9)
"""


def record_and_die(address: str, start: int, stop: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RECORD, address, str(start), str(stop)],
        env=dict(os.environ),
        timeout=60,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_what_a_killed_recorder_wrote_is_shipped_by_the_next_one(server: Server, address: str) -> None:
    server.stop()
    try:
        record_and_die(address, 0, 300)
        record_and_die(address, 300, 310)
    finally:
        server.start()
    with Recorder(address, on_error="raise") as recorder:
        assert recorder.record({"n": 310}) == 310
    assert numbers(address) == list(range(311))
    assert not folder_of(address).exists()


def test_a_recorder_that_is_killed_while_it_ships_neither_loses_nor_repeats(server: Server, address: str) -> None:
    for start in range(0, 600, 300):
        record_and_die(address, start, start + 300)
    with Recorder(address, on_error="raise"):
        pass
    assert numbers(address) == list(range(600))


def test_opening_and_recording_do_not_need_the_server(away: str, recwarn: pytest.WarningsRecorder) -> None:
    recorder = Recorder(away, on_error="warn")
    assert [recorder.record({"n": n}) for n in range(5)] == list(range(5))
    assert recorder.recording
    recorder.close()
    lines = told(recwarn)
    assert len(lines) == 2
    assert "cannot connect" in lines[0]
    assert f"5 entries wait in {folder_of(away)}" in lines[1]
    assert not [line for line in lines if "secret" in line]


def test_what_waits_is_private_and_holds_no_password(away: str) -> None:
    old = os.umask(0)
    try:
        with Recorder(away, on_error="ignore") as recorder:
            recorder.record({"n": 1})
            during = [place for place in folder_of(away).rglob("*") if not place.name.endswith("-lock")]
            assert {stat.S_IMODE(place.stat().st_mode) for place in during} == {0o600}
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder_of(away).stat().st_mode) == 0o700
    for place in folder_of(away).rglob("*"):
        assert b"secret" not in place.read_bytes()


def test_one_recorder_of_a_history_on_a_machine(away: str) -> None:
    with Recorder(away, on_error="raise"), pytest.raises(HistoryLocked, match="another recorder on this machine"):
        Recorder(away, on_error="raise")


def test_a_frozen_server_costs_no_time(server: Server, address: str) -> None:
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 0})
        recorder.flush()
        server.freeze()
        try:
            begun = time.monotonic()
            for n in range(1, 500):
                recorder.record({"n": n})
            assert time.monotonic() - begun < 5.0
        finally:
            server.thaw()
        recorder.flush()
        assert numbers(address) == list(range(500))


def test_a_frozen_server_is_noticed_and_left(server: Server, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unspool.store.postgres.session._SILENCE_S", 0.3)
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 0})
        recorder.flush()
        server.freeze()
        try:
            recorder.record({"n": 1})
            wait_until(lambda: recorder.store._shipper.trouble is not None, "noticing that the server is frozen")  # type: ignore[attr-defined]
            assert "no answer within 0.3 s" in str(recorder.store._shipper.trouble)  # type: ignore[attr-defined]
        finally:
            server.thaw()
        recorder.flush()
    assert numbers(address) == [0, 1]


def test_a_server_that_is_killed_loses_nothing(server: Server, address: str) -> None:
    with Recorder(address, on_error="raise") as recorder:
        for n in range(300):
            recorder.record({"n": n})
            if n in (100, 200):
                server.kill()
                server.start()
        recorder.flush()
    assert numbers(address) == list(range(300))


def test_full_durability_waits_for_the_server_and_no_longer_than_is_said(away: str) -> None:
    with Recorder(away, on_error="raise", durability="full", server_timeout=0.05) as recorder:
        for _ in range(2):
            with pytest.raises(StillInSpool, match="entry . is not confirmed.*waits in"):
                recorder.record({"n": 1})
        assert recorder.recording
    with Recorder(away, on_error="warn", durability="full", server_timeout=0.05) as recorder:
        with pytest.warns(EntriesWait, match="not confirmed"):
            assert recorder.record({"n": 3}) == 2
        assert recorder.recording


def test_full_durability_returns_when_the_server_has_the_entry(address: str) -> None:
    with Recorder(address, on_error="raise", durability="full") as recorder:
        for n in range(20):
            recorder.record({"n": n})
            assert sql(address, "SELECT count(*) FROM unspool.entry JOIN unspool.history ON history = id "
                       f"WHERE name = '{parse_target(address).history}'") == [(n + 1,)]  # fmt: skip


def told(recwarn: pytest.WarningsRecorder) -> list[str]:
    return [str(warning.message) for warning in recwarn.list if warning.category is EntriesWait]


def test_a_full_spool_drops_the_oldest_entries_and_says_which(
    server: Server, address: str, recwarn: pytest.WarningsRecorder
) -> None:
    server.stop()
    try:
        recorder = Recorder(address, on_error="warn", spool_bytes=1 << 20)
        for n in range(400):
            recorder.record({"n": n, "noise": os.urandom(6000)}, f"step {n}")
        taken = sum(place.stat().st_size for place in folder_of(address).iterdir())
        recorder.close()
        assert taken < 1.3 * (1 << 20)
        assert len(list(folder_of(address).glob("*.dropped"))) == 1
        assert [line for line in told(recwarn) if "of its oldest entries were dropped" in line]
    finally:
        server.start()
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 400}, "step 400")
    with open_history(address) as history:
        assert len(history) == 401
        found = diagnose(history)
        assert found.verdict is Health.DEGRADED
        (finding,) = [finding for finding in found.findings if finding.code is Code.DROPPED]
        assert (finding.first, finding.meaning) == (0, "never arrived: the spool was full")
        first = finding.last + 1 if finding.last is not None else 0
        assert 100 < first < 400
        for seq in range(first, 401):
            assert history.state(seq)["n"] == seq
        with pytest.raises(
            EntryDropped, match=f"entry 3 never arrived .entries 0 to {first - 1}: the spool was full"
        ):
            history.state(3)
        assert history[3].action == "hole: the spool was full"
        assert history.columns().codec[3] == 255
        assert history.stats().problems
    assert not folder_of(address).exists()


def test_an_entry_that_the_server_refuses_is_kept_and_the_rest_goes_on(
    address: str, recwarn: pytest.WarningsRecorder
) -> None:
    with Recorder(address) as recorder:
        recorder.record({"n": 0})
        recorder.flush()
        sql(
            address,
            "CREATE FUNCTION unspool.grumble() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF new.action = 'bad' THEN RAISE EXCEPTION 'no such steps'; END IF; RETURN new; END $$",
            "CREATE TRIGGER grumble BEFORE INSERT ON unspool.entry FOR EACH ROW EXECUTE FUNCTION unspool.grumble()",
        )
        try:
            for n in range(1, 40):
                recorder.record({"n": n, "long": "x" * 300}, "bad" if n in (7, 20) else "good")
            recorder.flush()
        finally:
            sql(address, "DROP FUNCTION unspool.grumble CASCADE")
    with open_history(address) as history:
        assert len(history) == 40
        assert [seq for seq in range(40) if history.columns().codec[seq] == 255] == [7, 20]
        assert all(history.state(seq)["n"] == seq for seq in range(40) if seq not in (7, 20))
        assert {finding.code for finding in diagnose(history).findings} == {Code.DROPPED}
        with pytest.raises(EntryDropped, match="the server refused it"):
            history.state(7)
    kept = sorted(folder_of(address).glob("refused-*.unspool"))
    assert len(kept) == 2
    assert len([line for line in told(recwarn) if "no such steps" in line and "It is kept in" in line]) == 2
    with open_history(kept[1]) as history:
        assert history.state(0)["n"] in (7, 20)
        assert "no such steps" in str(history[0].meta["unspool.refused"])


def test_forks_follow_entries_on_both_sides_of_the_network(address: str) -> None:
    with Recorder(address, on_error="raise") as recorder:
        for n in range(4):
            recorder.record({"n": n})
    with Recorder(address, on_error="raise") as recorder:
        assert recorder.record({"n": 4, "more": 1}) == 4
        assert recorder.record({"n": 10}, parent_seq=1) == 5
        assert recorder.record({"n": 11}, parent_seq=5) == 6
        assert recorder.record({"n": 12, "more": 1}, parent_seq=4) == 7
    with open_history(address) as history:
        assert [history.state(seq)["n"] for seq in range(8)] == [0, 1, 2, 3, 4, 10, 11, 12]
        assert [entry.parent_seq for entry in history] == [None, 0, 1, 2, 3, 1, 5, 4]
        assert history.changed_atoms(5) == (("n", "modified"),)
        assert {finding.code for finding in diagnose(history).findings} == set()


def test_a_spool_on_a_full_disk_is_a_typed_error(away: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="cannot hold the spool"):
        Recorder(away, on_error="raise", spool=tmp_path / "file" / "spool")
    folder = spool_folder(tmp_path / "links", parse_target(away))
    folder.parent.mkdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(StorageFailed, match="is a link"):
        Recorder(away, on_error="raise", spool=tmp_path / "links")
    with pytest.raises(ConfigError, match="spool_bytes"):
        Recorder(away, on_error="raise", spool_bytes=10)


def test_the_password_is_in_no_message(server: Server, address: str, recwarn: pytest.WarningsRecorder) -> None:
    wrong = address.replace("s3cret", "s3crets")
    with Recorder(wrong) as recorder:
        recorder.record({"n": 1})
    lines = " ".join(told(recwarn))
    assert "password authentication failed" in lines
    assert "s3cret" not in lines
    assert PASSWORD not in lines


def test_ship_brings_what_was_left_and_says_what_it_did(
    server: Server, address: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    server.stop()
    try:
        record_and_die(address, 0, 30)
        assert run(["ship", "--json", "--seconds", "5"]) == 1
        told = capfdbinary.readouterr()
        assert json.loads(told.out)["left"] == 30
        assert b"30 wait in" in told.err
    finally:
        server.start()
    assert run(["ship", "--json"]) == 1, "no password was given, and none is kept"
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    capfdbinary.readouterr()
    assert run(["ship", "--json"]) == 0
    told = capfdbinary.readouterr()
    assert {key: value for key, value in json.loads(told.out).items() if key in ("shipped", "skipped", "left")} == {
        "shipped": 30,
        "skipped": 0,
        "left": 0,
    }
    assert PASSWORD not in told.err.decode()
    assert numbers(address) == list(range(30))
    assert run(["ship"]) == 0
    assert run(["ship", address]) == 0
    assert b"nothing waits" in capfdbinary.readouterr().err
    record_and_die(address, 30, 32)
    monkeypatch.delenv("PGPASSWORD")
    assert run(["ship", address, "-q"]) == 0
    assert numbers(address) == list(range(32))
    assert run(["ship", str(folder_of(address))]) == 3
    assert b"is no spool" in capfdbinary.readouterr().err


def test_ship_leaves_a_recorder_that_is_at_work_alone(
    address: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 0})
        assert run(["ship", address]) == 3
        assert run(["ship"]) == 0
    assert capfdbinary.readouterr().err.count(b"another recorder on this machine") == 2


def test_connections_cut_anywhere_in_a_batch_neither_lose_nor_repeat(server: Server, address: str) -> None:
    with cut_proxy(server.folder / ".s.PGSQL.5432") as proxy:
        through = address.replace(f"host={quote(str(server.folder), safe='')}", f"host=127.0.0.1&port={proxy.port}")
        with Recorder(through, on_error="raise") as recorder:
            n = 0
            for step in range(25):
                # Anywhere from the first bytes of a batch to behind its end; what is over goes for connecting anew.
                proxy.allowance = 150 * step + step % 7
                for _ in range(12):
                    recorder.record({"n": n, "text": "x" * 40})
                    n += 1
                seen = proxy.cuts
                wait_until(lambda seen=seen: proxy.cuts > seen or recorder.store._shipper.left() == 0, "a cut")  # type: ignore[misc, attr-defined]
                proxy.allowance = None
                recorder.flush()
            assert proxy.cuts > 10
    assert numbers(address) == list(range(300))


def test_a_network_that_passes_nothing_on_is_noticed(
    server: Server, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unspool.store.postgres.session._SILENCE_S", 0.3)
    with cut_proxy(server.folder / ".s.PGSQL.5432") as proxy:
        through = address.replace(f"host={quote(str(server.folder), safe='')}", f"host=127.0.0.1&port={proxy.port}")
        with Recorder(through, on_error="raise") as recorder:
            recorder.record({"n": 0})
            recorder.flush()
            proxy.held.set()
            recorder.record({"n": 1})
            wait_until(lambda: recorder.store._shipper.trouble is not None, "noticing")  # type: ignore[attr-defined]
            proxy.held.clear()
            recorder.flush()
    assert numbers(address) == [0, 1]


def test_a_server_without_disk_is_waited_for(address: str) -> None:
    with Recorder(address, on_error="raise", server_timeout=0.4) as recorder:
        recorder.record({"n": 0})
        recorder.flush()
        sql(
            address,
            "CREATE FUNCTION unspool.is_full() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$",
            "CREATE TRIGGER is_full BEFORE INSERT ON unspool.entry FOR EACH ROW EXECUTE FUNCTION unspool.is_full()",
        )
        try:
            for n in range(1, 30):
                recorder.record({"n": n})
            wait_until(lambda: recorder.store._shipper.trouble is not None, "noticing")  # type: ignore[attr-defined]
            with pytest.raises(StillInSpool, match="No space left on device"):
                recorder.flush()
        finally:
            sql(address, "DROP FUNCTION unspool.is_full CASCADE")
        wait_until(lambda: recorder.store._shipper.left() == 0, "going on")  # type: ignore[attr-defined]
    assert numbers(address) == list(range(30))


def test_a_history_that_is_deleted_under_an_open_connection_keeps_its_entries_here(address: str) -> None:
    recorder = Recorder(address, server_timeout=5)
    recorder.record({"n": 0})
    recorder.flush()
    sql(address, f"DELETE FROM unspool.history WHERE name = '{parse_target(address).history}'")
    recorder.record({"n": 1})
    with pytest.warns(EntriesWait, match="somebody deleted it"):
        recorder.flush()
    recorder.close()
    assert not list(folder_of(address).glob("refused-*"))
    assert list(folder_of(address).glob("*.unspool"))


def test_a_disk_that_is_full_for_the_spool_is_a_typed_error_and_the_app_goes_on(address: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 0})
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, hard))
        try:
            failed = 0
            for n in range(1, 60):
                try:
                    recorder.record({"n": n, "noise": os.urandom(4000)})
                except StorageFailed as error:
                    assert "could not be written" in str(error)
                    failed += 1
            assert failed
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        recorder.record({"n": 60})
        recorder.flush()
    found = numbers(address)
    assert (found[0], found[-1], len(found)) == (0, 60, 61 - failed)


def test_clocks_that_jump_change_nothing(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10**18, 10**18 - 5, 0, -(10**18), 2**63 - 1, 5, 6, 7, 8, 9])
    monkeypatch.setattr(time, "time_ns", lambda: 3)
    with Recorder(address, on_error="raise", clock=lambda: next(clock)) as recorder:
        for n in range(10):
            recorder.record({"n": n})
    with open_history(address) as history:
        assert [history.state(seq)["n"] for seq in range(10)] == list(range(10))
        assert history[3].timestamp_ns == -(10**18)


@pytest.mark.parametrize("text", ["a\0b", "é 漢 🎈", "\ud800", "unspool.spool"])
def test_any_text_passes_through_the_spool(server: Server, address: str, text: str) -> None:
    named = server.address(
        parse_target(address).conninfo.rpartition("/")[2].partition("?")[0], history=f"ü/?#@ {len(text)}"
    )
    # A name that no text of a database can hold is kept by what it stands for.
    meta = {text.encode("utf-8", "backslashreplace").decode(): text, "unspool.spool": {"at": 7, "parent": ["", 0]}}
    with Recorder(named, on_error="raise") as recorder:
        recorder.record({"x": text}, text, meta=meta, entry_id=text)
        recorder.record({"x": text, "y": 1}, text, meta=meta)
    with open_history(named) as history:
        assert history.state(-1)["x"] == text
        assert history[-1].meta == history[-2].meta == meta
        assert history[-1].parent_seq == history[-2].seq


def test_a_history_with_a_gap_can_be_kept_as_a_file(
    server: Server, address: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with Recorder(address, on_error="raise") as recorder:
        for n in range(6):
            recorder.record({"n": n}, full=n == 4)
    one = f"(SELECT id FROM unspool.history WHERE name = '{parse_target(address).history}')"
    why = json.dumps({"last": 3, "why": "the spool was full", "time_ns": 5})
    sql(
        address,
        f"DELETE FROM unspool.entry WHERE history = {one} AND seq BETWEEN 0 AND 3",
        f"INSERT INTO unspool.note VALUES ({one}, 'gap:0', '{why}')",
    )
    kept = tmp_path / "kept.unspool"
    assert run(["log", address]) == 0
    assert capfdbinary.readouterr().out.count(b"hole: the spool was full") == 4
    for command in (["show", "2"], ["diff", "2", "5"], ["search", "n"], ["bytes"]):
        assert run([command[0], address, *command[1:]]) == 3, command
        assert b"never arrived (entries 0 to 3: the spool was full)" in capfdbinary.readouterr().err
    with open_history(address) as history:
        assert history.stats().health is diagnose(history).verdict is Health.DEGRADED
    assert run(["search", address, "n", "--skip-damaged"]) in (0, 1)
    capfdbinary.readouterr()
    for name in ("jsonl", "json-patch", "nexus", "redux", "html", "csv"):
        out = tmp_path / f"out-{name}"
        paths = ["--path", "n"] if name == "csv" else []
        assert run(["export", address, str(out), "--format", name, *paths]) == 1, name
        told = capfdbinary.readouterr().err
        assert b"4 entries never arrived, from entry 0 on (the spool was full); a hole stands for each" in told, name
        if name in ("jsonl", "json-patch", "nexus", "redux"):
            with open_history(out) as history:
                assert [history.state(seq).get("n") for seq in range(6)] == [None, None, None, None, 4, 5], name
                assert history.state(2)[HOLE_ATOM]["why"] == "the spool was full", name
    assert (tmp_path / "out-csv").read_text().count("hole: the spool was full,") == 4
    assert run(["convert", address, str(kept)]) == 0
    with open_history(kept) as history:
        assert [history.state(seq).get("n") for seq in range(6)] == [None, None, None, None, 4, 5]
        assert history[2].action == "hole: the spool was full"
        assert {finding.code for finding in diagnose(history).findings} == {Code.HOLE}
        assert history.stats().health is diagnose(history).verdict is Health.DEGRADED


@pytest.mark.slow
def test_twenty_recorders_live_through_a_freeze_and_two_kills(
    server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unspool.store.postgres.session._SILENCE_S", 0.5)
    places = [server.address(database, history=f"one of twenty {number}") for number in range(20)]
    recorders = [Recorder(place, on_error="raise", server_timeout=60) for place in places]
    try:
        for n in range(60):
            for recorder in recorders:
                assert recorder.record({"n": n, "text": "x" * 30}) == n
            if n == 10:
                server.freeze()
            if n == 20:
                wait_until(lambda: any(one.store._shipper.trouble for one in recorders), "noticing the freeze")  # type: ignore[attr-defined]
                server.thaw()
            if n in (30, 45):
                server.kill()
                server.start()
        for recorder in recorders:
            recorder.flush()
    finally:
        for recorder in recorders:
            recorder.close()
    for place in places:
        assert numbers(place) == list(range(60))
        assert not folder_of(place).exists()


def test_an_interpreter_that_ends_ships_what_it_has(address: str) -> None:
    script = "import sys, unspool; r = unspool.Recorder(sys.argv[1]); [r.record({'n': n}) for n in range(50)]"
    done = subprocess.run([sys.executable, "-c", script, address], timeout=60, capture_output=True, check=True)
    assert not done.stderr
    assert numbers(address) == list(range(50))


def test_a_recorder_on_another_machine_is_kept_out_by_the_server(address: str, tmp_path: Path) -> None:
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 0})
        with pytest.raises(HistoryLocked, match="another recorder writes to it"):
            Recorder(address, on_error="raise", spool=tmp_path / "another machine")
        recorder.record({"n": 1})
    assert numbers(address) == [0, 1]
    assert not list((tmp_path / "another machine").iterdir())


def test_what_is_damaged_in_a_spool_is_put_aside_and_the_rest_is_shipped(
    server: Server, address: str, recwarn: pytest.WarningsRecorder
) -> None:
    server.stop()
    try:
        with Recorder(address, spool_bytes=1 << 20) as recorder:
            for n in range(100):
                recorder.record({"n": n, "noise": os.urandom(6000)}, f"step {n}")
    finally:
        server.start()
    files = sorted(folder_of(address).glob("*.unspool"))
    assert len(files) > 3
    files[1].write_bytes(os.urandom(5000))
    (folder_of(address) / "00000099-0123456789ab.unspool-wal").write_bytes(b"left by a kill")
    with Recorder(address, on_error="warn") as recorder:
        recorder.record({"n": 100})
    assert [line for line in told(recwarn) if "damaged" in line and "doctor" in line]
    with open_history(address) as history:
        assert len(history) == 101
        holes = [seq for seq in range(101) if history.columns().codec[seq] == 255]
        assert holes == list(range(holes[0], holes[-1] + 1))
        assert all(history.state(seq)["n"] == seq for seq in range(101) if seq not in holes)
        assert {finding.code for finding in diagnose(history).findings} == {Code.DROPPED}
    assert [place.name for place in folder_of(address).iterdir() if not place.name.startswith(files[1].stem)] == [
        "address"
    ]
    assert list(folder_of(address).glob("*.damaged.unspool"))


def test_a_server_that_goes_away_is_no_damage(server: Server, address: str) -> None:
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 0})
    with open_history(address) as history:
        server.stop()
        try:
            with pytest.raises(UnreadableSource, match="cannot connect|PostgreSQL says"):
                diagnose(history)
        finally:
            server.start()
        assert diagnose(history).verdict is Health.HEALTHY


async def test_the_app_stays_up_at_a_gap(address: str) -> None:
    from tui.tui_driver import drive, make_app

    with Recorder(address, on_error="raise") as recorder:
        for n in range(6):
            recorder.record({"n": n}, f"step {n}", full=n == 4)
    one = f"(SELECT id FROM unspool.history WHERE name = '{parse_target(address).history}')"
    why = json.dumps({"last": 3, "why": "the spool was full", "time_ns": 5})
    sql(
        address,
        f"DELETE FROM unspool.entry WHERE history = {one} AND seq BETWEEN 2 AND 3",
        f"INSERT INTO unspool.note VALUES ({one}, 'gap:2', '{why}')",
    )
    with open_history(address) as history:
        async with drive(make_app(history)) as driver:
            await driver.until(lambda: "step 5" in driver.text())
            for seq in (4, 3, 2, 1, 0):
                await driver.press(",")
                await driver.until(lambda seq=seq: f"@ #{seq}" in driver.text())  # type: ignore[misc]
                await driver.until(lambda seq=seq: seq not in (2, 3) or "never arrived" in driver.text())  # type: ignore[misc]


def test_secrets_never_reach_the_spool(away: str) -> None:
    with Recorder(away, on_error="ignore", redact=["password"]) as recorder:
        for n in range(50):
            recorder.record({"user": {"password": f"hunter2-{n}", "name": "ada"}}, meta={"password": "hunter2"})
        during = b"".join(place.read_bytes() for place in folder_of(away).rglob("*") if place.is_file())
    assert b"ada" in during
    assert b"hunter2" not in during
    assert b"hunter2" not in b"".join(place.read_bytes() for place in folder_of(away).rglob("*"))


def test_opening_does_not_wait_for_a_frozen_server(
    server: Server, address: str, recwarn: pytest.WarningsRecorder
) -> None:
    server.freeze()
    try:
        recorder = Recorder(address, server_timeout=60)
        assert [line for line in told(recwarn) if "does not answer" in line]
        assert [recorder.record({"n": n}) for n in range(20)] == list(range(20))
    finally:
        server.thaw()
    recorder.flush()
    recorder.close()
    assert numbers(address) == list(range(20))


def test_an_interpreter_that_ends_without_a_server_says_where_its_entries_wait(away: str) -> None:
    script = "import sys, unspool; r = unspool.Recorder(sys.argv[1]); [r.record({'n': n}) for n in range(5)]"
    done = subprocess.run(
        [sys.executable, "-c", script, away], timeout=60, capture_output=True, check=True, text=True
    )
    assert f"5 entries wait in {folder_of(away)}" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_what_waits_for_long_takes_little_room_and_is_shipped_all_the_same(server: Server, address: str) -> None:
    server.stop()
    try:
        recorder = Recorder(address, on_error="ignore", spool_bytes=1 << 20, server_timeout=60)
        for n in range(150):
            recorder.record({"n": n, "text": "x" * 3000}, full=True)
        finished = sorted(folder_of(address).glob("*.unspool"))[:-1]
        assert len(finished) > 2
        logs = [place.with_name(place.name + "-wal") for place in finished]
        wait_until(lambda: not any(log.exists() and log.stat().st_size for log in logs), "folding")
    finally:
        server.start()
    recorder.flush()
    assert recorder.record({"n": 150}) == 150
    recorder.close()
    assert numbers(address) == list(range(151))
    assert not folder_of(address).exists()


def test_notes_are_shipped_as_notes_whoever_wrote_in_between(server: Server, address: str) -> None:
    with Recorder(address, on_error="raise") as recorder:
        recorder.record({"n": 1, "m": 1}, "first")
        recorder.note("one", level="debug")
        recorder.record({"n": 2, "m": 1}, "second")
    server.stop()
    try:
        # What the server has is not known here, so the recorder begins with nothing before it.
        with Recorder(address, on_error="ignore") as recorder:
            recorder.note("two")
            recorder.note("three")
            recorder.record({"n": 3, "m": 1}, "third")
            recorder.note("four")
    finally:
        server.start()
    with Recorder(address, on_error="raise") as recorder:
        recorder.note("five")
        recorder.record({"n": 4, "m": 1}, "fourth")
    with open_history(address) as history:
        assert diagnose(history).verdict is Health.HEALTHY
        told = [(entry.kind.value, entry.action) for entry in history]
        assert [(seq, action) for seq, (kind, action) in enumerate(told) if kind == "note"] == [
            (1, "one"), (3, "two"), (4, "three"), (6, "four"), (7, "five"),
        ]  # fmt: skip
        assert [history.state(seq)["n"] for seq in range(9)] == [1, 1, 2, 2, 2, 3, 3, 3, 4]
        assert list(history.writes("n")) == [0, 2, 5, 8]
        assert list(history.writes("m")) == [0]
        assert history.columns().kind.tolist().count(2) == 5
        assert history.stats().notes == 5
    assert sql(address, "SELECT value FROM unspool.fact WHERE key = 'schema'") == [(2,)]


def test_a_note_may_be_the_first_that_a_history_holds(address: str) -> None:
    with Recorder(address, on_error="raise") as recorder:
        recorder.note("begin")
        recorder.record({"n": 1}, "first")
    with open_history(address) as history:
        assert [history.state(seq) for seq in range(2)] == [{}, {"n": 1}]
        assert list(history.writes("n")) == [1]
        assert diagnose(history).verdict is Health.HEALTHY
