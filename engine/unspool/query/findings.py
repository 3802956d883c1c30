"""Findings of checkers, the patterns of paths that rules are written in, and the moments they look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, Protocol

from unspool.delta.identity import names_identity
from unspool.errors import EntryNotKept, ExpressionError, PathSyntaxError, UnspoolError, nearest
from unspool.history.diff import Diff
from unspool.history.history import History, StateView
from unspool.model import paths
from unspool.model.entries import Entry, EntryKind, OpKind, SourceLine
from unspool.model.keys import Path, Step, format_path, spell_key
from unspool.model.paths import Glob, PathPattern, content_of, covers, step_fits, value_parts
from unspool.model.values import MISSING, Tagged, Unrepresentable, Value

_LONGEST: Final = 40


def type_name(value: Value) -> str:
    """Return a value's type as JSON calls it, or its own name."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case Mapping():
            return "object"
    return value.type_name if isinstance(value, Tagged | Unrepresentable) else type(value).__name__


def brief(value: Value) -> str:
    """Return a value in a few characters; containers by their size, since they may be of any depth."""
    if value is MISSING:
        return "nothing"
    if isinstance(value, Tagged):
        return f"{value.short_name}.{value.value[0]}" if value.is_member else value.type_name
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return f"{type_name(value)} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, str):
        text = repr(value[: _LONGEST + 1])
    elif value is None or isinstance(value, int | float | bytes):
        text = repr(value)
    else:
        return type_name(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


_MOST_NAMES: Final = 64
"""Names remembered of one place, to suggest from."""


def parse_pattern(text: str) -> PathPattern:
    """Read a pattern, whose names may hold `*` and `?`.

    Raises:
        ExpressionError: the text is no pattern; the message names the column.
    """
    try:
        return paths.parse_pattern(text, globs=True)
    except PathSyntaxError as error:
        raise ExpressionError(str(error)) from None


class PatternWatch:
    """Watches whether what a pattern names is ever there: a mistyped one finds nothing, which reads as no fault."""

    def __init__(self, pattern: PathPattern) -> None:
        """Watch a pattern."""
        self._pattern = pattern
        self._reached = -1
        self._lacking: set[str] = set()
        self._names: set[str] = set()

    def visit(self, state: Mapping[str, Value], changed: Collection[str]) -> None:
        """Look at a state, of which some atoms are new."""
        is_first = self._reached < 0
        if self._reached < len(self._pattern) and (
            is_first or any(step_fits(atom, self._pattern[0]) for atom in changed)
        ):
            self._look(state)

    def _look(self, state: Mapping[str, Value]) -> None:
        pending: list[tuple[int, Value | Mapping[str, Value]]] = [(0, state)]
        while pending:
            depth, value = pending.pop()
            if depth > self._reached:
                self._reached, self._lacking, self._names = depth, set(), set()
            if depth == len(self._pattern):
                return
            parts = value if isinstance(value, Mapping) else value_parts(value)
            items: Iterable[tuple[Step, Value]] = (
                parts.items() if isinstance(parts, Mapping) else enumerate(parts or ())
            )
            inside = [(depth + 1, part) for step, part in items if step_fits(step, self._pattern[depth])]
            pending += inside
            if inside or depth < self._reached:
                continue
            if parts:
                self._lacking.add("parts")
            else:
                # An empty list or object, or null, may have had it another time.
                self._lacking.add("nothing" if value is None or parts is not None else "value")
            if isinstance(parts, Mapping) and len(self._names) < _MOST_NAMES:
                self._names.update(map(spell_key, parts))

    def doubt(self) -> str:
        """Return why the pattern can hardly be meant; "" where something was there, or could have been."""
        may_have_been = "parts" not in self._lacking and ("nothing" in self._lacking or not self._lacking)
        if may_have_been or self._reached == len(self._pattern):
            return ""
        wanted = self._pattern[self._reached]
        suggested = "" if wanted is None or isinstance(wanted, Glob) else nearest(spell_key(wanted), self._names)
        return f"no entry has {spell_globs(self._pattern[: self._reached + 1])}{suggested}"


def spell_globs(pattern: PathPattern) -> str:
    """Spell a pattern for people."""
    return ".".join("*" if step is None else spell_key(step) for step in pattern)


def spell(path: Path) -> str:
    """Spell a path for people."""
    return format_path(path, root="")


class RecordKeys:
    """The identities of the records in the lists of one value; worked out once for each list."""

    def __init__(self) -> None:
        """Know no list."""
        self._counts: dict[tuple[Path, str], Counter[Value]] = {}

    def of(self, path: Path, records: list[Value], index: int) -> str:
        """Return what identifies a record among all others of its list, or "" where nothing does.

        Args:
            path: where the list stands.
            records: its items.
            index: the record's place in it.
        """
        field, value = _identity_of(records[index])
        if not field:
            return ""
        counts = self._counts.get((path, field))
        if counts is None:
            contents = (record if type(record) is dict else content_of(record) for record in records)
            ids = (content.get(field) for content in contents if isinstance(content, dict))
            counts = self._counts[path, field] = Counter(item for item in ids if isinstance(item, str | int))
        return f"{field}={brief(value)}" if counts[value] == 1 else ""


class Spelled(NamedTuple):
    """A path of a state, spelled for people.

    Attributes:
        place: the text.
        is_certain: whether it names the same value at another entry; a record that nothing tells from the others of its
            list may be another one there.
        holder: the object or list that the value stands in; None for a whole atom.
    """

    place: str
    is_certain: bool = True
    holder: Value = None


def spell_in(path: Path, atom: Value, keys: RecordKeys) -> Spelled:
    """Spell a path of a state; records of lists by what identifies them, so that the path stays when they move.

    Args:
        path: the path, which starts with the atom's name.
        atom: the atom's value, in which the records are looked up.
        keys: the identities of the records of this value's lists, kept from path to path.
    """
    spelled = [format_path(path[:1], root="")]
    is_certain = True
    value, holder = atom, None
    for depth, step in enumerate(path[1:], start=1):
        holder = value
        parts = value_parts(value)
        key = ""
        if isinstance(parts, list):
            value = parts[step] if isinstance(step, int) and step < len(parts) else None
            if isinstance(step, int) and isinstance(value_parts(value), dict):
                key = keys.of(path[:depth], parts, step)
                is_certain = is_certain and bool(key)
        else:
            value = (parts or {}).get(step)
        spelled.append(f"[{key}]" if key else format_path((step,), root="$")[1:])
    return Spelled("".join(spelled), is_certain, holder)


def _identity_of(record: Value) -> tuple[str, Value]:
    """Return the field by which a record says which it is, and what stands there; "" where it has none."""
    fields = content_of(record)
    for field, value in fields.items() if isinstance(fields, Mapping) else ():
        if isinstance(field, str) and isinstance(value, str | int) and names_identity(field):
            return field, value
    return "", None


_TOLD: Final = 1000
"""Entries that do not read which are reported; a doctor reports them all."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One value that an entry set, changed or took away.

    Attributes:
        path: where, from the state's root.
        place: the same for people; records of lists by their key, so that it stays the same when they move.
        old: the value before; `MISSING` when there was none.
        new: the value after; `MISSING` when it went.
        is_certain: whether `place` names the same value at other entries, see `Spelled`.
        holder: the object or list it stands in; None for a whole atom.
    """

    path: Path
    place: str
    old: Value
    new: Value
    is_certain: bool = True
    holder: Value = None


class Moment:
    """One entry, and what it changed."""

    def __init__(self, entry: Entry, diff: Diff, history: History) -> None:
        """Describe an entry; nothing inside atoms is worked out before it is asked for."""
        self.entry = entry
        self.diff = diff
        self._history = history

    @cached_property
    def touches(self) -> tuple[Touch, ...]:
        """The values it set, changed or took away."""
        return tuple(self._touches())

    def _touches(self) -> Iterator[Touch]:
        for change in self.diff.changes:
            before, after = RecordKeys(), RecordKeys()
            root: Path = (change.atom,)
            if change.old_bytes is None or change.new_bytes is None:
                yield Touch(root, spell(root), change.old, change.new)
                continue
            for op in change.ops:
                if op.kind is OpKind.MOVE:
                    continue
                path = root + op.path
                is_gone = op.kind is OpKind.REMOVE
                atom, keys = (change.old, before) if is_gone else (change.new, after)
                spelled = spell_in(path, atom, keys)
                yield Touch(path, spelled.place, op.old, op.new, spelled.is_certain, spelled.holder)

    @cached_property
    def view(self) -> StateView:
        """The state at the entry."""
        return self._history.view(self.entry.seq)


def moments(history: History, problems: list[str]) -> Iterator[Moment]:
    """Yield every entry that reads, notes aside; what does not is reported in `problems`, of very many the first ones.

    What an entry changed that follows a dropped one is not known, so it counts as having changed nothing.
    """
    for seq in range(history.first, len(history)):
        try:
            entry = history[seq]
            if entry.kind is EntryKind.NOTE:
                continue
            is_cut = entry.parent_seq is None and seq > 0
            yield Moment(entry, Diff(seq, seq, (), 0) if is_cut else history.changes(seq), history)
        except EntryNotKept:
            # A recorder dropped it meanwhile: it is none of the history any more.
            continue
        except UnspoolError as error:
            if len(problems) < _TOLD:
                problems.append(str(error))


SEVERITIES: Final = ("error", "warning", "info")
"""How much a finding matters, the most first."""


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """One thing a checker found.

    Attributes:
        checker: the checker's name, or the rule's where it has one.
        seq: the entry it shows at.
        path: the value it concerns.
        message: what is the matter, in one line.
        since: the entry it began at.
        severity: one of `SEVERITIES`.
        entries: at how many entries it shows, where that was counted.
        recovered_at: from which entry on it no longer shows, where that was looked for; None when it shows to the end.
        action: the action of the entry it shows at; filled in by `check`.
        timestamp_ns: the time of that entry; filled in by `check`.
        caller: the line of code behind that entry, where the recording kept it; filled in by `check`.
    """

    checker: str
    seq: int
    path: str
    message: str
    since: int
    severity: str = "warning"
    entries: int | None = None
    recovered_at: int | None = None
    action: str = ""
    timestamp_ns: int = 0
    caller: SourceLine | None = None

    def matters(self, least: str) -> bool:
        """Whether this is at least of a severity."""
        return SEVERITIES.index(self.severity) <= SEVERITIES.index(least)


def together(findings: Iterable[CheckFinding]) -> list[list[CheckFinding]]:
    """Return findings in groups of one checker at one entry, in order: what happens at once is often one fault."""
    groups: dict[tuple[int, str], list[CheckFinding]] = {}
    for finding in findings:
        groups.setdefault((finding.seq, finding.checker), []).append(finding)
    return list(groups.values())


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule looks at.

    Attributes:
        name: what its findings are called by.
        path: only values here and below; None for all.
    """

    name: str
    path: PathPattern | None = None

    def holds(self, path: Path) -> bool:
        """Whether a value is looked at."""
        return self.path is None or covers(self.path, path)

    def holds_atom(self, atom: str) -> bool:
        """Whether something of an atom may be looked at."""
        return self.path is None or covers(self.path[:1], (atom,))


class Checker(Protocol):
    """Looks at the entries of a history in order."""

    def visit(self, moment: Moment) -> Iterator[CheckFinding]:
        """Take the next entry and yield what shows at it."""

    def finish(self) -> Iterator[CheckFinding]:
        """Yield what shows only at the end."""


__all__ = ["MISSING", "Moment", "Touch", "moments"]
