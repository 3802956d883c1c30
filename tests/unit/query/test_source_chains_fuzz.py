"""Whatever becomes of a foreign file, the doctor gives a diagnosis and a repair a file, or one typed error."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_damage import checkpoints, delta_chain, event_log, nexus_items, nexus_lines, nexus_list, region

from support.examples import examples
from support.values import json_values
from unspool import open_history
from unspool.errors import UnspoolError
from unspool.query.doctor.diagnosis import diagnose
from unspool.query.repair import repair

BUILDERS = [nexus_list, nexus_lines, delta_chain, event_log, checkpoints, region]
edits = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4)


def examined_and_repaired(path: Path) -> None:
    """Examine a source and repair it; nothing but a typed error may come of it."""
    out = path.with_name("out.unspool")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_history(path, follow=False) as history:
                diagnosis = diagnose(history)
                report = repair(history, out)
    except UnspoolError as error:
        assert "\n" not in str(error)
        return
    assert diagnosis.complete
    assert report.complete
    assert report.kept + sum(hole.last - hole.first + 1 for hole in report.holes) == report.entries
    for finding in diagnosis.findings:
        assert "\n" not in finding.meaning + finding.where
        assert finding.first is None or 0 <= finding.first <= (finding.last or 0) < diagnosis.entries


@pytest.mark.one_in(2)
@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
@settings(max_examples=examples(40))
@given(edits=edits)
def test_bytes_that_were_overwritten(
    build: Any, edits: list[tuple[float, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = build(tmp_path_factory.mktemp("fuzz"))
    data = bytearray(path.read_bytes())
    for at, inserted in edits:
        place = int(at * (len(data) - len(inserted)))
        data[place : place + len(inserted)] = inserted
    path.write_bytes(bytes(data))
    examined_and_repaired(path)


@settings(max_examples=examples(80))
@given(data=st.data())
def test_parts_of_snapshots_that_are_something_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    items = nexus_items()
    for _ in range(data.draw(st.integers(1, 4))):
        item = items[data.draw(st.integers(0, len(items) - 1))]
        holder: Any = item
        key = data.draw(st.sampled_from(sorted(item)))
        if isinstance(item[key], dict) and item[key] and data.draw(st.booleans()):
            holder = item[key]
            key = data.draw(st.sampled_from(sorted(holder)))
        holder[key] = data.draw(st.one_of(json_values, st.sampled_from(["s0", "s5", "delta", "full"])))
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "history.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        examined_and_repaired(path)


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.99])
def test_a_source_that_is_cut_off(tmp_path: Path, build: Any, keep: float) -> None:
    path = build(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    examined_and_repaired(path)
