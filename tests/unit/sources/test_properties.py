"""Property files mean what they mean to Java, and are followed as every file that an app rewrites."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.waiting import wait_until
from unspool import open_history
from unspool.model.json_exact import BrokenText, Parsed, TooMuch
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.values import Value
from unspool.sources.documents import kind_of, parse_properties


def read(text: str) -> Value:
    return parse_properties(text.encode(), DEFAULT_LIMITS).value


def stored(text: str) -> str:
    """Return a text as Java's `Properties.store` writes it: in ASCII, with a pair of escapes for the largest signs."""
    units = text.encode("utf-16-be", "surrogatepass")
    codes = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(chr(code) if chr(code).isalnum() and code < 128 else f"\\u{code:04x}" for code in codes)


@pytest.mark.parametrize(
    "text", ["k=v", "k:v", "k v", "  k = v", "k\t:\fv", "k\\\n  =v", "k=\\\r\n  v", "k=\\v", "k=v\\", "\\u006b v"]
)
def test_one_pair_is_spelled_in_many_ways(text: str) -> None:
    assert read(text) == {"k": "v"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("# a=1\n  ! b=2\n\n \t\nc=3", {"c": 3}),
        ("a=1 # no comment\rb=2\r\nc=3\n", {"a": "1 # no comment", "b": 2, "c": 3}),
        ("a\\ b\\=c\\:d = e ", {"a b=c:d": "e "}),
        ("a = b=c:d", {"a": "b=c:d"}),
        ("a\n=b\n:\n", {"a": "", "": ""}),
        ("a=x,\\\n\t# y,\\\n\n#b=2", {"a": "x,# y,"}),
        ("a=x\\\\\nb=2", {"a": "x\\", "b": 2}),
        ("# comment \\\na=1", {"a": 1}),
        (r"a=\t\n\r\f\q\"", {"a": '\t\n\r\fq"'}),
        (r"a=\ud83d\ude00 \ud83d", {"a": "😀 \ud83d"}),
        ("a=007\nb=1.50\nc=1.5\nd=-3\ne=1e3\nf=true\ng= 5 ", {"a": "007", "b": "1.50", "c": 1.5, "d": -3, "e": "1e3", "f": "true", "g": "5 "}),
        ("a\x0bb=\x1c\u2028c", {"a\x0bb": "\x1c\u2028c"}),
        ("\\\n\n#a", {}),
        ("\\\n#a", {"#a": ""}),
        ("", {}),
    ],
)  # fmt: skip
def test_what_java_reads_is_read(text: str, value: Value) -> None:
    assert read(text) == value


@given(st.dictionaries(st.text(), st.text().map(lambda text: f"{text}."), max_size=4))
def test_what_java_stores_is_read_back(pairs: dict[str, str]) -> None:
    lines = ["#Mon Nov 30 07:00:00 UTC 2026", *(f"{stored(key)}={stored(value)}" for key, value in pairs.items())]
    assert read("\n".join(lines)) == pairs


@given(st.text(st.sampled_from("ab=: \t\f\\\n\r#!u0041"), max_size=30))
def test_any_text_is_pairs_or_lacks_digits(text: str) -> None:
    try:
        value = read(text)
    except BrokenText as error:
        assert "\\u" in text
        assert text[error.offset :].strip()
    else:
        assert isinstance(value, dict)


def test_bytes_that_are_no_utf_8_are_iso_8859_1() -> None:
    data = "Übung=Größe".encode("latin-1")
    assert kind_of(data, "a.properties") == "properties"
    assert parse_properties(data, DEFAULT_LIMITS) == Parsed({"Übung": "Größe"})


def test_of_a_key_that_stands_twice_the_last_counts_and_it_is_told() -> None:
    assert parse_properties(b"a=1\nb=2\n\\u0061=3", DEFAULT_LIMITS) == Parsed({"a": 3, "b": 2}, "a")


@pytest.mark.parametrize(("text", "is_cut"), [("a=1\r\n# b\r\nc=\\u12", True), ("a=1\n#\nc=\\u12g4\nd=1", False)])
def test_an_escape_without_its_digits_names_its_line(text: str, is_cut: bool) -> None:
    with pytest.raises(BrokenText, match="four hexadecimal digits at line 3") as caught:
        read(text)
    assert caught.value.is_cut_short == is_cut
    assert text[caught.value.offset] == "c"


def test_more_pairs_than_the_limits_allow_are_refused() -> None:
    data = b"".join(b"k%d=1\n" % number for number in range(51))
    with pytest.raises(TooMuch, match="nodes"):
        parse_properties(data, Limits(nodes=100))
    assert parse_properties(data, Limits(nodes=102)).value


def test_a_file_that_an_app_rewrites_is_followed(tmp_path: Path) -> None:
    path, part = tmp_path / "app.properties", tmp_path / "new"
    path.write_text("server.port=8080\nmode=slow\n")
    with open_history(path) as history:
        part.write_text("# by hand\nserver.port: 8081\nmode = slow\n")
        part.replace(path)
        wait_until(lambda: bool(history.refresh()) or len(history) > 1)
        assert [history.state(seq) for seq in (0, 1)] == [
            {"server.port": 8080, "mode": "slow"},
            {"server.port": 8081, "mode": "slow"},
        ]
        assert [change.atom for change in history.diff(0, 1).changes] == ["server.port"]
        assert history.verdict.status == "complete"
