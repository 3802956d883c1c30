"""Invariants of a rules file: where they are broken, for how long, and what is said of rules that cannot be meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from unspool.errors import ConfigError, ExpressionError, UnreadableSource
from unspool.history import History
from unspool.query.checkers import CheckReport, Rule, check, read_rules
from unspool.recorder import Recorder
from unspool.store import MemoryStore
from unspool_tui.cli import run

STATES: list[dict[str, Any]] = [
    {"clock": 0},
    {"clock": 1, "cart": {"total": 3, "items": [3]}},
    {"clock": 2, "cart": {"total": 9, "items": [3, 4]}},
    {"clock": 3, "cart": {"total": 9, "items": [3, 4]}},
    {"clock": 4, "cart": {"total": 9, "items": [3, 4, 2]}},
    {"clock": 5, "cart": {"total": 1, "items": []}},
    {"clock": 6, "cart": {"total": 0, "items": []}},
]


def history_of(states: list[dict[str, Any]]) -> History:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    for seq, state in enumerate(states):
        recorder.record(state, f"act {seq}", timestamp_ns=seq * 10**9)
    return History(store)


def asked(history: History, expression: str, severity: str | None = None, **options: Any) -> CheckReport:
    return check(history, [Rule("invariant", "rule", {"expression": expression, **options}, severity)], plugins={})


def test_a_broken_invariant_is_one_finding_with_its_first_entry_and_how_long_it_was_broken() -> None:
    (found,) = asked(history_of(STATES), "cart.total == sum(cart.items)").findings
    assert (found.seq, found.action, found.timestamp_ns, found.severity) == (2, "act 2", 2 * 10**9, "error")
    assert (found.entries, found.recovered_at) == (3, 6)
    assert found.message == "does not hold: broken at 3 entries in 2 stretches, and no longer from entry 6 on"
    assert found.path == "cart.total == sum(cart.items)"


def test_what_is_broken_at_the_end_says_so_and_may_have_a_message_and_a_severity() -> None:
    (found,) = asked(history_of(STATES[:4]), "cart.total == sum(cart.items)", "info", message="wrong\ntotal").findings
    assert (found.severity, found.message) == ("info", "wrong total: broken at 2 entries, to the end")
    assert found.recovered_at is None


def test_an_invariant_that_holds_and_one_that_is_not_asked_are_no_finding() -> None:
    history = history_of(STATES)
    assert asked(history, "clock >= `0`").findings == ()
    assert asked(history, "cart.total == sum(cart.items)", when="clock == 1 || clock == 6").findings == ()


def test_what_cannot_be_worked_out_does_not_hold() -> None:
    (found,) = asked(history_of([{"items": [1]}, {"items": None}, {"items": []}]), "length(items) >= `0`").findings
    assert (found.seq, found.entries, found.recovered_at) == (1, 1, 2)
    assert "length" in found.message


def test_a_fork_is_compared_with_the_entry_it_follows() -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    for n in (1, 2, -1, -2):
        recorder.record({"n": n, "m": 0})
    recorder.record({"n": 5, "m": 0}, parent_seq=1)
    recorder.record({"n": -1, "m": 1}, parent_seq=2)
    recorder.record({"n": -1, "m": 2})
    (found,) = asked(History(store), "n > 0").findings
    assert (found.seq, found.entries, found.recovered_at) == (2, 4, None)


@settings(max_examples=examples(50))
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 2)), min_size=1, max_size=25))
def test_invariants_agree_with_a_look_at_every_entry(rows: list[tuple[int, bool, int]]) -> None:
    states = [{"n": n, "on": on, "other": other} for n, on, other in rows]
    states = [state for seq, state in enumerate(states) if not seq or state != states[seq - 1]]
    broken = [seq for seq, state in enumerate(states) if state["on"] and state["n"] == 2]
    report = asked(history_of(states), "n != `2`", when="on")
    assert [(found.seq, found.entries) for found in report.findings] == ([(broken[0], len(broken))] if broken else [])


@pytest.mark.parametrize(
    ("expression", "when", "said"),
    [
        ("cart.totl >= `0` || clock < `99`", "", "no entry that was asked has cart.totl"),
        ("clock != '3'", "", "is a number and is compared with text"),
        ("clock >= `0`", "clock > 99", "was never asked"),
    ],
)
def test_a_rule_that_can_hardly_be_meant_is_not_said_to_hold(expression: str, when: str, said: str) -> None:
    (doubt,) = asked(history_of(STATES), expression, when=when).doubts
    assert said in doubt


def test_a_rule_that_names_an_atom_no_entry_has_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ExpressionError, match=r"rule 'rule'.*no entry has crt.*did you mean cart\?"):
        asked(history_of(STATES), "crt.total > 0")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    return path


def test_rules_are_read_with_their_severity_and_a_name_where_they_have_none(tmp_path: Path) -> None:
    text = '[[rule]]\nexpression = "n > 0"\n\n[[rule]]\nname = "slow"\ncheck = "drift"\nseverity = "info"\n'
    first, second = read_rules(written(tmp_path, text))
    assert (first.check, first.name, first.severity) == ("invariant", "n > 0", None)
    assert (second.check, second.name, second.severity) == ("drift", "slow", "info")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("x = 1\n[[rule]\n", 2, "TOML"),
        ('[[rule]]\nexpression = "n > 0"\n\n[[rule]]\nexpression = "n >"\n', 4, "rule 2: 'n >' does not parse"),
        ('\n[[rule]]\nexpression = "lenght(n)"\n', 2, "did you mean length?"),
        ('[[rule]]\nexpression = "n"\nseverity = "fatal"\n', 1, "error, warning, info"),
        ("[[rule]]\nexpression = 3\n", 1, "expression is 3"),
        ('[[rule]]\ncheck = "invariant"\n', 1, "an invariant needs"),
        ('[[rule]]\nexpression = "n"\nuntil = "m"\n', 1, "no option 'until'"),
        ('[[rule]]\nname = "n"\n', 1, "check is missing"),
        ('[[rule]]\nexpression = "n"\nwhen = "("\n', 1, "does not parse"),
    ],
)
def test_a_wrong_rule_is_named_by_file_and_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_rules(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert said in str(caught.value)


def test_rules_files_have_a_bound(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1,001 rules"):
        read_rules(written(tmp_path, '[[rule]]\nexpression = "n"\n' * 1001))
    with pytest.raises(UnreadableSource, match="at most 1,048,576 bytes"):
        read_rules(written(tmp_path, "#" * (1024 * 1024 + 1)))
    (tmp_path / "rules.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="no valid TOML"):
        read_rules(tmp_path / "rules.toml")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.unspool"
    with Recorder(path, on_error="raise", caller=True) as recorder:
        for seq, state in enumerate(STATES):
            recorder.record(state, f"act {seq}")
    return path


def test_the_command_is_a_gate(tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = written(tmp_path, '[[rule]]\nname = "adds up"\nexpression = "cart.total == sum(cart.items)"\n')
    assert run(["check", str(shop), "--rules", str(rules)]) == 1
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "adds up" in line)
    assert line.startswith("  2  error  adds up  cart.total == sum(cart.items): does not hold: broken at 3 entries")
    assert "act 2" in line
    assert "test_invariants.py:" in line
    assert run(["check", str(shop), "--rules", str(rules), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["seq"], found["entries"], found["recovered_at"], found["action"]) == (2, 3, 6, "act 2")
    assert found["caller"]["file"].endswith("test_invariants.py")


@pytest.mark.parametrize(
    ("severity", "least", "code"),
    [
        ("warning", "warning", 1),
        ("warning", "error", 0),
        ("info", "warning", 0),
        ("info", "info", 1),
        ("error", "error", 1),
    ],
)
def test_the_gate_closes_from_a_severity_on(tmp_path: Path, shop: Path, severity: str, least: str, code: int) -> None:
    rules = written(tmp_path, f'[[rule]]\nexpression = "clock < 3"\nseverity = "{severity}"\n')
    assert run(["check", str(shop), "--rules", str(rules), "--severity", least]) == code


def test_a_rule_that_was_not_checked_never_passes(
    tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", str(shop), "--rules", str(written(tmp_path, '[[rule]]\nexpression = "clck > 0"\n'))]) == 2
    assert "did you mean clock?" in capsys.readouterr().err
    doubtful = written(tmp_path, '[[rule]]\nexpression = "cart.totl > 3 || clock < 99"\n')
    assert run(["check", str(shop), "--rules", str(doubtful)]) == 2
    assert "not checked: rule" in capsys.readouterr().out
