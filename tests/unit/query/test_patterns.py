"""Regular expressions that end in their time, whatever they are asked of."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import EvaluationStopped
from unspool.query.patterns import BoundedPattern
from unspool.query.search_queries import PatternQuery

LONG = "x" * 40_000
"""So long that any repeat is matched elsewhere."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that patterns have started."""
    found: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **others: Any) -> None:
            super().__init__(*arguments, **others)
            found.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return found


@pytest.mark.parametrize(
    "pattern",
    [
        "pay",
        "^pay(ed|ing)?$",
        r"\d+",
        "[*+?{]+",
        r"cart\.(add|remove)",
        ".*total.*",
        r"(?i:A)b{2}",
        r"(?P<q>['\"]).(?P=q)",
        "a++",
    ],
)
def test_what_people_look_for_is_matched_at_once(pattern: str, started: list[subprocess.Popen[bytes]]) -> None:
    bounded = BoundedPattern(pattern)
    for text in ("", "payed", "cart.add {'total': 12}", "a" * 100):
        found = re.search(pattern, text)
        assert bounded.search(text, 60) == (None if found is None else found.span())
    assert started == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 60 + "!"),
        (r"(?x) (a+) +$", "a" * 60 + "!"),
        (r"(?#[)(a+)+$(?#])", "a" * 60 + "!"),
        (r"\[(a|a)*\]", "[" + "a" * 60 + "!"),
        ("(a|a)" * 60 + "$", "a" * 60 + "!"),
        ("a*" * 30 + "$", "a" * 60 + "!"),
    ],
)
def test_a_match_without_end_is_ended(pattern: str, text: str, started: list[subprocess.Popen[bytes]]) -> None:
    bounded = BoundedPattern(pattern)
    with pytest.raises(TimeoutError):
        bounded.search(text, 0.1)
    assert [process.returncode is not None for process in started] == [True]


def test_after_the_end_of_one_match_others_are_made(started: list[subprocess.Popen[bytes]]) -> None:
    bounded = BoundedPattern("(a+)+$")
    with pytest.raises(TimeoutError):
        bounded.search("a" * 60 + "!", 0.1)
    assert bounded.search("ba", 60) == (1, 2)
    assert bounded.search("b", 60) is None
    assert len(started) == 2
    del bounded
    gc.collect()
    assert all(process.returncode is not None for process in started)


ELSEWHERE = {
    pattern: (BoundedPattern(pattern, flags), re.compile(pattern, flags))
    for pattern, flags in (
        ("(?:é|\\ud800|a)+b?", 0),
        ("(?:A|\\n|\U0001f600)*$", re.IGNORECASE),
        ("(?P<x>a|b)+(?P=x)", 0),
    )
}


@given(st.sampled_from(sorted(ELSEWHERE)), st.text(alphabet="aAbé\ud800\n\U0001f600\0", max_size=12))
def test_a_match_made_elsewhere_is_the_same(pattern: str, text: str) -> None:
    bounded, compiled = ELSEWHERE[pattern]
    found = compiled.search(text)
    assert bounded.search(text, 60) == (None if found is None else found.span())


def test_threads_get_their_own_answers() -> None:
    bounded = BoundedPattern("(?:ab)+")
    wrong: list[int] = []

    def ask(number: int) -> None:
        if any(bounded.search("x" * number + "abab", 60) != (number, number + 4) for _ in range(20)):
            wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_where_no_process_can_be_started_only_what_needs_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    query = PatternQuery("x+y")
    monkeypatch.setattr(sys, "executable", "")
    assert query.find("axxy") == (1, 4)
    with pytest.raises(EvaluationStopped, match=r"'x\+y' needs a process of its own on a text of 40,000 characters"):
        query.find(LONG)


def test_an_interruption_leaves_no_answer_for_the_next_question(tmp_path: Path) -> None:
    script = tmp_path / "interrupted.py"
    script.write_text(
        "import signal, threading\n"
        "from unspool.query.patterns import BoundedPattern\n"
        "bounded = BoundedPattern('(a+)+$')\n"
        "bounded.search('aa', 60)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "main = threading.main_thread().ident\n"
        "threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT)).start()\n"
        "try:\n"
        "    bounded.search('a' * 60 + '!', 600)\n"
        "except KeyboardInterrupt:\n"
        "    print(bounded.search('baa', 60))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=100, check=False)
    assert (done.stdout, done.stderr) == ("(1, 3)\n", "")
