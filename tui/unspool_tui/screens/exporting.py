"""Writing the state, the patch or a page of the diff to a file, which appears when it is complete and never replaces another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from unspool.errors import UnspoolError
from unspool.files import whole_file
from unspool.model.entries import ChangeKind
from unspool.model.json_text import to_json
from unspool.model.keys import format_path
from unspool.model.values import MISSING
from unspool_tui.copying import patch_text
from unspool_tui.panes.detail import Decoded, Detail, load_detail, request_of
from unspool_tui.permits import EVERYTHING, Permits
from unspool_tui.rendering import format_units
from unspool_tui.rendering.sanitize import visible
from unspool_tui.rendering.values import preview_text
from unspool_tui.screens.modal import Menu, MenuLine, Prompt
from unspool_tui.view.model import View
from unspool_tui.view.outline import value_at
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool.history.diff import Change
    from unspool.history.history import History
    from unspool_tui.screens.protocols import HistoryScreen

PIECE_BYTES: Final = 1 << 16
"""Bytes gathered before they are written."""


class ExportRefused(UnspoolError, ValueError):
    """A file name that cannot be written to; the message says why."""


def target(name: str, permits: Permits = EVERYTHING) -> Path:
    """Return the file that a typed name means.

    Raises:
        ExportRefused: it begins with a home folder that there is not.
        WriteRefused: it is outside of where the person may write.
    """
    if permits.visitor:
        # Whose home folders there are is nothing that a visitor should learn.
        return permits.place_of(Path(name.strip()))
    try:
        return Path(name.strip()).expanduser()
    except RuntimeError:
        raise ExportRefused(f"{name.strip()}: there is no such home folder; write the whole path") from None


def check_target(name: str, permits: Permits = EVERYTHING) -> str:
    """Say where a typed name would be written.

    Raises:
        ExportRefused: it is there already, its folder is not, or it is no file name.
        WriteRefused: it is outside of where the person may write.
    """
    path = target(name, permits)
    try:
        if path.exists():
            raise ExportRefused(f"{path} is there already: choose another name")
        if not path.parent.is_dir():
            raise ExportRefused(f"there is no folder {path.parent}: choose another place")
        return f"writes {_homely(path.resolve())}"
    except (OSError, ValueError) as error:
        if isinstance(error, ExportRefused):
            raise
        raise ExportRefused(f"{name.strip()[:80]} is no file name here ({error}): choose another") from None


def _homely(path: Path) -> str:
    with suppress(ValueError, RuntimeError):
        return f"~/{path.relative_to(Path.home())}"
    return str(path)


def write_new(path: Path, texts: Iterable[str]) -> Iterator[int]:
    """Write a file piece by piece; closing the iterator early leaves nothing behind.

    Args:
        path: the file; one that is there already is never replaced.
        texts: what it holds, line ends included.

    Yields:
        The bytes written so far.

    Raises:
        ExportRefused: the file is there already or cannot be written.
    """
    try:
        with whole_file(path) as part, part.open("wb") as file:
            for piece in _pieces(texts):
                file.write(piece)
                yield file.tell()
    except ExportRefused:
        raise
    except UnspoolError as error:
        raise ExportRefused(str(error)) from None
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise ExportRefused(f"{path} cannot be written: {said or error}") from None


def _pieces(texts: Iterable[str]) -> Iterator[bytes]:
    gathered = bytearray()
    for text in texts:
        gathered += text.encode("utf-8", "backslashreplace")
        if len(gathered) >= PIECE_BYTES:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


_STYLE = """
body{font:14px/1.5 ui-monospace,monospace;background:#10141b;color:#d6dce6;margin:2rem auto;max-width:70rem}
table{border-collapse:collapse;width:100%}td{padding:.15rem .8rem .15rem 0;vertical-align:top;word-break:break-word}
.added{color:#7fd99a}.deleted{color:#f27d8d}.modified{color:#e6c76a}h1{font-size:1.1rem}h2{font-size:1rem;margin:1.4rem 0 .2rem}
"""
_MOST_ROWS = 2_000
_MOST_TEXT = 2_000


def html_page(source: str, from_seq: int, to_seq: int, changes: Sequence[Change]) -> str:
    """Return the page of a diff; `from_seq` is -1 for the empty state before the first entry."""
    start = "empty" if from_seq < 0 else f"#{from_seq}"
    title = escape(f"{source} {start} → #{to_seq}")
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>",
    ]
    for change in changes:
        parts.append(f"<h2 class={change.kind}>{_text(change.atom)} {change.kind}</h2><table>")
        parts.extend(_rows(change))
        parts.append("</table>")
    return "\n".join([*parts, "</html>", ""])


def _rows(change: Change) -> list[str]:
    if change.kind is not ChangeKind.MODIFIED:
        value = change.new if change.kind is ChangeKind.ADDED else change.old
        return [f"<tr><td class={change.kind}>{_text(preview_text(value, _MOST_TEXT))}</td></tr>"]
    rows = []
    for op in change.ops[:_MOST_ROWS]:
        path = format_path(op.path, root="") or "(value)"
        old = "" if op.old is MISSING else preview_text(op.old, _MOST_TEXT)
        new = "" if op.new is MISSING else preview_text(op.new, _MOST_TEXT)
        rows.append(
            f"<tr><td>{_text(str(op.kind))}</td><td>{_text(path)}</td>"
            f"<td class=deleted>{_text(old)}</td><td class=added>{_text(new)}</td></tr>"
        )
    left = len(change.ops) - _MOST_ROWS
    return [*rows, f"<tr><td>{left:,} more</td></tr>"] if left > 0 else rows


def _text(text: str) -> str:
    return escape(visible(text))


Texts = Callable[["History", View], Iterable[str]]
"""Makes the texts of a file from a history and the view they were asked in; called in the worker."""


class Unreadable(UnspoolError):
    """The entry to export cannot be rebuilt; the message says why."""


class ExportKind(Struct, frozen=True):
    """One kind of export.

    Attributes:
        key: the key that chooses it.
        label: what it writes.
        ending: how its file's name goes on after the name of the source.
        texts: what it writes; None where it is a picture of the screen, which is taken at once.
        needs: what must be selected for it.
        notes_beside: the notes of people are written beside its file.
    """

    key: str
    label: str
    ending: str
    texts: Texts | None
    needs: str = ""
    notes_beside: bool = False


def _detail(history: History, view: View) -> Detail:
    """Load what the view shows, rather than trust that the panes have caught up with it."""
    detail = load_detail(history, Decoded(), request_of(view))
    if detail.problem:
        raise Unreadable(detail.problem)
    return detail


def _state(history: History, view: View) -> Iterable[str]:
    state = _detail(history, view).state
    yield to_json({name: state[name] for name in state}, indent=2) + "\n"


def _value(history: History, view: View) -> Iterable[str]:
    yield to_json(value_at(_detail(history, view).state, view.selected), indent=2) + "\n"


def _patch(history: History, view: View) -> Iterable[str]:
    yield patch_text(history, _detail(history, view)) + "\n"


def _page(history: History, view: View) -> Iterable[str]:
    detail = _detail(history, view)
    yield html_page(history.source_name, detail.from_seq, detail.request.head, detail.changes)


def _whole(name: str) -> Texts:
    """Return what writes the whole history, as `unspool export` does."""

    def texts(history: History, view: View) -> Iterator[str]:
        from unspool.sources.exports import (
            ExportOptions,  # loaded when a whole history is first exported
            export_lines,  # loaded when a whole history is first exported
        )

        chosen = (format_path(view.selected, root=""),) if view.selected else ()
        options = ExportOptions(chosen, made_ns=time_ns(), notes=view.notes.all)
        return (f"{line}\n" for line in export_lines(history, name, options))

    return texts


_OF_THE_HEAD: Final = (
    ExportKind("s", "the state at the head as JSON", "-{head}.json", _state),
    ExportKind("v", "the selected value as JSON", "-{head}.json", _value, "a value"),
    ExportKind("d", "this diff as JSON Patch (RFC 6902)", "-{head}.patch.json", _patch),
    ExportKind("h", "this diff as an HTML page", "-{head}.html", _page),
    ExportKind("p", "a picture of the screen (SVG)", "-{head}.svg", None),
)
_TABLE: Final = "csv"
"""The format that shows chosen values only: in the app, the selected one."""


def exports() -> list[ExportKind]:
    """Return everything that can be written: parts of what is seen, and the history in each format there is."""
    from unspool.sources.exports import EXPORTS  # loaded when a whole history is first exported

    whole = [
        ExportKind(
            str(number),
            f"history: {item.title}",
            item.suffix or f".{item.name}.json",
            _whole(item.name),
            "a value" if item.name == _TABLE else "",
            item.written_notes == "beside",
        )
        for number, item in enumerate(EXPORTS, 1)
    ]
    return [*_OF_THE_HEAD, *whole]


def ask_export(main: HistoryScreen) -> None:
    """Ask what to write, then where to."""
    known = {export.key: export for export in exports()}
    view = main.view
    choices = [MenuLine(one.key, one.label, one.key, _missing(one, view) or _shown(one)) for one in known.values()]

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


def _missing(export: ExportKind, view: View) -> str:
    return f"select {export.needs} first" if export.needs and not view.selected else ""


def _shown(export: ExportKind) -> str:
    return export.ending.removeprefix("-{head}")


def _picture(main: HistoryScreen) -> str:
    return main.app.export_screenshot(title=f"unspool {main.scene.history.source_name}", simplify=True)


def _ask_where(main: HistoryScreen, export: ExportKind, picture: str) -> None:
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


def _write(main: HistoryScreen, export: ExportKind, path: Path, view: View, picture: str) -> None:
    history, told = main.scene.history, f"writing {path.name}"
    size = 0

    desk = main.notes if export.notes_beside else None

    def work() -> Iterator[int]:
        yield from write_new(path, [picture] if export.texts is None else export.texts(history, view))
        if desk is not None:
            desk.copy_to(str(path))

    def take(reply: Reply) -> None:
        nonlocal size
        if not reply.done:
            size = reply.value
            main.work.show(f"{told}: {format_units.size(size)}")
            return
        if reply.error is None:
            main.flash(f"wrote {format_units.size(size)} to {path}", "good")
        main.work.write_next()

    main.work.write(lambda: main.ask(QuestionKind.EXPORT, work, take, told=told))
