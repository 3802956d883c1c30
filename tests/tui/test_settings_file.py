"""The settings file, themes of one's own, the remembered place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import time

import pytest
from shop_files import record, shop_states
from tui_driver import drive, make_app, open_file

from unspool.errors import ConfigError
from unspool_tui.actions import ACTIONS, Keymap, known_key
from unspool_tui.app import UnspoolApp
from unspool_tui.rendering.palette import user_themes
from unspool_tui.session import forget_gone
from unspool_tui.settings import Settings, config_folder, load_settings
from unspool_tui.source import state_folder


def _settings(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_settings(path)


def test_no_file_means_the_defaults() -> None:
    assert load_settings() == Settings()


def test_every_setting_is_read(tmp_path: Path) -> None:
    text = 'theme = "nord"\nascii = true\ncolor = false\nmouse = false\npoll = 0.5\nremember = false\n'
    read = _settings(tmp_path, text + '[keys]\n"step.next" = ["n", "right"]\n"quit" = "x"\n')
    assert (read.theme, read.ascii, read.color, read.mouse, read.poll, read.remember) == (
        "nord", True, False, False, 0.5, False
    )  # fmt: skip
    assert read.keys == {"step.next": ("n", "right"), "quit": ("x",)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('thme = "nord"', "there is no setting 'thme': did you mean theme?"),
        ("ascii = 3", "ascii is 3; it must be true or false"),
        ("poll = true", "poll is True; it must be a number"),
        ("poll = -1", "poll is -1"),
        ('[keys]\n"step.nxt" = "n"', "names no action 'step.nxt': did you mean step.next?"),
        ('[keys]\n"quit" = 3', "quit is 3; write a key"),
        ('[keys]\n"quit" = "x"\n"help" = "x"', "gives 'x' to quit and to help"),
        ('[keys]\n"quit" = "shift+X"\n"help" = "X"', "gives 'X' to quit and to help"),
        ('[keys]\n"quit" = "pgup"', "quit: no key is called 'pgup': did you mean pageup?"),
        ('[keys]\n"quit" = "ctl+x"', "no key is called 'ctl+x'"),
        ('[keys]\n"quit" = "qq"', "no key is called 'qq'"),
        ("keys = 1", "keys is a table"),
        ("theme = ", "cannot be read as settings"),
    ],
)
def test_a_wrong_setting_is_named_with_file_and_what_would_be_right(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _settings(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "config.toml"))
    assert said in str(caught.value)


def test_a_settings_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such settings file"):
        load_settings(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('"step.next" = ["n", "."]', "step.next took n from search.next, which has no key now"),
        ('"quit" = ["q", "j"]', "quit took j from move.down, which still has ↓"),
    ],
)
async def test_a_key_taken_from_an_action_that_the_settings_do_not_speak_of_is_named(
    shop_file: Path, tmp_path: Path, text: str, told: str
) -> None:
    async with drive(make_app(open_file(shop_file), settings=_settings(tmp_path, f"[keys]\n{text}\n"))) as driver:
        assert told in driver.line(-1)
        await driver.press("!")
        assert told[:60] in driver.text()


def test_keys_are_known_by_every_name_they_have(tmp_path: Path) -> None:
    assert all(known_key(key) == key for action in ACTIONS for key in action.keys)
    read = _settings(tmp_path, '[keys]\n"step.next" = ["full_stop", "shift+n", "Ctrl+N", "Shift+Right"]\n')
    keymap = Keymap(read.keys)
    assert read.keys["step.next"] == (".", "N", "ctrl+n", "shift+right")
    assert [conflict.loser.id for conflict in keymap.conflicts] == ["search.prev"]
    pressed = (("full_stop", "."), ("N", "N"), ("ctrl+n", None), ("shift+right", None))
    assert {action.id for key, character in pressed if (action := keymap.action(key, character))} == {"step.next"}


async def test_several_keys_that_were_taken_are_counted_and_listed(shop_file: Path, tmp_path: Path) -> None:
    settings = _settings(tmp_path, '[keys]\n"step.next" = ["n", "N"]\n')
    async with drive(make_app(open_file(shop_file), settings=settings)) as driver:
        assert "2 keys were taken, ! lists them: [keys] step.next took N" in driver.line(-1)
        await driver.press("!")
        assert "took n from search.next" in driver.text()
        assert "took N from search.prev" in driver.text()


async def test_a_key_that_was_freed_before_it_is_given_away_is_no_conflict(shop_file: Path, tmp_path: Path) -> None:
    settings = _settings(tmp_path, '[keys]\n"step.next" = ["n", "."]\n"search.next" = "N"\n"search.prev" = []\n')
    async with drive(make_app(open_file(shop_file), settings=settings)) as driver:
        assert "took" not in driver.line(-1)


async def test_remapped_keys_work_and_show_in_the_footer(shop_file: Path, tmp_path: Path) -> None:
    settings = _settings(tmp_path, '[keys]\n"step.next" = "right"\n"unfold" = []\n')
    async with drive(make_app(open_file(shop_file), at=10, settings=settings)) as driver:
        await driver.press("right")
        assert driver.view.head == 11
        assert ", → step" in driver.line(-1)
        await driver.press(".")
        assert driver.view.head == 11


async def test_a_theme_of_ones_own_is_named_after_its_file(shop_file: Path) -> None:
    folder = config_folder() / "themes"
    folder.mkdir(parents=True)
    (folder / "dusk.toml").write_text('primary = "#ff8800"\nbackground = "#201020"\n')
    async with drive(make_app(open_file(shop_file), settings=Settings(theme="dusk"))) as driver:
        assert driver.app.theme == "dusk"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('primry = "#ff8800"', "did you mean primary?"),
        ('primary = "no colour"', "is no colour"),
        ('background = "#201020"', "needs at least primary"),
        ("primary", "cannot be read as a theme"),
    ],
)
def test_a_wrong_theme_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match="mine.toml") as caught:
        list(user_themes(tmp_path))
    assert said in str(caught.value)


async def test_an_unknown_theme_is_named_with_the_nearest_one(shop_file: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean nord"):
        make_app(open_file(shop_file), settings=Settings(theme="nrd"))


async def test_place_unfolded_values_filter_and_base_survive_a_rewritten_source(tmp_path: Path) -> None:
    path = record(tmp_path / "shop.unspool", shop_states(80))
    async with drive(make_app(open_file(path), at=30, remember=True)) as driver:
        await driver.press("m", ".", ".", "3", "g", "l", "j")
        await driver.press("\\")
        await driver.type("changes>0")
        await driver.press("enter", "q")
    path.unlink()
    record(path, shop_states(120))
    async with drive(make_app(open_file(path), remember=True)) as driver:
        view = driver.view
        assert (view.head, view.base, view.total) == (32, 30, 120)
        assert ("cart",) in view.unfolded
        assert view.selected == ("cart", "items")
        assert view.filter.text == "changes>0"
        assert not view.follow


async def test_damaged_memory_is_forgotten(shop_file: Path) -> None:
    async with drive(make_app(open_file(shop_file), at=30, remember=True)) as driver:
        await driver.press("q")
    (kept,) = state_folder().glob("*.json")
    kept.write_text('{"head": "three"')
    async with drive(make_app(open_file(shop_file), remember=True)) as driver:
        assert driver.view.head == 199
        assert driver.view.follow


async def test_a_theme_is_remembered_for_a_source_only_where_it_was_chosen(shop_file: Path) -> None:
    def app(theme: str) -> UnspoolApp:
        return make_app(open_file(shop_file), settings=Settings(theme=theme), remember=True)

    async with drive(app("nord")) as driver:
        await driver.press("q")
    (kept,) = state_folder().glob("*.json")
    # Earlier versions kept the theme that was on.
    kept.write_text(kept.read_text().replace("{", '{"theme":"monokai",', 1))
    async with drive(app("gruvbox")) as driver:
        assert driver.app.theme == "gruvbox"
        await driver.press("t", "down", "enter", "q")
        chosen = driver.app.theme
        assert chosen != "gruvbox"
    for _ in range(2):
        async with drive(app("nord")) as driver:
            assert driver.app.theme == chosen
            await driver.press("q")
    async with drive(app("unspool")) as driver:
        await driver.press("t", *["pageup"] * 5, "enter", "q")
        assert driver.app.theme == "unspool"
    async with drive(app("nord")) as driver:
        assert driver.app.theme == "nord"


def test_places_of_temporary_files_that_are_gone_are_forgotten_and_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "places"
    here = tmp_path / "here.unspool"
    here.touch()
    sources = {
        "there": str(here),
        "gone": str(tmp_path / "gone.unspool"),
        "part": f"{tmp_path / 'gone.bin'}\nplayer=alice",
        "elsewhere": "/mnt/a disk that is not mounted/app.unspool",
        "long ago": "/mnt/a disk that is not mounted/old.unspool",
        "git": "git:/gone:a.json",
        "address": "postgresql://me@host/db",
    }
    (folder / "sources").mkdir(parents=True)
    for name, source in sources.items():
        for place in (folder, folder / "sources"):
            (place / f"{name}.json").write_text(json.dumps({"source": source, "head": 3}))
            if name == "long ago":
                os.utime(place / f"{name}.json", (0, 0))
    (folder / "torn.json").write_text("{")
    (folder / "other.txt").write_text("/gone")
    assert forget_gone(folder, time()) == 6
    left = {path.stem for path in folder.glob("*.json")}
    assert left == {"there", "elsewhere", "git", "address", "torn"}
    assert {path.stem for path in (folder / "sources").glob("*.json")} == left - {"torn"}
    assert forget_gone(tmp_path / "none", time()) == 0
