"""What the agent sends and receives: leaves as JSON cells, messages as lines, and the socket they go through.

The program's own thread writes, so whatever was sent before the program is killed is in the kernel already. Where the
other end reads too slowly, the program either waits or goes on while changes merge, as the options say.
"""

from __future__ import annotations

import binascii
import enum
import json
import json.encoder
import math
import select
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

Cell = Any
"""A value as JSON: plain leaves stand for themselves, lists are coded: `[7]` is node 7, `["decimal", "1.0"]` a leaf."""

LARGEST_LINE = 32 * 1024 * 1024
"""Bytes of a line from the host beyond which the connection is given up."""
_PENDING = 16 * 1024 * 1024
"""Bytes that wait for a slow host before changes merge."""
_LONGEST_STALL = 3.0
"""Seconds that a program waits for a host that reads nothing."""
_LAST_SECONDS = 5.0
"""Seconds that the end of a program waits for the host to read the rest."""

_INT_BOUND = 1 << 63
_type_module: Callable[[type], Any] = vars(type)["__module__"].__get__
_type_name: Callable[[type], Any] = vars(type)["__qualname__"].__get__
mro_of: Callable[[type], tuple[type, ...]] = vars(type)["__mro__"].__get__
class_dict: Callable[[type], Mapping[str, Any]] = vars(type)["__dict__"].__get__


def type_name(kind: type) -> str:
    """Return `module.Qualname` of a class as the interpreter keeps it; its metaclass is not asked."""
    module = _type_module(kind)
    return f"{module if type(module) is str else '?'}.{_type_name(kind)}"


def module_name(kind: type) -> str:
    """Return the name of a class's module as the interpreter keeps it, "" where that is no text."""
    module = _type_module(kind)
    return module if type(module) is str else ""


def short_name(kind: type) -> str:
    """Return the name of a class without its module and the classes around it."""
    return str(_type_name(kind)).rpartition(".")[2]


def base64_text(data: bytes) -> str:
    """Return bytes as base64 text."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _float_cell(value: float) -> Cell:
    return value if math.isfinite(value) else ["float", repr(value)]


def _int_cell(value: int) -> Cell:
    return value if -_INT_BOUND <= value < _INT_BOUND else ["int", hex(value)]


def _itself(value: Any) -> Cell:
    return value


PLAIN: dict[type, Callable[[Any], Cell]] = {
    type(None): _itself,
    bool: _itself,
    int: _int_cell,
    float: _float_cell,
    str: _itself,
    bytes: lambda value: ["bytes", base64_text(value)],
    complex: lambda value: ["complex", repr(value.real), repr(value.imag)],
}
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (float, float.__float__),
    (int, int.__int__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (complex, complex.__complex__),
)
"""Immutable types, each with what takes the plain value out of an instance of a subclass and runs no code of it."""


def _moment_text(value: Any) -> str:
    return str(value.isoformat()) + ("~" if value.fold else "")


def _datetime_cell(value: Any) -> Cell:
    zone = type_name(type(value.tzinfo))
    if zone not in _ZONES:
        # A zone of a class of the program's own would run its code.
        return ["other", "datetime.datetime", value.replace(tzinfo=None).isoformat()]
    return ["datetime", _moment_text(value), value.tzinfo.key if zone == "zoneinfo.ZoneInfo" else None]


def _time_cell(value: Any) -> Cell:
    if type_name(type(value.tzinfo)) not in _ZONES:
        return ["other", "datetime.time", value.replace(tzinfo=None).isoformat()]
    return ["time", _moment_text(value)]


_ZONES = ("builtins.NoneType", "datetime.timezone", "zoneinfo.ZoneInfo")


def _slice_cell(value: Any) -> Cell:
    parts = (value.start, value.stop, value.step)
    if not all(type(part) in PLAIN for part in parts):
        return ["other", "builtins.slice", ""]
    return ["std", "slice", *(PLAIN[type(part)](part) for part in parts)]


def _code_cell(value: Any) -> Cell:
    held = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", "")
    return ["other", type_name(type(value)), f"{held}.{name}" if type(held) is str else str(name)]


def _text_cell(value: Any) -> Cell:
    return ["std", type(value).__name__, str(value)]


_STANDARD: dict[str, Callable[[Any], Cell]] = {
    "datetime.datetime": _datetime_cell,
    "datetime.date": lambda value: ["date", value.isoformat()],
    "datetime.time": _time_cell,
    "datetime.timedelta": lambda value: ["timedelta", value.days, value.seconds, value.microseconds],
    "decimal.Decimal": lambda value: ["decimal", str(value)],
    "uuid.UUID": lambda value: ["uuid", value.hex],
    "fractions.Fraction": lambda value: [
        "std",
        "fraction",
        _int_cell(value.numerator),
        _int_cell(value.denominator),
    ],
    "zoneinfo.ZoneInfo": lambda value: ["std", "zone", value.key or ""],
    "builtins.range": lambda value: ["std", "range", *map(_int_cell, (value.start, value.stop, value.step))],
    "builtins.slice": _slice_cell,
    "builtins.function": _code_cell,
    "builtins.builtin_function_or_method": _code_cell,
    "builtins.module": lambda value: ["other", "builtins.module", str(vars(value).get("__name__", ""))],
    "re.Pattern": lambda value: ["other", "re.Pattern", repr(value)],
    **dict.fromkeys(
        (f"ipaddress.IPv{version}{part}" for version in (4, 6) for part in ("Address", "Network", "Interface")),
        _text_cell,
    ),
    **dict.fromkeys(
        (
            f"pathlib{place}.{name}"
            for place in ("", "._local")
            for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
        ),
        _text_cell,
    ),
}
"""Names of types whose instances never change, each with what makes a cell; none of them runs code of the program."""


def leaf_maker(kind: type) -> Callable[[Any], Cell] | None:
    """Return what makes cells of a type's instances, or None where they are no leaves."""
    made = PLAIN.get(kind)
    if made is not None:
        return made
    bases = mro_of(kind)
    if type in bases:
        return lambda value: ["other", "builtins.type", type_name(value)]
    name = type_name(kind)
    made = _STANDARD.get(name)
    module = sys.modules.get(name.partition(".")[0])
    if made is not None and (module is not None or name.startswith("builtins.")):
        # A program may have a class of that name too; one of the standard library says where it comes from.
        return made if not hasattr(module, "__file__") or name.partition(".")[0] in sys.stdlib_module_names else None
    if enum.Enum in bases:
        return lambda value: _member_cell(name, value)
    for base, plain in _BASES:
        if base in bases:
            make = PLAIN[base]
            return lambda value: ["of", name, make(plain(value))]
    return None


def _member_cell(name: str, value: Any) -> Cell:
    fields = object.__getattribute__(value, "__dict__")
    content = fields.get("_value_")
    make = PLAIN.get(type(content))
    inner = make(content) if make is not None else ["other", type_name(type(content)), ""]
    return ["enum", name, str(fields.get("_name_", "")), inner]


_encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False)
_make_encoder: Any = getattr(json.encoder, "c_make_encoder", None)
# `encode` makes a new one for each message, which takes as long as a short message does.
_pieces: Callable[[Any, int], Iterable[str]] | None = (
    None
    if _make_encoder is None
    else _make_encoder(
        None, _encoder.default, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, False
    )
)


def message_line(message: dict[str, Any]) -> bytes:
    """Return a message as a line of ASCII."""
    text = _encoder.encode(message) if _pieces is None else "".join(_pieces(message, 0))
    return text.encode("ascii") + b"\n"


class Outlet(Protocol):
    """Where messages go."""

    is_open: bool

    @property
    def is_behind(self) -> bool:
        """Whether so much waits that changes are to merge."""

    def send(self, message: dict[str, Any]) -> None:
        """Send a message."""

    def finish(self) -> None:
        """Have what waits read, and close."""

    def close(self) -> None:
        """Close the connection."""


class Link:
    """The connection to the host.

    Attributes:
        is_open: whether messages can still be sent.
        waits: the program waits for a slow host instead of merging changes.
    """

    def __init__(self, place: str, *, waits: bool) -> None:
        """Connect.

        Args:
            place: path of the host's socket.
            waits: wait for a slow host.

        Raises:
            OSError: nobody listens there.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(5.0)
            self._socket.connect(place)
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise
        self.is_open = True
        self.waits = waits
        self._pending = bytearray()
        self._gave_up = self._is_held = False
        self._received = bytearray()

    @property
    def is_behind(self) -> bool:
        """Whether so much waits for the host that changes are to merge."""
        return len(self._pending) > _PENDING or (self._gave_up and bool(self._pending))

    @property
    def has_pending(self) -> bool:
        """Whether anything was not taken by the kernel yet."""
        return bool(self._pending)

    def fileno(self) -> int:
        """Return the number of the open file."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, or keep it until the host reads on; nothing where the host is gone."""
        if not self.is_open:
            return
        line = message_line(message)
        if self._is_held:
            self._pending += line
            return
        if self._pending:
            self._pending += line
            self.push()
        else:
            sent = self._try(line)
            if sent < len(line):
                self._pending += line[sent:]
        if not self._pending:
            self._gave_up = False
        elif self.waits and not self._gave_up:
            self._wait_for_room()

    def hold(self) -> None:
        """Keep what is sent from now on: writing to the socket would let other threads run."""
        self._is_held = True

    def let_go(self) -> None:
        """Send what was kept."""
        self._is_held = False
        self.push()

    def push(self) -> None:
        """Send what waits, as far as the host reads."""
        while self._pending and self.is_open:
            sent = self._try(bytes(self._pending[:262_144]))
            if sent == 0:
                return
            del self._pending[:sent]

    def _try(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.close()
            return len(data)

    def _wait_for_room(self) -> None:
        end = time.monotonic() + _LONGEST_STALL
        while self._pending and self.is_open:
            if time.monotonic() > end:
                # The host was stopped, or hangs: the program goes on, and changes merge until it reads again.
                self._gave_up = True
                return
            self.poll(0.5, for_room=True)
            self.push()

    def poll(self, seconds: float, *, for_room: bool = False) -> bool:
        """Wait until the host sent something, or reads on; return whether something may be read."""
        poller = select.poll()
        poller.register(self._socket.fileno(), select.POLLOUT if for_room else select.POLLIN)
        return bool(poller.poll(seconds * 1000))

    def receive(self) -> Iterator[dict[str, Any]]:
        """Yield the messages that have arrived; closes the link where the host is gone or sends what is no message."""
        while self.is_open:
            try:
                data = self._socket.recv(262_144)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data or len(self._received) > LARGEST_LINE:
                self.close()
                return
            self._received += data
            while (end := self._received.find(b"\n")) >= 0:
                line = bytes(self._received[:end])
                del self._received[: end + 1]
                try:
                    message = json.loads(line)
                except (ValueError, RecursionError):
                    self.close()
                    return
                if type(message) is dict:
                    yield message

    def finish(self) -> None:
        """Have the host read what waits, for some seconds, and close."""
        end = time.monotonic() + _LAST_SECONDS
        while self._pending and self.is_open and time.monotonic() < end:
            self.poll(0.2, for_room=True)
            self.push()
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False
        self._pending.clear()
        self._socket.close()
