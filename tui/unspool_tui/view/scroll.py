"""Which rows of a long list are on the screen."""

from __future__ import annotations


def keep_visible(top: int, cursor: int | None, page: int, total: int) -> int:
    """Return the first visible row so that the cursor stays in sight.

    When the cursor leaves the page, the window moves by half a page, not by one row: most steps then change two rows
    on the terminal, not all of them; and a far jump lands in the middle, where what is around it can be read.

    Args:
        top: the first visible row so far.
        cursor: the row that must be seen; None where nothing is selected.
        page: rows that fit.
        total: rows there are.
    """
    if cursor is not None and not top <= cursor < top + page:
        top = cursor - page // 2
    return max(0, min(top, total - page))


def thumb(top: int, page: int, total: int) -> tuple[int, int]:
    """Return the first row and the length of a scroll bar's thumb, within a page; length 0 when all fits."""
    if total <= page or page <= 0:
        return 0, 0
    length = max(1, page * page // total)
    reach = total - page
    return (page - length) * top // reach, length
