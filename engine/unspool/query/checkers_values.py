"""Checkers of single values: flipping to and fro, set twice in one action, changing their type."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from unspool.model.parts import content_of
from unspool.model.paths import Path
from unspool.model.values import MISSING, Value, strict_equal
from unspool.query.checkers_findings import CheckFinding, Scope
from unspool.query.checkers_moments import Moment, Touch
from unspool.query.checkers_patterns import shape_of_path
from unspool.query.checkers_words import brief, type_name

_PLACES: Final = 50_000
"""Values followed at once; the one longest untouched is forgotten first."""
_STREAM: Final = 8
"""Entries of one name in a row that are still taken for one action."""
_PARTS: Final = 20_000
"""Parts of one value that are looked at for their type."""
_LEVELS: Final = 100
"""Levels of one value that are looked at for their type: each part is known by its whole path."""


@dataclass(slots=True)
class _Swing:
    """A value's last change, and how often it has swung back."""

    seq: int
    old: Value
    since: int
    flips: int


class Oscillation:
    """Finds A to B and back to A, again and again."""

    def __init__(self, scope: Scope, *, within: int = 10, times: int = 3, booleans: bool = False) -> None:
        """Prepare.

        Args:
            scope: what is looked at.
            within: entries within which a value must come back.
            times: how often it must come back before it is told.
            booleans: look at booleans too, which have nowhere else to go.
        """
        self._scope, self._within, self._times, self._booleans = scope, within, times, booleans
        self._swings: OrderedDict[str, _Swing] = OrderedDict()

    def see(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.see`."""
        seq = moment.entry.seq
        for touch in moment.touches:
            if not self._scope.holds(touch.path) or (isinstance(touch.new, bool) and not self._booleans):
                continue
            last = self._swings.pop(touch.place, None)
            swing = _Swing(seq, touch.old, seq, 0)
            if last is not None and seq - last.seq <= self._within and strict_equal(last.old, touch.new):
                swing.since, swing.flips = last.since, last.flips + 1
            self._swings[touch.place] = swing
            if len(self._swings) > _PLACES:
                self._swings.popitem(last=False)
            if swing.flips == self._times:
                text = f"goes to and fro between {brief(touch.new)} and {brief(touch.old)}"
                yield CheckFinding(self._scope.name, seq, touch.place, text, swing.since)

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`."""
        return iter(())


class Overwrite:
    """Finds values set twice within one action: the first one was for nothing, or is lost.

    Entries belong to one action when their meta has the same `action_id`, or where there is none, when they carry
    the same action and follow each other within a few milliseconds. Many entries in a row with one name are no action
    but a stream of them, such as the ticks of a game; a name tells nothing there.
    """

    def __init__(self, scope: Scope, *, within_ms: float = 50.0) -> None:
        """Prepare.

        Args:
            scope: what is looked at.
            within_ms: milliseconds within which entries of one name are one action.
        """
        self._scope, self._within_ns = scope, within_ms * 1e6
        self._group: tuple[str, Value, int] | None = None
        self._entries = 0
        self._set: dict[str, tuple[int, Value]] = {}
        self._pending: list[CheckFinding] = []

    def see(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.see`."""
        entry = moment.entry
        identity = entry.meta.get("action_id", MISSING)
        if not self._continues(entry.action, identity, entry.timestamp_ns):
            yield from self.finish()
        self._group = (entry.action, identity, entry.timestamp_ns)
        self._entries += 1
        if self._entries > _STREAM and identity is MISSING:
            self._set.clear()
            self._pending.clear()
        elif entry.action:
            self._look(moment)
        if identity is not MISSING:
            # Who names its actions is believed, however many entries one has.
            pending, self._pending = self._pending, []
            yield from pending

    def _look(self, moment: Moment) -> None:
        seq, action = moment.entry.seq, moment.entry.action
        for touch in moment.touches:
            if touch.new is MISSING or not self._scope.holds(touch.path):
                continue
            earlier = self._set.get(touch.place)
            if earlier is not None or len(self._set) < _PLACES:
                self._set[touch.place] = (seq, touch.new)
            if earlier is not None and not strict_equal(earlier[1], touch.new):
                text = f"set to {brief(earlier[1])}, then to {brief(touch.new)} by the same action {action!r}"
                self._pending.append(CheckFinding(self._scope.name, seq, touch.place, text, earlier[0]))

    def _continues(self, action: str, action_id: Value, time_ns: int) -> bool:
        if self._group is None or self._group[0] != action:
            return False
        if action_id is not MISSING or self._group[1] is not MISSING:
            return strict_equal(self._group[1], action_id)
        return 0 <= time_ns - self._group[2] <= self._within_ns

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`: what was found in an action is told when it has ended."""
        pending, self._pending = self._pending, []
        self._entries = 0
        self._set.clear()
        return iter(pending)


class Drift:
    """Finds paths whose value changes its type; null and absence count as no type, all numbers as one."""

    def __init__(self, scope: Scope) -> None:
        """Prepare; nothing is known of any path."""
        self._scope = scope
        self._types: dict[str, dict[str, int]] = {}

    def see(self, moment: Moment) -> Iterator[CheckFinding]:
        """See `Checker.see`."""
        seq = moment.entry.seq
        for touch in moment.touches:
            for path, kind in _types_in(touch):
                if not self._scope.holds(path):
                    continue
                shape = shape_of_path(path)
                known = self._types.get(shape)
                if known is None:
                    if len(self._types) < _PLACES:
                        self._types[shape] = {kind: seq}
                elif kind not in known:
                    earlier, since = next(iter(known.items()))
                    known[kind] = seq
                    yield CheckFinding(self._scope.name, seq, shape, f"was {earlier}, now {kind}", since)

    def finish(self) -> Iterator[CheckFinding]:
        """See `Checker.finish`."""
        return iter(())


def _types_in(touch: Touch) -> Iterator[tuple[Path, str]]:
    """Yield path and type of a new value and of all that is in it."""
    pending: list[tuple[Path, Value]] = [(touch.path, touch.new)]
    seen = 0
    while pending and seen < _PARTS:
        path, value = pending.pop()
        seen += 1
        if value is MISSING or value is None:
            continue
        yield path, type_name(value)
        if len(path) - len(touch.path) == _LEVELS:
            continue
        content = content_of(value)
        # Items of a tuple, and values of keys that are numbers, may well be of different types.
        if isinstance(content, Mapping):
            pending.extend(((*path, key), item) for key, item in content.items() if isinstance(key, str))
        elif isinstance(content, list):
            pending.extend(((*path, index), item) for index, item in enumerate(content))
