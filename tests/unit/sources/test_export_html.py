"""The report: one inert file without network, whose data rebuild every state, kept to a size."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.recording import record_shop
from support.values import json_values
from unspool import History, Recorder, open_history
from unspool.model.values import json_equal
from unspool.sources.exports import ExportOptions, Holes, export_lines
from unspool.sources.exports.html_report import report_data
from unspool.sources.formats.patches import apply_operation

EVIL = (
    "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>\" onload='x' &amp; \u2028\u202e\x1b[31m\x00"
)
texts = st.sampled_from([EVIL, "</SCRIPT ", "<!--", "]]>", "$.a", "__proto__", "a/b~c"]) | st.text(max_size=5)
hostile = st.recursive(
    json_values | texts, lambda inner: st.dictionaries(texts, inner, max_size=3), max_leaves=8
)  # fmt: skip


def operation(kind: str, path: str, rest: Any = None) -> dict[str, Any]:
    """Return the RFC 6902 operation that the page writes in short."""
    name = {"add": "add", "rem": "remove", "rep": "replace", "mov": "move"}[kind]
    return {"op": name, "path": path} | (
        {"from": rest} if name == "move" else {"value": rest} if name != "remove" else {}
    )


class Page(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.contents: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag in self.contents:
            self.contents[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.contents:
            self.contents[self._inside][-1] += data
        else:
            self.text += data

    @property
    def data(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.contents["script"][0])
        document["patches"] = [[operation(*step) for step in patch] for patch in document["patches"]]
        document["follows"] = document["follows"] or [max(0, number - 1) for number in range(len(document["seqs"]))]
        return document


def report(history: History, **options: Any) -> Page:
    return Page("\n".join(export_lines(history, "html", ExportOptions(**options))))


def plain(value: Any) -> Any:
    """Undo the marks for numbers that JavaScript would change."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"$int"}:
            return int(value["$int"])
        if value.keys() == {"$float"}:
            return float(value["$float"])
        return {key: plain(item) for key, item in value.items()}
    return value


def rebuilt(data: dict[str, Any]) -> list[Any]:
    states = [data["base"]]
    for patch in data["patches"][1:]:
        document = states[-1]
        for operation in patch:
            document = apply_operation(document, operation)
        states.append(document)
    return [plain(state) for state in states]


@settings(max_examples=examples(80))
@given(
    states=st.lists(st.dictionaries(texts, hostile, max_size=3), min_size=1, max_size=4),
    action=texts,
)
def test_whatever_was_recorded_the_page_is_the_same_page_with_other_data(
    states: list[dict[str, Any]], action: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("report") / "<i>x&amp;'.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for state in states:
            recorder.record(state, action, meta={"who": EVIL})
    with open_history(path) as history:
        page = report(history)
    assert [tag for tag, _ in page.tags if tag in ("script", "style", "img", "link", "iframe", "object")] == [
        "style",
        "script",
        "script",
    ]
    assert sum(tag == "li" for tag, _ in page.tags) == len(states)
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name in ("src", "href", "style") for name in attributes)
    assert len(page.contents["script"]) == 2
    for state, found in zip(states, rebuilt(page.data), strict=True):
        assert json_equal(found, state)
    assert all(meta == {"who": EVIL} for meta in page.data["meta"].values())


def test_nothing_but_its_own_script_and_style_may_run_and_nothing_is_fetched(tmp_path: Path) -> None:
    record_shop(tmp_path / "shop.unspool", 5)
    with open_history(tmp_path / "shop.unspool") as history:
        page = report(history)
    policy = next(attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    for content in (page.contents["script"][1], page.contents["style"][0]):
        assert base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() in policy
    everything = page.contents["script"][1] + page.contents["style"][0]
    assert not any(
        word in everything for word in ("http:", "https:", "url(", "@import", "innerHTML", "fetch(", "eval(")
    )


def test_what_acts_in_text_is_spelled_out(tmp_path: Path) -> None:
    with Recorder(tmp_path / "x.unspool") as recorder:
        recorder.record({"a": 1}, EVIL)
    with open_history(tmp_path / "x.unspool") as history:
        page = report(history)
    assert "\\u202e\\u001b[31m\\u0000" in page.text
    assert not any(character in page.text for character in "\u202e\x1b\x00\u2028")


def test_the_header_tells_how_much_there_is(tmp_path: Path) -> None:
    record_shop(tmp_path / "shop.unspool", 40)
    with open_history(tmp_path / "shop.unspool") as history:
        page = report(history, made_ns=1_700_000_000_000_000_000)
        assert "report made 2023-11-14 22:13:20" in page.text
        assert "report made" not in report(history).text
    assert "40 entries" in page.text
    assert "2023-11-14 22:13:20 to 2023-11-14 22:13:29" in page.text


def test_a_report_that_would_be_too_large_shows_some_of_the_entries_and_says_so(tmp_path: Path) -> None:
    states = record_shop(tmp_path / "shop.unspool", 300)
    with open_history(tmp_path / "shop.unspool") as history:
        whole = report(history)
        assert "This report shows" not in whole.text
        data = report_data(history, 25_000, Holes())
        page = report(history, max_bytes=25_000)
    shown = page.data["seqs"]
    assert 2 < len(shown) < 300
    assert (shown[0], shown[-1]) == (0, 299)
    assert f"shows {len(shown)} of 300 entries" in page.text
    assert len(data.base) + sum(map(len, data.patches)) <= 40_000
    for seq, found in zip(shown, rebuilt(page.data), strict=True):
        assert json_equal(found, states[seq])


def test_a_value_that_is_too_large_is_left_out_and_marked(tmp_path: Path) -> None:
    with Recorder(tmp_path / "x.unspool") as recorder:
        recorder.record({"small": 1, "large": ["x" * 1000] * 1000})
        recorder.record({"small": 2, "large": ["y" * 1000] * 1000})
    with open_history(tmp_path / "x.unspool") as history:
        page = report(history, max_bytes=100_000)
    assert "too large for this report" in page.text
    assert len(page.contents["script"][0]) < 100_000
    assert rebuilt(page.data)[1]["small"] == 2
    assert "left out" in json.dumps(page.data["base"]["large"])


def test_many_small_values_beyond_the_size_are_left_out_too(tmp_path: Path) -> None:
    with Recorder(tmp_path / "x.unspool") as recorder:
        recorder.record({f"atom{n}": "x" * 2000 for n in range(200)})
    with open_history(tmp_path / "x.unspool") as history:
        page = report(history, max_bytes=100_000)
    assert len(page.data["base"]) == 200
    assert len(page.contents["script"][0]) < 100_000


def test_a_source_that_was_read_in_part_says_so(tmp_path: Path) -> None:
    path = tmp_path / "states.jsonl"
    path.write_text('{"n": 1}\n{"n": <b>oops</b>}\n{"n": 2}\n')
    with open_history(path, follow=False) as history:
        page = report(history)
    assert "Only a part of the source could be read" in page.text
    assert not any(tag == "b" and not attributes for tag, attributes in page.tags[:6])


def test_depth_and_long_text_are_no_matter(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    with Recorder(tmp_path / "x.unspool", on_error="raise") as recorder:
        recorder.record({"deep": deep, "long": "x" * 200_000})
        recorder.record({"deep": [deep], "long": ""})
    with open_history(tmp_path / "x.unspool") as history:
        text = "\n".join(export_lines(history, "html"))
    assert '"$cut"' in text
    assert '"length":200000' in text
    assert len(text) < 400_000


def test_numbers_that_javascript_would_change_are_kept_as_text(tmp_path: Path) -> None:
    with Recorder(tmp_path / "x.unspool") as recorder:
        recorder.record({"big": 2**60, "whole": 1.0, "small": 7, "part": 0.5})
    with open_history(tmp_path / "x.unspool") as history:
        base = report(history).data["base"]
    assert base == {"big": {"$int": str(2**60)}, "whole": {"$float": "1.0"}, "small": 7, "part": 0.5}


@settings(max_examples=examples(30))
@given(parents=st.lists(st.integers(0, 11), min_size=1, max_size=12), most=st.sampled_from((3, 50)))
def test_in_a_forked_history_each_entry_is_compared_with_the_one_it_follows(
    parents: list[int], most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("forks")
    with Recorder(folder / "f.unspool", on_error="raise") as recorder:
        recorder.record({"n": 0})
        for seq, parent in enumerate(parents, start=1):
            recorder.record({"n": seq, f"at {seq % 4}": seq}, parent_seq=min(parent, seq - 1))
    with open_history(folder / "f.unspool") as history, pytest.MonkeyPatch.context() as patching:
        patching.setattr("unspool.sources.exports.html_report.MOST_ENTRIES", most)
        data = report(history).data
        for place, seq in enumerate(data["seqs"][1:], start=1):
            base = data["seqs"][data["follows"][place]]
            ancestor = history[seq].parent_seq
            while ancestor not in data["seqs"]:
                ancestor = history[ancestor].parent_seq
            assert base == ancestor
            state: Any = history.state(base)
            for operation in data["patches"][place]:
                state = apply_operation(state, operation)
            assert json_equal(state, history.state(seq))
