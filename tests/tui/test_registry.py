"""The registry of actions and everything that is made from it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from unspool_tui import actions
from unspool_tui.actions import ACTIONS, BY_ID, GROUPS, HINTS, Keymap, key_of_shown, show_key
from unspool_tui.controls import CONTROLS
from unspool_tui.copying import COPY_KINDS
from unspool_tui.panes.changes import _UNSPACED
from unspool_tui.reference_pages import keys_markdown
from unspool_tui.rendering.line import ASCII, PLAIN


def _pressed_by_tests() -> set[str]:
    named: set[str] = set()
    for path in Path(__file__).parent.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "action":
                named.update(arg.value for arg in node.args if isinstance(arg, ast.Constant))
    return named


def test_every_action_is_pressed_by_a_test() -> None:
    assert _pressed_by_tests() == set(BY_ID)


def test_every_action_does_something() -> None:
    assert set(CONTROLS.actions) == set(BY_ID)


def test_no_key_means_two_things() -> None:
    keys = Counter(key for action in ACTIONS for key in action.keys)
    assert [key for key, count in keys.items() if count > 1] == []


def test_every_action_has_a_key_a_label_and_one_sentence_of_help() -> None:
    for action in ACTIONS:
        assert action.keys
        assert len(action.label) <= 18
        assert action.help.endswith(".")
        assert action.group in GROUPS


def test_the_footer_names_only_actions_that_exist() -> None:
    assert {name for hint in HINTS for name in hint.ids} <= set(BY_ID)


def _written_in(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module that are not documentation, but for those of the table of glyphs, with their lines."""
    tree = ast.parse(path.read_text("utf-8"))
    passed_over: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) or (isinstance(node, ast.ClassDef) and node.name == "Glyphs"):
            passed_over.update(id(inside) for inside in ast.walk(node) if isinstance(inside, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed_over:
            yield node.lineno, node.value


def test_what_is_not_ascii_is_drawn_by_the_table_of_glyphs() -> None:
    root = Path(actions.__file__).parent
    # What is printed, exported or served is no screen; patterns name the characters that they find.
    beside = [root / "screens" / "exporting.py", root / "rendering" / "sanitize.py"]
    beside += [path for folder in ("cli", "serving") for path in (root / folder).rglob("*.py")]
    known = {root / "actions.py": {*"↑↓←→"}, root / "panes" / "changes.py": {*_UNSPACED}}
    told = [
        f"{path.relative_to(root)}:{line}: {odd}"
        for path in {*root.rglob("*.py")} - {*beside}
        for line, text in _written_in(path)
        if (odd := {sign for sign in text if not sign.isascii() and ord(sign) not in PLAIN} - known.get(path, set()))
    ]
    assert told == []


@pytest.mark.parametrize("key", sorted({key for action in ACTIONS for key in action.keys}))
def test_keys_are_shown_in_ascii_where_that_is_asked_for(key: str) -> None:
    shown = show_key(key, plain=True)
    assert shown.isascii()
    assert key_of_shown(shown) == key


def test_no_sign_of_ascii_stands_for_another_thing_than_its_own() -> None:
    of_changes = (ASCII.added, ASCII.modified, ASCII.deleted, ASCII.moved)
    rest = [
        getattr(ASCII, name)
        for name in ("ellipsis", "limit", "note", "full", "delta", "bookmark", "written", "hit", "tick", "cross")
    ]
    assert len({*of_changes, *rest}) == len(of_changes) + len(rest)


def test_remapped_keys_belong_to_their_new_action_alone() -> None:
    keymap = Keymap({"quit": ("f",)})
    found = keymap.action("f", "f")
    assert found is not None
    assert found.id == "quit"
    assert keymap.keys("follow") == ()
    assert keymap.action("q", "q") is None


def test_the_cheat_sheet_is_not_stale() -> None:
    assert (Path(__file__).parents[2] / "docs" / "keys.md").read_text("utf-8") == keys_markdown(), (
        "run python -m unspool_tui.reference_pages keys > docs/keys.md"
    )


def test_textual_is_not_imported_before_the_app_has_tuned_it() -> None:
    code = "import sys, unspool_tui.launch; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_first_paint_loads_nothing_that_only_keys_ask_for() -> None:
    code = (
        "import sys, unspool_tui.cli.opening, unspool_tui.launch; sys.modules['ssl'] = None; "
        "import unspool_tui.app; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = set(done.stdout.split())
    late = {"controls", "linked", "live_programs", "shown_notes", "copy_values", "screens.page", "screens.palette"}
    unwanted = {f"unspool_tui.{name}" for name in late} | {"unspool.control", "unspool.sources.written_notes"}
    assert loaded & (unwanted | {"secrets", "hashlib", "watchdog", "numpy", "deepdiff"}) == set()


def test_each_letter_of_the_copy_menu_copies_one_thing() -> None:
    assert len({kind.key for kind in COPY_KINDS}) == len(COPY_KINDS)
