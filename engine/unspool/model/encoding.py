"""Writing the wire form of any value: what the fast path refuses is walked without recursion.

Any depth, any key, and errors or markers at the place they belong to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

import msgspec
from msgspec import Struct

from unspool.errors import UnsupportedValue
from unspool.model.keys import Key, Path, Step, format_path
from unspool.model.recipes import FROZENSET, HIDDEN, SET, TAGGED, UNREPRESENTABLE, Recipes, short_name, type_name
from unspool.model.tags import Tag, array_header, extension, leaf_form, map_header
from unspool.model.values import Value
from unspool.model.wire import PLAIN, is_race

_INT64_MIN: Final = -(2**63)
_UINT64_MAX: Final = 2**64 - 1
PAIRS: Final = int(Tag.PAIRS)
REFERENCE: Final = "$ref"
"""Type name of what stands for an object that is written elsewhere; its value is the path there."""
_SMALL: Final = 256
"""Bytes up to which an object is simply written again where it is met again."""
_REPEATED: Final = 64 * 1024
"""Bytes of larger objects that are written again; beyond, a reference stands for them."""
_LEAF_KEPT: Final = 1024
"""Bytes of a leaf that is still written where there is no room for more."""
_TOLD_STEPS: Final = 40
_TOLD: Final = 400
"""Steps and letters of a path that a message shows."""
_MOST_PROBLEMS: Final = 16
"""Markers that messages report; the others stand in the value."""
_CLOCK_EVERY: Final = 512


def encode(value: Value) -> bytes:
    """Return the canonical wire form of a value.

    Args:
        value: anything JSON-like, and also tuple, set, frozenset, bytes, datetime, date, time, timedelta, Decimal,
            UUID, complex, Enum, dataclass, subclasses of plain types, integers of any size, objects with keys of
            any of these types. Depth is unlimited.

    Returns:
        msgpack bytes; equal values of plain types with equal key order give equal bytes.

    Raises:
        UnsupportedValue: the value, or one inside it, cannot be kept; the message names the path.
        ChangedMeanwhile: another thread changed it whenever it was looked at.
    """
    data = PLAIN.plain(value)
    return encode_deep(value, PLAIN.recipes) if data is None else data


def wire_size(value: Value) -> int:
    """Return the number of bytes the value takes in wire form.

    Raises:
        UnsupportedValue: as `encode`.
    """
    return len(encode(value))


@dataclass(frozen=True)
class Leniency:
    """How to go on where something cannot be kept: a marker stands for it, and the rest is kept.

    Attributes:
        describe: gives a short text of an object for its marker; "" where nothing is to be said.
        problems: gets a line for each of the first markers.
        place: path of the value that is written.
        depth: levels that are followed.
        size: bytes that are written.
        seconds: time it may take; code of the app that blocks cannot be interrupted.
        strict: raise where a marker would stand; only what is met again is referred to.
    """

    describe: Callable[[Value], str]
    problems: list[str] = field(default_factory=list)
    place: Path = ()
    depth: int = 10_000
    size: int = 64 * 1024 * 1024
    seconds: float = 5.0
    strict: bool = False


_Link = tuple["_Link | None", Step]
"""A path from its last step back, so that paths share what they have in common."""


class _Frame(Struct):
    """A container being written: what is left of it, where its bytes go, and how they are wrapped at the end."""

    source: Value
    items: Iterator[tuple[Step, Value]]
    total: int
    out: bytearray
    header_at: int
    begins_at: int
    kind: str
    tag: int | None = None
    parent: bytearray | None = None
    link: _Link | None = None
    count: int = 0
    step: Step = 0


def encode_deep(value: Value, recipes: Recipes, lenient: Leniency | None = None) -> bytes:
    """Return the wire form of a value of any depth, without recursion.

    Args:
        value: what to encode.
        recipes: for what the wire form has no form of its own for.
        lenient: put markers for what cannot be kept, references for what is met again; None raises.

    Raises:
        UnsupportedValue: a value that cannot be kept, or a container that contains itself; never when lenient.
        RuntimeError: another thread changed the value meanwhile.
    """
    return _Walk(recipes, lenient).encode(value)


class _Walk:
    def __init__(self, recipes: Recipes, lenient: Leniency | None) -> None:
        self._recipes = recipes
        self._lenient = lenient
        self._frames: list[_Frame] = []
        self._on_path: dict[int, _Link | None] = {}
        self._done: dict[int, tuple[Value, _Link | None, int]] = {}
        self._repeated = self._written = self._steps = 0
        self._over = ""
        self._deadline = 0.0 if lenient is None else time.monotonic() + lenient.seconds

    def encode(self, value: Value) -> bytes:
        out = bytearray()
        self._put(value, out)
        while self._frames:
            self._advance()
        return bytes(out)

    def _advance(self) -> None:
        """Write one more item of the innermost container, or close it."""
        frame = self._frames[-1]
        if self._lenient is not None:
            self._look_at_limits(self._lenient)
            if self._over and frame.count < frame.total and frame.kind != "fixed" and self._may_end(frame):
                self._cut(frame)
        following = next(frame.items, None)
        if following is None:
            self._close(frame)
            return
        frame.step, item = following
        frame.count += 1
        if frame.kind == "map":
            key = _pack(frame.step)
            frame.out += key
            self._written += len(key)
        self._put(item, frame.out)

    def _put(self, item: Value, out: bytearray) -> None:
        lenient = self._lenient
        if lenient is not None and type(item) in _SIZED:
            room = max(lenient.size - self._written, _LEAF_KEPT)
            if len(item) > room:
                self._mark(item, out, f"{len(item):,} bytes or letters, more than there is room for", lenient)
                return
        try:
            leaf = _leaf(item)
        except Exception as error:  # the text of a time asks its time zone, which may be of a class of the app's own
            if lenient is None:
                raise
            self._mark(item, out, _raised(error), lenient)
            return
        if leaf is None:
            self._open(item, out)
        else:
            out += leaf
            self._written += len(leaf)

    def _open(self, item: Value, out: bytearray) -> None:
        lenient = self._lenient
        identity = id(item)
        if identity in self._on_path:
            if lenient is None:
                raise UnsupportedValue(
                    f"the value at {self._here()} contains itself; record a copy without the cycle"
                )
            self._refer(self._on_path[identity], out)
            return
        if lenient is not None:
            known = self._done.get(identity)
            if known is not None:
                if self._repeated + known[2] > _REPEATED:
                    self._refer(known[1], out)
                    return
                self._repeated += known[2]
            if self._over or len(self._frames) >= lenient.depth:
                self._mark(item, out, self._over or f"more than {lenient.depth:,} levels deep", lenient)
                return
        try:
            tag, content = self._parts(item)
        except TypeError as error:
            if lenient is None:
                raise self._unsupported(item) from None
            self._mark(item, out, "" if _is_unknown(error) else _raised(error), lenient)
        except Exception as error:  # recipes run code of the app, which may raise anything
            if lenient is None or is_race(error):
                raise
            self._mark(item, out, _raised(error), lenient)
        else:
            self._begin(item, tag, content, out)

    def _parts(self, value: Value) -> tuple[int | None, Value]:
        """Take a non-leaf apart: the tag that wraps it (None for a plain list or map), and plain content."""
        kind = type(value)
        if kind is list:
            return None, value
        if kind is dict:
            # A copy: another thread may change it before its items are written, and its header would not fit then.
            content = dict(value)
            if all(map(_is_plain_key, content)):
                return None, content
            return PAIRS, content
        tag, content = self._recipes[kind](value)
        if tag in (SET, FROZENSET):
            # Set order varies between processes; encoded order does not.
            quiet = None if self._lenient is None else replace(self._lenient, problems=[])
            return tag, sorted(content, key=lambda item: encode_deep(item, self._recipes, quiet))
        return tag, content

    def _begin(self, item: Value, tag: int | None, content: Value, out: bytearray) -> None:
        if type(content) is bytes:
            form = extension(tag or 0, content)
            out += form
            self._written += len(form)
            return
        buffer = out if tag is None else bytearray()
        header_at = len(buffer)
        kind = "fixed" if tag in (TAGGED, UNREPRESENTABLE) else "pairs" if tag == PAIRS else "list"
        items: Iterator[tuple[Step, Value]]
        if tag == PAIRS:
            total = 2 * len(content)
            items = chain.from_iterable(((_step(key), key), (_step(key), part)) for key, part in content.items())
            buffer += array_header(total)
        elif type(content) is dict:
            kind, total, items = "map", len(content), iter(content.items())
            buffer += map_header(total)
        else:
            members = list(content)
            total, items = len(members), iter(enumerate(members))
            buffer += array_header(total)
        link = self._link()
        self._on_path[id(item)] = link
        parent = None if tag is None else out
        # The content keeps alive what the frame is made of: numbers of objects that are gone are given again.
        self._frames.append(
            _Frame((item, content), items, total, buffer, header_at, self._written, kind, tag, parent, link)
        )
        self._written += len(buffer) - header_at

    def _close(self, frame: _Frame) -> None:
        self._frames.pop()
        item = frame.source[0]
        link = self._on_path.pop(id(item))
        if frame.tag is not None and frame.parent is not None:
            frame.parent += extension(frame.tag, bytes(frame.out))
        size = self._written - frame.begins_at
        if self._lenient is not None and size > _SMALL:
            self._done.setdefault(id(item), (item, link, size))

    def _look_at_limits(self, lenient: Leniency) -> None:
        self._steps += 1
        if self._over:
            return
        if self._written > lenient.size:
            self._over = f"more than {lenient.size:,} bytes in all"
        elif self._steps % _CLOCK_EVERY == 0 and time.monotonic() > self._deadline:
            self._over = f"more than {lenient.seconds:g} s in all"

    @staticmethod
    def _may_end(frame: _Frame) -> bool:
        return frame.kind != "pairs" or frame.count % 2 == 0

    def _cut(self, frame: _Frame) -> None:
        """End a container early; a marker says how much is left out."""
        if self._lenient is not None and self._lenient.strict:
            raise self._unsupported(frame.source[0], self._over)
        left = (frame.total - frame.count) // (2 if frame.kind == "pairs" else 1)
        reason = f"{left:,} more left out: {self._over}"
        frame.items = iter(())
        if frame.kind == "map":
            header, size = map_header(frame.count + 1), len(map_header(frame.total))
        else:
            extra = 2 if frame.kind == "pairs" else 1
            header, size = array_header(frame.count + extra), len(array_header(frame.total))
        frame.out[frame.header_at : frame.header_at + size] = header
        frame.total = frame.count
        if frame.kind != "list":
            frame.out += _pack(HIDDEN)
        frame.out += _marker(short_name(type(frame.source[0])), reason)
        self._tell(reason)

    def _refer(self, link: _Link | None, out: bytearray) -> None:
        form = extension(TAGGED, array_header(2) + leaf_text(REFERENCE) + leaf_text(format_path(self._path(link))))
        out += form
        self._written += len(form)

    def _unsupported(self, item: Value, reason: str = "") -> UnsupportedValue:
        return UnsupportedValue(
            f"a value of type {short_name(type(item))} at {self._here()} cannot be recorded"
            + (f" ({reason})" if reason else "")
            + "; convert it to plain data, or leave it out of the state"
        )

    def _mark(self, item: Value, out: bytearray, reason: str, lenient: Leniency) -> None:
        if lenient.strict:
            raise self._unsupported(item, reason)
        shown = lenient.describe(item)
        why = reason or "cannot be recorded"
        form = _marker(type_name(type(item)), f"{why}: {shown}" if shown else why)
        out += form
        self._written += len(form)
        self._tell(f"a value of type {short_name(type(item))} cannot be kept" + (f" ({reason})" if reason else ""))

    def _tell(self, problem: str) -> None:
        if self._lenient is not None and len(self._lenient.problems) < _MOST_PROBLEMS:
            self._lenient.problems.append(f"{self._here()}: {problem}")

    def _link(self) -> _Link | None:
        """Return the way to the item that is written now."""
        if not self._frames:
            return None
        frame = self._frames[-1]
        # The name and content of an object are no steps on the way to its fields.
        return frame.link if frame.kind == "fixed" else (frame.link, frame.step)

    def _path(self, link: _Link | None) -> Path:
        steps: list[Step] = []
        while link is not None:
            link, step = link
            steps.append(step)
        return (() if self._lenient is None else self._lenient.place) + tuple(reversed(steps))

    def _here(self) -> str:
        """Return the place of what is written now, for people: a path may have any number of steps, and a key any length."""
        path = self._path(self._link())
        text = format_path(path[:_TOLD_STEPS])
        shown = text if len(text) <= _TOLD else text[: _TOLD - 1] + "…"
        return shown if len(path) <= _TOLD_STEPS else f"{shown}… ({len(path):,} levels)"


def _raised(error: Exception) -> str:
    return f"it raised {type(error).__name__}"


def _is_unknown(error: TypeError) -> bool:
    return "no wire form" in str(error)


def _marker(kind: str, reason: str) -> bytes:
    form = leaf_text(kind) + leaf_text(reason)
    return extension(UNREPRESENTABLE, array_header(2) + form)


def leaf_text(text: str) -> bytes:
    """Return the wire form of a text."""
    return _leaf(text) or b""


_pack: Final[Callable[[Value], bytes]] = msgspec.msgpack.encode


def _leaf(value: Value) -> bytes | None:
    kind = type(value)
    if value is None or kind is bool or kind is float or kind is bytes:
        return _pack(value)
    if kind is int and _INT64_MIN <= value <= _UINT64_MAX:
        return _pack(value)
    if kind is str:
        try:
            return _pack(value)
        except UnicodeEncodeError:
            return leaf_form(value)
    return leaf_form(value)


def _is_plain_key(key: Value) -> bool:
    if type(key) is not str:
        return False
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def _step(key: Value) -> Step:
    """Return a key as a step of a path for people; no code of a class of the app's own is asked for a text."""
    if type(key) is str or type(key) is int:
        return key
    if type(key) not in _OWN_STEPS and not (type(key) is tuple and _OWN_STEPS.issuperset(map(type, key))):
        return short_name(type(key))
    return Key(encode_deep(key, PLAIN.recipes))


_SIZED: Final = (str, bytes, bytearray)
_OWN_STEPS: Final = frozenset((str, int, bool, float, bytes, type(None)))
