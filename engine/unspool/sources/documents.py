"""Documents: which kinds there are (`DOCUMENTS`), which of them a file is, and how each is read.

A new kind is one more `DocumentKind` in the table at the end; names for `--format`, endings, detection, following and the
directories of such files go by the table. Flat kinds, which write everything as text, are tables (CSV, TSV) and property
files of Java.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Final

import msgpack

from unspool.errors import MissingExtra
from unspool.model import json_exact
from unspool.model.json_exact import BrokenText, Parsed, TooMuch, exact_float, integer_of, plain_json
from unspool.model.limits import DEFAULT_LIMITS, Limits, msgpack_holds_more_than
from unspool.model.tags import Tagged, Unrepresentable
from unspool.model.values import Value
from unspool.sources.tagged_values import unfolded_size

_DELIMITERS: Final = ",;\t|"
_INTEGER: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
_FLOAT: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})\.\d{1,30}", re.ASCII)
_SAMPLE: Final = 1 << 16


def parse_table(data: bytes, limits: Limits) -> list[dict[str, Value]]:
    """Read a table: its first line names the columns, where its cells can be names; else columns are numbered.

    Cells that are written as numbers are numbers, where that gives their text back; all others are text. Cells that a
    row lacks are not there, and those it has too many of stand under the number of their column.

    Raises:
        BrokenText: it is no table in UTF-8.
        TooMuch: it has more cells than the limits allow.
    """
    text = text_of(data)
    delimiter = _delimiter_of(text[:_SAMPLE])
    cells = 2 * (text.count(delimiter) + text.count("\n"))
    if cells > limits.nodes:
        raise TooMuch(f"it holds about {cells:,} cells and names; {limits.remedy('nodes')}")
    csv.field_size_limit(max(csv.field_size_limit(), limits.document_bytes))
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row]
    except csv.Error as error:
        raise BrokenText(f"{error}", is_cut_short="unexpected end" in str(error)) from None
    if not rows:
        return []
    names = rows[0] if _can_name(rows[0]) else []
    return [
        {names[at] if at < len(names) else f"column {at + 1}": _value(cell) for at, cell in enumerate(row)}
        for row in rows[1 if names else 0 :]
    ]


def _delimiter_of(sample: str) -> str:
    """Return the sign that stands equally often in the first lines, and most often."""
    lines = [line for line in sample.splitlines()[:20] if line.strip()]
    counts = {sign: [line.count(sign) for line in lines] for sign in _DELIMITERS}
    if not lines:
        return ","
    return max(
        _DELIMITERS, key=lambda sign: (counts[sign].count(counts[sign][0]) * (counts[sign][0] > 0), counts[sign][0])
    )


def _can_name(row: list[str]) -> bool:
    return len(set(row)) == len(row) and all(cell.strip() and isinstance(_value(cell), str) for cell in row)


def _value(cell: str) -> Value:
    if _INTEGER.fullmatch(cell) and cell != "-0":
        return int(cell)
    if _FLOAT.fullmatch(cell):
        number = exact_float(cell)
        return number if str(number) == cell else cell
    return cell


_LINE: Final = re.compile(
    r"[ \t\f\r\n]*+(?:[#!][^\r\n]*+[ \t\f\r\n]*+)*+((?:[^\\\r\n]|\\(?:\r\n|.|\Z))*+)(?:\r\n|[\r\n]|\Z)", re.DOTALL
)
"""Blank lines and comments, and the line after them with those that continue it."""
_CONTINUED: Final = re.compile(r"((?:\\[^\r\n])++)|\\(?:\r\n|[\r\n]|\Z)[ \t\f]*+")
_PAIR: Final = re.compile(r"((?:[^\\=: \t\f]|\\.)*+)[ \t\f]*+[=:]?[ \t\f]*+(.*)", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_CONTROL: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_SURROGATES: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def parse_properties(data: bytes, limits: Limits) -> Parsed:
    """Read a property file as `java.util.Properties` does: a mapping of its keys, dots and all, to numbers or text.

    Values that are written as numbers are numbers, as in tables. A file that is not UTF-8 is ISO 8859-1.

    Raises:
        BrokenText: the four digits of an escape are not there.
        TooMuch: it has more pairs than the limits allow.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    values: dict[str, Value] = {}
    repeated: str | None = None
    for line in _LINE.finditer(text):
        pair = _PAIR.fullmatch(_CONTINUED.sub(r"\1", line[1]))
        if pair is None or not pair[0]:
            continue
        try:
            key, value = _unescaped(pair[1]), _unescaped(pair[2])
        except ValueError as error:
            number = len(re.findall(r"\r\n|[\r\n]", text[: line.start(1)])) + 1
            cut = line.end() == len(text) and re.search(r"\\u[0-9A-Fa-f]{0,3}\Z", text) is not None
            raise BrokenText(f"{error} at line {number}", line.start(1), is_cut_short=cut) from None
        if key in values:
            repeated = key
        values[key] = _value(value)
        if 2 * len(values) > limits.nodes:
            raise TooMuch(f"it holds more than {limits.nodes:,} values and keys; {limits.remedy('nodes')}")
    return Parsed(values, repeated)


def _unescaped(text: str) -> str:
    """Return what a key or value stands for.

    Raises:
        ValueError: the four digits of an escape are not there.
    """
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_sign, text)
    return _SURROGATES.sub(lambda pair: pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"), plain)


def _sign(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    if escape[2] == "u":
        raise ValueError(r"\u is not followed by four hexadecimal digits")
    return _CONTROL.get(escape[2], escape[2])


_MERGE_SHARE: Final = 20
"""Merged pairs cost so much more than other values that a share of these is allowed of them."""
_INTEGER_YAML_DOCUMENT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_FLOAT_YAML_DOCUMENT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+][0-9]+)?", re.ASCII)
_WORDS: Final[dict[str, Value]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TOO_DEEP: Final = "maximum nesting depth"
_BREAKS: Final = re.compile(rb"\t|\xc2\x85|\xe2\x80[\xa8\xa9]|^%|\x00", re.MULTILINE)
"""What the two versions of YAML read in different ways: tabs, line ends of other scripts, directives."""


class _Unusual(Exception):
    """The document needs the reader that knows all of YAML."""


def parse_yaml(data: bytes, limits: Limits = DEFAULT_LIMITS) -> list[Value]:
    """Read the documents of a YAML text (YAML 1.2, safe tags only); most texts hold one.

    Raises:
        BrokenText: it is no YAML, or it contains itself.
        TooMuch: it holds too much, or its aliases unfold to too much.
        MissingExtra: the optional package is not installed.
    """
    resolve = _resolver()
    # Without an alias nothing stands twice, and what was counted while it was built is all there is.
    may_unfold = b"*" in data or len(data) > limits.document_bytes
    try:
        documents = list(_quickly(data, resolve, limits))
    except _Unusual:
        documents, may_unfold = _carefully(data, limits), True
    for document in documents if may_unfold else ():
        unfolded_size(document).check(limits, "its aliases")
    return documents or [None]


def _missing() -> MissingExtra:
    return MissingExtra("reading YAML needs an optional package; install it with: pip install 'unspool[yaml]'")


@lru_cache(maxsize=1)
def _resolver() -> Callable[[str], Value]:
    """Return the function that finds what a plain scalar stands for."""
    try:
        from ruamel.yaml import YAML  # an extra
        from ruamel.yaml.error import YAMLError
    except ImportError:
        raise _missing() from None
    reader: Any = YAML(typ="safe", pure=True)
    reader.load("a: 1")
    patterns: Mapping[str, list[tuple[str, re.Pattern[str]]]] = reader.resolver.versioned_resolver

    @lru_cache(maxsize=4096)
    def resolve(text: str) -> Value:
        if text in _WORDS:
            return _WORDS[text]
        for tag, pattern in patterns.get(text[0], ()):
            if pattern.match(text):
                if tag.endswith((":merge", ":value")):
                    raise _Unusual
                try:
                    return YAML(typ="safe", pure=True).load(text)
                except (YAMLError, ValueError, TypeError, OverflowError, AttributeError, IndexError, KeyError):
                    # The careful reader reports it with its place.
                    raise _Unusual from None
        return text

    return resolve


def _quickly(data: bytes, resolve: Callable[[str], Value], limits: Limits) -> Iterator[Value]:
    """Yield the documents of a usual text.

    Raises:
        _Unusual: it is none, or libyaml is not there.
        TooMuch: it holds too much.
    """
    if _BREAKS.search(data):
        raise _Unusual
    try:
        import yaml
        from yaml.cyaml import CParser  # type: ignore[attr-defined]
    except ImportError:
        raise _Unusual from None
    try:
        parser: Any = CParser(data)
        builder = _Builder(resolve, limits)
        while (event := parser.get_event()) is not None:
            if builder.take(event, type(event).__name__):
                yield builder.root
                builder = _Builder(resolve, limits)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        if _TOO_DEEP in str(error):
            # The other reader goes less deep, and takes seconds to find out.
            raise TooMuch("nested deeper than a YAML reader goes") from None
        raise _Unusual from None


class _Builder:
    """Builds one document from events, with a stack of its own."""

    def __init__(self, resolve: Callable[[str], Value], limits: Limits) -> None:
        self.root: Value = None
        self._resolve = resolve
        self._limits = limits
        self._nodes = 0
        self._stack: list[Value] = []
        self._keys: list[Value] = []
        self._anchors: dict[str, Value] = {}

    def take(self, event: Any, kind: str) -> bool:
        """Take the next event; say whether the document is complete.

        Raises:
            _Unusual: it is of a kind that is not read here.
            TooMuch: the document holds too much.
        """
        if kind == "ScalarEvent":
            self._put(self._scalar(event), event.anchor)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._open(event, {} if kind == "MappingStartEvent" else [])
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._stack.pop()
            self._keys.pop()
        elif kind == "AliasEvent":
            self._alias(event.anchor)
        elif kind == "DocumentStartEvent" and (event.version or event.tags):
            raise _Unusual
        return kind == "DocumentEndEvent"

    def _scalar(self, event: Any) -> Value:
        if event.tag is not None:
            raise _Unusual
        text: str = event.value
        # Quoted scalars and blocks are text, whatever they say.
        if not event.implicit[0]:
            return text
        if _INTEGER_YAML_DOCUMENT.fullmatch(text):
            return integer_of(text, self._limits)
        return float(text) if _FLOAT_YAML_DOCUMENT.fullmatch(text) else self._resolve(text)

    def _open(self, event: Any, container: Value) -> None:
        if event.tag is not None or len(self._stack) >= self._limits.depth:
            raise _Unusual
        self._put(container, event.anchor)
        self._stack.append(container)
        self._keys.append(_NO_KEY)

    def _alias(self, anchor: str) -> None:
        value = self._anchors.get(anchor, _NO_KEY)
        if value is _NO_KEY or any(value is open_one for open_one in self._stack):
            raise _Unusual
        self._put(value, None)

    def _put(self, value: Value, anchor: str | None) -> None:
        self._nodes += 1
        if self._nodes > self._limits.nodes:
            raise TooMuch(
                f"it holds more than {self._limits.nodes:,} values and keys; {self._limits.remedy('nodes')}"
            )
        if anchor is not None:
            if anchor in self._anchors:
                raise _Unusual
            self._anchors[anchor] = value
        if not self._stack:
            self.root = value
            return
        top = self._stack[-1]
        if type(top) is list:
            top.append(value)
        elif self._keys[-1] is _NO_KEY:
            if isinstance(value, dict | list) or value in top:
                raise _Unusual
            self._keys[-1] = value
        else:
            top[self._keys[-1]] = value
            self._keys[-1] = _NO_KEY


_NO_KEY: Final = object()


def _carefully(data: bytes, limits: Limits) -> list[Value]:
    """Read anything that is YAML 1.2."""
    try:
        from ruamel.yaml import YAML  # an extra
        from ruamel.yaml.constructor import SafeConstructor
        from ruamel.yaml.error import YAMLError
    except ImportError:
        raise _missing() from None

    class BoundedConstructor(SafeConstructor):
        """Counts the pairs that merge keys copy: each level of `<<: [*a, *a]` doubles them."""

        merged = 0

        def flatten_mapping(self, node: Any) -> Any:
            super().flatten_mapping(node)
            self.merged += len(getattr(node, "merge", None) or ())
            if self.merged > limits.nodes // _MERGE_SHARE:
                raise TooMuch(f"its merge keys copy more than {self.merged:,} values; {limits.remedy('nodes')}")

    reader: Any = YAML(typ="safe", pure=True)
    reader.Constructor = BoundedConstructor
    try:
        return list(reader.load_all(data))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1} column {mark.column + 1}" if mark is not None else ""
        reason = getattr(error, "problem", None) or type(error).__name__
        raise BrokenText(f"{reason}{where}", -1 if mark is None else mark.index) from None
    except TooMuch:
        raise
    except RecursionError:
        raise TooMuch("nested deeper than a YAML reader goes") from None
    except (ValueError, TypeError, UnicodeDecodeError, OverflowError, AttributeError, IndexError, KeyError) as error:
        # ruamel.yaml lets plain errors of its constructors through: impossible dates, unhashable keys.
        raise BrokenText(f"no plain YAML: {error}") from None


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
    """Whether a file's name promises one record a line; asked only where the content leaves it open."""
    return suffix_of(name) in LINE_SUFFIXES


@dataclass(frozen=True, slots=True)
class DocumentHead:
    """The beginning of a file, as the kinds of documents are distinguished by it.

    Attributes:
        data: its bytes, as they are.
        text: them without a mark of UTF-8 and blanks before the first sign; not empty.
        is_text: whether they are UTF-8 without null bytes.
        lines: the lines that hold anything but a comment, as far as they are looked at.
        named: the kind that the file's name promises; "" for none.
    """

    data: bytes
    text: bytes
    is_text: bool
    lines: tuple[bytes, ...]
    named: str

    @property
    def first(self) -> bytes:
        """The first line."""
        return self.lines[0].rstrip() if self.lines else b""


NOT_SO: Final = 0
MAYBE: Final = 1
"""So unless the name says another kind: most texts look like this kind."""
_NAMED: Final = 2
SURELY: Final = 3
_BY_NAME: Final = 4
_LOOKED_AT: Final = 4096


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """A kind of document.

    Attributes:
        name: what `--format` takes.
        title: what people call it.
        suffixes: endings of files of this kind, with their dot, in lower case.
        parse: reads one; raises `BrokenText`, `TooMuch` or `MissingExtra`, to which callers add file and remedy. What was
            compressed, or in UTF-16 or UTF-32 with a mark, arrives as plain UTF-8.
        looks_so: says of a beginning whether it is of this kind: `SURELY`, `MAYBE` or `NOT_SO`; None where any text may
            be of it, so that only a file's name or `--format` tells it.
        is_endless: whether the first half of a document may be one too, so that a file caught half-written does not show.
        goes_by_name: the name decides although the content looks like another kind; else `SURELY` counts more than the name.
        is_distinct: text that reads as it is hardly anything else, so that git believes it whatever the file is called: much code
            reads as YAML (`def f():`) or TOML (`x = 1`).
        is_text: whether it is text; of what is not, only the content tells the kind.
        is_slow: its parser is written in Python, not in C, so that `Limits.markup_bytes` bounds it.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    parse: Callable[[bytes, Limits], Parsed]
    looks_so: Callable[[DocumentHead], int] | None
    is_endless: bool = False
    goes_by_name: bool = False
    is_distinct: bool = False
    is_text: bool = True
    is_slow: bool = False


def kind_of(data: bytes, name: str = "") -> str | None:
    """Name the kind of a document by its content; the file's name decides where the content leaves it open.

    Args:
        data: the whole document, or its beginning.
        name: the file's name, if it has one.

    Returns:
        The name of a `DocumentKind`, or None where it is none of them.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        return None
    lines = tuple(
        line for line in text[:_LOOKED_AT].splitlines() if line.strip() and not line.lstrip().startswith(b"#")
    )
    head = DocumentHead(data, text, _is_text(data[:_LOOKED_AT]), lines, SUFFIXES.get(suffix_of(name), ""))
    best = max(DOCUMENTS, key=lambda kind: _likeness(kind, head))
    return best.name if _likeness(best, head) else None


def _likeness(kind: DocumentKind, head: DocumentHead) -> int:
    is_named = kind.name == head.named
    if kind.looks_so is None:
        return _BY_NAME if is_named and b"\x00" not in head.data else NOT_SO
    found = kind.looks_so(head)
    if not is_named or not (kind.is_text and head.is_text):
        return found
    return _BY_NAME if kind.goes_by_name else max(found, _NAMED)


def _looks_like_msgpack(head: DocumentHead) -> int:
    return SURELY if head.data[0] in _MSGPACK_CONTAINER and not head.is_text else NOT_SO


def _looks_like_toml(head: DocumentHead) -> int:
    is_so = head.is_text and _TOML_LINE.match(head.first)
    return SURELY if is_so and (head.named == "toml" or not head.text.startswith((b"[", b"{", b'"'))) else NOT_SO


def _looks_like_json(head: DocumentHead) -> int:
    text = head.text
    if not head.is_text:
        return SURELY if head.data[:2] in (b"\xff\xfe", b"\xfe\xff") else NOT_SO
    if text.startswith((b"//", b"/*")):
        return SURELY if head.named in ("json", "") else NOT_SO
    begins_so = text[:1] in b'{["-0123456789tfnNI' and not head.first.startswith((b"---", b"- "))
    return SURELY if begins_so and not _is_plain_word(text) and not _looks_like_toml(head) else NOT_SO


def _looks_like_yaml(head: DocumentHead) -> int:
    outer = [line for line in head.lines if line[:1] not in b" \t"]
    return MAYBE if head.is_text and outer and all(map(_YAML_LINE.match, outer)) else NOT_SO


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
    found = kind_named(kind)
    if found.is_slow and len(data) > limits.markup_bytes:
        raise TooMuch(f"{len(data):,} bytes of {found.title}, whose parser is slow; {limits.remedy('markup_bytes')}")
    return found.parse(data, limits)


def text_of(data: bytes) -> str:
    """Return a document of text, which may begin with a mark of UTF-8.

    Raises:
        BrokenText: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenText(f"not UTF-8 text: {error.reason}", error.start) from None


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
    text = text_of(data)
    _check_toml(text, limits)
    import tomllib  # it compiles expressions when it is loaded, and few sources are TOML

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
        raise TooMuch(f"a dotted key of {longest + 1:,} parts; {limits.remedy('key_parts')}")
    if (nodes := 2 * sum(map(bare.count, "=,[{"))) > limits.nodes:
        raise TooMuch(f"it holds about {nodes:,} values and keys; {limits.remedy('nodes')}")


def _parse_yaml(data: bytes, limits: Limits) -> Parsed:
    documents = parse_yaml(data, limits)
    return Parsed(documents[0]) if len(documents) == 1 else Parsed(documents, is_several=True)


def _parse_csv(data: bytes, limits: Limits) -> Parsed:
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
        raise TooMuch(f"it holds more than {limits.nodes:,} values and keys; {limits.remedy('nodes')}")
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


DOCUMENTS: Final = (
    DocumentKind("json", "JSON", (".json", ".jsonc", ".json5"), _parse_json, _looks_like_json, is_distinct=True),
    DocumentKind("toml", "TOML", (".toml",), _parse_toml, _looks_like_toml, is_endless=True, is_slow=True),
    DocumentKind(
        "yaml",
        "YAML",
        (".yaml", ".yml"),
        _parse_yaml,
        _looks_like_yaml,
        is_endless=True,
        goes_by_name=True,
        is_slow=True,
    ),
    DocumentKind(
        "msgpack",
        "msgpack",
        (".msgpack", ".mpk", ".mp"),
        _parse_msgpack,
        _looks_like_msgpack,
        is_distinct=True,
        is_text=False,
    ),
    DocumentKind("csv", "CSV", (".csv", ".tsv"), _parse_csv, None, is_endless=True),
    DocumentKind(
        "properties",
        "Java properties",
        (".properties",),
        parse_properties,
        None,
        is_endless=True,
        is_slow=True,
    ),
)
"""All kinds of documents. Of two that a beginning looks like equally, the first counts."""
_BY_KIND: Final = {kind.name: kind for kind in DOCUMENTS}
DOCUMENT_KINDS: Final = tuple(_BY_KIND)
"""Kinds of documents that `--format` takes by name."""
SUFFIXES: Final = {suffix: kind.name for kind in DOCUMENTS for suffix in kind.suffixes}
"""The kind that each ending promises."""


def kind_named(name: str) -> DocumentKind:
    """Return a kind by its name."""
    return _BY_KIND[name]


def titles_of_documents() -> str:
    """Return what people call all the kinds, in one phrase: `JSON, TOML or CSV`."""
    *most, last = (kind.title for kind in DOCUMENTS)
    return f"{', '.join(most)} or {last}"
