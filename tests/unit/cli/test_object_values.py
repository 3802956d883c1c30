"""What the command line says of objects and of keys of any type."""

import enum
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from unspool import Recorder
from unspool_tui.cli import run


class Mode(enum.Enum):
    IDLE = "i"
    BUSY = "b"


@dataclass
class Cart:
    total: int


@pytest.fixture
def objects(tmp_path: Path) -> str:
    path = tmp_path / "objects.unspool"
    with Recorder(path) as recorder:
        for total, mode in ((5, Mode.IDLE), (6, Mode.BUSY)):
            carts = [Cart(total)] if total == 5 else [Cart(total), Cart(0)]
            grid = {(1, 2): {None: total}, True: "yes", 200: {"ok": total > 5}, "200": "text"}
            recorder.record({"carts": carts, "mode": mode, "grid": grid}, f"total {total}")
    return str(path)


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert run(list(words)) == code
    told = capsys.readouterr()
    return told.err if code else told.out


def test_diff_names_fields_keys_and_types(objects: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "diff", objects, "0", "1")
    for line in (
        "~ [0].total  5 -> 6", '+ [1]  Cart {"total":0}', '~ mode  Mode.IDLE ("i") -> Mode.BUSY ("b")',
        "~ [(1, 2)][None]  5 -> 6", "~ [200].ok  false -> true",
    ):  # fmt: skip
        assert line in told


@pytest.mark.parametrize(
    ("path", "value"),
    [("carts[0].total", "6"), ("grid[(1, 2)][None]", "6"), ("grid[200].ok", "true"), ('grid["200"]', '"text"'),
     ("grid[True]", '"yes"'), ("grid.200.ok", "true"), ("/grid/200/ok", "true"), ("mode.value", '"b"')],
)  # fmt: skip
def test_show_and_blame_take_every_path(
    objects: str, capsys: pytest.CaptureFixture[str], path: str, value: str
) -> None:
    assert said(capsys, "show", objects, "1", "--path", path) == f"{value}\n"
    assert f" = {value}  " in said(capsys, "blame", objects, path)
    told = json.loads(said(capsys, "blame", objects, path, "--json"))["values"]
    assert said(capsys, "show", objects, "1", "--path", told[0]["path"]) == f"{value}\n"


def test_json_of_a_diff_spells_keys_that_no_pointer_holds(objects: str, capsys: pytest.CaptureFixture[str]) -> None:
    changes = json.loads(said(capsys, "diff", objects, "0", "1", "--json"))["changes"]
    ops = {op["path"]: op for change in changes for op in change["ops"]}
    assert ops["/(1, 2)/None"]["at"] == "$[(1, 2)][None]"
    assert "at" not in ops["/0/total"]


def test_a_json_patch_is_refused_in_one_line(objects: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "diff", objects, "0", "1", "--patch", code=2)
    assert "a JSON Patch cannot hold the key" in told
    assert told.count("\n") == 1


def test_a_place_that_is_not_there_is_told_with_what_is(objects: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "$.mode has 'name', 'value'" in said(capsys, "show", objects, "1", "--path", "mode.nmae", code=2)
    assert "$.grid has (1, 2), True, 200, '200'" in said(capsys, "blame", objects, "grid[7]", code=2)
    assert "$.carts[0] has 'total'" in said(capsys, "blame", objects, "carts[0].totl", code=2)


def test_ambiguous_and_typed_questions_are_answered(objects: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "false -> true" in said(capsys, "bisect", objects, "mode == 'b'")
    assert "false -> true" in said(capsys, "bisect", objects, "grid[200].ok")
    assert "as a text and as another type" in said(capsys, "bisect", objects, 'grid."200".ok', code=2)
