"""Every command, option, key, setting, format and documented name that was there once is there still.

`known_features.txt` holds the listing. A feature may come in without a line there; a line goes only with the feature,
which is a decision that a reviewer sees. `python tests/unit/cli/test_nothing_is_lost.py` adds the lines of new ones.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click

from unspool.sources.detection import FORMATS
from unspool.sources.exports import EXPORTS
from unspool_tui.actions import ACTIONS
from unspool_tui.cli import cli
from unspool_tui.settings import Settings

KNOWN = Path(__file__).with_name("known_features.txt")
DOCUMENTED = ("delta", "chain", "codec", "history", "snapshots", "compression", "regions", "events", "")
"""Packages that the documents name or will name; "" is `unspool` itself. What moves between them is not lost."""


def _options(command: click.Command, name: str) -> Iterator[str]:
    yield f"command {name}"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            for spelling in (*parameter.opts, *parameter.secondary_opts):
                yield f"option {name} {spelling}"
            if isinstance(parameter.type, click.Choice):
                yield from (f"choice {name} {parameter.opts[0]}={choice}" for choice in parameter.type.choices)
        else:
            yield f"argument {name} {parameter.name}"
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for part in command.list_commands(context):
            found = command.get_command(context, part)
            assert found is not None
            yield from _options(found, f"{name} {part}")


def _documented() -> Iterator[str]:
    for package in DOCUMENTED:
        home = f"unspool.{package}".rstrip(".")
        if find_spec(home) is None:
            continue
        module = import_module(home)
        for name in module.__all__:
            yield f"api {name}"
            value = getattr(module, name)
            if inspect.isclass(value):
                yield from (f"api {name}.{member}" for member in dir(value) if not member.startswith("_"))


def listing() -> set[str]:
    """Return a line for each feature there is."""
    lines = set(_options(cli, "unspool"))
    for action in ACTIONS:
        lines.add(f"action {action.id}")
        lines.update(f"key {key} {action.id}" for key in action.keys)
    lines.update(f"setting {name}" for name in Settings.__struct_fields__)
    for kind in FORMATS:
        lines.update(f"format {name}" for name in (kind.name, *kind.aliases))
        lines.update(f"part {kind.name} {part}" for part in kind.parts)
    lines.update(f"export {kind.name} {kind.suffix}" for kind in EXPORTS)
    lines.update(_documented())
    return lines


def test_no_feature_is_lost() -> None:
    known = set(KNOWN.read_text("utf-8").splitlines())
    assert len(known) > 1_000
    assert sorted(known - listing()) == []


if __name__ == "__main__":
    before = set(KNOWN.read_text("utf-8").splitlines()) if KNOWN.exists() else set()
    KNOWN.write_text("".join(f"{line}\n" for line in sorted(before | listing())), "utf-8")
