"""`unspool serve` opens the same screen in a web browser, on this machine only."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.recording import record_shop
from support.serving import LIMIT_S, Served, free_port, served
from support.waiting import wait_until
from unspool_tui.serving.server import is_loopback

pytest.importorskip("textual_serve", reason="textual-serve is not installed (extra `serve`)")
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --force-device-scale-factor=1"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("serve") / "<b>shop&.unspool"
    record_shop(path, 40)
    return path


def _refused(*words: str) -> str:
    command = [sys.executable, "-m", "unspool_tui.cli", "serve", *words]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert finished.returncode in (2, 3)
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1
    return finished.stderr


def test_a_history_is_served_on_this_machine_and_says_so(shop: Path) -> None:
    with served(shop) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(LIMIT_S) == 0
        assert f"serving <b>shop&.unspool at {server.address} (ctrl+c ends it)" in server.said
        assert server.address.startswith(f"http://localhost:{server.port}/")
        assert "other machines" not in server.said
        assert len(server.token) >= 32


@pytest.mark.slow
def test_each_server_has_a_token_of_its_own(shop: Path) -> None:
    with served(shop) as one, served(shop, options=("--quiet",)) as other:
        assert one.token != other.token
        assert other.said == f"{other.address}\n"


def test_serving_to_other_machines_is_told_to_be_open_to_them(shop: Path) -> None:
    with served(shop, options=("--host", "0.0.0.0")) as server:
        wait_until(lambda: "can be reached from other machines" in server.said)
        assert server.address.startswith(f"http://localhost:{server.port}/")


def test_a_source_that_cannot_be_opened_is_not_served(tmp_path: Path, shop: Path) -> None:
    assert "none.unspool" in _refused(str(tmp_path / "none.unspool"))
    assert "none.unspool" in _refused(str(shop), str(tmp_path / "none.unspool"))
    assert "standard input" in _refused("-")


def test_a_port_that_is_taken_is_told(shop: Path) -> None:
    with served(shop) as server:
        assert f"localhost:{server.port}" in _refused(str(shop), "--port", str(server.port))
    assert "name another with --host" in _refused(
        str(shop), "--host", "no.such.host.invalid", "--port", str(free_port())
    )


@pytest.mark.parametrize(("host", "answer"), [("localhost", True), ("127.0.0.2", True), ("[::1]", True)])
def test_loopback_hosts_are_known(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")


class Browser:
    """A page in Chromium, with what it asked for and what it complained about."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.requests: list[str] = []

    def look_for(self, question: Callable[[], object], what: str) -> None:
        wait_until(lambda: bool(question()), what)

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def picture(self) -> bytes:
        shot: bytes = self.driver.get_screenshot_as_png()
        return shot

    def press(self, keys: str) -> None:
        from selenium import webdriver

        webdriver.ActionChains(self.driver).send_keys(keys).perform()

    def wait_for_picture(self) -> bytes:
        """Return the picture once the screen is drawn and has come to rest."""
        self.look_for(lambda: self.run("return document.body.classList.contains('-first-byte')"), "a first byte")
        before = self.picture()
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            time.sleep(0.4)
            now = self.picture()
            if now == before:
                return now
            before = now
        pytest.fail("the page never came to rest")

    def asked_for(self) -> list[str]:
        """Return the addresses that the page asked for since the last call."""
        found = []
        for line in self.driver.get_log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                found.append(message["params"]["url"])
        return [url for url in found if not url.startswith(("chrome://", "data:"))]

    def complaints(self) -> list[str]:
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]


@contextmanager
def browsing(server: Served, folder: Path, *, width: int, height: int) -> Iterator[Browser]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no Chromium with its driver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in _FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={folder / f'profile-{width}'}")
    # Nothing but this machine is ever asked, whatever the page holds.
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if width < 700:
        metrics = {"width": width, "height": height, "pixelRatio": 2, "touch": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    else:
        options.add_argument(f"--window-size={width},{height}")
    running = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        browser = Browser(running)
        running.get_log("performance")
        running.get(server.address)
        yield browser
    finally:
        running.quit()


def test_a_browser_shows_the_screen_and_takes_keys_at_once(shop: Path, tmp_path: Path) -> None:
    with served(shop) as server, browsing(server, tmp_path, width=1280, height=760) as browser:
        shown = browser.wait_for_picture()
        assert browser.driver.title == "unspool · <b>shop&.unspool"
        browser.press("?")
        browser.look_for(lambda: browser.picture() != shown, "another picture after a key")
        asked = browser.asked_for()
        assert f"{server.address.replace('http', 'ws')}ws" in {url.partition("?")[0] for url in asked}
        own = (server.address, server.address.replace("http", "ws"))
        assert [url for url in asked if not url.startswith(own)] == []
        assert browser.complaints() == []
        browser.press("q")
        browser.press("q")
        browser.look_for(
            lambda: browser.run("return document.getElementById('why').textContent") == "You left the screen.",
            "words about the end",
        )
        browser.press("\ue007")
        browser.look_for(lambda: browser.run("return document.getElementById('over').hidden"), "a new screen")
        assert browser.wait_for_picture()


@pytest.mark.slow
def test_a_phone_shows_the_whole_width_and_has_keys_for_fingers(shop: Path, tmp_path: Path) -> None:
    with served(shop) as server, browsing(server, tmp_path, width=390, height=800) as browser:
        shown = browser.wait_for_picture()
        width, inner, terminal = browser.run(
            "return [document.documentElement.scrollWidth, innerWidth,"
            "document.querySelector('.xterm-screen').getBoundingClientRect().width]"
        )
        assert inner == 390
        assert width <= 390
        assert 380 <= terminal <= 390
        (socket,) = [url for url in browser.asked_for() if url.startswith("ws")]
        assert 60 <= int(socket.partition("width=")[2].partition("&")[0]) <= 70
        sizes = browser.run(
            "return [...document.querySelectorAll('#keys button')].map(button => button.getBoundingClientRect())"
        )
        assert all(size["height"] >= 40 and size["left"] >= 0 and size["right"] <= 390 for size in sizes)
        browser.driver.find_element("css selector", "#keys button[data-key='?']").click()
        browser.look_for(lambda: browser.picture() != shown, "another picture after a tap")
        assert browser.complaints() == []


@pytest.mark.slow
def test_a_server_that_ends_is_told_on_the_page(shop: Path, tmp_path: Path) -> None:
    with served(shop) as server, browsing(server, tmp_path, width=1280, height=760) as browser:
        browser.wait_for_picture()
        server.process.send_signal(signal.SIGTERM)
        browser.look_for(
            lambda: browser.run("return document.getElementById('why').textContent") == "The server was stopped.",
            "words about the end",
        )
