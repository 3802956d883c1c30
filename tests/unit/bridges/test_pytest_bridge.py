"""The pytest plugin, in real runs of pytest over projects of their own."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from unspool.bridges.test_runs import TestRuns
from unspool.errors import UnreadableSource
from unspool.history import History
from unspool.history.verdict import VerdictStatus
from unspool.sources.opening import open_history

pytest_plugins = ["pytester"]
# What a run in this process imports first is imported anew by the next, and would be there twice.
import_module("unspool.bridges.pytest_keeping")

NAME = "unspool.bridges.pytest_plugin"
SHOP = """
    import pytest

    PRICE = {price}

    def add(recorder, cart, price):
        cart["total"] += price
        recorder.record({{"cart": cart}}, "add")

    def test_total(unspool_recorder):
        cart = {{"total": 0, "password": "hunter2"}}
        unspool_recorder.record({{"cart": cart}}, "begin")
        for price in (1, PRICE):
            add(unspool_recorder, cart, price)
        api_token = "hunter2"
        assert cart["total"] == 3

    def test_other():
        assert True
"""

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def _plugins_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load no others: some cannot be there twice in one process."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile what is run each time: a file that is written anew within a second, in as many letters, looks like the old one."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run pytest over a file of tests, in this process, and return what it printed."""

    def run_in_process(tests: str, *options: str) -> str:
        pytester.makepyfile(test_shop=dedent(tests))
        sys.modules.pop("test_shop", None)
        result = pytester.runpytest_inprocess("-p", NAME, *options)
        return result.stdout.str()

    return run_in_process


def kept(pytester: pytest.Pytester) -> TestRuns:
    return TestRuns.nearest(pytester.path)


def only_failed(pytester: pytest.Pytester) -> History:
    runs = kept(pytester)
    [failed] = runs.failed()
    return open_history(runs.place_of(failed))


def test_a_failing_test_leaves_what_it_recorded_and_the_locals_of_its_frames(
    run: Run, pytester: pytest.Pytester
) -> None:
    told = run(SHOP.format(price=5), "--unspool=failed")
    assert "FAILED test_shop.py::test_total" in told
    assert "unspool --last-failed" in told
    with only_failed(pytester) as history:
        assert [entry.action for entry in history] == [
            *("begin", "add", "add", "failed in call: AssertionError"),
        ]
        assert history.value(2, "cart") == {"total": 6, "password": "[redacted]"}
        [frame] = history.value(-1, "failure")["frames"]
        assert frame["locals"]["cart"]["total"] == 6
        assert frame["locals"]["price"] == 5
        assert frame["locals"]["api_token"] == "[redacted]"
        lines = (pytester.path / "test_shop.py").read_text().splitlines()
        assert lines[frame["place"]["line"] - 1].strip() == 'assert cart["total"] == 3'
        assert (frame["place"]["file"], frame["place"]["function"]) == ("test_shop.py", "test_total")
        assert history[-1].meta["test"] == "test_shop.py::test_total"
        assert history[-1].meta["exception"].type_name == "builtins.AssertionError"
        assert history[2].meta["caller"]["function"] == "add"
    for file in (pytester.path / ".pytest_cache").rglob("*"):
        assert file.is_dir() or b"hunter2" not in file.read_bytes()


def test_what_the_project_names_is_redacted_whatever_holds_it(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nunspool_redact =\n    card\n    pi?\n")
    run(
        """
        def test_paid(unspool_recorder):
            card, user = "4711-4711", {"pin": "4711-4712", "name": "Ada"}
            unspool_recorder.record({"card": card, "user": user})
            assert card == "", f"card={card}"
        """,
        "--unspool=failed",
    )
    with only_failed(pytester) as history:
        [frame] = history.value(-1, "failure")["frames"]
        assert frame["locals"]["card"] == "[redacted]"
        assert frame["locals"]["user"] == {"pin": "[redacted]", "name": "Ada"}
        runs = kept(pytester)
        assert b"4711-471" not in runs.place_of(runs.failed()[0]).read_bytes()


def test_a_failure_is_compared_with_the_last_green_run_of_that_test(run: Run, pytester: pytest.Pytester) -> None:
    assert "= unspool =" not in run(SHOP.format(price=2), "--unspool=failed")
    told = run(SHOP.format(price=5), "--unspool=failed")
    assert (
        "parts from the last green run at entry 2 (add): cart.total is 6, was 3, set at test_shop.py:7 in add" in told
    )
    assert "passed test_shop.py::test_total: " in run(SHOP.format(price=2), "--unspool=all")
    assert kept(pytester).failed() == []
    assert not list((kept(pytester).folder / "failed").glob("*"))
    [green] = (kept(pytester).folder / "green").iterdir()
    with open_history(green) as history:
        assert history.value(-1, "cart")["total"] == 3


@pytest.mark.parametrize(
    ("price", "assertion", "told"),
    [
        ("2", 'cart["total"] == 4', "went through the same states as the last green run"),
        ("1 / 0", "True", "ended before entry 0 of the last green run (begin)"),
    ],
)
def test_runs_that_did_nothing_else_are_told_apart(run: Run, price: str, assertion: str, told: str) -> None:
    run(SHOP.format(price=2), "--unspool=all")
    changed = (
        SHOP.format(price=2)
        .replace('cart["total"] == 3', assertion)
        .replace("    cart = {", f"    {price}; cart = {{")
    )
    assert told in run(changed, "--unspool=failed")


def test_a_test_that_is_run_again_counts_as_it_came_out(run: Run, pytester: pytest.Pytester) -> None:
    """As plugins do that repeat what failed."""
    pytester.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            for _ in range(2):
                item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                for report in runtestprotocol(item, nextitem=nextitem, log=False):
                    item.ihook.pytest_runtest_logreport(report=report)
            return True
        """
    )
    tests = """
        TIMES = []

        def test_flaky(unspool_recorder):
            TIMES.append(1)
            unspool_recorder.record({{"n": len(TIMES)}})
            assert len(TIMES) == {good}
        """
    assert "= unspool =" not in run(tests.format(good=2), "--unspool=failed")
    assert kept(pytester).failed() == []
    assert not list((kept(pytester).folder / "failed").glob("*"))
    run(tests.format(good=1), "--unspool=failed")
    with only_failed(pytester) as history:
        assert history.state(0) == {"n": 2}


def test_what_the_app_says_cannot_steer_the_terminal(run: Run) -> None:
    tests = """
        def test_odd(unspool_recorder):
            unspool_recorder.record({{"\\x1b[2Jkey": {value}}}, "\\x1b]0;title\\x07 action\\nFAILED none")
            assert {value} == 1
        """
    run(tests.format(value=1), "--unspool=failed", "--tb=no")
    told = run(tests.format(value=2), "--unspool=failed", "--tb=no", "--color=no")
    assert "parts from the last green run at entry 0" in told
    assert "\x1b" not in told
    assert "\nFAILED none" not in told


def test_tests_that_record_nothing_leave_their_locals_from_every_phase(run: Run, pytester: pytest.Pytester) -> None:
    told = run(
        """
        import pytest, threading

        class Order:
            def __init__(self):
                self.lines = [1, 2]
                self.lock = threading.Lock()
            def __repr__(self):
                raise LookupError("not for you")

        def check(order, deep):
            huge = list(range(10 ** 6))
            raise ValueError(sum(order.lines))

        def test_deep(request):
            check(Order(), {"a": {"b": 1}})

        @pytest.fixture
        def broken():
            size = 7
            yield
            assert size == 8

        def test_teardown(broken):
            pass

        @pytest.mark.xfail
        def test_expected():
            assert False

        @pytest.mark.parametrize("name", ["a/b", "a b", "x" * 300])
        def test_names(name):
            assert name == 0

        def test_skipped():
            pytest.skip("not today")
        """,
        "--unspool=failed",
    )
    assert "test_expected" not in told.rpartition("= unspool =")[2]
    runs = kept(pytester)
    failed = runs.failed()
    assert [run.test.partition("::")[2][:12] for run in failed] == [
        "test_deep",
        "test_teardow",
        *["test_names[a"] * 2,
        "test_names[x",
    ]
    assert all(runs.place_of(run).is_file() for run in failed)
    with open_history(runs.place_of(failed[0])) as history:
        inner, outer = history.value(0, "failure")["frames"]
        assert inner["place"]["function"] == "check"
        order = inner["locals"]["order"]
        assert order.type_name.endswith("Order")
        assert order.value["lines"] == [1, 2]
        assert inner["locals"]["deep"] == {"a": {"b": 1}}
        assert len(inner["locals"]["huge"]) < 10**6
        assert outer["locals"]["request"].startswith("<_pytest.")
    with open_history(runs.place_of(failed[1])) as history:
        assert [entry.action for entry in history] == ["failed in teardown: AssertionError"]
        assert history.value(0, "failure")["frames"][0]["locals"]["size"] == 7


@pytest.mark.parametrize("is_closed", [True, False])
def test_recorders_that_the_test_opens_itself_are_kept_too(
    run: Run, pytester: pytest.Pytester, is_closed: bool
) -> None:
    tests = """
        from unspool import Recorder

        HELD = []

        def app(path, price):
            recorder = Recorder(path, redact=["card"])
            HELD.append(recorder)
            for total in (1, 1 + price):
                recorder.record({{"total": total, "card": "4711-4711"}}, "add")
            if {is_closed}:
                recorder.close()
            return total

        def test_app(tmp_path):
            assert app(tmp_path / "app.unspool", {price}) == 3

        def test_without():
            pass
        """
    assert "unspool ==" not in run(tests.format(price=2, is_closed=is_closed), "--unspool=failed")
    told = run(tests.format(price=5, is_closed=is_closed), "--unspool=failed")
    assert "parts from the last green run at entry 1 (add): total is 6, was 3" in told
    with only_failed(pytester) as history:
        assert [entry.action for entry in history] == ["add", "add", "failed in call: AssertionError"]
        assert history.value(1, "total") == 6
        assert history.value(1, "card") == "[redacted]"
        assert history.value(-1, "failure")["frames"][0]["place"]["function"] == "test_app"
        assert history.verdict.status is VerdictStatus.COMPLETE


def test_several_processes_leave_one_index(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_one="def test_a(unspool_recorder):\n    unspool_recorder.record({'n': 1})\n    assert False\n",
        test_two="def test_b(unspool_recorder):\n    unspool_recorder.record({'n': 2})\n    assert False\n",
    )
    command = [sys.executable, "-m", "pytest", "-p", NAME, "-p", "xdist", "--unspool=failed", "-n", "1"]
    done = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    runs = kept(pytester)
    found = {}
    for one in runs.failed():
        with open_history(runs.place_of(one)) as history:
            found[one.test] = history.value(0, "n")
    assert found == {"test_one.py::test_a": 1, "test_two.py::test_b": 2}
    assert done.stdout.count("= unspool =") == 1


def test_a_run_without_a_cache_keeps_what_failed_all_the_same(run: Run, pytester: pytest.Pytester) -> None:
    run("def test_it():\n    assert 1 == 2\n", "--unspool=failed", "-p", "no:cacheprovider")
    with only_failed(pytester) as history:
        assert history[-1].action == "failed in call: AssertionError"


def test_without_the_option_nothing_is_imported_kept_or_recorded(run: Run, pytester: pytest.Pytester) -> None:
    told = run("def test_a(unspool_recorder):\n    assert unspool_recorder.record({'n': 1}) is None\n")
    assert "1 passed" in told
    assert not (pytester.path / ".pytest_cache" / "d").exists()
    code = f"import sys, {NAME}; print([m for m in sys.modules if m.startswith('unspool')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str(["unspool", "unspool.bridges", NAME])


def test_the_plugin_is_one_that_pytest_finds() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    named = project["entry-points"]["pytest11"]["unspool"]
    assert named == NAME
    assert callable(import_module(named).pytest_addoption)


@pytest.mark.parametrize(
    "text", ["", "{}", '[{"test": "a", "failed": true, "name": "../../etc/passwd"}]', "\x00" * 99]
)
def test_an_index_that_is_none_is_refused_and_leads_nowhere(tmp_path: Path, text: str) -> None:
    folder = tmp_path / ".pytest_cache" / "d" / "unspool"
    folder.mkdir(parents=True)
    (folder / "last-run.json").write_text(text)
    runs = TestRuns.nearest(tmp_path)
    found: Any = None
    try:
        found = runs.failed()
    except UnreadableSource as error:
        assert "last-run.json" in str(error)
    assert not found


def test_where_no_test_left_anything_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="run `pytest --unspool=failed` first"):
        TestRuns.nearest(tmp_path)
