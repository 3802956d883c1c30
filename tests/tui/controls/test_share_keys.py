"""Copying and exporting."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path

import pytest
from shop_files import START_NS
from tui_driver import Driver, drive, make_app, open_file

from support.git_repo import Repo
from unspool import open_history
from unspool.model.entries import CALLER, LIVE, SourceLine, iso_time
from unspool.model.paths import parse_path
from unspool.model.values import Value
from unspool.recorder import Recorder
from unspool.sources.exports import EXPORTS, Export, ExportOptions, export_lines
from unspool_tui.copying import MOST_ENCODED, copy_text
from unspool_tui.screens import exporting
from unspool_tui.screens.exporting import ExportRefused, check_target, write_new
from unspool_tui.view.model import Pane
from unspool_tui.view.moves import select

action = pytest.mark.action


async def _select(driver: Driver, *address: str | int) -> None:
    main = driver.app.main
    main.apply(select(main.view, address))
    await driver.settle()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


@action("yank")
async def test_the_copy_menu_copies_value_key_path_jq_state_and_link(shop_file: Path, clipboard: list[str]) -> None:
    history = open_file(shop_file)
    async with drive(make_app(history, at=100)) as driver:
        await driver.press("y", "v")
        assert "select something" in driver.line(-1)
        await _select(driver, "catalog", "sku-1", "name")
        for key, text in (
            ("v", "Rye bread"),
            ("k", "name"),
            ("p", "$.catalog.sku-1.name"),
            ("q", ".catalog.sku-1.name"),
        ):
            await driver.press("y", key)
            assert clipboard[-1] == text
        assert "OSC 52" in driver.line(-1)
        await driver.press("y", "s")
        assert json.loads(clipboard[-1]) == history.state(100)
        await driver.press("y", "l")
        assert clipboard[-1] == f"unspool open {shop_file} --at 100 --atom catalog.sku-1.name"


async def test_the_copied_command_opens_at_the_same_value(shop_file: Path, clipboard: list[str]) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await _select(driver, "catalog", "sku-1", "name")
        await driver.press("y", "l")
    *_, at, _, address = shlex.split(clipboard[-1])
    async with drive(make_app(open_file(shop_file), at=int(at), select=parse_path(address)), size=(80, 24)) as driver:
        assert (driver.view.head, driver.view.selected) == (100, ("catalog", "sku-1", "name"))
        assert '"Rye bread"' in driver.panel(Pane.INSPECT)


async def test_an_entry_is_copied_as_one_line(tmp_path: Path, clipboard: list[str]) -> None:
    with Recorder(tmp_path / "a.unspool") as recorder:
        recorder.record({"n": 1}, "add\nto \x1b[2Jcart", timestamp_ns=START_NS)
        recorder.record({"n": 2}, timestamp_ns=START_NS)
    async with drive(make_app(open_file(tmp_path / "a.unspool"), at=0)) as driver:
        await driver.press("y")
        assert "entry in one line" in driver.text()
        await driver.press("e", ".", "y", "e")
        assert clipboard == [f"#0 {iso_time(START_NS)} add\\nto \\e[2Jcart", f"#1 {iso_time(START_NS)}"]


async def test_the_caller_is_copied_as_file_and_line(tmp_path: Path, clipboard: list[str]) -> None:
    metas: list[dict[str, Value]] = [
        {CALLER: SourceLine("shop.py", 41, "Cart.add").to_meta()},
        {CALLER: SourceLine("a\n\x1b[2J.py", 7).to_meta()},
        # Its line is in doubt; an editor could not go to the words that say so.
        {CALLER: SourceLine("pkg/odd name.py", 3, "f").to_meta(), LIVE: {"unseen": True}},
    ]
    with Recorder(tmp_path / "a.unspool") as recorder:
        for n, meta in enumerate(metas):
            recorder.record({"n": n}, meta=meta)
    async with drive(make_app(open_file(tmp_path / "a.unspool"), at=0)) as driver:
        await driver.press("y", "f", ".", "y", "f", ".", "y", "f")
        assert clipboard == ["shop.py:41", "a\\n\\e[2J.py:7", "pkg/odd name.py:3"]
        assert "file and line" in driver.line(-1)


@pytest.mark.parametrize("meta", [{}, {CALLER: "the app's own"}])
async def test_without_a_caller_nothing_is_copied_and_that_is_said(
    tmp_path: Path, clipboard: list[str], meta: dict[str, Value]
) -> None:
    with Recorder(tmp_path / "a.unspool") as recorder:
        recorder.record({"n": 1}, meta=meta)
    async with drive(make_app(open_file(tmp_path / "a.unspool"), at=0)) as driver:
        await driver.press("y", "f")
        assert "#0 does not tell its caller: Recorder(caller=True)" in driver.line(-1)
        assert clipboard == []


async def test_a_history_without_entries_has_no_caller_to_copy(tmp_path: Path, clipboard: list[str]) -> None:
    Recorder(tmp_path / "a.unspool").close()
    async with drive(make_app(open_file(tmp_path / "a.unspool"))) as driver:
        await driver.press("y", "f")
        assert "the history is still empty" in driver.line(-1)
        assert clipboard == []


async def test_the_id_of_a_version_in_git_is_the_hash_of_its_commit(tmp_path: Path, clipboard: list[str]) -> None:
    repo = Repo(tmp_path / "repo")
    hashes = [repo.commit("state.json", {"n": n}, f"set {n}") for n in range(2)]
    history = open_history(f"git:{repo.folder}:state.json", follow=False)
    async with drive(make_app(history, at=0)) as driver:
        await driver.until(lambda: driver.view.total == 2)
        await driver.press("y", "i", ".", "y", "i")
        assert clipboard == hashes
        assert "id of this entry (git: hash)" in driver.line(-1)


async def test_the_id_that_a_source_gave_is_copied_and_where_it_gave_none_that_is_said(
    tmp_path: Path, clipboard: list[str]
) -> None:
    lines = [{"id": "order-7\n\x1b[2J", "state": {"n": 1}}, {"state": {"n": 2}}]
    source = tmp_path / "a.jsonl"
    source.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    async with drive(make_app(open_history(source, follow=False), at=0)) as driver:
        await driver.until(lambda: driver.view.total == 2)
        await driver.press("y", "i", ".", "y", "i")
        assert clipboard == ["order-7\\n\\e[2J"]
        assert "#1 was given no id by its source; y e copies" in driver.line(-1)


async def test_an_entry_of_a_file_of_ours_always_has_an_id(tmp_path: Path, clipboard: list[str]) -> None:
    file = tmp_path / "a.unspool"
    with Recorder(file) as recorder:
        recorder.record({"n": 1}, entry_id="order-7")
        recorder.record({"n": 2})
    async with drive(make_app(open_file(file), at=0)) as driver:
        await driver.press("y", "i", ".", "y", "i")
    # The same whenever the file is opened, so that what was copied finds the entry again.
    assert clipboard == [entry.id for entry in open_file(file)]
    assert clipboard[0] == "order-7"


async def test_a_history_without_entries_has_no_id_to_copy(tmp_path: Path, clipboard: list[str]) -> None:
    Recorder(tmp_path / "a.unspool").close()
    async with drive(make_app(open_file(tmp_path / "a.unspool"))) as driver:
        await driver.press("y", "i")
        assert "the history is still empty" in driver.line(-1)
        assert clipboard == []


@action("copy")
async def test_ctrl_c_copies_the_selection_and_hints_without_one(shop_file: Path, clipboard: list[str]) -> None:
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("ctrl+c")
        assert "nothing is selected to copy; q leaves unspool" in driver.line(-1)
        await _select(driver, "requests")
        await driver.press("ctrl+c")
        assert clipboard == ["100"]


async def test_what_a_terminal_cannot_take_is_refused_with_the_way_out(shop_file: Path, clipboard: list[str]) -> None:
    app = make_app(open_file(shop_file), at=100)
    async with drive(app):
        outcome = copy_text(app, "x" * MOST_ENCODED, env={})
        assert not outcome.arrived
        assert "export it" in outcome.said
        assert not clipboard


@pytest.mark.one_in(2)
@action("export")
@pytest.mark.parametrize(
    ("key", "suffix", "inside"),
    [
        ("s", "json", '"catalog"'),
        ("d", "patch.json", '"op"'),
        ("h", "html", "<h2"),
        ("p", "svg", "<svg"),
        ("v", "json", '"stock"'),
    ],
)
async def test_exports_are_written_and_never_replace_a_file(
    shop_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, suffix: str, inside: str
) -> None:
    monkeypatch.chdir(tmp_path)
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await _select(driver, "catalog", "sku-1")
        await driver.press("E", key, "enter")
        written = tmp_path / f"shop-100.{suffix}"
        assert inside in written.read_text()
        assert "wrote" in driver.line(-1)
        assert "Export" not in written.read_text()
        before = written.read_bytes()
        await driver.press("E", key, "enter")
        assert "is there already" in driver.text()
        await driver.press("escape")
        assert written.read_bytes() == before
        assert files(tmp_path) == {written.name}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("item", EXPORTS, ids=lambda item: item.name)
async def test_the_whole_history_is_written_in_every_format_that_the_command_line_offers(
    shop_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, item: Export
) -> None:
    monkeypatch.chdir(tmp_path)
    history = open_file(shop_file)
    monkeypatch.setattr(exporting, "time_ns", lambda: START_NS)
    options = ExportOptions(("requests",), made_ns=START_NS)
    async with drive(make_app(history, at=100)) as driver:
        await _select(driver, "requests")
        await driver.press("E")
        assert item.title[:40] in driver.text()
        await driver.press(str(EXPORTS.index(item) + 1), "enter")
        (name,) = files(tmp_path)
        expected = "".join(f"{line}\n" for line in export_lines(history, item.name, options))
        assert (tmp_path / name).read_text() == expected
        assert f"to {name}" in driver.line(-1)


async def test_exports_asked_for_one_after_the_other_are_all_written(
    shop_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("E", "1", "enter", "E", "s", "enter", "E", "3", "enter", "E", "p", "enter")
        assert files(tmp_path) == {"shop.jsonl", "shop-100.json", "shop.nexus.json", "shop-100.svg"}


async def test_escape_stops_a_long_export_and_leaves_no_half_file(
    shop_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    many = itertools.repeat("line\n")
    monkeypatch.setattr(exporting, "_whole", lambda name: lambda history, view: many)
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        for key in ("E", "1", "enter"):
            driver.app.main.take_key(key, key if len(key) == 1 else "\r")
        await driver.until(lambda: "writing shop.jsonl: " in driver.line(-1))
        await driver.press("escape")
        assert "stopped: writing shop.jsonl" in driver.line(-1)
        await driver.until(lambda: not files(tmp_path))
        await driver.press(".")
        assert driver.view.head == 101


async def test_a_table_needs_a_selected_value_and_says_so(
    shop_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with drive(make_app(open_file(shop_file), at=100)) as driver:
        await driver.press("E", "5")
        assert "select a value first" in driver.line(-1)


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "no/such/folder/file", "~nobody-of-this-name/file", "."])
def test_a_name_that_is_no_file_is_refused(name: str) -> None:
    with pytest.raises(ExportRefused):
        check_target(name)
    with pytest.raises(ExportRefused):
        list(write_new(Path(name), ["text"]))
