"""What untrusted input may ask of this machine before it is refused: the one object that every reader, decoder, frame,
expression, pattern and answer asks.

Each limit is far above real histories and far below what would hurt. `UNSPOOL_LIMITS="nodes=20M,document_bytes=1G"`,
`--raise-limit nodes=20M` on the command line, or `open_history(..., limits=...)` raises one for input that is trusted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Final

from unspool.errors import ConfigError

MIB: Final = 1024 * 1024
FREE_BYTES: Final = 256 * MIB
"""Bytes that anything may unfold to, however small it is: a history repeats itself, and packs well."""
VARIABLE: Final = "UNSPOOL_LIMITS"
"""The environment variable that raises limits for a process and those it starts."""
_SCALES: Final = {"": 1, "k": 1000, "m": 10**6, "g": 10**9, "ki": 1024, "mi": MIB, "gi": 1024 * MIB}
_NUMBER: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmg]?i?)b?", re.IGNORECASE | re.ASCII)


def _bound(default: float, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds; `meaning_of` says in a line what each is of."""

    line_bytes: int = _bound(96 * MIB, "bytes of one line of a JSON Lines file")
    document_bytes: int = _bound(96 * MIB, "bytes of one document (a state file, a version in git), decompressed")
    markup_bytes: int = _bound(16 * MIB, "bytes of one TOML or YAML document, whose parsers are slow")
    decompressed_bytes: int = _bound(32 * 1024 * MIB, "bytes that one compressed file may unfold to")
    expansion: int = _bound(10_000, "times its size that a compressed file or frame may unfold to, beyond 256 MiB")
    frame_bytes: int = _bound(1024 * MIB, "bytes that one compressed frame of a native file may unfold to")
    nodes: int = _bound(5_000_000, "values and keys of one document, line or state, shared parts counted in full")
    depth: int = _bound(100_000, "levels of nesting of one value")
    key_parts: int = _bound(64, "parts of one dotted key in TOML")
    digits: int = _bound(4_300, "digits of one integer")
    files: int = _bound(1_000_000, "files of a directory of snapshots")
    cache_bytes: int = _bound(512 * MIB, "bytes of the cache of foreign sources; what was not asked for longest goes")
    pattern_seconds: float = _bound(2.0, "seconds of one regular expression on one text")
    expression_seconds: float = _bound(10.0, "seconds of one expression at one entry")
    answer_seconds: float = _bound(20.0, "seconds of one answer of the MCP server")
    answer_characters: int = _bound(60_000, "characters of one answer of the MCP server")

    def told(self, name: str) -> str:
        """Return what a refusal says of a limit: which it is, how high, and how to raise it."""
        return f"the limit {name} is {getattr(self, name):,}; if you trust it, raise it with --raise-limit {name}=N"


def meaning_of(name: str) -> str:
    """Return in a line what a limit is of."""
    meanings = {item.name: str(item.metadata["meaning"]) for item in fields(Limits)}
    return meanings[name]


def limit_names() -> tuple[str, ...]:
    """Return the names of all limits."""
    return tuple(item.name for item in fields(Limits))


def parse_limits(texts: Iterable[str], base: Limits) -> Limits:
    """Return limits changed as a person wrote them.

    Args:
        texts: each `NAME=VALUE`; a value is a number that may end in k, M, G (powers of 1,000) or Ki, Mi, Gi.
        base: the limits that are not named keep their value from here.

    Raises:
        ConfigError: a name or value is none.
    """
    changed: dict[str, float] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if name not in limit_names():
            raise ConfigError(f"{text!r}: there is no limit {name!r}; there are {', '.join(limit_names())}")
        match = _NUMBER.fullmatch(value)
        number = 0.0 if match is None else float(match[1]) * _SCALES.get(match[2].lower(), 0)
        if number <= 0:
            raise ConfigError(f"{text!r}: write a number above 0 such as {name}=20M")
        changed[name] = number if isinstance(getattr(base, name), float) else max(1, int(number))
    return replace(base, **changed)  # type: ignore[arg-type]


DEFAULT_LIMITS: Final = Limits()


class _InForce:
    """The limits of this process: set once by whoever starts it, asked by everything below."""

    chosen: Limits | None = None


@lru_cache(maxsize=4)
def _of_variable(text: str) -> Limits:
    return parse_limits(filter(str.strip, text.split(",")), DEFAULT_LIMITS)


def asked_for() -> Limits:
    """Return the limits that whoever runs this process asked for: by `use`, by the environment, or the defaults.

    Raises:
        ConfigError: the environment names a limit or value that is none.
    """
    if _InForce.chosen is not None:
        return _InForce.chosen
    try:
        return _of_variable(os.environ.get(VARIABLE, ""))
    except ConfigError as error:
        raise ConfigError(f"{VARIABLE}: {error}") from None


def in_force() -> Limits:
    """Return the limits of this process; the defaults where the environment says what nobody can obey.

    A recorder asks too, and must not fail in an app for a misspelt variable; whoever opens a source is told of it.
    """
    try:
        return asked_for()
    except ConfigError:
        return DEFAULT_LIMITS


def use(limits: Limits | None) -> None:
    """Set the limits of this process; None goes back to those of the environment."""
    _InForce.chosen = limits
