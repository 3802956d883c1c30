"""A handler of the standard library's logging that makes notes."""

from __future__ import annotations

import gc
import logging
import logging.config
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unspool.bridges.logging import NoteHandler
from unspool.errors import ConfigError
from unspool.history import History
from unspool.model.entries import caller_of
from unspool.recorder import Recorder
from unspool.store import MemoryStore


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("shop.notes")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    logger.handlers.clear()
    logger.propagate = True


def notes(store: MemoryStore) -> list[tuple[str, Any]]:
    return [(entry.action, entry.meta["level"]) for entry in History(store) if entry.kind.value == "note"]


def test_lines_are_notes_with_the_line_that_logged_them(log: logging.Logger) -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise", caller=True)
    log.addHandler(NoteHandler(recorder, "INFO"))
    recorder.record({"n": 1}, "begin")
    log.debug("not this one")
    log.warning("only %d left", 3, extra={"sku": "tea"})  # logs
    assert notes(store) == [("only 3 left", "warning")]
    history = History(store)
    assert history[-1].meta["sku"] == "tea"
    place = caller_of(history[-1].meta)
    assert place is not None
    assert Path(__file__).read_text().splitlines()[place.line - 1].endswith("# logs")
    assert history.state(-1) == {"n": 1}


def test_filters_and_dictconfig_choose_what_is_noted(log: logging.Logger) -> None:
    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    handler = {"()": NoteHandler, "recorder": recorder, "level": "WARNING"}
    config = {"version": 1, "disable_existing_loggers": False, "handlers": {"notes": handler}}
    logging.config.dictConfig({**config, "loggers": {log.name: {"handlers": ["notes"], "level": "DEBUG"}}})
    log.handlers[0].addFilter(lambda record: "noise" not in record.getMessage())
    for level in (logging.INFO, logging.WARNING, logging.ERROR):
        log.log(level, "told")
        log.log(level, "noise")
    assert notes(store) == [("told", "warning"), ("told", "error")]


def test_values_that_log_while_they_are_shown_and_threads_end(log: logging.Logger) -> None:
    class Talks:
        def __str__(self) -> str:
            log.info("asked")
            return "talks"

    store = MemoryStore()
    recorder = Recorder(store, on_error="raise")
    log.addHandler(NoteHandler(recorder))
    log.info("it %s", Talks())
    threads = [threading.Thread(target=lambda: [log.info("from a thread") for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    told = [message for message, _ in notes(store)]
    assert sorted(set(told)) == ["asked", "from a thread", "it talks"]
    assert told.count("from a thread") == 80


def test_recorders_that_are_closed_or_gone_take_no_notes(log: logging.Logger) -> None:
    store = MemoryStore()
    recorder = Recorder(store)
    log.addHandler(NoteHandler(recorder))
    recorder.close()
    log.info("too late")
    del recorder
    gc.collect()
    log.info("later still")
    assert notes(store) == []
    with pytest.raises(ConfigError, match="given a str"):
        NoteHandler("shop.unspool")  # type: ignore[arg-type]
