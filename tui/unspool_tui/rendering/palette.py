"""The colours: themes, roles, and how well two colours can be distinguished.

Contrast is measured as WCAG does, and distance for eyes that see no green as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from math import atan2, cos, degrees, exp, hypot, pi, radians, sin, sqrt, tau
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from rich.color import Color as RichColor
from rich.style import Style
from textual.color import Color, ColorParseError
from textual.theme import Theme

from unspool.errors import ConfigError
from unspool_tui.settings import DEFAULT_THEME

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


_ATTRIBUTES: Final[Mapping[str, str]] = {
    "strong": "bold",
    "place": "underline",
    "title": "bold",
    "title.focus": "bold",
    "badge": "dim",
    "badge.focus": "bold reverse",
    "dim": "dim",
    "faint": "dim",
    "border": "dim",
    "added": "bold",
    "removed": "dim",
    "modified": "",
    "added.word": "bold underline",
    "removed.word": "underline",
    "added.name": "bold",
    "removed.name": "strike",
    "head": "bold reverse",
    "bar.head": "reverse",
    "bar.window": "bold",
    "depth.0": "dim",
    "depth.2": "bold",
    "depth.3": "bold",
    "full": "bold",
    "base": "bold reverse",
    "hit": "bold",
    "flip": "bold",
    "match": "reverse",
    "chip.live": "reverse",
    "chip.paused": "reverse bold",
    "chip.filter": "reverse",
    "chip.brand": "reverse bold",
    "block.unknown": "reverse",
    "block.sound": "reverse",
    "block.near": "reverse bold",
    "block.over": "reverse bold",
    "block.broken": "reverse bold",
    "key": "bold",
    "error": "bold",
    "warning": "bold",
    "json.null": "dim",
}
"""What stays of a style when there is no colour; style names that are missing here look like plain text."""

_GROUND_ATTRIBUTES: Final[Mapping[str, str]] = {
    "cursor": "reverse",
    "blurred": "bold",
    "bar": "",
    "range": "underline",
}


class Ink(Struct, frozen=True):
    """Colours of one style name.

    Attributes:
        fore: name of the colour of the text.
        back: name of the colour behind it; empty for the ground it stands on.
        mark: it draws shapes, which are seen with less contrast than letters are read with.
    """

    fore: str
    back: str = ""
    mark: bool = False
    bold: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    dim: bool = False


INKS: Final[Mapping[str, Ink]] = {
    "text": Ink("text"),
    "strong": Ink("text", bold=True),
    "dim": Ink("muted"),
    "faint": Ink("faint"),
    "accent": Ink("accent"),
    "place": Ink("accent", underline=True),
    "title": Ink("muted", bold=True),
    "title.focus": Ink("text", bold=True),
    "badge": Ink("muted"),
    "badge.focus": Ink("primary", bold=True),
    "border": Ink("line", mark=True),
    "border.focus": Ink("primary", mark=True),
    "thumb": Ink("muted", mark=True),
    "thumb.focus": Ink("primary", mark=True),
    "added": Ink("gain"),
    "added.name": Ink("gain", bold=True),
    "added.word": Ink("text", back="gain_soft", bold=True),
    "removed": Ink("loss"),
    "removed.name": Ink("loss"),
    "removed.word": Ink("text", back="loss_soft"),
    "modified": Ink("warning"),
    "moved": Ink("secondary"),
    "arrow": Ink("faint", mark=True),
    "old": Ink("loss"),
    "new": Ink("gain"),
    "full": Ink("secondary", bold=True),
    "delta": Ink("faint", mark=True),
    "note": Ink("warning"),
    "written": Ink("accent"),
    "parting": Ink("error", bold=True),
    "base": Ink("background", back="accent", bold=True),
    "bookmark": Ink("accent", bold=True),
    "hit": Ink("accent", bold=True),
    "flip": Ink("error", bold=True),
    "head": Ink("background", back="primary", bold=True),
    "bar": Ink("line_strong", mark=True),
    "bar.window": Ink("primary", mark=True),
    "depth.0": Ink("muted"),
    "depth.1": Ink("success"),
    "depth.2": Ink("warning"),
    "depth.3": Ink("accent", bold=True),
    "bar.head": Ink("background", back="primary", bold=True),
    "heat": Ink("secondary", mark=True),
    "lane.part": Ink("accent", mark=True),
    "lane.value": Ink("success", mark=True),
    "chip.brand": Ink("background", back="primary", bold=True),
    "chip.live": Ink("background", back="success", bold=True),
    "chip.paused": Ink("background", back="warning", bold=True),
    "chip.filter": Ink("background", back="secondary", bold=True),
    "match": Ink("background", back="accent", bold=True),
    "block.unknown": Ink("background", back="muted", bold=True),
    "block.sound": Ink("background", back="success", bold=True),
    "block.near": Ink("background", back="secondary", bold=True),
    "block.over": Ink("background", back="warning", bold=True),
    "block.broken": Ink("background", back="error", bold=True),
    "key": Ink("primary", bold=True),
    "good": Ink("success"),
    "warning": Ink("warning"),
    "error": Ink("error", bold=True),
    "json.key": Ink("text"),
    "json.index": Ink("muted"),
    "json.string": Ink("success"),
    "json.number": Ink("secondary"),
    "json.bool": Ink("accent"),
    "json.null": Ink("muted", italic=True),
    "json.type": Ink("faint"),
}
"""Every style name of the app."""

_GROUNDS: Final[Mapping[str, str]] = {
    "": "background",
    "cursor": "cursor",
    "blurred": "cursor_blurred",
    "bar": "bar",
    "added": "gain_ground",
    "removed": "loss_ground",
    "range": "range",
}


class Palette:
    """Styles by name on a ground, made once each; every one of them can be read there."""

    __slots__ = ("_colours", "_made")

    def __init__(self, colours: Mapping[str, Color] | None) -> None:
        """Resolve names with these colours; None draws with attributes only (`NO_COLOR`)."""
        self._colours = colours
        self._made: dict[tuple[str, str], Style] = {}

    def style(self, name: str, ground: str = "") -> Style:
        """Return the style of a name on a ground; an unknown name looks like text.

        A name such as `bar@range` brings a ground of its own.
        """
        key = (name, ground)
        made = self._made.get(key)
        if made is None:
            bare, _, own = name.partition("@")
            make = self._plain if self._colours is None else self._ink
            made = self._made[key] = make(bare, own or ground)
        return made

    def _plain(self, name: str, ground: str) -> Style:
        return Style.parse(f"{_ATTRIBUTES.get(name, '')} {_GROUND_ATTRIBUTES.get(ground, '')}".strip() or "none")

    def _ink(self, name: str, ground: str) -> Style:
        colours = self._colours or {}
        ink = INKS.get(name, INKS["text"])
        back = colours[ink.back or _GROUNDS.get(ground, "background")]
        least = LEAST_OF_MARKS if ink.mark else LEAST_OF_TEXT
        fore = readable(colours[ink.fore], back, colours["text"], least)
        return _styled(ink, fore.rich_color, back.rich_color)


class TerminalPalette(Palette):
    """Styles of the terminal's own sixteen colours, which nobody can mix or measure.

    What is behind a text is the terminal's background, or its colours are swapped: so a style is as readable as its
    colour is on that background, and the cursor's row as the terminal's text is.
    """

    __slots__ = ("_names",)

    def __init__(self, *, dark: bool) -> None:
        """Take the colours that are readable on a dark or on a light background."""
        super().__init__({})
        self._names = _ON_DARK if dark else _ON_LIGHT

    def _ink(self, name: str, ground: str) -> Style:
        ink = INKS.get(name, INKS["text"])
        if ground == "cursor" and not ink.back:
            return _styled(ink, _DEFAULT, _DEFAULT, reverse=True)
        colour = RichColor.parse(self._names.get(ink.back or ink.fore, "default"))
        return _styled(ink, colour, _DEFAULT, reverse=bool(ink.back), underline=ground == "range")


def _styled(ink: Ink, fore: RichColor, back: RichColor, *, reverse: bool = False, underline: bool = False) -> Style:
    return Style(
        color=fore,
        bgcolor=back,
        bold=ink.bold or None,
        italic=ink.italic or None,
        underline=underline or ink.underline or None,
        strike=ink.strike or None,
        reverse=reverse or None,
    )


MONOCHROME: Final = Palette(None)
_DEFAULT: Final = RichColor.parse("default")
_ON_DARK: Final[Mapping[str, str]] = {
    "primary": "bright_cyan",
    "secondary": "bright_magenta",
    "accent": "bright_yellow",
    "success": "bright_green",
    "warning": "bright_yellow",
    "error": "bright_red",
    "gain": "bright_cyan",
    "loss": "bright_red",
    "gain_soft": "bright_cyan",
    "loss_soft": "bright_red",
    "muted": "bright_black",
    "faint": "bright_black",
    "line": "bright_black",
    "line_strong": "bright_black",
}
_ON_LIGHT: Final[Mapping[str, str]] = {
    "primary": "blue",
    "secondary": "blue",
    "accent": "red",
    "success": "blue",
    "warning": "red",
    "error": "red",
    "gain": "blue",
    "loss": "red",
    "gain_soft": "blue",
    "loss_soft": "red",
    "line": "bright_black",
    "line_strong": "bright_black",
}
"""Colours that are not named here are the terminal's text: its green, yellow and cyan cannot be read on white."""


def palette_from(variables: Mapping[str, str], *, dark: bool, ansi: bool) -> Palette:
    """Make the palette of a theme.

    Args:
        variables: the theme's colour variables, as Textual gives them.
        dark: the theme is dark.
        ansi: the theme uses the terminal's own sixteen colours, which cannot be mixed.
    """
    if ansi:
        return TerminalPalette(dark=dark)
    base = {name: _colour(variables, name) for name in _WANTED}
    ground, text = base["background"], base["foreground"]
    grounds = {
        "bar": ground.blend(text, 0.07),
        "range": ground.blend(base["accent"], 0.22),
        "cursor": _cursor_ground(ground, base["primary"], text, dark=dark),
        "cursor_blurred": ground.blend(text, 0.10),
    }
    gain, loss = _told_apart(base["success"], base["error"], (ground, *grounds.values()), text, dark=dark)
    return Palette(
        {
            **base,
            **grounds,
            "text": text,
            "gain": gain,
            "loss": loss,
            "muted": ground.blend(text, 0.62),
            "faint": ground.blend(text, 0.40 if dark else 0.50),
            "line": ground.blend(text, 0.20 if dark else 0.28),
            "line_strong": ground.blend(text, 0.34),
            "gain_soft": ground.blend(gain, 0.32),
            "loss_soft": ground.blend(loss, 0.36),
            "gain_ground": ground.blend(gain, 0.10),
            "loss_ground": ground.blend(loss, 0.10),
        }
    )


_WANTED: Final = ("background", "foreground", "primary", "secondary", "accent", "success", "warning", "error")
_GAIN_POLES: Final = (Color(90, 200, 250), Color(0, 84, 160))
_LOSS_POLES: Final = (Color(255, 150, 70), Color(176, 58, 0))
"""Blue and orange, on dark and on light: what is left of colour without green, at both its ends."""


def _colour(variables: Mapping[str, str], name: str) -> Color:
    return Color.parse(variables[name]).with_alpha(1.0)


def _cursor_ground(ground: Color, primary: Color, text: Color, *, dark: bool) -> Color:
    """Return what is behind the cursor's row: no more of a colour than leaves room for others in front of it."""
    shares = (0.30, 0.26, 0.22, 0.18, 0.14) if dark else (0.22, 0.18, 0.14)
    tried = [ground.blend(primary, share) for share in shares]
    return next((each for each in tried if contrast(each, text) >= _ROOM), tried[-1])


_ROOM: Final = 6.5
"""Contrast of plain text on the cursor's row, below which coloured text would be driven to one colour."""


def _told_apart(
    gain: Color, loss: Color, grounds: Sequence[Color], text: Color, *, dark: bool
) -> tuple[Color, Color]:
    """Return the colours of what was added and removed: the theme's, moved apart as far as eyes without green need."""
    gain_pole, loss_pole = _GAIN_POLES[not dark], _LOSS_POLES[not dark]
    best, furthest = (gain, loss), 0.0
    for step in range(STEPS + 1):
        share = step / STEPS
        pair = gain.blend(gain_pole, share), loss.blend(loss_pole, share)
        apart = min(
            seen_apart(*(readable(colour, ground, text, LEAST_OF_TEXT) for colour in pair)) for ground in grounds
        )
        if apart > furthest:
            best, furthest = pair, apart
        if apart >= LEAST_APART + _SPARE:
            break
    return best


_SPARE: Final = 1.0
"""Distance that rounding, and other ways to work out what such eyes see, may take from a pair."""


UNSPOOL: Final = Theme(
    name=DEFAULT_THEME,
    primary="#6cb6ff",
    secondary="#b39df3",
    accent="#f0b95b",
    foreground="#d6dce6",
    background="#10141b",
    surface="#161b24",
    panel="#1d2430",
    success="#7fd99a",
    warning="#e6c76a",
    error="#f27d8d",
    dark=True,
)
UNSPOOL_LIGHT: Final = Theme(
    name="unspool-light",
    primary="#1f6fc4",
    secondary="#7449c4",
    accent="#a8640a",
    foreground="#222833",
    background="#fbfaf7",
    surface="#f2f0ea",
    panel="#e8e5dc",
    success="#1d7f45",
    warning="#8f6400",
    error="#c0324a",
    dark=False,
)

_COLOURS: Final = (
    "primary",
    "secondary",
    "accent",
    "foreground",
    "background",
    "surface",
    "panel",
    "success",
    "warning",
    "error",
)


def user_themes(folder: Path) -> Iterator[Theme]:
    """Yield the themes of a folder of TOML files; each is named after its file.

    Raises:
        ConfigError: a file that is no theme; the message names file and key.
    """
    for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
        yield read_theme(path)


def read_theme(path: Path) -> Theme:
    """Read one theme.

    Raises:
        ConfigError: see `user_themes`.
    """
    import tomllib  # few have themes of their own

    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a theme: {error}") from None
    colours = _checked(content, path)
    if "primary" not in colours:
        raise ConfigError(f'{path}: a theme needs at least primary, such as primary = "#6cb6ff"')
    dark = content.get("dark", True)
    return Theme(name=path.stem, dark=bool(dark), **{**_defaults(dark=bool(dark)), **colours})


def _defaults(*, dark: bool) -> Mapping[str, Any]:
    base = UNSPOOL if dark else UNSPOOL_LIGHT
    return {name: getattr(base, name) for name in _COLOURS}


def _checked(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    colours: dict[str, Any] = {}
    for key, value in content.items():
        if key == "dark":
            continue
        if key not in _COLOURS:
            near = get_close_matches(key, _COLOURS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are dark, {', '.join(_COLOURS)}"
            raise ConfigError(f"{path}: a theme has no {key!r}: {hint}")
        try:
            Color.parse(value)
        except (ColorParseError, TypeError):
            raise ConfigError(f'{path}: {key} = {value!r} is no colour; write one such as "#6cb6ff"') from None
        colours[key] = value
    return colours
