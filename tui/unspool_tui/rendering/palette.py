"""Colours: the app's own themes and a person's, and the names of styles resolved to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from rich.color import Color as RichColor
from rich.style import Style
from textual.color import Color, ColorParseError
from textual.theme import Theme

from unspool.errors import ConfigError
from unspool_tui.settings import DEFAULT_THEME

_ATTRIBUTES: Final[Mapping[str, str]] = {
    "strong": "bold",
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
    """Colours of one style name: names of theme colours, with an optional share mixed in from another."""

    fore: str
    back: str = ""
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
    "title": Ink("muted", bold=True),
    "title.focus": Ink("text", bold=True),
    "badge": Ink("muted"),
    "badge.focus": Ink("primary", bold=True),
    "border": Ink("line"),
    "border.focus": Ink("primary"),
    "thumb": Ink("muted"),
    "thumb.focus": Ink("primary"),
    "added": Ink("success"),
    "added.name": Ink("success", bold=True),
    "added.word": Ink("text", back="success_soft", bold=True),
    "removed": Ink("error"),
    "removed.name": Ink("error"),
    "removed.word": Ink("text", back="error_soft"),
    "modified": Ink("warning"),
    "moved": Ink("secondary"),
    "arrow": Ink("faint"),
    "old": Ink("error"),
    "new": Ink("success"),
    "full": Ink("secondary", bold=True),
    "delta": Ink("faint"),
    "note": Ink("warning"),
    "base": Ink("background", back="accent", bold=True),
    "bookmark": Ink("accent", bold=True),
    "hit": Ink("accent", bold=True),
    "head": Ink("background", back="primary", bold=True),
    "bar": Ink("line_strong"),
    "bar.window": Ink("primary"),
    "depth.0": Ink("muted"),
    "depth.1": Ink("success"),
    "depth.2": Ink("warning"),
    "depth.3": Ink("accent", bold=True),
    "bar.head": Ink("background", back="primary", bold=True),
    "heat": Ink("secondary"),
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
    "added": "success_ground",
    "removed": "error_ground",
    "range": "range",
}


class Palette:
    """Styles by name on a ground, made once each."""

    __slots__ = ("_colours", "_made")

    def __init__(self, colours: Mapping[str, RichColor] | None) -> None:
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
        back = ink.back or _GROUNDS.get(ground, "background")
        return Style(
            color=colours[ink.fore],
            bgcolor=colours[back],
            bold=ink.bold or None,
            italic=ink.italic or None,
            underline=ink.underline or None,
            strike=ink.strike or None,
            dim=ink.dim or None,
        )


MONOCHROME: Final = Palette(None)


def palette_from(variables: Mapping[str, str], *, dark: bool, ansi: bool) -> Palette:
    """Make the palette of a theme.

    Args:
        variables: the theme's colour variables, as Textual gives them.
        dark: the theme is dark.
        ansi: the theme uses the terminal's own sixteen colours, which cannot be mixed.
    """
    if ansi:
        return Palette({name: RichColor.parse(colour) for name, colour in _ANSI.items()})
    base = {name: _colour(variables, name) for name in _WANTED}
    ground, text = base["background"], base["foreground"]
    mixed = {
        "text": text,
        "background": ground,
        "primary": base["primary"],
        "secondary": _readable(base["secondary"], ground, text),
        "accent": base["accent"],
        "success": base["success"],
        "warning": base["warning"],
        "error": base["error"],
        "muted": ground.blend(text, 0.62),
        "faint": ground.blend(text, 0.40 if dark else 0.50),
        "line": ground.blend(text, 0.20 if dark else 0.28),
        "line_strong": ground.blend(text, 0.34),
        "bar": ground.blend(text, 0.07),
        "range": ground.blend(base["accent"], 0.22),
        "cursor": ground.blend(base["primary"], 0.30 if dark else 0.22),
        "cursor_blurred": ground.blend(text, 0.10),
        "success_soft": ground.blend(base["success"], 0.32),
        "error_soft": ground.blend(base["error"], 0.36),
        "success_ground": ground.blend(base["success"], 0.10),
        "error_ground": ground.blend(base["error"], 0.10),
    }
    return Palette({name: colour.rich_color for name, colour in mixed.items()})


_WANTED: Final = ("background", "foreground", "primary", "secondary", "accent", "success", "warning", "error")
_ANSI: Final[Mapping[str, str]] = {
    "text": "default",
    "background": "default",
    "primary": "blue",
    "secondary": "cyan",
    "accent": "yellow",
    "success": "green",
    "warning": "yellow",
    "error": "red",
    "muted": "bright_black",
    "faint": "bright_black",
    "line": "bright_black",
    "line_strong": "bright_black",
    "bar": "default",
    "range": "bright_black",
    "cursor": "bright_black",
    "cursor_blurred": "default",
    "success_soft": "green",
    "error_soft": "red",
    "success_ground": "default",
    "error_ground": "default",
}
_LEAST_CONTRAST: Final = 0.28
"""Least difference in brightness between a text colour and the background; some themes' secondary is darker."""


def _colour(variables: Mapping[str, str], name: str) -> Color:
    return Color.parse(variables[name]).with_alpha(1.0)


def _readable(colour: Color, ground: Color, text: Color) -> Color:
    if abs(colour.brightness - ground.brightness) >= _LEAST_CONTRAST:
        return colour
    return colour.blend(text, 0.5)


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
