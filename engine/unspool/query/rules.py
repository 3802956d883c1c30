"""Rules of the checkers, as a TOML file tells them; docs/health.md describes the file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from unspool.errors import ConfigError, UnreadableSource
from unspool.query.checkers_atoms import Leak, Thrash
from unspool.query.checkers_findings import SEVERITIES, Checker, Scope
from unspool.query.checkers_invariants import Invariant
from unspool.query.checkers_orphans import Orphan
from unspool.query.checkers_patterns import Pattern, parse_pattern
from unspool.query.checkers_records import Duplicate, LeakFloor
from unspool.query.checkers_values import Drift, Oscillation, Overwrite
from unspool.query.errors import ExpressionError
from unspool.query.mining.miner import Mined


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a checker, and how it is to look.

    Attributes:
        check: the checker's name.
        name: what findings are called by.
        options: everything else that was said.
        severity: how much its findings matter; None leaves it to the checker.
    """

    check: str
    name: str
    options: Mapping[str, Any]
    severity: str | None = None


_KNOWN: Final[Mapping[str, tuple[Callable[..., Checker], Mapping[str, type]]]] = {
    "oscillation": (Oscillation, {"within": int, "times": int, "booleans": bool}),
    "thrash": (Thrash, {"writes": int, "within": int}),
    "leak": (Leak, {"growths": int, "factor": float}),
    "overwrite": (Overwrite, {"within_ms": float}),
    "drift": (Drift, {}),
    "duplicate": (Duplicate, {}),
    "leak-floor": (LeakFloor, {"windows": int, "releases": int}),
    "orphan": (Orphan, {"from": str, "to": str}),
    "mined": (Mined, {"seconds": float}),
    "invariant": (Invariant, {"expression": str, "when": str, "message": str}),
}
MINED: Final = Rule("mined", "mined", {})
"""The rule that looks for relations nobody wrote down."""
BUILT_IN: Final = tuple(_KNOWN)
"""Names of the checkers that are always there."""
DEFAULT_RULES: Final = tuple(Rule(name, name, {}) for name in BUILT_IN if name not in ("orphan", "invariant"))
"""What is checked without a rules file; references and invariants have to be told."""
_MOST_BYTES: Final = 1024 * 1024
"""Bytes of a rules file; nobody writes more by hand."""
_MOST_RULES: Final = 1000
_HEADER: Final = re.compile(r"^[ \t]*\[\[[ \t]*[\"']?rule[\"']?[ \t]*\]\]", re.MULTILINE)


def read_rules(path: Path) -> tuple[Rule, ...]:
    """Read a rules file.

    Raises:
        UnreadableSource: it is missing, cannot be read or is too large.
        ConfigError: it is no TOML, or a rule is not valid; the message names the line, the rule and the key.
    """
    text = _text_of(path)
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{path}:{line[1]}" if line else f"{path}"
        raise ConfigError(f"{where}: no valid TOML ({error}); write its rules as [[rule]] tables") from None
    known = {"rule", "defaults"}
    if unknown := sorted(content.keys() - known):
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}; write [[rule]] tables, or defaults = true")
    if not isinstance(content.get("defaults", False), bool):
        raise ConfigError(f"{path}: defaults is {content['defaults']!r}; give true or false")
    tables = content.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path}: rules are written as [[rule]] tables")
    if len(tables) > _MOST_RULES:
        raise ConfigError(f"{path}: {len(tables):,} rules; at most {_MOST_RULES:,} are asked, so split the file")
    lines = [text.count("\n", 0, found.start()) + 1 for found in _HEADER.finditer(text)]
    places = [f"{path}:{line}" for line in lines] if len(lines) == len(tables) else [f"{path}"] * len(tables)
    rules = tuple(
        _rule(table, f"{place}: rule {number}")
        for number, (table, place) in enumerate(zip(tables, places, strict=True), start=1)
    )
    if not rules and content.get("defaults") is not True:
        raise ConfigError(
            f"{path}: has no rule, so nothing would be checked; write [[rule]] tables, or defaults = true"
        )
    return (*DEFAULT_RULES, *rules) if content.get("defaults") is True else rules


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise UnreadableSource(f"{path}: a rules file has at most {_MOST_BYTES:,} bytes; split it")
        # TOML knows both ways to end a line, and is read as its parser's own `load` would.
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise UnreadableSource(f"{path}: cannot be read ({error.strerror}); check the name") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: no valid TOML ({error}); write its rules as [[rule]] tables") from None


def _rule(table: Mapping[str, Any], where: str) -> Rule:
    options = dict(table)
    check, name = options.pop("check", None), options.pop("name", None)
    severity = options.pop("severity", None)
    if check is None and "expression" in options:
        check = "invariant"
    if not isinstance(check, str):
        told = f"name one of {', '.join(BUILT_IN)} or an installed checker, or give an expression that must hold"
        raise ConfigError(f"{where}: check is missing; {told}")
    if name is not None and not isinstance(name, str):
        raise ConfigError(f"{where}: name is text")
    if severity is not None and severity not in SEVERITIES:
        raise ConfigError(f"{where}: severity is {severity!r}; give one of {', '.join(SEVERITIES)}")
    if name is None and check == "invariant" and isinstance(options.get("expression"), str):
        name = options["expression"]
    rule = Rule(check, name or check, options, severity)
    if check in _KNOWN:
        try:
            checker_of(rule)
        except (ConfigError, ExpressionError) as error:
            raise ConfigError(f"{where}: {error}") from None
    return rule


def checker_of(rule: Rule) -> Checker:
    """Return the built-in checker that a rule asks for.

    Raises:
        ConfigError: an option is unknown, of the wrong type or missing.
        ExpressionError: the expression of an invariant does not parse.
    """
    build, kinds = _KNOWN[rule.check]
    options = dict(rule.options)
    scope = Scope(rule.name, _pattern(options.pop("path", None), "path"))
    for key, value in options.items():
        if key not in kinds:
            valid = ", ".join((*kinds, "path", "name", "severity"))
            raise ConfigError(f"{rule.check} has no option {key!r}; it has {valid}")
        _check_option(key, value, kinds[key])
    if rule.check == "orphan":
        source, target = _pattern(options.get("from"), "from"), _pattern(options.get("to"), "to")
        if not source or not target:
            raise ConfigError("orphan needs from and to, such as from = 'cart.items[*].sku' and to = 'stock[*].sku'")
        return Orphan(scope, source=source, target=target)
    if rule.check == "invariant" and "expression" not in options:
        raise ConfigError(
            "an invariant needs the expression that must hold, such as expression = 'till.revenue >= 0'"
        )
    return build(scope, **options)


def patterns_of(rule: Rule) -> list[tuple[str, Pattern]]:
    """Return the patterns of a built-in checker's rule, with what they are called."""
    keys = ("path", "from", "to") if rule.check in _KNOWN else ()
    found = [(key, _pattern(rule.options.get(key), key)) for key in keys]
    return [(key, pattern) for key, pattern in found if pattern]


def _check_option(key: str, value: object, kind: type) -> None:
    accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)
    is_right = type(value) in accepted
    if not is_right or (isinstance(value, int | float) and not isinstance(value, bool) and not value > 0):
        raise ConfigError(f"{key} is {value!r}; give {_WANTED[kind]}")


_WANTED: Final = {int: "a whole number above 0", float: "a number above 0", bool: "true or false", str: "text"}


def _pattern(text: object, key: str) -> Pattern | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise ConfigError(f"{key} is {text!r}; give a path")
    try:
        return parse_pattern(text)
    except ExpressionError as error:
        raise ConfigError(f"{key}: {error}") from None
