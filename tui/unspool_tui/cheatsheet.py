"""docs/keys.md, made from the registry: `python -m unspool_tui.cheatsheet > docs/keys.md`."""

from __future__ import annotations

import sys

from unspool.query.entry_names import SHAPES
from unspool_tui.actions import ACTIONS, GROUPS
from unspool_tui.copying import COPY_KINDS
from unspool_tui.view.filters import HELP as FILTER_HELP

_HEAD = """# Keys

Made from the registry of actions by `python -m unspool_tui.cheatsheet > docs/keys.md`; a test fails when it is stale.
The names in the last column are those that the settings file remaps: see [tui.md](tui.md#settings).
"""
_TAIL = """
## The mouse

| Where | What |
|---|---|
| timeline | click or drag scrubs, and what is under the pointer is told; the wheel steps, with Shift by ten; with Ctrl it zooms |
| a key below, a chip above, a mode in the title of Inspect | click does what it says |
| a number such as `#747` in Changes, Inspect, the answer or what is told below | click goes to that entry |
| a row | click selects it, a second click opens it |
| a panel | the wheel scrolls it and leaves head and cursor where they are |
"""


def keys_markdown() -> str:
    """Return the cheat sheet."""
    parts = [_HEAD]
    for group in GROUPS:
        parts.append(f"\n## {group}\n\n| Key | Does | Name |\n|---|---|---|")
        for action in ACTIONS:
            if action.group == group:
                keys = " ".join(_code(key) for key in action.keys)
                parts.append(f"| {keys} | {action.help} | `{action.id}` |")
    parts.append("\n## Typed lines\n")
    parts.append(
        f"- `:` goes to {SHAPES}; some letters find atoms, paths, actions (`:/` only those), bookmarks, sources and commands."
    )
    parts.append(f"- `\\` filters: {FILTER_HELP}.")
    letters = ", ".join(f"`{kind.key}` {kind.label}" for kind in COPY_KINDS)
    parts.append(f"- `y` copies, with one more letter: {letters}.")
    return "\n".join(parts) + "\n" + _TAIL


def _code(key: str) -> str:
    return f"`` {key} ``" if key == "`" else f"`{key}`" if key != "|" else "`\\|`"


if __name__ == "__main__":
    sys.stdout.write(keys_markdown())
