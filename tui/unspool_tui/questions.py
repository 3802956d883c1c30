"""What the app asks of `unspool.query`: the one place that knows how questions are put there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from unspool.errors import PathNotFound, UnspoolError
from unspool.model.entries import caller_of
from unspool.model.keys import Path
from unspool.model.limits import Cancelled
from unspool.model.paths import child_of
from unspool.model.values import MISSING
from unspool_tui.rendering.labels import as_float, difference, is_number
from unspool_tui.rendering.values import Origin, preview_text

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.history.verdict import Problem
    from unspool.query.bisect import Flip
    from unspool.query.chain_table import ChainTable
    from unspool.query.checkers import CheckReport
    from unspool.query.compare import Divergence
    from unspool.query.disk_usage import Footprint
    from unspool.query.doctor.diagnosis import Diagnosis, ExaminationWatch
    from unspool.query.expressions import Expression
    from unspool.query.findings import CheckFinding
    from unspool.query.path_writes import PathWrite
    from unspool.query.repair import RepairReport
    from unspool.query.search import Hit
    from unspool.query.simulator import Alternative, Simulation
    from unspool.query.why import Why

EARLIER: Final = 4
"""Earlier writers of a value that are told; there is no room for more."""
LATER: Final = 3
"""Later writes of a value that are looked up."""
MOST_WRITES: Final = 20_000
"""Writes of a value that are listed."""
MOST_KINDS: Final = 200
"""Kinds of paths whose bytes are listed."""
_MOST_PARTS: Final = 200
"""Values that are told where two histories part."""
_WRITTEN: Final = 40
"""Characters of a written value."""
Story = tuple[Path, int, Origin]
"""A value's address, the entry it was looked at, and who set it."""


class Arrival(Struct, frozen=True):
    """Where a question about a value leads.

    Attributes:
        seq: the entry.
        address: where the value stands there; a record of a list may stand elsewhere.
    """

    seq: int
    address: Path


class Removal(Struct, frozen=True):
    """The end of a value.

    Attributes:
        seq: the entry that removed it.
        stood: the entry before on its line, at which it stood last.
    """

    seq: int
    stood: int


def removal_of(history: History, address: Path, head: int, cancelled: Cancelled) -> Removal | None:
    """Return what removed a value that does not stand at an entry; None where it never stood on the way there."""
    from unspool.query.lineage import StateReader, touches_back  # loaded with the first such question

    reader = StateReader(history, skip_damaged=True)
    for seq, parent, _ in touches_back(history, [str(address[0])], head, every=True):
        if cancelled():
            return None
        state = None if parent is None else reader.state(parent)
        if parent is not None and state is not None and _stands(state.get(str(address[0])), address):
            return Removal(seq, parent)
    return None


def _stands(form: bytes | None, address: Path) -> bool:
    for step in address[1:]:
        found = None if form is None else child_of(form, step)
        form = None if found is None else found[1]
    return form is not None


def tell_story(history: History, address: Path, head: int, cancelled: Cancelled) -> Iterator[Story | None]:
    """Yield who set a value as of an entry, then the same with who sets it next; None between, so that the worker can
    turn to other things. Of a value that does not stand there it is told who removed it.
    """
    try:
        yield from _story(history, address, head, cancelled)
    except PathNotFound:
        removal = removal_of(history, address, head, cancelled)
        if removal is None:
            raise
        (entry,) = history[removal.seq : removal.seq + 1]
        yield address, head, Origin(removal.seq, entry.action, caller=caller_of(entry.meta), later=-1)


def _story(history: History, address: Path, head: int, cancelled: Cancelled) -> Iterator[Story | None]:
    from unspool.query.path_writes import writes_of  # loaded with the first such question

    writes = []
    for write in writes_of(history, address, head, unchanged=True, skip_damaged=True, cancelled=cancelled):
        if write.kind != "unchanged":
            writes.append(write)
        if len(writes) > EARLIER + 1:
            break
        yield None
    if not writes:
        return
    first, *earlier = writes
    if first.kind == "older":
        origin = Origin(first.seq, older=True)
    else:
        (entry,) = history[first.seq : first.seq + 1]
        (now,) = history[head : head + 1]
        origin = Origin(
            first.seq,
            entry.action,
            tuple(write.seq for write in earlier[:EARLIER]),
            len(earlier) > EARLIER,
            before=preview_text(first.old, 40) if first.old is not MISSING else "",
            caller=caller_of(entry.meta),
            age_ns=now.timestamp_ns - entry.timestamp_ns,
            by=difference(first.old, first.new),
        )
    yield address, head, origin
    for later in _later(history, address, head, cancelled):
        if later is None:
            yield None
        else:
            told = [write.new for write in (*reversed(writes), *later)]
            numbers = tuple(as_float(value) for value in told if isinstance(value, int | float) and is_number(value))
            yield address, head, replace(origin, later=later[0].seq if later else -1, numbers=numbers)


def _later(history: History, address: Path, head: int, cancelled: Cancelled) -> Iterator[list[PathWrite] | None]:
    """Yield the next writes of a value once they are known; None between."""
    from unspool.query.path_writes import writes_after  # loaded with the first such question

    found = []
    for write in writes_after(history, address, head, unchanged=True, cancelled=cancelled):
        if write.kind != "unchanged":
            found.append(write)
        if len(found) >= LATER:
            break
        yield None
    if not cancelled():
        yield found


def previous_write(history: History, address: Path, before: int, cancelled: Cancelled) -> Arrival | None:
    """Return the last entry before one that set a value; where nothing stands there, the last that touched its atom."""
    from unspool.query import path_writes  # loaded with the first such question

    try:
        found = path_writes.previous_write(history, address, before, cancelled=cancelled)
    except PathNotFound:
        seq = history.previous_write(str(address[0]), before)
        return None if seq is None else Arrival(seq, address)
    return None if found is None else Arrival(found.seq, found.path)


def next_write(history: History, address: Path, after: int, cancelled: Cancelled) -> Arrival | None:
    """Return the first entry after one that sets a value; where nothing stands there, the first that touches its atom."""
    from unspool.query import path_writes  # loaded with the first such question

    try:
        found = path_writes.next_write(history, address, after, cancelled=cancelled)
    except PathNotFound:
        seq = history.next_write(str(address[0]), after)
        return None if seq is None else Arrival(seq, address)
    return None if found is None else Arrival(found.seq, found.path)


def leaf_writers(history: History, atom: str, head: int, cancelled: Cancelled) -> dict[Path, Origin]:
    """Return the entry that last set each leaf of an atom."""
    from unspool.query.blame import blame  # loaded with the first such question

    answer = blame(history, head, (atom,), skip_damaged=True, cancelled=cancelled)
    return {value.path: Origin(value.seq, older=value.older) for value in answer.values}


def examine(
    history: History, progress: Callable[[int, int], None], cancelled: Cancelled, watch: ExaminationWatch
) -> Diagnosis:
    """Run the doctor; `watch` is told what it finds as it goes along."""
    from unspool.query.doctor.diagnosis import diagnose  # loaded with the first such question

    return diagnose(history, progress=progress, cancelled=cancelled, watch=watch)


def simulate_all(history: History, progress: Callable[[int, int], None], cancelled: Cancelled) -> Simulation:
    """Try each strategy and codec on a history."""
    from unspool.query.simulator import simulate  # loaded with the first such question

    return simulate(history, progress=progress, cancelled=cancelled)


def part(first: History, second: History, progress: Callable[[int], None], cancelled: Cancelled) -> Divergence:
    """Find where two histories part; `progress` gets the number of entries found to be the same."""
    from unspool.query.compare import compare  # loaded with the first such question

    same = 0

    def look() -> bool:
        nonlocal same
        same += 1
        progress(same)
        return cancelled()

    return compare(first, second, most=_MOST_PARTS, skip_damaged=True, cancelled=look)


def told_parting(found: Divergence) -> str:
    """Say in a few words where two histories part, the first one being the one that is looked at."""
    first, second = found.first.seq, found.second.seq
    if found.relation is None:
        return "where they part is not known: stopped"
    if first is None and second is None:
        return "both go through the same states"
    here = "this one ends" if first is None else f"#{first:,} here"
    there = "the other ends" if second is None else f"#{second:,} there"
    return f"they part at {here}, {there}"


class ValueWrite(Struct, frozen=True):
    """An entry that wrote a value, or its atom and not the value.

    Attributes:
        seq: the entry.
        kind: `added`, `modified`, `deleted` or `unchanged`.
        address: where the value stands there.
        before: the value before, as text; empty where it is the same, or where there was none.
        after: the value there, as text; empty where it was deleted.
        action: why.
    """

    seq: int
    kind: str
    address: Path
    before: str
    after: str
    action: str


class ValueWrites(Struct, frozen=True):
    """A part of the writes of a value.

    Attributes:
        writes: those since the part before, newest first.
        looked_at: entries gone back so far.
        short: with the last part, why they are not all; empty when they are.
    """

    writes: list[ValueWrite]
    looked_at: int
    short: str = ""


def writes(history: History, address: Path, head: int, cancelled: Cancelled) -> Iterator[ValueWrites]:
    """Yield the writes of a value at or before an entry, newest first, with those that left it as it was.

    Of a value that does not stand there, the first is the one that removed it.

    Raises:
        UnspoolError: nothing stood there before either.
    """
    try:
        yield from _writes(history, address, head, cancelled)
    except PathNotFound:
        removal = removal_of(history, address, head, cancelled)
        if removal is None:
            raise
        gone = ValueWrite(removal.seq, "deleted", address, "", "", history.action(removal.seq))
        yield ValueWrites([gone], head - removal.seq)
        yield from _writes(history, address, removal.stood, cancelled)


def _writes(history: History, address: Path, head: int, cancelled: Cancelled) -> Iterator[ValueWrites]:
    from unspool.query.lineage import StateReader  # loaded with the first such question
    from unspool.query.path_writes import follow_back  # loaded with the first such question

    reader = StateReader(history, skip_damaged=True)
    done = many = 0
    found: list[ValueWrite] = []

    def progress(looked_at: int, _: int) -> None:
        nonlocal done
        done = looked_at

    until = perf_counter() + PART_SECONDS
    for write in follow_back(reader, address, head, unchanged=True, cancelled=cancelled, progress=progress):
        found.append(_value_write(history, write))
        many += 1
        if many == MOST_WRITES:
            break
        if perf_counter() >= until:
            yield ValueWrites(found, done)
            found = []
            until = perf_counter() + PART_SECONDS
    short = f"only the newest {MOST_WRITES:,}" if many == MOST_WRITES else unread(reader.problems)
    yield ValueWrites(found, done, short)


def _value_write(history: History, write: PathWrite) -> ValueWrite:
    old, new = ("" if value is MISSING else preview_text(value, _WRITTEN) for value in (write.old, write.new))
    before = "" if write.kind in ("unchanged", "older") else old
    return ValueWrite(write.seq, str(write.kind), write.path, before, new, history.action(write.seq))


def bytes_of(history: History, progress: Callable[[int, int], None], cancelled: Cancelled) -> Footprint:
    """Find where the bytes of a history are."""
    from unspool.query.disk_usage import footprint  # loaded with the first such question

    total, seen = len(history), 0

    def look() -> bool:
        nonlocal seen
        seen += 1
        progress(min(seen, total), total)
        return cancelled()

    return footprint(history, top=MOST_KINDS, skip_damaged=True, cancelled=look)


def causes(
    history: History, address: Path, head: int, progress: Callable[[int, int], None], cancelled: Cancelled
) -> Why:
    """Follow the causes of a value as of an entry back; of one that was removed, as of the entry before that.

    Raises:
        UnspoolError: nothing stood there before either.
    """
    from unspool.query.why import why  # loaded with the first such question

    try:
        return why(history, address, head, skip_damaged=True, progress=progress, cancelled=cancelled)
    except PathNotFound:
        removal = removal_of(history, address, head, cancelled)
        if removal is None:
            raise
        return why(history, address, removal.stood, skip_damaged=True, progress=progress, cancelled=cancelled)


def chain_table(history: History) -> ChainTable:
    """Return the chains of a history with nothing in it yet, measured by the rule they were recorded with, or the usual one."""
    from unspool.query.chain_table import ChainTable  # loaded with the first such question
    from unspool.query.doctor.chains import rules_of, rules_of_history  # loaded with the first such question

    # What was read of a foreign source was recorded by a rule of ours, which is none of the source's.
    rules = rules_of(()) if history.is_foreign else rules_of_history(history)
    return ChainTable(history.columns(), rules, history.first)


def other_rule(history: History, rule: str, table: ChainTable, cancelled: Cancelled) -> Callable[[], Alternative]:
    """Return what works out what another rule would make of the chains of a table; safe in the worker."""
    from unspool.query.simulator import alternative  # loaded with the first such question

    now, chains = table.newest_rule, len(table)
    return lambda: alternative(history, rule, now=now, chains=chains, cancelled=cancelled)


def other_rules(table: ChainTable) -> list[str]:
    """Return the rules that may be compared with the one of a table."""
    from unspool.query.simulator import ALTERNATIVES  # loaded with the first such question

    return [rule for rule in ALTERNATIVES if rule != table.newest_rule]


class ChainExtras(Struct, frozen=True):
    """What the columns do not tell of chains.

    Attributes:
        stop: entries were looked through up to here.
        forks: entries that do not follow the one before them, since the part before.
        atoms: with the last part: name, bytes and changes of each atom, the largest first.
    """

    stop: int
    forks: list[int]
    atoms: Sequence[tuple[str, int, int]] = ()


_FORKS_AT_ONCE: Final = 1 << 14
"""Entries that are looked through for forks in one go."""


def chain_extras(history: History, start: int, *, with_atoms: bool) -> Iterator[ChainExtras]:
    """Yield the forks from an entry on, a part at a time, and where the bytes are at the end, if asked for."""
    from unspool.query.lineage import forks  # loaded with the first such question

    for first in range(start, len(history), _FORKS_AT_ONCE):
        stop = min(first + _FORKS_AT_ONCE, len(history))
        yield ChainExtras(stop, [fork.seq for fork in forks(history, first, stop)])
    if with_atoms:
        shares = history.shares()
        yield ChainExtras(
            len(history),
            [],
            sorted(((name, size, changes) for name, (changes, size) in shares.items()), key=_by_bytes),
        )


_TIMED_AT_ONCE: Final = 32
"""Entries whose rebuilding is timed before the screen is told."""


def rebuild_times(history: History, first: int, last: int) -> Iterator[dict[int, float]]:
    """Yield how long the states from one entry to another take to rebuild, in nanoseconds, some at a time; damaged ones are left out."""
    for start in range(first, last + 1, _TIMED_AT_ONCE):
        found = {}
        for seq in range(start, min(start + _TIMED_AT_ONCE, last + 1)):
            with suppress(UnspoolError):
                found[seq] = history.rebuild_us(seq) * 1000
        yield found


def _by_bytes(share: tuple[str, int, int]) -> int:
    return -share[1]


def repair_into(
    history: History, out: str, progress: Callable[[int, int], None], cancelled: Callable[[], bool]
) -> RepairReport:
    """Write a new file with all that is intact of a history; its source is never changed."""
    from unspool.query.repair import repair  # loaded with the first such question

    return repair(history, out, progress=progress, cancelled=cancelled)


def check_all(
    history: History,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
    found: Callable[[CheckFinding], object],
) -> CheckReport:
    """Return what the checkers find in a history; `found` gets each finding as soon as it is there.

    Raises:
        UnspoolError: an installed checker cannot be used.
    """
    from unspool.query.checkers import check  # loaded with the first such question

    return check(history, progress=progress, cancelled=cancelled, found=found)


PART_SECONDS: Final = 0.006
"""How long a search looks before it hands over what it found; shorter than the worker's slices."""


def check_search(text: str) -> str:
    """Return a hint for a search as typed so far.

    Raises:
        UnspoolError: it cannot be looked for.
    """
    from unspool.query.expressions import Expression  # loaded with the first such question
    from unspool.query.search import TextQuery, parse_search  # loaded with the first such question

    query = parse_search(text.strip())
    if isinstance(query, Expression):
        return f"finds where results appear; {_reads(query) or 'asks the whole state'}"
    return "" if isinstance(query, TextQuery) else "compares the value at that path; Enter searches all entries"


def _reads(expression: Expression) -> str:
    return f"reads {', '.join(sorted(expression.reads))[:80]}" if expression.reads else ""


class SearchPart(Struct, frozen=True):
    """A part of the answer to a search.

    Attributes:
        hits: the first hit of each entry that stands in its state, or its first where none does.
        looked_at: entries looked at so far.
        unread: what of the history cannot be read and was stepped over; empty for nothing.
    """

    hits: list[Hit]
    looked_at: int
    unread: str = ""


def unread(problems: Sequence[Problem]) -> str:
    """Return in words what a question stepped over; empty for nothing."""
    if not problems:
        return ""
    many = "1 entry" if len(problems) == 1 else f"{len(problems):,} entries"
    return f"partial: {many} could not be read, from {problems[0].place} on"


def search(history: History, text: str, cancelled: Cancelled) -> Iterator[SearchPart]:
    """Yield hits as they are found, a few milliseconds' worth at a time."""
    from unspool.query.search import parse_search  # loaded with the first such question
    from unspool.query.search import search as start  # loaded with the first such question

    running = start(history, parse_search(text), skip_damaged=True, cancelled=cancelled)
    found: list[Hit] = []
    until = perf_counter() + PART_SECONDS
    for _, hits in running.by_entry():
        if hits:
            found.append(next((hit for hit in hits if hit.path), hits[0]))
        if perf_counter() >= until:
            yield SearchPart(found, running.looked_at)
            found = []
            until = perf_counter() + PART_SECONDS
    yield SearchPart(found, running.looked_at, unread(running.problems))


class AnswerChange(Struct, frozen=True):
    """An entry at which the answer to a question changes.

    Attributes:
        seq: the entry.
        holds: the answer from there on.
        old: the result before, as text.
        new: the result there, as text.
    """

    seq: int
    holds: bool
    old: str
    new: str


class AnswerChanges(Struct, frozen=True):
    """A part of the answer to where a question changes its answer.

    Attributes:
        turns: entries at which it does, since the part before.
        looked_at: entries done so far.
        told: with the last part: how much work it was, and what could not be answered or read.
        complete: whether everything could be read.
    """

    turns: list[AnswerChange]
    looked_at: int
    told: str = ""
    complete: bool = True


def check_question(text: str) -> str:
    """Return a hint for a question as typed so far.

    Raises:
        UnspoolError: it does not parse; the message names the column.
    """
    from unspool.query.expressions import Expression  # loaded with the first such question

    return _reads(Expression(text.strip()))


def turns(history: History, text: str, cancelled: Cancelled) -> Iterator[AnswerChanges]:
    """Yield the entries at which the answer to a question changes, a few milliseconds' worth at a time.

    Raises:
        UnspoolError: the question does not parse.
    """
    from unspool.query.bisect import Bisecting  # loaded with the first such question

    running = Bisecting(history, text, skip_damaged=True, cancelled=cancelled)
    told = done = 0
    until = perf_counter() + PART_SECONDS
    for done in running.steps():
        if perf_counter() >= until:
            yield AnswerChanges([_turn(flip) for flip in running.flips[told:]], done)
            told = len(running.flips)
            until = perf_counter() + PART_SECONDS
    found = running.result()
    words = [*found.doubts, f"{found.asked:,} entries rebuilt, {found.avoided:,} left out"]
    if found.failures:
        words.append(f"not answered at {found.failures:,}: {found.failure}")
    words += [unread(found.problems)] if found.problems else []
    yield AnswerChanges([_turn(flip) for flip in running.flips[told:]], done, "; ".join(words), found.complete)


def _turn(flip: Flip) -> AnswerChange:
    return AnswerChange(flip.seq, flip.holds, preview_text(flip.old, 30), preview_text(flip.new, 30))
