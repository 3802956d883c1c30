"""Diffs as a person tells them: the smallest true story of each change, written by hand, and the words on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
from benchmarks.diff_quality import load, main, words

from unspool.delta.apply import apply_ops
from unspool.delta.structural import diff_values
from unspool.model.values import strict_equal
from unspool_tui.cli import run

ALL = load()


def test_there_are_enough_pairs_of_every_kind_and_no_two_are_one() -> None:
    assert len(ALL) >= 60
    assert (
        len({pair["name"] for pair in ALL})
        == len({json.dumps([pair["old"], pair["new"]]) for pair in ALL})
        == len(ALL)
    )
    assert [pair["name"] for pair in ALL if "ours" in pair] == ["a key renamed"]


@pytest.mark.parametrize("pair", ALL, ids=lambda pair: pair["name"].replace(" ", "_"))
def test_a_change_is_told_in_the_fewest_true_steps(pair: dict[str, Any]) -> None:
    ops = diff_values(pair["old"], pair["new"])
    assert [words(op) for op in ops] == pair.get("ours", pair["story"])
    assert strict_equal(apply_ops(pair["old"], ops), pair["new"])


@pytest.mark.one_in(3)
@pytest.mark.parametrize("pair", ALL, ids=lambda pair: pair["name"].replace(" ", "_"))
def test_the_command_line_shows_as_many_steps_and_a_patch_that_leads_there(
    pair: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pair.jsonl"
    path.write_text(
        "".join(json.dumps({"timestamp": 1714557600, "state": pair[side]}) + "\n" for side in ("old", "new"))
    )
    assert run(["diff", str(path), "0", "1"]) == 0
    out = capsys.readouterr().out
    for piece in pair.get("shown", ()):
        assert piece in out
    steps = [line for line in out.splitlines() if line.startswith(("    + ", "    - ", "    ~ "))]
    whole = [line for line in out.splitlines()[1:] if line.startswith(("+ ", "- ", "~ ")) and " -> " in line]
    if "shown" not in pair:
        assert len(steps) + len(whole) == len(pair.get("ours", pair["story"])), out
    assert run(["diff", str(path), "0", "1", "--patch"]) == 0
    assert strict_equal(jsonpatch.apply_patch(pair["old"], json.loads(capsys.readouterr().out)), pair["new"])


def test_the_report_is_written_and_names_tools_that_were_not_run(tmp_path: Path) -> None:
    out = tmp_path / "report.md"
    main(["--out", str(out)])
    text = out.read_text()
    assert "Not run, for it could not be had where this page was made: jsondiffpatch, dyff." in text
    assert (
        f"| unspool | {sum(len(pair.get('ours', pair['story'])) for pair in ALL)} | {len(ALL) - 1} | 1 | 0 |" in text
    )
