"""Memory at a glance: where the bytes are, as one bar, and which states around the head are held rebuilt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from unspool.model.cache import CacheStats
from unspool_tui.rendering import format_units
from unspool_tui.rendering.line import Glyphs, Row, Span, on_grid, pad

_SHADES: Final = ("chip.filter", "chip.live", "chip.paused", "chip.brand")
"""Grounds of neighbouring parts of the bar."""
_LEAST: Final = 2
"""Cells of the smallest part that is drawn by itself."""


def bytes_row(atoms: Sequence[tuple[str, int, int]], width: int, glyphs: Glyphs) -> Row:
    """Return one bar in which each atom takes the room of its share of the bytes, with its name as far as it fits.

    Args:
        atoms: name, bytes and changes of each atom, the largest first.
        width: cells of the row.
        glyphs: how to draw.
    """
    label = " bytes "
    room = width - len(label) - 1
    whole = sum(size for _, size, _ in atoms)
    if not whole or room < _LEAST:
        return Row(((f"{label}not measured yet", "faint"),))
    spans: list[Span] = [(label, "dim")]
    used = 0
    for number, (name, size, _) in enumerate(atoms):
        cells = min(round(size / whole * room), room - used)
        if cells < _LEAST:
            break
        share = f"{size / whole:.0%}"
        text = on_grid(name[:100])
        if cells > len(text) + len(share) + 2:
            text = f"{text} {share}"
        edge = glyphs.vertical if spans[1:] else " "
        spans.append((pad(f"{edge}{text}", cells), _SHADES[number % len(_SHADES)]))
        used += cells
    if used < room:
        spans.append((pad(f"{glyphs.vertical}other" if room - used > 7 else "", room - used), "block.unknown"))
    return Row(tuple(spans))


def around(head: int, first: int, total: int, width: int) -> range:
    """Return as many entries around the head as there are cells; the head is in the middle where it can be."""
    start = max(first, min(head - width // 2, total - width))
    return range(start, min(start + width, total))


def cache_strip(held: Sequence[bool], seqs: range, head: int, glyphs: Glyphs) -> list[Span]:
    """Return a cell an entry: whether its state is held rebuilt, and where the head is."""
    spans: list[Span] = []
    for seq, is_held in zip(seqs, held, strict=True):
        style = "head" if seq == head else "heat" if is_held else "border"
        text = glyphs.block if is_held else glyphs.delta
        if spans and spans[-1][1] == style and seq != head:
            spans[-1] = (spans[-1][0] + text, style)
        else:
            spans.append((text, style))
    return spans


def cache_row(held: Sequence[bool], seqs: range, head: int, glyphs: Glyphs) -> Row:
    """Return the strip of what is held around the head with its name."""
    return Row(((" cache ", "dim"), *cache_strip(held, seqs, head, glyphs)))


def cache_words(stats: CacheStats) -> list[Row]:
    """Return how many states are held and how reads went, in short lines."""
    asked = stats.hits + stats.misses
    share = f"{stats.hits / asked:.0%} of {asked:,} reads found here" if asked else "nothing was read yet"
    held = f" {stats.size:,} of {stats.max_size:,} states held"
    size = f", {format_units.size(stats.bytes)}" if stats.bytes else ""
    return [Row(((held + size, "text"),)), Row(((f" {share}", "dim"),))]
