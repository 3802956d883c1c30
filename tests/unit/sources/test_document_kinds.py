"""Every kind of document holds to what its row in the table says, flat ones too, and the pages name them all."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgpack
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.foreign_sources import WRITTEN, states_of
from unspool.model.json_exact import BrokenText
from unspool.model.limits import DEFAULT_LIMITS
from unspool.sources.detection import FORMATS
from unspool.sources.documents import (
    COMPRESSED_SUFFIXES,
    DOCUMENT_KINDS,
    DOCUMENTS,
    LINE_SUFFIXES,
    SUFFIXES,
    DocumentKind,
    kind_of,
    parse_document,
)
from unspool.sources.formats.directory import is_text_by_name

ROOT = Path(__file__).parents[3]
Rows = list[dict[str, Any]]


def _toml(rows: Rows) -> bytes:
    tables = ("[[rows]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in row.items()) for row in rows)
    return "".join(tables).encode()


def _csv(rows: Rows) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def _properties(rows: Rows) -> bytes:
    cells = ((f"{number}.{key}", value) for number, row in enumerate(rows) for key, value in row.items())
    return "".join(f"{key} = {str(value).replace(' ', chr(92) + ' ')}\n" for key, value in cells).encode()


def _rows_of_properties(state: dict[str, Any]) -> Rows:
    rows: dict[str, dict[str, Any]] = {}
    for key, value in state.items():
        number, name = key.split(".")
        rows.setdefault(number, {})[name] = value
    return list(rows.values())


FLAT: dict[str, Callable[[Rows], bytes]] = {
    "json": lambda rows: json.dumps({"rows": rows}).encode(),
    "toml": _toml,
    "yaml": lambda rows: yaml.safe_dump({"rows": rows}, sort_keys=False).encode(),
    "msgpack": lambda rows: msgpack.packb({"rows": rows}),
    "csv": _csv,
    "properties": _properties,
}
"""Writers of other hands: the least that every kind can hold, records with the same fields."""
READ_BACK: dict[str, Callable[[Any], Rows]] = {"csv": list, "properties": _rows_of_properties}
"""How those records stand in a document, where not as `rows` of it."""
WITHOUT_NAME = {"csv": None, "properties": "toml"}
"""What a document is taken for without its name, where not for what it is."""
names = st.lists(st.from_regex(r"[a-z]{2,6}", fullmatch=True), min_size=1, max_size=4, unique=True)
cells = st.integers(-(10**6), 10**6) | st.from_regex(r"[a-z ]{1,8}[a-z]", fullmatch=True)
tables = names.flatmap(
    lambda keys: st.lists(st.fixed_dictionaries(dict.fromkeys(keys, cells)), min_size=1, max_size=4)
)
every_kind = pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.name)


def test_tests_know_every_kind() -> None:
    assert set(WRITTEN) == set(FLAT) == set(DOCUMENT_KINDS)


@every_kind
def test_every_ending_leads_to_its_kind(kind: DocumentKind) -> None:
    data = WRITTEN[kind.name](states_of(kind.name)[1])
    for suffix in kind.suffixes:
        assert kind_of(data, f"Some.File{suffix.upper()}") == kind.name
        for packed in COMPRESSED_SUFFIXES:
            assert kind_of(data, f"file{suffix}{packed}") == kind.name


def test_no_ending_promises_two_things() -> None:
    assert len(SUFFIXES) == sum(len(kind.suffixes) for kind in DOCUMENTS)
    assert SUFFIXES.keys().isdisjoint((*LINE_SUFFIXES, *COMPRESSED_SUFFIXES))
    assert not any(is_text_by_name(f"file{suffix}") for suffix in SUFFIXES)


@every_kind
def test_a_kind_that_shows_by_its_content_needs_no_name(kind: DocumentKind) -> None:
    found = kind_of(WRITTEN[kind.name](states_of(kind.name)[1]))
    assert found == WITHOUT_NAME.get(kind.name, kind.name)


@every_kind
@settings(max_examples=examples(40))
@given(rows=tables)
def test_records_that_others_write_are_read_as_they_are(kind: DocumentKind, rows: Rows) -> None:
    value = parse_document(FLAT[kind.name](rows), kind.name).value
    assert READ_BACK.get(kind.name, itemgetter("rows"))(value) == rows


@every_kind
def test_a_kind_is_endless_where_half_of_it_reads_as_something_else(kind: DocumentKind) -> None:
    data = WRITTEN[kind.name](states_of(kind.name)[-1]).rstrip()
    whole = parse_document(data, kind.name).value
    others = 0
    for size in range(1, len(data)):
        try:
            others += kind.parse(data[:size], DEFAULT_LIMITS).value != whole
        except BrokenText:
            continue
    assert bool(others) == kind.is_endless


def _rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the table that begins with a heading."""
    lines = (ROOT / page).read_text("utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    table = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return table


def test_the_page_lists_the_formats_there_are_and_which_grow() -> None:
    rows = _rows("docs/formats.md", "`--format`")
    assert [row[0].strip("`") for row in rows] == [item.name for item in FORMATS]
    assert {row[0].strip("`") for row in rows if row[2] != "no"} == {item.name for item in FORMATS if item.is_live}


@pytest.mark.parametrize(("page", "heading"), [("docs/formats.md", "`--format`"), ("README.md", "You have")])
def test_the_pages_name_every_kind_of_document(page: str, heading: str) -> None:
    row = next(" ".join(row) for row in _rows(page, heading) if "that an app rewrites" in " ".join(row))
    assert [kind.title for kind in DOCUMENTS if not re.search(rf"\b{kind.title}\b", row)] == []
    text = (ROOT / "docs/formats.md").read_text("utf-8")
    assert all(f"`{kind.name}`" in text for kind in DOCUMENTS)
