"""Makes one moving picture of several still ones of a terminal: an SVG that moves by style rules alone.

It holds no script and fetches nothing, so that it plays wherever an image may stand. Rows that several stills have in common
stand in it once. Whoever asks for less motion sees the last still, and so does what cannot play it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

CELL_WIDTH: Final = 12.2
ROW_HEIGHT: Final = 24.4
MARGIN: Final = 14
CAPTION_HEIGHT: Final = 64
GROUND: Final = "#10141b"
FRAME: Final = "#373c43"
CAPTION_GROUND: Final = "#1b212b"
BRIGHT: Final = "#d6dce6"
ACCENT: Final = "#efb95b"

STYLE: Final = re.compile(r"\.terminal-\d+-(r\d+) \{ ([^}]*?);? *\}")
TEXT: Final = re.compile(
    r'<text class="terminal-\d+-(r\d+)" x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"[^>]*>(.*?)</text>'
)
RECT: Final = re.compile(
    r'<rect fill="(#\w+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="[\d.]+" shape-rendering'
)


class Still(NamedTuple):
    """One moment of the moving picture.

    Attributes:
        svg: as Textual exports a screenshot.
        keys: what was pressed to get there, as the caption shows it.
        caption: what there is to see.
        seconds: how long it stays.
    """

    svg: str
    keys: str
    caption: str
    seconds: float


class Motion:
    """The style rules that show elements in some of the stills only."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self._ends = [sum(seconds[: number + 1]) for number in range(len(seconds))]
        self._names: dict[tuple[bool, ...], str] = {}

    def attribute(self, shown: tuple[bool, ...]) -> str:
        """Return the attribute of an element that is shown in these stills; none where it always is."""
        if all(shown):
            return ""
        return f' class="{self._names.setdefault(shown, f"m{len(self._names)}")}"'

    def rules(self) -> str:
        """Return the rules for all attributes that were asked for."""
        told = []
        for shown, name in self._names.items():
            starts = [0.0, *(end / self._ends[-1] * 100 for end in self._ends[:-1])]
            steps = "".join(
                f"{start:.2f}%{{visibility:{'visible' if visible else 'hidden'}}}"
                for start, visible in zip(starts, shown, strict=True)
            )
            told.append(f"@keyframes {name}{{{steps}}}")
            told.append(
                f".{name}{{visibility:{'visible' if shown[-1] else 'hidden'};animation:{name} {self._ends[-1]:g}s step-end infinite}}"
            )
        told.append("@media (prefers-reduced-motion:reduce){[class^=m]{animation:none}}")
        return "\n".join(told)


class Palette:
    """Short names for what text looks like."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, style: str) -> str:
        """Return the class of text in a style."""
        return self._names.setdefault(style, f"t{len(self._names)}")

    def rules(self) -> str:
        """Return the rules for all styles that were asked for."""
        return "\n".join(f".{name}{{{style}}}" for style, name in self._names.items())


def short(number: float) -> str:
    """Write a number in as few characters as it takes."""
    return f"{number:.1f}".rstrip("0").rstrip(".")


def rows_of(svg: str, palette: Palette) -> dict[int, str]:
    """Return what stands in each row of a still, drawn as if it were the first row."""
    styles = dict(STYLE.findall(svg))
    rows: dict[int, list[str]] = {}
    for fill, x, y, width in RECT.findall(svg):
        if fill != GROUND:
            row = round((float(y) - 1.5) / ROW_HEIGHT)
            rows.setdefault(row, []).append(
                f'<rect fill="{fill}" x="{short(float(x))}" width="{short(float(width))}" height="24.6"/>'
            )
    for name, x, y, length, text in TEXT.findall(svg):
        if text.replace("&#160;", "").strip():
            row = round((float(y) - 20) / ROW_HEIGHT)
            look = palette.name(styles[name].replace(": ", ":").replace("; ", ";"))
            rows.setdefault(row, []).append(
                f'<text class="{look}" x="{short(float(x))}" y="18.5" textLength="{short(float(length))}">'
                f"{text.replace('&#160;', chr(160))}</text>"
            )
    return {row: "".join(parts) for row, parts in rows.items()}


def assembled(stills: Sequence[Still], size: tuple[int, int], fonts: str, title: str) -> str:
    """Make the moving picture.

    Args:
        stills: in order; the last one is what is seen where nothing moves.
        size: columns and lines of the terminal.
        fonts: for text, as style rules name them.
        title: what is told of it to whoever cannot see it.
    """
    width, height = size[0] * CELL_WIDTH + 2 * MARGIN, size[1] * ROW_HEIGHT + 2 * MARGIN
    motion, palette = Motion([still.seconds for still in stills]), Palette()
    drawn = [rows_of(still.svg, palette) for still in stills]
    body = []
    for row in range(size[1]):
        versions = [rows.get(row, "") for rows in drawn]
        for version in dict.fromkeys(versions):
            if version:
                shown = motion.attribute(tuple(other == version for other in versions))
                body.append(
                    f'<g{shown} transform="translate({MARGIN},{short(MARGIN + row * ROW_HEIGHT)})">{version}</g>'
                )
    for number, still in enumerate(stills):
        shown = motion.attribute(tuple(number == other for other in range(len(stills))))
        body.append(
            f'<g{shown} transform="translate({MARGIN + 8},{short(height)})">'
            f'<text class="key" y="27">{escape(still.keys)}</text><text class="told" y="52">{escape(still.caption)}</text></g>'
        )
    whole = short(height + CAPTION_HEIGHT)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {short(width)} {whole}" role="img" xml:space="preserve">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>\ntext{{font:20px {fonts};white-space:pre}}\n.key{{fill:{ACCENT};font-weight:bold}}\n.told{{fill:{BRIGHT}}}\n"
        f"{palette.rules()}\n{motion.rules()}\n</style>\n"
        f'<rect width="{short(width)}" height="{whole}" rx="10" fill="{CAPTION_GROUND}" stroke="{FRAME}"/>\n'
        f'<rect x="1" y="1" width="{short(width - 2)}" height="{short(height - 2)}" rx="9" fill="{GROUND}"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )
