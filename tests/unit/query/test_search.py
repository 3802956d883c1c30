"""Search through time, checked against a scan of every state."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from question_histories import Told, brute_changed, damaged_shop, histories, tell, value_at

from unspool import open_history
from unspool.errors import CorruptHistory, EvaluationStopped, ExpressionError, QuestionError
from unspool.history import History
from unspool.model.encoding import encode
from unspool.model.json_text import to_json
from unspool.model.keys import format_path
from unspool.model.limits import Limits, use
from unspool.query import search as search_module
from unspool.query.expressions import Expression
from unspool.query.search import ChangeQuestion, HitKind, PatternQuery, TextQuery, parse_query, search
from unspool.query.search_queries import ComparisonQuery
from unspool.recorder import Recorder
from unspool.store import MemoryStore
from unspool.store.file import FileStore
from unspool_tui.cli import run


def _text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value)


def brute_search(told: Told, pattern: str) -> set[tuple[int, str, tuple[str | int, ...]]]:
    """Actions and callers that match, and keys, values and paths among all that every entry changed."""

    def matches(text: str) -> bool:
        return re.search(pattern, text) is not None

    found: set[tuple[int, str, tuple[str | int, ...]]] = set()
    for seq, state in enumerate(told.states):
        if matches(told.actions[seq]):
            found.add((seq, "action", ()))
        if (match := re.search(pattern, told.callers[seq])) and ":" in match[0]:
            found.add((seq, "caller", ()))
        for leaf in brute_changed(told, seq):
            if matches(_text(value_at(state, leaf))):
                found.add((seq, "value", leaf))
            named = False
            for size in range(1, len(leaf) + 1):
                step = leaf[size - 1]
                is_key = isinstance(step, str) and matches(step)
                if is_key:
                    found.add((seq, "key", leaf[:size]))
                elif not named and matches(format_path(leaf[:size])):
                    found.add((seq, "path", leaf[:size]))
                named = named or is_key or matches(format_path(leaf[:size]))
    return found


words = st.sampled_from(
    [
        "record",
        "value",
        "rec",
        "Record",
        "number 2",
        "tags",
        "name",
        "a",
        "1",
        "conf",
        "conf.k",
        "rows[1",
        "ows",
        "1.5",
        "tr",
        "null",
        "x",
        "xyz",
        "step",
        "Step 1",
        "p 2",
        "shop.py:42",
        "py:40 in Cart.add",
        "cart",
    ]
)


@given(histories(), words)
def test_a_text_is_found_where_what_holds_it_changed(told: Told, text: str) -> None:
    running = search(told.history, TextQuery(text))
    pattern = re.escape(text) if text != text.lower() else f"(?i){re.escape(text)}"
    assert {(hit.seq, hit.kind.value, hit.path) for hit in running} == brute_search(told, pattern)
    assert running.complete
    assert running.looked_at == len(told.states)


@given(
    histories(),
    st.sampled_from([r"rec.*2$", r"^\d$", r"rows\[\d\]\.v", "^(k|x)$", r"\[0\]$", r"^step [02]$", r"^shop.*add$"]),
)
def test_a_pattern_is_found_where_what_holds_it_changed(told: Told, pattern: str) -> None:
    hits = list(search(told.history, PatternQuery(pattern)))
    found = {(hit.seq, hit.kind.value, hit.path) for hit in hits}
    assert found == brute_search(told, f"(?i){pattern}")
    assert len(hits) == len(found)


@given(histories(), st.sampled_from(["record", "alu", "ags", "conf", "k", "İs", "K"]), st.data())
def test_what_is_ruled_out_undecoded_is_not_there(told: Told, text: str, data: st.DataObject) -> None:
    query = TextQuery(text)
    value = data.draw(st.sampled_from([value for state in told.states for value in state.values()] or [0]))
    if not query.may_be_in("", encode(value)):
        assert not list(search(tell([{"": value}]).history, query))


@given(
    histories(),
    st.sampled_from(["value > 1", "value==0", "k != 1", 'tags == "a"', "rows[0].value <= 2", "x == null"]),
)
def test_a_comparison_finds_values_at_paths_that_end_so(told: Told, text: str) -> None:
    query = parse_query(text)
    assert isinstance(query, ComparisonQuery)
    expected = set()
    for seq, state in enumerate(told.states):
        for leaf in brute_changed(told, seq):
            value = value_at(state, leaf)
            if leaf[-len(query.path) :] != query.path:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if {
                "value > 1": number and value > 1,
                "value==0": number and value == 0,
                "k != 1": not (number and value == 1),
                "rows[0].value <= 2": number and value <= 2,
                "x == null": value is None,
            }.get(text, value == "a"):
                expected.add((seq, leaf))
    hits = list(search(told.history, query))
    assert {(hit.seq, hit.path) for hit in hits} == expected
    assert all(hit.kind is HitKind.VALUE for hit in hits)


@given(
    histories(),
    st.sampled_from(["rows[?value > 1].name", "conf.k", "numbers", "length(rows) > 3", "conf.x || conf.y"]),
)
def test_results_of_an_expression_are_found_where_they_appear(told: Told, text: str) -> None:
    assume(all(any(atom in state for state in told.states) for atom in Expression(text).reads or ()))
    expected = []
    for seq, state in enumerate(told.states):
        answers = []
        for asked in (told.before(seq), state):
            answer = Expression(text).ask({atom: encode(value) for atom, value in asked.items()})
            items = answer.value if isinstance(answer.value, list) else [answer.value]
            answers.append([encode(item) for item in items] if answer.holds else [])
        reads = Expression(text).reads or ()
        if seq == 0 or any(encode(told.before(seq).get(atom)) != encode(state.get(atom)) for atom in reads):
            expected += [(seq, item) for item in answers[1] if item not in answers[0]]
    hits = list(search(told.history, Expression(text)))
    assert [hit.seq for hit in hits] == [seq for seq, _ in expected]
    assert all(hit.kind is HitKind.RESULT for hit in hits)


def test_a_hit_tells_where_it_is_and_what_matched() -> None:
    long = "lorem " * 50 + "Needle" + " ipsum" * 50
    told = tell([{"cart": {"note": "x"}}, {"cart": {"note": long}}])
    (hit,) = search(told.history, "needle")
    assert (hit.seq, hit.atom, hit.path, hit.kind) == (1, "cart", ("cart", "note"), HitKind.VALUE)
    assert hit.text[slice(*hit.span)] == "Needle"
    assert len(hit.text) == 80


def test_a_value_is_told_once_and_again_only_when_it_comes_back() -> None:
    told = tell([{"a": "pen"}, {"a": "pen", "b": 1}, {"a": "cup", "b": 1}, {"a": "pen", "b": 1}])
    assert [hit.seq for hit in search(told.history, "pen")] == [0, 3]


def test_upper_case_counts_only_where_it_is_typed() -> None:
    told = tell([{"a": "Pen"}, {"a": "pen"}, {"a": "PEN"}])
    assert [hit.seq for hit in search(told.history, "pen")] == [0, 1, 2]
    assert [hit.seq for hit in search(told.history, "Pen")] == [0]
    assert [hit.seq for hit in search(told.history, PatternQuery(r"\Bpen|^p"))] == [0, 1, 2]
    assert [hit.seq for hit in search(told.history, PatternQuery(r"P\w+"))] == [0, 2]
    assert [hit.seq for hit in search(tell([{"a": "3 \u212aelvin"}]).history, "kelvin")] == [0]


def test_a_fork_is_compared_with_the_entry_it_follows() -> None:
    told = tell([{"a": "pen"}, {"a": "cup"}, {"a": "pen", "b": 0}], [None, 0, 0])
    assert [hit.seq for hit in search(told.history, "pen")] == [0]


def test_values_without_a_text_of_their_own_are_searched_as_json() -> None:
    told = tell([{"a": (1, "pen"), "b": b"\x00cup", "c": None, "d": float("nan")}])
    found = {hit.atom for text in ("pen", "cup", "null", "nan") for hit in search(told.history, text)}
    assert found == set("abcd")


def test_a_search_can_be_cancelled_and_says_so() -> None:
    told = tell([{"a": f"pen {step}"} for step in range(40)])
    asked = iter([False] * 10 + [True])
    running = search(told.history, "pen", cancelled=lambda: next(asked))
    assert len(list(running)) == 10
    assert running.looked_at == 10
    assert not running.complete


def test_progress_is_told_for_every_entry() -> None:
    told = tell([{"a": step // 2} for step in range(6)])
    assert [(seq, len(hits)) for seq, hits in search(told.history, "1").by_entry()] == [
        (0, 0), (1, 1), (2, 1), (3, 0), (4, 1), (5, 0)
    ]  # fmt: skip


def test_the_first_hit_is_told_before_later_entries_are_read() -> None:
    told = tell([{"a": f"pen {step}"} for step in range(500)])
    hits = iter(search(told.history, "pen"))
    assert next(hits).seq == 0
    stats = told.history.cache_stats()
    assert stats.hits + stats.misses <= 2


def test_histories_of_no_and_one_entry() -> None:
    empty = search(tell([]).history, "pen")
    assert list(empty) == []
    assert empty.complete
    assert [hit.seq for hit in search(tell([{"pen": 1}]).history, "pen")] == [0]
    assert list(search(tell([{}]).history, "pen")) == []


@pytest.mark.parametrize(("pattern", "says"), [
    ("(", "column 1"), ("a(b", "column 2"), ("[z-a]", "column 2"), ("a**", "column 3"), ("(" * 6000, "column|recursion"),
])  # fmt: skip
def test_a_pattern_that_does_not_parse_is_told_with_the_column(pattern: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        PatternQuery(pattern)


def test_nothing_cannot_be_looked_for() -> None:
    with pytest.raises(QuestionError, match="nothing to look for"):
        search(tell([{"a": 1}]).history, "")


@pytest.mark.parametrize(
    "text", ["a->b", "x=3", "price >", "> 3", "a == b", "a > [1]", "qty->3", "a < null", "if a > 3"]
)
def test_what_is_no_comparison_is_a_text(text: str) -> None:
    assert isinstance(parse_query(text), TextQuery)


def test_names_and_values_nested_deep_are_found() -> None:
    deep: Any = "pen"
    for _ in range(300):
        deep = {"k": deep}
    deeper: list[Any] = []
    for _ in range(10_000):
        deeper = [deeper]
    told = tell([{"deep": deep, "deeper": deeper}])
    (hit,) = search(told.history, "pen")
    assert len(hit.path) == 301


def test_damage_is_named_and_stepped_over_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    states, hole = damaged_shop(path)
    with History(FileStore.open(path)) as history:
        with pytest.raises(CorruptHistory, match=f"entry {hole.start}"):
            list(search(history, "total"))
        running = search(history, "total", skip_damaged=True)
        seqs = {hit.seq for hit in running}
        assert not running.complete
        assert [problem.place for problem in running.problems] == [f"entry {seq}" for seq in hole]
        assert running.looked_at == len(states) - len(hole)
        assert seqs.isdisjoint(hole)
        assert max(seqs) > hole.stop


def test_actions_are_found_where_states_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    _, hole = damaged_shop(path)
    with History(FileStore.open(path)) as history:
        wanted = {entry.seq for entry in history if entry.action == "step 1"}
        running = search(history, TextQuery("step 1"), skip_damaged=True)
        found = {hit.seq for hit in running if hit.kind is HitKind.ACTION}
        assert found == wanted
        assert found & set(hole)
        assert [problem.place for problem in running.problems] == [f"entry {seq}" for seq in hole]


def test_notes_are_found_by_what_they_say() -> None:
    store = MemoryStore("noted")
    with Recorder(store, on_error="raise") as recorder:
        recorder.record({"a": "pen"}, "buy a pen")
        recorder.note("the pen leaks")
        recorder.record({"a": "pen", "b": 1}, "go on")
    running = search(History(store), "pen")
    assert [(hit.seq, hit.kind.value, hit.text[slice(*hit.span)], hit.shape()["path"]) for hit in running] == [
        (0, "action", "pen", "$"), (0, "value", "pen", "$.a"), (1, "action", "pen", "$"),
    ]  # fmt: skip
    assert running.complete


def test_the_line_that_recorded_an_entry_is_found_as_commands_print_it() -> None:
    store = MemoryStore("called")
    with Recorder(store, on_error="raise") as recorder:
        recorder.record({"a": 1}, meta={"caller": {"file": "shop.py", "line": 41, "function": "checkout"}})
        recorder.note("paid", caller={"file": "shop.py", "line": 41})
        # What an app keeps by that key is no line of code.
        recorder.record({"a": 2}, meta={"caller": "shop.py:41"})
        recorder.record({"a": 3}, meta={"caller": {"file": "shop.py", "line": 42}, "live": {"doubt": True}})
    history = History(store)
    found = [(hit.seq, hit.kind.value, hit.path, hit.text) for hit in search(history, "shop.py:41")]
    assert found == [(0, "caller", (), "shop.py:41 in checkout"), (1, "caller", (), "shop.py:41")]
    assert [hit.text for hit in search(history, "py:42")] == ["shop.py:42 (line in doubt)"]
    # Every entry of a file or a function would be a hit, among which those in states are lost.
    assert not list(search(history, "shop")) + list(search(history, "checkout"))


def test_expressions_and_comparisons_ask_states_alone() -> None:
    told = tell([{"step": 1}, {"step": 2}])
    for query in (parse_query("step > 1"), Expression("step"), ChangeQuestion("after.step > `1`")):
        assert {hit.kind for hit in search(told.history, query)} <= {HitKind.VALUE, HitKind.RESULT}


def test_the_action_of_the_first_entry_that_a_bound_kept_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "kept.unspool"
    with Recorder(path, keep=100) as recorder:
        for step in range(2000):
            recorder.record({"n": f"pen {step}"}, f"pen {step}")
    with open_history(path) as history:
        assert history.first > 0
        hits = [hit for hit in history.search("pen") if hit.seq == history.first]
        assert [(hit.kind.value, hit.older) for hit in hits] == [("action", False), ("value", True)]


@pytest.mark.parametrize(
    "pattern", [r"(a+)+$", r"^(\w+\s?)*$", r"(?=(a+))\1+b(?<!c)", r"(x+x+)+y", r"^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_a_pattern_that_never_ends_is_refused_in_its_time(pattern: str) -> None:
    told = tell([{"text": "a" * 50 + "x" * 40 + "!" + "a" * 5000 + "!"}])
    started = time.process_time()
    use(Limits(pattern_seconds=0.3))
    try:
        list(search(told.history, PatternQuery(pattern)))
    except EvaluationStopped as error:
        assert "--raise-limit pattern_seconds=N" in str(error)
    finally:
        use(None)
    assert time.process_time() - started < 3


def test_a_pattern_that_never_ends_is_an_error_of_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "states.jsonl"
    path.write_text(json.dumps({"text": "a" * 60 + "!"}) + "\n")
    assert run(["search", str(path), "(a|a)+$", "--regex", "--raise-limit", "pattern_seconds=0.2"]) == 2
    assert capfd.readouterr().err.count("\n") == 1


@given(st.text(alphabet="aAb1. \n", max_size=20), st.sampled_from(
    [r"(?<=a)b", r"(?<!a)b", r"a(?=b)", r"a(?!b)", r"(?P<x>a)(?P=x)", r"\bA", r"(?i:a)B", r"(?s:a.b)", r"(?m:^b)", r"a{2,}?b*+", r"[^\W\d]\d"]
))  # fmt: skip
def test_patterns_mean_what_they_mean_to_python(text: str, pattern: str) -> None:
    literal = re.sub(r"\\.", "", pattern)
    expected = re.search(pattern, text, re.IGNORECASE if literal == literal.lower() else 0)
    assert PatternQuery(pattern).find(text) == (None if expected is None else expected.span())


def test_what_is_looked_for_has_a_length() -> None:
    for ask in (TextQuery, PatternQuery, parse_query):
        with pytest.raises(QuestionError, match="at most 20,000"):
            ask("x" * 20_001)
    assert isinstance(parse_query("qty >" + " " * 19_000 + "3" + " "), ComparisonQuery)


def test_an_entry_with_very_many_hits_tells_the_first_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert search_module.MOST_HITS == 100_000
    monkeypatch.setattr(search_module, "MOST_HITS", 50)
    store = MemoryStore("many.unspool")
    with Recorder(store, on_error="raise") as recorder:
        recorder.record({"rows": list(range(55))})
        recorder.record({"rows": list(range(55)), "other": 7})
    for query in (PatternQuery("[0-9]"), Expression("rows")):
        running = search(History(store), query)
        assert sum(hit.seq == 0 for hit in running) == 50
        assert running.cut == [0]
        assert not running.complete


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tt > 5", "a path that ends in tt"),
        ("cart == 5", "a path that ends in cart"),
        ('total >= "2"', "total is a number and is compared with text"),
        ("name == 2", "name is text and is compared with a number"),
        ("total > 500", ""),
        ("total == null", ""),
    ],
)
def test_a_comparison_that_can_find_nothing_says_so(text: str, said: str) -> None:
    store = MemoryStore()
    with Recorder(store) as recorder:
        recorder.record({"cart": {"total": 3, "name": "ann"}})
        recorder.record({"cart": {"total": 4, "name": "ann"}})
    query = parse_query(text)
    for _ in range(2):
        running = search(History(store), query)
        assert list(running) == []
        assert bool(running.doubts) is bool(said)
        assert said in "".join(running.doubts)
