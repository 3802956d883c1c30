"""`unspool show`: the state at an entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from unspool.model.paths import Path, format_path, parse_path
from unspool.model.values import State, Value
from unspool.query.errors import PathNotFound
from unspool.sources.timestamps import iso_time
from unspool_tui.cli.completion import complete_atom, complete_path
from unspool_tui.cli.options import Common, json_option, judge, opened, source_command
from unspool_tui.cli.output import Output
from unspool_tui.cli.shapes import show_shape
from unspool_tui.present.inert import visible

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.history.view import StateView


@click.command("show", context_settings={"ignore_unknown_options": True})
@source_command()
@click.argument("entry", type=int, metavar="N")
@click.option("--atom", metavar="A", shell_complete=complete_atom, help="Only this atom.")
@click.option("--path", "path_text", metavar="P", shell_complete=complete_path,
              help="Only the value at this path, such as cart.items[2].qty.")  # fmt: skip
@json_option()
def show_command(common: Common, entry: int, atom: str | None, path_text: str | None, as_json: bool) -> int:
    """Print the state at entry N; negative numbers count from the end."""
    if atom is not None and path_text is not None:
        raise click.UsageError("--atom and --path exclude each other: a path begins with its atom.")
    with opened(common) as history:
        with Output(common) as out:
            if path_text is None:
                _show_state(out, history, entry, atom, as_json)
            else:
                _show_value(out, history, entry, parse_path(path_text), as_json)
        return judge(common, history.verdict)


def _show_state(out: Output, history: History, number: int, atom: str | None, as_json: bool) -> None:
    entry = history[number]
    state: State = history.state(number)
    if atom is not None:
        state = {atom: _at(history.view(number), (atom,), entry.seq)}
    if as_json:
        out.json(show_shape(entry, state))
        return
    heading = f"entry {entry.seq}  {iso_time(entry.timestamp_ns)}  {visible(entry.action)}"
    out.line(out.paint(heading.rstrip(), "head"))
    _print_value(out, state)


def _show_value(out: Output, history: History, number: int, path: Path, as_json: bool) -> None:
    entry = history[number]
    value = _at(history.view(number), path, entry.seq) if path else history.state(number)
    if as_json:
        shape = show_shape(entry, {})
        del shape["state"]
        out.json({**shape, "path": format_path(path), "value": value})
    else:
        _print_value(out, value)


def _at(view: StateView, path: Path, seq: int) -> Value:
    from unspool.model.wire import decode
    from unspool.query.parts import find

    try:
        return decode(find(view.wire, path, f"entry {seq}")[1])
    except PathNotFound as error:
        raise PathNotFound(f"{error}; `unspool show` lists what it has") from None


def _print_value(out: Output, value: Value) -> None:
    from unspool.model.json_text import to_json

    for line in to_json(value, indent=2).split("\n"):
        out.line(visible(line))
