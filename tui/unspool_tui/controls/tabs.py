"""Sources: tabs, the comparison of two, the part of a source that is shown; copying and exporting from one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from unspool.errors import UnspoolError
from unspool_tui import questions
from unspool_tui.copying import COPY_KINDS, COPY_VALUE, CopyKind, copy_text
from unspool_tui.rendering import format_units
from unspool_tui.rendering.header import Label
from unspool_tui.screens.modal import LateMenu, Menu, MenuLine
from unspool_tui.screens.protocols import HistoryScreen
from unspool_tui.tabs import LinkBy, TabLink
from unspool_tui.worker import QuestionKind, Reply

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.query.compare import Divergence
    from unspool.sources.detection import Choice
    from unspool_tui.screens.protocols import HistoryScreen
    from unspool_tui.tabs import Tabs

_LATER: Final = "is being opened; try again in a moment"
_DIGITS: Final = 9
"""Tabs that one key chooses in the menu."""


def beside(main: HistoryScreen, step: int) -> None:
    """Bring the next or previous tab to the front; behind the last comes the first."""
    app = main.unspool_app
    app.tab_screens.show((app.tabs.front + step) % len(app.tabs))


def choose_tab(main: HistoryScreen) -> None:
    """Choose a tab from a list."""
    app = main.unspool_app
    choices = [
        MenuLine(str(number + 1) if number < _DIGITS else "", label.name, str(number), _told(label, app.tabs, number))
        for number, label in enumerate(app.tabs.labels())
    ]

    def chosen(number: str | None) -> None:
        if number is not None:
            app.tab_screens.show(int(number))

    main.open(Menu("Sources", choices, at=str(app.tabs.front)), chosen)


def _told(label: Label, tabs: Tabs, number: int) -> str:
    if label.refused:
        return "cannot be opened"
    if label.opening:
        return "being opened"
    tab = tabs.all[number]
    if tab.history is None:
        return "not opened yet"
    return f"{len(tab.history):,} entries" + (f", {label.new:,} new" if label.new else "")


def compare_tabs(main: HistoryScreen) -> None:
    """Find where this history and that of the next tab part."""
    from unspool_tui.screens.answers import CompareScreen  # loaded when it is first opened

    tabs = main.unspool_app.tabs
    number = (tabs.front + 1) % len(tabs)
    other = tabs.all[number]
    if other.history is None:
        tabs.want(other)
        why = "cannot be opened" if other.error else _LATER
        main.flash(f"compare: {tabs.name(number)} {why}", "warning")
    elif not main.view.total or not len(other.history):
        main.flash("compare: one of the two histories has no entry yet", "warning")
    else:
        main.open(CompareScreen(main, tabs, number))


_UNLINK: Final = "unlink"
_WAYS: Final = (
    MenuLine("t", "by time", LinkBy.TIME, "or by time since the first entry, where no time is common"),
    MenuLine("e", "by entry number", LinkBy.ENTRY),
    MenuLine("a", "by action", LinkBy.ACTION, "the n-th of a name with the n-th"),
)


def link_tabs(main: HistoryScreen) -> None:
    """Choose a tab to scrub together with, and how; or unlink."""
    tabs = main.unspool_app.tabs
    others = [number for number in range(len(tabs)) if number != tabs.front]
    if len(others) == 1:
        _choose_way(main, others[0])
        return
    choices = [
        MenuLine(str(number + 1) if number < _DIGITS else "", tabs.name(number), str(number)) for number in others
    ]
    main.open(Menu("Link with", choices), lambda number: None if number is None else _choose_way(main, int(number)))


def _choose_way(main: HistoryScreen, number: int) -> None:
    tabs, switcher = main.unspool_app.tabs, main.unspool_app.tab_screens
    link = switcher.link
    is_linked = link is not None and link.other(tabs.front_tab) is tabs.all[number]
    unlink = (MenuLine("u", "unlink", _UNLINK),) if is_linked else ()

    def chosen(way: str | None) -> None:
        if way == _UNLINK:
            switcher.join(None)
            main.flash(f"no longer linked with {tabs.name(number)}")
        elif way is not None:
            _link(main, number, LinkBy(way))

    title = f"Scrub together with {tabs.name(number)[:40]}"
    at = str(link.by) if link is not None and is_linked else ""
    main.open(Menu(title, (*_WAYS, *unlink), at=at), chosen)


def _link(main: HistoryScreen, number: int, by: LinkBy) -> None:
    tabs, switcher = main.unspool_app.tabs, main.unspool_app.tab_screens
    here, other = tabs.front_tab, tabs.all[number]
    if here.history is None or other.history is None:
        tabs.want(other)
        main.flash(f"link: {tabs.name(number)} {'cannot be opened' if other.error else _LATER}", "warning")
        return
    link, withdrawn = TabLink(here, other, by), main.worker.withdrawn

    def take(reply: Reply) -> None:
        if reply.error is not None or reply.value is None:
            return
        switcher.join(link)
        told = f"linked with {tabs.name(number)} {link.told_by}"
        if reply.value is not True:
            told += f"; {questions.told_parting(reply.value)}"
        main.flash(told)

    def compare(first: History, second: History) -> Divergence:
        return questions.part(first, second, lambda done: None, withdrawn)

    told = f"looking where this and {tabs.name(number)} part"
    main.ask(QuestionKind.LINK, lambda: link.prepare(compare, withdrawn), take, told=told)


_ALL: Final = "all"


def choose_part(main: HistoryScreen) -> None:
    """List what the source in front can show one by one, and show what is chosen."""
    source = main.unspool_app.tabs.front_tab.source
    if source is None:
        main.flash("choose: this history has no source to choose a part of", "warning")
        return
    name, format_name = source.name, source.format

    found: list[Choice] = []

    def look() -> tuple[Choice, ...]:
        from unspool.sources.foreign import choices_of  # read in the worker, which loads it too

        return choices_of(name, format_name)

    def take(reply: Reply) -> None:
        if menu.over:
            return
        found.extend(reply.value or ())
        if found:
            menu.fill(_lines(found, source.select), at=_shown(found, source.select))
            return
        menu.leave()
        if reply.error is None:
            main.flash("choose: this source has no threads, players or spaces to choose from")

    def chosen(value: str | None) -> None:
        if value is not None and value != _shown(found, source.select):
            main.unspool_app.tab_screens.reopen({} if value == _ALL else found[int(value)].select)

    menu = LateMenu("Show")
    main.open(menu, chosen)
    main.ask(QuestionKind.TASK, look, take)


def offer_many(main: HistoryScreen) -> None:
    """List the parts of a source first that has very many of them: all together tell little, and take long to read."""
    source = main.unspool_app.tabs.front_tab.source
    if source is None or source.select or not main.scene.history.is_foreign:
        return
    name, format_name = source.name, source.format

    def look() -> tuple[Choice, ...]:
        from unspool.sources.foreign import very_many  # read in the worker, which loads it too

        return very_many(name, format_name)

    def take(reply: Reply) -> None:
        found: Sequence[Choice] = reply.value or ()
        # What the person does by now goes before.
        if not found or not main.is_uncovered:
            return

        def chosen(value: str | None) -> None:
            if value is not None and value != _ALL:
                main.unspool_app.tab_screens.reopen(found[int(value)].select)

        main.open(Menu(f"{len(found):,} parts: show", _lines(found, {}), at=_ALL), chosen)

    main.ask(QuestionKind.TASK, look, take)


def _shown(found: Sequence[Choice], select: Mapping[str, str]) -> str:
    """Return the line of what is shown now."""
    return next((str(number) for number, choice in enumerate(found) if choice.select == select), _ALL)


def _lines(found: Sequence[Choice], select: Mapping[str, str]) -> list[MenuLine]:
    now = _shown(found, select)
    lines = [MenuLine("a", "all of it", _ALL, "shown" if not select else "")]
    for number, choice in enumerate(found):
        count = "" if choice.entries is None else f"{choice.entries:,} entries"
        more = "  ".join(filter(None, (count, "shown" if str(number) == now else "")))
        lines.append(MenuLine(str(number + 1) if number < _DIGITS else "", choice.title, str(number), more))
    return lines


def ask_copy(main: HistoryScreen) -> None:
    """Ask what to copy, and copy it."""
    known = {kind.key: kind for kind in COPY_KINDS}
    choices = [MenuLine(kind.key, kind.label, kind.key, kind.why_not(main.view)) for kind in COPY_KINDS]

    def chosen(key: str | None) -> None:
        if key is not None:
            copy_kind(main, known[key])

    main.open(Menu("Copy", choices), chosen)


def copy_kind(main: HistoryScreen, kind: CopyKind) -> None:
    """Copy one kind of thing and say what went where."""
    reason = kind.why_not(main.view)
    if reason:
        main.flash(f"{kind.label}: {reason}", "warning")
        return
    try:
        text = kind.text(main.scene.history, main.view, main.scene.current(main.view))
    except UnspoolError as error:
        main.flash(str(error), "error")
        return
    outcome = copy_text(main.app, text)
    size = format_units.size(len(text.encode("utf-8", "surrogatepass")))
    main.flash(f"{kind.label}: {size} {outcome.said}", "good" if outcome.arrived else "warning")


def copy_selected(main: HistoryScreen) -> None:
    """Copy the selected value; without one, say how to leave and how to copy."""
    if main.view.selected:
        copy_kind(main, COPY_VALUE)
    else:
        main.flash(f"nothing is selected to copy; {main.keymap.shown('quit')} leaves unspool", "warning")


def export(main: HistoryScreen) -> None:
    """Ask what to write and where to."""
    from unspool_tui.screens.exporting import ask_export  # loaded when it is first opened

    ask_export(main)


CONTROLS: Final[Mapping[str, Callable[[HistoryScreen], None]]] = {
    "tab.next": partial(beside, step=1),
    "tab.prev": partial(beside, step=-1),
    "tab.go": choose_tab,
    "tab.compare": compare_tabs,
    "tab.link": link_tabs,
    "choose": choose_part,
    "yank": ask_copy,
    "copy": copy_selected,
    "export": export,
}
