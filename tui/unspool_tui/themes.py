"""The app's own two themes, and those a person keeps in the settings folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from textual.color import Color, ColorParseError
from textual.theme import Theme

from unspool.errors import ConfigError

DEFAULT: Final = "unspool"

UNSPOOL: Final = Theme(
    name=DEFAULT,
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
    import tomllib

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
