"""Matching regular expressions of the standard library without ever waiting for one that does not end.

`re` cannot be stopped while it matches, and holds every other thread of the process meanwhile. So a match that is certain to
end in time is made at once, and any other one in a process of its own, which ends itself when the time is over.
"""

from __future__ import annotations

import re
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import subprocess

_STEPS_A_SECOND: Final = 200_000_000
"""Steps, as `_growth` counts them, that any machine makes; one that was measured made five times as many of the slowest ones."""
_MOST_POWER: Final = 12
"""Repeats beyond which no text is short enough; a number of many thousand digits is not worked out for it."""
_LATE: Final = 1
"""How the process ends when the time is over."""
_LONGEST_S: Final = 1e6
"""More than a clock of threads takes is no time that anybody waits."""
_PROGRAM: Final = """
import faulthandler, os, re, sys, warnings
warnings.simplefilter("ignore")
nowhere = open(os.devnull, "w")
def given():
    size = sys.stdin.buffer.read(8)
    text = sys.stdin.buffer.read(int.from_bytes(size, "big")) if size else b""
    return text.decode("utf-8", "surrogatepass") if size else None
def tell(start, end):
    sys.stdout.buffer.write(b"%d %d\\n" % (start, end))
    sys.stdout.buffer.flush()
flags = int(given())
pattern = re.compile(given(), flags)
tell(0, 0)
while (seconds := given()) is not None:
    text = given()
    faulthandler.dump_traceback_later(float(seconds), exit=True, file=nowhere)
    found = pattern.search(text)
    faulthandler.cancel_dump_traceback_later()
    tell(*(found.span() if found else (-1, -1)))
"""


class BoundedPattern:
    """A compiled pattern whose `search` ends in a given time, whatever pattern and text are."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        """Compile a pattern.

        Raises:
            re.error: it is no regular expression.
            RecursionError, OverflowError: nor one that can be compiled.
        """
        self._compiled = re.compile(pattern, flags)
        self.pattern = pattern
        self._flags = flags
        self._cost, self._power = _growth(pattern)
        self._lock = threading.Lock()
        self._matcher: subprocess.Popen[bytes] | None = None

    def search(self, text: str, seconds: float) -> tuple[int, int] | None:
        """Return where a text matches first, or None.

        Args:
            text: any.
            seconds: that a match may take, once there is a process that makes it.

        Raises:
            TimeoutError: it takes longer.
            OSError: the process that such a match needs cannot be started, or was ended by somebody.
        """
        if self._power <= _MOST_POWER and self._cost * (len(text) + 1) ** self._power <= seconds * _STEPS_A_SECOND:
            found = self._compiled.search(text)
            return None if found is None else found.span()
        with self._lock:
            start, end = self._elsewhere(text, seconds)
        return None if start < 0 else (start, end)

    def _elsewhere(self, text: str, seconds: float) -> tuple[int, int]:
        if self._matcher is None:
            self._matcher = self._begin()
        matcher = self._matcher
        try:
            return _exchange(matcher, str(min(seconds, _LONGEST_S)), text)
        except BaseException as error:
            # Also after an interruption: what it answers now belongs to nobody.
            self._matcher = None
            if isinstance(error, OSError) and matcher.wait() == _LATE:
                raise TimeoutError from None
            raise
        finally:
            if self._matcher is None:
                _end(matcher)

    def _begin(self) -> subprocess.Popen[bytes]:
        import subprocess  # most patterns never need it

        if not sys.executable:
            raise OSError("it is not known which Python this is")
        matcher = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        weakref.finalize(self, _end, matcher)
        _exchange(matcher, str(int(self._flags)), self.pattern)
        return matcher


def _growth(pattern: str) -> tuple[int, int]:
    """Return how many steps a match takes at most: the first, times the length of the text to the power of the second.

    A repeat of one character, class or point may end at any character, and an alternative doubles the ways. Repeats of
    groups and what spaces and comments could hide count as endless.
    """
    plain = re.sub(r"\\(\d)|\\.", lambda found: "x*" if found[1] else "x", pattern, flags=re.DOTALL)
    plain = re.sub(r"\[\^?\]?[^\]]*\]", "x", plain)
    if re.search(r"\)[*+{]|\(\?(?:[a-zA-Z-]*x|#)", plain):
        return 1, _MOST_POWER + 1
    ways = plain.count("|") + len(re.findall(r"(?<!\()\?", plain))
    return (len(pattern) + 1) << min(ways, 64), 1 + sum(map(plain.count, ("*", "+", "{", "(?P=")))


def _exchange(matcher: subprocess.Popen[bytes], *texts: str) -> tuple[int, int]:
    """Send texts and return the two numbers of the answer.

    Raises:
        OSError: the process has ended.
    """
    assert matcher.stdin is not None
    assert matcher.stdout is not None
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        matcher.stdin.write(len(data).to_bytes(8, "big") + data)
    matcher.stdin.flush()
    start, _, end = matcher.stdout.readline().partition(b" ")
    if not end:
        raise ChildProcessError("the process that matches patterns was ended")
    return int(start), int(end)


def _end(matcher: subprocess.Popen[bytes]) -> None:
    matcher.kill()
    for pipe in (matcher.stdin, matcher.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:
            # What it did not read any more.
            pass
    matcher.wait()


__all__ = ["BoundedPattern"]
