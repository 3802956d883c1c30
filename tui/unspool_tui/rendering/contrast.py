"""How well colours are told apart: contrast as WCAG measures it, and distance for eyes that see no green."""

from __future__ import annotations

from functools import lru_cache
from math import atan2, cos, degrees, exp, hypot, pi, radians, sin, sqrt, tau
from typing import Final

from textual.color import Color

LEAST_OF_TEXT: Final = 4.5
"""Least contrast of letters against what is behind them."""
LEAST_OF_MARKS: Final = 3.0
"""Least contrast of frames, bars and other shapes."""
LEAST_APART: Final = 20.0
"""Least distance (CIEDE2000) between what was added and what was removed, for eyes that see no green."""
STEPS: Final = 24
"""Shares that are tried between two colours."""

_Three = tuple[float, float, float]


def contrast(one: Color, other: Color) -> float:
    """Return the contrast of two colours as WCAG defines it: from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@lru_cache(maxsize=1024)
def _linear(colour: Color) -> _Three:
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour.normalized
    )
    return red, green, blue


def _luminance(colour: Color) -> float:
    red, green, blue = _linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def readable(colour: Color, back: Color, text: Color, least: float) -> Color:
    """Return a colour that has at least a contrast against what is behind it: itself, or as near to it as can be.

    Args:
        colour: the colour that is wanted.
        back: what is behind it.
        text: the theme's colour of text, towards which it goes while that is readable itself.
        least: the contrast.
    """
    if contrast(colour, back) >= least:
        return colour
    poles = (Color(255, 255, 255), Color(0, 0, 0))
    pole = text if contrast(text, back) >= least else max(poles, key=lambda each: contrast(each, back))
    for step in range(1, STEPS):
        tried = colour.blend(pole, step / STEPS)
        if contrast(tried, back) >= least:
            return tried
    return pole


def seen_apart(one: Color, other: Color) -> float:
    """Return how far apart two colours are (CIEDE2000) for eyes that see no green."""
    return _distance(_lab(_without_green(one)), _lab(_without_green(other)))


def _without_green(colour: Color) -> _Three:
    """Return linear light as it is seen with deuteranopia (Machado and others, 2009)."""
    red, green, blue = _linear(colour)
    return _clipped(
        0.367322 * red + 0.860646 * green - 0.227968 * blue,
        0.280085 * red + 0.672501 * green + 0.047413 * blue,
        -0.011820 * red + 0.042940 * green + 0.968881 * blue,
    )


def _clipped(*light: float) -> _Three:
    red, green, blue = (min(1.0, max(0.0, value)) for value in light)
    return red, green, blue


def _lab(light: _Three) -> _Three:
    red, green, blue = light
    x, y, z = (
        value ** (1 / 3) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116
        for value in (
            (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047,
            0.2126729 * red + 0.7151522 * green + 0.0721750 * blue,
            (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883,
        )
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _distance(one: _Three, other: _Three) -> float:
    """Return the difference of two colours by CIEDE2000 (Sharma and others, 2005)."""
    light_1, a_1, b_1 = one
    light_2, a_2, b_2 = other
    mean = ((hypot(a_1, b_1) + hypot(a_2, b_2)) / 2) ** 7
    scale = 1.5 - 0.5 * sqrt(mean / (mean + 25**7))
    chroma_1, chroma_2 = hypot(a_1 * scale, b_1), hypot(a_2 * scale, b_2)
    hue_1, hue_2 = atan2(b_1, a_1 * scale) % tau, atan2(b_2, a_2 * scale) % tau
    turn = 0.0 if not chroma_1 * chroma_2 else (hue_2 - hue_1 + pi) % tau - pi
    hue = (hue_1 + turn / 2) % tau if chroma_1 * chroma_2 else hue_1 + hue_2
    light, chroma = (light_1 + light_2) / 2, (chroma_1 + chroma_2) / 2
    weight = (
        1 - 0.17 * cos(hue - pi / 6) + 0.24 * cos(2 * hue) + 0.32 * cos(3 * hue + pi / 30)
        - 0.20 * cos(4 * hue - radians(63))
    )  # fmt: skip
    of_light = 1 + 0.015 * (light - 50) ** 2 / sqrt(20 + (light - 50) ** 2)
    of_chroma, of_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * weight
    bend = 2 * sqrt(chroma**7 / (chroma**7 + 25**7)) * sin(radians(60) * exp(-(((degrees(hue) - 275) / 25) ** 2)))
    lights, chromas = (light_2 - light_1) / of_light, (chroma_2 - chroma_1) / of_chroma
    hues = 2 * sqrt(chroma_1 * chroma_2) * sin(turn / 2) / of_hue
    return sqrt(lights**2 + chromas**2 + hues**2 - bend * chromas * hues)
