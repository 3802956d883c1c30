"""YAML as plain data: the safe schema only, aliases followed within bounds.

libyaml's parser, where PyYAML brings it, is ten times as fast as ruamel.yaml, which alone knows YAML 1.2 whole. So what is usual (block and
flow, quotes, anchors, the core schema) is built from libyaml's events, and anything else is read by ruamel.yaml: tags, merge keys,
keys that are no scalars or stand twice, errors. Scalars that may be more than text (dates, `0x1F`, `1_000`) are resolved by it one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from unspool.errors import MissingExtra
from unspool.model.limits import DEFAULT_LIMITS, Limits
from unspool.model.values import Value
from unspool.sources.json_exact import BrokenText, TooMuch, integer_of
from unspool.sources.unfolding import unfolded_size

_MERGE_SHARE: Final = 20
"""Merged pairs cost so much more than other values that a share of these is allowed of them."""
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+][0-9]+)?", re.ASCII)
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
    """Return what tells what a plain scalar stands for."""
    try:
        from ruamel.yaml import YAML
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
                    # The careful reader tells of it with its place.
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
        if _INTEGER.fullmatch(text):
            return integer_of(text, self._limits)
        return float(text) if _FLOAT.fullmatch(text) else self._resolve(text)

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
            raise TooMuch(f"it holds more than {self._limits.nodes:,} values and keys; {self._limits.told('nodes')}")
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
        from ruamel.yaml import YAML
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
                raise TooMuch(f"its merge keys copy more than {self.merged:,} values; {limits.told('nodes')}")

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
