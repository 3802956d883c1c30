"""What callers may set: limits of work on untrusted input, how work is followed and ended early, and options by name.

Each limit is far above real histories and far below what would exhaust the machine. Every reader, decoder, frame,
expression, pattern and answer asks the one `Limits` object. `UNSPOOL_LIMITS="nodes=20M,document_bytes=1G"`,
`--raise-limit nodes=20M` on the command line, or `open_history(..., limits=...)` raises one for input that is trusted.
`Cancelled` and `Progress` are the callables that every question, reader and check takes. `read_options` reads options that
are given as a dataclass, a mapping or keywords, in Python or JavaScript spelling.
"""

from __future__ import annotations

import dataclasses
import os
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Final, TypeVar

from unspool.errors import ConfigError, CorruptHistory
from unspool.model.values import Value

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
    markup_bytes: int = _bound(
        16 * MIB, "bytes of one document of a kind whose parser is slow, such as TOML and YAML"
    )
    decompressed_bytes: int = _bound(32 * 1024 * MIB, "bytes that one compressed file may unfold to")
    expansion: int = _bound(10_000, "times its size that a compressed file or frame may unfold to, beyond 256 MiB")
    frame_bytes: int = _bound(1024 * MIB, "bytes that one compressed frame of a native file may unfold to")
    nodes: int = _bound(5_000_000, "values and keys of one document, line or state, shared parts counted in full")
    depth: int = _bound(100_000, "levels of nesting of one value")
    key_parts: int = _bound(64, "parts of one dotted key in TOML")
    digits: int = _bound(4_300, "digits of one integer")
    files: int = _bound(1_000_000, "files of a directory of snapshots")
    cache_bytes: int = _bound(512 * MIB, "bytes of the cache of foreign sources; what was not asked for longest goes")
    notes_bytes: int = _bound(4 * MIB, "bytes of the notes that people wrote on one source")
    pattern_seconds: float = _bound(2.0, "seconds of one regular expression on one text")
    expression_seconds: float = _bound(10.0, "seconds of one expression at one entry")
    answer_seconds: float = _bound(20.0, "seconds of one answer of the MCP server")
    answer_characters: int = _bound(60_000, "characters of one answer of the MCP server")

    def remedy(self, name: str) -> str:
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
    # Asked for each frame that is read; a look-up that fails costs several times one that says that nothing is there.
    if VARIABLE not in os.environ:
        return DEFAULT_LIMITS
    try:
        return _of_variable(os.environ[VARIABLE])
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


_SIGNS: Final = (b",", b":", b"[", b"{")
_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_OPENERS: Final = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
"""First bytes of lists and maps in msgpack."""
_HEAVY_BYTES: Final = 64 << 20
"""Size of msgpack from which on texts of two letters alone may take a gibibyte."""
_SHORT: Final = bytes((*range(0x80, 0xC0), *range(0xDC, 0xE0)))
"""First bytes of lists, maps and short texts: what takes many times its bytes when decoded."""
LARGE_BYTES: Final = 8 << 20
"""Bytes of a stored value from which on it is worth a look before it is decoded."""
_STORED_SHARE: Final = 2
_SAMPLE_BYTES: Final = 1 << 18
_REPETITIVE: Final = 20
"""How many times smaller such a sample becomes where a few values are repeated without end."""
_RUN_TOKENS: Final = 4096
"""Values that are counted in one step."""
_EXTENDED: Final = frozenset((0xC7, 0xC8, 0xC9))
"""Extensions whose type stands behind their length."""
_LENGTH_BYTES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""How many bytes tell the length of what follows."""


def json_holds_more_than(data: bytes, values: int) -> int:
    """Return how many values and keys a JSON text holds where that is more than so many; else 0.

    Args:
        data: any bytes; what is no JSON is counted by the signs that would separate its values.
        values: the most that is allowed.
    """
    if len(data) <= values or 1 + sum(map(data.count, _SIGNS)) <= values:
        return 0
    # Only now is it worth the time to leave out the signs inside of texts.
    bare = _TEXT.sub(b"", data)
    found = 1 + sum(map(bare.count, _SIGNS))
    return found if found > values else 0


def msgpack_holds_more_than(data: bytes, values: int) -> bool:
    """Whether msgpack bytes hold more values and keys than so many.

    Args:
        data: any bytes; what is no msgpack is counted as far as it goes.
        values: the most that is allowed.
    """
    if len(data) <= values:
        return False
    openers = len(data) - len(data.translate(None, _OPENERS))
    if openers <= values and len(data) <= _HEAVY_BYTES:
        return False
    many = _run_pattern()
    at = count = 0
    size = len(data)
    while at < size and count <= values:
        run = many.match(data, at)
        if run is not None:
            at, count = run.end(), count + _RUN_TOKENS
            continue
        for _ in range(_RUN_TOKENS):
            if at >= size:
                break
            first = data[at]
            at += _TOKEN_BYTES[first]
            width = _LENGTH_BYTES.get(first)
            if width is not None:
                end = at - (first in _EXTENDED)
                at += int.from_bytes(data[end - width : end])
            count += 1
    return count > values


def refuse_heavy(data: bytes) -> None:
    """Refuse a stored value that would take far more memory than its bytes; called for large ones only.

    What a recorder stores may be large for good reasons, so more is allowed than of a foreign document, and only bytes that
    repeat themselves as no measured data does are walked.

    Raises:
        CorruptHistory: it holds more values than the limits allow.
    """
    values = _STORED_SHARE * in_force().nodes
    heavy = len(data) - len(data.translate(None, _SHORT))
    if heavy <= values:
        return
    middle = data[len(data) // 2 :][:_SAMPLE_BYTES]
    if len(zlib.compress(middle, 1)) * _REPETITIVE > len(middle) or not msgpack_holds_more_than(data, values):
        return
    told = in_force().remedy("nodes")
    raise CorruptHistory(f"a stored value of {len(data):,} bytes holds more than {values:,} values and keys; {told}")


def _token_table() -> tuple[int, ...]:
    """Return the bytes that a value takes by its first byte: its length included, its members and long content not."""
    table = [1] * 256
    for first in range(0xA0, 0xC0):
        table[first] = 1 + (first & 0x1F)
    for first, width in _LENGTH_BYTES.items():
        table[first] = 1 + width + (first in _EXTENDED)
    table[0xCA:0xD4] = [5, 9, 2, 3, 5, 9, 2, 3, 5, 9]
    table[0xD4:0xD9] = [3, 4, 6, 10, 18]
    table[0xDC:0xE0] = [3, 5, 3, 5]
    return tuple(table)


_TOKEN_BYTES: Final = _token_table()


@lru_cache(maxsize=1)
def _run_pattern() -> re.Pattern[bytes]:
    """Return the expression for a run of values whose size follows from their first byte: most values, and many times faster."""
    by_size: dict[int, bytearray] = {}
    for first, size in enumerate(_TOKEN_BYTES):
        if first not in _LENGTH_BYTES:
            by_size.setdefault(size, bytearray()).append(first)
    kinds = (b"[%b].{%d}" % (re.escape(bytes(firsts)), size - 1) for size, firsts in sorted(by_size.items()))
    return re.compile(b"(?:%b){%d}" % (b"|".join(kinds), _RUN_TOKENS), re.DOTALL)


Cancelled = Callable[[], bool]
"""Asked now and then; True ends the work early with what was found so far. `Event.is_set` is one."""

Progress = Callable[[int, int], None]
"""Called with how many of how many are done, as often as work goes on; a caller that draws it looks at the clock."""


def no_progress(done: int, total: int) -> None:
    """Ignore how far the work is: the default where nobody follows it."""


def never() -> bool:
    """Return False: the default where nobody can cancel."""
    return False


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
