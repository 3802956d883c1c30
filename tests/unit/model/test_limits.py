"""Limits are named, raised, and counted before anything is made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool import open_history
from unspool.errors import ConfigError, LimitExceeded
from unspool.model import limits
from unspool.model.json_text import to_json
from unspool.model.limits import (
    DEFAULT_LIMITS,
    VARIABLE,
    Limits,
    in_force,
    limit_names,
    meaning_of,
    parse_limits,
    use,
)
from unspool_tui.cli import run


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    use(None)
    yield
    use(None)


def test_a_limit_is_written_with_the_usual_units() -> None:
    limits = parse_limits(
        ["nodes=20M", "document_bytes = 1Gi", "line_bytes=1.5k", "answer_seconds=0.5"], DEFAULT_LIMITS
    )
    assert (limits.nodes, limits.document_bytes, limits.line_bytes) == (20_000_000, 1 << 30, 1500)
    assert limits.answer_seconds == 0.5
    assert limits.depth == DEFAULT_LIMITS.depth


@pytest.mark.parametrize(
    "text", ["nodes", "nodes=", "nodes=0", "nodes=-1", "nodes=many", "nods=1", "=3", "nodes=1e9"]
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="nodes"):
        parse_limits([text], DEFAULT_LIMITS)


def test_every_limit_says_what_it_is_of_and_how_it_is_raised() -> None:
    for name in limit_names():
        assert meaning_of(name)
        assert f"--raise-limit {name}=N" in DEFAULT_LIMITS.remedy(name)


def test_the_environment_raises_limits_and_a_misspelt_one_is_told_to_who_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    path.write_text("[1, 2, 3]")
    monkeypatch.setenv(VARIABLE, "nodes=7, files=3")
    assert in_force() == Limits(nodes=7, files=3)
    monkeypatch.setenv(VARIABLE, "nods=7")
    assert in_force() == DEFAULT_LIMITS
    with pytest.raises(ConfigError, match=VARIABLE):
        open_history(path)


def test_a_refusal_names_the_limit_and_the_option_lifts_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "state.json"
    path.write_text(to_json([1] * 100))
    with pytest.raises(LimitExceeded, match=r"state\.json: .*limit nodes is 50.*--raise-limit nodes=N"):
        open_history(path, limits=Limits(nodes=50))
    assert run(["log", str(path), "--raise-limit", "nodes=50"]) == 3
    assert "--raise-limit nodes=N" in capfd.readouterr().err
    assert run(["log", str(path), "--raise-limit", "nodes=1k"]) == 0
    assert run(["log", str(path), "--raise-limit", "nodes=x"]) == 2


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**60) | st.floats(allow_nan=False) | st.text(max_size=40)
    | st.sampled_from(["[,", '"{:\\', "x" * 300, "y" * 70_000]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=6),
    max_leaves=30,
)  # fmt: skip


def nodes(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(nodes, value.values()))
    return 1 + sum(map(nodes, value)) if isinstance(value, list) else 1


@given(value=VALUES)
def test_json_is_never_counted_too_low(value: Any) -> None:
    text = to_json(value).encode()
    exact = nodes(value)
    if exact > 1:
        assert limits.json_holds_more_than(text, exact - 1) >= exact
    # Each container has a sign of its own, and each member one: nothing is counted more than twice.
    assert limits.json_holds_more_than(text, 2 * exact) == 0


@settings(max_examples=examples(100))
@given(value=VALUES, more=st.binary(max_size=300))
def test_msgpack_is_counted_exactly_where_it_is_walked(
    value: Any, more: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_HEAVY_BYTES", 0)
    whole = [value, more, msgpack.ExtType(5, more), msgpack.ExtType(7, b"12345678"), [[]] * 40, [{}] * 70_000]
    packed, exact = msgpack.packb(whole), nodes([value, 0, 0, 0, [[]] * 40, [{}] * 70_000])
    assert limits.msgpack_holds_more_than(packed, exact - 1)
    assert not limits.msgpack_holds_more_than(packed, exact)


def test_few_bytes_are_not_looked_at() -> None:
    assert limits.json_holds_more_than(b"[" * 10, 10) == 0
    assert not limits.msgpack_holds_more_than(b"\x90" * 10, 10)


def test_the_documentation_lists_the_limits_there_are() -> None:
    page = (Path(__file__).parents[3] / "docs" / "security.md").read_text()
    table = page.split("<!-- limits: begin -->\n")[1].split("<!-- limits: end -->")[0]
    rows = [f"| `{name}` | {getattr(DEFAULT_LIMITS, name):,} | {meaning_of(name)} |" for name in limit_names()]
    assert table == "| Limit | Value | Of what |\n|---|--:|---|\n" + "\n".join(rows) + "\n"
