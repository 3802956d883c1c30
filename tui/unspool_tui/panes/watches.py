"""Watches: paths and expressions whose value at the head is told all the time, with where their truth changed."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from unspool.errors import PathSyntaxError, UnspoolError
from unspool.model.keys import Path, format_path
from unspool.model.paths import parse_path
from unspool.model.values import MISSING
from unspool.model.wire import decode
from unspool_tui.rendering.labels import as_float, cut_front, is_number, sparkline, thinned
from unspool_tui.rendering.line import Glyphs, Row, Span, Spans, crop, on_grid, spans_width
from unspool_tui.rendering.values import preview_text
from unspool_tui.view.outline import value_at

if TYPE_CHECKING:
    from unspool.history.history import History
    from unspool.query.bisect import Flip
    from unspool.query.expressions import Predicate, StateAnswer

_CELLS: Final = 24
"""Cells that a watch is reckoned with when it is decided how many are in sight."""
_LONGEST_NAME: Final = 32
_LONGEST_VALUE: Final = 24
_BARS: Final = 8
_MOST_NUMBERS: Final = 4_096
_MOST_FLIPS: Final = 100_000
_SLICE_SECONDS: Final = 0.006
"""How long the history is gone through before the worker may turn to other things; shorter than its slices."""
_NEWS_SECONDS: Final = 0.1
"""How long until what came of it so far is handed over."""


def address_of(text: str) -> Path:
    """Return the path that a watch is about; nothing where it is an expression."""
    if not text.startswith("$"):
        return ()
    try:
        return parse_path(text)
    except PathSyntaxError:
        return ()


def spelled(address: Path) -> str:
    """Return a path as a watch of it is spelled."""
    return format_path(address)


class Now(Struct, frozen=True):
    """What a watch is at one entry.

    Attributes:
        text: its value, in a few words.
        holds: whether it is true; None where it is no question of true or false.
        unknown: why it is not known; empty where it is.
        number: it is one.
    """

    text: str = ""
    holds: bool | None = None
    unknown: str = ""
    number: bool = False


class Course(Struct, frozen=True):
    """What a watch was over the whole history, as far as that was gone through.

    Attributes:
        flips: entries at which it began to hold or ceased to, ascending.
        numbers: what it was, where it is a number.
        failures: entries at which it is not known.
        failed_at: the first of them.
        failure: why it was not, there.
        looked_at: entries gone through.
        doubt: what of the history was passed over; empty where nothing was.
        refused: why it cannot be worked out at all; empty where it can.
    """

    flips: tuple[int, ...] = ()
    numbers: tuple[float, ...] = ()
    failures: int = 0
    failed_at: int = -1
    failure: str = ""
    looked_at: int = 0
    doubt: str = ""
    refused: str = ""


class PathQuestion:
    """Asks every state for the value at a path; see `unspool.query.expressions.Predicate`."""

    def __init__(self, address: Path) -> None:
        self._address = address
        self.reads: frozenset[str] | None = frozenset((str(address[0]),))

    def ask(self, state: Mapping[str, bytes]) -> StateAnswer:
        """See `Predicate.ask`."""
        from unspool.query.expressions import StateAnswer  # loaded with the first watch

        atom = str(self._address[0])
        value = value_at({atom: decode(state[atom])}, self._address) if atom in state else MISSING
        if value is MISSING:
            return StateAnswer(MISSING, False, self.reads)
        return StateAnswer(value, value is True, self.reads)


def question_of(text: str) -> Predicate:
    """Return what asks for a watch.

    Raises:
        UnspoolError: it is neither a path nor an expression; the message names the column.
    """
    from unspool.query.expressions import Expression  # loaded with the first watch

    address = address_of(text)
    return PathQuestion(address) if address else Expression(text)


def now_of(answer: StateAnswer, *, is_path: bool) -> Now:
    """Return what an answer says."""
    if answer.failure:
        return Now(unknown=answer.failure)
    if answer.value is MISSING:
        return Now("is not there")
    if isinstance(answer.value, bool) or (answer.value is None and not is_path):
        return Now(holds=answer.holds)
    if isinstance(answer.value, list) and not is_path:
        # What an expression finds counts as true where it finds anything, as it does for a bisection.
        return Now(preview_text(answer.value, _LONGEST_VALUE), answer.holds)
    return Now(preview_text(answer.value, _LONGEST_VALUE), number=is_number(answer.value))


class _Steady:
    """Asks on, and where that fails goes by the answer before: what is not known is no change of the answer."""

    def __init__(self, question: Predicate, holds: bool) -> None:
        self._question = question
        self.reads = question.reads
        self.holds = holds

    def ask(self, state: Mapping[str, bytes]) -> StateAnswer:
        from unspool.query.expressions import StateAnswer  # loaded with the first watch

        answer = self._question.ask(state)
        if not answer.failure:
            self.holds = answer.holds
        return StateAnswer(answer.value, self.holds, answer.reads, answer.failure)


class _Walk:
    """One watch gone through in the worker; where entries arrive it goes on from where it was."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.total = 0
        self._flips = array("q")
        self._numbers = array("d")
        self._step = self._skipped = 0
        self._failures, self._failed_at, self._failure = 0, -1, ""
        self._holds = False
        self._known = -1
        self._doubt = ""

    def course(self, looked_at: int) -> Course:
        return Course(
            tuple(self._flips),
            tuple(thinned(self._numbers, _BARS)),
            self._failures,
            self._failed_at,
            self._failure,
            looked_at,
            self._doubt,
        )

    def steps(self, history: History, cancelled: Callable[[], bool]) -> Iterator[int]:
        """Go through the entries that were not yet; yield how many are done."""
        from unspool.query.bisect import Bisecting  # loaded with the first watch
        from unspool.query.expression_text import refuse_unknown  # loaded with the first watch
        from unspool.query.expressions import Expression  # loaded with the first watch

        since, total = self.total, len(history)
        question = question_of(self.text)
        if isinstance(question, Expression):
            refuse_unknown(question.watch, question.reads, history)
        steady = _Steady(question, self._holds)
        running = Bisecting(
            history,
            steady,
            since=since,
            skip_damaged=True,
            cancelled=cancelled,
            told=lambda seq, answer: self._take(seq, answer) if seq >= since else None,
        )
        told = 0
        for done in running.steps():
            told = self._take_flips(running.flips, told)
            yield since + done
        self._take_flips(running.flips, told)
        found = running.result()
        if found.problems:
            self._doubt = f"{len(found.problems):,} entries could not be read, from {found.problems[0].place} on"
        if found.complete or found.problems:
            self.total, self._holds = total, steady.holds

    def _take(self, seq: int, answer: StateAnswer) -> None:
        if answer.failure:
            self._failures += 1
            if self._failed_at < 0:
                self._failed_at, self._failure = seq, answer.failure
            return
        if self._known < 0:
            self._known = seq
        value = answer.value
        if isinstance(value, int | float) and is_number(value):
            self._add(as_float(value))

    def _add(self, number: float) -> None:
        """Keep a number, of very many each second, fourth, eighth one."""
        self._skipped += 1
        if self._skipped <= self._step:
            return
        self._skipped = 0
        self._numbers.append(number)
        if len(self._numbers) >= _MOST_NUMBERS:
            self._numbers = self._numbers[::2]
            self._step = 2 * self._step + 1

    def _take_flips(self, flips: Sequence[Flip], told: int) -> int:
        for flip in flips[told:]:
            # Before the first known answer there was none that could have changed.
            if flip.seq > self._known >= 0 and len(self._flips) < _MOST_FLIPS:
                self._flips.append(flip.seq)
        return len(flips)


class WatchNews(Struct, frozen=True):
    """What came of watches: at an entry, or over the whole history."""

    head: int = -1
    now: Mapping[str, Now] = {}
    courses: Mapping[str, Course] = {}


class WatchBook:
    """What is known of the watches in sight, and the questions that find it out; those run in the worker."""

    def __init__(self) -> None:
        self._head = -1
        self._now: Mapping[str, Now] = {}
        self._courses: dict[str, Course] = {}
        self._walks: dict[str, _Walk] = {}
        self._questions: dict[str, Predicate] = {}

    def in_sight(self, watches: Sequence[str], width: int) -> tuple[str, ...]:
        """Return the watches that a line of a width has room for."""
        return tuple(watches[: max(1, width // _CELLS)])

    def wants_now(self, watches: Sequence[str], head: int) -> bool:
        """Whether what watches are at an entry is not known."""
        return bool(watches) and (self._head != head or any(text not in self._now for text in watches))

    def wants_course(self, watches: Sequence[str], total: int) -> bool:
        """Whether there are entries that watches were not asked about."""
        return any(self._courses.get(text, Course()).looked_at < total for text in watches)

    def ask_now(self, history: History, watches: Sequence[str], head: int) -> WatchNews:
        """Ask watches at an entry; safe in the worker."""
        found: dict[str, Now] = {}
        for text in watches:
            try:
                found[text] = now_of(
                    self._question(text).ask(history.view(head).wire), is_path=bool(address_of(text))
                )
            except UnspoolError as error:
                found[text] = Now(unknown=str(error))
        return WatchNews(head, found)

    def _question(self, text: str) -> Predicate:
        known = self._questions.get(text)
        if known is None:
            known = self._questions[text] = question_of(text)
        return known

    def ask_courses(
        self, history: History, watches: Sequence[str], cancelled: Callable[[], bool]
    ) -> Iterator[WatchNews | None]:
        """Yield what came of going through the whole history, again and again; None between, so that the worker can turn
        to other things.
        """
        for text in watches:
            walk = self._walks.get(text)
            if walk is None or walk.total > len(history):
                walk = self._walks[text] = _Walk(text)
            now = perf_counter()
            until, told_by = now + _SLICE_SECONDS, now + _NEWS_SECONDS
            try:
                for done in walk.steps(history, cancelled):
                    if (now := perf_counter()) < until:
                        continue
                    # Said to be less than all, so that it is asked on where this is withdrawn.
                    part = WatchNews(courses={text: walk.course(min(done, len(history) - 1))})
                    yield part if now >= told_by else None
                    until = perf_counter() + _SLICE_SECONDS
                    told_by = now + _NEWS_SECONDS if now >= told_by else told_by
            except UnspoolError as error:
                yield WatchNews(courses={text: Course(looked_at=len(history), refused=str(error))})
                continue
            if not cancelled():
                yield WatchNews(courses={text: walk.course(walk.total)})

    def learn(self, news: WatchNews) -> None:
        """Take over what was found out."""
        if news.head >= 0:
            self._head, self._now = news.head, news.now
        self._courses.update(news.courses)

    def forget(self) -> None:
        """Ask anew: the history was cut or replaced."""
        self._head, self._now = -1, {}
        self._courses.clear()
        self._walks = {}

    def flips(self, watches: Sequence[str]) -> tuple[int, ...]:
        """Return the entries at which watches began or ceased to hold, ascending."""
        told = [self._courses[text] for text in watches if text in self._courses and self._is_truth(text)]
        return tuple(sorted({seq for course in told for seq in course.flips}))

    def _is_truth(self, text: str) -> bool:
        now = self._now.get(text)
        return now is not None and (now.holds is not None or bool(now.unknown))

    def row(self, watches: Sequence[str], head: int, width: int, glyphs: Glyphs) -> Row:
        """Return the line about the watches in sight."""
        shown = self.in_sight(watches, width)
        more = len(watches) - len(shown)
        right: Spans = ((f"+{more} more ", "faint"),) if more else ()
        free = width - spans_width(right) - 1
        # Those that need less than their share leave it to the others.
        lengths = sorted(spans_width(self._told(text, head, width, glyphs)) + 3 for text in shown)
        share = free
        for place, length in enumerate(lengths):
            share = max(length, free // (len(lengths) - place))
            if length > free // (len(lengths) - place):
                share = free // (len(lengths) - place)
                break
            free -= length
        spans: list[Span] = []
        for text in shown:
            spans += ((" " * (3 if spans else 1), "text"), *self._told(text, head, max(12, share - 3), glyphs))
        return Row(tuple(spans), right)

    def _told(self, text: str, head: int, room: int, glyphs: Glyphs) -> Spans:
        now, course, late = self._now.get(text), self._courses.get(text, Course()), self._head != head
        return watch_spans(text, now, course, head, room, glyphs, late=late)


def watch_spans(
    text: str, now: Now | None, course: Course, head: int, room: int, glyphs: Glyphs, *, late: bool = False
) -> Spans:
    """Return what is told of one watch.

    Args:
        text: as it was typed.
        now: what it is at the head; None while that is looked up.
        course: what it was over the whole history.
        head: the entry looked at.
        room: cells there are.
        glyphs: characters to draw with.
        late: what it is at the head is still being looked up; `now` is of another entry.
    """
    address = address_of(text)
    name = on_grid(format_path(address, root="") if address else text[:200])
    spans: list[Span] = []
    if now is None:
        spans.append((glyphs.ellipsis, "faint"))
    elif course.refused:
        spans.append((f"unknown: {on_grid(course.refused[:200])}", "warning"))
    elif now.unknown:
        spans.append((f"unknown at #{head:,}: {on_grid(now.unknown[:200])}", "warning"))
    else:
        spans += _told(now, course, head, glyphs)
        spans += _doubts(course)
    if late and now is not None:
        spans.append((glyphs.ellipsis, "faint"))
    left = max(6, min(_LONGEST_NAME, room - min(spans_width(tuple(spans)), room * 2 // 3) - 1))
    shown = cut_front(name, left, glyphs.ellipsis) if address else crop(name, left, glyphs.ellipsis)
    return ((f"{shown} ", "key"), *_fitting(spans, room - spans_width(((shown, ""),)) - 1, glyphs))


def _fitting(spans: Sequence[Span], room: int, glyphs: Glyphs) -> Spans:
    kept: list[Span] = []
    for text, style in spans:
        if room <= 0:
            break
        shown = crop(text, room, glyphs.ellipsis)
        kept.append((shown, style))
        room -= spans_width(((shown, ""),))
    return tuple(kept)


def _told(now: Now, course: Course, head: int, glyphs: Glyphs) -> list[Span]:
    if now.holds is None:
        bars = sparkline(course.numbers, glyphs.bars) if now.number and len(course.numbers) > 1 else ""
        return [(now.text, "strong"), *([(f" {bars}", "bar.window")] if bars else [])]
    sign, style = (glyphs.tick, "good") if now.holds else (glyphs.cross, "error")
    place = bisect_right(course.flips, head)
    since = f" since #{course.flips[place - 1]:,}" if place else ""
    return [(f"{sign}{since}", style), *([(f" {now.text}", "dim")] if now.text else [])]


def _doubts(course: Course) -> list[Span]:
    if course.doubt:
        return [(f" ({on_grid(course.doubt[:200])})", "warning")]
    if not course.failures:
        return []
    more = f" and {course.failures - 1:,} more" if course.failures > 1 else ""
    return [(f" unknown at #{course.failed_at:,}{more}: {on_grid(course.failure[:200])}", "warning")]


def check_watch(text: str) -> str:
    """Return a hint for a watch as typed so far.

    Raises:
        UnspoolError: it is neither a path nor an expression; the message names the column.
    """
    question = question_of(text.strip())
    if address_of(text.strip()):
        return "watches the value at that path"
    reads = question.reads
    return "watches an expression" + (f"; it reads {', '.join(sorted(reads))[:80]}" if reads else "")
