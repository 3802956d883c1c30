"""Export: what to write, where to; files are written by the worker and never replace one that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from unspool.errors import UnspoolError
from unspool.model.json_text import to_json
from unspool_tui.desk import Kind, Reply
from unspool_tui.present import humane
from unspool_tui.present.page import html_page
from unspool_tui.screens.menu import Choice, Menu
from unspool_tui.screens.prompt import Prompt
from unspool_tui.view.outline import value_at
from unspool_tui.yanking import patch_text

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen


class ExportRefused(UnspoolError, ValueError):
    """A file name that cannot be written to; the message says why."""


class Export(Struct, frozen=True):
    """One kind of export.

    Attributes:
        key: the key that chooses it.
        label: what it writes.
        suffix: how its file ends.
        make: returns the text to write; called in the worker where it needs no screen.
        on_screen: it is a picture of the screen, so it is made at once.
    """

    key: str
    label: str
    suffix: str
    make: Callable[[MainScreen], str]
    on_screen: bool = False


def _state(main: MainScreen) -> str:
    state = main.scene.detail.state
    return to_json({name: state[name] for name in state}, indent=2) + "\n"


def _value(main: MainScreen) -> str:
    view = main.view
    if not view.selected:
        return _state(main)
    return to_json(value_at(main.scene.detail.state, view.selected), indent=2) + "\n"


def _patch(main: MainScreen) -> str:
    return patch_text(main.scene.history, main.scene.detail) + "\n"


def _picture(main: MainScreen) -> str:
    return main.app.export_screenshot(title=f"unspool {main.scene.history.source_name}", simplify=True)


def _page(main: MainScreen) -> str:
    detail = main.scene.detail
    return html_page(main.scene.history.source_name, detail.from_seq, detail.request.head, detail.changes)


EXPORTS: Final = (
    Export("s", "the state at the head as JSON", "json", _state),
    Export("v", "the selected value as JSON", "json", _value),
    Export("d", "this diff as JSON Patch (RFC 6902)", "patch.json", _patch),
    Export("h", "this diff as an HTML page", "html", _page),
    Export("p", "a picture of the screen (SVG)", "svg", _picture, on_screen=True),
)


def ask_export(main: MainScreen) -> None:
    """Ask what to write, then where to."""
    choices = [Choice(export.key, export.label, export.key, f".{export.suffix}") for export in EXPORTS]

    def chosen(key: str | None) -> None:
        if key is not None:
            export = next(export for export in EXPORTS if export.key == key)
            # A picture must not show the prompt that asks for its name.
            text = export.make(main) if export.on_screen else None
            _ask_where(main, export, text)

    main.open(Menu("Export", choices), chosen)


def _ask_where(main: MainScreen, export: Export, text: str | None) -> None:
    stem = Path(main.scene.history.source_name).stem or "history"
    proposal = f"{_safe(stem)}-{main.view.head}.{export.suffix}"

    def typed(name: str | None) -> None:
        if name is not None and name.strip():
            _write(main, export, target(name), text)

    hint = f"{export.label}: where to? Enter writes, Esc leaves; a file that is there stays"
    main.open(Prompt("E", hint, text=proposal, check=check_target), typed)


def _safe(stem: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "-" for character in stem)[:60]


def target(name: str) -> Path:
    """Return the file that a typed name means."""
    return Path(name.strip()).expanduser()


def check_target(name: str) -> str:
    """Say where a typed name would be written.

    Raises:
        ExportRefused: it is there already, or its folder is not.
    """
    path = target(name)
    if path.exists():
        raise ExportRefused(f"{path} is there already: choose another name")
    if not path.parent.is_dir():
        raise ExportRefused(f"there is no folder {path.parent}: choose another place")
    return f"writes {path.resolve()}"


def _write(main: MainScreen, export: Export, path: Path, text: str | None) -> None:
    def work() -> tuple[Path, int]:
        content = (text if text is not None else export.make(main)).encode("utf-8", "backslashreplace")
        try:
            with path.open("xb") as file:
                file.write(content)
        except OSError as error:
            raise ExportRefused(f"{path} cannot be written: {error.strerror or error}") from None
        return path, len(content)

    def take(reply: Reply) -> None:
        if reply.error is None:
            written, size = reply.value
            main.flash(f"wrote {humane.size(size)} to {written}", "good")

    main.ask(Kind.TASK, work, take)
