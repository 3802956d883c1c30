"""Every style of every theme can be read where it stands, and what was added is told from what was removed.

The measures are worked out here anew: contrast by WCAG 2, and colours without green by Viénot, Brettel and Mollon (1999).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import dist

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorType
from rich.style import Style
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from unspool_tui.rendering.palette import (
    INKS,
    UNSPOOL,
    UNSPOOL_LIGHT,
    Palette,
    _distance,
    contrast,
    palette_from,
    seen_apart,
)

THEMES = {theme.name: theme for theme in (UNSPOOL, UNSPOOL_LIGHT, *BUILTIN_THEMES.values())}
GROUNDS = ("", "cursor", "blurred", "bar", "added", "removed", "range")
MARKS = frozenset(name for name, ink in INKS.items() if ink.mark)
XTERM = [
    "000000",
    "cd0000",
    "00cd00",
    "cdcd00",
    "0000ee",
    "cd00cd",
    "00cdcd",
    "e5e5e5",
    "7f7f7f",
    "ff0000",
    "00ff00",
    "ffff00",
    "5c5cff",
    "ff00ff",
    "00ffff",
    "ffffff",
]
"""The sixteen colours as xterm has them."""

Light = tuple[float, float, float]


def linear(colour: tuple[int, int, int]) -> Light:
    red, green, blue = (
        value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in colour
    )
    return red, green, blue


def ratio(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """Return the contrast of two colours."""
    lights = [
        sum(part * share for part, share in zip(linear(each), (0.2126, 0.7152, 0.0722), strict=True))
        for each in (one, other)
    ]
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def lab_without_green(colour: tuple[int, int, int]) -> Light:
    """Return a colour as it is seen with deuteranopia, in CIELAB."""
    red, green, blue = linear(colour)
    both = 0.29275 * red + 0.70725 * green
    third = -0.02234 * red + 0.02234 * green + blue
    red, green, blue = (min(1.0, max(0.0, value)) for value in (both, both, third))
    x = (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047
    y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
    z = (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883
    fx, fy, fz = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def palette_of(theme: Theme) -> Palette:
    return palette_from({**theme.to_color_system().generate()}, dark=theme.dark, ansi=theme.ansi)


def shown(style: Style, *, dark: bool) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return the colour of the text and the one behind it, as a terminal of xterm's colours shows them."""
    sides = []
    for colour, default in (
        (style.color, "ffffff" if dark else "000000"),
        (style.bgcolor, "000000" if dark else "ffffff"),
    ):
        if colour is None or colour.type is ColorType.DEFAULT:
            text = default
        elif colour.number is not None:
            text = XTERM[colour.number]
        else:
            text = colour.get_truecolor().hex[1:]
        sides.append(tuple(bytes.fromhex(text)))
    fore, back = sides[::-1] if style.reverse else sides
    return fore, back  # type: ignore[return-value]


def styles(theme: Theme) -> Iterator[tuple[str, str, Style]]:
    palette = palette_of(theme)
    for name, ground in product(INKS, GROUNDS):
        yield name, ground, palette.style(name, ground)


@pytest.mark.parametrize("name", THEMES)
def test_everything_can_be_read_on_every_ground(name: str) -> None:
    theme = THEMES[name]
    for ink, ground, style in styles(theme):
        least = 3.0 if ink in MARKS else 4.5
        found = ratio(*shown(style, dark=theme.dark))
        assert found >= least - 0.01, f"{ink} on {ground or 'the background'}: {found:.2f}"
        assert not style.dim, "how much a terminal dims is not known"


@pytest.mark.parametrize("name", THEMES)
def test_added_and_removed_are_told_apart_without_green(name: str) -> None:
    theme = THEMES[name]
    palette = palette_of(theme)
    for (one, other), ground in product(
        (("added", "removed"), ("new", "old"), ("added.name", "removed.name")), ("", "cursor", "blurred", "bar")
    ):
        if theme.ansi and ground == "cursor":
            continue
        sides = [shown(palette.style(ink, ground), dark=theme.dark)[0] for ink in (one, other)]
        assert dist(*map(lab_without_green, sides)) >= 20, f"{one} and {other} on {ground or 'the background'}"
        if not theme.ansi:
            assert seen_apart(*(Color(*side) for side in sides)) >= 20
    if not theme.ansi:
        words = [shown(palette.style(ink), dark=theme.dark)[1] for ink in ("added.word", "removed.word")]
        assert dist(*map(lab_without_green, words)) >= 10


def test_shapes_are_only_what_nobody_reads() -> None:
    frames = {"border", "border.focus", "thumb", "thumb.focus", "arrow"}
    assert frames | {"delta", "bar", "bar.window", "heat", "lane.part", "lane.value"} == MARKS


colours = st.tuples(*[st.integers(0, 255)] * 3).map(lambda parts: Color(*parts).hex)


@given(st.lists(colours, min_size=8, max_size=8), st.booleans())
def test_any_theme_of_ones_own_can_be_read(parts: list[str], dark: bool) -> None:
    names = ("background", "foreground", "primary", "secondary", "accent", "success", "warning", "error")
    palette = palette_from(dict(zip(names, parts, strict=True)), dark=dark, ansi=False)
    for name, ground in product(INKS, GROUNDS):
        least = 3.0 if name in MARKS else 4.5
        assert ratio(*shown(palette.style(name, ground), dark=dark)) >= least - 0.01


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
        ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ],
)
def test_distances_are_those_of_the_published_table(one: Light, other: Light, apart: float) -> None:
    assert _distance(one, other) == pytest.approx(apart, abs=1e-4)
    assert _distance(other, one) == pytest.approx(apart, abs=1e-4)


def test_contrast_goes_from_one_to_twenty_one() -> None:
    assert contrast(Color(0, 0, 0), Color(255, 255, 255)) == pytest.approx(21)
    assert contrast(Color(9, 9, 9), Color(9, 9, 9)) == 1
