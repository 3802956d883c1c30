"""The report in a real browser: by keyboard alone, on a telephone, and held to WCAG AA by an automatic checker."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from support.waiting import wait_until
from unspool import Recorder
from unspool_tui.cli import run

FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    source, page = folder / "shop.unspool", folder / "shop.html"
    assert run(["demo", "--steps", "300", "--file", str(source), "--quiet"]) == 0
    assert run(["note", str(source), "94", "the total is too high here", "--quiet"]) == 0
    assert run(["share", str(source), str(page), "--range", "60..160", "--question", "Why?", "--quiet"]) == 0
    return page


@contextmanager
def browsing(page: Path, folder: Path, *, width: int, is_dark: bool = False) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no Chromium with its driver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS.split(), f"--user-data-dir={folder / 'profile'}", f"--window-size={width},800"):
        options.add_argument(flag)
    if is_dark:
        options.add_argument("--force-dark-mode")
    if width < 700:
        metrics = {"width": width, "height": 800, "pixelRatio": 2, "touch": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        if is_dark:
            feature = [{"name": "prefers-color-scheme", "value": "dark"}]
            running.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
        running.get(page.as_uri())
        yield running
        assert [line for line in running.get_log("browser") if line["level"] == "SEVERE"] == []
    finally:
        running.quit()


def violations(browser: Any) -> list[str]:
    pytest.importorskip("axe_core_python", reason="axe-core is not installed")
    browser.execute_script(files("axe_core_python").joinpath("axe.min.js").read_text("utf-8"))
    found = browser.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run({runOnly: arguments[0]}).then(done)", RULES
    )
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]


def text(browser: Any, name: str) -> str:
    return str(browser.execute_script("return document.getElementById(arguments[0]).innerText", name))


def press(browser: Any, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def shows(browser: Any, name: str, words: str) -> Callable[[], bool]:
    return lambda: words in text(browser, name)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "is_dark"), [(1280, False), (1280, True), (390, False)])
def test_the_checker_finds_nothing(report: Path, tmp_path: Path, width: int, is_dark: bool) -> None:
    with browsing(report, tmp_path, width=width, is_dark=is_dark) as browser:
        assert violations(browser) == []
        press(browser, "m", "k", "k")
        assert violations(browser) == []
        wide = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1]


def test_everything_can_be_done_by_keyboard(report: Path, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    with browsing(report, tmp_path, width=1280) as browser:
        assert "Question: Why?" in browser.page_source.replace("<b>", "").replace("</b>", "")
        assert text(browser, "where") == "#159 → #160"
        press(browser, Keys.HOME)
        wait_until(lambda: text(browser, "where") == "#60", "the first entry")
        press(browser, "/", "too high")
        wait_until(shows(browser, "live", "1 of 101 entries"), "what was filtered")
        press(browser, Keys.ESCAPE, "j")
        wait_until(lambda: text(browser, "where") == "#93 → #94", "the entry with the note")
        said = text(browser, "live")
        assert said.startswith("entry 94, ")
        assert "demo_bug.py:19" in said
        # Names in the state are buttons: they tell who set the value.
        browser.execute_script("document.querySelector('#tree button.key').focus()")
        press(browser, Keys.ENTER)
        wait_until(shows(browser, "who", " was "), "who set it")
        assert "entry " in text(browser, "who")
        browser.execute_script("document.getElementById('filter').value = ''")
        press(browser, "m", "j")
        wait_until(lambda: text(browser, "base") == "stop comparing from #94", "the base")


@pytest.mark.slow
def test_a_value_finds_its_entry_and_its_writer_is_named(report: Path, tmp_path: Path) -> None:
    with browsing(report, tmp_path, width=1280) as browser:
        truth = browser.execute_script(
            "document.getElementById('filter').value = 'whisk';"
            "document.getElementById('filter').dispatchEvent(new Event('input'));"
            "return [...document.querySelectorAll('#entries li:not([hidden])')].map(row => row.textContent)"
        )
        assert truth
        assert len(truth) < 101


@pytest.mark.slow
def test_a_thousand_entries_of_the_demo_stay_small(tmp_path: Path) -> None:
    source, page = tmp_path / "shop.unspool", tmp_path / "shop.html"
    assert run(["demo", "--steps", "999", "--file", str(source), "--quiet"]) == 0
    assert run(["share", str(source), str(page), "--quiet"]) == 0
    assert page.stat().st_size <= 300_000


@pytest.mark.slow
def test_hostile_values_of_two_thousand_entries_are_text(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=\"document.title='taken'\"><svg onload=alert(1)>\u202e\x1b[31m'`&lt;"
    with Recorder(tmp_path / "app.unspool") as recorder:
        for number in range(2_000):
            state = {hostile: number, "value": {hostile: hostile}, "__proto__": {"n": number}, "constructor": number}
            recorder.record(state, action=f"{hostile} {number}")
    page = tmp_path / "app.html"
    assert run(["export", str(tmp_path / "app.unspool"), str(page), "--quiet"]) == 0
    with browsing(page, tmp_path, width=1280) as browser:
        wait_until(lambda: text(browser, "where") == "#1998 → #1999", "the newest entry")
        made = browser.execute_script("return document.querySelectorAll('img, svg[onload], [onerror]').length")
        assert made == 0
        assert "taken" not in browser.title
        assert "onerror" in text(browser, "tree")
        assert "__proto__" in text(browser, "tree")
        press(browser, "/", "1234")
        wait_until(shows(browser, "live", " of 2000 entries"), "what was filtered")


@pytest.mark.slow
def test_a_history_without_entries_is_a_page_that_says_so(tmp_path: Path) -> None:
    with Recorder(tmp_path / "none.unspool"):
        pass
    page = tmp_path / "none.html"
    assert run(["export", str(tmp_path / "none.unspool"), str(page), "--quiet"]) == 0
    with browsing(page, tmp_path, width=390) as browser:
        assert "\n0 entries\n" in browser.execute_script("return document.body.innerText")
        press(browser, "k", "j", "m", "/", "x")
        assert violations(browser) == []
