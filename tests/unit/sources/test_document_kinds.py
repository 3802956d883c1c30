"""Every kind of document holds to what its row in the table says, flat ones too, and the pages name them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.foreign_sources import DOCUMENT_SAMPLES, Rows
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
from unspool.sources.formats.states import document_entry

ROOT = Path(__file__).parents[3]
names = st.lists(st.from_regex(r"[a-z]{2,6}", fullmatch=True), min_size=1, max_size=4, unique=True)
cells = st.integers(-(10**6), 10**6) | st.from_regex(r"[a-z ]{1,8}[a-z]", fullmatch=True)
tables = names.flatmap(
    lambda keys: st.lists(st.fixed_dictionaries(dict.fromkeys(keys, cells)), min_size=1, max_size=4)
)
every_kind = pytest.mark.parametrize("kind", DOCUMENTS, ids=lambda kind: kind.name)


def sample_of(kind: DocumentKind, number: int) -> bytes:
    """Return one of the documents that others write."""
    sample = DOCUMENT_SAMPLES[kind.name]
    return sample.write(sample.states[number])


def test_tests_know_every_kind() -> None:
    assert list(DOCUMENT_SAMPLES) == list(DOCUMENT_KINDS)


@every_kind
def test_every_ending_leads_to_its_kind(kind: DocumentKind) -> None:
    data = sample_of(kind, 1)
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
    sample = DOCUMENT_SAMPLES[kind.name]
    assert kind_of(sample_of(kind, 1)) == (sample.unnamed if kind.looks_so is None else kind.name)


@every_kind
@settings(max_examples=examples(40))
@given(rows=tables)
def test_records_that_others_write_are_read_as_they_are(kind: DocumentKind, rows: Rows) -> None:
    sample = DOCUMENT_SAMPLES[kind.name]
    state = sample.of_rows(rows)
    assert document_entry(parse_document(sample.write(state), kind.name).value, 0).state == state


@every_kind
def test_a_kind_is_endless_where_half_of_it_reads_as_something_else(kind: DocumentKind) -> None:
    data = sample_of(kind, -1).rstrip()
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


def test_the_page_lists_every_kind_of_document_with_its_endings() -> None:
    rows = [row[:3] for row in _rows("docs/formats.md", "`--format` | Kind")]
    endings = (" ".join(f"`{suffix}`" for suffix in kind.suffixes) for kind in DOCUMENTS)
    assert rows == [[f"`{kind.name}`", kind.title, ends] for kind, ends in zip(DOCUMENTS, endings, strict=True)]
