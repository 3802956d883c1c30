"""Base, bookmarks and pins: pure functions from a view to the view after a mark."""

from __future__ import annotations

from bisect import bisect_left

from msgspec.structs import replace

from unspool_tui.view.model import Against, View


def mark_base(view: View) -> View:
    """Make the entry under the head the base and compare against it."""
    return replace(view, base=view.head, against=Against.BASE)


def clear_base(view: View) -> View:
    """Forget the base and compare with the previous entry again."""
    against = Against.PREVIOUS if view.against is Against.BASE else view.against
    return replace(view, base=None, against=against)


def swap_base(view: View) -> View:
    """Let head and base change places."""
    if view.base is None or view.base == view.head:
        return view
    return replace(
        view,
        head=min(view.base, max(0, view.tip)),
        base=view.head,
        follow=False,
        paused_total=view.total if view.follow else view.paused_total,
    )


def compare_against(view: View, against: Against) -> View:
    """Choose what the head is compared with; the base must be marked first."""
    if against is Against.BASE and view.base is None:
        return view
    return replace(view, against=against)


def toggle_bookmark(view: View) -> View:
    """Set or remove a bookmark on the entry under the head."""
    marks = list(view.bookmarks)
    place = bisect_left(marks, view.head)
    if place < len(marks) and marks[place] == view.head:
        del marks[place]
    else:
        marks.insert(place, view.head)
    return replace(view, bookmarks=tuple(marks))


def toggle_pin(view: View, atom: str, limit: int) -> View:
    """Give an atom a lane of its own in the timeline, or take it away; the oldest of too many goes."""
    if atom in view.pinned:
        return replace(view, pinned=tuple(name for name in view.pinned if name != atom))
    return replace(view, pinned=(*view.pinned, atom)[-limit:])
