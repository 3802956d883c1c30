"""Tables as text are lists of records: in a file, in a folder, in git."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.git_repo import Repo
from unspool import open_history
from unspool.model.json_exact import BrokenText, TooMuch
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.query.blame import blame
from unspool.sources.documents import parse_table


def read(text: str) -> list[dict[str, Any]]:
    return parse_table(text.encode(), DEFAULT_LIMITS)


def test_rows_of_a_table_in_git_keep_their_history(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.commit("d.csv", "id,name,qty\n1,pen,2\n2,cup,5\n", "one")
    repo.commit("d.csv", "id,name,qty\n3,hat,1\n1,pen,2\n2,cup,6\n", "two")
    with open_history(f"git:{repo.folder}:d.csv", follow=False) as history:
        assert history.state(1)["value"][0] == {"id": 3, "name": "hat", "qty": 1}
        changes = {change.atom: change for change in history.diff(0, 1).changes}
        told = sorted(str(op.path) for op in changes["value"].ops)
        assert len(told) == 2
        assert {value.seq for value in blame(history, 1, ("value", 1)).values} == {0}
        assert {value.value: value.seq for value in blame(history, 1, ("value", 2)).values}[6] == 1


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_sign_between_cells_is_told_by_the_content(sign: str) -> None:
    text = "a,b,c\n1,x y,2.5\n2,,-3\n".replace(",", sign)
    assert read(text) == [{"a": 1, "b": "x y", "c": 2.5}, {"a": 2, "b": "", "c": -3}]


@pytest.mark.parametrize(("text", "rows"), [
    ("", []), ("a,b\n", []), ("1,2\n3,4\n", [{"column 1": 1, "column 2": 2}, {"column 1": 3, "column 2": 4}]),
    ("a,a\nb,c\n", [{"column 1": "a", "column 2": "a"}, {"column 1": "b", "column 2": "c"}]),
    ("a,b\n1\n1,2,3\n", [{"a": 1}, {"a": 1, "b": 2, "column 3": 3}]),
    ("id,zip\n1,00123\n2,1.50\n3,+1\n4,1e5\n5,12345678901234567890123\n", [
        {"id": 1, "zip": "00123"}, {"id": 2, "zip": "1.50"}, {"id": 3, "zip": "+1"}, {"id": 4, "zip": "1e5"},
        {"id": 5, "zip": "12345678901234567890123"}]),
    ('a,b\n1,"x, ""y""\nz"\n', [{"a": 1, "b": 'x, "y"\nz'}]),
])  # fmt: skip
def test_cells_and_columns(text: str, rows: list[dict[str, Any]]) -> None:
    assert read(text) == rows


@given(st.lists(st.lists(st.text(alphabet='ab,;"\n 1', max_size=5), min_size=3, max_size=3), max_size=6))
def test_what_a_table_writer_writes_comes_back(rows: list[list[str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["one", "two", "three"], *rows])
    assert [
        [str(cell) for cell in row.values()] for row in read(buffer.getvalue())
    ] == rows or ";" in buffer.getvalue()


def test_a_table_is_a_document_that_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("id\tn\n1\t5\n")
    with open_history(path) as history:
        path.with_suffix(".new").write_text("id\tn\n1\t6\n2\t7\n")
        path.with_suffix(".new").rename(path)
        assert history.refresh() == 1
        assert history.state(-1) == {"value": [{"id": 1, "n": 6}, {"id": 2, "n": 7}]}


def test_what_is_no_table_or_too_much_is_refused() -> None:
    with pytest.raises(BrokenText):
        parse_table(b'a,b\n1,"open\n', DEFAULT_LIMITS)
    with pytest.raises(BrokenText):
        parse_table(b"a,\xff\n", DEFAULT_LIMITS)
    with pytest.raises(TooMuch, match="nodes"):
        parse_table(b"a,b\n" + b"1,2\n" * 100, Limits(nodes=100))
