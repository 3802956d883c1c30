"""What a person settled once, in a TOML file whose every name is checked; what a caller asks of the app."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from unspool.errors import ConfigError
from unspool.model.keys import Path as Address
from unspool.system import user_folder
from unspool_tui.actions import BY_ID, key_names, known_key
from unspool_tui.permits import EVERYTHING, Permits

DEFAULT_THEME: Final = "unspool"


class Settings(Struct, frozen=True):
    """What a person settled once.

    Attributes:
        theme: name of the theme.
        ascii: draw with plain ASCII only.
        color: draw with colour.
        mouse: take mouse clicks, drags and the wheel.
        poll: seconds between looks at the source; 0 asks the operating system to tell.
        remember: keep the place in each source.
        keys: keys of actions that differ from the registry's.
    """

    theme: str = DEFAULT_THEME
    ascii: bool = False
    color: bool = True
    mouse: bool = True
    poll: float = 0.0
    remember: bool = True
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "theme": (str,),
    "ascii": (bool,),
    "color": (bool,),
    "mouse": (bool,),
    "poll": (int, float),
    "remember": (bool,),
}
_MEANT: Final = {"str": "text", "bool": "true or false", "int": "a number"}


def config_folder() -> Path:
    """Return the folder of the settings file and the themes."""
    return user_folder("config")


def settings_file() -> Path:
    """Return where the settings are."""
    return config_folder() / "config.toml"


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings; a missing file means the defaults.

    Raises:
        ConfigError: the file does not parse or holds a name or value that is not valid; the message names file, key
            and the nearest valid name.
    """
    place = settings_file() if path is None else path
    if not place.exists():
        if path is not None:
            raise ConfigError(f"{place}: there is no such settings file")
        return Settings()
    import tomllib  # few have a settings file

    try:
        content = tomllib.loads(place.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{place}: cannot be read as settings: {error}") from None
    return check_settings(content, place)


def check_settings(content: Mapping[str, Any], place: Path) -> Settings:
    """Turn parsed TOML into settings.

    Raises:
        ConfigError: see `load_settings`.
    """
    values: dict[str, Any] = {}
    for name, value in content.items():
        if name == "keys":
            values["keys"] = _keys(value, place)
            continue
        if name not in _TYPES:
            raise ConfigError(f"{place}: there is no setting {name!r}: {nearest(name, (*_TYPES, 'keys'))}")
        wanted = _TYPES[name]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise ConfigError(f"{place}: {name} is {value!r}; it must be {_MEANT[wanted[0].__name__]}")
        values[name] = value
    if values.get("poll", 0) < 0:
        raise ConfigError(f"{place}: poll is {values['poll']!r}; it must be a number of seconds, or 0")
    return Settings(**values)


def _keys(table: Any, place: Path) -> dict[str, tuple[str, ...]]:
    if not isinstance(table, Mapping):
        raise ConfigError(f'{place}: keys is a table: [keys] with lines such as "step.next" = "."')
    found: dict[str, tuple[str, ...]] = {}
    taken: dict[str, str] = {}
    for name, value in table.items():
        if name not in BY_ID:
            raise ConfigError(f"{place}: [keys] names no action {name!r}: {nearest(name, BY_ID)}")
        keys = (value,) if isinstance(value, str) else value
        if not isinstance(keys, list | tuple) or not all(isinstance(key, str) and key for key in keys):
            raise ConfigError(f'{place}: [keys] {name} is {value!r}; write a key such as "." or ["j", "down"]')
        named = tuple(_key(key, name, place) for key in keys)
        for key in named:
            if taken.setdefault(key, name) != name:
                raise ConfigError(f"{place}: [keys] gives {key!r} to {taken[key]} and to {name}; keep one of them")
        found[name] = named
    return found


def _key(text: str, action: str, place: Path) -> str:
    key = known_key(text)
    if not key:
        remedy = nearest(text.lower().rpartition("+")[2], key_names())
        raise ConfigError(
            f'{place}: [keys] {action}: no key is called {text!r}: {remedy}; others are "." or "ctrl+d"'
        )
    return key


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a hint to the valid name that is most like a wrong one."""
    names = list(valid)
    from difflib import get_close_matches  # only a misspelt setting needs it

    near = get_close_matches(name, names, n=1, cutoff=0.4)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"


class UiOptions(Struct, frozen=True):
    """Options of the terminal app; what is left None is taken from the settings file.

    Attributes:
        ascii: draw with plain ASCII only.
        no_color: draw without colour; also when the variable `NO_COLOR` is set.
        no_mouse: leave the mouse to the terminal.
        poll: seconds between looks at the source, where the file system tells of no changes; None looks only when told.
        config: settings file to read instead of the usual one.
        remember: keep and restore the place in each source.
        zone: time zone of clock times; None is the machine's.
        select: address (atom first) to show in Inspect at first; empty leaves what was selected.
        permits: what the person at the screen may do; a visitor's place is never remembered.
        card: what is told at first: `app`, unless it was closed before, or `demo`; empty for nothing.
        passing: of a source that goes away when the person leaves, what would keep it; empty for one that stays.
    """

    ascii: bool | None = None
    no_color: bool | None = None
    no_mouse: bool | None = None
    poll: float | None = None
    config: Path | None = None
    remember: bool = True
    zone: dt.tzinfo | None = None
    select: Address = ()
    permits: Permits = EVERYTHING
    card: str = ""
    passing: str = ""
