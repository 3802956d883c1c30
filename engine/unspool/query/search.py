"""Search over all entries: in their actions and callers, and in the keys, values and paths that differ from the entry before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple, Protocol

from unspool.delta.structural import Identity
from unspool.errors import ExpressionError
from unspool.history.diff import fork_base
from unspool.history.history import History
from unspool.history.verdict import Problem
from unspool.model.encoding import encode
from unspool.model.entries import Entry, caller_of, iso_time
from unspool.model.json_text import in_one_line
from unspool.model.keys import Path, Step, format_path, spell_key
from unspool.model.limits import Cancelled, Progress, never, no_progress
from unspool.model.paths import DEEPEST, parts_inside
from unspool.model.values import Value
from unspool.model.wire import decode, shared_ends
from unspool.query import HitKind
from unspool.query.bisect import Bisection, Flip
from unspool.query.expression_functions import plain
from unspool.query.expression_text import refuse_unknown
from unspool.query.expressions import Expression, Predicate, PythonQuestion, StateAnswer
from unspool.query.lineage import EMPTY_STATE, AskedEntry, StateReader, Stretch, Wire, stretches_back, windows
from unspool.query.search_queries import ComparisonQuery, PatternQuery, Query, Span, TextQuery, parse_query
from unspool.query.value_parts import children, differences

MOST_HITS: Final = 100_000
"""Hits of one entry that are reported; nobody reads more, and each takes memory until the entry is done."""
_SMALL: Final = 1024
"""Bytes of a value up to which all of it is looked through."""
_EXCERPT: Final = 80
"""Code points of a long text that are reported round a match."""


class Fact(NamedTuple):
    """Something known of an entry besides its state, in which is looked too.

    Attributes:
        read: returns it as one text; empty where the entry has none.
        counts: whether a match, given as its text, is a hit.
    """

    read: Callable[[Entry], str]
    counts: Callable[[str], bool] = bool


FACTS: Final[Mapping[HitKind, Fact]] = {
    HitKind.ACTION: Fact(lambda entry: entry.action),
    # As `blame` and `diff` spell it, so that what was copied from there is found. Names alone match in every entry of a
    # file or function, where whoever types a word looks for what changed.
    HitKind.CALLER: Fact(lambda entry: str(caller_of(entry.meta) or ""), lambda match: ":" in match),
}
"""What is looked in besides the state: at every entry, at notes and at those whose state cannot be read too."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One place that matches.

    Attributes:
        seq: the entry at which it appears or changes.
        atom: its atom; empty for a fact of the entry, and for a result that more than one atom went into.
        path: where it stands, from the atom on; empty for a fact of the entry and a result.
        kind: what matched.
        text: the fact, the key, the path, or the value as text, cut round the match where it is long.
        span: where in `text` the match starts and ends.
        older: it appeared at that entry or before it: older entries were dropped by a bound on the recording.
    """

    seq: int
    atom: str
    path: Path
    kind: HitKind
    text: str
    span: Span
    older: bool = False

    @property
    def place(self) -> str:
        """Its path as people write it; "" where the text itself is the path, and where it has none."""
        return "" if self.kind is HitKind.PATH or not self.path else format_path(self.path, root="")

    def shape(self) -> dict[str, Value]:
        """Return it as JSON: what `search --json` prints in a line, and what an MCP tool answers."""
        return {
            "seq": self.seq,
            "kind": self.kind.value,
            "atom": self.atom,
            "path": format_path(self.path),
            "text": self.text,
            "span": list(self.span),
            **({"older": True} if self.older else {}),
        }


class EntryMatcher(Protocol):
    """Returns what of an entry matches.

    Attributes:
        needs_before: it says nothing of an entry of which the state before is not known.
        in_facts: what is looked for in the `FACTS` of entries too; None for nothing.
    """

    @property
    def needs_before(self) -> bool: ...

    @property
    def in_facts(self) -> Query | None: ...

    def hits(self, asked: AskedEntry) -> list[Hit]:
        """Return what matches in an entry's state and is not so in the state before."""


class _Place(NamedTuple):
    """A part of a state on the way to a change."""

    path: Path
    text: str
    named: bool
    """Whether its path, or that of a part that holds it, matches."""


_TOP: Final = _Place((), "$", False)


class TextLook:
    """Looks for a query in what is `SEARCHED` of the changes."""

    needs_before = False

    def __init__(self, query: Query, identity: Identity | None = None) -> None:
        """Look for a query; `identity` are identity keys of lists set by hand."""
        self._query = query
        self.in_facts = query if query.looks_at_names else None
        self._identity = identity
        self._free_of_it: dict[str, bytes] = {}
        """Values of atoms that hold nothing of what is looked for."""
        self._step = lru_cache(maxsize=4096, typed=True)(self._looked_at_step)

    def hits(self, asked: AskedEntry) -> list[Hit]:
        """See `EntryMatcher.hits`; a key or path on the way to several changes is reported once."""
        seq, old, new = asked.seq, asked.old, asked.new
        found: list[Hit] = []
        places: dict[Path, _Place] = {(): _TOP}
        # Neighbours share the values that stay; to sort those out takes longer than all else where nothing matches.
        known = old.get
        for atom in [atom for atom, value in new.items() if known(atom) is not value]:
            before, value = known(atom), new[atom]
            if before == value or not self._may_be_in(atom, before, value):
                continue
            for part in differences(before, value, (atom,), self._identity):
                if part.new_path is not None and part.new_bytes is not None:
                    place = self._reach(seq, part.new_path, places, found)
                    found.extend(islice(self._inside(seq, place, part.new_bytes), MOST_HITS - len(found)))
                if len(found) >= MOST_HITS:
                    return found[:MOST_HITS]
        return found

    def _may_be_in(self, atom: str, before: bytes | None, value: bytes) -> bool:
        """Whether to take an atom apart: what was not in it before must be where the two values differ."""
        piece = value
        # To look through a small value takes less than to find where it differs.
        if before is not None and len(value) > _SMALL and self._free_of_it.get(atom) == before:
            start, end = shared_ends(before, 0, value, 0)
            margin = self._query.size - 1
            piece = value[max(0, start - margin) : len(value) - end + margin]
        may_be = self._query.may_be_in(atom, piece)
        if not may_be and len(value) > _SMALL:
            self._free_of_it[atom] = value
        return may_be

    def _reach(self, seq: int, path: Path, places: dict[Path, _Place], found: list[Hit]) -> _Place:
        """Walk down to a changed part, looking at the names on the way."""
        place = _TOP
        for size, step in enumerate(path, 1):
            known = places.get(path[:size])
            if known is None:
                known, hit = self._name(seq, place, step)
                places[known.path] = known
                if hit is not None:
                    found.append(hit)
            place = known
        return place

    def _name(self, seq: int, holder: _Place, step: Step) -> tuple[_Place, Hit | None]:
        """Look at the key and the path of a part."""
        path = (*holder.path, step)
        if not self._query.looks_at_names:
            return _Place(path, "", False), None
        spelled, name, key = self._step(step)
        text = holder.text + spelled
        if key is not None:
            return _Place(path, text, True), _hit(seq, path, HitKind.KEY, name, key)
        if holder.named:
            return _Place(path, text, True), None
        span = self._query.find(text)
        if span is None:
            return _Place(path, text, False), None
        return _Place(path, text, True), _hit(seq, path, HitKind.PATH, text, span)

    def _looked_at_step(self, step: Step) -> tuple[str, str, Span | None]:
        """Return how a step is spelled in a path, how as a key, and where the key matches; keys come again and again."""
        # A number may be an index, which is no key.
        name = "" if isinstance(step, int) else spell_key(step)
        return format_path((step,), root="$")[1:], name, self._query.find(name) if name else None

    def _inside(self, seq: int, place: _Place, value: bytes) -> Iterator[Hit]:
        """Yield what matches in a part that is new or another one."""
        pending = [(place, value)]
        while pending:
            place, value = pending.pop()
            parts = parts_inside(value) if len(place.path) < DEEPEST else None
            if not parts:
                decoded = decode(value)
                text = leaf_text(decoded)
                span = self._query.find_value(place.path, decoded, text)
                if span is not None:
                    yield _hit(seq, place.path, HitKind.VALUE, text, span)
                continue
            inner: list[tuple[_Place, bytes]] = []
            for step, part in children(parts):
                child, hit = self._name(seq, place, step)
                inner.append((child, part))
                if hit is not None:
                    yield hit
            pending.extend(reversed(inner))


class ResultLook:
    """Looks for results of an expression that hold and were not there before."""

    needs_before = False
    in_facts = None

    def __init__(self, expression: Predicate) -> None:
        """Look for what an expression gives; of a list each item counts by itself."""
        self._expression = expression
        reads = expression.reads
        self._atom = next(iter(reads)) if reads is not None and len(reads) == 1 else ""

    def hits(self, asked: AskedEntry) -> list[Hit]:
        """See `EntryMatcher.hits`."""
        seq, old, new = asked.seq, asked.old, asked.new
        reads = self._expression.reads
        if old and reads is not None and all(old.get(atom) == new.get(atom) for atom in reads):
            return []
        before = self._expression.ask(old) if old else None
        answer = self._expression.ask(new)
        if not answer.holds:
            return []
        known = {encode(item) for item in _items(before.value)} if before is not None and before.holds else set()
        items = (item for item in _items(answer.value) if encode(item) not in known)
        texts = [leaf_text(item) for item in islice(items, MOST_HITS)]
        path = (self._atom,) if self._atom else ()
        return [_hit(seq, path, HitKind.RESULT, text, (0, len(text))) for text in texts]


def result_hit(seq: int, value: Value) -> Hit:
    """Return what a question about an entry gave there, as a hit."""
    text = leaf_text(value)
    return _hit(seq, (), HitKind.RESULT, text, (0, len(text)))


def _items(value: Value) -> list[Value]:
    return value if isinstance(value, list) else [value]


def leaf_text(value: Value) -> str:
    """Return a value as the text that is searched: texts as they are, bytes read as text, everything else as JSON, behind the
    name of its class where it is an object of one.
    """
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else in_one_line(value, in_full=True)


def _hit(seq: int, path: Path, kind: HitKind, text: str, span: Span) -> Hit:
    start, end = span
    if len(text) > _EXCERPT:
        begin = max(0, min(start - _EXCERPT // 4, len(text) - _EXCERPT))
        text = text[begin : begin + _EXCERPT]
        start, end = start - begin, min(end - begin, _EXCERPT)
    return Hit(seq, str(path[0]) if path else "", path, kind, text, (start, end))


FIELDS: Final = ("before", "after", "action", "time", "meta")
"""What an expression about a change sees."""


class ChangeQuestion:
    """An expression over an entry and the states round it."""

    def __init__(self, text: str) -> None:
        """Compile an expression.

        Raises:
            ExpressionError: it does not parse, or reads what a change does not have.
        """
        self._expression = Expression(text)
        self.text = text
        reads = self._expression.reads
        self._reads = frozenset(FIELDS) if reads is None else reads
        unknown = sorted(self._reads.difference(FIELDS))
        if unknown:
            from difflib import get_close_matches  # only a name that is none needs it

            near = get_close_matches(unknown[0].lower(), FIELDS, n=1, cutoff=0.7)
            hint = f"did you mean {near[0]}?" if near else f"write after.{unknown[0]} or before.{unknown[0]}"
            raise ExpressionError(f"{text[:80]!r}: a change has no {unknown[0]}; it has {', '.join(FIELDS)}: {hint}")
        self._atoms = {side: self._expression.reads_below(side) for side in ("before", "after")}
        if reads is None:
            self._atoms = dict.fromkeys(self._atoms)
        self._last: tuple[tuple[object, ...], StateAnswer] | None = None

    def fresh(self) -> ChangeQuestion:
        """Return the same question with nothing noticed yet."""
        return ChangeQuestion(self.text)

    def doubts(self) -> tuple[str, ...]:
        """Return a sentence for each part of it that can hardly be meant, as far as it was asked."""
        return self._expression.watch.doubts()

    @property
    def reads_before(self) -> bool:
        """Whether it asks about the state before an entry."""
        return "before" in self._reads

    def refuse_unknown(self, history: History) -> None:
        """Refuse a question about an atom that no entry has.

        Raises:
            ExpressionError: names the atom, and the nearest name.
        """
        for side in ("before", "after"):
            refuse_unknown(self._expression.watch, self._atoms[side], history)

    def ask(self, asked: AskedEntry) -> StateAnswer:
        """Ask one entry.

        Raises:
            EvaluationStopped: it takes longer than the limits allow.
        """
        sides = {"before": self._read("before", asked.old), "after": self._read("after", asked.new)}
        facts = self._facts(asked)
        key = (*facts.values(), *(pair for side in sides.values() for pair in side.items()))
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        values: dict[str, Value] = dict(facts)
        for side, atoms in sides.items():
            if side in self._reads:
                values[side] = {atom: self._expression.value(f"{side} {atom}", form) for atom, form in atoms.items()}
        answer = self._expression.ask_values(values)
        self._last = (key, answer)
        return answer

    def _read(self, side: str, state: Wire) -> dict[str, bytes]:
        atoms = self._atoms[side]
        if side not in self._reads:
            return {}
        return dict(state) if atoms is None else {atom: state[atom] for atom in atoms if atom in state}

    def _facts(self, asked: AskedEntry) -> dict[str, Value]:
        facts: dict[str, Value] = {}
        if "action" in self._reads:
            facts["action"] = asked.action
        if "time" in self._reads:
            facts["time"] = iso_time(asked.entry.timestamp_ns)
        if "meta" in self._reads:
            facts["meta"] = plain(encode(dict(asked.meta)))
        return facts


class ChangeLook:
    """Looks for entries at which a question about changes holds.

    Attributes:
        needs_before: see `EntryMatcher`.
    """

    in_facts = None

    def __init__(self, question: ChangeQuestion) -> None:
        """Look for a question."""
        self._question = question
        self.needs_before = question.reads_before
        self.asked = 0
        self.failures = 0
        self.failure = ""
        self.answers: dict[int, StateAnswer] = {}
        """The answers of the entries at which it holds, until they are taken."""
        self.first: bool | None = None
        self.last: bool | None = None

    def hits(self, asked: AskedEntry) -> list[Hit]:
        """See `EntryMatcher.hits`."""
        seq, answer = asked.seq, self._question.ask(asked)
        self.asked += 1
        if answer.failure:
            self.failures += 1
            self.failure = self.failure or f"entry {seq}: {answer.failure}"
        self.first = answer.holds if self.first is None else self.first
        self.last = answer.holds
        if not answer.holds:
            return []
        self.answers[seq] = answer
        return [result_hit(seq, answer.value)]


def changes_where(
    history: History,
    question: ChangeQuestion | str,
    *,
    most: int | None = None,
    skip_damaged: bool = False,
    progress: Progress = no_progress,
    cancelled: Cancelled = never,
) -> Bisection:
    """Find the entries at which a question about changes holds, oldest first.

    Args:
        history: where to look; forks are compared with what they follow.
        question: an expression over `before`, `after`, `action`, `time` and `meta`.
        most: end after so many.
        skip_damaged: step over entries that cannot be read instead of raising.
        progress: called with how many entries of how many are done.
        cancelled: ends it when it says yes; `complete` is then False.

    Returns:
        A flip for each entry at which it holds; what it gave there is `new`.

    Raises:
        ExpressionError: it does not parse, or names what no entry has.
        CorruptHistory: an entry cannot be read.
    """

    asked = ChangeQuestion(question) if isinstance(question, str) else question.fresh()
    asked.refuse_unknown(history)
    look = ChangeLook(asked)
    search = Search(history, look, skip_damaged=skip_damaged, cancelled=cancelled, progress=progress)
    flips: list[Flip] = []
    for hit in islice(search, most):
        parent = history[hit.seq].parent_seq
        flips.append(Flip(hit.seq, parent, True, None, look.answers.pop(hit.seq).value))
    ended_early = cancelled() or (most is not None and len(flips) >= most)
    return Bisection(
        flips=tuple(flips),
        holds_first=look.first,
        holds_last=None if ended_early else look.last,
        asked=look.asked,
        avoided=max(0, len(history) - history.first - look.asked),
        complete=search.complete,
        failures=look.failures,
        failure=look.failure,
        problems=search.problems,
        doubts=asked.doubts(),
    )


Asked = Query | Expression | ChangeQuestion | PythonQuestion | str
"""What can be looked for."""


class Search:
    """A running search: iterate over it for hits, oldest first.

    Attributes:
        looked_at: entries looked at so far.
        complete: whether all entries asked for were looked at, could be read, and told all their hits.
        cut: entries of which only the first `MOST_HITS` hits are reported.
    """

    def __init__(
        self,
        history: History,
        look: EntryMatcher,
        *,
        start: int = 0,
        stop: int | None = None,
        skip_damaged: bool = False,
        cancelled: Cancelled = never,
        progress: Progress = no_progress,
        doubts: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        """Prepare; nothing is read before the first hit is asked for. See `search`."""
        self.looked_at = 0
        self.complete = False
        self.cut: list[int] = []
        self._look = look
        self._range = (start, len(history) if stop is None else min(stop, len(history)))
        self._reader = StateReader(history, skip_damaged=skip_damaged)
        self._is_note = history.notes()
        self._cancelled = cancelled
        self._progress = progress
        self._doubts = doubts
        # The same texts come again and again.
        self._find_in_fact = None if look.in_facts is None else lru_cache(maxsize=128)(look.in_facts.find)
        self._fact_hits: dict[int, list[Hit]] = {}
        self._facts_known = range(0)
        """Entries whose facts were looked at together."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """Parts of an expression that can hardly be meant, as far as it was asked."""
        return self._doubts()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Entries that could not be read and were stepped over."""
        return self._reader.problems

    def __iter__(self) -> Iterator[Hit]:
        for _, hits, _ in self._parts():
            yield from hits

    def by_entry(self) -> Iterator[tuple[int, list[Hit]]]:
        """Yield every entry looked at with its hits, so that a caller can show progress.

        Raises:
            CorruptHistory: an entry cannot be read, and damage is not to be skipped.
        """
        found: list[Hit] = []
        for seq, hits, is_done in self._parts():
            found = [*found, *hits] if found else hits
            if is_done:
                yield seq, found
                found = []

    def _parts(self) -> Iterator[tuple[int, list[Hit], bool]]:
        """Yield hits in the facts of an entry, if there are any, then those in its state: who wants one need not wait for both.

        With them stands whether the entry is done.
        """
        last: tuple[int, Wire] = (-1, EMPTY_STATE)
        for seq, stretch in self._entries():
            if self._cancelled():
                return
            self._progress(seq - self._range[0], self._range[1] - self._range[0])
            self.looked_at += 1
            if in_facts := self._in_facts(seq):
                yield seq, in_facts, False
            if self._is_note(seq):
                # Behind damage it may be the first that reads, and yet nothing came with it.
                last = (seq, last[1]) if stretch.parent_of(seq) == last[0] else last
                yield seq, [], True
                continue
            new = self._reader.state(seq)
            if new is None:
                # It counts as a problem.
                self.looked_at -= 1
                yield seq, [], True
                continue
            history, parent = self._reader.history, stretch.parent_of(seq)
            if parent is None and history.first:
                # What it followed was dropped: what matches may be older, and what it changed is not known.
                asked = AskedEntry(history, seq, None, EMPTY_STATE, new)
                found = [] if self._look.needs_before else self._look.hits(asked)
                hits = [replace(hit, older=True) for hit in found]
            else:
                hits = self._look.hits(AskedEntry(history, seq, parent, self._base(seq, stretch, last), new))
            last = (seq, new)
            if len(hits) >= MOST_HITS:
                self.cut.append(seq)
            yield seq, hits, True
        self.complete = not self.problems and not self.cut

    def _in_facts(self, seq: int) -> list[Hit]:
        """Return the hits in the facts of an entry; those of some after it are found with them."""
        find = self._find_in_fact
        if find is None:
            return []
        if seq not in self._facts_known:
            entries = self._reader.entries_from(seq)
            self._facts_known = range(seq, seq + max(1, len(entries)))
            self._fact_hits = {}
            for kind, fact in FACTS.items():
                for entry in entries:
                    text = fact.read(entry)
                    if text and (span := find(text)) is not None and fact.counts(text[slice(*span)]):
                        self._fact_hits.setdefault(entry.seq, []).append(_hit(entry.seq, (), kind, text, span))
        return self._fact_hits.get(seq, [])

    def _base(self, seq: int, stretch: Stretch, last: tuple[int, Wire]) -> Wire:
        """Return the state that an entry is compared with."""
        parent = stretch.parent_of(seq)
        base = last[1] if parent == last[0] else self._before(parent)
        if stretch.part is None or seq > stretch.first:
            return base
        before = last[1] if last[0] == seq - 1 else self._before(seq - 1)
        return fork_base(before, base, stretch.part)

    def _before(self, parent: int | None) -> Wire:
        """Return the state that an entry followed, or the nearest one before it that can be read."""
        if parent is not None:
            for stretch in stretches_back(self._reader.history, parent):
                for seq in range(stretch.last, stretch.first - 1, -1):
                    state = None if self._is_note(seq) else self._reader.state(seq)
                    if state is not None:
                        return state
        return EMPTY_STATE

    def _entries(self) -> Iterator[tuple[int, Stretch]]:
        for stretch in windows(self._reader.history, *self._range):
            for seq in range(stretch.first, stretch.last + 1):
                yield seq, stretch


def search(
    history: History,
    query: Asked,
    *,
    start: int = 0,
    stop: int | None = None,
    skip_damaged: bool = False,
    cancelled: Cancelled = never,
    progress: Progress = no_progress,
) -> Search:
    """Look for something in all entries.

    Args:
        history: where to look.
        query: a text, a `PatternQuery`, what `parse_query` reads, or an `Expression`: then its results that hold and
            were not there before are the hits. Of a `PythonQuestion` too; of a `ChangeQuestion` the entries at which it holds.
        start: the first entry to look at; what it holds counts only where it differs from the entry before.
        stop: one past the last entry to look at.
        skip_damaged: step over entries that cannot be read instead of raising.
        cancelled: ends the search when it says yes; `complete` then stays False.
        progress: called with how far it is.

    Raises:
        QuestionError: there is nothing to look for, or an expression reads an atom that no entry has.
    """
    look, doubts = _looking(history, query)
    return Search(
        history,
        look,
        doubts=doubts,
        start=start,
        stop=stop,
        skip_damaged=skip_damaged,
        cancelled=cancelled,
        progress=progress,
    )


def _looking(history: History, query: Asked) -> tuple[EntryMatcher, Callable[[], tuple[str, ...]]]:
    """Return the matcher of a query, and a function that returns which parts of it can hardly be meant."""
    if isinstance(query, str):
        return TextLook(TextQuery(query), history.identity), tuple
    if isinstance(query, ComparisonQuery):
        comparison = query.fresh()
        return TextLook(comparison, history.identity), comparison.doubts
    if not isinstance(query, Expression | PythonQuestion | ChangeQuestion):
        return TextLook(query, history.identity), tuple
    # What is noticed while it is asked belongs to this search.
    if isinstance(query, Expression):
        expression = query.fresh()
        refuse_unknown(expression.watch, expression.reads, history)
        return ResultLook(expression), expression.watch.doubts
    question = query.fresh()
    question.refuse_unknown(history)
    look = ChangeLook(question) if isinstance(question, ChangeQuestion) else ResultLook(question)
    return look, question.doubts


def parse_search(text: str) -> Query | Expression:
    """Read what a person types where there is one line for it: `= E` asks an expression, else see `parse_query`.

    Raises:
        QuestionError: it is empty, or the expression does not parse; the message names the column.
    """
    stripped = text.lstrip()
    return Expression(stripped[1:].strip()) if stripped.startswith("=") else parse_query(text)


__all__ = ["Hit", "HitKind", "PatternQuery", "Search", "TextQuery", "parse_query", "parse_search", "search"]
