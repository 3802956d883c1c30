"""Going back to a remembered place that a source, while it is still being read, does not hold yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unspool_tui.session import Session
from unspool_tui.view.model import View

if TYPE_CHECKING:
    from unspool_tui.screens.main import MainScreen


class Returning:
    """Waits for the remembered entries to arrive, unless the person goes somewhere else meanwhile."""

    def __init__(self, session: Session, begun: View, *, follow: bool) -> None:
        """Begin to wait.

        Args:
            session: the remembered place.
            begun: the view that was shown instead.
            follow: new entries may be followed.
        """
        self._session = session
        self._begun = begun
        self._follow = follow

    def arrived(self, main: MainScreen) -> bool:
        """Go back if that is possible now; say whether there is nothing more to wait for."""
        view = main.view
        if not view.follow and view.head != self._begun.head:
            return True
        # The place may have been the newest entry, or one with others behind it: only a later one tells.
        if view.tip <= self._session.furthest and not main.follower.has_all:
            return False
        back = self._session.restore(view, at=None, follow=self._follow)
        if back != view:
            main.apply(back)
        return True
