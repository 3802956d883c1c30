"""YAML: the quick reader says what the careful one says, several documents are several entries, and lock files are quick."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.git_repo import Repo
from support.values import json_states
from unspool import open_history
from unspool.model.json_exact import BrokenText
from unspool.model.limits import DEFAULT_LIMITS
from unspool.model.values import strict_equal
from unspool.sources import documents
from unspool.sources.documents import parse_yaml

ruamel = pytest.importorskip("ruamel.yaml")
yaml = pytest.importorskip("yaml")

TEXTS = [
    "a: 1", "a: +1\nb: 007\nc: 0x1F\nd: 0o17\ne: 1_000\nf: 1e5\ng: 1.5\nh: .5\ni: 1.\nj: .inf\nk: -.Inf\nl: .nan\nm: 0b11\n",
    "a: yes\nb: no\nc: on\nd: True\ne: ~\nf: null\ng: Null\nh:\ni: ''\nj: 'null'\nk: \"1\"\n", "1: a\ntrue: b\n~: c\n1.5: d\n",
    "a: 2024-05-01\nb: 2024-05-01T10:00:00Z\nc: 2024-05-01 10:00:00.5 +2\nd: 12:30:45\n", "- 1.2.3\n- 1.2\n- v1\n- -\n- --\n",
    "a: &x [1, {b: 2}]\nc: *x\nd: &y text\ne: *y\n", "a: &x {p: 1}\nb: {<<: *x, q: 2}\n", "a: !!str 1\nb: !!set {x, y}\n",
    "a: |\n  x\n  y\nb: >-\n  p\n  q\n\n  r\n", "? [1, 2]\n: x\n", "a: 1\na: 2\n", "a: b: c\n", "a: [1\n", "x", "", "# only\n",
    "---\na: 1\n---\nb: 2\n...\n", "%YAML 1.1\n---\na: yes\n", "a:\t1\n", "a: \"\\u00e9\\x41\\/\"\n", "{a: 1, b: [x, y, ], 'c': }\n",
    "a: http://x/y#z\nb: x # c\nc: 'it''s'\n", "- [a: 1, b]\n", "=: 1\na: =\n", "<<: 1\n", "&a : *a\n", "key: !foo 1\n",
    "a: 9223372036854775808\nb: -170141183460469231731687303715884105728\n", "- - - 1\n    - 2\n", "a: 'x\n\n  y'\n", "a: 1e1000\n", "a: 0.1e-7\n",
]  # fmt: skip


def outcome(read: Any, text: bytes) -> Any:
    try:
        return read(text, DEFAULT_LIMITS)
    except BrokenText as error:
        return str(error)


@pytest.mark.parametrize("text", TEXTS)
def test_the_quick_reader_says_what_the_careful_one_says(text: str) -> None:
    quick, careful = outcome(parse_yaml, text.encode()), outcome(documents._carefully, text.encode())
    assert strict_equal(quick, careful or [None]) if isinstance(quick, list) else quick == careful


def test_what_contains_itself_is_refused() -> None:
    with pytest.raises(BrokenText, match="contains itself"):
        parse_yaml(b"- &a [*a]\n")


SCALARS = st.sampled_from(["1", "01", "-0", "+1", "1.0", "1.", ".5", "1e3", "1e+3", "1E-3", "0x1f", "0o7", "0b1", "1_0", "~", "null", "true",
                           "yes", "x", "a b", "2024-01-01", "1:2", "<<", "=", "''", '"1"', "'x''y'", "- x", "[1, a]", "{p: 1}", "&k v",
                           "*k", "!t 1", "#c", "x #c", "é", ".inf", "-.INF", ".NaN", "\\n", '"\\n"', "|\n    x\n", ">\n    x\n"])  # fmt: skip


@given(st.lists(st.tuples(SCALARS, SCALARS), max_size=5), st.booleans())
def test_both_readers_agree_on_any_mixture(pairs: list[tuple[str, str]], as_list: bool) -> None:
    lines = (f"- {value}" if as_list else f"{key}: {value}" for key, value in pairs)
    text = "\n".join(lines).encode()
    quick, careful = outcome(parse_yaml, text), outcome(documents._carefully, text)
    assert strict_equal(quick, careful or [None]) if isinstance(quick, list) else quick == careful


@given(state=json_states)
def test_what_a_yaml_writer_writes_comes_back(state: dict[str, Any]) -> None:
    buffer = io.StringIO()
    try:
        json.dumps(state).encode()
        ruamel.YAML(typ="safe", pure=True).dump(state, buffer)
        text = buffer.getvalue().encode()
    except (UnicodeEncodeError, ruamel.error.YAMLError, ValueError):
        return
    quick, careful = outcome(parse_yaml, text), outcome(documents._carefully, text)
    assert strict_equal(quick, careful) if isinstance(quick, list) else quick == careful


def lock_file(packages: int) -> str:
    parts = [f"  /@scope/package-{n}@{n % 9}.{n % 7}.{n % 5}:\n    resolution: {{integrity: sha512-{n:064x}==}}\n"
             f"    engines: {{node: '>=10'}}\n    dependencies:\n      other-{n}: {n % 3}.0.{n % 11}\n    dev: true\n" for n in range(packages)]  # fmt: skip
    return "lockfileVersion: '6.0'\npackages:\n" + "\n".join(parts)


@pytest.mark.slow
def test_a_lock_file_is_read_ten_times_as_fast_as_before() -> None:
    text = lock_file(600).encode()
    started = time.process_time()
    careful = documents._carefully(text, DEFAULT_LIMITS)
    slow = time.process_time() - started
    parse_yaml(text)
    started = time.process_time()
    assert parse_yaml(text) == careful
    assert time.process_time() - started < slow / 4


def test_documents_of_a_file_are_entries_and_of_a_version_in_git_one_state(tmp_path: Path) -> None:
    text = "---\nkind: A\nn: 1\n---\nkind: A\nn: 2\n"
    path = tmp_path / "many.yaml"
    path.write_text(text)
    with open_history(path, follow=False) as history:
        assert [history.state(entry.seq) for entry in history] == [{"kind": "A", "n": 1}, {"kind": "A", "n": 2}]
    repo = Repo(tmp_path / "repo")
    repo.commit("many.yaml", text, "both")
    with open_history(f"git:{repo.folder}:many.yaml", follow=False) as history:
        assert history.state(0) == {"value": [{"kind": "A", "n": 1}, {"kind": "A", "n": 2}]}
