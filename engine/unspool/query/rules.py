"""Rules of the checkers, as a TOML file tells them; docs/health.md describes the file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from unspool.errors import ConfigError, UnreadableSource
from unspool.query.checkers_atoms import Leak, Thrash
from unspool.query.checkers_findings import Checker, Scope
from unspool.query.checkers_orphans import Orphan
from unspool.query.checkers_patterns import Pattern, parse_pattern
from unspool.query.checkers_records import Duplicate, LeakFloor
from unspool.query.checkers_values import Drift, Oscillation, Overwrite
from unspool.query.errors import ExpressionError


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a checker, and how it is to look.

    Attributes:
        check: the checker's name.
        name: what findings are called by.
        options: everything else that was said.
    """

    check: str
    name: str
    options: Mapping[str, Any]


_KNOWN: Final[Mapping[str, tuple[Callable[..., Checker], Mapping[str, type]]]] = {
    "oscillation": (Oscillation, {"within": int, "times": int, "booleans": bool}),
    "thrash": (Thrash, {"writes": int, "within": int}),
    "leak": (Leak, {"growths": int, "factor": float}),
    "overwrite": (Overwrite, {"within_ms": float}),
    "drift": (Drift, {}),
    "duplicate": (Duplicate, {}),
    "leak-floor": (LeakFloor, {"windows": int, "releases": int}),
    "orphan": (Orphan, {"from": str, "to": str}),
}
BUILT_IN: Final = tuple(_KNOWN)
"""Names of the checkers that are always there."""
DEFAULT_RULES: Final = tuple(Rule(name, name, {}) for name in BUILT_IN if name != "orphan")
"""What is checked without a rules file; references have to be told where to look."""


def read_rules(path: Path) -> tuple[Rule, ...]:
    """Read a rules file.

    Raises:
        UnreadableSource: it is missing or cannot be read.
        ConfigError: it is no TOML, or a rule is not valid; the message names the rule and the key.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UnreadableSource(f"{path}: cannot be read ({error.strerror}); check the name") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no valid TOML ({error}); write its rules as [[rule]] tables") from None
    known = {"rule", "defaults"}
    if unknown := sorted(content.keys() - known):
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}; write [[rule]] tables, or defaults = true")
    tables = content.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path}: rules are written as [[rule]] tables")
    rules = tuple(_rule(table, f"{path}: rule {place}") for place, table in enumerate(tables, start=1))
    return (*DEFAULT_RULES, *rules) if content.get("defaults") is True else rules


def _rule(table: Mapping[str, Any], where: str) -> Rule:
    options = dict(table)
    check, name = options.pop("check", None), options.pop("name", None)
    if not isinstance(check, str):
        raise ConfigError(f"{where}: check is missing; name one of {', '.join(BUILT_IN)} or an installed checker")
    if name is not None and not isinstance(name, str):
        raise ConfigError(f"{where}: name is text")
    rule = Rule(check, name or check, options)
    if check in _KNOWN:
        try:
            checker_of(rule)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    return rule


def checker_of(rule: Rule) -> Checker:
    """Return the built-in checker that a rule asks for.

    Raises:
        ConfigError: an option is unknown, of the wrong type or missing.
    """
    build, kinds = _KNOWN[rule.check]
    options = dict(rule.options)
    scope = Scope(rule.name, _pattern(options.pop("path", None), "path"))
    for key, value in options.items():
        if key not in kinds:
            valid = ", ".join((*kinds, "path", "name"))
            raise ConfigError(f"{rule.check} has no option {key!r}; it has {valid}")
        _check_option(key, value, kinds[key])
    if rule.check == "orphan":
        source, target = _pattern(options.get("from"), "from"), _pattern(options.get("to"), "to")
        if not source or not target:
            raise ConfigError("orphan needs from and to, such as from = 'cart.items[*].sku' and to = 'stock[*].sku'")
        return Orphan(scope, source=source, target=target)
    return build(scope, **options)


def _check_option(key: str, value: object, kind: type) -> None:
    accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)
    is_right = type(value) in accepted
    if not is_right or (isinstance(value, int | float) and not isinstance(value, bool) and not value > 0):
        raise ConfigError(f"{key} is {value!r}; give {_WANTED[kind]}")


_WANTED: Final = {int: "a whole number above 0", float: "a number above 0", bool: "true or false", str: "a path"}


def _pattern(text: object, key: str) -> Pattern | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise ConfigError(f"{key} is {text!r}; give a path")
    try:
        return parse_pattern(text)
    except ExpressionError as error:
        raise ConfigError(f"{key}: {error}") from None
