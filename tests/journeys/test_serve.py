"""`unspool serve` opens the same screen in a web browser, on this machine only."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.recording import record_shop
from unspool_tui.cli.serve import is_loopback

pytest.importorskip("textual_serve", reason="textual-serve is not installed (extra `serve`)")
_LIMIT_S = 30.0
_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1280,760"
)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def served(path: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    port = free_port()
    words = [sys.executable, "-m", "unspool_tui.cli", "serve", str(path), "--port", str(port), *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = f"http://localhost:{port}"
        try:
            wait_for_page(address, process)
            yield process, address
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)


def wait_for_page(address: str, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + _LIMIT_S
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        try:
            with urllib.request.urlopen(address, timeout=2) as page:
                assert page.status == 200
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    pytest.fail("no page was served")


def test_a_history_is_served_on_this_machine_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    record_shop(path, 5)
    with served(path) as (process, address):
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=_LIMIT_S)
    assert process.returncode == 0
    assert f"serving {path} at {address}" in words
    assert "no password" not in words


def test_serving_to_other_machines_is_told_to_be_open_to_them(tmp_path: Path) -> None:
    path = tmp_path / "shop.unspool"
    record_shop(path, 5)
    with served(path, "--host", "0.0.0.0") as (process, _):
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=_LIMIT_S)
    assert "can be reached from other machines" in words


def test_a_source_that_cannot_be_opened_is_not_served(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "unspool_tui.cli", "serve", str(tmp_path / "none.unspool")]
    finished = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    assert finished.returncode == 3
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1


@pytest.mark.parametrize(("host", "answer"), [("localhost", True), ("127.0.0.2", True), ("[::1]", True)])
def test_loopback_hosts_are_known(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")


def test_the_screen_takes_keys_in_a_browser(tmp_path: Path) -> None:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no Chromium with its driver on this machine")
    path = tmp_path / "shop.unspool"
    record_shop(path, 40)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in _FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    # The page asks for a font from elsewhere; it does without.
    options.add_argument("--host-resolver-rules=MAP fonts.googleapis.com 127.0.0.1")
    with served(path) as (_, address):
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            browser.get(f"{address}/?fontsize=16")
            terminal = wait_for(lambda: browser.find_elements("css selector", ".xterm"))[0]
            # The screen is a canvas: what it shows is told by its picture only.
            shown = wait_for_rest(browser.get_screenshot_as_png)
            terminal.click()
            webdriver.ActionChains(browser).send_keys("g").perform()
            wait_for(lambda: browser.get_screenshot_as_png() != shown)
        finally:
            browser.quit()


def wait_for(question):  # type: ignore[no-untyped-def]
    end = time.monotonic() + _LIMIT_S
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.05)
    pytest.fail("waited in vain")


def wait_for_rest(look):  # type: ignore[no-untyped-def]
    """Wait until two looks in a row, a while apart, see the same thing and it is no empty page."""
    end = time.monotonic() + _LIMIT_S
    before = look()
    while time.monotonic() < end:
        time.sleep(1.0)
        now = look()
        if now == before and len(now) > 60_000:
            return now
        before = now
    pytest.fail("the page never came to rest")
