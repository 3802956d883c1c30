"""Notes beside a history: kept whole and bounded, lost by nobody, found again where their entry went."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool import Recorder, open_history
from unspool.errors import ConfigError, HistoryLocked, StorageFailed, UnreadableSource
from unspool.model.limits import Limits, use
from unspool.query.repair import repair
from unspool.sources import written_notes
from unspool.sources.copying import convert
from unspool.sources.entries import Reading
from unspool.sources.exports import ExportOptions, export_lines
from unspool.sources.written_notes import (
    NoteChange,
    SourceNotes,
    WrittenNote,
    bookmarks_among,
    new_note,
    notes_place,
    placed,
)
from unspool.store.compacting import compact

TEXTS = st.text(st.characters(exclude_categories=()), min_size=1, max_size=40).filter(lambda text: text.strip())


def record(path: Path, count: int = 6, skip: int = 0) -> Path:
    with Recorder(path, on_error="raise") as recorder:
        for number in range(skip, count):
            recorder.record({"n": number}, f"step {number}", timestamp_ns=number * 10**9)
    return path


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return record(tmp_path / "shop.unspool")


def texts(path: Path | str) -> list[str]:
    with open_history(path, follow=False) as history:
        return [note.text for note in SourceNotes(str(path), history=history).read().notes]


def write(path: Path, seq: int, text: str, *steps: str) -> WrittenNote:
    with open_history(path, follow=False) as history:
        return SourceNotes(str(path), history=history).add(new_note(history, seq, text, steps))[0]


def test_a_note_is_kept_beside_the_history_for_those_who_may_read_that(shop: Path) -> None:
    before = shop.read_bytes()
    write(shop, 2, "here", "n")
    place = shop.with_name("shop.unspool-notes")
    assert notes_place(str(shop)) == place
    assert stat.S_IMODE(place.stat().st_mode) == stat.S_IMODE(shop.stat().st_mode) == 0o600
    assert shop.read_bytes() == before
    assert sorted(path.name for path in shop.parent.iterdir()) == ["shop.unspool", "shop.unspool-notes"]
    with open_history(shop) as history:
        (found,) = placed(SourceNotes(str(shop), history=history).read().notes, history)
    assert (found.seq, found.note.steps, found.note.text) == (2, ("n",), "here")
    other = record(shop.with_name("open.unspool"))
    other.chmod(0o640)
    write(other, 0, "for the group")
    assert stat.S_IMODE(other.with_name("open.unspool-notes").stat().st_mode) == 0o640


def test_reading_notes_makes_nothing(shop: Path) -> None:
    assert texts(shop) == []
    assert [path.name for path in shop.parent.iterdir()] == ["shop.unspool"]


def test_the_last_note_takes_its_file_along(shop: Path) -> None:
    note = write(shop, 1, "x")
    assert SourceNotes(str(shop)).remove([note.id]) == (note,)
    assert [path.name for path in shop.parent.iterdir()] == ["shop.unspool"]


def test_the_same_words_are_written_once(shop: Path) -> None:
    assert write(shop, 1, "x").id == write(shop, 1, "x").id
    assert texts(shop) == ["x"]


@settings(max_examples=examples(20))
@given(said=st.lists(st.tuples(st.integers(0, 5), TEXTS, st.sampled_from([(), ("n",)])), max_size=6))
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[int, str, tuple[str, ...]]]
) -> None:
    path = record(tmp_path_factory.mktemp("any") / "h.unspool")
    with open_history(path) as history:
        notes = SourceNotes(str(path), history=history)
        kept = [notes.add(new_note(history, seq, text, steps))[0] for seq, text, steps in said]
        read = notes.read()
    assert not read.problems
    assert {note.id: note for note in kept} == {note.id: note for note in read.notes}
    for note, (seq, text, steps) in zip(kept, said, strict=True):
        assert (note.entry, note.steps) == (seq, steps)
        assert note.text == text.encode("utf-8", "backslashreplace").decode().strip()


def test_programs_that_write_at_once_lose_nothing(shop: Path) -> None:
    with open_history(shop) as history:
        made = [[new_note(history, seq % 6, f"{who}:{seq}") for seq in range(8)] for who in range(4)]
    threads = [
        threading.Thread(target=lambda mine=mine: [SourceNotes(str(shop)).add(note) for note in mine])
        for mine in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(texts(shop)) == sorted(note.text for mine in made for note in mine)


def test_two_people_who_edit_one_note_keep_both_texts(shop: Path) -> None:
    seen = write(shop, 1, "first")
    notes = SourceNotes(str(shop))
    assert notes.edit(seen, "mine") is NoteChange.WRITTEN
    assert notes.edit(seen, "yours") is NoteChange.BESIDE
    assert notes.edit(seen, "") is NoteChange.LEFT
    assert sorted(texts(shop)) == ["mine", "yours"]
    mine = next(note for note in notes.read().notes if note.text == "mine")
    assert notes.edit(mine, "") is NoteChange.REMOVED
    assert notes.edit(mine, "") is NoteChange.REMOVED
    assert notes.edit(mine, "again") is NoteChange.BESIDE
    assert sorted(texts(shop)) == ["again", "yours"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"unspool_notes": 2, "new": 1}',
        b'{"unspool_notes": 1, "extra": 1}',
        b'{"unspool_notes": 1, "notes": [{"id": "abcd", "entry": -1, "time_ns": 0}]}',
        b'{"unspool_notes": 1, "notes": [{"id": "../x", "entry": 1, "time_ns": 0}]}',
        b'{"unspool_notes": 1, "notes": [{"id": "abcd", "entry": 1, "time_ns": 0, "path": "a["}]}',
        b'{"unspool_notes": 1, "notes": [{"id": "abcd", "entry": 1, "time_ns": 0, "text": "'
        + b"x" * 20_000
        + b'"}]}',
        b'{"unspool_notes": 1, "notes": [' + b'{"id":"abcd","entry":1,"time_ns":0},' * 2 + b"]}",
        b'{"unspool_notes": 1, "notes": [{"id":"abcd","entry":1,"time_ns":0},{"id":"abcd","entry":1,"time_ns":0}]}',
        b" " * (5 << 20),
    ],
)
def test_notes_that_cannot_be_read_are_told_in_a_line_and_never_written_over(shop: Path, content: bytes) -> None:
    place = shop.with_name("shop.unspool-notes")
    place.write_bytes(content)
    with open_history(shop) as history:
        notes = SourceNotes(str(shop), history=history)
        read = notes.read()
        assert read.notes == ()
        (problem,) = read.problems
        assert problem.startswith(str(place))
        assert "\n" not in problem
        assert len(problem) < 400
        note = new_note(history, 0, "x")
        for change in (lambda: notes.add(note), lambda: notes.edit(note, "y"), lambda: notes.remove(["abcd"])):
            with pytest.raises(UnreadableSource):
                change()
    assert place.read_bytes() == content


def _link(place: Path) -> None:
    (place.parent / "elsewhere").write_text('{"unspool_notes": 1}')
    place.symlink_to("elsewhere")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, _link], ids=["folder", "pipe", "link"])
def test_what_is_no_file_is_neither_waited_for_nor_followed(shop: Path, make: object) -> None:
    place = shop.with_name("shop.unspool-notes")
    make(place)  # type: ignore[operator]
    notes = SourceNotes(str(shop))
    assert len(notes.read().problems) == 1
    with open_history(shop) as history, pytest.raises(UnreadableSource, match="move it away"):
        notes.add(new_note(history, 0, "x"))


def test_too_much_is_refused_before_it_is_written(shop: Path) -> None:
    with pytest.raises(ConfigError, match="at most 10,000 characters"):
        write(shop, 0, "x" * 10_001)
    write(shop, 0, "small")
    use(Limits(notes_bytes=600))
    try:
        with pytest.raises(ConfigError, match="--raise-limit notes_bytes"):
            write(shop, 0, "y" * 500)
    finally:
        use(None)
    assert texts(shop) == ["small"]


def test_a_writer_that_hangs_is_told_of(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written_notes, "_PATIENCE_S", 0.0)
    lock = written_notes.take_lock(shop.with_name("shop.unspool-notes-lock"))
    assert lock is not None
    with pytest.raises(HistoryLocked, match="try again"):
        write(shop, 0, "x")
    os.close(lock)
    write(shop, 0, "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_takes_no_file_is_told_of(shop: Path) -> None:
    shop.parent.chmod(0o500)
    with pytest.raises(StorageFailed, match="unspool convert"):
        write(shop, 0, "x")
    shop.parent.chmod(0o700)


def test_a_note_goes_with_its_entry_when_the_source_is_written_anew(tmp_path: Path) -> None:
    def lines(first: int, count: int) -> str:
        return "".join(
            f'{{"n": {number}, "timestamp": {1_700_000_000 + number}}}\n' for number in range(first, count)
        )

    path = tmp_path / "log.jsonl"
    path.write_text(lines(0, 6))
    write(path, 3, "third")
    write(path, 0, "gone")
    path.write_text(lines(1, 9))
    with open_history(path, follow=False) as history:
        found = placed(SourceNotes(str(path), history=history).read().notes, history)
    assert [(one.note.text, one.seq) for one in found] == [("third", 2), ("gone", None)]


def test_a_note_is_not_put_on_another_entry_of_its_number(shop: Path) -> None:
    write(shop, 2, "on step 2")
    shop.unlink()
    with Recorder(shop, on_error="raise") as recorder:
        for number in range(6):
            recorder.record({"n": number}, "other", timestamp_ns=2 * 10**9)
    with open_history(shop) as history:
        (found,) = placed(SourceNotes(str(shop), history=history).read().notes, history)
    assert found.seq is None


def test_notes_of_a_folder_lie_beside_it_and_those_in_it_are_no_states(tmp_path: Path) -> None:
    folder = tmp_path / "saves"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.json").write_text(json.dumps({"n": number}))
    write(folder, 1, "on the folder")
    write(folder / "1.json", 0, "on the file")
    assert (tmp_path / "saves-notes").exists()
    assert (folder / "1.json-notes").exists()
    with open_history(folder, follow=False) as history:
        assert [history.state(seq)["n"] for seq in range(len(history))] == [0, 1, 2]
        assert not history.verdict.notes
    assert texts(folder) == ["on the folder"]


def test_sources_without_a_place_of_their_own_have_one_in_the_data_folder() -> None:
    data = Path(os.environ["XDG_DATA_HOME"])
    places = [
        notes_place(name)
        for name in (
            "git:.:a.json",
            "merge:a:b",
            "postgresql://me:secret@host/db?history=x",
            "postgresql://me@host/db",
        )
    ]
    assert all(place is not None and place.is_relative_to(data) for place in places)
    assert len(set(places)) == 4
    assert places[2] == notes_place("postgresql://me:other@host/db?history=x")
    assert notes_place("-") is None


def test_notes_on_a_part_are_those_of_that_part(shop: Path) -> None:
    with open_history(shop) as history:
        one = SourceNotes(str(shop), select={"player": "ada"})
        one.add(new_note(history, 1, "ada's", part=one.part))
    assert texts(shop) == []
    assert [note.text for note in one.read().notes] == ["ada's"]


def test_converting_takes_notes_into_the_file_and_compacting_leaves_them_there(tmp_path: Path, shop: Path) -> None:
    write(shop, 1, "first")
    write(shop, 2, "")
    out, small = tmp_path / "out.unspool", tmp_path / "small.unspool"
    converted = convert(str(shop), out, Reading(follow=False))
    assert (converted.notes, converted.problems) == (2, ())
    assert not out.with_name("out.unspool-notes").exists()
    compact(out, small)
    mended = tmp_path / "mended.unspool"
    repair(out, mended)
    for path in (out, small, mended):
        assert texts(path) == ["first", ""]
        with open_history(path) as history:
            assert bookmarks_among(SourceNotes(str(path), history=history).read().notes, history) == [2]


def test_notes_in_a_native_file_can_be_edited_and_removed_without_writing_to_it(tmp_path: Path, shop: Path) -> None:
    write(shop, 1, "first")
    write(shop, 2, "second")
    out = tmp_path / "out.unspool"
    convert(str(shop), out, Reading(follow=False))
    before = out.read_bytes()
    with open_history(out) as history:
        notes = SourceNotes(str(out), history=history)
        first, second = notes.read().notes
        assert notes.edit(first, "better") is NoteChange.WRITTEN
        notes.remove([second.id])
        assert [note.text for note in notes.read().notes] == ["better"]
        assert notes.edit(second, "kept after all") is NoteChange.BESIDE
        assert notes.add(new_note(history, 2, "second"))[0].text == "second"
    assert sorted(texts(out)) == ["better", "kept after all", "second"]
    assert out.read_bytes() == before


def test_damaged_notes_do_not_keep_a_source_from_being_converted(tmp_path: Path, shop: Path) -> None:
    shop.with_name("shop.unspool-notes").write_text("{")
    converted = convert(str(shop), tmp_path / "out.unspool", Reading(follow=False))
    assert converted.entries == 6
    assert len(converted.problems) == 1


def exported(path: Path, name: str, **asked: Any) -> str:
    with open_history(path) as history:
        notes = tuple(placed(SourceNotes(str(path), history=history).read().notes, history))
        return "\n".join(export_lines(history, name, ExportOptions(notes=notes, **asked)))


def test_a_report_tells_notes_under_their_entry_and_lets_none_act(shop: Path) -> None:
    write(shop, 2, "<script>alert(1)</script>\nsecond \u202e line", "n")
    write(shop, 3, "")
    text = exported(shop, "html")
    assert '<p class="said"><b>n</b> &lt;script&gt;alert(1)&lt;/script&gt;<br>second \\u202e line</p></li>' in text
    assert text.count('class="said"') == 1


def test_a_report_tells_notes_of_entries_that_it_leaves_out(tmp_path: Path) -> None:
    path = record(tmp_path / "long.unspool", 60)
    write(path, 31, "in the middle")
    text = exported(path, "html", max_bytes=300)
    assert "Notes on entry 31, which this report leaves out:" in text
    assert "in the middle" in text


def test_a_table_has_notes_in_its_last_column_and_no_formula(shop: Path) -> None:
    assert "notes" not in exported(shop, "csv", paths=("n",))
    write(shop, 2, "=1+1")
    lines = exported(shop, "csv", paths=("n",)).splitlines()
    assert lines[0].endswith(",notes")
    assert lines[3].endswith(",'=1+1")


def test_notes_beside_an_export_are_found_again_in_it(shop: Path, tmp_path: Path) -> None:
    write(shop, 2, "here")
    out = tmp_path / "out.jsonl"
    out.write_text(exported(shop, "jsonl") + "\n")
    assert SourceNotes(str(shop)).copy_to(str(out)) == tmp_path / "out.jsonl-notes"
    with open_history(out, follow=False) as history:
        (found,) = placed(SourceNotes(str(out), history=history).read().notes, history)
    assert (found.seq, found.note.text) == (2, "here")
