"""Export: what to write, where to; files are written by the worker and never replace one that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct

from unspool.errors import UnspoolError
from unspool.model.json_text import to_json
from unspool.model.paths import format_path
from unspool_tui.controls.sharing import patch_text
from unspool_tui.desk import Kind, Reply
from unspool_tui.present import humane
from unspool_tui.present.page import html_page
from unspool_tui.scene.detail import Detail, load_detail, request_of
from unspool_tui.scene.states import Decoded
from unspool_tui.screens.menu import Choice, Menu
from unspool_tui.screens.prompt import Prompt
from unspool_tui.view.history_port import HistoryPort
from unspool_tui.view.model import View
from unspool_tui.view.outline import value_at
from unspool_tui.writing import check_target, target, write_new

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool_tui.screens.main import MainScreen

Texts = Callable[[HistoryPort, View], Iterable[str]]
"""Makes the texts of a file from a history and the view they were asked in; called in the worker."""


class Unreadable(UnspoolError):
    """The entry to export cannot be rebuilt; the message says why."""


class Export(Struct, frozen=True):
    """One kind of export.

    Attributes:
        key: the key that chooses it.
        label: what it writes.
        ending: how its file's name goes on after the name of the source.
        texts: what it writes; None where it is a picture of the screen, which is taken at once.
        needs: what must be selected for it.
    """

    key: str
    label: str
    ending: str
    texts: Texts | None
    needs: str = ""


def _detail(history: HistoryPort, view: View) -> Detail:
    """Load what the view shows, rather than trust that the panes have caught up with it."""
    detail = load_detail(history, Decoded(), request_of(view))
    if detail.problem:
        raise Unreadable(detail.problem)
    return detail


def _state(history: HistoryPort, view: View) -> Iterable[str]:
    state = _detail(history, view).state
    yield to_json({name: state[name] for name in state}, indent=2) + "\n"


def _value(history: HistoryPort, view: View) -> Iterable[str]:
    yield to_json(value_at(_detail(history, view).state, view.selected), indent=2) + "\n"


def _patch(history: HistoryPort, view: View) -> Iterable[str]:
    yield patch_text(history, _detail(history, view)) + "\n"


def _page(history: HistoryPort, view: View) -> Iterable[str]:
    detail = _detail(history, view)
    yield html_page(history.source_name, detail.from_seq, detail.request.head, detail.changes)


def _whole(name: str) -> Texts:
    """Return what writes the whole history, as `unspool export` does."""

    def texts(history: HistoryPort, view: View) -> Iterator[str]:
        from unspool.sources.exports.options import ExportOptions
        from unspool.sources.exports.registry import export_lines

        chosen = (format_path(view.selected, root=""),) if view.selected else ()
        options = ExportOptions(chosen, made_ns=time_ns())
        return (f"{line}\n" for line in export_lines(cast("History", history), name, options))

    return texts


_OF_THE_HEAD: Final = (
    Export("s", "the state at the head as JSON", "-{head}.json", _state),
    Export("v", "the selected value as JSON", "-{head}.json", _value, "a value"),
    Export("d", "this diff as JSON Patch (RFC 6902)", "-{head}.patch.json", _patch),
    Export("h", "this diff as an HTML page", "-{head}.html", _page),
    Export("p", "a picture of the screen (SVG)", "-{head}.svg", None),
)
_TABLE: Final = "csv"
"""The format that shows chosen values only: in the app, the selected one."""


def exports() -> list[Export]:
    """Return everything that can be written: parts of what is seen, and the history in each format there is."""
    from unspool.sources.exports.registry import EXPORTS

    whole = [
        Export(
            str(number),
            f"history: {item.title}",
            item.suffix or f".{item.name}.json",
            _whole(item.name),
            "a value" if item.name == _TABLE else "",
        )
        for number, item in enumerate(EXPORTS, 1)
    ]
    return [*_OF_THE_HEAD, *whole]


def ask_export(main: MainScreen) -> None:
    """Ask what to write, then where to."""
    known = {export.key: export for export in exports()}
    view = main.view
    choices = [Choice(one.key, one.label, one.key, _missing(one, view) or _shown(one)) for one in known.values()]

    def chosen(key: str | None) -> None:
        if key is None:
            return
        missing = _missing(known[key], view)
        if missing:
            main.flash(f"export: {missing}", "warning")
        else:
            # A picture must not show the prompt that asks for its name.
            _ask_where(main, known[key], _picture(main) if known[key].texts is None else "")

    main.open(Menu("Export", choices), chosen)


def _missing(export: Export, view: View) -> str:
    return f"select {export.needs} first" if export.needs and not view.selected else ""


def _shown(export: Export) -> str:
    return export.ending.removeprefix("-{head}")


def _picture(main: MainScreen) -> str:
    return main.app.export_screenshot(title=f"unspool {main.scene.history.source_name}", simplify=True)


def _ask_where(main: MainScreen, export: Export, picture: str) -> None:
    stem = Path(main.scene.history.source_name).stem or "history"
    view = main.view
    proposal = safe_stem(stem) + export.ending.format(head=view.head)

    def typed(name: str | None) -> None:
        if name is None or not name.strip():
            return
        try:
            path = target(name, view.permits)
        except UnspoolError as error:
            main.flash(str(error), "warning")
        else:
            _write(main, export, path, view, picture)

    hint = f"{export.label}: where to? Enter writes, Esc leaves; a file that is there stays"
    main.open(Prompt("E", hint, text=proposal, check=lambda name: check_target(name, view.permits)), typed)


def safe_stem(stem: str) -> str:
    """Return the name of a source as the beginning of a file name that every file system takes."""
    kept = "".join(letter if (letter.isascii() and letter.isalnum()) or letter in "-_." else "-" for letter in stem)
    return kept.lstrip(".-")[:60] or "history"


def _write(main: MainScreen, export: Export, path: Path, view: View, picture: str) -> None:
    history, told = main.scene.history, f"writing {path.name}"
    size = 0

    def work() -> Iterator[int]:
        return write_new(path, [picture] if export.texts is None else export.texts(history, view))

    def take(reply: Reply) -> None:
        nonlocal size
        if not reply.done:
            size = reply.value
            main.work.show(f"{told}: {humane.size(size)}")
            return
        if reply.error is None:
            main.flash(f"wrote {humane.size(size)} to {path}", "good")
        main.work.write_next()

    main.work.write(lambda: main.ask(Kind.EXPORT, work, take, told=told))
