"""Where the bytes of a history are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from unspool.codec.records import FULL_CODECS, Form, PackedRecords, Record, RecordCodec, decode_delta
from unspool.errors import CorruptHistory, EntryNotKept
from unspool.history.diff import fork_base
from unspool.history.history import History
from unspool.history.verdict import Problem
from unspool.model.entries import NOTE
from unspool.model.keys import Path, format_path
from unspool.model.limits import Cancelled, Progress, never, no_progress
from unspool.model.paths import PathPattern, covers
from unspool.model.wire import text_size
from unspool.query.findings import parse_pattern
from unspool.query.lineage import EMPTY_STATE, StateReader, Stretch, Wire, windows
from unspool.query.value_parts import Difference, differences, leaves
from unspool.store.protocol import HOLE, Columns, RecordRun


@dataclass(frozen=True, slots=True)
class Share:
    """What an atom, or all values at one kind of path, takes.

    Attributes:
        name: the atom's name, or the path with `[*]` for list items and `*` for keys of which there are many.
        stored_bytes: bytes of records spent on it.
        changes: entries that changed it.
        alone: those of them that changed nothing else, and would not be there without it.
        rewritten: times it was stored although nothing in it had changed, in full snapshots and whole values.
        rewritten_bytes: bytes that took.
    """

    name: str
    stored_bytes: int
    changes: int
    alone: int
    rewritten: int
    rewritten_bytes: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What the entries of one action, or of one codec, take.

    Attributes:
        name: the action or codec.
        entries: how many there are.
        stored_bytes: bytes of their records.
    """

    name: str
    entries: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What not recording something would save, projected from what it takes now.

    Attributes:
        pattern: what would be left out, as it was asked for.
        matched: kinds of paths that it covers.
        stored_bytes: bytes of records saved.
        full_bytes: bytes that the whole states would be smaller, over all entries.
        entries: entries that would change nothing any more.
    """

    pattern: str
    matched: int
    stored_bytes: int
    full_bytes: int
    entries: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """Where the bytes of a history are: of its records as recorded, before blocks of them are compressed.

    A record's bytes are shared out over atoms exactly where it is written key by key, and by size otherwise; those of
    an atom are shared out over its values by their size.

    Attributes:
        entries: entries looked at.
        stored_bytes: bytes of their records.
        full_bytes: bytes of their whole states, notes aside.
        atoms: the largest first.
        paths: the largest first; at most as many as asked for.
        actions: the largest first; all notes are one of them.
        codecs: the largest first.
        exclusions: in the order asked for.
        complete: False when cancelled, or when entries that cannot be read were stepped over.
        problems: those entries.
    """

    entries: int
    stored_bytes: int
    full_bytes: int
    atoms: tuple[Share, ...]
    paths: tuple[Share, ...]
    actions: tuple[Spent, ...]
    codecs: tuple[Spent, ...]
    exclusions: tuple[Exclusion, ...]
    complete: bool
    problems: tuple[Problem, ...]


Kind = tuple[str | int, ...]
"""A path in which `EACH` stands for every item of a list and `MANY` for the keys of a table."""
EACH: Final = -1
MANY: Final = -2
_MANY: Final = 64
"""Keys that an object may have had; with more they are taken for data, not for names of fields."""
_EMPTY: Final = frozenset((b"\x80", b"\x90"))
"""Wire forms of an object and a list without parts."""


class Kinds:
    """Returns the kind of a path. A path keeps its kind, so that what was added for it can be taken away again."""

    def __init__(self) -> None:
        """Start without tables."""
        self._keys: defaultdict[Kind, set[str]] = defaultdict(set)
        self._tables: set[Kind] = set()

    def of(self, path: Path) -> Kind:
        """Return the kind of a path."""
        kind: Kind = (str(path[0]),)
        for step in path[1:]:
            if not isinstance(step, str):
                kind = (*kind, EACH)
                continue
            keys = self._keys[kind]
            if step not in keys:
                if len(keys) >= _MANY:
                    self._tables.add(kind)
                    kind = (*kind, MANY)
                    continue
                keys.add(step)
            kind = (*kind, step)
        return kind

    def sizes(self, value: bytes, path: Path) -> Iterator[tuple[Kind, int]]:
        """Yield the kinds of the leaves of a value, each with its bytes and those of its key; what is empty is none."""
        for leaf, part in leaves(value, path):
            if part not in _EMPTY:
                yield self.of(leaf), len(part) + (text_size(leaf[-1]) if isinstance(leaf[-1], str) else 0)

    def folded(self, kind: Kind) -> Kind:
        """Return a kind with the keys of what turned out to be tables as `MANY`."""
        return tuple(
            MANY if at and step != EACH and kind[:at] in self._tables else step for at, step in enumerate(kind)
        )


def spell(kind: Kind) -> str:
    """Spell a kind of path: `rows[*].name`, `users.*.name`."""
    known = {EACH: "[*]", MANY: ".*"}
    parts = [known[step] if isinstance(step, int) else format_path((step,), root="$")[1:] for step in kind]
    return "".join(parts).removeprefix(".")


def as_path(kind: Kind) -> Path:
    """Return a kind as a path that patterns can be held against."""
    return tuple("*" if isinstance(step, int) else step for step in kind)


K = TypeVar("K")


@dataclass(slots=True)
class UsageTally:
    """What one atom or kind takes."""

    stored: float = 0.0
    changes: int = 0
    alone: int = 0
    rewritten: int = 0
    rewritten_bytes: float = 0.0

    def add(self, other: UsageTally) -> None:
        """Take over what another one counted."""
        self.stored += other.stored
        self.changes += other.changes
        self.alone += other.alone
        self.rewritten += other.rewritten
        self.rewritten_bytes += other.rewritten_bytes

    def share(self, name: str) -> Share:
        """Return the result."""
        stored, rewritten = round(self.stored), round(self.rewritten_bytes)
        return Share(name, stored, self.changes, self.alone, self.rewritten, rewritten)


class Tallies(Generic[K]):
    """Tallies by atom or kind."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.by_key: defaultdict[K, UsageTally] = defaultdict(UsageTally)

    def changed(self, keys: set[K]) -> None:
        """Note what one entry changed."""
        for key in keys:
            self.by_key[key].changes += 1
        if len(keys) == 1:
            self.by_key[next(iter(keys))].alone += 1

    def spent(self, total: float, weights: Mapping[K, int], changed: Iterable[K]) -> None:
        """Share bytes out by weight; whatever is not among `changed` was written although it was as before."""
        whole = sum(weights.values())
        known = frozenset(changed)
        for key, weight in weights.items():
            share = total * weight / whole if whole else total / len(weights)
            tally = self.by_key[key]
            tally.stored += share
            if key not in known:
                tally.rewritten += 1
                tally.rewritten_bytes += share


_PART_COST: Final = 6
"""Bytes a patch takes besides the part it writes: where it goes and how long it is."""

Sizes = dict[Kind, int]
"""Bytes by kind of path."""


class Records:
    """The records of a history, one decoded run at a time."""

    def __init__(self, history: History) -> None:
        """Read records of a history."""
        self._store = history.store
        self._run = RecordRun(0, PackedRecords((), ()))

    def writes(self, seq: int) -> dict[str, tuple[Form, int]] | None:
        """Return how a key-wise delta writes each atom and the bytes that takes; None for any other record.

        Raises:
            CorruptHistory: the record cannot be read.
        """
        if not self._run.first <= seq < self._run.stop:
            self._run = self._store.run(seq)
        record: Record = self._run.records[seq - self._run.first]
        if record.codec is not RecordCodec.DICT:
            return None
        writes = decode_delta(record.payload, self._store.atom_name)
        return {write.atom: (write.form, len(write.payload)) for write in writes}


@dataclass(slots=True)
class Left:
    """What leaving out a pattern would save.

    Attributes:
        pattern: what would be left out.
        now: bytes that it takes in the state at hand.
        full: bytes that it takes in all states so far.
        entries: entries that changed nothing else.
    """

    pattern: PathPattern
    now: int = 0
    full: int = 0
    entries: int = 0
    covered: dict[Kind, bool] = field(default_factory=dict)

    def covers(self, kind: Kind) -> bool:
        """Whether a kind would be left out."""
        known = self.covered.get(kind)
        if known is None:
            known = self.covered[kind] = covers(self.pattern, as_path(kind))
        return known


class UsageLedger:
    """Takes entries one by one, in the order they were recorded."""

    def __init__(self, reader: StateReader, patterns: Mapping[str, PathPattern]) -> None:
        """Start before the first entry.

        Args:
            reader: where states come from.
            patterns: what might be left out, by the text it was asked for with.
        """
        self.kinds = Kinds()
        self.atoms: Tallies[str] = Tallies()
        self.paths: Tallies[Kind] = Tallies()
        self.left = {text: Left(pattern) for text, pattern in patterns.items()}
        self.totals: Counter[str] = Counter()
        self.actions: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.codecs: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._reader = reader
        self._records = Records(reader.history)
        self._profile: dict[str, Sizes] = {}
        self._last: tuple[int, Wire] = (-1, EMPTY_STATE)

    def take(self, seq: int, stretch: Stretch, stored: int, *, full: bool) -> bool:
        """Take the next entry; say whether it could be read.

        Raises:
            CorruptHistory: it cannot be read, and damage is not to be skipped.
        """
        new = self._reader.state(seq)
        parent = stretch.parent_of(seq)
        old = self._last[1] if parent == self._last[0] else self._reader.state(parent)
        if old is not None and stretch.part is not None and seq == stretch.first:
            old = fork_base(self._last[1], old, stretch.part)
        if new is None:
            return False
        # Behind a gap, what was read last stands in for the state before.
        changed = self._follow(self._last[1] if old is None else old, new)
        self._last = (seq, new)
        try:
            writes = None if full else self._records.writes(seq)
        except EntryNotKept:
            # A recorder dropped it meanwhile: it is none of the history any more.
            return False
        except CorruptHistory as error:
            self._reader.note(seq, error)
            return False
        self._note_changes(changed)
        self._spend(stored, new, changed, writes, full=full)
        return True

    def count(self, seq: int, columns: Columns, action: str) -> None:
        """Count an entry that was taken, by its action and codec."""
        stored, is_note = columns.stored[seq], columns.kind[seq] == NOTE
        self.totals.update(entries=1, stored=stored, full=0 if is_note else columns.full_bytes[seq])
        # What a note says is no action that others share.
        for spent in (self.actions[_NOTES if is_note else action], self.codecs[_codec(columns.codec[seq])]):
            spent[0] += 1
            spent[1] += stored

    def _follow(self, old: Wire, new: Wire) -> dict[str, Sizes]:
        """Bring the profile to a new state, and return the changed parts against the state it follows."""
        last = self._last[1]
        changed: dict[str, Sizes] = {atom: {} for atom in _differing(old, new)}
        for atom, sizes in changed.items():
            for part in self._parts(atom, old, new):
                self._measure(part, sizes, self._profile if old is last else None)
        if old is not last:
            for atom in _differing(last, new):
                for part in self._parts(atom, last, new):
                    self._measure(part, {}, self._profile)
        return changed

    def _parts(self, atom: str, old: Wire, new: Wire) -> Iterator[Difference]:
        return differences(old.get(atom), new.get(atom), (atom,), self._reader.history.identity)

    def _measure(self, part: Difference, sizes: Sizes, profile: dict[str, Sizes] | None) -> None:
        """Count a changed part: what it costs to write, and what it makes of the profile."""
        for path, value, sign, cost in (
            (part.old_path, part.old_bytes, -1, 0),
            (part.new_path, part.new_bytes, 1, _PART_COST),
        ):
            for kind, size in self.kinds.sizes(value, path or ()) if value is not None else ():
                sizes[kind] = sizes.get(kind, 0) + (size + cost if sign > 0 else 1)
                if profile is not None:
                    self._weigh(kind, sign * size, profile.setdefault(str(kind[0]), {}))

    def _weigh(self, kind: Kind, size: int, profile: Sizes) -> None:
        now = profile.get(kind, 0) + size
        if now > 0:
            profile[kind] = now
        else:
            profile.pop(kind, None)
        for left in self.left.values():
            if left.covers(kind):
                left.now += size

    def _note_changes(self, changed: Mapping[str, Sizes]) -> None:
        kinds = {kind for sizes in changed.values() for kind in sizes}
        self.atoms.changed(set(changed))
        self.paths.changed(kinds)
        # An atom whose items only changed places has no changed parts, and counts by itself.
        parts = [kind for atom, sizes in changed.items() for kind in sizes or ((atom,),)]
        for left in self.left.values():
            left.full += left.now
            left.entries += bool(parts) and all(map(left.covers, parts))

    def _spend(
        self,
        stored: int,
        new: Wire,
        changed: Mapping[str, Sizes],
        writes: Mapping[str, tuple[Form, int]] | None,
        *,
        full: bool,
    ) -> None:
        """Share the bytes of a record out over atoms, and those of each atom over its kinds of paths."""
        if full:
            weights = {atom: len(value) for atom, value in new.items()}
        elif writes is not None:
            weights = {atom: max(size, 1) for atom, (_, size) in writes.items()}
        else:
            weights = {atom: max(sum(sizes.values()), 1) for atom, sizes in changed.items()}
        self.atoms.spent(stored, weights, changed)
        total = sum(weights.values())
        for atom, weight in weights.items():
            sizes = changed.get(atom, {})
            profile = self._profile.get(atom)
            whole = full or writes is None or writes[atom][0] in (Form.ADDED, Form.VALUE)
            parts = profile if profile and (whole or not sizes) else sizes
            self.paths.spent(stored * weight / total, parts, sizes)


def _differing(old: Wire, new: Wire) -> list[str]:
    return [atom for atom in (*old, *(atom for atom in new if atom not in old)) if old.get(atom) != new.get(atom)]


_TOP: Final = 20
_NOTES: Final = "(notes)"


def footprint(
    history: History,
    *,
    top: int = _TOP,
    exclude: Iterable[str] = (),
    skip_damaged: bool = False,
    cancelled: Cancelled = never,
    progress: Progress = no_progress,
) -> Footprint:
    """Report where the bytes of a history are.

    Args:
        history: where to look.
        top: how many kinds of paths are listed.
        exclude: patterns of paths, such as `clock` or `rows[*].note`; of each it is projected what not recording it
            would save.
        skip_damaged: step over entries that cannot be read instead of raising.
        cancelled: ends the count when it says yes; what was counted by then is returned.
        progress: called with how far it is.

    Raises:
        ExpressionError: an excluded path is no pattern.
        CorruptHistory: an entry cannot be read.
    """
    patterns = {text: parse_pattern(text) for text in exclude}
    reader = StateReader(history, skip_damaged=skip_damaged)
    ledger = UsageLedger(reader, patterns)
    columns = history.columns()
    complete = True
    for stretch in windows(history):
        names = _actions(reader, stretch)
        for seq in range(stretch.first, stretch.last + 1):
            complete = complete and not cancelled()
            if not complete:
                break
            progress(seq, len(columns.stored))
            if ledger.take(seq, stretch, columns.stored[seq], full=columns.codec[seq] in FULL_CODECS):
                ledger.count(seq, columns, names.get(seq, ""))
    return Footprint(
        entries=ledger.totals["entries"],
        stored_bytes=ledger.totals["stored"],
        full_bytes=ledger.totals["full"],
        atoms=_ranked({name: tally.share(name) for name, tally in ledger.atoms.by_key.items()}.values()),
        paths=_paths(ledger)[:top],
        actions=_spent(ledger.actions),
        codecs=_spent(ledger.codecs),
        exclusions=_exclusions(ledger),
        complete=complete and not reader.problems,
        problems=reader.problems,
    )


def _actions(reader: StateReader, stretch: Stretch) -> dict[int, str]:
    try:
        return {entry.seq: entry.action for entry in reader.history[stretch.first : stretch.last + 1]}
    except CorruptHistory as error:
        reader.note(stretch.first, error)
        return {}


def _codec(code: int) -> str:
    return "unreadable" if code == HOLE else RecordCodec(code).name.lower()


def _ranked(shares: Iterable[Share]) -> tuple[Share, ...]:
    return tuple(sorted(shares, key=lambda share: (-share.stored_bytes, share.name)))


def _paths(ledger: UsageLedger) -> tuple[Share, ...]:
    folded: defaultdict[Kind, UsageTally] = defaultdict(UsageTally)
    for kind, tally in ledger.paths.by_key.items():
        folded[ledger.kinds.folded(kind)].add(tally)
    return _ranked(tally.share(spell(kind)) for kind, tally in folded.items())


def _spent(counted: dict[str, list[int]]) -> tuple[Spent, ...]:
    spent = (Spent(name, entries, stored) for name, (entries, stored) in counted.items())
    return tuple(sorted(spent, key=lambda item: (-item.stored_bytes, item.name)))


def _exclusions(ledger: UsageLedger) -> tuple[Exclusion, ...]:
    found = []
    for text, left in ledger.left.items():
        covered = [(kind, tally) for kind, tally in ledger.paths.by_key.items() if left.covers(kind)]
        matched = len({ledger.kinds.folded(kind) for kind, _ in covered})
        stored = round(sum(tally.stored for _, tally in covered))
        found.append(Exclusion(text, matched, stored, left.full, left.entries))
    return tuple(found)
