"""One document (JSON, TOML, YAML, msgpack) from its bytes: what a state file or snapshot file holds."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import PurePath
from typing import Final

import msgpack

from unspool.model.counting import msgpack_holds_more_than
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import Value
from unspool.sources import json_exact
from unspool.sources.json_dialects import plain_json
from unspool.sources.json_exact import BrokenText, Parsed, TooMuch

SUFFIXES: Final = {".json": "json", ".jsonc": "json", ".json5": "json", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".msgpack": "msgpack",
                   ".mpk": "msgpack", ".mp": "msgpack", ".csv": "csv", ".tsv": "csv"}  # fmt: skip
LINE_SUFFIXES: Final = (".jsonl", ".ndjson", ".jsonlines", ".log", ".jsons", ".json-seq")
COMPRESSED_SUFFIXES: Final = (".gz", ".zst", ".zstd", ".xz")
_TOML_LINE: Final = re.compile(rb"^\s*(\[\[?[^\]]+\]\]?\s*(#.*)?|[\w.\"'-]+\s*=\s*\S.*)$")
_TOML_TEXT: Final = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+"""|' + r"'''.*?'''" + r'|"(?:[^"\\\n]++|\\.)*+"|' + r"'[^'\n]*+'" + r"|\#[^\n]*+",
    re.DOTALL,
)
"""Texts and comments of a TOML document."""
_DOTTED: Final = re.compile(r'(?:[\w-]++|"")(?:[ \t]*+\.[ \t]*+(?:[\w-]++|""))++')
_YAML_LINE: Final = re.compile(rb"^(---|- \S.*|[^\s#\[\]{}&*!|>%@`,][^\n]*:( .*|)|%YAML .*)$")
_MSGPACK_CONTAINER: Final = frozenset((*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF))


def suffix_of(name: str) -> str:
    """Return a file name's suffix in lower case, the one of compression left out."""
    path = PurePath(name.lower())
    return PurePath(path.stem).suffix if path.suffix in COMPRESSED_SUFFIXES else path.suffix


def looks_like_lines(name: str) -> bool:
    """Say whether a file's name promises one record a line; asked only where the content leaves it open."""
    return suffix_of(name) in LINE_SUFFIXES


def kind_of(data: bytes, name: str = "") -> str | None:
    """Name the format of a document by its content; the file's name only decides between YAML and nothing.

    Args:
        data: the whole document, or its beginning.
        name: the file's name, if it has one.

    Returns:
        `json`, `toml`, `yaml`, `msgpack`, or None where it is none of these.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        return None
    if data[0] in _MSGPACK_CONTAINER and not _is_text(data[:4096]):
        return "msgpack"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "json"
    if not _is_text(data[:4096]):
        return None
    lines = [line for line in text[:4096].splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    first = lines[0].rstrip() if lines else b""
    suffix = SUFFIXES.get(suffix_of(name))
    if suffix in ("yaml", "csv"):
        return suffix
    if text.startswith((b"//", b"/*")):
        return "json" if suffix in ("json", None) else suffix
    if _TOML_LINE.match(first) and (suffix == "toml" or not text.startswith((b"[", b"{", b'"'))):
        return "toml"
    if text[:1] in b'{["-0123456789tfnNI' and not first.startswith((b"---", b"- ")) and not _is_plain_word(text):
        return "json"
    if suffix == "json" or suffix == "toml":
        return suffix
    outer = [line for line in lines if line[:1] not in b" \t"]
    return "yaml" if outer and all(map(_YAML_LINE.match, outer)) else None


def _is_plain_word(text: bytes) -> bool:
    """Whether text starts with a word that JSON does not know, such as the key of a YAML mapping."""
    word = re.match(rb"[A-Za-z_][\w-]*", text)
    return word is not None and word[0] not in (b"true", b"false", b"null", b"NaN", b"Infinity")


def _is_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and len(head) == 4096
    return True


def parse_document(data: bytes, kind: str, limits: Limits = DEFAULT_LIMITS) -> Parsed:
    """Read one document.

    Raises:
        BrokenText: it is not what `kind` says, or nested too deeply.
        MissingExtra: YAML needs the optional package.
    """
    return _PARSERS[kind](data, limits)


def _parse_json(data: bytes, limits: Limits) -> Parsed:
    try:
        return json_exact.parse(data, limits)
    except TooMuch:
        raise
    except BrokenText:
        plain = plain_json(data)
        if plain is None:
            raise
        try:
            return json_exact.parse(plain, limits)
        except BrokenText as error:
            if error.is_cut_short:
                raise
        # What is wrong with the text as it is written says more.
        raise


def _parse_toml(data: bytes, limits: Limits) -> Parsed:
    _check_markup(data, "TOML", limits)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenText(f"not UTF-8 text: {error.reason}", error.start) from None
    _check_toml(text, limits)
    try:
        return Parsed(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BrokenText(str(error), is_cut_short="end of document" in str(error)) from None
    except RecursionError:
        raise TooMuch("nested deeper than a TOML reader goes") from None
    except ValueError:
        # tomllib lets one bare error through: an integer of more digits than Python converts.
        raise TooMuch(
            "it holds an integer of more than 4,300 digits, which Python's own TOML reader refuses"
        ) from None


def _check_markup(data: bytes, kind: str, limits: Limits) -> None:
    """Refuse what a slow parser would take minutes for.

    Raises:
        TooMuch: it is too large.
    """
    if len(data) > limits.markup_bytes:
        raise TooMuch(f"{len(data):,} bytes of {kind}, whose parser is slow; {limits.told('markup_bytes')}")


def _check_toml(text: str, limits: Limits) -> None:
    """Refuse what tomllib takes the square of: it looks at every beginning of a dotted key, and again below each table.

    Raises:
        TooMuch: a key has too many parts, or there are too many values.
    """
    signs = sum(map(text.count, "=,[{"))
    if signs <= limits.nodes // 2 and text.count(".") < limits.key_parts:
        return
    bare = _TOML_TEXT.sub('""', text)
    longest = max((match[0].count(".") for match in _DOTTED.finditer(bare)), default=0)
    if longest >= limits.key_parts:
        raise TooMuch(f"a dotted key of {longest + 1:,} parts; {limits.told('key_parts')}")
    if (nodes := 2 * sum(map(bare.count, "=,[{"))) > limits.nodes:
        raise TooMuch(f"it holds about {nodes:,} values and keys; {limits.told('nodes')}")


def _parse_yaml(data: bytes, limits: Limits) -> Parsed:
    _check_markup(data, "YAML", limits)
    # YAML is an optional extra, and slow to import.
    from unspool.sources.yaml_document import parse_yaml

    documents = parse_yaml(data, limits)
    return Parsed(documents[0]) if len(documents) == 1 else Parsed(documents, is_several=True)


def _parse_csv(data: bytes, limits: Limits) -> Parsed:
    # Most sources hold no table.
    from unspool.sources.csv_document import parse_table

    return Parsed(parse_table(data, limits))


def _extension(code: int, payload: bytes) -> Value:
    return Tagged(f"msgpack.ext.{code}", payload)


def _timestamp_or_extension(value: Value) -> Value:
    try:
        return value.to_datetime()
    except (OverflowError, ValueError):
        return Unrepresentable("msgpack.Timestamp", f"{value.seconds} s is outside the calendar")


def _parse_msgpack(data: bytes, limits: Limits) -> Parsed:
    if msgpack_holds_more_than(data, limits.nodes):
        raise TooMuch(f"it holds more than {limits.nodes:,} values and keys; {limits.told('nodes')}")
    size = len(data)
    unpacker = msgpack.Unpacker(
        raw=False, strict_map_key=False, timestamp=0, ext_hook=_extension, max_buffer_size=max(size, 1),
        max_str_len=size, max_bin_len=size, max_array_len=size, max_map_len=size, max_ext_len=size,
        unicode_errors="surrogateescape",
    )  # fmt: skip
    unpacker.feed(data)
    try:
        value = unpacker.unpack()
    except msgpack.OutOfData:
        raise BrokenText("the msgpack data ends too early", size, is_cut_short=True) from None
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError) as error:
        raise BrokenText(f"no msgpack: {error or type(error).__name__}", unpacker.tell()) from None
    if unpacker.tell() != size:
        raise BrokenText(f"{size - unpacker.tell()} bytes follow the msgpack value", unpacker.tell())
    return Parsed(value)


DOCUMENT_KINDS: Final = ("json", "toml", "yaml", "msgpack", "csv")
"""Kinds of documents that `--format` takes by name."""
_PARSERS: Final[dict[str, Callable[[bytes, Limits], Parsed]]] = {
    "json": _parse_json,
    "toml": _parse_toml,
    "yaml": _parse_yaml,
    "msgpack": _parse_msgpack,
    "csv": _parse_csv,
}
