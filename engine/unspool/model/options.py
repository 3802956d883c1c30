"""Reading options that people give as a dataclass, a mapping or keywords, in Python or JavaScript spelling."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from unspool.errors import ConfigError
from unspool.model.values import Value

_T = TypeVar("_T")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def read_options(kind: type[_T], given: _T | Mapping[str, Value] | None, overrides: Mapping[str, Value]) -> _T:
    """Build an options dataclass from what a person gave.

    Args:
        kind: the options class; its own checks apply.
        given: an instance, a mapping of option to value (`maxDeltas` reads as `max_deltas`), or None for defaults.
        overrides: keywords that win over `given`.

    Raises:
        ConfigError: an option that does not exist; the message names the nearest one.
    """
    fields = {field.name for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    if given is None or isinstance(given, Mapping):
        chosen = {_known(kind, str(name), fields): value for name, value in (given or {}).items()}
        chosen |= {_known(kind, name, fields): value for name, value in overrides.items()}
        return kind(**chosen)
    if not isinstance(given, kind):
        raise ConfigError(f"{given!r} is no {kind.__name__}; give one, a mapping of its options, or nothing")
    if not overrides:
        return given
    instance: Any = given
    replaced: _T = dataclasses.replace(instance, **{_known(kind, n, fields): v for n, v in overrides.items()})
    return replaced


def _known(kind: type[object], name: str, fields: set[str]) -> str:
    spelled = _HUMP.sub("_", name).lower()
    if spelled in fields:
        return spelled
    import difflib  # only a misspelt option needs it

    near = difflib.get_close_matches(spelled, fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"valid are {', '.join(sorted(fields))}"
    raise ConfigError(f"{kind.__name__} has no option {name!r}; {hint}")


def require_bool(option: str, value: Value) -> None:
    """Refuse an option that must be true or false and is not.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{option} is {value!r}; give true or false")


def require_number(option: str, value: Value, *, least: float, whole: bool = True) -> None:
    """Refuse an option that must be a number of at least `least` and is not.

    Raises:
        ConfigError: it is not; the message names the option and what would be valid.
    """
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not fits or not value >= least:
        what = "a whole number" if whole else "a number"
        raise ConfigError(f"{option} is {value!r}; give {what} of at least {least:g}")


def require_choice(option: str, value: Value, choices: tuple[str, ...]) -> None:
    """Refuse an option that is none of the given words.

    Raises:
        ConfigError: it is not; the message lists them.
    """
    if value not in choices:
        raise ConfigError(f"{option} is {value!r}; give one of {', '.join(choices)}")
