"""The screens that pictures are taken of: which history each is of, where it begins and which keys lead there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from unspool.query.simulator import Candidate, Simulation, Timing
from unspool_tui.live_programs import ATTACHABLE, REFUSED, LiveProgram
from unspool_tui.settings import Settings
from unspool_tui.view.model import RecordingProgram

COATS: dict[str, dict[str, Any]] = {
    "dark": {},
    "light": {"settings": Settings(theme="unspool-light")},
    "ascii": {"ascii": True},
}
"""In what every screen is drawn, as options of the app; the first has no name in that of a picture."""


class Look(NamedTuple):
    """One screen.

    Attributes:
        keys: what is pressed; an empty key is a rest in between, and `see:` waits until the screen shows a text.
        at: the entry to begin at; None follows the newest.
        of: the history, one of `looks_histories.HISTORIES`.
        card: the card that is shown above the last line.
        program: the history is being recorded by a program that can be asked to go back.
    """

    keys: tuple[str, ...]
    at: int | None = 136
    of: str = "shop"
    card: str = ""
    program: bool = False


def _typed(text: str) -> tuple[str, ...]:
    return tuple("space" if letter == " " else letter for letter in text)


_EXAMINED = ("c", "D", "see: entries read ")
_NUMBER = ("/", *_typed("requests > 149"), "enter", "")

LOOKS = {
    "main": Look(("2", "j")),
    "following": Look((), None),
    "base": Look(("m", *["."] * 20, "b", "3", "g", "l", "j", "l", "j"), 100),
    "changes zoomed and split": Look(("m", "}", "2", "z"), 20),
    "inspect as json": Look(("3", "v", "j", "j")),
    "stats zoomed": Look(("4", "z", "see:healthy")),
    "words": Look(("e", "2")),
    "search": Look(("/", *_typed("Restock"), "enter", "", "n"), 0),
    "search prompt": Look(("/", *_typed("price > 3"))),
    "filter": Look(("\\", *_typed("changes>2"), "enter", "")),
    "filter prompt refused": Look(("\\", *_typed("atm:cart"))),
    "palette": Look((":", *_typed("dif"))),
    "go to": Look((":", *_typed("12:00:20"))),
    "help": Look(("?",)),
    "copy menu": Look(("2", "j", "y")),
    "against menu": Look(("m", ".", "d")),
    "bookmarks menu": Look(("b", *["."] * 7, "b", "{", "b", "'")),
    "export menu": Look(("E",)),
    "export prompt": Look(("E", "s", "see:writes ~")),
    "bisect prompt": Look(("B", *_typed("cart.total > `0`"))),
    "bisect answer": Look(("B", *_typed("requests > `120`"), "enter", "see:entries rebuilt")),
    "theme preview": Look(("t", "down")),
    "plot": Look((*_NUMBER, "s", ""), 0),
    "watches": Look(
        ("=", *_typed("requests > `120`"), "enter", "=", *_typed("$.requests"), "enter", "", "see:since #"), 150
    ),
    "lanes": Look((*_NUMBER, "", "P", "", "2", "g", "", "P", ""), 0),
    "messages": Look(("b", ".", "m", "M", "M", "!")),
    "chains": Look(("c",)),
    "chains examined": Look(_EXAMINED),
    "one chain": Look(("c", "enter", "")),
    "chains as a list": Look((*_EXAMINED, "v")),
    "chains with findings": Look(_EXAMINED, 499, "hurt"),
    "repair prompt": Look((*_EXAMINED, "R", "see:writes ~"), 499, "hurt"),
    "simulator": Look(("S", "", "j")),
    "playing faster": Look(("shift+up", "shift+up")),
    "writes menu": Look(("2", "j", "W", "")),
    "checkers": Look(("K", "see: finding"), of="faulty"),
    "doctor's findings": Look((*_EXAMINED, "F", ""), 499, "hurt"),
    "where the bytes are": Look(("U", "see:codec")),
    "identity prompt": Look(("I",)),
    "unreadable entry": Look(("{",), 499, "hurt"),
    "palette of paths": Look((":", *_typed("stock"))),
    "actions": Look(("a",)),
    "row letters": Look((";",)),
    "why": Look(("2", "j", "j", "j", "Y", "")),
    "raw and wrapped": Look(("3", "v", "v", "w")),
    "unchanged and gaps": Look(("u", "T", "2")),
    "timeline by time": Look(("Z", "6", "+", "+", "h", "h")),
    "another rule": Look(("c", "S", "see:with changes:20")),
    "nothing found": Look(("/", *_typed("zebra"), "enter", "")),
    "nothing passes": Look(("\\", *_typed("zebra"), "enter", "")),
    "nothing recorded": Look((), None, "nothing"),
    "one entry": Look((), None, "one entry"),
    "hostile": Look(("2", "j"), None, "hostile"),
    "notes": Look(('"', ""), 5, "noted"),
    "note prompt": Look(("2", "j", "i", *_typed("sold twice"))),
    "first run": Look((), card="app"),
    "demo": Look(("K", "see: finding", "enter", ""), None, "demo", "demo"),
    "line of code": Look(("1",), 17, "demo"),
    "palette of everything": Look((":",)),
    "command refused": Look(("M",)),
    "programs": Look(("A", "see:can be attached", "j")),
    "program put back": Look(("J",), program=True),
    "program paused": Look(("k",), program=True),
    "lanes of parts": Look(("#",), None, "parts"),
}


def candidate(codec: str, strategy: str, size: int, longest: int, rebuild: float, *, best: bool = False) -> Candidate:
    return Candidate(
        strategy,
        codec,
        size,
        size,
        size * 2,
        200 // (longest + 1),
        longest,
        Timing(rebuild / 3, rebuild),
        Timing(40.0, 90.0),
        on_front=best,
    )


_BEST = candidate("auto", "auto", 18_400, 64, 410.0, best=True)
_ALL = (
    _BEST,
    candidate("dict", "changes:100", 19_900, 100, 640.0),
    candidate("dict", "changes:50", 22_300, 50, 330.0, best=True),
    candidate("dict", "adaptive", 26_100, 34, 260.0, best=True),
    candidate("dict", "changes:10", 48_800, 10, 120.0, best=True),
    candidate("compress", "auto", 61_000, 0, 95.0, best=True),
    candidate("none", "auto", 240_000, 0, 60.0, best=True),
)
SIMULATION = Simulation(
    "shop.unspool",
    200,
    200,
    ((0, 199),),
    _ALL,
    _BEST,
    "the smallest file of those that rebuild within 5 ms",
    'Recorder(path, strategy="auto", codec="auto")',
    ("binary was not tried: it needs bsdiff4 (`pip install 'unspool[binary]'`)",),
    complete=True,
)
"""What a simulation told once; measured times would make every picture another."""


PROGRAM = RecordingProgram("shop", "shop.py", frozenset({"jump", "look", "pause", "resume"}), at=120, paused=True)
"""What a program that records says of itself."""

PROGRAMS = (
    LiveProgram(4711, "shop.py", "recording", file=Path("shop.unspool"), can=("jump", "pause")),
    LiveProgram(4712, "cart.py", "capped", file=Path("cart.unspool")),
    LiveProgram(
        4713, "python -m http.server --directory exports/of/last/month --bind 127.0.0.1 8000", ATTACHABLE, "3.12"
    ),
    LiveProgram(4714, "python old.py", REFUSED, "3.10", refusal="process 4714 runs a Python older than 3.11; run it"),
)
"""What runs on a machine."""
