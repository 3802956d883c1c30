"""Values of an app as every store can keep them: checked, encoded within bounds, and the last state laid out for comparison."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, islice, pairwise
from operator import index
from typing import Final, TypeVar

import msgspec

from unspool.errors import ConfigError, UnspoolError, UnsupportedValue
from unspool.model.encoding import Leniency, encode, encode_deep
from unspool.model.keys import Path
from unspool.model.recipes import MOST_ITEMS, type_name
from unspool.model.tags import map_header
from unspool.model.values import Unrepresentable, Value
from unspool.model.wire import Encoder, decode, is_race
from unspool.recorder.adapters import Objects, recipes_for
from unspool.recorder.redact import ERROR_TEXTS, Redaction

_Item = TypeVar("_Item")


class RefusedEntry(ConfigError):
    """A fact about one entry that no file can keep; the entry is left out, and the recording goes on."""


_MAX_NS: Final = 2**63 - 1


def whole_ns(moment: int) -> int:
    """Return a time in nanoseconds since the epoch; a database takes fractions too, and gives other numbers back.

    Raises:
        RefusedEntry: it is no whole number, or does not fit 64 bits.
    """
    try:
        whole = index(moment)
    except TypeError:
        raise RefusedEntry(
            f"timestamp_ns is {shown(moment)}; give whole nanoseconds, as time.time_ns() does"
        ) from None
    if not -_MAX_NS <= whole <= _MAX_NS:
        raise RefusedEntry(f"timestamp_ns is {whole}; give nanoseconds since 1970 that fit 64 bits")
    return whole


def whole_seq(seq: int | None) -> int | None:
    """Return an entry's number as a plain integer, whatever type of integer it comes as.

    Raises:
        RefusedEntry: it is none.
    """
    if seq is None:
        return None
    try:
        whole = index(seq)
    except TypeError:
        raise RefusedEntry(f"parent_seq is {shown(seq)}; give the number of an entry") from None
    if whole < 0:
        raise RefusedEntry(f"parent_seq is {whole}; entries count from 0")
    return whole


def plain_text(text: str, what: str) -> str:
    """Return a text as what it holds: no member of an enumeration, and no lone surrogates, which SQLite does not store.

    Raises:
        RefusedEntry: it is no text.
    """
    if not isinstance(text, str):
        raise RefusedEntry(f"{what} is {shown(text)}; give a text")
    # What a class makes of itself when it is shown is another text than the one that a database takes.
    held = str.__str__(text)
    return held if held.isascii() else held.encode("utf-8", "backslashreplace").decode()


def whole_level(stacklevel: int) -> int:
    """Return how many callers up a line is looked for, as a plain integer.

    Raises:
        RefusedEntry: it is none.
    """
    try:
        return index(stacklevel)
    except TypeError:
        raise RefusedEntry(f"stacklevel is {shown(stacklevel)}; give 1 for the caller, 2 for its caller") from None


def items_of(given: Mapping[str, Value], what: str) -> list[tuple[str, Value]]:
    """Return the items of a mapping that an app handed over.

    Args:
        given: the mapping.
        what: how a message calls one of its items, such as "atoms of a state".

    Raises:
        RefusedEntry: it is no mapping, or no dict and has very many.
    """
    if isinstance(given, dict):
        return list(dict.items(given))
    if not isinstance(given, Mapping):
        raise RefusedEntry(f"{what} are given by a {type(given).__name__}; give a dict")
    return bounded(given.items(), what)


def bounded(given: Iterable[_Item], what: str) -> list[_Item]:
    """Return what an iterable of the app's own gives: it may never end.

    Raises:
        RefusedEntry: that is very much.
    """
    items = list(islice(given, MOST_ITEMS + 1))
    if len(items) > MOST_ITEMS:
        raise RefusedEntry(f"more than {MOST_ITEMS:,} {what}, which may never end")
    return items


def shown(value: object) -> str:
    """Return what a message says of something wrong: no code of the app is asked for a text, and no text is quoted."""
    return repr(value) if type(value) in _SHOWN else f"a {type(value).__name__}"


_SHOWN: Final = (bool, int, float, type(None))


_META: Final = "meta"
_DESCRIBED: Final = 120
"""Letters of what is said of an object in its marker."""


class WriteBounds(msgspec.Struct, frozen=True):
    """How much one call may write; markers stand for the rest.

    Attributes:
        depth: levels of a value that are followed.
        size: bytes of an atom; None for no bound of any kind, for what was bounded when it was read.
        seconds: time for an atom that the fast path does not take.
    """

    depth: int = 100_000
    size: int | None = 64 * 1024 * 1024
    seconds: float = 5.0


class Encoded(msgspec.Struct, frozen=True):
    """A value that is in wire form already, in the place of the value.

    Attributes:
        form: exactly one wire form; it is stored as it is, and not looked at.
    """

    form: bytes


_SHORT: Final = WriteBounds(depth=8, size=16 * 1024, seconds=0.1)


class Encoding:
    """Encodes what an app hands over. Code of the app runs in here; nothing may be held that it could wait for."""

    def __init__(
        self,
        redaction: Redaction | None = None,
        bounds: WriteBounds | None = None,
        *,
        objects: Objects = "fields",
        strict: bool = False,
    ) -> None:
        """Settle how values are kept.

        Args:
            redaction: what to leave out.
            bounds: how much to write; None for the usual bounds.
            objects: whether objects of classes that no adapter is for are kept by their fields, or marked.
            strict: raise for a value that cannot be kept.

        Raises:
            ConfigError: an unknown choice of `objects`.
        """
        self.redaction = redaction
        self._objects: Objects = objects
        self._bounds = bounds or WriteBounds()
        self._encoder = Encoder(recipes_for(objects), self._bounds.size)
        self._lenient = Leniency(
            _nothing if redaction is not None else described,
            depth=self._bounds.depth,
            size=sys.maxsize if self._bounds.size is None else self._bounds.size,
            seconds=self._bounds.seconds,
            strict=strict,
        )

    @cached_property
    def short(self) -> Encoding:
        """The same for what only accompanies a state, such as the arguments of a call: a few levels and kilobytes."""
        return Encoding(self.redaction, _SHORT, objects=self._objects)

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is left out and nothing is bounded, so that what is encoded already stays as it is."""
        return self.redaction is None and self._bounds.size is None

    def whole(self, state: dict[str, Value]) -> bytes | None:
        """Return the wire form of a whole state in which nothing is to be marked or left out; None where that may be."""
        blob = self._plain(state)
        if blob is None or self.redaction is None or not self.redaction.may_touch(None, blob):
            return blob
        return None

    def atom(self, name: str, value: Value, problems: list[str], secrets: set[str]) -> bytes:
        """Return the wire form of an atom.

        Args:
            name: its name.
            value: its value.
            problems: gets a line for each of the first markers.
            secrets: gets the texts that were left out.

        Raises:
            UnsupportedValue: strict, and the value cannot be kept; names the path.
            RuntimeError: another thread changed the value meanwhile.
        """
        data = self._form(value, (name,), problems)
        if self.redaction is not None and (data[1] or self.redaction.may_touch(name, data[0])):
            return self.redaction.apply(name, data[0], secrets)
        return data[0]

    def encoded(self, name: str, form: bytes, problems: list[str], secrets: set[str]) -> bytes:
        """Return what is kept of an atom that comes in wire form; a marker stands for one beyond the bounds.

        Args:
            name, problems, secrets: see `atom`.
            form: its wire form.

        Raises:
            RefusedEntry: it is no bytes.
            UnsupportedValue: strict, and it is beyond the bounds.
        """
        if type(form) is not bytes or not form:
            raise RefusedEntry(f"an encoded atom is {shown(form)}; give its wire form, as bytes")
        size = self._bounds.size
        if size is not None and len(form) > size:
            reason = f"{len(form):,} bytes, more than the {size:,} that an atom may have"
            if self._lenient.strict:
                raise UnsupportedValue(f"{name}: {reason}")
            problems.append(f"{name}: {reason}")
            return encode(Unrepresentable("", reason))
        if self.redaction is not None and self.redaction.may_touch(name, form):
            return self.redaction.apply(name, form, secrets)
        return form

    def atom_name(self, name: str) -> str:
        """Return how an atom is called in the recording."""
        return name if self.redaction is None else self.redaction.atom_name(name)

    def clean_errors(self, forms: dict[str, bytes], secrets: set[str]) -> None:
        """Take what was left out of some atoms out of the texts of exceptions in all of them."""
        if self.redaction is None or not secrets:
            return
        for name, form in forms.items():
            if ERROR_TEXTS in form:
                forms[name] = self.redaction.apply(name, form, secrets)

    def meta(self, meta: Mapping[str, Value] | None, problems: list[str]) -> dict[str, Value] | None:
        """Return facts as plain values of their own.

        Raises:
            RefusedEntry: they are no mapping, or one's name is no text.
            UnsupportedValue: as `atom`.
        """
        if meta is None:
            return None
        facts: dict[str, Value] = {}
        for name, fact in items_of(meta, "facts in meta"):
            key = plain_text(name, "the name of a fact in meta")
            is_plain = type(fact) in _PLAIN and not (type(fact) is str and self._is_long(fact))
            facts[key] = fact if is_plain else decode(self._form(fact, (_META, key), problems)[0])
        return facts or None

    def _is_long(self, text: str) -> bool:
        return self._bounds.size is not None and len(text) > self._bounds.size

    def plain(self, value: Value) -> Value:
        """Return what is kept of a value now, as a plain value that the app can change no more; it may still tell secrets."""
        try:
            return decode(self._form(value, (_META,), [])[0])
        except Exception as error:  # noqa: BLE001 - another thread changed it meanwhile, or its own code raised
            return Unrepresentable(type_name(type(value)), f"it raised {type(error).__name__}")

    def clean_meta(self, meta: Mapping[str, Value] | None, secrets: set[str]) -> Mapping[str, Value] | None:
        """Return facts, as plain values, without what is to be left out."""
        if meta is None or self.redaction is None:
            return meta
        clean = decode(self.redaction.apply(_META, encode(dict(meta)), secrets, is_named=False))
        return clean if isinstance(clean, dict) else None

    def clean_text(self, text: str, secrets: set[str]) -> str:
        """Return a text without what is to be left out."""
        return text if self.redaction is None or not text else self.redaction.clean_text(text, secrets)

    def shown(self, error: BaseException) -> str:
        """Return what may be said of an error of the app's own; its text may quote what is to be left out."""
        if isinstance(error, UnspoolError):
            return str(error)
        kind = type(error).__name__
        if self.redaction is not None:
            return kind
        try:
            return f"{kind}: {error}"
        except Exception:  # noqa: BLE001 - the error is of a class of the app's own
            return kind

    def _form(self, value: Value, place: Path, problems: list[str]) -> tuple[bytes, bool]:
        """Return a wire form, and whether its keys may be no text."""
        data = self._plain(value)
        if data is not None:
            return data, False
        if self._bounds.size is None and self._lenient.strict:
            return encode_deep(value, self._encoder.recipes), True
        lenient = replace(self._lenient, place=place, problems=problems)
        return encode_deep(value, self._encoder.recipes, lenient), True

    def _plain(self, value: Value) -> bytes | None:
        try:
            return self._encoder.plain(value)
        except Exception as error:  # code of the app raised, anything; the careful way finds the place
            if is_race(error):
                raise
            return None


_PLAIN: Final = frozenset((str, int, float, bool, type(None)))


_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
_ASKS_OTHERS: Final[tuple[type, ...]] = (
    types.MethodType,
    types.MappingProxyType,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)
"""Types of Python's own whose texts ask objects that they hold for theirs."""


def described(value: Value) -> str:
    """Return a short text of an object, without asking code of the app for it; "" where there is none to be had."""
    kind = type(value)
    try:
        shown_by = kind.__repr__
        if kind in _ASKS_OTHERS or not isinstance(shown_by, types.WrapperDescriptorType):
            return ""
        text = "" if shown_by is object.__repr__ else _ADDRESS.sub("", repr(value))
    except Exception:  # noqa: BLE001 - a text is not worth a failure
        return ""
    return text if len(text) <= _DESCRIBED else text[: _DESCRIBED - 1] + "…"


def _nothing(_: Value) -> str:
    return ""


class StateLayout(Mapping[str, bytes]):
    """A captured state as one byte string, and where each atom's value stands in it."""

    __slots__ = ("_places", "blob", "ends", "names", "starts")

    def __init__(self, blob: bytes, names: list[str], starts: list[int], ends: list[int]) -> None:
        self.blob = blob
        self.names = names
        self.starts = starts
        self.ends = ends
        self._places: dict[str, int] | None = None

    @classmethod
    def of(cls, state: Mapping[str, bytes]) -> StateLayout:
        """Lay a state, given as wire forms by atom, out as the encoder would."""
        header = map_header(len(state))
        names = list(state)
        keys = [encode(name) for name in names]
        parts = [part for pair in zip(keys, state.values(), strict=True) for part in pair]
        places = list(accumulate(map(len, parts), initial=len(header)))
        return cls(b"".join((header, *parts)), names, places[1:-1:2], places[2::2])

    def __getitem__(self, atom: str) -> bytes:
        place = self.place_of(atom)
        if place is None:
            raise KeyError(atom)
        return self.value(place)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def place_of(self, atom: str) -> int | None:
        """Return where an atom stands among all; None where there is none of that name."""
        if self._places is None:
            self._places = {name: place for place, name in enumerate(self.names)}
        return self._places.get(atom)

    @property
    def size(self) -> int:
        """Bytes of the whole state."""
        return len(self.blob)

    def extended(self, values: Mapping[int, bytes], added: Mapping[str, bytes]) -> StateLayout:
        """Return the state with other values at some places and more atoms behind all others; the cost is that of those, as
        it is put together when asked for.
        """
        return _UpdatedBase(self, values, added)

    def followed_by(self, added: Mapping[str, bytes]) -> StateLayout:
        """Return the state with more atoms as one byte string."""
        old, header = map_header(len(self.names)), map_header(len(self.names) + len(added))
        shift = len(header) - len(old)
        parts: list[bytes | memoryview] = [header, memoryview(self.blob)[len(old) :]]
        starts, ends = [start + shift for start in self.starts], [end + shift for end in self.ends]
        at = len(self.blob) + shift
        for name, value in added.items():
            key = encode(name)
            parts += (key, value)
            starts.append(at + len(key))
            at = starts[-1] + len(value)
            ends.append(at)
        return StateLayout(b"".join(parts), [*self.names, *added], starts, ends)

    def joined(self, values: Mapping[int, bytes]) -> StateLayout:
        """Return the state with other values at some places as one byte string."""
        places = sorted(values)
        parts: list[bytes | memoryview] = []
        old, at = memoryview(self.blob), 0
        for place in places:
            parts += (old[at : self.starts[place]], values[place])
            at = self.ends[place]
        parts.append(old[at:])
        sizes = {
            place: len(values[place])
            for place in places
            if len(values[place]) != self.ends[place] - self.starts[place]
        }
        return self.moved(b"".join(parts), sizes)

    def value(self, place: int) -> bytes:
        """Return the wire form of the atom at a place."""
        return self.blob[self.starts[place] : self.ends[place]]

    def to_dict(self) -> dict[str, bytes]:
        """Return wire forms by atom."""
        blob = self.blob
        return {name: blob[start:end] for name, start, end in zip(self.names, self.starts, self.ends, strict=True)}

    def views(self) -> dict[str, memoryview]:
        """Return views of the wire forms by atom."""
        view = memoryview(self.blob)
        return {name: view[start:end] for name, start, end in zip(self.names, self.starts, self.ends, strict=True)}

    def moved(self, blob: bytes, sizes: Mapping[int, int]) -> StateLayout:
        """Return the layout of another byte string that differs only in the values at some places.

        Args:
            blob: the other byte string.
            sizes: new sizes of the values whose size changed by place, in order of place.
        """
        if not sizes:
            return self._like(blob, self.starts, self.ends)
        starts, ends = self.starts, self.ends
        places = [*sizes, len(starts)]
        # What lies before the first such value stays; each change of size moves all that follows it.
        new_starts, new_ends = starts[: places[0] + 1], ends[: places[0]]
        shift = 0
        for place, following in pairwise(places):
            shift += sizes[place] - (ends[place] - starts[place])
            new_starts += [start + shift for start in starts[place + 1 : following + 1]]
            new_ends += [end + shift for end in ends[place:following]]
        return self._like(blob, new_starts, new_ends)

    def _like(self, blob: bytes, starts: list[int], ends: list[int]) -> StateLayout:
        other = StateLayout(blob, self.names, starts, ends)
        other._places = self._places
        return other


class EncodedState(Mapping[str, Value]):
    """A state that was encoded where it was read; atoms are decoded only where somebody asks for one."""

    __slots__ = ("base",)

    def __init__(self, base: StateLayout) -> None:
        """Take a state over."""
        self.base = base

    def __getitem__(self, atom: str) -> Value:
        return decode(self.base[atom])

    def __iter__(self) -> Iterator[str]:
        return iter(self.base)

    def __len__(self) -> int:
        return len(self.base)


class StateWithForm(Mapping[str, Value]):
    """A state of plain values that nobody changes any more, beside its wire form: whoever hands it over needed that too.

    Attributes:
        state: the values by atom.
        form: what `encode` makes of them.
    """

    __slots__ = ("form", "state")

    def __init__(self, state: Mapping[str, Value], form: bytes) -> None:
        self.state = state
        self.form = form

    def __getitem__(self, atom: str) -> Value:
        return self.state[atom]

    def __iter__(self) -> Iterator[str]:
        return iter(self.state)

    def __len__(self) -> int:
        return len(self.state)


_LARGE_ORIGIN: Final = 1 << 20
"""Bytes of a state from which on it is not kept beside the values that replaced most of it."""


class _UpdatedBase(StateLayout):
    """A captured state as another one with some values replaced, and more atoms behind all others."""

    __slots__ = ("_added", "_held", "_origin", "_size", "_values", "_whole")

    def __init__(self, origin: StateLayout, values: Mapping[int, bytes], added: Mapping[str, bytes]) -> None:
        known: Mapping[int, bytes] = {}
        self._held = sum(map(len, values.values())) + sum(map(len, added.values()))
        """Bytes that were handed over since the origin."""
        self._origin: StateLayout = origin
        self._added: dict[str, int] = {}
        """Places of the atoms that the origin has not."""
        if isinstance(origin, _UpdatedBase):
            # Others are not kept in a row: each stands on one that is a byte string.
            if origin._whole is not None:
                self._origin = origin._whole
            else:
                self._origin, known, self._added = origin._origin, origin._values, origin._added
                self._held += origin._held
        # What is laid out like this base takes them over, and the origin has no place for atoms that were added.
        self._places = None if self._added or added else self._origin._places
        self._values: dict[int, bytes] = {**known, **values}
        size = origin.size + sum(len(value) - len(origin.value(place)) for place, value in values.items())
        self.names = origin.names
        if added:
            first = len(origin.names)
            self.names = [*origin.names, *added]
            self._added = {**self._added, **{name: first + number for number, name in enumerate(added)}}
            self._values.update(enumerate(added.values(), first))
            size += sum(len(encode(name)) + len(value) for name, value in added.items())
            size += len(map_header(len(self.names))) - len(map_header(first))
        self._size = size
        self._whole: StateLayout | None = None
        if _LARGE_ORIGIN <= self._origin.size < self._held:
            self._let_go_of_origin()

    def _let_go_of_origin(self) -> None:
        """Keep each value by itself: most of a large origin has been replaced."""
        self._values = {place: self.value(place) for place in range(len(self.names))}
        self._added = {name: place for place, name in enumerate(self.names)}
        self._origin = StateLayout.of({})
        self._places = None

    @property
    def whole(self) -> StateLayout:
        """The same as one byte string."""
        if self._whole is None:
            count = len(self._origin.names)
            replaced = {place: value for place, value in self._values.items() if place < count}
            whole = self._origin.joined(replaced) if replaced else self._origin
            added = {name: self._values[place] for name, place in self._added.items()}
            self._whole = whole.followed_by(added) if added else whole
        return self._whole

    @property
    def size(self) -> int:
        return self._size

    @property
    def blob(self) -> bytes:  # type: ignore[override]
        return self.whole.blob

    @property
    def starts(self) -> list[int]:  # type: ignore[override]
        return self.whole.starts

    @property
    def ends(self) -> list[int]:  # type: ignore[override]
        return self.whole.ends

    def to_dict(self) -> dict[str, bytes]:
        return {name: self.value(place) for place, name in enumerate(self.names)}

    def views(self) -> dict[str, memoryview]:
        return {name: memoryview(self.value(place)) for place, name in enumerate(self.names)}

    def value(self, place: int) -> bytes:
        known = self._values.get(place)
        return self._origin.value(place) if known is None else known

    def place_of(self, atom: str) -> int | None:
        place = self._added.get(atom)
        return self._origin.place_of(atom) if place is None else place
