"""Reference pages made from the code: docs/keys.md and the manual pages.

`python -m unspool_tui.reference_pages keys > docs/keys.md`, `python -m unspool_tui.reference_pages manual docs/man`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import click

from unspool.query.entry_names import SHAPES
from unspool_tui.actions import ACTIONS, GROUPS
from unspool_tui.cli import COMMANDS, cli
from unspool_tui.cli.help_pages import EXAMPLES, START, CommonOption
from unspool_tui.copying import COPY_KINDS
from unspool_tui.view.overview import HELP as FILTER_HELP

_HEAD = """# Keys

Made from the registry of actions by `python -m unspool_tui.reference_pages keys > docs/keys.md`; a test fails when it is stale.
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


EXIT_CODES: Final[Mapping[str, str]] = {
    "0": "fine; also when the reader of a pipe went away",
    "1": "the command worked and found problems, or what --fail-if asks for",
    "2": "wrong usage: an option, a format, a path or an entry that is not there",
    "3": "the source is missing, unreadable, refused or corrupt, or OUT cannot be written",
    "130, 143, 129": "ended by Ctrl-C, SIGTERM, SIGHUP",
}
"""What the number means that a command ends with; docs/cli.md says more of each."""

ENVIRONMENT: Final[Mapping[str, str]] = {
    "NO_COLOR": "no colours, where it is set to anything",
    "TERM": "no colours and no pager where it is `dumb`",
    "UNSPOOL_PAGER, PAGER": "what shows output that is longer than the screen; less where neither is set, none where it is empty",
    "UNSPOOL_ASCII, UNSPOOL_NO_COLOR, UNSPOOL_NO_MOUSE, UNSPOOL_POLL, UNSPOOL_STRICT, UNSPOOL_QUIET, UNSPOOL_NO_CACHE": (
        "the options of these names, for every command: 1 for a flag"
    ),
    "UNSPOOL_LIMITS": "what --raise-limit says, for every command: nodes=20M,document_bytes=1Gi",
    "VISUAL, EDITOR": "what opens a line of source from the screen",
    "XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_CACHE_HOME": "where settings, remembered places and the cache stand",
}
"""The variables that commands read."""


_HELP: Final = "-h, --help"


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name of each page's file, such as `unspool-log.1`, and its text."""
    yield "unspool.1", _overview()
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        if command is None:
            raise LookupError(name)
        yield f"unspool-{name}.1", _page(name, command)


def _overview() -> str:
    lines = _title("unspool", "go back to any state that an application went through")
    lines += [
        ".SH SYNOPSIS",
        ".B unspool",
        '.RI [ options ] " " command " " [ arguments ]...',
        ".br",
        ".B unspool",
        ".IR source ...",
    ]
    lines += [".SH DESCRIPTION", _text(cli.epilog or ""), ".SH EXAMPLES"]
    for line, purpose in START:
        lines += [".TP", f".B {_text(line)}", _text(purpose)]
    lines.append(".SH COMMANDS")
    for name, listed in COMMANDS.items():
        lines += [".TP", f".BR unspool\\-{_text(name)} (1)", _text(listed.summary)]
    lines += _table("EXIT STATUS", EXIT_CODES) + _table("ENVIRONMENT", ENVIRONMENT)
    return "\n".join(lines) + "\n"


def _page(name: str, command: click.Command) -> str:
    lines = _title(f"unspool-{name}", COMMANDS[name].summary.rstrip("."))
    lines.append(".SH SYNOPSIS")
    lines += _synopsis(f"unspool {name}", command)
    for word, part in _subcommands(command):
        lines += [".br", *_synopsis(f"unspool {name} {word}", part)]
    lines += [".SH DESCRIPTION", *_paragraphs(command.help or COMMANDS[name].summary)]
    lines += _options("OPTIONS", command, is_common=False)
    for word, part in _subcommands(command):
        lines += [
            f".SS unspool {name} {_text(word)}",
            *_paragraphs(part.help or ""),
            *_options(None, part, is_common=False),
        ]
    if name in EXAMPLES:
        lines.append(".SH EXAMPLES")
        for line, purpose in EXAMPLES[name]:
            lines += [".TP", f".B {_text(line)}", _text(purpose)]
    lines += _options("COMMON OPTIONS", command, is_common=True)
    lines += [".SH SEE ALSO", ".BR unspool (1)"]
    return "\n".join(lines) + "\n"


def _title(name: str, summary: str) -> list[str]:
    return [f'.TH {name.upper()} 1 "" "unspool" "User Commands"', ".SH NAME", f"{_text(name)} \\- {_text(summary)}"]


def _synopsis(words: str, command: click.Command) -> list[str]:
    pieces = command.collect_usage_pieces(click.Context(command))
    return [f".B {_text(words)}", _text(" ".join(pieces))]


def _subcommands(command: click.Command) -> list[tuple[str, click.Command]]:
    return list(command.commands.items()) if isinstance(command, click.Group) else []


def _options(heading: str | None, command: click.Command, *, is_common: bool) -> list[str]:
    lines: list[str] = []
    context = click.Context(command)
    for param in command.get_params(context):
        if not isinstance(param, click.Option) or "--help" in param.opts:
            continue
        if isinstance(param, CommonOption) is is_common:
            record = param.get_help_record(context)
            if record is not None:
                # click keeps the option as the first context asked for it, which may not have been that of the program.
                names = _HELP if param.name == "help" else record[0]
                lines += [".TP", f".B {_text(names)}", _text(record[1])]
    return [f".SH {heading}", *lines] if heading is not None and lines else lines


def _table(heading: str, rows: Mapping[str, str]) -> list[str]:
    lines = [f".SH {heading}"]
    for name, meaning in rows.items():
        lines += [".TP", f".B {_text(name)}", _text(meaning)]
    return lines


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines += [".PP", _text(paragraph.replace("\b", ""))]
    return lines


def _text(text: str) -> str:
    """Return a text in one line that troff takes as it is: a dot or quote in front would begin a request."""
    escaped = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def write_pages(folder: Path) -> None:
    """Write all pages into a folder, which is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "keys":
        sys.stdout.write(keys_markdown())
    else:
        write_pages(Path(sys.argv[2]))
