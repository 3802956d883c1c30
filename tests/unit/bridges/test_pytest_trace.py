"""`--unspool=trace` on a small project with ten planted bugs: the report names the line that wrote the compared value."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from unspool.query.blame import blame
from unspool.sources.opening import open_history

SHOP = """\
from dataclasses import dataclass, field

RATES = {"book": 5, "food": 7}


@dataclass
class Line:
    name: str
    price: int
    count: int = 1


class Cart:
    def __init__(self, lines=[]):
        self.lines = lines
        self.total = 0
        self.notes = {}
        self.best = None

    def add(self, name, price, count=1):
        self.lines.append(Line(name, price, count))  # bug: the default list is shared
        self.total += price  # bug: the count is forgotten
        return self

    def names(self):
        return [line.name.upper() for line in self.lines]  # bug: nobody asked for capitals

    def report(self):
        self.lines.sort(key=lambda line: line.price)  # bug: a report sorts the cart itself
        return len(self.lines)

    def note(self, key, text):
        self.notes[key.strip()] = text[:3]  # bug: notes are cut

    def find_best(self):
        for line in self.lines:
            if self.best is None or line.price < self.best.price:
                self.best = line  # bug: the cheapest is taken for the best
        return self.best

    @property
    def label(self):
        return f"{len(self.lines)} thing"  # bug: the plural is forgotten


def discount(price, percent):
    reduced = price
    if percent:
        reduced = price * percent // 100  # bug: what is left is what goes
    rounded = reduced
    return rounded


def halve(line):
    line.count //= 3  # bug: by three


def tax(kind, price):
    load()
    return price * RATES[kind] // 100


def load():
    RATES.update(food=19)  # bug: a rate is replaced


def merge(one, other):
    result = dict(one)
    for key, value in other.items():
        result.setdefault(key, value)  # bug: the later one should win
    return result
"""
TESTS = """\
import shop
from shop import Cart, Line

def test_shared():
    Cart().add("pen", 2)
    other = Cart()
    other.add("ink", 3)
    assert len(other.lines) == 1

def test_total():
    cart = Cart([])
    cart.add("pen", 2, 3)
    assert cart.total == 6

def test_names():
    cart = Cart([]).add("pen", 2)
    assert cart.names() == ["pen"]

def test_order():
    cart = Cart([]).add("pen", 9).add("ink", 3)
    first = cart.lines[0]
    assert cart.report() == 2
    assert cart.lines[0].name == "pen"

def test_notes():
    cart = Cart([])
    cart.note("gift", "wrap it")
    cart.note("late", "yes")
    assert cart.notes["gift"] == "wrap it"

def test_best():
    cart = Cart([]).add("pen", 2).add("gold", 90)
    cart.find_best()
    assert cart.best.name == "gold"

def test_label():
    cart = Cart([]).add("pen", 2).add("ink", 3)
    assert cart.label == "2 things"

def test_discount():
    price = shop.discount(200, 10)
    assert price == 180

def test_halve():
    lines = [Line("pen", 2, 6), Line("ink", 3, 4)]
    for line in lines:
        shop.halve(line)
    assert [line.count for line in lines] == [3, 2]

def test_tax():
    rates = shop.RATES
    due = shop.tax("food", 100)
    assert rates["food"] == 7

def test_passes():
    assert shop.merge({}, {"a": 1}) == {"a": 1}
"""
BUGS = {
    "shared": "self.lines.append",
    "total": "self.total += price",
    "names": "nobody asked",
    "order": "sorts the cart",
    "notes": "notes are cut",
    "best": "cheapest is taken",
    "label": "plural",
    "discount": "what is left",
    "halve": "by three",
    "tax": "a rate is replaced",
}


UNRELATED = [word for name in ("randomly", "langsmith_plugin", "anyio", "syrupy") for word in ("-p", f"no:{name}")]
"""Plugins that come with other test dependencies; each run would import them."""


def run(folder: Path, *arguments: str, python: str = sys.executable) -> str:
    (folder / "shop.py").write_text(SHOP)
    (folder / "test_shop.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [python, "-m", "pytest", "-q", *UNRELATED, *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_report_names_the_lines_of_planted_bugs(tmp_path: Path) -> None:
    printed = run(tmp_path, "--unspool=trace", "--tb=no")
    lines = SHOP.splitlines()
    named: dict[str, bool] = {}
    for name, text in BUGS.items():
        line = next(number for number, source in enumerate(lines, 1) if text in source)
        found = re.search(rf"FAILED test_shop.py::test_{name}: .*\n((?:  .*\n)*)", printed)
        assert found, printed
        named[name] = f"shop.py:{line} " in found[1]
    assert sum(named.values()) >= 9, (named, printed)
    assert "10 failed, 1 passed" in printed


def test_what_is_called_for_each_item_of_a_comprehension_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_each.py").write_text(
        "def half(n):\n    return n // 3\n\n"
        "def test_each():\n    numbers = [4, 6]\n    assert [half(n) for n in numbers] == [2, 3]\n"
    )
    printed = run(tmp_path, "--unspool=trace", "--tb=no", "test_each.py")
    assert "half() was set at test_each.py:2 in half" in printed


def test_a_failing_test_is_recorded_line_by_line(tmp_path: Path) -> None:
    printed = run(tmp_path, "--unspool=trace", "test_shop.py::test_notes")
    place = re.search(r"FAILED test_shop.py::test_notes: (\S+)", printed)
    assert place, printed
    with open_history(tmp_path / place[1]) as history:
        texts = [history[seq].action for seq in range(len(history))]
        assert texts[0] == "test_notes: cart = Cart([])"
        assert "Cart.note: self.notes[key.strip()] = text[:3]  # bug: notes are cut" in texts
        assert texts[-1] == "failed in call: AssertionError"
        (found,) = blame(history, path=("cart", "notes", "gift")).values
        assert found.value == "wra"
        assert found.caller is not None
        assert "notes are cut" in SHOP.splitlines()[found.caller.line - 1]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="needs settrace")
def test_a_run_under_another_tracer_says_that_it_is_not_traced(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import sys\nsys.settrace(lambda *_: None)\n")
    printed = run(tmp_path, "--unspool=trace", "--tb=no", "test_shop.py::test_notes")
    assert "not traced: sys.settrace is taken" in printed
    assert "1 failed" in printed
