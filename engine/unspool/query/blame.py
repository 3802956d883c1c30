"""What of an atom has not been explained yet, while blame walks back through its versions.

A tree that is only as deep as changes have gone: a part nobody changed yet is one node, however much it holds, and
what differs between two versions is found by comparing wire forms along the tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from unspool.delta.identity import GONE, align
from unspool.delta.structural import Identity, identity_at, same_value
from unspool.history.history import History
from unspool.history.verdict import Problem
from unspool.model.entries import SourceLine, caller_of, passed_over_in
from unspool.model.keys import Path, Step
from unspool.model.limits import Cancelled, Progress, never, no_progress
from unspool.model.paths import DEEPEST, Parts, parts_inside, parts_of
from unspool.model.values import Value
from unspool.model.wire import decode
from unspool.query.lineage import StateReader, touches_back
from unspool.query.path_writes import WriteKind, follow_back
from unspool.query.value_parts import children, find, leaves


class Pending:
    """A part of a value whose last write is not known yet.

    Attributes:
        step: the step that led to it in the version asked about.
        value: its wire form in the version walked back to.
        inner: the parts of it that are not explained yet, by their step in that version; None while nothing in it
            changed, so that all of it is unexplained.
    """

    __slots__ = ("depth", "inner", "parent", "parts", "step", "value")

    def __init__(self, step: Step, value: bytes, parent: Pending | None = None) -> None:
        """Start with a part nothing is known of."""
        self.step = step
        self.value = value
        self.parent = parent
        self.depth: int = 1 if parent is None else parent.depth + 1
        self.parts: Parts | None = None
        self.inner: dict[Step, Pending] | None = None

    @classmethod
    def along(cls, value: bytes, path: Path) -> Pending:
        """Start with one part of an atom only.

        Args:
            value: the atom's wire form.
            path: the atom, and steps inside it that are there.
        """
        root = node = cls(path[0], value)
        for step in path[1:]:
            node.parts = parts_of(node.value)
            part = node.parts[step]  # type: ignore[index]
            node.inner = {step: cls(step, part, node)}
            node = node.inner[step]
        return root

    @property
    def done(self) -> bool:
        """Whether everything in it is explained."""
        return self.inner is not None and not self.inner

    def path(self) -> Path:
        """Return where the part stands in the version asked about."""
        steps: list[Step] = []
        node: Pending | None = self
        while node is not None:
            steps.append(node.step)
            node = node.parent
        return tuple(reversed(steps))

    def all_leaves(self) -> Iterator[Path]:
        """Yield where the unexplained leaves stand in the version asked about."""
        pending = [self]
        while pending:
            node = pending.pop()
            if node.inner is None:
                yield from (path for path, _ in leaves(node.value, node.path()))
            else:
                pending.extend(node.inner.values())


def step_back(root: Pending, old: bytes | None, identity: Identity | None = None) -> Iterator[Path]:
    """Go back to an older version of an atom, and yield the leaves that it does not have or has otherwise.

    What is yielded is explained: it is taken out of the tree.

    Args:
        root: what is unexplained in the version before.
        old: the atom's wire form in the older version; None where it had none.
        identity: identity keys of lists set by hand.
    """
    visited: list[Pending] = []
    pending: list[tuple[Pending, bytes | None]] = [(root, old)]
    while pending:
        node, before = pending.pop()
        if before == node.value:
            continue
        parts = None if before is None else parts_of(before)
        inner = None if before is None else _descend(node, parts, identity)
        if inner is None:
            if before is not None and same_value(before, node.value):
                node.value, node.parts = before, parts
                continue
            yield from node.all_leaves()
            node.inner = {}
        elif before is not None:
            node.value, node.parts = before, parts
            pending.extend(inner)
        visited.append(node)
    # Inner ones were visited after those that hold them, so this takes out whole branches from their ends.
    for node in reversed(visited):
        if node.inner is not None:
            node.inner = {step: part for step, part in node.inner.items() if not part.done}


def _descend(
    node: Pending, old: Parts | None, identity: Identity | None
) -> list[tuple[Pending, bytes | None]] | None:
    """Pair the unexplained parts of a node with those of its older version; None where the two have no parts alike."""
    if node.parts is None:
        node.parts = parts_inside(node.value) if node.depth < DEEPEST else None
    new = node.parts
    if not new or type(new) is not type(old):
        return None
    if node.inner is None:
        node.inner = {step: Pending(step, part, node) for step, part in children(new)}
    if isinstance(old, dict):
        return [(part, old.get(step)) for step, part in node.inner.items()]
    if not isinstance(old, list) or not isinstance(new, list):
        return None
    sources = align(old, new, identity_at(identity, node.path())).sources
    found: list[tuple[Pending, bytes | None]] = []
    moved: dict[Step, Pending] = {}
    for step, part in node.inner.items():
        source = sources[step] if isinstance(step, int) else GONE
        # A part that goes gets a step of its own, so that it takes no place of one that stays.
        moved[source if source != GONE else -2 - len(moved)] = part
        found.append((part, None if source == GONE else old[source]))
    node.inner = moved
    return found


@dataclass(frozen=True, slots=True)
class Blamed:
    """One value and the entry that last set it.

    Attributes:
        path: where the value stands: its atom, and steps inside it.
        encoded: its wire form.
        seq: the entry that last set it.
        action: why that entry happened.
        timestamp_ns: when, in nanoseconds since the epoch.
        age_ns: how long before the entry asked about.
        certain: False when entries that cannot be read lie in between, so that one of them may have set it, and where
            the entry itself is in doubt.
        caller: the line of code that recorded the entry, where the recording kept it.
        passed_over: calls before that entry which the recorder left out: any of them may have set the value.
        older: the value was set at that entry or before it: older entries were dropped by a bound on the recording.
        doubt: why other code than what the entry names may have set it; empty where nothing says so.
    """

    path: Path
    encoded: bytes
    seq: int
    action: str
    timestamp_ns: int
    age_ns: int
    certain: bool = True
    caller: SourceLine | None = None
    passed_over: int = 0
    older: bool = False
    doubt: str = ""

    @property
    def value(self) -> Value:
        """The value."""
        return decode(self.encoded)


@dataclass(frozen=True, slots=True)
class Blame:
    """The values of a state, each with the entry that last set it.

    Attributes:
        at: the entry asked about.
        values: leaves in the order of the state.
        unexplained: leaves nobody was found for because the question was cancelled.
        problems: entries that could not be read and were stepped over.
        dropped: what a bound on the recording dropped, for people, where a value may have been set in that; else "".
    """

    at: int
    values: tuple[Blamed, ...]
    unexplained: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()
    dropped: str = ""

    @property
    def complete(self) -> bool:
        """Whether every value is explained for certain."""
        return not self.unexplained and not self.problems and not self.dropped


class _Setter(NamedTuple):
    """The entry that set a value, as far as that is known; see `Blamed`."""

    seq: int
    is_certain: bool
    is_older: bool


def blame(
    history: History,
    at: int = -1,
    path: Path = (),
    *,
    skip_damaged: bool = False,
    cancelled: Cancelled = never,
    progress: Progress = no_progress,
) -> Blame:
    """Find the entry that last set each value of a state.

    Values are leaves: scalars, empty lists and objects, and what is kept as one piece (tuples, sets, dates). Records
    of lists keep their past when they move. A write that left a value as it was does not count.

    Args:
        history: where to look.
        at: the entry; negative numbers count from the end. Looks back along the line that leads to it.
        path: only the values at and below this path; an empty path means the whole state.
        skip_damaged: step over entries that cannot be read instead of raising.
        cancelled: ends the walk when it says yes; what is not found by then is reported in `unexplained`.
        progress: told how far back it is.

    Raises:
        PathNotFound: nothing is at the path.
        EntryNotFound: there is no such entry.
        CorruptHistory: an entry on the way cannot be read.
    """
    seq = history.resolve(at)
    reader = StateReader(history, skip_damaged=skip_damaged)
    state = history.view(seq).wire
    if path:
        path, value = find(state, path, f"entry {seq}")
        atom = str(path[0])
        wanted = leaves(value, path)
        roots = {atom: Pending.along(state[atom], path)}
    else:
        wanted = (leaf for atom, value in state.items() for leaf in leaves(value, (atom,)))
        roots = {atom: Pending(atom, value) for atom, value in state.items()}
    found = _walk_back(reader, roots, seq, cancelled, progress)
    if path and not parts_inside(value):
        found = _follow(reader, path, seq, cancelled, progress)
    writers = dict(found)
    return _report(history, seq, wanted, writers, reader.problems)


def _follow(
    reader: StateReader, path: Path, at: int, cancelled: Cancelled, progress: Progress
) -> Iterator[tuple[Path, _Setter]]:
    """Yield one leaf with the entry that set it: following a single one costs less than pairing whole lists."""
    for write in follow_back(reader, path, at, cancelled=cancelled, progress=progress):
        yield path, _Setter(write.seq, write.certain, write.kind is WriteKind.OLDER)
        return


def _walk_back(
    reader: StateReader, roots: dict[str, Pending], at: int, cancelled: Cancelled, progress: Progress
) -> Iterator[tuple[Path, _Setter]]:
    """Yield each leaf with the entry that set it."""
    history = reader.history
    atoms = list(roots)
    doubtful: dict[str, int] = {}
    # Values may have changed and changed back where nothing can be read: what is older than that is not certain.
    shaken: set[str] = set()
    for entry, parent, names in touches_back(history, atoms, at, every=reader.skip_damaged):
        if cancelled():
            return
        progress(at - entry, at)
        state = reader.state(parent)
        for atom in [atom for atom in names if atom in roots]:
            root = roots[atom]
            if parent is None and state is None:
                writer = doubtful.pop(atom, entry)
                for leaf in step_back(root, None, history.identity):
                    yield leaf, _Setter(writer, is_certain=False, is_older=True)
                atoms.remove(atom)
                del roots[atom]
                continue
            if state is None:
                doubtful.setdefault(atom, entry)
                shaken.add(atom)
                continue
            old = state.get(atom)
            if old == root.value:
                doubtful.pop(atom, None)
                continue
            writer = doubtful.pop(atom, entry)
            for leaf in step_back(root, old, history.identity):
                yield leaf, _Setter(writer, atom not in shaken, is_older=False)
            if root.done:
                atoms.remove(atom)
                del roots[atom]
        if not atoms:
            return
    if reader.history.first and not cancelled():
        # A recorder dropped where the lines went on while they were followed.
        for atom, root in roots.items():
            writer = max(doubtful.get(atom, 0), history.first)
            for leaf in step_back(root, None, history.identity):
                yield leaf, _Setter(writer, is_certain=False, is_older=True)


def _report(
    history: History,
    at: int,
    wanted: Iterator[tuple[Path, bytes]],
    writers: Mapping[Path, _Setter],
    problems: tuple[Problem, ...],
) -> Blame:
    first = history.first
    if any(setter.seq < first for setter in writers.values()):
        # Dropped since it was found.
        late = _Setter(first, is_certain=False, is_older=True)
        writers = {leaf: setter if setter.seq >= first else late for leaf, setter in writers.items()}
    entries = [history[seq] for seq in {setter.seq for setter in writers.values()}]
    known = {entry.seq: (entry, caller_of(entry.meta), passed_over_in(entry.meta)) for entry in entries}
    now = history[at].timestamp_ns
    values: list[Blamed] = []
    unexplained: list[Path] = []
    for leaf, value in wanted:
        if leaf not in writers:
            unexplained.append(leaf)
            continue
        seq, certain, older = writers[leaf]
        entry, caller, passed = known[seq]
        doubt = "" if older else entry.doubt
        values.append(
            Blamed(
                leaf, value, seq, entry.action, entry.timestamp_ns, now - entry.timestamp_ns,
                certain and not doubt, caller, passed, older, doubt,
            )
        )  # fmt: skip
    dropped = history.told_dropped() if any(value.older for value in values) else ""
    return Blame(at, tuple(values), tuple(unexplained), problems, dropped)
