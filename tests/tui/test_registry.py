"""The registry of actions and everything that is made from it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

from unspool_tui.actions import ACTIONS, BY_ID, GROUPS, HINTS, Keymap
from unspool_tui.controls import CONTROLS
from unspool_tui.reference_pages import keys_markdown


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
