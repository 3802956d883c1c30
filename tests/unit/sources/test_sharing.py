"""A part of a history that is handed on: the same entries under the same numbers, and nothing of what was left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.recording import record_shop
from support.values import json_states
from unspool import Recorder, open_history
from unspool.codec.records import PackedRecords
from unspool.errors import EntryDropped
from unspool.history import History
from unspool.model.values import Unrepresentable
from unspool.recorder import Redaction
from unspool.sources.copying import share
from unspool.sources.written_notes import PlacedNote, WrittenNote
from unspool.store import MemoryStore
from unspool.store.protocol import RecordRun
from unspool_tui.cli import run


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    path = tmp_path / "app.unspool"
    with Recorder(path) as recorder:
        for number in range(40):
            users = {"ada": {"password": f"hunter{number}", "name": "Ada Byron"}, "n": number}
            recorder.record(
                {"users": users, "n": number}, action=f"login password=hunter{number} by Ada Byron {number}"
            )
    assert run(["note", str(path), "12", "hunter12 is what Ada Byron typed", "--quiet"]) == 0
    assert run(["note", str(path), "30", "elsewhere", "--quiet"]) == 0
    return path


@settings(max_examples=examples(40))
@given(states=st.lists(json_states, min_size=1, max_size=12), data=st.data())
def test_entries_are_the_same_under_the_same_numbers(
    states: list[dict[str, object]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shared")
    with Recorder(folder / "a.unspool") as recorder:
        for number, state in enumerate(states):
            recorder.record(state, action=f"step {number}", timestamp_ns=number)
    first = data.draw(st.integers(0, len(states) - 1))
    last = data.draw(st.integers(first, len(states) - 1))
    assert (
        run(["share", str(folder / "a.unspool"), str(folder / "b.unspool"), "--range", f"{first}..{last}", "-q"]) == 0
    )
    with open_history(folder / "a.unspool") as whole, open_history(folder / "b.unspool") as part:
        assert (part.first, len(part)) == (first, last + 1)
        for seq in range(first, last + 1):
            assert part.state(seq) == whole.state(seq)
            assert (part[seq].action, part[seq].timestamp_ns) == (whole[seq].action, whole[seq].timestamp_ns)


@pytest.mark.parametrize("name", ["out.html", "out.unspool"])
def test_nothing_of_what_is_left_out_is_in_the_file(secrets: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    words = ["--range", "10..20", "--redact", "password", "--redact-text", "Ada Byron"]
    assert run(["share", str(secrets), str(out), *words]) == 0
    if name.endswith(".unspool"):
        assert run(["export", str(out), str(tmp_path / "all.jsonl"), "--quiet"]) == 0
        text = (tmp_path / "all.jsonl").read_text() + out.read_bytes().decode("latin-1")
        with open_history(out) as history:
            assert [history.state(seq)["n"] for seq in range(10, 21)] == list(range(10, 21))
    else:
        text = out.read_text()
        assert str(tmp_path) not in text
    assert "hunter" not in text
    assert "Byron" not in text
    assert "elsewhere" not in text
    assert "[redacted]" in text


def test_notes_and_the_question_come_along(secrets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["share", str(secrets), str(tmp_path / "b.unspool"), "--range", "10..20"]) == 0
    assert "1 note" in capsys.readouterr().err
    assert run(["notes", str(tmp_path / "b.unspool"), "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert (note["entry"], note["text"]) == (12, "hunter12 is what Ada Byron typed")
    assert run(["share", str(secrets), str(tmp_path / "b.html"), "--range", "10..20", "--question", "why <b>?"]) == 0
    page = (tmp_path / "b.html").read_text()
    assert "why &lt;b&gt;?" in page
    assert "is what Ada Byron typed" in page


def test_a_source_and_a_file_that_is_there_are_left_alone(secrets: Path, tmp_path: Path) -> None:
    before = secrets.read_bytes()
    out = tmp_path / "there.html"
    out.write_text("mine")
    assert run(["share", str(secrets), str(out)]) == 3
    assert out.read_text() == "mine"
    assert run(["share", str(secrets), str(out), "--force"]) == 0
    assert run(["share", str(secrets), str(secrets)]) == 3
    assert run(["share", str(secrets), str(tmp_path / "out.pdf")]) == 2
    assert secrets.read_bytes() == before


def test_any_source_is_shared_and_forks_keep_what_they_follow(tmp_path: Path) -> None:
    lines = tmp_path / "states.jsonl"
    lines.write_text("".join(f'{{"count": {number}}}\n' for number in range(9)))
    assert run(["share", str(lines), str(tmp_path / "a.unspool"), "--range", "3..6", "-q"]) == 0
    with open_history(tmp_path / "a.unspool") as history:
        assert [history.state(seq)["count"] for seq in range(3, 7)] == [3, 4, 5, 6]
    record_shop(tmp_path / "forked.unspool", 12)
    with Recorder(tmp_path / "forked.unspool") as recorder:
        recorder.record({"n": 1}, action="aside", parent_seq=8)
        recorder.record({"n": 2}, action="long before", parent_seq=2)
    assert (
        run(["share", str(tmp_path / "forked.unspool"), str(tmp_path / "b.unspool"), "--range", "6..13", "-q"]) == 0
    )
    with open_history(tmp_path / "b.unspool") as history:
        assert history[12].parent_seq == 8
        assert history.state(12) == {"n": 1}
        assert history.state(13) == {"n": 2}
        assert "followed entry 2" in str(dict(history[13].meta))


class ZebraBasket:
    """A class whose name is to be left out."""

    def __init__(self) -> None:
        self.count = 1


@pytest.mark.parametrize("name", ["out.html", "out.unspool"])
def test_names_of_all_kinds_and_quotes_of_other_entries_are_left_out(tmp_path: Path, name: str) -> None:
    source = tmp_path / "Zebra-run.unspool"
    with Recorder(source, identity={"rows[*]": "ZebraId"}) as recorder:
        for number in range(12):
            recorder.record(
                {
                    "user": {"password": f"hunter{number:04}"},
                    "ZebraAtom": {"n": number},
                    "keys": {"ZebraKey": number, ("ZebraPair", 1): 2},
                    "rows": [{"ZebraId": row, "n": number} for row in range(3)],
                    "basket": ZebraBasket(),
                    "lock": Unrepresentable("app.ZebraLock", "at Zebra street"),
                },
                action=f"password went from hunter{number - 1:04} to hunter{number:04}",
                meta={"ZebraFact": 1, "was": f"hunter{number - 1:04}", "file": "/home/Zebra/app.py"},
                entry_id=f"Zebra-{number}-hunter{number - 1:04}",
            )
    note = ["note", str(source), "5", "--quiet"]
    assert run([*note, 'keys["ZebraKey"]', "it was hunter0004, and hunter0007 later"]) == 0
    assert run([*note, "ZebraAtom.n", "Zebra again"]) == 0
    out = tmp_path / name
    words = ["--range", "3..9", "--redact", "password", "--redact-text", "Zebra", "--question", "why Zebra?"]
    assert run(["share", str(source), str(out), *words]) == 0
    text = out.read_bytes().decode("latin-1")
    if name.endswith(".unspool"):
        assert run(["export", str(out), str(tmp_path / "all.jsonl"), "--quiet"]) == 0
        text += (tmp_path / "all.jsonl").read_text() + (tmp_path / "all.jsonl-notes").read_text()
        with open_history(out) as history:
            assert history.state(5)["[redacted]Atom"] == {"n": 5}
    assert "Zebra" not in text
    assert "hunter0" not in text
    assert "it was [redacted], and [redacted] later" in text


class LossyStore(MemoryStore):
    """A store one of whose entries never arrived."""

    def run(self, seq: int) -> RecordRun:
        if seq == LOST:
            raise EntryDropped("entry 4 never arrived", seq=seq, last=seq, why="the disk was full")
        run = super().run(seq)
        return RecordRun(seq, PackedRecords.of([run.records[seq - run.first]]))


LOST = 4


def test_a_note_on_an_entry_that_never_arrived_comes_along(tmp_path: Path) -> None:
    store = LossyStore()
    with Recorder(store, codec="none") as recorder:
        for number in range(8):
            recorder.record({"password": f"hunter{number:04}", "n": number}, timestamp_ns=number)
    note = WrittenNote(id="00000001", entry=LOST, time_ns=LOST, text="hunter0003 is gone")
    out = tmp_path / "out.unspool"
    assert share(History(store), out, 2, 6, redaction=Redaction(["password"]), notes=[PlacedNote(note, LOST)]) == 1
    assert b"hunter" not in out.read_bytes()
    with open_history(out) as history:
        assert history.state(5) == {"password": "[redacted]", "n": 5}
        assert "the disk was full" in str(history.state(LOST))


def test_an_entry_that_followed_a_dropped_one_is_doubted_when_it_is_shared(tmp_path: Path) -> None:
    path = tmp_path / "bounded.unspool"
    with Recorder(path, keep=40, on_error="raise") as recorder:
        for number in range(300):
            parent = number - 30 if number >= 30 and number % 5 == 0 else None
            recorder.record({"n": number}, action=f"step {number}", parent_seq=parent)
    with open_history(path) as history:
        first, last = history.first, len(history) - 1
        orphans = [seq for seq in range(first + 1, last + 1) if history[seq].parent_seq is None]
    assert orphans
    assert run(["share", str(path), str(tmp_path / "part.unspool"), "--range", f"{first}..{last}", "-q"]) == 0
    with open_history(tmp_path / "part.unspool") as part:
        for seq in orphans:
            assert part.state(seq) == {"n": seq}
            assert "followed an entry that was dropped" in str(dict(part[seq].meta))


@pytest.mark.parametrize(
    ("secret", "quoted"),
    [
        ("x7", "card x7, and so on"),
        (739, "code 739."),
        (b"\xff\x00key", "sent b'\\xff\\x00key'"),
        (b"\xff\x00key", "sent ff006b6579"),
        (b"\xff\x00key", "sent /wBrZXk="),
    ],
)
def test_short_values_and_bytes_are_not_quoted_either(tmp_path: Path, secret: object, quoted: str) -> None:
    with Recorder(tmp_path / "app.unspool") as recorder:
        recorder.record({"user": {"pin": secret, "n": 1}}, action="begin")
        recorder.record({"user": {"pin": secret, "n": 2}}, action=quoted)
        recorder.record({"user": {"pin": secret, "n": 3}}, action="17390 is no word of x72")
    out = tmp_path / "out.unspool"
    assert run(["share", str(tmp_path / "app.unspool"), str(out), "--redact", "pin", "--quiet"]) == 0
    with open_history(out) as history:
        before, found, after = history[1].action.partition("[redacted]")
        assert found
        assert quoted.startswith(before)
        assert quoted.endswith(after)
        assert history[2].action == "17390 is no word of x72"


def test_notes_on_the_file_that_was_there_are_told_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "states.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    out = tmp_path / "out.unspool"
    assert run(["share", str(tmp_path / "states.jsonl"), str(out), "--quiet"]) == 0
    assert run(["note", str(out), "1", "mine", "--quiet"]) == 0
    assert run(["share", str(tmp_path / "states.jsonl"), str(out), "--force"]) == 0
    assert "out.unspool-notes holds notes on what out.unspool was before" in capfd.readouterr().err


@pytest.mark.parametrize("pattern", ["users[*].password", "$.users[0].Password", '["users"][*]["password"]'])
def test_paths_are_written_as_they_are_shown(
    tmp_path: Path, pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "states.jsonl"
    lines.write_text('{"users": [{"password": "hunter2"}]}\n')
    out = tmp_path / "out.html"
    assert run(["share", str(lines), str(out), "--redact", pattern]) == 0
    assert "hunter2" not in out.read_text()
    assert f"without {pattern}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["out.html", "out.unspool"])
def test_a_pattern_that_matches_nothing_is_refused(
    secrets: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / name
    words = ["share", str(secrets), str(out), "--redact", "password", "--redact", "nosuch"]
    assert run(words) == 2
    assert "nothing matched nosuch" in capsys.readouterr().err
    assert not out.exists()
    assert run([*words, "--unmatched-ok"]) == 0
    told = capsys.readouterr().err
    assert "nothing matched nosuch" in told
    assert "without password\n" in told
    # What another pattern has taken out already was matched all the same.
    assert run([*words[:3], "--force", "--redact", "users", "--redact", "users.ada.password"]) == 0


def test_an_expression_that_does_not_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNSPOOL_LIMITS", "pattern_seconds=0.2")
    lines = tmp_path / "states.jsonl"
    lines.write_text(json.dumps({"text": "a" * 5000 + "b"}) + "\n")
    out = tmp_path / "out.unspool"
    assert run(["share", str(lines), str(out), "--redact-text", "(a+)+$"]) != 0
    assert "takes too long" in capsys.readouterr().err
    assert not out.exists()
