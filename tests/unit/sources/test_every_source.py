"""Every format opens on the command line and in the app, grows while it is open, and comes damaged without harm."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.at_rest import at_rest
from support.examples import examples
from support.foreign_sources import DOCUMENT_SAMPLES, FILES, FIXTURES, MADE, PACKED, STATES, records_of, rows_of
from support.git_repo import Repo
from support.keys import press_keys
from unspool import open_history
from unspool.errors import UnspoolError
from unspool_tui.app import UnspoolApp
from unspool_tui.cli import run
from unspool_tui.settings import Settings, UiOptions

NAMES = [*(f"{path.parent.name}/{path.name}" for path in FILES), *MADE]


def place_of(name: str, folder: Path) -> str:
    """Return what to open for a name."""
    return MADE[name](folder) if name in MADE else str(FIXTURES / name)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", NAMES)
def test_it_opens_on_the_command_line(name: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    source = place_of(name, tmp_path)
    assert run(["log", source, "--json", "-q"]) == 0
    entries = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert entries
    assert run(["stats", source, "--json", "-q"]) == 0
    stats = json.loads(capfdbinary.readouterr().out)
    assert stats["entries"] == len(entries)
    assert stats["verdict"]["status"] in ("complete", "partial")
    assert run(["show", source, "-1", "--json", "-q"]) == 0
    shown = json.loads(capfdbinary.readouterr().out)
    assert shown["seq"] == entries[-1]["seq"]
    assert run(["diff", source, "0", "-1", "--json", "-q"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["to"] == entries[-1]["seq"]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", NAMES)
async def test_it_opens_in_the_app(name: str, tmp_path: Path) -> None:
    with open_history(place_of(name, tmp_path)) as history:
        app = UnspoolApp(history, Settings(), UiOptions(remember=False), at=None, follow=True)
        async with app.run_test(size=(120, 40)) as pilot:
            await press_keys(pilot, "g", ",", ".", "G", "down", "enter")
            await asyncio.wait_for(pilot.pause(), 20)
            shown = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
            action = next((entry.action for entry in reversed(list(history)) if entry.action), "")
            assert action.split()[0][:12] in shown if action else Path(history.source_name).name[:8] in shown
        assert app.return_code in (0, None)


def test_the_documents_of_every_kind_hold_the_same_states(tmp_path: Path) -> None:
    for name in MADE:
        if name.startswith(("a directory", "lines", "git of")) and name != "git of text":
            with open_history(MADE[name](tmp_path), follow=False) as history:
                sample = DOCUMENT_SAMPLES.get(name.split()[-1])
                states = STATES if sample is None else sample.states
                assert [history.state(seq) for seq in range(len(history))] == states, name
                assert history.verdict.status == "complete"


LINES = [
    "states/bare.jsonl",
    "states/envelope.jsonl",
    "patches/cart.jsonl",
    "events/audit.jsonl",
    "redux/actions.jsonl",
    "xstate/toggle.jsonl",
    "rrweb/page.json",
    "seeds/nexus-history-export.json",
    "seeds/framework0-record.json",
]


@pytest.mark.parametrize("name", LINES)
def test_lines_that_come_later_lead_where_all_of_them_lead(name: str, tmp_path: Path) -> None:
    records = [json.dumps(record) + "\n" for record in records_of(FIXTURES / name)]
    records *= 2 if len(records) == 1 else 1
    whole, growing = tmp_path / "whole.jsonl", tmp_path / "growing.jsonl"
    whole.write_text("".join(records))
    # A patch log that starts from a state shows what it is with its first patch.
    start = 2 if "patches" in name else 1
    growing.write_text("".join(records[:start]))
    with open_history(whole, follow=False) as expected, open_history(growing) as history:
        for record in records[start:]:
            before = len(history)
            with growing.open("a") as stream:
                stream.write(record)
            assert history.refresh() == len(history) - before
        assert history.state(-1) == expected.state(-1)
        # Live, an XState event is told before its answer has come; read at once, both are one entry.
        assert len(history) == len(expected) + (2 if "xstate" in name else 0)


@pytest.mark.parametrize(
    ("name", "table"), [("langgraph/graph.sqlite", "checkpoints"), ("home_assistant/home.db", "states")]
)
def test_rows_that_come_later_lead_where_all_of_them_lead(name: str, table: str, tmp_path: Path) -> None:
    path = tmp_path / "growing.db"
    shutil.copy(FIXTURES / name, path)
    columns, rows = rows_of(path, table)
    half = len(rows) // 2
    insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            f"DELETE FROM {table} WHERE rowid > (SELECT rowid FROM {table} ORDER BY rowid LIMIT 1 OFFSET {half - 1})"
        )
        with open_history(path) as history, open_history(FIXTURES / name, follow=False) as expected:
            assert len(history) == half
            for row in rows[half:]:
                connection.execute(insert, row)
                assert history.refresh() == 1
            assert history.state(-1) == expected.state(-1)
            assert len(history) == len(expected)


@pytest.mark.parametrize("kind", list(DOCUMENT_SAMPLES))
def test_a_document_of_every_kind_is_followed(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"state.{kind}"
    states = DOCUMENT_SAMPLES[kind].states
    path.write_bytes(DOCUMENT_SAMPLES[kind].write(states[0]))
    with open_history(path) as history:
        for number, state in enumerate(states[1:], start=1):
            path.with_suffix(".new").write_bytes(DOCUMENT_SAMPLES[kind].write(state))
            path.with_suffix(".new").rename(path)
            history.refresh()
            assert history.state(-1) == state
            assert len(history) == number + 1


@pytest.mark.parametrize("kind", list(DOCUMENT_SAMPLES))
def test_a_directory_of_every_kind_is_followed(kind: str, tmp_path: Path) -> None:
    source = MADE[f"a directory of {kind}"](tmp_path)
    with open_history(source) as history:
        first = DOCUMENT_SAMPLES[kind].states[0]
        (Path(source) / f"state9.{kind}").write_bytes(DOCUMENT_SAMPLES[kind].write(first))
        assert history.refresh() == 1
        assert history.state(-1) == first


def looked_through(source: str) -> None:
    """Open a source and look at every entry; end in a verdict or in an error of one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            history = open_history(source, follow=False)
        except UnspoolError as error:
            assert "\n" not in str(error)
            return
        with history:
            for entry in history:
                history.state(entry.seq)
            verdict = history.verdict
            assert verdict.status == "complete" or verdict.problems


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", [name for name in MADE if not name.startswith("git")])
@settings(max_examples=examples(30))
@given(where=st.floats(0, 0.999), piece=st.binary(max_size=6), size=st.integers(0, 40))
def test_what_is_damaged_gives_a_verdict_or_a_typed_error(
    name: str, where: float, piece: bytes, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = Path(MADE[name](tmp_path_factory.mktemp("damaged")))
    path = sorted(source.iterdir())[1] if source.is_dir() else source
    data = path.read_bytes()
    place = int(len(data) * where)
    path.write_bytes(data[:place] + piece + data[place + size :])
    at_rest(path)
    looked_through(str(source))


@settings(max_examples=examples(20))
@given(chosen=st.floats(0, 0.999), where=st.floats(0, 0.999), piece=st.binary(min_size=1, max_size=4))
def test_a_damaged_repository_gives_a_verdict_or_a_typed_error(
    chosen: float, where: float, piece: bytes, tmp_path_factory: pytest.TempPathFactory, whole_repo: Path
) -> None:
    folder = tmp_path_factory.mktemp("git") / "repo"
    shutil.copytree(whole_repo, folder)
    objects = sorted(path for path in (folder / ".git" / "objects").rglob("*") if path.is_file())
    path = objects[int(len(objects) * chosen)]
    data = path.read_bytes()
    place = int(len(data) * where)
    path.chmod(0o644)
    path.write_bytes(data[:place] + piece + data[place + len(piece) :])
    looked_through(f"git:{folder}:state.json")


@pytest.fixture(scope="module")
def whole_repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repo = Repo(tmp_path_factory.mktemp("whole") / "repo")
    for number, state in enumerate(STATES):
        repo.commit("state.json", state, f"commit {number}")
    return repo.folder


@pytest.mark.parametrize("kind", list(PACKED))
def test_what_is_packed_twice_or_named_wrongly_is_told_by_its_content(kind: str, tmp_path: Path) -> None:
    for name in ("states.json", "states.toml", "states.gz", "states"):
        path = tmp_path / name
        path.write_bytes(PACKED[kind](b"".join(json.dumps(state).encode() + b"\n" for state in STATES)))
        with open_history(path, follow=False) as history:
            assert [history.state(seq) for seq in range(4)] == STATES
    path.write_bytes(PACKED[kind](path.read_bytes()))
    looked_through(str(path))


def test_lines_of_several_formats_in_one_file_lose_nothing_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    envelopes = (FIXTURES / "states" / "envelope.jsonl").read_text()
    others = "".join((FIXTURES / name).read_text() for name in ("events/audit.jsonl", "xstate/toggle.jsonl"))
    path.write_text(envelopes + others)
    with open_history(path, follow=False) as history:
        assert history.verdict.status == "complete"
        assert len(history) == len((envelopes + others).splitlines())
    with open_history(path, format="jsonl", follow=False) as history:
        assert [history.state(seq)["total"] for seq in range(4)] == [4.5, 9.0, 13.5, 18.0]
