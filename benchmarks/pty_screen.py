"""A small terminal screen: as much of xterm as Textual programs write. Standard library only."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterator
from typing import Final

_TOKEN: Final = re.compile(
    r"\x1b\[(?P<body>[0-?]*[ -/]*)(?P<csi>[@-~])"
    r"|(?P<string>\x1b[\]P_^X](?:[^\x07\x1b]|\x1b(?!\\))*(?:\x07|\x1b\\))"
    r"|(?P<escape>\x1b[ #%()*+\-./]?[0-OQ-WYZ\\`-~])"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)",
    re.DOTALL,
)
_ALTERNATE: Final = (47, 1047, 1049)
_SYNCHRONISED: Final = 2026

_COLOUR: Final = {3: 0, 9: 0, 4: 1, 10: 1}
"""Which of the two colours a number of a sequence sets, by its tens: the text's or the background's."""
_PLAIN: Final = (0, 0, frozenset[int]())

Look = tuple[Hashable, Hashable, frozenset[int]]
"""Colour of the text, colour of the background, attributes."""
Cells = tuple[tuple[Hashable, ...], ...]


class Screen:
    """Cells with their text and look, kept up by what a program writes."""

    def __init__(self, columns: int, rows: int, reply: Callable[[bytes], None]) -> None:
        """Make an empty screen.

        Args:
            columns: width.
            rows: height.
            reply: takes the answers to what a program asks the terminal.
        """
        self._columns, self._rows, self._reply = columns, rows, reply
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._look: Look = _PLAIN
        self._x = self._y = 0
        self._clear()

    def _clear(self) -> None:
        self._text = [[" "] * self._columns for _ in range(self._rows)]
        self._looks: list[list[Look]] = [[_PLAIN] * self._columns for _ in range(self._rows)]

    def text(self) -> str:
        """Return the rows as text, blanks at their ends cut off."""
        return "\n".join("".join(row).rstrip() for row in self._text)

    def cells(self) -> tuple[Cells, Cells]:
        """Return a copy of all text and looks, to be compared with a later one."""
        return tuple(map(tuple, self._text)), tuple(map(tuple, self._looks))

    def feed(self, data: bytes) -> None:
        """Take in what a program wrote; a sequence may be cut anywhere."""
        written = self._rest + self._decode(data)
        place = 0
        while place < len(written):
            found = _TOKEN.match(written, place)
            if found is None:
                if written[place] == "\x1b":
                    break
                place += 1
                continue
            self._token(found)
            place = found.end()
        self._rest = written[place:]

    def _token(self, found: re.Match[str]) -> None:
        match found.lastgroup:
            case "text":
                self._write(found["text"])
            case "csi":
                self._sequence(found["body"], found["csi"])
            case "control":
                self._control(found["control"])
            case "string" if found["string"].startswith(("\x1b]10;?", "\x1b]11;?")):
                self._reply(found["string"][:4].encode() + b";rgb:0000/0000/0000\x1b\\")

    def _write(self, text: str) -> None:
        for character in text:
            size = _width(character)
            if size == 0:
                continue
            if self._x + size > self._columns:
                self._x = 0
                self._line_feed()
            cells, looks = self._text[self._y], self._looks[self._y]
            cells[self._x], looks[self._x] = character, self._look
            if size == 2:
                cells[self._x + 1], looks[self._x + 1] = "", self._look
            self._x += size

    def _control(self, character: str) -> None:
        if character == "\r":
            self._x = 0
        elif character == "\n":
            self._line_feed()
        elif character == "\b":
            self._x = max(0, self._x - 1)

    def _line_feed(self) -> None:
        if self._y < self._rows - 1:
            self._y += 1
            return
        del self._text[0], self._looks[0]
        self._text.append([" "] * self._columns)
        self._looks.append([_PLAIN] * self._columns)

    def _sequence(self, body: str, final: str) -> None:
        if body[:1] in ("?", ">", "<", "="):
            self._private(body, final)
            return
        numbers = [int(part) if part.isdigit() else 0 for part in body.split(";")]
        first = max(numbers[0], 1)
        match final:
            case "m":
                self._look = _styled(self._look, iter(numbers))
            case "H" | "f":
                self._go(max(numbers[1], 1) - 1 if len(numbers) > 1 else 0, first - 1)
            case "A" | "B":
                self._go(self._x, self._y + (first if final == "B" else -first))
            case "C" | "D":
                self._go(self._x + (first if final == "C" else -first), self._y)
            case "G":
                self._go(first - 1, self._y)
            case "J" if numbers[0] >= 2:
                self._clear()
            case "J":
                for row in range(self._y + 1, self._rows):
                    self._erase(row, 0)
                self._erase(self._y, self._x)
            case "K":
                self._erase(self._y, self._x)
            case "c":
                self._reply(b"\x1b[?62;22c")
            case "n" if numbers[0] == 6:
                self._reply(f"\x1b[{self._y + 1};{self._x + 1}R".encode())

    def _private(self, body: str, final: str) -> None:
        number = int(re.sub(r"\D", "", body) or 0)
        if body.startswith("?") and body.endswith("$") and final == "p":
            self._reply(f"\x1b[?{number};{2 if number == _SYNCHRONISED else 0}$y".encode())
        elif body.startswith("?") and final in "hl" and number in _ALTERNATE:
            self._clear()

    def _go(self, x: int, y: int) -> None:
        self._x = min(max(x, 0), self._columns - 1)
        self._y = min(max(y, 0), self._rows - 1)

    def _erase(self, row: int, start: int) -> None:
        count = self._columns - start
        self._text[row][start:] = [" "] * count
        self._looks[row][start:] = [_PLAIN] * count


def _styled(look: Look, numbers: Iterator[int]) -> Look:
    """Return a look after a sequence that sets styles; what it leaves alone stays."""
    colours, attributes = [look[0], look[1]], set(look[2])
    for number in numbers:
        if number == 0:
            colours, attributes = [0, 0], set()
        elif number < 10 or number == 21:
            attributes.add(number)
        elif number < 30:
            attributes -= {1, 2} if number == 22 else {4, 21} if number == 24 else {number - 20}
        elif number // 10 in _COLOUR:
            place = _COLOUR[number // 10]
            if number in (38, 48):
                colours[place] = tuple(next(numbers, 0) for _ in range(1 if next(numbers, 0) == 5 else 3))
            else:
                colours[place] = 0 if number in (39, 49) else number
    return colours[0], colours[1], frozenset(attributes)


def _width(character: str) -> int:
    if character < "\u0300":
        return 1
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
