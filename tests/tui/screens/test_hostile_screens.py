"""Rows of the screens beside the main one, and names of files, made from hostile text."""

from __future__ import annotations

import datetime as dt
import math
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hostile_texts import HOSTILE_TEXTS, assert_harmless, texts, widths
from hypothesis import example, given
from hypothesis import strategies as st
from looks_scenes import candidate
from shop_files import START_NS, record
from tui_driver import drive, make_app, open_file

from unspool.codec.strategies import ChainLimits
from unspool.history.verdict import Problem, Verdict, VerdictStatus
from unspool.query.chain_table import ChainFigures, ChainHealth
from unspool_tui.actions import Keymap
from unspool_tui.controls.app import help_rows
from unspool_tui.panes.changes import problem_rows
from unspool_tui.rendering.chain_lines import chain_row, finding_rows
from unspool_tui.rendering.chain_wall import figures_row, verdict_row
from unspool_tui.rendering.header import footer
from unspool_tui.rendering.line import ASCII, UNICODE, width_of, wrap_words
from unspool_tui.screens.disk_usage import advice_rows, candidate_row, scatter_rows
from unspool_tui.screens.exporting import safe_stem
from unspool_tui.screens.messages import LoggedMessage, log_rows
from unspool_tui.screens.modal import Menu, MenuLine
from unspool_tui.screens.plot import Plot, plot_rows
from unspool_tui.view.model import View

numbers = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**300), 10**300))


@given(texts, texts, widths)
def test_what_the_doctor_finds_is_inert(place: str, words: str, width: int) -> None:
    for row in finding_rows("error", place, words, words, width, UNICODE):
        assert_harmless(row, width)
    chain = ChainFigures(
        0,
        10**9,
        5,
        3 * 10**18,
        10**12,
        0,
        ChainLimits(10, None, None),
        0.5,
        0,
        0,
        ChainHealth.BROKEN,
        True,
        True,
        words,
    )
    for row in (chain_row(chain, width, ASCII), figures_row(chain), verdict_row(chain, ASCII)):
        assert_harmless(row, width)
    for row in problem_rows(words, width, UNICODE):
        assert_harmless(row, width)


@given(texts, texts, st.lists(texts, max_size=3), widths)
def test_what_the_simulator_says_is_inert(line: str, reason: str, notes: list[str], width: int) -> None:
    for row in advice_rows(line, reason, notes, width):
        assert_harmless(row, width)
    tried = [candidate(reason, line, size, 3, 5.0) for size in (0, 1, 2**60)]
    for one in tried:
        assert_harmless(candidate_row(one, 1, width, UNICODE, recommended=True), width)
    for row in scatter_rows(tried, tried[0], None, width, 4, UNICODE):
        assert_harmless(row, width)


@given(st.lists(st.tuples(texts, st.sampled_from(["text", "warning"])), max_size=5), texts, widths)
def test_the_message_log_is_inert(told: list[tuple[str, str]], place: str, width: int) -> None:
    messages = [LoggedMessage(dt.datetime(2026, 3, 1), text, style) for text, style in told]
    verdict = Verdict(VerdictStatus.PARTIAL, (Problem(place, place),), 0, (place,))
    for row in log_rows(messages, verdict, width):
        assert_harmless(row, width)


@given(texts, widths)
def test_menus_are_inert(name: str, width: int) -> None:
    menu = Menu(name, [MenuLine("", name, name, name)])
    assert_harmless(menu._row(0, width), width)


@given(st.lists(numbers, max_size=60), widths, st.integers(3, 30))
@example([sys.float_info.max, -sys.float_info.max, 0.0, None, math.inf, math.nan], 12, 3)
def test_any_numbers_can_be_plotted(columns: list[float | None], width: int, height: int) -> None:
    for row in plot_rows(Plot([None if one is None else float(one) for one in columns], 0, 0), height, UNICODE):
        assert_harmless(row, width)


@given(st.lists(st.tuples(texts, texts), min_size=2, max_size=8), widths)
def test_a_footer_of_any_keys_fits(keys: list[tuple[str, str]], width: int) -> None:
    assert_harmless(footer([(key[:3], label) for key, label in keys], width), width)


@given(widths)
def test_help_of_remapped_keys_fits(width: int) -> None:
    keymap = Keymap({"quit": ("ctrl+shift+alt+super+q",) * 3, "help": ()})
    for row in help_rows(View(selected=("x",)), keymap, UNICODE, width):
        assert_harmless(row, width)


@given(st.text(max_size=400), st.integers(1, 60), st.integers(1, 9))
def test_wrapped_words_fit_and_lose_nothing_but_spaces(text: str, width: int, most: int) -> None:
    lines = wrap_words(text, width, most)
    assert 1 <= len(lines) <= most
    plain = text.isascii()
    assert all(width_of(line) <= width for line in lines) or not plain
    whole = wrap_words(text, width, 1_000)
    assert "".join(whole).replace(" ", "") == text.replace(" ", "")


@given(st.one_of(texts, st.text(max_size=200)))
def test_a_proposed_file_name_is_one_that_every_file_system_takes(name: str) -> None:
    stem = safe_stem(name)
    assert stem
    assert stem.isascii()
    assert not set(stem) & set("/\\:*?\"<>|' \0\n")
    assert not stem.startswith((".", "-"))
    assert len(stem) <= 60


_TYPED = [text for text in HOSTILE_TEXTS if text]


@pytest.mark.parametrize("key", ["/", *(pytest.param(key, marks=pytest.mark.slow) for key in ("\\", "B", ":"))])
async def test_hostile_text_in_every_prompt_is_inert_and_escape_leaves(shop_file: Path, key: str) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        for text in _TYPED:
            await driver.press(key)
            driver.app.screen.query_one("Input").value = text  # type: ignore[attr-defined]
            await driver.settle()
            await driver.press("enter")
            shown = driver.text().replace("\n", "")
            assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") or c in "\u202e\u2066"]
            for _ in range(4):
                await driver.press("escape")
            assert driver.app.screen is driver.app.main


async def test_names_that_say_a_lot_stay_one_line_everywhere(tmp_path: Path) -> None:
    long = "a megabyte of \x1b[31mname " * 40_000
    states: list[tuple[dict[str, Any], str]] = [({"n": number, "s": long}, long) for number in range(4)]
    path = record(tmp_path / "long.unspool", states)
    async with drive(make_app(open_file(path), at=2)) as driver:
        await driver.press("b", "'", "escape", "m", ".", "!", "escape", "/", *"mega", "enter")
        await driver.press("3", "G", "v", "v", "v", "e", "w", "E", "escape", "y", "v", "c", "D")
        await driver.until(lambda: " entries read " in driver.line(0))
        await driver.press("escape", "K")
        assert "\x1b" not in driver.text()
        assert driver.app.is_running


@pytest.mark.slow
async def test_a_hundred_thousand_atoms_are_shown_searched_and_stepped_through(tmp_path: Path) -> None:
    wide = {f"atom {number}": number for number in range(100_000)}
    path = tmp_path / "wide.unspool"
    record(path, [(wide, "one"), ({**wide, "atom 99999": -1}, "two"), ({}, "none")])
    async with drive(make_app(open_file(path), at=1)) as driver:
        assert "atom 99999" in driver.text()
        assert "99,999 atoms unchanged" in driver.text()
        await driver.press("3", "G")
        assert driver.view.selected == ("atom 99999",)
        await driver.press(".", "u", ",", "{", "4", "1")
        assert driver.view.head == 0


async def test_states_of_no_atoms_have_nothing_to_select_and_nothing_crashes(tmp_path: Path) -> None:
    path = record(tmp_path / "none.unspool", [({}, "a"), ({}, "b"), ({}, "c")])
    async with drive(make_app(open_file(path), at=1)) as driver:
        assert "nothing changed" in driver.text()
        for pane in "1234":
            await driver.press(pane, *"jkGghl", "enter", "space", "z", "z", "v", "u", "e", "w", "[", "]", "y", "v")
        assert driver.view.head in range(3)
        assert driver.view.selected == ()


async def test_times_at_both_ends_of_what_a_file_holds_are_shown(tmp_path: Path) -> None:
    from unspool.recorder.recorder import Recorder

    path = tmp_path / "times.unspool"
    with Recorder(path) as recorder:
        for number, time in enumerate((1 - 2**63, -1, 0, START_NS, 2**63 - 1)):
            recorder.record({"n": number}, "tick", timestamp_ns=time)
    async with drive(make_app(open_file(path))) as driver:
        await driver.press("{", "T", "T", *["."] * 4, "3", "j", "s", "escape", "c", "D", "escape", "p", "escape")
        assert driver.app.is_running
