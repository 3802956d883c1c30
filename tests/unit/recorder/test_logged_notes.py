"""Log lines as notes: the app's logging stays as it was, and nothing that a line holds can hurt the app."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unspool import Recorder, open_history
from unspool.errors import ConfigError
from unspool.recorder import LogsHeldBack


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("shop.cart")
    logger.setLevel(logging.DEBUG)
    # What pytest listens with raises where a line cannot be shown.
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    yield logger
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.unspool"


def notes(path: Path) -> list[tuple[str, dict[str, Any]]]:
    with open_history(path) as history:
        return [(entry.action, dict(entry.meta)) for entry in history if entry.kind.value == "note"]


def listening(path: Path, level: str | int = "INFO", **options: Any) -> Recorder:
    recorder = Recorder(path, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LogsHeldBack)
        recorder.install(logging=level)
    return recorder


def test_lines_of_a_level_and_above_become_notes(path: Path, log: logging.Logger) -> None:
    with listening(path, on_error="raise") as recorder:
        recorder.record({"a": 1})
        log.debug("not this one")
        log.info("took %d of %s", 3, "A-17", extra={"request": "r1"})
        log.error("failed")
    log.error("closed by now")
    assert notes(path) == [
        ("took 3 of A-17", {"level": "info", "logger": "shop.cart", "request": "r1"}),
        ("failed", {"level": "error", "logger": "shop.cart"}),
    ]


def test_a_line_names_its_place_and_its_exception(path: Path, log: logging.Logger) -> None:
    with listening(path, on_error="raise", caller=True):
        try:
            [].pop()
        except IndexError:
            log.exception("order failed")
    ((_, meta),) = notes(path)
    assert meta["caller"]["function"] == "test_a_line_names_its_place_and_its_exception"
    assert meta["exception"].type_name.endswith("IndexError")


def test_secrets_are_left_out_and_lines_are_bounded(path: Path, log: logging.Logger) -> None:
    with listening(path, redact=["password"]):
        log.info("login password=hunter22", extra={"password": "hunter22", "much": "x" * 1_000_000})
        log.info("y" * 1_000_000)
    assert b"hunter22" not in path.read_bytes()
    assert path.stat().st_size < 100_000
    assert len(notes(path)[1][0]) == 4096


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Chatty:
    """Logs whenever it is shown."""

    def __init__(self, log: logging.Logger, depth: int) -> None:
        self.log, self.depth = log, depth

    def __str__(self) -> str:
        if self.depth:
            self.log.info("shown %s", Chatty(self.log, self.depth - 1))
        return f"chatty {self.depth}"


class Endless:
    def __init__(self, log: logging.Logger) -> None:
        self.log = log

    def __str__(self) -> str:
        self.log.info("again %s", self)
        return "endless"


def test_nothing_that_a_line_holds_reaches_the_app(path: Path, log: logging.Logger) -> None:
    recorder = listening(path, on_error="raise")
    log.info("broken %d", "text")
    log.info("hostile %s", Hostile())
    log.info(Hostile())
    log.info("chatty %s", Chatty(log, 2))
    assert recorder.skipped == 0
    log.info("endless %s", Endless(log))
    assert recorder.skipped
    recorder.close()
    told = [message for message, _ in notes(path)]
    assert told[:3] == ["broken %d", "hostile %s", "a Hostile"]
    assert "chatty chatty 2" in told
    assert len(told) < 80


def test_a_stopped_recording_never_breaks_the_log(path: Path, log: logging.Logger) -> None:
    recorder = listening(path, on_error="raise")
    recorder.store.close()
    log.info("the store is gone")
    assert recorder.skipped == 1


def test_captured_warnings_do_not_go_round_in_circles(path: Path) -> None:
    logging.captureWarnings(True)
    try:
        with listening(path, "WARNING") as recorder:
            recorder.note(12)  # type: ignore[arg-type]
            warnings.warn("of the app", UserWarning, stacklevel=1)
    finally:
        logging.captureWarnings(False)
    told = [message for message, _ in notes(path)]
    assert len(told) == 2
    assert "left an entry out" in told[0]
    assert "of the app" in told[1]


def test_all_threads_are_heard(path: Path, log: logging.Logger) -> None:
    with listening(path, on_error="raise") as recorder:
        threads = [threading.Thread(target=lambda: [log.info("line %d", at) for at in range(50)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert recorder.skipped == 0
    assert len(notes(path)) == 200


def test_two_recorders_hear_the_same_and_leave_nothing_behind(tmp_path: Path, log: logging.Logger) -> None:
    before = logging.Logger.callHandlers
    one, two = listening(tmp_path / "1.unspool"), listening(tmp_path / "2.unspool", logging.ERROR)
    log.info("both")
    one.close()
    log.error("the second")
    two.close()
    assert [message for message, _ in notes(tmp_path / "1.unspool")] == ["both"]
    assert [message for message, _ in notes(tmp_path / "2.unspool")] == ["the second"]
    log.error("nobody")
    assert logging.Logger.callHandlers is before


def test_what_the_loggers_hold_back_is_said(path: Path) -> None:
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.WARNING)
    try:
        with Recorder(path) as recorder, pytest.warns(LogsHeldBack, match=r"WARNING and above.*setLevel\(20\)"):
            recorder.install(logging="info")
    finally:
        logging.getLogger().setLevel(level)


@pytest.mark.parametrize("level", ["LOUD", -1, 3.5, True])
def test_an_unknown_level_is_refused(path: Path, level: Any) -> None:
    with Recorder(path) as recorder, pytest.raises(ConfigError, match="INFO"):
        recorder.install(logging=level)


def test_the_logging_of_the_app_stays_as_it_was(tmp_path: Path) -> None:
    """Warnings that nobody handles still reach standard error, and `basicConfig` still configures."""
    program = """
        import logging, sys
        from unspool import Recorder
        recorder = Recorder(sys.argv[1], on_error="raise")
        recorder.install(logging="WARNING")
        logging.getLogger("a").warning("unhandled")
        logging.basicConfig(format="configured %(message)s")
        logging.getLogger("a").warning("handled")
        recorder.close()
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "x.unspool")],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert run.stderr.splitlines() == ["unhandled", "configured handled"]
    assert [message for message, _ in notes(tmp_path / "x.unspool")] == ["unhandled", "handled"]
