"""JSON Lines that grow, are cut back, are replaced, or hold lines that do not read."""

from __future__ import annotations

import gzip
import json
import lzma
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard

from unspool import History, open_history
from unspool.errors import UnreadableSource
from unspool.model.limits import Limits
from unspool.sources.bytestream import open_bytes
from unspool.sources.formats.states import StateRecords
from unspool.sources.lines import LinesReader


def line(number: int) -> str:
    return json.dumps({"n": number, "list": [number]}) + "\n"


def numbers(history: History) -> list[Any]:
    return [history.state(seq)["n"] for seq in range(len(history))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    path.write_text(line(0) + line(1))
    return path


def append(path: Path, text: str) -> None:
    with path.open("a") as stream:
        stream.write(text)


def test_lines_that_are_appended_become_entries(path: Path) -> None:
    with open_history(path) as history:
        assert numbers(history) == [0, 1]
        assert history.refresh() == 0
        append(path, line(2) + line(3))
        assert history.refresh() == 2
        assert numbers(history) == [0, 1, 2, 3]
        assert history.verdict.status == "complete"


def test_a_torn_last_line_waits_for_its_rest(path: Path) -> None:
    append(path, '{"n": 2, "li')
    with open_history(path) as history:
        assert numbers(history) == [0, 1]
        assert history.verdict.status == "partial"
        assert ":3 (byte" in history.verdict.problems[0].place
        append(path, 'st": []}\n' + line(3))
        history.refresh()
        assert numbers(history) == [0, 1, 2, 3]
        assert history.verdict.status == "complete"


def test_a_complete_last_object_needs_no_line_end(path: Path) -> None:
    append(path, '{"n": 2}')
    with open_history(path) as history:
        assert numbers(history) == [0, 1, 2]
        append(path, "\n" + line(3))
        history.refresh()
        assert numbers(history) == [0, 1, 2, 3]


def test_a_number_without_line_end_may_still_get_longer(tmp_path: Path) -> None:
    path = tmp_path / "numbers.jsonl"
    path.write_text("[1]\n[2]\n12")
    with open_history(path) as history:
        assert len(history) == 2
        append(path, "3\n")
        history.refresh()
        assert history.state(2) == {"value": 123}


def test_a_file_that_was_cut_back_is_read_again_and_old_entries_stay(path: Path) -> None:
    with open_history(path) as history:
        path.write_text(line(7))
        history.refresh()
        assert numbers(history) == [0, 1, 7]
        assert "cut back" in history.verdict.notes[0]


def test_a_file_written_anew_with_more_lines_is_not_taken_for_growth(path: Path) -> None:
    with open_history(path) as history:
        path.write_text("".join(map(line, (5, 6, 7, 8))))
        history.refresh()
        assert numbers(history) == [0, 1, 5, 6, 7, 8]


def test_rotation_reads_the_old_file_to_its_end_and_goes_on_with_the_new_one(path: Path) -> None:
    with open_history(path) as history:
        append(path, line(2))
        path.rename(path.with_suffix(".old"))
        path.write_text(line(10))
        history.refresh()
        assert numbers(history) == [0, 1, 2, 10]


def test_a_file_replaced_by_a_longer_copy_of_itself_goes_on_where_it_was(path: Path) -> None:
    with open_history(path) as history:
        other = path.with_suffix(".new")
        other.write_text(path.read_text() + line(2))
        other.replace(path)
        history.refresh()
        assert numbers(history) == [0, 1, 2]
        assert history.verdict.notes == ()


def test_a_file_that_is_gone_for_a_moment_is_waited_for(path: Path) -> None:
    with open_history(path) as history:
        text = path.read_text()
        path.unlink()
        assert history.refresh() == 0
        assert history.verdict.status == "partial"
        path.write_text(text + line(2))
        history.refresh()
        assert numbers(history) == [0, 1, 2]
        assert history.verdict.status == "complete"


def test_broken_lines_are_counted_with_their_place_and_the_rest_is_kept_in_order(path: Path) -> None:
    append(path, "not json\n" + line(3) + '{"n": 4,}\n' + line(5))
    with open_history(path, follow=False) as history:
        assert numbers(history) == [0, 1, 3, 5]
        problems = history.verdict.problems
        assert [problem.place.rpartition("log.jsonl:")[2] for problem in problems] == ["3 (byte 44)", "5 (byte 75)"]
        assert history.verdict.status == "partial"


def test_more_problems_than_are_listed_are_still_counted(path: Path) -> None:
    append(path, "broken\n" * 1000 + line(9))
    with open_history(path, follow=False) as history:
        assert numbers(history) == [0, 1, 9]
        assert len(history.verdict.problems) + history.verdict.dropped == 1000


def test_a_repeated_key_is_told(path: Path) -> None:
    append(path, '{"n": 2, "n": 3}\n')
    with open_history(path, follow=False) as history:
        assert numbers(history) == [0, 1, 3]
        assert "'n' stands twice" in history.verdict.problems[0].message


def test_a_line_that_is_too_long_is_left_out_without_being_held(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(line(0) + json.dumps({"n": "x" * 5000}) + "\n" + line(2))
    reader = LinesReader(path, StateRecords(has_envelope=False), Limits(line_bytes=1000))
    assert [entry.state["n"] for entry in reader.read()] == [0, 2]
    assert "at most 1000" in reader.findings.lasting[0].message
    reader.close()


@pytest.mark.parametrize("text", ["\ufeff" + line(0) + line(1), line(0).replace("\n", "\r\n") + "\n\n" + line(1)])
def test_byte_order_marks_blank_lines_and_windows_line_ends_do_not_matter(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_bytes(text.encode())
    with open_history(path, follow=False) as history:
        assert numbers(history) == [0, 1]
        assert history.verdict.status == "complete"


COMPRESS = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}


@pytest.mark.parametrize("name", COMPRESS)
def test_compressed_lines_are_read_on_the_fly(tmp_path: Path, name: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(COMPRESS[name]((line(0) + line(1)).encode()))
    with open_history(path) as history:
        assert numbers(history) == [0, 1]
        with path.open("ab") as stream:
            stream.write(COMPRESS[name](line(2).encode()))
        history.refresh()
        assert numbers(history) == [0, 1, 2]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", COMPRESS)
def test_compressed_data_that_ends_early_gives_what_is_there_and_says_so(tmp_path: Path, name: str) -> None:
    whole = "".join(json.dumps({"n": number, "noise": os.urandom(60).hex()}) + "\n" for number in range(4000))
    path = tmp_path / "log"
    data = COMPRESS[name](whole.encode())
    path.write_bytes(data[: len(data) * 3 // 4])
    with open_history(path) as history:
        assert 0 < len(history) < 4000
        assert numbers(history) == list(range(len(history)))
        assert history.verdict.status == "partial"
        path.write_bytes(data)
        history.refresh()
        assert numbers(history) == list(range(4000))
        assert history.verdict.status == "complete"


@pytest.mark.parametrize("name", COMPRESS)
def test_compressed_data_that_is_damaged_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    data = bytearray(COMPRESS[name](os.urandom(2000).hex().encode()))
    middle = len(data) // 2
    data[middle : middle + 60] = bytes(60)
    path = tmp_path / "log.jsonl"
    path.write_bytes(data)
    with pytest.raises(UnreadableSource, match=str(path)):
        open_history(path)


@pytest.mark.parametrize("name", COMPRESS)
def test_a_file_that_unfolds_to_too_much_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(COMPRESS[name](bytes(4_000_000)))
    with (
        pytest.raises(UnreadableSource, match="unfolds to more than [0-9,]+ bytes"),
        open_bytes(path, Limits(decompressed_bytes=1_000_000)) as stream,
    ):
        while stream.read(65536):
            pass


def test_states_can_be_objects_lists_or_plain_values(tmp_path: Path) -> None:
    path = tmp_path / "values.jsonl"
    path.write_text("[1, 2]\n[1, 2, 3]\n")
    with open_history(path, follow=False) as history:
        assert history.state(1) == {"value": [1, 2, 3]}


def test_a_state_as_deep_as_ten_thousand_levels_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_text('{"a": ' + "[" * 10_000 + "]" * 10_000 + "}\n" + '{"a": 1}\n')
    with open_history(path, follow=False) as history:
        depth, value = 0, history.state(0)["a"]
        while value:
            depth, value = depth + 1, value[0]
        assert depth == 9_999
