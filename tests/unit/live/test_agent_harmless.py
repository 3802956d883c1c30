"""A program under the agent stays what it was: forks, signals, destructors, other tools, a host that hangs, faults."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support.agent_trials import bare, faulty_trial
from support.live_host import Host, each_python, monitored, pythons, record

PROGRAMS = {
    "destructors": """\
import gc, sys, weakref
class Thing:
    def __init__(self, name): self.name = name
    def __del__(self): print("gone", self.name)
class Box: pass
X = Box()
X.items = [Thing("a"), Thing("b")]
X.kept = Thing("c")
alive = weakref.WeakSet(X.items)
del X.items[0]
print(len(alive))
X.kept = None
print("after c", sys.getrefcount(X))
X.items.clear()
print(len(alive), gc.isenabled())
def local():
    thing = Thing("local")
    X.n = 1
    del thing
    print("after local")
    X.n = 2
    return locals()
print(local())
""",
    "threads": """\
import threading
X = {"n": 0, "log": []}
lock = threading.Lock()
def work(name):
    for _ in range(200):
        with lock:
            X["n"] += 1
    X["log"].append(name)
threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(X["n"], sorted(X["log"]), threading.active_count(), [t.name for t in threading.enumerate()])
""",
    "forks": """\
import os, sys, warnings
warnings.simplefilter("error")
X = {"n": 0}
for turn in range(3):
    X["n"] += 1
    pid = os.fork()
    if pid == 0:
        X["n"] = 1000
        X["child"] = os.getpid()
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), X["n"])
import multiprocessing
def child(q):
    X["n"] += 5
    q.put(X["n"])
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    q = context.Queue()
    p = context.Process(target=child, args=(q,))
    p.start()
    print(q.get(), p.join(), X["n"])
""",
    "executes": """\
import os, sys
X = {"n": 0}
X["n"] += 1
print("before", flush=True)
os.execv(sys.executable, [sys.executable, "-c", "import os; print('other', os.environ.get('UNSPOOL_AGENT'))"])
""",
    "signals": """\
import signal, time
X = {"n": 0}
class Late(Exception): pass
def handler(number, frame):
    X["late"] = True
    raise Late("too late")
signal.signal(signal.SIGALRM, handler)
caught = 0
for turn in range(20):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.003)
        while True:
            X["n"] += 1
            X.setdefault("list", []).append(X["n"])
            if len(X["list"]) > 50: X["list"].clear()
    except Late as error:
        caught += 1
        assert str(error) == "too late"
print(caught, X["late"])
""",
    "recursion": """\
X = {"depth": 0}
def deep(n):
    X["depth"] = n
    return deep(n + 1)
try:
    deep(0)
except RecursionError as error:
    print("stopped", X["depth"] > 500)
X["depth"] = 0
""",
    "generators": """\
import asyncio
X = {"n": 0, "seen": []}
def numbers():
    for n in range(3):
        X["n"] = n
        try:
            yield n
        finally:
            X["seen"].append(n)
for n in numbers():
    if n == 1: break
async def one(name):
    X["seen"].append(name)
    await asyncio.sleep(0)
    X["seen"].append(name)
async def main():
    await asyncio.gather(one("a"), one("b"))
asyncio.run(main())
print(X)
""",
    "tracers": """\
import sys, threading
X = {"n": 0}
seen = []
def tracer(frame, event, arg):
    seen.append(event)
    return tracer
def work():
    X["n"] += 1
    return X["n"]
sys.settrace(tracer)
work()
sys.settrace(None)
print(seen, sys.gettrace(), threading.gettrace())
if hasattr(sys, "monitoring"):
    sys.monitoring.use_tool_id(2, "mine")
    lines = []
    sys.monitoring.register_callback(2, sys.monitoring.events.LINE, lambda code, line: lines.append(line))
    sys.monitoring.set_local_events(2, work.__code__, sys.monitoring.events.LINE)
    work()
    print(lines)
""",
    "metaclasses": """\
class Meta(type):
    def __getattribute__(cls, name): print("asked", name); return super().__getattribute__(name)
    def __instancecheck__(cls, other): print("checked"); return False
class Odd(metaclass=Meta):
    def __getattribute__(self, name): print("get", name); return object.__getattribute__(self, name)
    def __eq__(self, other): print("eq"); return True
    def __hash__(self): print("hash"); return 1
    def __bool__(self): print("bool"); return True
    def __len__(self): print("len"); return 1
    def __iter__(self): print("iter"); return iter(())
    def __repr__(self): print("repr"); return "?"
    def __class_getitem__(cls, key): print("getitem")
class Liar:
    @property
    def __class__(self): print("class"); return dict
    def __getattr__(self, name): print("getattr", name); raise AttributeError(name)
X = {}
X["odd"] = Odd()
X["list"] = [Odd(), Liar()]
X["odd"] = Odd()
X[Odd()] = 1
X["list"][0] = Odd()
X["set"] = {Odd()}
X["liar"] = Liar()
X["liar"].n = 1
X["raised"] = ValueError(Odd())
""",
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("version", each_python())
@pytest.mark.parametrize("case", PROGRAMS)
def test_what_a_program_does_stays_its_own(tmp_path: Path, case: str, version: str) -> None:
    alone = bare(tmp_path, version, PROGRAMS[case])
    seen = record(tmp_path, PROGRAMS[case], version, watch=["X"], stores=case != "tracers")
    assert (seen.out, seen.err, seen.code) == (alone.stdout, alone.stderr, alone.returncode)
    byes = seen.of_kind("bye")
    assert [bye["faults"] for bye in byes] == ([[]] if case != "executes" else [])


def test_no_entry_of_a_child_is_sent(tmp_path: Path) -> None:
    seen = record(tmp_path, PROGRAMS["forks"], watch=["X"])
    assert [entry["state"]["n"] for entry in seen.entries] == [0, 1, 2, 3]


def test_threads_are_named_and_nothing_is_lost(tmp_path: Path) -> None:
    seen = record(tmp_path, PROGRAMS["threads"], watch=["X"], rate=0)
    assert seen.entries[-1]["state"]["n"] == 800
    assert len({entry.get("thread") for entry in seen.entries}) == 5
    assert [entry["state"]["n"] for entry in seen.entries] == sorted(entry["state"]["n"] for entry in seen.entries)


@pytest.mark.parametrize("behind", ["merge", pytest.param("wait", marks=pytest.mark.slow)])
def test_a_host_that_hangs_holds_nobody_up_for_long(tmp_path: Path, behind: str) -> None:
    source = "X = {}\nfor n in range(60_000):\n    X[n % 50] = 'x' * 1000 + str(n)\nprint('done')\n"
    (tmp_path / "app.py").write_text(source)
    host = Host(tmp_path)
    try:
        process = host.start(
            pythons()[monitored()[-1]], "app.py", config={"watch": ["X"], "rate": 0, "behind": behind}
        )
        host.accept()
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        seen = host.finish()
        assert seen.of_kind("bye")[0]["merged"] > 0
        assert seen.entries[-1]["state"]["49"].endswith("59999")
        assert len(seen.entries[-1]["state"]) == 50
    finally:
        host.close()


def test_a_host_that_goes_is_not_missed(tmp_path: Path) -> None:
    source = "import sys\nX = {}\nfor line in sys.stdin:\n    X['n'] = line\n    print(line.strip(), flush=True)\n"
    (tmp_path / "app.py").write_text(source)
    host = Host(tmp_path)
    try:
        process = host.start(pythons()[monitored()[-1]], "app.py", config={"watch": ["X"]}, talks=True)
        host.accept()
        assert host._link is not None
        host._link.close()
        out, err = process.communicate("one\ntwo\nthree\n", timeout=20)
        assert (out, err, process.returncode) == ("one\ntwo\nthree\n", "", 0)
    finally:
        host.close()


def test_a_hot_place_is_capped_and_that_is_said(tmp_path: Path) -> None:
    source = "X = {}\nfor n in range(20_000):\n    X['n'] = n\nX['last'] = True\n"
    seen = record(tmp_path, source, watch=["X"], rate=500)
    (said,) = [message for message in seen.of_kind("say") if message["kind"] == "capped"]
    assert "app.py:3" in said["text"]
    merged = sum(entry.get("merged", 0) for entry in seen.entries)
    assert 19_000 < merged + len(seen.entries) < 20_010
    assert any(entry.get("capped") for entry in seen.entries)
    assert seen.entries[-1]["state"] == {"n": 19_999, "last": True}


def test_secrets_never_leave_the_program(tmp_path: Path) -> None:
    source = """\
class User:
    def __init__(self):
        self.name = "ann"
        self._password = "hunter2-secret"
        self.session = {"token": "tok-123456", "n": 1, "card": "4111-1111"}
USERS = {"a": User(), "b": {"deep": [{"password": "pw-abcdef"}]}}
USERS["a"]._password = "changed-secret"
USERS["b"]["deep"].append({"password": ["listed-secret"], "note": "call 555-1234"})
raise ValueError("no changed-secret here")
"""
    host = Host(tmp_path)
    (tmp_path / "app.py").write_text(source)
    try:
        config = {"watch": ["USERS"], "redact": ["password", "a.session.token"], "redact_text": [r"\d{3}-\d{4}"]}
        host.start(pythons()[monitored()[-1]], "app.py", config=config)
        seen = host.finish()
    finally:
        host.close()
    sent = str(seen.messages)
    for secret in ("hunter2", "changed-secret", "listed-secret", "pw-abcdef", "tok-123456", "555-1234"):
        assert secret not in sent, secret
    assert "4111-1111" not in sent
    assert seen.entries[-1]["state"]["a"][1]["name"] == "ann"


FAULTS = int(os.environ.get("UNSPOOL_AGENT_FAULTS", "3"))


@pytest.mark.one_in(2)
@pytest.mark.parametrize("version", monitored())
def test_a_fault_anywhere_in_the_agent_never_reaches_the_program(tmp_path: Path, version: str) -> None:
    for seed in range(FAULTS):
        faulty_trial(tmp_path, seed, version)


@pytest.mark.slow
@pytest.mark.parametrize("version", pythons())
def test_many_faults_never_reach_the_program(tmp_path: Path, version: str) -> None:
    for seed in range(1000, 1060):
        faulty_trial(tmp_path, seed, version)


def test_a_program_that_is_killed_loses_nothing_that_was_sent(tmp_path: Path) -> None:
    source = "X = {}\nfor n in range(500):\n    X['n'] = n\nimport os\nos.kill(os.getpid(), 9)\n"
    # Behind a slow host, changes would wait to be merged: these are not sent yet when the end comes.
    seen = record(tmp_path, source, watch=["X"], rate=0, behind="wait")
    assert seen.code == -signal.SIGKILL
    assert seen.entries[-1]["state"] == {"n": 499}
    assert seen.of_kind("bye") == []


RIVAL = """\
import sys
M, E = sys.monitoring, sys.monitoring.events
M.use_tool_id(M.COVERAGE_ID, "cover")
def start(code, offset):
    M.set_local_events(M.COVERAGE_ID, code, E.LINE)
M.register_callback(M.COVERAGE_ID, E.PY_START, start)
M.register_callback(M.COVERAGE_ID, E.LINE, lambda code, line: M.DISABLE)
M.set_events(M.COVERAGE_ID, E.PY_START)
import body
"""
BODY = """\
S = {"n": 0}
def f():
    S["n"] += 1
    S["n"] += 2
    S["n"] += 3
f()
"""


@pytest.mark.one_in(3)
@pytest.mark.parametrize("settle", ["statement", "return"])
@pytest.mark.parametrize("version", monitored())
def test_coverage_that_is_done_with_a_line_takes_no_change_away(tmp_path: Path, version: str, settle: str) -> None:
    (tmp_path / "body.py").write_text(BODY)
    seen = record(tmp_path, RIVAL, version, watch=["body:S"], settle=settle)
    assert (seen.code, seen.err, seen.of_kind("bye")[0]["faults"]) == (0, "", [])
    lines = [entry["line"] for entry in seen.entries if not entry.get("unseen")]
    assert lines == ([1, 3, 4, 5] if settle == "statement" else [1, 5])
