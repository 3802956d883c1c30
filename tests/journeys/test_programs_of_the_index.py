"""Programs of the package index, which nobody here wrote: each is recorded by one command, and `blame` names the line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from support.index_packages import libraries, source_of
from support.live_host import monitored, pythons, record
from support.serving import free_port
from support.waiting import wait_until
from unspool import open_history

UNSPOOL = (sys.executable, "-m", "unspool_tui.cli")
CACHETOOLS = "cachetools==8.0.2"
FLASK = "flask==3.1.3"
STORES = {
    "_Cache__currsize": ("self.__currsize = 0", "self.__currsize += ", "self.__currsize -= "),
    "_Cache__maxsize": ("self.__maxsize = maxsize",),
    "_Cache__data": ("self.__data = {}", "data[key] = value", "del self.__data[key]", "copy.__data = "),
}
"""The lines of the package that write a field."""
TOGETHER = ("greenlet>=3.1", "debugpy>=1.8")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not monitored(), reason="no Python 3.12 or newer is installed"),
]


def newest() -> str:
    return pythons()[monitored()[-1]]


def unspool(*words: object, folder: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UNSPOOL, *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=150, check=False, **more
    )


def text_at(place: str) -> str:
    """Return the line of code at a `FILE:LINE`."""
    file, _, line = place.partition(" in ")[0].rpartition(":")
    return Path(file).read_text().splitlines()[int(line) - 1].strip()


class TestTheOwnTestsOfCachetools:
    """What a person records to see why a cache's test does what it does."""

    def test_blame_names_the_line_of_the_cache_that_changed_it(self, tmp_path: Path) -> None:
        source = source_of(newest(), CACHETOOLS)
        words = [
            "run", "--headless", "--python", newest(), "--watch", "@Cache", "--prefix", source / "src",
            "-o", tmp_path / "caches.unspool", "--", "-m", "unittest", "-q", "tests.test_fifo.FIFOCacheTest.test_fifo",
            "tests.test_ttl.TTLCacheTest.test_ttl", "tests.test_lru.LRUCacheTest.test_lru",
        ]  # fmt: skip
        done = unspool(*words, folder=source, env={**os.environ, "PYTHONPATH": str(source / "src")})
        assert done.returncode == 0, done.stderr
        assert "Ran 3 tests" in done.stderr
        assert "OK" in done.stderr.split()
        found = 0
        with open_history(tmp_path / "caches.unspool") as history:
            for seq in range(1, len(history)):
                if history[seq].meta["live"].get("unseen"):
                    continue
                caller = history[seq].meta["caller"]
                text = text_at(f"{source / caller['file']}:{caller['line']}")
                for field, stores in STORES.items():
                    if written(history.state(seq - 1), history.state(seq), field):
                        assert text.startswith(stores), (seq, field, text)
                        found += 1
        assert found > 25


def written(before: dict[str, Any], after: dict[str, Any], field: str) -> bool:
    """Whether any cache that was there already got another value in a field."""
    both = [(before[name].value, after[name].value) for name in before.keys() & after.keys()]
    return any(field in new and old.get(field) != new[field] for old, new in both)


SERVED = {
    "flask run": ("{bin}/flask", "run", "--port", "{port}"),
    "python -m flask run": ("-m", "flask", "run", "--port", "{port}"),
    "app.run()": ("app.py", "{port}"),
    "app.run(threaded=False)": ("app.py", "{port}", "alone"),
}
OWN_MAIN = """\
import sys
from flaskr import create_app
create_app().run(port=int(sys.argv[1]), threaded=len(sys.argv) < 3)
"""


class TestTheTutorialOfFlask:
    """The blog that flask ships as an example, served in each way that flask has, and asked as a browser would."""

    @pytest.mark.parametrize("way", SERVED)
    def test_blame_names_the_line_that_logs_somebody_in(self, tmp_path: Path, way: str) -> None:
        packages = libraries(newest(), FLASK)
        shutil.copytree(source_of(newest(), FLASK) / "examples" / "tutorial" / "flaskr", tmp_path / "flaskr")
        (tmp_path / "app.py").write_text(OWN_MAIN)
        environment = {**os.environ, "PYTHONPATH": str(packages), "FLASK_APP": "flaskr"}
        subprocess.run([newest(), "-m", "flask", "init-db"], cwd=tmp_path, env=environment, check=True)
        port = free_port()
        program = [word.format(bin=packages / "bin", port=port) for word in SERVED[way]]
        words = [
            "run", "--headless", "--python", newest(), "--watch", "@SecureCookieSession", "-o", "blog.unspool", "--", *program,
        ]  # fmt: skip
        process = subprocess.Popen(
            [*UNSPOOL, *words],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            page = self.browse(f"http://127.0.0.1:{port}")
            process.send_signal(signal.SIGINT)
            process.wait(60)
        finally:
            process.kill()
            process.wait()
        assert "<span>ann</span>" in page
        with open_history(tmp_path / "blog.unspool") as history:
            logins = [
                (entry.seq, name)
                for entry in history
                for name in (logged_in(history.state(entry.seq - 1)) if entry.seq else {})
                if logged_in(history.state(entry.seq)).get(name) and not logged_in(history.state(entry.seq - 1))[name]
            ]
        ((seq, name),) = logins
        told = unspool("blame", "blog.unspool", f'$["{name}"].items.user_id', "--at", seq, "--json", folder=tmp_path)
        (value,) = json.loads(told.stdout)["values"]
        caller = value["caller"]
        assert (caller["file"], caller["function"]) == (str(Path("flaskr", "auth.py")), "login")
        assert text_at(f"{tmp_path / caller['file']}:{caller['line']}") == 'session["user_id"] = user["id"]'

    def browse(self, base: str) -> str:
        """Register, mistype the password, log in, and return the page that is met then."""
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

        def up() -> bool:
            try:
                return browser.open(f"{base}/hello", timeout=30).status == 200
            except urllib.error.URLError:
                return False

        wait_until(up, "that the blog answers")
        for path, password in (("register", "pw"), ("login", "wrong"), ("login", "pw")):
            form = urllib.parse.urlencode({"username": "ann", "password": password}).encode()
            answer = browser.open(f"{base}/auth/{path}", form, timeout=30)
        return answer.read().decode()


def logged_in(state: dict[str, Any]) -> dict[str, bool]:
    """Return which sessions there are, and whether somebody is logged in with them."""
    return {name: "user_id" in session.value.get("items", ()) for name, session in state.items()}


GREENLETS = """\
import greenlet
S = {"a": [], "b": 0}
def one(n):
    for i in range(3):
        S["a"].append((n, i))
        other.switch()
    return "done"
def two():
    while True:
        S["b"] += 1
        first.switch()
first, other = greenlet.greenlet(one), greenlet.greenlet(two)
print(first.switch(7))
def bad():
    S["bad"] = 1
    raise KeyError("x")
try:
    greenlet.greenlet(bad).switch()
except KeyError as error:
    print("as ever", error)
print(S)
"""
DEBUGGED = """\
import debugpy
print(debugpy.listen(("127.0.0.1", 0))[0])
S = {"n": 0}
def f():
    for i in range(1, 4):
        S["n"] += i
f()
print(S)
"""


class TestOthersInTheProgram:
    """Switched stacks and a debugger that listens, on each Python that has `sys.monitoring`."""

    @pytest.mark.parametrize("version", monitored())
    def test_greenlets_keep_their_lines(self, tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", str(libraries(pythons()[version], *TOGETHER)))
        seen = record(tmp_path, GREENLETS, version, watch=["S"])
        assert (seen.code, seen.err) == (0, "")
        assert seen.out.splitlines()[:2] == ["done", "as ever 'x'"]
        assert seen.of_kind("bye")[0]["faults"] == []
        lines = [entry["line"] for entry in seen.entries if not entry.get("unseen") and not entry.get("exc")]
        assert lines == [2, 5, 10, 5, 10, 5, 10, 15]
        assert seen.entries[-1]["state"]["b"] == 3

    @pytest.mark.parametrize("version", monitored())
    def test_a_debugger_that_listens_takes_nothing_away(
        self, tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTHONPATH", str(libraries(pythons()[version], *TOGETHER)))
        seen = record(tmp_path, DEBUGGED, version, watch=["S"])
        assert seen.code == 0, seen.err
        assert seen.out.splitlines() == ["127.0.0.1", "{'n': 6}"]
        assert seen.of_kind("bye")[0]["faults"] == []
        lines = [entry["line"] for entry in seen.entries if not entry.get("unseen")]
        assert lines == [3, 6, 6, 6]
