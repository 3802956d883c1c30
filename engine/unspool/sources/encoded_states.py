"""Large JSON documents as states in wire form: their values are never all in memory as objects.

Of a file that is saved again and again most stays the same. The text is taken apart into runs of values, and of a run
that stood in the last document too, the wire form is taken from there.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from unspool.model.encoded import header_size
from unspool.model.limits import Limits
from unspool.model.tags import array_header, map_header
from unspool.model.wire import encode
from unspool.recorder.base import Base, EncodedState
from unspool.sources.json_exact import Odd, Opened, check_size, is_in_parts, parts_of, values_of


@dataclass(frozen=True, slots=True)
class _Run:
    """Values in a row, and where their wire form stands.

    Attributes:
        keys: the keys they stand under; None in a list.
        size: how many they are.
        start, end: of their wire form, keys included.
        places: start and end of each value that has a key, counted from `start`.
    """

    keys: list[str] | None
    size: int
    start: int
    end: int
    places: list[tuple[int, int]]


@dataclass(slots=True)
class _Container:
    """An object or list that is being written.

    Attributes:
        keys: the keys of its values; None for a list.
        at: how many of its values are written.
    """

    keys: list[str] | None
    at: int = 0

    def next_keys(self, size: int) -> list[str] | None:
        """Return the keys of the next values."""
        return None if self.keys is None else self.keys[self.at : self.at + size]


class EncodedStates:
    """Reads large JSON objects as states, each with the help of the one before."""

    def __init__(self) -> None:
        """Begin without any."""
        self._last = b""
        self._runs: dict[bytes, _Run] = {}

    def read(self, data: bytes, limits: Limits) -> EncodedState | None:
        """Read a document.

        Args:
            data: any bytes.
            limits: bounds of what comes out of them.

        Returns:
            Its state; None where it is to be read as a value: it is small, no object, maybe a state in an envelope, or
            nothing that the fast path of JSON reads.

        Raises:
            TooMuch: it holds more than the limits allow.
        """
        if not is_in_parts(data):
            return None
        check_size(data, limits)
        layout = _Layout(self._last, self._runs)
        try:
            for part in parts_of(data):
                if isinstance(part, bytes):
                    layout.add(part)
                elif isinstance(part, Opened):
                    if layout.is_empty and (part.keys is None or "state" in part.keys):
                        return None
                    layout.open(part)
                else:
                    layout.close()
        except Odd:
            return None
        base = layout.base()
        self._last, self._runs = base.blob, layout.runs
        return EncodedState(base)


class _Layout:
    """A state that is being laid out as the encoder would.

    Attributes:
        runs: where the runs stand, by the digest of their text.
    """

    def __init__(self, last: bytes, known: dict[bytes, _Run]) -> None:
        self.runs: dict[bytes, _Run] = {}
        self._last = memoryview(last)
        self._known = known
        self._names: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._bytes = io.BytesIO()
        self._open: list[_Container] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing was opened yet."""
        return not self._bytes.tell()

    def open(self, part: Opened) -> None:
        """Begin a container."""
        if self._open:
            outer = self._open[-1]
            if outer.keys is not None:
                self._bytes.write(encode(outer.keys[outer.at]))
            if len(self._open) == 1:
                self._starts.append(self._bytes.tell())
        else:
            self._names = part.keys or []
        self._bytes.write(array_header(part.size) if part.keys is None else map_header(part.size))
        self._open.append(_Container(part.keys))

    def add(self, text: bytes) -> None:
        """Write the next values of the container opened last."""
        container, start = self._open[-1], self._bytes.tell()
        digest = hashlib.blake2b(text, digest_size=32).digest()
        run = self._known.get(digest)
        if run is not None and run.keys == container.next_keys(run.size):
            self._bytes.write(self._last[run.start : run.end])
            run = _Run(run.keys, run.size, start, self._bytes.tell(), run.places)
        else:
            run = self._written(container, text)
        self.runs[digest] = run
        container.at += run.size
        if len(self._open) == 1:
            self._starts += [start + begin for begin, _ in run.places]
            self._ends += [start + end for _, end in run.places]

    def _written(self, container: _Container, text: bytes) -> _Run:
        values, start, write = values_of(text), self._bytes.tell(), self._bytes.write
        keys = container.next_keys(len(values))
        places: list[tuple[int, int]] = []
        if keys is None:
            form = encode(values)
            write(memoryview(form)[header_size(form) :])
        else:
            for key, value in zip(keys, values, strict=True):
                write(encode(key))
                begin = self._bytes.tell() - start
                write(encode(value))
                places.append((begin, self._bytes.tell() - start))
        return _Run(keys, len(values), start, self._bytes.tell(), places)

    def close(self) -> None:
        """End the container opened last."""
        self._open.pop()
        if self._open:
            self._open[-1].at += 1
        if len(self._open) == 1:
            self._ends.append(self._bytes.tell())

    def base(self) -> Base:
        """Return the whole."""
        return Base(self._bytes.getvalue(), self._names, self._starts, self._ends)
