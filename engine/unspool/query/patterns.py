"""Matching regular expressions of the standard library without ever waiting for one that does not end.

`re` cannot be stopped while it matches, and holds every other thread of the process meanwhile. So a match that is certain to
end in time is made at once, and any other one in a process of its own, which ends itself when the time is over.
"""

from __future__ import annotations

import re
import sys
import threading
import weakref
from itertools import islice
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
import faulthandler, itertools, os, re, sys, warnings
warnings.simplefilter("ignore")
nowhere = open(os.devnull, "w")
def given():
    size = sys.stdin.buffer.read(8)
    text = sys.stdin.buffer.read(int.from_bytes(size, "big")) if size else b""
    return text.decode("utf-8", "surrogatepass") if size else None
def tell(spans):
    sys.stdout.buffer.write(b" ".join(b"%d %d" % span for span in spans) + b"\\n")
    sys.stdout.buffer.flush()
flags = int(given())
pattern = re.compile(given(), flags)
tell([])
while (seconds := given()) is not None:
    text = given()
    most = int(given())
    faulthandler.dump_traceback_later(float(seconds), exit=True, file=nowhere)
    found = [match.span() for match in itertools.islice(pattern.finditer(text), most or None)]
    faulthandler.cancel_dump_traceback_later()
    tell(found)
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
        found = self.spans(text, seconds, most=1)
        return found[0] if found else None

    def spans(self, text: str, seconds: float, *, most: int = 0) -> list[tuple[int, int]]:
        """Return where a text matches, from the first place on; no two overlap.

        Args:
            text: any.
            seconds: that all of it may take, once there is a process that makes it.
            most: how many places; 0 for all.

        Raises:
            TimeoutError: it takes longer.
            OSError: the process that such a match needs cannot be started, or was ended by somebody.
        """
        if self._power <= _MOST_POWER and self._cost * (len(text) + 1) ** self._power <= seconds * _STEPS_A_SECOND:
            return [found.span() for found in islice(self._compiled.finditer(text), most or None)]
        with self._lock:
            return self._elsewhere(text, seconds, most)

    def _elsewhere(self, text: str, seconds: float, most: int) -> list[tuple[int, int]]:
        if self._matcher is None:
            self._matcher = self._begin()
        matcher = self._matcher
        try:
            return _exchange(matcher, str(min(seconds, _LONGEST_S)), text, str(most))
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


def _exchange(matcher: subprocess.Popen[bytes], *texts: str) -> list[tuple[int, int]]:
    """Send texts and return the pairs of numbers of the answer.

    Raises:
        OSError: the process has ended.
    """
    assert matcher.stdin is not None
    assert matcher.stdout is not None
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        matcher.stdin.write(len(data).to_bytes(8, "big") + data)
    matcher.stdin.flush()
    line = matcher.stdout.readline()
    if not line.endswith(b"\n"):
        raise ChildProcessError("the process that matches patterns was ended")
    numbers = list(map(int, line.split()))
    return list(zip(numbers[::2], numbers[1::2], strict=True))


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
