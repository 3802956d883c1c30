"""Checkers find each fault they are for, where it is, and nothing in a history that has none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from health_damage import blocks_of, change, recorded
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.values import json_states
from unspool.errors import ConfigError, ExpressionError, UnreadableSource
from unspool.history import History
from unspool.model.paths import covers, places, value_parts
from unspool.query import checkers
from unspool.query.checkers import CheckFinding, Rule, check, read_rules
from unspool.query.findings import RecordKeys, parse_pattern, spell_in
from unspool.recorder import Recorder
from unspool.store import FileStore, MemoryStore
from unspool_tui.cli import run

MILLISECOND = 1_000_000


def history_of(states: list[dict[str, Any]], actions: list[str] | None = None, step_ms: float = 1000) -> History:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    for place, state in enumerate(states):
        action = "" if actions is None else actions[place]
        recorder.record(state, action, timestamp_ns=int(place * step_ms * MILLISECOND))
    return History(store)


def findings(history: History, name: str, **options: Any) -> list[tuple[int, str, int]]:
    report = check(history, [Rule(name, name, options)])
    assert report.problems == ()
    return [(finding.seq, finding.path, finding.since) for finding in report.findings]


# --- oscillation -----------------------------------------------------------------------------------------------------


def test_a_value_that_goes_to_and_fro_is_found_once() -> None:
    history = history_of([{"mode": mode, "n": n} for n, mode in enumerate(["a", "b", "a", "b", "a", "b", "c", "d"])])
    assert findings(history, "oscillation") == [(4, "mode", 1)]
    (report,) = check(history, [Rule("oscillation", "flicker", {})]).findings
    assert (report.checker, report.message) == ("flicker", "goes to and fro between 'a' and 'b'")


def test_a_value_that_comes_back_once_or_slowly_is_fine() -> None:
    assert findings(history_of([{"m": m} for m in "ababcd"]), "oscillation") == []
    slow = [{"m": "ab"[n // 20 % 2]} for n in range(120)]
    assert findings(history_of(slow), "oscillation") == []
    assert findings(history_of(slow), "oscillation", within=30)


def test_booleans_are_looked_at_only_when_asked() -> None:
    history = history_of([{"open": n % 2 == 0} for n in range(8)])
    assert findings(history, "oscillation") == []
    assert findings(history, "oscillation", booleans=True)


def test_a_record_is_followed_by_its_key_when_it_moves() -> None:
    states = []
    for n in range(6):
        items = [{"id": 1, "q": n % 2}, {"id": 2, "q": 9}]
        states.append({"items": items if n % 2 else items[::-1]})
    assert findings(history_of(states), "oscillation") == [(4, "items[id=1].q", 1)]


def test_only_what_a_rule_names_is_looked_at() -> None:
    history = history_of([{"a": {"x": n % 2, "y": n % 2}, "b": n % 2} for n in range(6)])
    assert [path for _, path, _ in findings(history, "oscillation")] == ["a.x", "a.y", "b"]
    assert [path for _, path, _ in findings(history, "oscillation", path="a.*")] == ["a.x", "a.y"]
    assert [path for _, path, _ in findings(history, "oscillation", path="$.a.y")] == ["a.y"]


# --- thrash, leak ----------------------------------------------------------------------------------------------------


def test_many_writes_for_nothing_are_found() -> None:
    history = history_of([{"cache": [n % 8], "n": n} for n in range(9)])
    assert findings(history, "thrash") == [(8, "cache", 1)]


def test_many_writes_that_lead_somewhere_are_fine() -> None:
    assert findings(history_of([{"n": n} for n in range(60)]), "thrash") == []
    assert findings(history_of([{"n": n // 10 % 8} for n in range(120)]), "thrash", within=20) == []


def test_an_atom_that_only_grows_is_found_and_the_part_that_grows_is_named() -> None:
    history = history_of([{"log": {"size": n, "lines": [f"line {i}" for i in range(n)]}} for n in range(60)])
    ((seq, path, since),) = findings(history, "leak")
    assert (seq, path, since) == (59, "log.lines", 0)


def test_a_list_of_records_with_ids_that_only_grows_is_mentioned_only() -> None:
    postings = [{"journal": [{"id": i, "amount": 10 * i, "text": "rent"} for i in range(n)]} for n in range(60)]
    (found,) = check(history_of(postings), [Rule("leak", "leak", {})]).findings
    assert (found.path, found.severity) == ("journal", "info")


def test_growth_that_ends_or_is_small_is_fine() -> None:
    assert findings(history_of([{"a": "x" * (n % 40 * 50)} for n in range(80)]), "leak") == []
    assert findings(history_of([{"a": "x" * n} for n in range(80)]), "leak") == []
    assert findings(history_of([{"a": "x" * n * 100} for n in range(15)]), "leak") == []


# --- overwrite, drift ------------------------------------------------------------------------------------------------


def test_a_value_set_twice_by_one_action_is_found() -> None:
    states = [{"total": 0, "n": 0}, {"total": 5, "n": 0}, {"total": 7, "n": 0}, {"total": 7, "n": 1}]
    actions = ["start", "checkout", "checkout", "checkout"]
    assert findings(history_of(states, actions, step_ms=5), "overwrite") == [(2, "total", 1)]


def test_actions_of_one_name_that_are_apart_are_two_actions() -> None:
    states = [{"tick": n} for n in range(10)]
    assert findings(history_of(states, ["tick"] * 10, step_ms=1000), "overwrite") == []
    assert findings(history_of(states, [""] * 10, step_ms=1), "overwrite") == []


def test_an_action_id_tells_actions_apart() -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    for place, (value, action_id) in enumerate([(1, "a"), (2, "a"), (3, "b"), (4, "c")]):
        recorder.record({"v": value}, "save", meta={"action_id": action_id}, timestamp_ns=place)
    assert findings(History(store), "overwrite") == [(1, "v", 0)]


def test_a_path_that_changes_its_type_is_found_once_for_each_type() -> None:
    rows: list[Any] = [[{"qty": 1}], [{"qty": 2.5}], [{"qty": None}], [{"qty": "3"}], [{"qty": "4"}], [{"qty": [5]}]]
    history = history_of([{"items": row} for row in rows])
    report = check(history, [Rule("drift", "drift", {})])
    assert [(f.seq, f.path, f.message) for f in report.findings] == [
        (3, "items[*].qty", "was number, now text"),
        (5, "items[*].qty", "was number, now list"),
    ]


@pytest.mark.parametrize(("levels", "is_found"), [(90, True), (10_000, False)])
def test_types_are_followed_as_deep_as_anybody_nests_records(levels: int, is_found: bool) -> None:
    def nested(value: Any) -> Any:
        for _ in range(levels):
            value = {"k": value}
        return value

    found_there = findings(history_of([{"a": nested(1)}, {"a": nested("1")}]), "drift")
    assert bool(found_there) is is_found


def test_two_records_that_share_an_id_are_not_one_that_is_set_twice() -> None:
    def queue(first: int, second: int) -> dict[str, Any]:
        return {"queue": [{"id": 7, "secs": first}, {"id": 7, "secs": second}]}

    states = [queue(1, 2), queue(3, 2), queue(3, 16)]
    assert findings(history_of(states, ["open", "edit", "edit"], step_ms=5), "overwrite") == []
    assert findings(history_of([queue(n % 2, 9) for n in range(9)]), "oscillation") == []
    moved = [{"queue": [{"secs": 1}, {"secs": 2}]}, {"queue": [{"secs": 3}, {"secs": 2}]}, {"queue": [{"secs": 16}]}]
    assert findings(history_of(moved, ["open", "edit", "edit"], step_ms=5), "overwrite") == []


@pytest.mark.parametrize(
    "values",
    [
        [{"type": "text", "value": "a"}, {"type": "number", "value": 3}, {"type": "text", "value": "b"}],
        [{"name": "colour", "value": "red"}, {"name": "size", "value": 3}],
        [["int", 3], ["text", "a"], ["flag", True]],
        [{"op": "add", "args": {"op": "set", "with": 3}}, {"op": "add", "args": {"op": "say", "with": "x"}}],
    ],
)
def test_typed_pairs_are_no_drift(values: list[Any]) -> None:
    one_by_one = history_of([{"field": value, "n": n} for n, value in enumerate(values)])
    together = history_of([{"fields": values[: n + 1]} for n in range(len(values))])
    assert findings(one_by_one, "drift") == []
    assert findings(together, "drift") == []
    changed_inside = history_of([{"pair": {"type": kind, "value": value}} for kind, value in (("a", 1), ("b", "x"))])
    assert findings(changed_inside, "drift") == []


def test_a_pair_that_breaks_its_own_type_is_drift() -> None:
    states = [{"pair": {"type": "number", "value": value}} for value in (1, 2, "3")]
    assert findings(history_of(states), "drift") == [(2, "pair.value", 0)]


def test_objects_of_another_class_are_no_drift_and_their_fields_are_looked_at_by_class() -> None:
    @dataclass
    class Circle:
        size: int

    @dataclass
    class Label:
        size: str

    shapes: list[Any] = [Circle(1), Label("large"), Circle(2)]
    assert findings(history_of([{"shape": shape} for shape in shapes]), "drift") == []
    assert findings(history_of([{"shape": shape} for shape in [*shapes, Circle("3")]]), "drift")  # type: ignore[arg-type]


def test_actions_of_opposite_names_have_to_come_back_more_often() -> None:
    names = ["take tea", "put tea back"] * 8
    assert findings(history_of([{"page": "ab"[n % 2]} for n in range(8)], names[:8]), "oscillation") == []
    assert findings(history_of([{"page": "ab"[n % 2]} for n in range(16)], names), "oscillation") == [(10, "page", 1)]
    assert findings(history_of([{"left": n % 2} for n in range(16)], names), "oscillation") == []
    assert findings(history_of([{"left": n % 2} for n in range(16)], ["tick"] * 16), "oscillation") == [
        (10, "left", 1)
    ]
    assert findings(history_of([{"sale": "spring" if n % 2 else None} for n in range(8)]), "oscillation") == []
    counted = [{"cache": [n % 8], "n": n} for n in range(20)]
    assert findings(history_of(counted, [f"load {n % 3}" for n in range(20)]), "thrash") == []
    assert findings(history_of(counted, ["load"] * 20), "thrash")
    seldom = [{"target": [n // 5 % 2], "n": n} for n in range(100)]
    assert findings(history_of(seldom, ["aim" if n % 5 == 0 else "move" for n in range(100)]), "thrash") == []


# --- orphans ---------------------------------------------------------------------------------------------------------

ORPHAN = {"from": "cart*.items[*].sku", "to": "stock[*].sku"}


def test_a_reference_to_what_is_not_there_is_found_when_it_breaks() -> None:
    cart = {"items": [{"sku": "A"}, {"sku": "B"}]}
    states = [
        {"cart1": cart, "stock": [{"sku": "A"}, {"sku": "B"}]},
        {"cart1": cart, "stock": [{"sku": "A"}]},
        {"cart1": cart, "stock": [{"sku": "A"}], "other": 1},
        {"cart1": cart, "stock": [{"sku": "A"}, {"sku": "B"}]},
        {"cart1": cart, "stock": [{"sku": "A"}]},
    ]
    assert findings(history_of(states), "orphan", **ORPHAN) == [
        (1, "cart1.items[1].sku", 1),
        (4, "cart1.items[1].sku", 4),
    ]


def test_ids_of_another_type_are_not_the_same() -> None:
    history = history_of([{"a": [1, True, None], "b": ["1", True]}])
    assert findings(history, "orphan", **{"from": "a[*]", "to": "b[*]"}) == [(0, "a[0]", 0)]


# --- patterns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("a.b", [("a", "b")]),
        ("$.a.*", [("a", "b"), ("a", "c d")]),
        ('a["c d"]', [("a", "c d")]),
        ("l[*].id", [("l", 0, "id"), ("l", 1, "id")]),
        ("l[1].id", [("l", 1, "id")]),
        ("*", [("a",), ("l",)]),
        ("nothing.here", []),
    ],
)
def test_a_pattern_finds_its_places(pattern: str, paths: list[Any]) -> None:
    state = {"a": {"b": 1, "c d": 2}, "l": [{"id": 1}, {"id": 2}, 3]}
    parsed = parse_pattern(pattern)
    assert [path for path, _ in places(parsed, state, value_parts)] == paths
    for path in paths:
        assert covers(parsed, path)
        assert covers(parsed, (*path, "below"))


@pytest.mark.parametrize("text", ["a[", "a]]", "a[x]", "a..b", '["open'])
def test_what_is_no_pattern_is_refused_with_its_column(text: str) -> None:
    with pytest.raises(ExpressionError, match="column"):
        parse_pattern(text)


def test_records_are_spelled_by_their_key() -> None:
    value = [{"sku": "A-1", "qty": 2}, {"qty": 3}]
    keys = RecordKeys()
    spelled = [spell_in(path, value, keys) for path in (("stock", 0, "qty"), ("stock", 1, "qty"), ("stock", 7))]
    assert [(item.place, item.is_certain) for item in spelled] == [
        ("stock[sku='A-1'].qty", True), ("stock[1].qty", False), ("stock[7]", True),
    ]  # fmt: skip
    shared = [{"sku": "A-1", "qty": 2}, {"sku": "A-1", "qty": 3}]
    assert spell_in(("stock", 1, "qty"), shared, RecordKeys())[:2] == ("stock[1].qty", False)


# --- rules files -----------------------------------------------------------------------------------------------------


def rules_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    return path


def test_a_rules_file_replaces_the_usual_rules_or_adds_to_them(tmp_path: Path) -> None:
    text = '[[rule]]\ncheck = "orphan"\nname = "in stock"\nfrom = "cart.items[*].sku"\nto = "stock[*].sku"\n'
    (rule,) = read_rules(rules_file(tmp_path, text))
    assert (rule.check, rule.name, rule.options["to"]) == ("orphan", "in stock", "stock[*].sku")
    assert read_rules(rules_file(tmp_path, "defaults = true\n" + text)) == (*checkers.DEFAULT_RULES, rule)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]", "TOML"),
        ("[[rules]]\n", "'rules'"),
        ("rule = 3", "tables"),
        ("[[rule]]\nwithin = 3", "rule 1: check is missing"),
        ('[[rule]]\ncheck = "leak"\n[[rule]]\ncheck = "leak"\nname = 3', "rule 2: name"),
        ('[[rule]]\ncheck = "leak"\nwithin = 3', "no option 'within'"),
        ('[[rule]]\ncheck = "leak"\ngrowths = "many"', "growths is 'many'"),
        ('[[rule]]\ncheck = "leak"\ngrowths = 0', "above 0"),
        ('[[rule]]\ncheck = "leak"\ngrowths = true', "whole number"),
        ('[[rule]]\ncheck = "oscillation"\nbooleans = 1', "true or false"),
        ('[[rule]]\ncheck = "drift"\npath = "a["', "column"),
        ('[[rule]]\ncheck = "drift"\npath = 4', "path is 4"),
        ('[[rule]]\ncheck = "orphan"\nfrom = "a"', "from and to"),
    ],
)
def test_a_wrong_rule_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = rules_file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_rules(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_a_missing_rules_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="none.toml"):
        read_rules(tmp_path / "none.toml")


def test_the_rules_file_in_the_documentation_reads_and_every_checker_is_documented(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "health.md").read_text()
    example = text.split("```toml\n")[1].split("```")[0]
    rules = read_rules(rules_file(tmp_path, example))
    assert [rule.name for rule in rules[-2:]] == ["cart items are in stock", "oscillation"]
    assert all(f"| `{name}` |" in text for name in checkers.BUILT_IN)


# --- checkers of a user's own ----------------------------------------------------------------------------------------


def big_numbers(history: History, options: Mapping[str, Any]) -> Iterator[CheckFinding]:
    for entry in history:
        if history.state(entry.seq)["n"] > options.get("over", 7):
            yield CheckFinding("big", entry.seq, "n", "too big", entry.seq)


def failing(history: History, options: Mapping[str, Any]) -> Iterator[CheckFinding]:
    yield CheckFinding("failing", 0, "n", "before it failed", 0)
    raise RuntimeError("oh no")


def test_a_checker_of_ones_own_runs_and_may_fail_alone() -> None:
    history = history_of([{"n": n} for n in range(10)])
    report = check(history, plugins={"big": big_numbers, "failing": failing})
    assert [finding.seq for finding in report.findings] == [0, 8, 9]
    assert report.problems == ("the checker 'failing' failed: RuntimeError: oh no",)
    assert not report.complete
    report = check(history, [Rule("big", "big", {"over": 8})], plugins={"big": big_numbers})
    assert report.counts == {"big": 1}


def test_installed_checkers_are_found_by_their_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[unspool.checkers]\nalways = mine_checker:always\nbroken = not_there:nothing\n"
    )
    (tmp_path / "mine_checker.py").write_text(
        "from unspool.query.checkers import CheckFinding\n"
        "def always(history, options):\n    yield CheckFinding('always', 0, 'n', 'always', 0)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    report = check(history_of([{"n": 1}]))
    assert [finding.checker for finding in report.findings] == ["always"]
    assert len(report.problems) == 1
    assert "'broken' failed: ModuleNotFoundError" in report.problems[0]


def test_an_unknown_checker_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="oscillation, thrash"):
        check(history_of([{"n": 1}]), [Rule("magic", "magic", {})])


# --- the whole -------------------------------------------------------------------------------------------------------


def test_entries_that_do_not_read_are_told_and_the_rest_is_checked(tmp_path: Path) -> None:
    file = recorded(tmp_path / "x.unspool")
    first, count = blocks_of(file.path)[1]
    change(file.path, ("DELETE FROM block_data WHERE first = ?", (first,)))
    with History(FileStore.open(file.path)) as history:
        report = check(history, [Rule("duplicate", "duplicate", {})])
    # The entry after the lost ones has nothing to be compared with.
    assert report.entries == len(file.states) - count - 1
    assert report.problems
    assert not report.complete
    rules = rules_file(tmp_path, '[[rule]]\ncheck = "duplicate"\n')
    assert run(["check", str(file.path), "--rules", str(rules)]) == 2


def test_one_rule_never_floods_the_others() -> None:
    history = history_of([{"n": n} for n in range(3)])

    def flood(_: History, __: Mapping[str, Any]) -> Iterator[CheckFinding]:
        for n in range(5000):
            yield CheckFinding("flood", n, "n", "again", n)

    report = check(history, plugins={"flood": flood})
    assert (len(report.findings), report.counts) == (1000, {"flood": 5000})


def test_progress_and_cancel() -> None:
    history = history_of([{"n": n} for n in range(300)])
    seen: list[tuple[int, int]] = []
    assert check(history, progress=lambda *told: seen.append(told)).complete
    assert seen == sorted(seen)
    assert seen[-1] == (300, 300)
    report = check(history, cancelled=lambda: True)
    assert (report.complete, report.entries) == (False, 0)


@settings(max_examples=examples(40))
@given(st.lists(json_states, max_size=12))
def test_checkers_bear_any_state(states: list[dict[str, Any]]) -> None:
    orphan = Rule("orphan", "orphan", {"from": "*[*]", "to": "*.*"})
    report = check(history_of(states), [*checkers.DEFAULT_RULES, orphan], plugins={})
    assert report.complete
    assert all(finding.message.count("\n") == 0 for finding in report.findings)


def test_depth_is_no_obstacle() -> None:
    deep: Any = "bottom"
    for _ in range(10_000):
        deep = [deep]
    assert check(history_of([{"a": deep, "n": 1}, {"a": [deep], "n": "x"}, {"a": deep, "n": 1}])).complete


def test_the_command_ends_with_1_when_something_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.unspool"
    with Recorder(path, on_error="raise") as recorder:
        for n in range(8):
            recorder.record({"mode": "ab"[n % 2], "n": n})
    assert run(["check", str(path)]) == 1
    assert "4 since 1  oscillation  mode: goes to and fro" in capsys.readouterr().out
    assert run(["check", str(path), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["findings"][0].pop("timestamp").endswith("Z")
    assert told["findings"][0] == {
        "checker": "oscillation", "seq": 4, "path": "mode", "since": 1,
        "message": "goes to and fro between 'a' and 'b'", "severity": "warning", "action": "", "caller": None,
        "entries": None, "recovered_at": None,
    }  # fmt: skip
    none = rules_file(tmp_path, '[[rule]]\ncheck = "leak"\n')
    assert run(["check", str(path), "--rules", str(none)]) == 0
    assert "no findings in 8 entries" in capsys.readouterr().out
    assert run(["check", str(path), "--rules", str(rules_file(tmp_path, '[[rule]]\ncheck = "magic"\n'))]) == 2


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"check": "orphan", "from": "ordrs[*].sku", "to": "products.*.sku"}, "from: no entry has ordrs; did you mean orders?"),
        ({"check": "orphan", "from": "orders[*].skuu", "to": "products.*.sku"}, "from: no entry has orders.*.skuu; did you mean sku?"),
        ({"check": "orphan", "from": "orders[*].sku", "to": "product.*.sku"}, "to: no entry has product; did you mean products?"),
        ({"check": "oscillation", "path": "nothere.*"}, "path: no entry has nothere; there are"),
        ({"check": "drift", "path": "clock.x"}, "path: no entry has clock.x"),
        ({"check": "orphan", "from": "orders[*].sku", "to": "products.*.sku"}, ""),
        ({"check": "oscillation", "path": "carts.*.total"}, ""),
        ({"check": "oscillation", "path": "session.user.name"}, ""),
        ({"check": "oscillation", "path": "c*.x"}, ""),
    ],
)  # fmt: skip
def test_a_rule_about_what_never_was_is_not_told_as_no_findings(rule: dict[str, str], said: str) -> None:
    store = MemoryStore()
    with Recorder(store) as recorder:
        for at in range(3):
            orders = [{"sku": "pen"}][:at]
            state = {"orders": orders, "products": {"a": {"sku": "pen"}}, "clock": at, "carts": {}, "session": None}
            recorder.record(state)
    options = {key: value for key, value in rule.items() if key != "check"}
    report = check(History(store), [Rule(rule["check"], "mine", options)])
    assert [one for one in report.doubts if f"rule 'mine', {said}" in one] == list(report.doubts)
    assert bool(report.doubts) is bool(said)


def test_a_rules_file_without_rules_checks_nothing_and_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    for text in ("", "# none yet\n", "defaults = false\n"):
        file.write_text(text)
        with pytest.raises(ConfigError, match="has no rule"):
            read_rules(file)
    file.write_text("defaults = true\n")
    assert read_rules(file)
