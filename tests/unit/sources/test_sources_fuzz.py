"""Whatever a file holds, opening it ends in a verdict or a typed error, never in a traceback."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.at_rest import at_rest
from support.examples import examples
from support.foreign_sources import FILES as FIXTURE_FILES
from support.foreign_sources import FIXTURES
from unspool import open_history
from unspool.errors import UnspoolError
from unspool.history.verdict import VerdictStatus
from unspool.sources.detection import FORMATS

FILES = [*FIXTURE_FILES, *sorted((FIXTURES / "seeds").iterdir())]
NASTY = (
    b"\x00",
    b"\xff",
    b"\n",
    b"[",
    b"{",
    b'"',
    b"1e999",
    b"NaN",
    b"null",
    b"\\ud800",
    b"-",
    b"99999999999999999999",
    b":",
    b",",
)


@st.composite
def mutations(draw: st.DrawFn) -> list[tuple[str, float, float, bytes]]:
    """Draw edits: what is done, where (as a share of the file), how much, and with what."""
    kinds = st.sampled_from(("flip", "cut", "drop", "insert", "repeat"))
    pieces = st.sampled_from(NASTY) | st.binary(min_size=1, max_size=8)
    edit = st.tuples(kinds, st.floats(0, 1), st.floats(0, 0.3), pieces)
    return draw(st.lists(edit, min_size=1, max_size=4))


def mutated(data: bytes, edits: list[tuple[str, float, float, bytes]]) -> bytes:
    for kind, where, share, piece in edits:
        place, size = int(len(data) * where), int(len(data) * share)
        if kind == "flip":
            data = data[:place] + piece + data[place + len(piece) :]
        elif kind == "cut":
            data = data[:place]
        elif kind == "drop":
            data = data[:place] + data[place + size :]
        elif kind == "insert":
            data = data[:place] + piece + data[place:]
        else:
            data = data[:place] + data[place : place + size] * 2 + data[place + size :]
    return data


def look_at_everything(path: Path, format_name: str | None = None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            history = open_history(path, format=format_name, follow=False)
        except UnspoolError as error:
            assert "\n" not in str(error)
            return
        with history:
            for entry in history:
                history.state(entry.seq)
            assert history.verdict.status is VerdictStatus.COMPLETE or (history.verdict.problems and len(history))
            assert history.refresh() == 0


@pytest.mark.one_in(2)
@pytest.mark.parametrize("fixture", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
@settings(max_examples=examples(40))
@given(edits=mutations())
def test_a_mutated_file_gives_a_verdict_or_a_typed_error(
    fixture: Path, edits: list[tuple[str, float, float, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / fixture.name
    path.write_bytes(mutated(fixture.read_bytes(), edits))
    look_at_everything(at_rest(path))


@pytest.mark.one_in(4)
@pytest.mark.parametrize("fixture", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
@pytest.mark.parametrize("format_name", [item.name for item in FORMATS])
def test_a_file_forced_into_any_format_gives_a_verdict_or_a_typed_error(fixture: Path, format_name: str) -> None:
    look_at_everything(fixture, format_name)


@settings()
@given(data=st.binary(max_size=200))
@example(data=b"\x81\xa1a\xc1")
@example(data=b"\x80")
@example(data=b"[[[[")
@example(data=b"a: [b\n")
@example(data=b"x = \n")
@example(data=b"\xff\xfe{\x00}\x00")
@pytest.mark.parametrize("name", ["thing", "thing.json", "thing.jsonl", "thing.toml", "thing.yaml", "thing.msgpack"])
def test_random_bytes_give_a_verdict_or_a_typed_error(
    data: bytes, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / name
    path.write_bytes(data)
    look_at_everything(at_rest(path))


@settings()
@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["state", "timestamp", "action", "type", "changes", "payload", "op", "path", "value", "$jsan", "__type",
                 "__ref", "__id", "entries", "events", "metadata", "id", "snapshots", "actionsById", "stagedActionIds",
                 "computedStates", "removed_keys", "data", "preloadedState", "baseSnapshotId", "snapshot", "event"]
            ),
            inner,
            max_size=5,
        ),
        max_leaves=20,
    ),
    lines=st.booleans(),
)  # fmt: skip
def test_documents_with_telling_keys_give_a_verdict_or_a_typed_error(
    data: object, lines: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from unspool.model.json_text import to_json

    path = tmp_path_factory.mktemp("fuzz") / "thing"
    path.write_text(f"{to_json(data)}\n" * (3 if lines else 1))
    for format_name in (
        None,
        "redux",
        "nexus",
        "delta-records",
        "temporal",
        "xstate",
        "rrweb",
        "json-patch",
        "events",
        "jsonl",
    ):
        look_at_everything(path, format_name)
