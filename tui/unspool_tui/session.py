"""The place in a source: kept when it is left, restored when it is opened."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from unspool.errors import PathSyntaxError, UnspoolError
from unspool.model.keys import Path as Address
from unspool.model.keys import format_path
from unspool.model.paths import parse_path
from unspool_tui.source import file_name, keep
from unspool_tui.view.model import Against, InspectMode, Jumps, Pane, View

if TYPE_CHECKING:
    from unspool.history.history import History

MOST_ADDRESSES: Final = 500
"""Unfolded places remembered."""
MOST_WATCHES: Final = 20
"""Watches there may be."""


class RememberedPlace(msgspec.Struct, omit_defaults=True):
    """What is remembered of a view. Addresses are kept by path, so they survive a rewritten source."""

    source: str = ""
    head: int = 0
    at_tip: bool = True
    base: int | None = None
    against: str = "previous"
    bookmarks: list[int] = []
    jumps: list[int] = []
    focus: int = 1
    side: int = 2
    selected: str = ""
    unfolded: list[str] = []
    mode: str = "tree"
    unchanged: bool = False
    words: bool = False
    wrap: bool = False
    gaps: bool = False
    speed: int = 3
    pinned: list[str] = []
    watches: list[str] = []
    timeline_by_time: bool = False
    filter: str = ""
    chosen_theme: str = ""
    """Only what was chosen here. Earlier versions kept whatever theme was on as `theme`, which says nothing."""


class SourceSession(Struct):
    """One source's remembered place.

    Attributes:
        path: where it is kept; None when nothing is remembered.
        source: what the source is called.
        place: what was remembered at the start.
    """

    path: Path | None
    source: str
    place: RememberedPlace

    @classmethod
    def of(cls, history: History, folder: Path | None, key: str | None = None) -> SourceSession:
        """Read what is remembered of a history; damage means nothing is.

        Args:
            history: the history.
            folder: where places are kept; None remembers nothing.
            key: the source as it is called wherever it is named from; empty where there is no way back to it. None
                takes the history's own files.
        """
        files = sorted(str(path) for path in history.watch_paths)
        source = key or (files[0] if files else history.source_name)
        if folder is None or key == "":
            return cls(None, source, RememberedPlace())
        own = "\n".join(files or [source])
        path = folder / f"{file_name(own if key is None else key)}.json"
        place = RememberedPlace()
        with suppress(OSError, msgspec.MsgspecError):
            place = msgspec.json.decode(path.read_bytes(), type=RememberedPlace)
        return cls(path, source, place)

    @property
    def theme(self) -> str:
        """The theme that was chosen for the source; empty where the settings decide."""
        return self.place.chosen_theme

    @property
    def filter(self) -> str:
        """The filter used last."""
        return self.place.filter

    @property
    def furthest(self) -> int:
        """The last entry that the remembered place speaks of."""
        place = self.place
        return max(-1 if place.at_tip else place.head, -1 if place.base is None else place.base, *place.bookmarks, -1)

    def restore(self, view: View, *, at: int | None, follow: bool) -> View:
        """Return the view with the remembered place, as far as the history still has it."""
        place, tip = self.place, view.tip
        head = tip if place.at_tip else min(place.head, tip)
        if at is not None:
            head = at
        base = place.base if place.base is not None and view.first <= place.base <= tip else None
        against = Against(place.against) if place.against in set(Against) else Against.PREVIOUS
        return replace(
            view,
            head=max(view.first, head),
            follow=follow and head >= tip and at is None,
            paused_total=view.total,
            base=base,
            against=Against.PREVIOUS if against is Against.BASE and base is None else against,
            bookmarks=tuple(sorted({mark for mark in place.bookmarks if view.first <= mark <= tip})),
            jumps=Jumps(tuple(seq for seq in place.jumps if view.first <= seq <= tip)),
            focus=_pane(place.focus),
            side=_pane(place.side),
            selected=_address(place.selected),
            unfolded=frozenset(filter(None, map(_address, place.unfolded))),
            mode=InspectMode(place.mode) if place.mode in set(InspectMode) else InspectMode.TREE,
            unchanged=place.unchanged,
            words=place.words,
            wrap=place.wrap,
            gaps=place.gaps,
            speed=place.speed if 0 <= place.speed <= 6 else 3,
            pinned=tuple(place.pinned),
            watches=tuple(place.watches[:MOST_WATCHES]),
            timeline_by_time=place.timeline_by_time,
        )

    def save(self, view: View, theme: str | None) -> None:
        """Keep the place; a folder that cannot be written is no reason to trouble anyone on the way out.

        Args:
            view: the place.
            theme: the theme that was chosen meanwhile, empty for the settings' own; None keeps what was chosen before.
        """
        if self.path is None:
            return
        place = RememberedPlace(
            source=self.source,
            head=view.head,
            at_tip=view.follow or view.head >= view.tip,
            base=view.base,
            against=str(view.against),
            bookmarks=list(view.bookmarks),
            jumps=list(view.jumps.back[-20:]),
            focus=(view.focus if view.focus is not Pane.RESULTS else Pane.HISTORY).value,
            side=view.side.value,
            selected=format_path(view.selected) if view.selected else "",
            unfolded=[format_path(address) for address in list(view.unfolded)[:MOST_ADDRESSES]],
            mode=str(view.mode),
            unchanged=view.unchanged,
            words=view.words,
            wrap=view.wrap,
            gaps=view.gaps,
            speed=view.speed,
            pinned=list(view.pinned),
            watches=list(view.watches),
            timeline_by_time=view.timeline_by_time,
            filter=view.filter.text,
            chosen_theme=self.theme if theme is None else theme,
        )
        with suppress(UnspoolError):
            keep(self.path, msgspec.json.encode(place))


KEPT_WITHOUT_SOURCE_S: Final = 90 * 24 * 3600
"""How long a place is kept whose file is not there: it may be on a disk that is not mounted just now."""
_LOOKED_AT: Final = 2_000
"""Places that are looked at for one call."""


class _Named(msgspec.Struct):
    source: str = ""


def forget_gone(folder: Path, now: float) -> int:
    """Remove places of files that are gone: of temporary ones at once, of others when nobody came back for long.

    Only files of this app are touched: those that name an absolute path which is not there.

    Args:
        folder: where places are kept, beside those of sources in general.
        now: seconds since the epoch.

    Returns:
        How many were removed.
    """
    temporary = tuple({os.path.realpath(place) for place in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")})  # noqa: S108 - read
    removed = 0
    for path in islice((path for place in (folder, folder / "sources") for path in place.glob("*.json")), _LOOKED_AT):
        with suppress(OSError, ValueError, msgspec.MsgspecError):
            source = msgspec.json.decode(path.read_bytes(), type=_Named).source.split("\n")[0]
            if not Path(source).is_absolute() or os.path.lexists(source):
                continue
            if source.startswith(temporary) or now - path.stat().st_mtime > KEPT_WITHOUT_SOURCE_S:
                path.unlink()
                removed += 1
    return removed


def _pane(number: int) -> Pane:
    # Results are not remembered, so a place in them would be nowhere.
    return Pane(number) if number in {pane.value for pane in Pane if pane is not Pane.RESULTS} else Pane.HISTORY


def _address(text: str) -> Address:
    try:
        return parse_path(text) if text else ()
    except PathSyntaxError:
        return ()


class PlaceRestorer:
    """Waits for the remembered entries to arrive, unless the person goes somewhere else meanwhile."""

    def __init__(self, session: SourceSession, begun: View, *, follow: bool) -> None:
        """Begin to wait.

        Args:
            session: the remembered place.
            begun: the view that was shown instead.
            follow: new entries may be followed.
        """
        self._session = session
        self._begun = begun
        self._follow = follow

    def place(self, view: View, *, has_all: bool) -> View | None:
        """Return the view at the remembered place, or the same view where the person went elsewhere; None to wait.

        Args:
            view: what is shown now.
            has_all: it shows all that there was when the source had been read.
        """
        if not view.follow and view.head != self._begun.head:
            return view
        # The place may have been the newest entry, or one with others behind it: only a later one tells.
        if view.tip <= self._session.furthest and not has_all:
            return None
        return self._session.restore(view, at=None, follow=self._follow)
