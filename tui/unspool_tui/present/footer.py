"""The last line: the keys that apply here, or a passing word."""

from __future__ import annotations

from collections.abc import Sequence

from unspool_tui.present.line import Row, Span, on_grid, width_of

_WIDE = 100
"""Width from which hints stand further apart."""


def footer(keys: Sequence[tuple[str, str]], width: int) -> Row:
    """Return keys with their labels; those at the end of the list give way first, but the last two always stay.

    Args:
        keys: key and label, most useful first; the last two are help and quit.
        width: cells there are.
    """
    gap = "   " if width >= _WIDE else "  "
    spans: list[Span] = [(" ", "text")]
    used = 1
    wanted = [(on_grid(key), on_grid(label)) for key, label in keys]
    always = wanted[-2:]
    room = width - sum(_size(pair, gap) for pair in always) - 1
    shown = []
    for pair in wanted[:-2]:
        if used + _size(pair, gap) > room:
            break
        shown.append(pair)
        used += _size(pair, gap)
    for key, label in (*shown, *always):
        spans += [(key, "key"), (f" {label}{gap}", "dim")]
    return Row(tuple(spans), ground="bar")


def _size(pair: tuple[str, str], gap: str) -> int:
    return width_of(pair[0]) + width_of(pair[1]) + 1 + len(gap)


def flash_row(text: str, style: str) -> Row:
    """Return a passing word in place of the keys."""
    return Row(((" ", "text"), (on_grid(text[:500]), style)), ground="bar")
