"""Choosing what of a source is shown: a thread, a namespace, a player, a space, or all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from unspool_tui.desk import Kind, Reply

if TYPE_CHECKING:
    from unspool.sources.choices import Choice
    from unspool_tui.screens.main import MainScreen
    from unspool_tui.screens.menu import Choice as Line

_ALL: Final = "all"
_DIGITS: Final = 9
"""Parts that one key chooses."""


def choose(main: MainScreen) -> None:
    """List what the source in front can show one by one, and show what is chosen."""
    source = main.unspool_app.tabs.front_tab.source
    if source is None:
        main.flash("choose: this history has no source to choose a part of", "warning")
        return
    name, format_name = source.name, source.format

    from unspool_tui.screens.menu import LateMenu

    found: list[Choice] = []

    def look() -> tuple[Choice, ...]:
        from unspool.sources.choices import choices_of

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
            main.unspool_app.front.reopen({} if value == _ALL else found[int(value)].select)

    menu = LateMenu("Show")
    main.open(menu, chosen)
    main.ask(Kind.TASK, look, take)


def offer_many(main: MainScreen) -> None:
    """List the parts of a source first that has very many of them: all together tell little, and take long to read."""
    source = main.unspool_app.tabs.front_tab.source
    if source is None or source.select or not main.scene.history.is_foreign:
        return
    name, format_name = source.name, source.format

    def look() -> tuple[Choice, ...]:
        from unspool.sources.choices import very_many

        return very_many(name, format_name)

    def take(reply: Reply) -> None:
        found: Sequence[Choice] = reply.value or ()
        # What the person does by now goes before.
        if not found or main.app.screen is not main:
            return
        from unspool_tui.screens.menu import Menu

        def chosen(value: str | None) -> None:
            if value is not None and value != _ALL:
                main.unspool_app.front.reopen(found[int(value)].select)

        main.open(Menu(f"{len(found):,} parts: show", _lines(found, {}), at=_ALL), chosen)

    main.ask(Kind.TASK, look, take)


def _shown(found: Sequence[Choice], select: Mapping[str, str]) -> str:
    """Return the line of what is shown now."""
    return next((str(number) for number, choice in enumerate(found) if choice.select == select), _ALL)


def _lines(found: Sequence[Choice], select: Mapping[str, str]) -> list[Line]:
    from unspool_tui.screens.menu import Choice as Line

    now = _shown(found, select)
    lines = [Line("a", "all of it", _ALL, "shown" if not select else "")]
    for number, choice in enumerate(found):
        count = "" if choice.entries is None else f"{choice.entries:,} entries"
        more = "  ".join(filter(None, (count, "shown" if str(number) == now else "")))
        lines.append(Line(str(number + 1) if number < _DIGITS else "", choice.title, str(number), more))
    return lines


CONTROLS: Final[Mapping[str, Callable[[MainScreen], None]]] = {"choose": choose}
