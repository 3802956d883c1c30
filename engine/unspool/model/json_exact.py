"""JSON read exactly: integers of any size, 62.0 apart from 62, any depth, repeated keys noticed; or as JavaScript reads it.

msgspec reads nearly everything. What it refuses or hides takes a slower road: the standard library for NaN,
lone surrogates, numbers beyond a double and repeated keys; an iterative parser for depth.
"""

from __future__ import annotations

import codecs
import decimal
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn

import msgspec

from unspool.model.limits import Limits, in_force, json_holds_more_than
from unspool.model.values import Value

_fast: Final[Callable[[bytes], Value]] = msgspec.json.Decoder().decode
_exact: Final[Callable[[bytes], Value]] = msgspec.json.Decoder(float_hook=lambda text: exact_float(text)).decode
_DIGITS: Final = bytes(ord("0") if chr(byte) in "0123456789." else ord(" ") for byte in range(256))
_KEPT_DIGITS: Final = bytes(byte if chr(byte) in "0123456789." else ord(" ") for byte in range(256))
_BLANKS: Final = b" \t\r\n"
_LONG_RUN: Final = b"0" * 17
"""Sixteen digits and a point: doubles give back fifteen of any."""
_FEW: Final = 100
"""Numbers of many digits that are looked at one by one, before it is worth it to look whether all are written again."""
_LONG_FLOAT: Final = re.compile(rb"(?<![\d.])(?=[\d.]{17})(?:0|[1-9]\d*)\.\d+(?:[eE][-+]?\d{1,9})?")
_encode: Final[Callable[[Value], bytes]] = msgspec.json.Encoder().encode
_split_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_split_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
LARGE: Final = 4 << 20
"""Bytes of a text from which it is read in parts, so that no second copy of all its values is needed to check it."""
_USUAL_RUN: Final = 1 << 18
_MOST_OF_RUN: Final = 1 << 20
"""Bytes of values that are read at once, usually and at most."""
_OPENERS: Final = (b"{", b"[")
_SMALL: Final = 64
"""Bytes of a value below which many are not looked at one by one."""
_LEVELS: Final = 8
"""Levels of large containers that are taken apart; what lies deeper is read as a whole."""
_scan_string: Final[Callable[[str, int, bool], tuple[str, int]]] = vars(json.decoder)["scanstring"]
_TOKEN: Final = re.compile(
    r"[ \t\n\r]*(?:(?P<punctuation>[][{},:])|(?P<quote>\")|(?P<number>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?)"
    r"|(?P<word>true|false|null|NaN|-?Infinity))",
    re.ASCII,
)
_PLAIN_DIGITS: Final = 4_000
_WORDS: Final = {
    "true": True,
    "false": False,
    "null": None,
}
_CONSTANTS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
                 (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


class BrokenText(ValueError):
    """A text that is not what it should be; `offset` is where, in characters or bytes, or -1."""

    def __init__(self, message: str, offset: int = -1, *, is_cut_short: bool = False) -> None:
        super().__init__(message)
        self.offset = offset
        self.is_cut_short = is_cut_short


class TooMuch(BrokenText):
    """A text whose content would take more than the limits allow, whether or not it is what it should be."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed text.

    Attributes:
        value: its value.
        repeated_key: a key that stands twice in one object (the last value counts), or None.
        is_several: the text held several documents (YAML), and the value is a list of them.
    """

    value: Value
    repeated_key: str | None = None
    is_several: bool = False


def parse(data: bytes, limits: Limits | None = None) -> Parsed:
    """Read one JSON text.

    Args:
        data: the text.
        limits: bounds of what comes out of it; those of the process when None.

    Raises:
        BrokenText: the bytes are no JSON; `is_cut_short` where more bytes could complete it.
        TooMuch: it holds more than the limits allow.
    """
    limits = limits or in_force()
    check_size(data, limits)
    try:
        return Parsed(_in_parts(data) if is_in_parts(data) else values_of(data))
    except Odd:
        return _parse_carefully(_decode(data), _exact_numbers(limits))


def parse_javascript(data: bytes, limits: Limits | None = None) -> Value:
    """Read JSON that JavaScript wrote: its numbers are doubles, and no key repeats, so nothing has to be looked at twice.

    Args:
        data: the text; where it has more digits or keys than that all the same, they are not noticed.
        limits: bounds of what comes out of it; those of the process when None.

    Raises:
        BrokenText: the bytes are no JSON.
        TooMuch: it holds more than the limits allow.
    """
    limits = limits or in_force()
    check_size(data, limits)
    try:
        return _fast(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _parse_carefully(_decode(data), _exact_numbers(limits)).value


def parse_doubles(text: str) -> Value:
    """Read JSON as JavaScript does: every number is the double that it stands for, and nothing goes beyond the standard.

    Integers beyond 2^53 come back as the integer that their double is; what overflows as infinity.

    Raises:
        BrokenText: the text is no JSON; the message says where.
        TooMuch: it holds more than the limits of the process allow.
    """
    limits = in_force()
    if found := json_holds_more_than(text.encode("utf-8", "surrogatepass"), limits.nodes):
        raise TooMuch(f"too much: it holds about {found:,} values and keys; {limits.remedy('nodes')}")
    try:
        return _read_doubles(text)
    except (json.JSONDecodeError, RecursionError):
        # Where it breaks is told by the careful way, which goes to any depth.
        return _parse_carefully(text, _double_numbers(limits)).value


def container_of_doubles(text: str) -> Value | None:
    """Read text that is a JSON object or list as `parse_doubles` does; None where it is anything else."""
    if text.lstrip(" \t\n\r")[:1] not in {"{", "["}:
        return None
    try:
        return parse_doubles(text)
    except BrokenText:
        return None


class Odd(Exception):
    """A text that only the careful way reads: a key repeats, or it is not what the fast path knows."""


def values_of(data: bytes) -> Value:
    """Read a text the fast way.

    Raises:
        Odd: it is to be read the careful way.
    """
    try:
        value = _fast(data)
        written = _encode(value)
        if _is_same_text(data, written):
            return value
        # A repeated key leaves fewer colons when the value is written again.
        if _colons(data) > written.count(b":"):
            raise Odd
        return _exact(data) if _has_exact_floats(data, written) else value
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Odd from error


def _is_same_text(data: bytes, written: bytes) -> bool:
    """Whether a text is, blanks apart, the very one that its value is written as: no number lost a digit, and no key repeats."""
    bare = data.translate(None, _BLANKS)
    return len(bare) <= len(written) and bare == written.translate(None, _BLANKS)


def _colons(data: bytes) -> int:
    """Count the colons of a text as they are when nothing is escaped that need not be."""
    escaped = data.count(b"\\u003a") + data.count(b"\\u003A") if b"\\u003" in data else 0
    return data.count(b":") + escaped


@dataclass(frozen=True, slots=True)
class OpenedContainer:
    """The begin of a large object or list, whose values follow in runs, or as further large ones.

    Attributes:
        keys: the keys of its values in order; None for a list.
        size: how many values follow.
    """

    keys: list[str] | None
    size: int


class Closed:
    """The end of the one opened last."""


_CLOSED: Final = Closed()


def is_in_parts(data: bytes) -> bool:
    """Whether a text is so large an object or list that it is read in parts."""
    return len(data) >= LARGE and data[:64].lstrip()[:1] in _OPENERS


def parts_of(data: bytes) -> Iterator[OpenedContainer | Closed | bytes]:
    """Take a large object or list apart, in order.

    Yields:
        What is opened and closed, and the values in between in runs, each the text of a list for `values_of`. Where
        a run ends depends on what is in it, so that most runs of a text are the same after something was inserted.

    Raises:
        Odd: the text is to be read the careful way; known for sure only at the end.
    """
    found = 0
    try:
        for part in _walk(data, _LEVELS):
            if isinstance(part, bytes):
                found += _colons(part)
            elif isinstance(part, OpenedContainer) and part.keys is not None:
                found += len(part.keys) + sum(key.count(":") for key in part.keys)
            yield part
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Odd from error
    # Of a repeated key only one value was seen.
    if _colons(data) > found:
        raise Odd


def _walk(data: bytes | msgspec.Raw, levels: int) -> Iterator[OpenedContainer | Closed | bytes]:
    keys: list[str] | None = None
    if bytes(memoryview(data)[:64]).lstrip()[:1] == b"{":
        named = _split_object(data)
        keys, texts = list(named), list(named.values())
        del named
    else:
        texts = _split_list(data)
    # Views of many small values take more than the values.
    are_small = len(texts) * _SMALL > len(data)
    yield OpenedContainer(keys, len(texts))
    if are_small and keys is None:
        del texts
        yield bytes(data)
        yield _CLOSED
        return
    run: list[msgspec.Raw] = []
    size = 0
    for text in texts:
        length = len(text)
        is_large = levels > 0 and length >= LARGE and bytes(memoryview(text)[:1]) in _OPENERS
        if is_large and run:
            yield _run_text(run)
            run, size = [], 0
        if is_large:
            yield from _walk(text, levels - 1)
            continue
        run.append(text)
        size += length
        if size >= _MOST_OF_RUN or (not are_small and zlib.crc32(text) * _USUAL_RUN < length << 32):
            yield _run_text(run)
            run, size = [], 0
    if run:
        yield _run_text(run)
    yield _CLOSED


def _run_text(texts: list[msgspec.Raw]) -> bytes:
    return b"[" + b",".join(texts) + b"]"


def _in_parts(data: bytes) -> Value:
    whole: list[Value] = []
    opened: list[tuple[list[str] | None, list[Value]]] = [(None, whole)]
    for part in parts_of(data):
        if isinstance(part, OpenedContainer):
            opened.append((part.keys, []))
        elif isinstance(part, bytes):
            opened[-1][1].extend(values_of(part))
        else:
            keys, values = opened.pop()
            opened[-1][1].append(values if keys is None else dict(zip(keys, values, strict=True)))
    return whole[0]


def check_size(data: bytes, limits: Limits) -> None:
    """Refuse a text that stands for more values than the limits allow.

    Raises:
        TooMuch: it does.
    """
    if found := json_holds_more_than(data, limits.nodes):
        raise TooMuch(f"it holds about {found:,} values and keys; {limits.remedy('nodes')}")


def _decode(data: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        is_cut_short = error.end >= len(data) and "end of data" in error.reason
        raise BrokenText(
            f"not {encoding.upper()} text: {error.reason}", error.start, is_cut_short=is_cut_short
        ) from None
    return text.removeprefix("\ufeff")


class _Builder:
    """Puts objects together and remembers the first key that repeats."""

    __slots__ = ("repeated",)

    def __init__(self) -> None:
        self.repeated: str | None = None

    def object_of(self, pairs: list[tuple[str, Value]]) -> dict[str, Value]:
        built = dict(pairs)
        if len(built) < len(pairs) and self.repeated is None:
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self.repeated = key
                    break
                seen.add(key)
        return built


def exact_float(text: str) -> Value:
    """Read a number with a point or exponent: as a double where that gives the number back, else as a decimal.

    Raises:
        BrokenText: not even a decimal can hold it.
    """
    number = float(text)
    written = repr(number)
    if written == text:
        return number
    try:
        exact = decimal.Decimal(text)
    except decimal.InvalidOperation:
        raise BrokenText(f"the number {text[:40]} is beyond what a decimal can hold") from None
    return number if not math.isinf(number) and exact == decimal.Decimal(written) else exact


def _has_exact_floats(data: bytes, written: bytes) -> bool:
    """Whether a text has numbers of more digits than a double gives back.

    Args:
        data: the text.
        written: what its value is written as, numbers being doubles. A number that stands there as it did in the text is
            given back; only others are looked at one by one.
    """
    runs = data.translate(_DIGITS)
    at, looked = runs.find(_LONG_RUN), 0
    while at >= 0:
        looked += 1
        # What is escaped may be digits when it is written again.
        if looked == _FEW and b"\\u00" not in data and not _long_runs(data) - _long_runs(written):
            return False
        number = _LONG_FLOAT.match(data, at)
        if number is not None and type(exact_float(number[0].decode())) is not float:
            return True
        end = runs.find(b" ", at)
        at = runs.find(_LONG_RUN, end) if end >= 0 else -1
    return False


def _long_runs(data: bytes) -> Counter[bytes]:
    return Counter(run for run in data.translate(_KEPT_DIGITS).split() if len(run) >= len(_LONG_RUN))


def integer_of(text: str, limits: Limits) -> int:
    """Read a decimal integer.

    Raises:
        TooMuch: it is longer than the limits allow; reading takes the square of its digits.
    """
    if len(text) > limits.digits:
        raise TooMuch(f"an integer of {len(text):,} digits; {limits.remedy('digits')}")
    # Python's own conversion stops at 4,300 digits, whatever was allowed.
    return int(text) if len(text) <= _PLAIN_DIGITS else int(decimal.Decimal(text))


@dataclass(frozen=True, slots=True)
class _Numbers:
    """How numbers, and words that only JavaScript knows, become values, and whether repeated keys are looked for."""

    limits: Limits
    integer: Callable[[str], Value]
    real: Callable[[str], Value]
    constant: Callable[[str], Value]
    looks_for_repeated: bool


def _exact_numbers(limits: Limits) -> _Numbers:
    return _Numbers(limits, lambda digits: integer_of(digits, limits), exact_float, _CONSTANTS.__getitem__, True)


def _double_numbers(limits: Limits) -> _Numbers:
    return _Numbers(limits, _double_integer, float, _refuse_constant, False)


def _double_integer(digits: str) -> Value:
    if len(digits) <= _SAFE_DIGITS:
        return int(digits)
    double = float(digits)
    return int(double) if math.isfinite(double) else double


def _refuse_constant(word: str) -> NoReturn:
    raise BrokenText(f"{word} is not JSON; write null or text")


_SAFE_DIGITS: Final = 15
"""Integers of so many digits are exact doubles."""
_read_doubles: Final = json.JSONDecoder(parse_int=_double_integer, parse_constant=_refuse_constant).decode


def _parse_carefully(text: str, numbers: _Numbers) -> Parsed:
    builder = _Builder()
    try:
        value = json.loads(
            text,
            parse_float=numbers.real,
            parse_int=numbers.integer,
            parse_constant=numbers.constant,
            object_pairs_hook=builder.object_of if numbers.looks_for_repeated else None,
            strict=True,
        )
    except json.JSONDecodeError as error:
        is_cut_short = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        raise BrokenText(
            f"{error.msg} at line {error.lineno} column {error.colno}", error.pos, is_cut_short=is_cut_short
        ) from None
    except RecursionError:
        return _DeepParser(text, numbers).parse()
    return Parsed(value, builder.repeated)


@dataclass(slots=True)
class _Open:
    """An object or list being read."""

    is_object: bool
    items: list[Value] = field(default_factory=list)
    pairs: list[tuple[str, Value]] = field(default_factory=list)
    key: str = ""


class _DeepParser:
    """Reads JSON of any depth with an explicit stack."""

    def __init__(self, text: str, numbers: _Numbers) -> None:
        self._text = text
        self._numbers = numbers
        self._limits = numbers.limits
        self._position = 0
        self._stack: list[_Open] = []
        self._builder = _Builder()

    def parse(self) -> Parsed:
        """Read the whole text.

        Raises:
            BrokenText: it is no JSON, or nested too deeply.
        """
        value = self._value()
        while self._stack:
            value = self._after(value)
        if self._text[self._position :].strip(" \t\n\r"):
            raise BrokenText("Extra data", self._position)
        return Parsed(value, self._builder.repeated)

    def _next(self) -> re.Match[str]:
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            at_end = not self._text[self._position :].strip(" \t\n\r")
            raise BrokenText(f"unexpected text at character {self._position}", self._position, is_cut_short=at_end)
        self._position = match.end()
        return match

    def _string(self) -> str:
        try:
            text, self._position = _scan_string(self._text, self._position, True)
        except json.JSONDecodeError as error:
            cut = error.msg.startswith("Unterminated")
            raise BrokenText(f"{error.msg} at character {error.pos}", error.pos, is_cut_short=cut) from None
        return text

    def _key(self, match: re.Match[str]) -> str:
        if not match["quote"]:
            raise BrokenText(f"expected a key at character {match.start()}", match.start())
        key = self._string()
        if self._next()["punctuation"] != ":":
            raise BrokenText(f"expected ':' at character {self._position}", self._position)
        return key

    def _value(self) -> Value:
        """Read a value, going down as long as it opens containers that are not empty."""
        match = self._next()
        while match["punctuation"] in ("{", "["):
            is_object = match["punctuation"] == "{"
            opened = _Open(is_object)
            match = self._next()
            if match["punctuation"] == ("}" if is_object else "]"):
                return {} if is_object else []
            if len(self._stack) >= self._limits.depth:
                raise TooMuch(
                    f"nested deeper than {self._limits.depth:,} levels; {self._limits.remedy('depth')}",
                    self._position,
                )
            self._stack.append(opened)
            if is_object:
                opened.key = self._key(match)
                match = self._next()
        return self._leaf(match)

    def _leaf(self, match: re.Match[str]) -> Value:
        if match["quote"]:
            return self._string()
        word = match["word"]
        if word:
            return _WORDS[word] if word in _WORDS else self._numbers.constant(word)
        number = match["number"]
        if number is None:
            raise BrokenText(f"unexpected {match['punctuation']!r} at character {match.start()}", match.start())
        is_real = any(mark in number for mark in ".eE")
        return self._numbers.real(number) if is_real else self._numbers.integer(number)

    def _after(self, value: Value) -> Value:
        """Put a finished value into its container; return the next value, which may be that container."""
        top = self._stack[-1]
        if top.is_object:
            top.pairs.append((top.key, value))
        else:
            top.items.append(value)
        mark = self._next()["punctuation"]
        if mark == ",":
            if top.is_object:
                top.key = self._key(self._next())
            return self._value()
        if mark != ("}" if top.is_object else "]"):
            raise BrokenText(f"expected ',' or an end at character {self._position}", self._position)
        self._stack.pop()
        return self._builder.object_of(top.pairs) if top.is_object else top.items


_PIECE: Final = re.compile(
    r"""(?P<text>"(?:[^"\\\n]++|\\.)*+")
      | (?P<single>'(?:[^'\\\n]++|\\(?:.|\n))*+')
      | (?P<comment>//[^\n]*+|/\*.*?(?:\*/|\Z))
      | (?P<comma>,)(?=(?:\s++|//[^\n]*+|/\*.*?(?:\*/|\Z))*+[\]}])
      | (?P<key>(?<![\w$])[A-Za-z_$][\w$]*+)(?=\s*+:)
      | (?P<number>(?<![\w$.])[-+]?(?:0[xX][0-9a-fA-F]{1,16}|\.\d++(?:[eE][-+]?\d++)?|\d++\.(?:[eE][-+]?\d++)?(?!\d)|(?<=\+)\d++(?:\.\d++)?|\+(?=Infinity|NaN|\d)))
      """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|\n|.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}


def plain_json(data: bytes) -> bytes | None:
    """Return text in a dialect of JSON as plain JSON; None where it holds nothing of a dialect, or is no UTF-8.

    Each piece that is replaced keeps its line, so that messages about what is still wrong name the right one. Nothing is
    closed that was left open: half a document stays half.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    plain = _PIECE.sub(_replaced, text)
    return None if plain == text else plain.encode()


def _replaced(match: re.Match[str]) -> str:
    kind, piece = match.lastgroup, match[0]
    if kind == "text":
        return piece
    if kind == "single":
        return json.dumps(_ESCAPE.sub(_unescaped, piece[1:-1]))
    if kind == "key":
        return json.dumps(piece)
    if kind == "number":
        return _number(piece)
    return "\n" * piece.count("\n") or " "


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return _ESCAPED.get(code, code)


def _number(piece: str) -> str:
    sign = "-" if piece.startswith("-") else ""
    digits = piece.lstrip("+-")
    if digits[:2] in ("0x", "0X"):
        return f"{sign}{int(digits, 16)}"
    if digits.startswith("."):
        return f"{sign}0{digits}"
    return sign + re.sub(r"\.(?=[eE]|$)", ".0", digits)
