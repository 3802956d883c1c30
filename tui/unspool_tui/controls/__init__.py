"""What each action of the registry does, by what it is about; and what the main screen does when something happens."""

from __future__ import annotations

from typing import Final

from unspool_tui.controls import app, navigation, program, results, search, tabs, view
from unspool_tui.screens.protocols import Controls, HistoryScreen


def _begun(main: HistoryScreen) -> None:
    if main.first_filter:
        search.restore_filter(main, main.first_filter)
    if main.scene.history.is_foreign:
        tabs.offer_many(main)
    program.watch(main)
    results.read_notes(main)


def _is_read(main: HistoryScreen) -> None:
    if main.unchecked:
        view.check_identity(main, main.unchecked)
    if main.scene.history.is_foreign:
        # Those on entries that were still to be read have no place yet.
        results.read_notes(main)


CONTROLS: Final = Controls(
    actions={
        **navigation.CONTROLS,
        **search.CONTROLS,
        **results.CONTROLS,
        **view.CONTROLS,
        **tabs.CONTROLS,
        **program.CONTROLS,
        **app.CONTROLS,
    },
    begun=_begun,
    is_read=_is_read,
    grown=search.extend_rows,
    beat=results.read_notes_again,
    edit=app.edit,
    clicked=navigation.click,
    word_clicked=navigation.word_clicked,
)
"""A test holds its actions to the registry."""
